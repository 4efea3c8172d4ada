"""The eleven operations, the same over each binding of each version."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import ClassVar

import httpx
import pytest

from a2a.card_types import AgentInterface
from a2a.client import A2AClient, Retries
from a2a.client.binding import Extras, Heard, Operation, RequestT, ResultT
from a2a.errors import CardRefused, UnsupportedOperation
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
from tests.support.scripted_peer import (
    BINDINGS,
    Events,
    Json,
    Peer,
    artifact,
    artifact_update,
    card,
    status_update,
    task,
)

AT_ONCE = Retries(first_pause_s=0, last_pause_s=0)
CONFIG = {"id": "p", "taskId": "t", "url": "http://me.test/hook", "token": "secret"}


@pytest.fixture(params=BINDINGS, ids="-".join)
def peer(request: pytest.FixtureRequest) -> Peer:
    binding, version = request.param
    return Peer(binding, version)


@pytest.fixture
def client(peer: Peer) -> A2AClient:
    return A2AClient(peer.http, peer.interface, retries=AT_ONCE)


def sent(*parts: Part, at_once: bool = False) -> SendMessageRequest:
    message = Message.from_user(*(parts or (Part.from_text("hi"),)), message_id="m")
    return SendMessageRequest(
        message=message, configuration=SendMessageConfiguration(return_immediately=at_once)
    )


def said(params: Json) -> Json:
    """The message, wherever 0.3's REST has its parts."""
    message = dict(params["message"])
    message["parts"] = message.pop("content", message.get("parts"))
    return message


async def test_a_message_brings_the_task(client: A2AClient, peer: Peer) -> None:
    peer.script["SendMessage"] = {"task": task("COMPLETED", artifacts=[artifact("done")])}
    answer = await client.send_message(sent(), timeout_s=5)

    assert isinstance(answer, Task)
    assert (answer.id, answer.context_id, answer.status.state) == ("t", "c", TaskState.COMPLETED)
    assert [part.text for item in answer.artifacts or [] for part in item.parts] == ["done"]
    [(operation, params)] = peer.asked
    assert operation == "SendMessage"
    assert said(params)["messageId"] == "m"
    assert said(params)["role"] == "ROLE_USER"
    assert [part["text"] for part in said(params)["parts"]] == ["hi"]


async def test_a_message_may_bring_a_message(client: A2AClient, peer: Peer) -> None:
    answered = {"messageId": "r", "role": "ROLE_AGENT", "parts": [{"text": "hello"}, {"data": {"a": [1]}}]}
    peer.script["SendMessage"] = {"message": answered}
    answer = await client.send_message(sent(), timeout_s=5)

    assert isinstance(answer, Message)
    assert (answer.parts[0].text, answer.parts[1].data) == ("hello", {"a": [1]})


@pytest.mark.parametrize("at_once", [False, True])
async def test_whether_to_wait_is_said(client: A2AClient, peer: Peer, at_once: bool) -> None:
    """3.2.2"""
    peer.script["SendMessage"] = {"task": task()}
    await client.send_message(sent(at_once=at_once), timeout_s=5)

    configuration = peer.asked[0][1]["configuration"]
    if (peer.binding, peer.version) == ("HTTP+JSON", "0.3"):
        assert configuration["blocking"] is not at_once
    else:
        assert configuration["returnImmediately"] is at_once


async def test_a_stream_brings_each_event(client: A2AClient, peer: Peer) -> None:
    events = [
        {"task": task("SUBMITTED")},
        status_update("WORKING"),
        artifact_update("one ", append=False),
        artifact_update("two"),
        status_update("COMPLETED"),
    ]
    peer.script["SendStreamingMessage"] = Events(events)
    got = [event async for event in client.stream_message(sent(), timeout_s=5)]

    assert [next(iter(event.to_json())) for event in got] == [next(iter(event)) for event in events]
    assert got[3].artifact_update is not None
    assert (got[3].artifact_update.append, got[3].artifact_update.artifact.parts[0].text) == (True, "two")
    assert peer.count("SubscribeToTask") == peer.count("GetTask") == 0


async def test_a_stream_may_bring_one_message(client: A2AClient, peer: Peer) -> None:
    answered = {"messageId": "r", "role": "ROLE_AGENT", "parts": [{"text": "hello"}]}
    peer.script["SendStreamingMessage"] = Events([{"message": answered}], hangs=True)
    [event] = [event async for event in client.stream_message(sent(), timeout_s=5)]

    assert event.message is not None


async def test_a_stream_ends_with_a_question(client: A2AClient, peer: Peer) -> None:
    events = [{"task": task()}, status_update("INPUT_REQUIRED")]
    peer.script["SendStreamingMessage"] = Events(events)
    got = [event async for event in client.stream_message(sent(), timeout_s=5)]

    assert len(got) == 2
    assert [operation for operation, _ in peer.asked] == ["SendStreamingMessage"]


async def test_a_task_is_got_with_the_history_that_is_wanted(client: A2AClient, peer: Peer) -> None:
    peer.script["GetTask"] = task("WORKING", "a b/c")
    got = await client.get_task(GetTaskRequest(id="a b/c", history_length=3), timeout_s=5)

    assert got.id == "a b/c"
    params = peer.asked[0][1]
    assert (params["id"], int(params["historyLength"])) == ("a b/c", 3)


async def test_tasks_are_listed(client: A2AClient, peer: Peer) -> None:
    """3.1.4; 0.3 has no such operation that agents serve."""
    peer.script["ListTasks"] = {"tasks": [task()], "nextPageToken": "n", "pageSize": 50, "totalSize": 9}
    after = datetime(2026, 1, 2, tzinfo=UTC)
    request = ListTasksRequest(
        context_id="c&d", status=TaskState.WORKING, status_timestamp_after=after, include_artifacts=True
    )
    if peer.is_v03:
        with pytest.raises(UnsupportedOperation):
            await client.list_tasks(request, timeout_s=5)
        return
    listed = await client.list_tasks(request, timeout_s=5)

    assert ([item.id for item in listed.tasks], listed.next_page_token, listed.total_size) == (["t"], "n", 9)
    params = peer.asked[0][1]
    assert (params["contextId"], params["status"]) == ("c&d", "TASK_STATE_WORKING")
    assert params["statusTimestampAfter"] == "2026-01-02T00:00:00.000Z"
    assert params["includeArtifacts"] in (True, "true")


async def test_a_task_is_canceled(client: A2AClient, peer: Peer) -> None:
    peer.script["CancelTask"] = task("CANCELED")

    assert (
        await client.cancel_task(CancelTaskRequest(id="t"), timeout_s=5)
    ).status.state is TaskState.CANCELED
    assert peer.asked[0][1]["id"] == "t"


async def test_a_subscription_begins_with_the_task(client: A2AClient, peer: Peer) -> None:
    """3.1.6; from 0.3 it is had by asking for it."""
    tail = [status_update("WORKING"), status_update("COMPLETED")]
    peer.script["SubscribeToTask"] = Events(tail if peer.is_v03 else [{"task": task("SUBMITTED")}, *tail])
    states = ["COMPLETED", "SUBMITTED"]
    peer.script["GetTask"] = lambda _params: task(states.pop() if len(states) > 1 else states[0])
    request = SubscribeToTaskRequest(id="t")
    got = [event async for event in client.subscribe(request, timeout_s=5)]

    assert got[0].task is not None
    assert got[-1].status_update is not None
    assert got[-1].status_update.status.state is TaskState.COMPLETED


async def test_a_push_config_is_made(client: A2AClient, peer: Peer) -> None:
    peer.script["CreateTaskPushNotificationConfig"] = CONFIG
    made = await client.create_push_config(TaskPushNotificationConfig.model_validate(CONFIG), timeout_s=5)

    assert (made.id, made.task_id, made.url, made.token) == ("p", "t", CONFIG["url"], "secret")


async def test_a_push_config_is_got(client: A2AClient, peer: Peer) -> None:
    peer.script["GetTaskPushNotificationConfig"] = CONFIG
    got = await client.get_push_config(GetTaskPushNotificationConfigRequest(task_id="t", id="p"), timeout_s=5)

    assert (got.id, got.url) == ("p", CONFIG["url"])
    assert (peer.asked[0][1]["taskId"], peer.asked[0][1]["id"]) == ("t", "p")


async def test_push_configs_are_listed(client: A2AClient, peer: Peer) -> None:
    peer.script["ListTaskPushNotificationConfigs"] = {"configs": [CONFIG]}
    listed = await client.list_push_configs(ListTaskPushNotificationConfigsRequest(task_id="t"), timeout_s=5)

    assert [(config.id, config.url) for config in listed.configs] == [("p", CONFIG["url"])]


@pytest.mark.parametrize("empty", [False, True])
async def test_a_push_config_is_deleted(client: A2AClient, peer: Peer, empty: bool) -> None:
    is_rest = peer.binding == "HTTP+JSON"
    peer.script["DeleteTaskPushNotificationConfig"] = httpx.Response(204) if empty and is_rest else {}
    await client.delete_push_config(DeleteTaskPushNotificationConfigRequest(task_id="t", id="p"), timeout_s=5)

    assert (peer.asked[0][1]["taskId"], peer.asked[0][1]["id"]) == ("t", "p")


async def test_a_result_of_null_may_be_left_out_by_0_3() -> None:
    """As a2a-sdk 0.3.26 does where it has deleted a push config."""
    peer = Peer("JSONRPC", "0.3")
    peer.script["DeleteTaskPushNotificationConfig"] = httpx.Response(200, json={"jsonrpc": "2.0", "id": 1})
    request = DeleteTaskPushNotificationConfigRequest(task_id="t", id="p")

    await A2AClient(peer.http, peer.interface).delete_push_config(request, timeout_s=5)


async def test_the_extended_card_is_got(client: A2AClient, peer: Peer) -> None:
    listed = [
        {"url": "http://agent.test/a2a", "protocolBinding": peer.binding, "protocolVersion": peer.version}
    ]
    peer.script["GetExtendedAgentCard"] = card(name="Extended", supportedInterfaces=listed)

    assert (await client.get_extended_card(timeout_s=5)).name == "Extended"


async def test_bytes_travel_both_ways_unchanged(client: A2AClient, peer: Peer) -> None:
    raw = bytes(range(256))
    peer.script["SendMessage"] = {"task": task()}
    await client.send_message(sent(Part.from_bytes(raw, "image/png", filename="a.png")), timeout_s=5)

    [part] = said(peer.asked[0][1])["parts"]
    if (peer.binding, peer.version) == ("HTTP+JSON", "0.3"):
        assert (part["file"]["mimeType"], part["file"]["name"]) == ("image/png", "a.png")
    else:
        assert Part.model_validate(part).raw == raw


async def test_the_version_and_the_extensions_are_declared(peer: Peer) -> None:
    """3.6.1, 3.2.6; 0.3 has no version header, and another name for the extensions."""
    peer.script["GetTask"] = task()
    client = A2AClient(peer.http, peer.interface, extensions=["urn:a", "urn:b"])
    await client.get_task(GetTaskRequest(id="t"), timeout_s=5)
    await client.get_task(GetTaskRequest(id="t"), timeout_s=5, headers={"A2A-Extensions": "urn:c"})

    first, second = (request.headers for request in peer.wire.requests)
    name = "x-a2a-extensions" if peer.is_v03 else "a2a-extensions"
    assert first.get("a2a-version") == (None if peer.is_v03 else "1.0")
    assert (first[name], second[name]) == ("urn:a,urn:b", "urn:c")


async def test_the_trace_goes_with_each_request(peer: Peer) -> None:
    numbers = iter("ab")
    peer.script["GetTask"] = task()
    client = A2AClient(peer.http, peer.interface, trace=lambda: {"traceparent": next(numbers)})
    for _ in range(2):
        await client.get_task(GetTaskRequest(id="t"), timeout_s=5)

    assert [request.headers["traceparent"] for request in peer.wire.requests] == ["a", "b"]


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_tenant_of_the_interface_goes_with_each_request(binding: str) -> None:
    """8.3.2"""
    peer = Peer(binding, "1.0", tenant="acme")
    client = A2AClient(peer.http, peer.interface)
    peer.script |= {"GetTask": task(), "SendMessage": {"task": task()}, "GetExtendedAgentCard": card()}
    await client.get_task(GetTaskRequest(id="t", tenant="another"), timeout_s=5)
    await client.send_message(sent(), timeout_s=5)
    await client.get_extended_card(timeout_s=5)

    assert [params["tenant"] for _, params in peer.asked] == ["acme"] * 3


@pytest.mark.parametrize("refusal", [404, 405])
async def test_an_agent_that_subscribes_by_get_is_understood(refusal: int) -> None:
    """11.3 says POST in its prose, and the normative proto GET."""
    peer = Peer("HTTP+JSON", "1.0")
    verbs = []

    def subscribe(_params: Json) -> Events | httpx.Response:
        verbs.append(peer.wire.requests[-1].method)
        if verbs[-1] == "POST":
            return httpx.Response(refusal, json={"detail": "no"})
        return Events([{"task": task("SUBMITTED")}, status_update("COMPLETED")])

    peer.script["SubscribeToTask"] = subscribe
    client = A2AClient(peer.http, peer.interface, retries=AT_ONCE)
    for _ in range(2):
        got = [event async for event in client.subscribe(SubscribeToTaskRequest(id="t"), timeout_s=5)]
        assert len(got) == 2

    assert verbs == ["POST", "GET", "GET"], "it is remembered"


class EveryTask:
    """A binding that is none of ours, as gRPC's is."""

    url = "agent.test:443"
    sends_task_first: ClassVar[bool] = True

    async def call(
        self, operation: Operation[RequestT, ResultT], request: RequestT, extras: Extras
    ) -> ResultT:
        content = task(task_id=request.to_json()["id"], metadata=dict(extras.headers))
        return operation.result.model_validate(content)

    async def stream(
        self, operation: Operation[RequestT, StreamResponse], request: RequestT, extras: Extras
    ) -> AsyncGenerator[Heard]:
        yield StreamResponse.model_validate({"task": task("COMPLETED")}), False


async def test_a_binding_of_another_kind_serves_the_same_client() -> None:
    interface = AgentInterface(url="agent.test:443", protocol_binding="GRPC", protocol_version="1.0")
    async with httpx.AsyncClient() as http:
        client = A2AClient(http, interface, binding=EveryTask())
        got = await client.get_task(GetTaskRequest(id="x"), timeout_s=5, headers={"a": "b"})
        streamed = [event async for event in client.stream_message(sent(), timeout_s=5)]

    assert (got.id, got.metadata, len(streamed)) == ("x", {"a": "b"}, 1)


async def test_an_interface_that_no_binding_speaks_is_refused() -> None:
    interface = AgentInterface(url="agent.test:443", protocol_binding="GRPC", protocol_version="1.0")
    async with httpx.AsyncClient() as http:
        with pytest.raises(CardRefused, match=r"GRPC 1.0 is not spoken"):
            A2AClient(http, interface)
