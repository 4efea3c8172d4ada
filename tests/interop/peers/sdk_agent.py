# mypy: ignore-errors
"""An agent on the official SDK 1.3, all three bindings: `sdk_agent.py PORT GRPC_PORT`.

Runs in the environment sdk-all, where `a2a` is the SDK. The first word of a message says what it does:
echo TEXT, chunks, ask, wait (until canceled), fail.
"""

import asyncio
import sys

import grpc
import httpx
import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server
from starlette.applications import Starlette

from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill


class Obedient(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        is_first = context.current_task is None
        task = context.current_task or new_task_from_user_message(context.message)
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
                chunk = [new_text_part(f"chunk {number} ")]
                await updater.add_artifact(
                    chunk, "result", "result", append=number > 0, last_chunk=number == 2
                )
            await updater.complete()
        elif word == "ask":
            await updater.requires_input(updater.new_agent_message([new_text_part("Which city?")]))
        elif word == "wait":
            await asyncio.Event().wait()
        elif word == "fail":
            await updater.failed(updater.new_agent_message([new_text_part("It failed, as told.")]))
        else:
            await self._finish(updater, rest)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def _finish(self, updater: TaskUpdater, text: str) -> None:
        await updater.add_artifact([new_text_part(text)], name="result")
        await updater.complete()


def card(port: int, grpc_port: int) -> AgentCard:
    urls = {
        "JSONRPC": f"http://127.0.0.1:{port}/",
        "HTTP+JSON": f"http://127.0.0.1:{port}/rest",
        "GRPC": f"127.0.0.1:{grpc_port}",
    }
    skill = AgentSkill(
        id="obey", name="Obey", description="Does as told.", tags=["test"], examples=["echo hello"]
    )
    return AgentCard(
        name="SDK 1.3",
        description="Does as told.",
        version="1.0.0",
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding=binding, protocol_version="1.0")
            for binding, url in urls.items()
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[skill],
    )


async def main(port: int, grpc_port: int) -> None:
    agent_card = card(port, grpc_port)
    configs = InMemoryPushNotificationConfigStore()
    handler = DefaultRequestHandler(
        agent_executor=Obedient(),
        task_store=InMemoryTaskStore(),
        agent_card=agent_card,
        push_config_store=configs,
        push_sender=BasePushNotificationSender(httpx.AsyncClient(trust_env=False), configs),
    )
    rpc = grpc.aio.server()
    add_A2AServiceServicer_to_server(GrpcHandler(handler), rpc)
    rpc.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await rpc.start()
    app = Starlette(
        routes=[
            *create_agent_card_routes(agent_card),
            *create_jsonrpc_routes(handler, "/"),
            *create_rest_routes(handler, path_prefix="/rest"),
        ]
    )
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()
    await rpc.stop(None)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
