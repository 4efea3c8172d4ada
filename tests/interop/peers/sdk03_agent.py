# mypy: ignore-errors
"""An agent of protocol 0.3 on the official SDK 0.3.26, JSON-RPC and REST: `sdk03_agent.py PORT`.

Runs in the environment sdk03, where `a2a` is the SDK. The first word of a message says what it does:
echo TEXT, chunks, ask, wait (until canceled), fail.
"""

import asyncio
import sys

import httpx
import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2ARESTFastAPIApplication, A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.utils import new_task
from starlette.applications import Starlette
from starlette.routing import Mount

from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part, TextPart


def text_part(text: str) -> Part:
    return Part(root=TextPart(text=text))


class Obedient(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        is_first = context.current_task is None
        task = context.current_task or new_task(context.message)
        if is_first:
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        said = context.get_user_input()
        word, _, rest = said.partition(" ")
        if not is_first:
            await self._finish(updater, f"you said {said}")
        elif word == "chunks":
            for number in range(3):
                chunk = [text_part(f"chunk {number} ")]
                await updater.add_artifact(
                    chunk, "result", "result", append=number > 0, last_chunk=number == 2
                )
            await updater.complete()
        elif word == "ask":
            await updater.requires_input(updater.new_agent_message([text_part("Which city?")]), final=True)
        elif word == "wait":
            await asyncio.Event().wait()
        elif word == "fail":
            await updater.failed(updater.new_agent_message([text_part("It failed, as told.")]))
        else:
            await self._finish(updater, rest)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def _finish(self, updater: TaskUpdater, text: str) -> None:
        await updater.add_artifact([text_part(text)], name="result")
        await updater.complete()


def card(port: int) -> AgentCard:
    base = f"http://127.0.0.1:{port}"
    return AgentCard(
        name="SDK 0.3",
        description="Does as told.",
        version="1.0.0",
        url=f"{base}/",
        preferred_transport="JSONRPC",
        additional_interfaces=[
            AgentInterface(url=f"{base}/", transport="JSONRPC"),
            AgentInterface(url=f"{base}/rest", transport="HTTP+JSON"),
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="obey", name="Obey", description="Does as told.", tags=["test"])],
    )


def build(port: int) -> Starlette:
    agent_card = card(port)
    configs = InMemoryPushNotificationConfigStore()
    handler = DefaultRequestHandler(
        agent_executor=Obedient(),
        task_store=InMemoryTaskStore(),
        push_config_store=configs,
        push_sender=BasePushNotificationSender(httpx.AsyncClient(trust_env=False), configs),
    )
    rest = A2ARESTFastAPIApplication(agent_card=agent_card, http_handler=handler).build()
    app = A2AStarletteApplication(agent_card=agent_card, http_handler=handler).build()
    app.router.routes.append(Mount("/rest", rest))
    return app


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(build(port), port=port, log_level="warning")
