"""The gRPC server as the specification has it (section 10), seen by a client of generated messages."""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from a2a.card_types import AgentExtension
from a2a.errors import (
    ERROR_DOMAIN,
    WIRE,
    FieldViolation,
    InvalidParams,
    ProtocolError,
    TaskNotFound,
    UnknownRemoteError,
)
from a2a.grpc.generated import a2a_pb2
from a2a.grpc.service import SERVICE
from a2a.requests import SendMessageRequest, TaskPushNotificationConfig
from a2a.server.gate import Gate
from a2a.server.operations import validated
from a2a.server.security import ApiKey, Authenticator
from a2a.types import Json, Task, TaskState, TaskStatus
from tests.support.grpc_agent import VERSION, RawGrpc, ServedGrpc, said, serving_grpc
from tests.support.scripted_agent import PNG, SECRET
from tests.support.waiting import eventually

EXTENSION = "https://example.org/receipts/v1"


@pytest.fixture
async def served() -> AsyncIterator[ServedGrpc]:
    async with serving_grpc() as served:
        yield served


@pytest.fixture
async def raw(served: ServedGrpc) -> AsyncIterator[RawGrpc]:
    async with grpc.aio.insecure_channel(served.target) as channel:
        yield RawGrpc(channel)


async def test_a_message_is_answered_with_its_task_at_its_end(raw: RawGrpc) -> None:
    """3.1.1, 3.2.2"""
    answer = await raw.call("SendMessage", said("hello"))
    assert answer.WhichOneof("payload") == "task"
    task = answer.task
    assert (task.status.state, task.artifacts[0].parts[0].text) == (a2a_pb2.TASK_STATE_COMPLETED, "hello")
    assert task.context_id
    assert task.status.timestamp.seconds > 0


async def test_bytes_travel_as_bytes(raw: RawGrpc) -> None:
    task = (await raw.call("SendMessage", said("part", "output"))).task
    part = task.artifacts[0].parts[0]
    assert (part.raw, part.media_type, part.filename) == (PNG, "image/png", "a.png")


async def test_a_stream_is_the_task_and_then_its_events(raw: RawGrpc) -> None:
    """3.1.2"""
    events = [event async for event in raw.stream("SendStreamingMessage", said("go", "report"))]
    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds[0] == "task"
    assert set(kinds[1:]) == {"status_update", "artifact_update"}
    assert events[-1].status_update.status.state == a2a_pb2.TASK_STATE_COMPLETED


async def test_a_subscriber_gets_the_task_as_it_is_and_follows_it_to_its_end(
    served: ServedGrpc, raw: RawGrpc
) -> None:
    """3.1.6"""
    sending = aiter(raw.stream("SendStreamingMessage", said("s", "wait")))
    task_id = (await anext(sending)).task.id
    await served.script.started["s"].wait()
    following = aiter(raw.stream("SubscribeToTask", a2a_pb2.SubscribeToTaskRequest(id=task_id)))
    first = await anext(following)
    assert first.task.status.state == a2a_pb2.TASK_STATE_WORKING
    served.script.go["s"].open()
    events = [event async for event in following]
    assert events[-1].status_update.status.state == a2a_pb2.TASK_STATE_COMPLETED
    assert [event async for event in sending][-1] == events[-1]


async def test_a_task_can_be_got_listed_and_canceled(served: ServedGrpc, raw: RawGrpc) -> None:
    request = said("c", "wait")
    request.configuration.return_immediately = True
    task_id = (await raw.call("SendMessage", request)).task.id
    got = await raw.call("GetTask", a2a_pb2.GetTaskRequest(id=task_id, history_length=0))
    assert (got.id, len(got.history)) == (task_id, 0)
    page = await raw.call("ListTasks", a2a_pb2.ListTasksRequest())
    assert ([task.id for task in page.tasks], page.page_size, page.total_size) == ([task_id], 50, 1)
    canceled = await raw.call("CancelTask", a2a_pb2.CancelTaskRequest(id=task_id))
    assert canceled.status.state == a2a_pb2.TASK_STATE_CANCELED


async def test_the_extended_card_is_given(raw: RawGrpc) -> None:
    card = await raw.call("GetExtendedAgentCard", a2a_pb2.GetExtendedAgentCardRequest())
    assert (card.name, card.skills[0].id) == ("Scripted", "echo")


async def test_push_configs_are_kept_given_and_deleted(served: ServedGrpc, raw: RawGrpc) -> None:
    """3.1.7 to 3.1.10: what arrives at the operations and what goes back."""
    config = TaskPushNotificationConfig(id="c", task_id="t", url="https://example.org/hook")
    served.operations.canned["CreateTaskPushNotificationConfig"] = config
    sent = a2a_pb2.TaskPushNotificationConfig(task_id="t", url="https://example.org/hook")
    answer = await raw.call("CreateTaskPushNotificationConfig", sent)
    assert (answer.id, answer.task_id) == ("c", "t")
    assert served.operations.seen == {
        "CreateTaskPushNotificationConfig": {"taskId": "t", "url": "https://example.org/hook"}
    }


@pytest.mark.parametrize("kind", [kind for kind in WIRE if kind is not UnknownRemoteError])
async def test_an_error_has_its_status_and_its_reason(
    served: ServedGrpc, raw: RawGrpc, kind: type[ProtocolError]
) -> None:
    """5.4, 10.6"""
    served.operations.canned["GetTask"] = kind("What is wrong: ü.")
    refusal = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id="t"))
    wire = WIRE[kind]
    assert (refusal.code.name, refusal.message) == (wire.grpc_status, "What is wrong: ü.")
    assert refusal.reason == (wire.reason or "")
    assert refusal.domain == (ERROR_DOMAIN if wire.reason else "")


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("GetTask", a2a_pb2.GetTaskRequest(id="none")),
        ("CancelTask", a2a_pb2.CancelTaskRequest(id="none")),
        ("SubscribeToTask", a2a_pb2.SubscribeToTaskRequest(id="none")),
    ],
)
async def test_a_task_that_is_not_there_is_not_found(
    raw: RawGrpc, name: str, request_: a2a_pb2.GetTaskRequest
) -> None:
    refusal = await raw.refusal(name, request_)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")


async def test_an_error_of_a_stream_comes_in_place_of_it(served: ServedGrpc, raw: RawGrpc) -> None:
    served.operations.canned["SendStreamingMessage"] = TaskNotFound()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw.stream("SendStreamingMessage", said("x")).read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("request_", "same"),
    [
        (a2a_pb2.SendMessageRequest(), {}),
        (
            a2a_pb2.SendMessageRequest(
                message=a2a_pb2.Message(message_id="m", parts=[a2a_pb2.Part(media_type="a/b")])
            ),
            {"message": {"messageId": "m", "parts": [{"mediaType": "a/b"}]}},
        ),
        (
            a2a_pb2.SendMessageRequest(
                message=a2a_pb2.Message(
                    message_id="m", role=a2a_pb2.ROLE_USER, parts=[a2a_pb2.Part(text="")]
                ),
                configuration=a2a_pb2.SendMessageConfiguration(history_length=-1),
            ),
            {
                "message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": ""}]},
                "configuration": {"historyLength": -1},
            },
        ),
    ],
    ids=["empty", "parts", "history"],
)
async def test_a_wrong_request_has_the_violations_that_it_has_as_json(
    raw: RawGrpc, request_: a2a_pb2.SendMessageRequest, same: Json
) -> None:
    """5.1: all bindings are equal in their errors."""
    with pytest.raises(InvalidParams) as caught:
        validated(SendMessageRequest, same)
    refusal = await raw.refusal("SendMessage", request_)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.violations == {v.field: v.description for v in caught.value.violations}


async def test_a_flood_of_violations_is_cut_to_what_metadata_can_carry(
    served: ServedGrpc, raw: RawGrpc
) -> None:
    many = [FieldViolation("ü" * 5_000, "ü" * 5_000)] * 20
    served.operations.canned["GetTask"] = InvalidParams("ü" * 50_000, violations=many)
    refusal = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id="t"))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.violations
    packed = refusal.trailing["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    assert len(quote(refusal.message)) + len(b64encode(packed)) < 8_000


@pytest.mark.parametrize("body", [b"\xff\xff", b"\x0a\x05ab"])
async def test_bytes_that_are_no_request_are_an_invalid_argument(raw: RawGrpc, body: bytes) -> None:
    assert (await raw.refusal("SendMessage", body)).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_method_that_is_not_there_is_unimplemented(raw: RawGrpc) -> None:
    refusal = await raw.refusal("DropTasks", a2a_pb2.GetTaskRequest())
    assert refusal.code is grpc.StatusCode.UNIMPLEMENTED


async def test_an_unexpected_error_is_told_by_its_id_only(served: ServedGrpc, raw: RawGrpc) -> None:
    served.operations.canned["GetTask"] = RuntimeError(f"cannot open {SECRET}")
    refusal = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id="t"))
    assert refusal.code is grpc.StatusCode.INTERNAL
    assert refusal.message.startswith("The agent failed; its log has error ")
    assert SECRET not in str(refusal)


async def test_an_answer_that_protobuf_has_no_way_to_say_is_an_internal_error(
    served: ServedGrpc, raw: RawGrpc
) -> None:
    task = Task(id="t", status=TaskStatus(state=TaskState.WORKING), metadata={"n": 10**400})
    served.operations.canned["GetTask"] = task
    refusal = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id="t"))
    assert (refusal.code, "another binding" in refusal.message) == (grpc.StatusCode.INTERNAL, True)


@pytest.mark.parametrize("metadata", [(), (("a2a-version", "0.3"),), (("a2a-version", "1.7"),)])
async def test_a_version_that_is_not_spoken_is_refused(
    raw: RawGrpc, metadata: tuple[tuple[str, str], ...]
) -> None:
    """3.6.2: an absent version means 0.3."""
    refusal = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id="t"), metadata)
    assert (refusal.code.name, refusal.reason) == ("FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED")


async def test_an_extension_that_is_declared_is_activated_and_said_so() -> None:
    """3.2.6, 4.6"""
    gate = Gate([AgentExtension(uri=EXTENSION, required=True)])
    async with serving_grpc(gate) as served, grpc.aio.insecure_channel(served.target) as channel:
        raw = RawGrpc(channel)
        refusal = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id="t"))
        assert refusal.reason == "EXTENSION_SUPPORT_REQUIRED"
        declared = (*VERSION, ("a2a-extensions", f"https://example.org/other, {EXTENSION}"))
        stream = raw.stream("SendStreamingMessage", said("x"), declared)
        assert dict(await stream.initial_metadata())["a2a-extensions"] == EXTENSION
        assert (await stream.read()).WhichOneof("payload") == "task"


async def test_callers_say_who_they_are_and_see_their_own_tasks_only() -> None:
    """7.4, 13.1"""
    keys = {"ann": SecretStr("a" * 20), "bob": SecretStr("b" * 20)}
    gate = Gate(authenticator=Authenticator([ApiKey(keys=keys)]))
    async with serving_grpc(gate) as served, grpc.aio.insecure_channel(served.target) as channel:
        raw = RawGrpc(channel)
        nobody = await raw.refusal("ListTasks", a2a_pb2.ListTasksRequest())
        assert (nobody.code, "www-authenticate" in nobody.trailing) == (grpc.StatusCode.UNAUTHENTICATED, True)
        ann, bob = ((*VERSION, ("x-api-key", key.get_secret_value())) for key in keys.values())
        task_id = (await raw.call("SendMessage", said("mine"), ann)).task.id
        foreign = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id=task_id), bob)
        absent = await raw.refusal("GetTask", a2a_pb2.GetTaskRequest(id="none"), bob)
        assert (foreign.code, foreign.message) == (absent.code, absent.message)


async def test_a_deadline_ends_the_call_and_not_the_task(served: ServedGrpc, raw: RawGrpc) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw.call("SendMessage", said("d", "wait"), timeout_s=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await served.script.started["d"].wait()
    served.script.go["d"].open()
    await served.script.finished["d"].wait()


async def test_a_follower_that_leaves_takes_nothing_from_the_task(served: ServedGrpc, raw: RawGrpc) -> None:
    """3.5.2"""
    stream = raw.stream("SendStreamingMessage", said("l", "wait"))
    await stream.read()
    assert served.is_followed
    stream.cancel()
    await eventually(lambda: not served.is_followed)
    served.script.go["l"].open()
    await served.script.finished["l"].wait()


async def test_a_call_over_the_limit_is_told_that_the_agent_is_busy() -> None:
    async with (
        serving_grpc(max_calls=1) as served,
        grpc.aio.insecure_channel(served.target) as channel,
    ):
        raw = RawGrpc(channel)
        stream = raw.stream("SendStreamingMessage", said("b", "wait"))
        await stream.read()
        refusal = await raw.refusal("ListTasks", a2a_pb2.ListTasksRequest())
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        stream.cancel()


async def test_calls_that_are_under_way_may_finish_when_the_server_ends() -> None:
    async with serving_grpc() as served:
        channel = grpc.aio.insecure_channel(served.target)
        stream = aiter(RawGrpc(channel).stream("SendStreamingMessage", said("g", "wait")))
        await anext(stream)
        served.script.go["g"].open()
    events = [event async for event in stream]
    assert events[-1].status_update.status.state == a2a_pb2.TASK_STATE_COMPLETED
    await channel.close()


async def test_a_port_that_is_taken_is_not_shared(served: ServedGrpc) -> None:
    with pytest.raises(RuntimeError, match="bind"):
        async with serving_grpc(port=served.port):
            pass


@pytest.mark.parametrize("name", ["", SERVICE])
async def test_the_health_of_the_service_can_be_asked(served: ServedGrpc, name: str) -> None:
    async with grpc.aio.insecure_channel(served.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
