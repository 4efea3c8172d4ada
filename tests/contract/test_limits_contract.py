"""How much there may be at once, and that what has left takes no place, over every binding."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from a2a.errors import InternalError
from a2a.grpc.service import serve_grpc
from a2a.requests import SendMessageRequest
from a2a.server.gate import Gate
from a2a.server.handler import Limits, RequestHandler
from a2a.server.operations import Operations
from a2a.server.routes import ProtocolApp, ProtocolRoute
from a2a.stores.base import MessageKey, StoredTask, TaskStore
from a2a.stores.memory import MemoryTaskStore
from a2a.stores.sql import SqlTaskStore
from a2a.types import Task
from tests.support.bindings import BINDINGS, GRPC, Refused, World, free_port, message, state
from tests.support.local_client import CALL
from tests.support.scripted_agent import ScriptedAgent
from tests.support.server import serving
from tests.support.waiting import eventually


@contextmanager
def limited(limits: Limits, store: TaskStore | None = None) -> Iterator[tuple[World, RequestHandler]]:
    """A server with limits that no setting gives it, and its handler."""
    script, port, gate = ScriptedAgent(), free_port(), Gate()
    handler = RequestHandler(script.agent.skills, store or MemoryTaskStore(), limits=limits)
    operations = Operations(handler)
    route = ProtocolRoute(script.agent.card(), operations, gate, base_path="", max_body_bytes=100_000)

    @asynccontextmanager
    async def life(_app: object) -> AsyncIterator[None]:
        await handler.open()
        async with serve_grpc(operations, gate, host="127.0.0.1", port=port, grace_s=0):
            yield
        await handler.close(grace_s=0)

    with serving(ProtocolApp(route, lifespan=life)) as server:
        yield World(script, server.url, f"127.0.0.1:{port}"), handler


def check_busy(refused: Refused, binding: str) -> None:
    """HTTP says when to come again; gRPC has no word for it."""
    assert refused.name == "RESOURCE_EXHAUSTED"
    assert binding == GRPC or int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_task_over_those_that_may_wait_is_told_to_come_again(binding: str) -> None:
    """13.4: those that are there go on"""
    with limited(Limits(max_running=1, max_waiting=1)) as (world, _):
        async with world.caller(binding) as agent:
            params = message("second", "wait")
            first = await agent.begin("first")
            await world.script.started["first"].wait()
            sending = asyncio.create_task(agent.call("SendMessage", params))
            async with asyncio.timeout(5):
                while (await agent.call("ListTasks"))["totalSize"] < 2:
                    pass
            for operation in ("SendMessage", "SendStreamingMessage"):
                check_busy(await agent.refusal(operation, message()), binding)
            assert state(await agent.get(first)) == "WORKING"
            for text in ("first", "second"):
                world.script.go[text].open()
            assert state((await sending)["task"]) == "COMPLETED"
            assert state(await agent.send()) == "COMPLETED"


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_stream_over_the_limit_is_told_to_come_again(binding: str) -> None:
    """13.4: one that ends makes room"""
    with limited(Limits(max_streams=1)) as (world, handler):
        async with world.caller(binding) as agent:
            asked = await agent.send("weather", "ask")
            async with agent.stream("SubscribeToTask", {"id": asked["id"]}) as events:
                await anext(events)
                check_busy(await agent.refusal("SubscribeToTask", {"id": asked["id"]}), binding)
                check_busy(await agent.refusal("SendStreamingMessage", message()), binding)
                assert state(await agent.send()) == "COMPLETED"
            await eventually(lambda: handler._streams == 0)
            assert await agent.events("SendStreamingMessage", message())


@pytest.mark.parametrize("binding", BINDINGS)
async def test_streams_that_are_asked_for_at_once_keep_to_the_limit(binding: str, tmp_path: Path) -> None:
    """13.4: also while the store is read"""
    store = SqlTaskStore(f"sqlite:///{tmp_path}/tasks.db", keep_s=None)
    with limited(Limits(max_streams=2), store) as (world, handler):
        async with world.caller(binding) as agent:
            asked = await agent.send("weather", "ask")
            is_enough = asyncio.Event()

            async def follow() -> bool:
                try:
                    async with agent.stream("SubscribeToTask", {"id": asked["id"]}) as events:
                        await anext(events)
                        await is_enough.wait()
                except Refused as refused:
                    check_busy(refused, binding)
                    return False
                return True

            following = [asyncio.create_task(follow()) for _ in range(8)]
            await eventually(lambda: sum(task.done() for task in following) >= 6, within_s=5)
            assert handler._streams == 2
            is_enough.set()
            assert sum(await asyncio.gather(*following)) == 2


async def test_a_caller_who_leaves_before_its_stream_began_takes_no_place(tmp_path: Path) -> None:
    """13.4: a call of gRPC ends wherever it is"""
    store = SqlTaskStore(f"sqlite:///{tmp_path}/tasks.db", keep_s=None)
    with limited(Limits(max_streams=5), store) as (world, handler):
        async with world.caller(GRPC) as agent:
            for number in range(40):
                opening = asyncio.create_task(agent.events("SendStreamingMessage", message("hi", "ask")))
                for _ in range(number):
                    await asyncio.sleep(0)
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
            await eventually(lambda: handler._streams == 0)


@pytest.mark.parametrize("binding", BINDINGS)
async def test_an_agent_that_sends_no_notifications_says_so(binding: str) -> None:
    """3.3.4: of all four operations, and of a message that brings a configuration"""
    config = {"taskId": "x", "id": "c", "url": "http://127.0.0.1:9/"}
    with limited(Limits()) as (world, _):
        async with world.caller(binding) as agent:
            for operation, params in {
                "CreateTaskPushNotificationConfig": config,
                "GetTaskPushNotificationConfig": {"taskId": "x", "id": "c"},
                "ListTaskPushNotificationConfigs": {"taskId": "x"},
                "DeleteTaskPushNotificationConfig": {"taskId": "x", "id": "c"},
                "SendMessage": message(configuration={"taskPushNotificationConfig": config}),
            }.items():
                refused = await agent.refusal(operation, params)
                assert refused.name == "PUSH_NOTIFICATION_NOT_SUPPORTED"


class Failing(MemoryTaskStore):
    """Keeps nothing while `is_failing`, and takes its time to say so."""

    is_failing = False

    async def create(self, stored: StoredTask, made_by: MessageKey) -> StoredTask:
        await self._fail()
        return await super().create(stored, made_by)

    async def save(
        self, stored: StoredTask, *, expected_version: int, continued_by: MessageKey | None = None
    ) -> bool:
        await self._fail()
        return await super().save(stored, expected_version=expected_version, continued_by=continued_by)

    async def _fail(self) -> None:
        if self.is_failing:
            for _ in range(5):
                await asyncio.sleep(0)
            raise OSError("the disk is full")


async def test_an_answer_that_cannot_be_kept_fails_for_all_who_sent_it() -> None:
    """3.3.1: nobody waits for what never began, and the task asks on"""
    store = Failing()
    handler = RequestHandler(ScriptedAgent().agent.skills, store)
    asked = await handler.send_message(SendMessageRequest.model_validate(message("weather", "ask")), CALL)
    assert isinstance(asked, Task)
    answer = SendMessageRequest.model_validate(message("Oslo", "ask", taskId=asked.id))
    store.is_failing = True
    async with asyncio.timeout(5):
        first, second = await asyncio.gather(
            *(handler.send_message(answer, CALL) for _ in range(2)), return_exceptions=True
        )
    store.is_failing = False

    assert (type(first), type(second)) == (OSError, InternalError)
    done = await handler.send_message(answer, CALL)
    assert isinstance(done, Task)
    assert done.status.state.name == "COMPLETED"
    await handler.close(grace_s=0)
