"""The client against a server that behaves."""

from contextlib import aclosing

import httpx
import pytest

from a2a.client import A2AClient
from a2a.errors import TaskNotCancelable, TaskNotFound, VersionNotSupported
from a2a.requests import CancelTaskRequest, GetTaskRequest
from a2a.types import Part, Task, TaskState
from tests.contract.conftest import ServedAgent
from tests.support.scripted_agent import ScriptedAgent
from tests.support.scripted_calls import follow, request


@pytest.fixture
def client(served_agent: ServedAgent, http: httpx.AsyncClient) -> A2AClient:
    return A2AClient(http, served_agent.url)


async def test_a_send_gives_the_task_with_its_result(client: A2AClient) -> None:
    task = await client.send_message(request("hello"), timeout_s=10)

    assert isinstance(task, Task)
    assert [part.text for artifact in task.artifacts or [] for part in artifact.parts] == ["hello"]


async def test_a_task_can_be_asked_for_and_canceled(client: A2AClient, script: ScriptedAgent) -> None:
    task = await client.send_message(request("to cancel", "wait", at_once=True), timeout_s=10)
    assert isinstance(task, Task)
    got = await client.get_task(GetTaskRequest(id=task.id, history_length=0), timeout_s=10)
    canceled = await client.cancel_task(CancelTaskRequest(id=task.id), timeout_s=10)

    assert (got.id, got.history) == (task.id, None)
    assert canceled.status.state is TaskState.CANCELED
    with pytest.raises(TaskNotCancelable):
        await client.cancel_task(CancelTaskRequest(id=task.id), timeout_s=10)


async def test_an_error_of_the_protocol_is_its_class_here(client: A2AClient) -> None:
    with pytest.raises(TaskNotFound) as raised:
        await client.get_task(GetTaskRequest(id="nobody's"), timeout_s=10)

    assert raised.value.is_retryable is False


async def test_an_error_before_a_stream_is_its_class_here(client: A2AClient) -> None:
    sent = request("hello")
    sent.message.task_id = "nobody's"

    with pytest.raises(TaskNotFound):
        await follow(client, sent)


async def test_a_stream_gives_each_event_when_it_happens(client: A2AClient, script: ScriptedAgent) -> None:
    sent = request("step by step", "wait")
    async with aclosing(client.stream_message(sent, timeout_s=10)) as events:
        first, second = await anext(events), await anext(events)
        script.go["step by step"].open()
        rest = [event async for event in events]

    assert first.task is not None
    assert second.status_update is not None
    assert rest[-1].status_update is not None
    assert rest[-1].status_update.status.state is TaskState.COMPLETED


async def test_a_stream_that_is_left_leaves_the_task_running(
    client: A2AClient, script: ScriptedAgent
) -> None:
    async with aclosing(client.stream_message(request("left", "wait"), timeout_s=10)) as events:
        first = await anext(events)
    script.go["left"].open()
    await script.finished["left"].wait()

    assert first.task is not None


async def test_bytes_travel_both_ways_unchanged(client: A2AClient) -> None:
    raw = bytes(range(256)) * 100
    sent = request("hello")
    sent.message.parts.append(Part.from_bytes(raw, "text/plain", filename="a.bin"))
    task = await client.send_message(sent, timeout_s=10)

    assert isinstance(task, Task)
    assert (task.history or [])[0].parts[1].raw == raw


async def test_headers_of_the_caller_are_added(http: httpx.AsyncClient, served_agent: ServedAgent) -> None:
    client = A2AClient(http, served_agent.url)

    with pytest.raises(VersionNotSupported):
        await client.send_message(request("hi"), timeout_s=10, headers={"A2A-Version": "9.9"})
