"""Our client does its whole work with the official SDKs' agents: 1.3 on three bindings, 0.3.26 on two."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from a2a.addresses import AddressPolicy
from a2a.client import A2AClient, choose_interface, fetch_card
from a2a.errors import InvalidParams, TaskNotCancelable, TaskNotFound, UnsupportedOperation
from a2a.fold import TaskFold
from a2a.grpc.client import GrpcBinding
from a2a.requests import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.types import Message, Part, StreamResponse, Task, TaskState
from tests.support.keeping_server import Peer
from tests.support.waiting import eventually

INTERFACES = ("JSONRPC 1.0", "HTTP+JSON 1.0", "GRPC 1.0", "JSONRPC 0.3", "HTTP+JSON 0.3")
HERE = AddressPolicy(allow_loopback=True, allow_private=False)
WORD = "for-the-webhook-only"
TIMEOUT_S = 15.0


@pytest.fixture(params=INTERFACES)
def spoken(request: pytest.FixtureRequest) -> str:
    interface: str = request.param
    return interface


@pytest.fixture
async def client(spoken: str, request: pytest.FixtureRequest) -> AsyncIterator[A2AClient]:
    binding, version = spoken.split()
    url = request.getfixturevalue("sdk_agent" if version == "1.0" else "sdk03_agent")
    async with httpx.AsyncClient(trust_env=False) as http:
        card = await fetch_card(http, url, timeout_s=TIMEOUT_S)
        if binding != "GRPC":
            yield A2AClient.for_card(http, card, bindings=(binding,), versions=(version,))
            return
        interface = choose_interface(card, bindings=("GRPC",))
        grpc = GrpcBinding(interface, HERE)
        yield A2AClient(http, interface, binding=grpc)
        await grpc.close()


async def test_a_message_is_answered_with_a_completed_task(client: A2AClient) -> None:
    task = await send(client, "echo hello")
    assert task.status.state is TaskState.COMPLETED
    assert texts(task) == ["hello"]
    assert task.context_id


async def test_a_failed_task_says_why(client: A2AClient) -> None:
    task = await send(client, "fail")
    assert task.status.state is TaskState.FAILED
    assert task.status.message is not None
    assert task.status.message.spoken_text() == "It failed, as told."


async def test_a_question_is_answered_in_the_same_task(client: A2AClient) -> None:
    asked = await send(client, "ask")
    assert asked.status.state is TaskState.INPUT_REQUIRED
    task = await send(client, "Oslo", asked)
    assert (task.id, task.status.state) == (asked.id, TaskState.COMPLETED)
    assert texts(task) == ["you said Oslo"]


async def test_a_stream_brings_the_chunks_in_order_and_the_end(client: A2AClient) -> None:
    request = SendMessageRequest(message=said("chunks"))
    events = [event async for event in client.stream_message(request, timeout_s=TIMEOUT_S)]
    task = folded(events)
    assert texts(task) == ["chunk 0 chunk 1 chunk 2 "]
    assert task.status.state is TaskState.COMPLETED


async def test_a_task_is_got_as_it_was_answered(client: A2AClient) -> None:
    sent = await send(client, "echo hello")
    got = await client.get_task(GetTaskRequest(id=sent.id), timeout_s=TIMEOUT_S)
    assert (got.id, got.status.state, texts(got)) == (sent.id, TaskState.COMPLETED, ["hello"])


async def test_an_unknown_task_is_not_found(client: A2AClient) -> None:
    with pytest.raises(TaskNotFound):
        await client.get_task(GetTaskRequest(id="no-such-task"), timeout_s=TIMEOUT_S)


async def test_tasks_are_listed_where_the_version_can(client: A2AClient, spoken: str) -> None:
    sent = await send(client, "echo hello")
    request = ListTasksRequest(context_id=sent.context_id)
    if spoken.endswith("0.3"):
        with pytest.raises(UnsupportedOperation):
            await client.list_tasks(request, timeout_s=TIMEOUT_S)
        return
    page = await client.list_tasks(request, timeout_s=TIMEOUT_S)
    assert [task.id for task in page.tasks] == [sent.id]


async def test_a_working_task_is_canceled(client: A2AClient) -> None:
    async with waiting_task(client) as waiting:
        assert waiting.status.state in (TaskState.SUBMITTED, TaskState.WORKING)
        task = await client.cancel_task(CancelTaskRequest(id=waiting.id), timeout_s=TIMEOUT_S)
        assert task.status.state is TaskState.CANCELED


async def test_an_ended_task_is_not_canceled(client: A2AClient) -> None:
    sent = await send(client, "echo hello")
    with pytest.raises(TaskNotCancelable):
        await client.cancel_task(CancelTaskRequest(id=sent.id), timeout_s=TIMEOUT_S)


async def test_an_ended_task_takes_no_message(client: A2AClient) -> None:
    sent = await send(client, "echo hello")
    with pytest.raises((UnsupportedOperation, InvalidParams)):
        await send(client, "more", sent)


async def test_a_subscriber_learns_of_the_end(client: A2AClient) -> None:
    async with waiting_task(client) as waiting:
        events: list[StreamResponse] = []
        subscription = client.subscribe(SubscribeToTaskRequest(id=waiting.id), timeout_s=TIMEOUT_S)
        async with aclosing(subscription) as following:
            events.append(await anext(following))
            await client.cancel_task(CancelTaskRequest(id=waiting.id), timeout_s=TIMEOUT_S)
            events += [event async for event in following]
        assert folded(events).id == waiting.id
        assert folded(events).status.state is TaskState.CANCELED


async def test_a_push_configuration_is_kept_listed_and_deleted(client: A2AClient, spoken: str) -> None:
    async with waiting_task(client) as waiting:
        config = TaskPushNotificationConfig(
            task_id=waiting.id, id="mine", url="http://127.0.0.1:9/hook", token=WORD
        )
        created = await client.create_push_config(config, timeout_s=TIMEOUT_S)
        assert (created.id, created.url) == ("mine", config.url)
        request = GetTaskPushNotificationConfigRequest(task_id=waiting.id, id="mine")
        assert (await client.get_push_config(request, timeout_s=TIMEOUT_S)).url == config.url
        if spoken == "HTTP+JSON 0.3":
            return  # the SDK's server of that version lists and deletes over JSON-RPC alone
        assert await config_ids(client, waiting) == ["mine"]
        deleted = DeleteTaskPushNotificationConfigRequest(task_id=waiting.id, id="mine")
        await client.delete_push_config(deleted, timeout_s=TIMEOUT_S)
        assert await config_ids(client, waiting) == []


async def test_a_push_reaches_the_webhook(client: A2AClient) -> None:
    hook = Peer(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with hook.listening() as port:
        url = f"http://127.0.0.1:{port}/hook"
        config = TaskPushNotificationConfig(id="mine", url=url, token=WORD)
        configuration = SendMessageConfiguration(task_push_notification_config=config)
        task = await send(client, "echo hello", configuration=configuration)
        await eventually(lambda: any(task.id.encode() in request for request in hook.requests), within_s=10)
    assert all(WORD.encode() in request for request in hook.requests)


def said(text: str, task: Task | None = None) -> Message:
    """The next message of the task, if any."""
    if task is None:
        return Message.from_user(Part.from_text(text))
    return Message.from_user(Part.from_text(text), task_id=task.id, context_id=task.context_id)


async def send(
    client: A2AClient,
    text: str,
    task: Task | None = None,
    *,
    configuration: SendMessageConfiguration | None = None,
) -> Task:
    request = SendMessageRequest(message=said(text, task), configuration=configuration)
    answer = await client.send_message(request, timeout_s=TIMEOUT_S)
    assert isinstance(answer, Task)
    return answer


@asynccontextmanager
async def waiting_task(client: A2AClient) -> AsyncIterator[Task]:
    at_once = SendMessageConfiguration(return_immediately=True)
    task = await send(client, "wait", configuration=at_once)
    try:
        yield task
    finally:
        current = await client.get_task(GetTaskRequest(id=task.id), timeout_s=TIMEOUT_S)
        if not current.status.state.is_terminal:
            await client.cancel_task(CancelTaskRequest(id=task.id), timeout_s=TIMEOUT_S)


async def config_ids(client: A2AClient, task: Task) -> list[str | None]:
    request = ListTaskPushNotificationConfigsRequest(task_id=task.id)
    listed = await client.list_push_configs(request, timeout_s=TIMEOUT_S)
    return [config.id for config in listed.configs]


def folded(events: list[StreamResponse]) -> Task:
    """The task that a stream told of, which is first in it."""
    assert events[0].task is not None
    fold = TaskFold(events[0].task)
    for event in events[1:]:
        if event.status_update is not None:
            fold.apply_status(event.status_update)
        elif event.artifact_update is not None:
            fold.apply_artifact(event.artifact_update)
    return fold.task


def texts(task: Task) -> list[str]:
    """The text of each artifact."""
    return ["".join(part.text or "" for part in artifact.parts) for artifact in task.artifacts or ()]
