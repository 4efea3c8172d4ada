# mypy: ignore-errors
"""The same two agents on the official SDK, the way its documentation builds a server: DefaultRequestHandler,
JSON-RPC routes on Starlette, the in-memory store or DatabaseTaskStore.
Runs in an environment where `a2a` is the SDK."""

import os

from a2a.helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskStore, TaskUpdater
from starlette.applications import Starlette

from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill

CHUNKS = 100


class Echo(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        updater = await started(context, event_queue)
        await updater.add_artifact([new_text_part(context.get_user_input())], name="result")
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


class Chunks(Echo):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        updater = await started(context, event_queue)
        for number in range(CHUNKS):
            chunk = [new_text_part(f"chunk {number} ")]
            await updater.add_artifact(chunk, artifact_id="result", name="result", append=number > 0)
        await updater.complete()


async def started(context: RequestContext, event_queue: EventQueue) -> TaskUpdater:
    task = context.current_task or new_task_from_user_message(context.message)
    if context.current_task is None:
        await event_queue.enqueue_event(task)
    updater = TaskUpdater(event_queue, task.id, task.context_id)
    await updater.start_work()
    return updater


def card(name: str) -> AgentCard:
    return AgentCard(
        name=name,
        description="Repeats.",
        version="1.0.0",
        supported_interfaces=[
            AgentInterface(url="http://127.0.0.1:8010", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id=name, name=name, description="Repeat what was said", tags=["echo"])],
    )


def build(executor: AgentExecutor, store: TaskStore) -> Starlette:
    agent_card = card("Echo")
    handler = DefaultRequestHandler(agent_executor=executor, task_store=store, agent_card=agent_card)
    return Starlette(routes=[*create_agent_card_routes(agent_card), *create_jsonrpc_routes(handler, "/")])


def echo_app() -> Starlette:
    return build(Echo(), InMemoryTaskStore())


def chunks_app() -> Starlette:
    return build(Chunks(), InMemoryTaskStore())


def database_app() -> Starlette:
    """SQLite with the pragmas that our own store sets."""
    from a2a.server.tasks import DatabaseTaskStore
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(os.environ["SDK_DATABASE_URL"])

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection, _record):  # noqa: ANN001, ANN202 the driver's own types
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    return build(Echo(), DatabaseTaskStore(engine))
