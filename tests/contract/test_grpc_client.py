"""The gRPC binding of the client: every operation, every error, and agents that mean no good."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import grpc
import pytest

from a2a.client.binding import (
    CANCEL_TASK,
    CREATE_PUSH_CONFIG,
    DELETE_PUSH_CONFIG,
    GET_EXTENDED_CARD,
    GET_PUSH_CONFIG,
    GET_TASK,
    LIST_PUSH_CONFIGS,
    LIST_TASKS,
    SEND_MESSAGE,
    SEND_STREAMING_MESSAGE,
    SUBSCRIBE_TO_TASK,
    Extras,
)
from a2a.errors import (
    WIRE,
    AgentBusy,
    AgentUnreachable,
    AuthenticationFailed,
    AuthenticationUnavailable,
    FieldViolation,
    InternalError,
    InvalidAgentResponse,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    PermissionDenied,
    PermissionRefused,
    ProtocolError,
    ResourceExhausted,
    TaskNotFound,
    TransportError,
    Unauthenticated,
    UnknownRemoteError,
)
from a2a.grpc.client import GrpcBinding
from a2a.grpc.service import SERVICE
from a2a.requests import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    Empty,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.types import Message, Part, TaskState
from tests.support.grpc_agent import ServedGrpc, bound, serving_grpc
from tests.support.waiting import eventually

PLAIN = Extras()
NONE = GetTaskRequest(id="none")
IN_THE_WAY: dict[type[ProtocolError], type[TransportError]] = {
    Unauthenticated: AuthenticationFailed,
    PermissionDenied: PermissionRefused,
    ResourceExhausted: AgentBusy,
    AuthenticationUnavailable: AgentBusy,
}
Behaviour = Callable[[bytes, Any], Awaitable[bytes]]


@pytest.fixture
async def served() -> AsyncIterator[ServedGrpc]:
    async with serving_grpc() as served:
        yield served


@pytest.fixture
async def binding(served: ServedGrpc) -> AsyncIterator[GrpcBinding]:
    async with bound(served.target) as binding:
        yield binding


@asynccontextmanager
async def rogue(behaviour: Behaviour) -> AsyncIterator[str]:
    """A server that answers GetTask as `behaviour` likes; its host and port."""
    server = grpc.aio.server()
    methods: Any = {"GetTask": grpc.unary_unary_rpc_method_handler(behaviour)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def sending(text: str, skill: str = "echo", *, at_once: bool = False) -> SendMessageRequest:
    message = Message.from_user(Part.from_text(text), metadata={"skillId": skill})
    return SendMessageRequest(
        message=message, configuration=SendMessageConfiguration(return_immediately=at_once)
    )


async def test_a_message_is_sent_and_its_task_got_listed_and_canceled(
    served: ServedGrpc, binding: GrpcBinding
) -> None:
    done = (await binding.call(SEND_MESSAGE, sending("hello"), PLAIN)).task
    assert done is not None
    assert done.artifacts is not None
    assert done.artifacts[0].parts[0].text == "hello"
    assert await binding.call(GET_TASK, GetTaskRequest(id=done.id), PLAIN) == done
    waiting = (await binding.call(SEND_MESSAGE, sending("w", "wait", at_once=True), PLAIN)).task
    assert waiting is not None
    page = await binding.call(LIST_TASKS, ListTasksRequest(page_size=10), PLAIN)
    assert ({task.id for task in page.tasks}, page.total_size) == ({done.id, waiting.id}, 2)
    canceled = await binding.call(CANCEL_TASK, CancelTaskRequest(id=waiting.id), PLAIN)
    assert canceled.status.state is TaskState.CANCELED


async def test_a_task_is_streamed_and_followed(served: ServedGrpc, binding: GrpcBinding) -> None:
    async with aclosing(binding.stream(SEND_STREAMING_MESSAGE, sending("s", "wait"), PLAIN)) as events:
        first, _ = await anext(events)
        assert first.task is not None
        request = SubscribeToTaskRequest(id=first.task.id)
        async with aclosing(binding.stream(SUBSCRIBE_TO_TASK, request, PLAIN)) as others:
            assert (await anext(others))[0].task is not None
            served.script.go["s"].open()
            last = [event async for event, _ in others][-1].status_update
            assert last is not None
            assert last.status.state is TaskState.COMPLETED
        assert [event async for event, _ in events][-1].status_update == last


async def test_push_configs_and_the_extended_card_are_read(served: ServedGrpc, binding: GrpcBinding) -> None:
    config = TaskPushNotificationConfig(id="c", task_id="t", url="https://example.org/hook")
    page = ListTaskPushNotificationConfigsResponse(configs=[config])
    served.operations.canned |= {
        CREATE_PUSH_CONFIG.name: config,
        GET_PUSH_CONFIG.name: config,
        LIST_PUSH_CONFIGS.name: page,
        DELETE_PUSH_CONFIG.name: Empty(),
    }
    got = GetTaskPushNotificationConfigRequest(task_id="t", id="c")
    gone = DeleteTaskPushNotificationConfigRequest(task_id="t", id="c")
    assert await binding.call(CREATE_PUSH_CONFIG, config, PLAIN) == config
    assert await binding.call(GET_PUSH_CONFIG, got, PLAIN) == config
    listing = ListTaskPushNotificationConfigsRequest(task_id="t")
    assert await binding.call(LIST_PUSH_CONFIGS, listing, PLAIN) == page
    assert await binding.call(DELETE_PUSH_CONFIG, gone, PLAIN) == Empty()
    card = await binding.call(GET_EXTENDED_CARD, GetExtendedAgentCardRequest(), PLAIN)
    assert card.name == "Scripted"


@pytest.mark.parametrize("kind", [kind for kind in WIRE if kind not in IN_THE_WAY])
async def test_an_error_comes_back_as_its_class(
    served: ServedGrpc, binding: GrpcBinding, kind: type[ProtocolError]
) -> None:
    served.operations.canned["GetTask"] = kind("Said.")
    reads_as = kind if WIRE[kind].reason or kind in (MethodNotFound, InternalError) else InvalidParams
    with pytest.raises(ProtocolError) as caught:
        await binding.call(GET_TASK, NONE, PLAIN)
    assert (type(caught.value), caught.value.detail) == (reads_as, "Said.")


@pytest.mark.parametrize(("kind", "reads_as"), IN_THE_WAY.items())
async def test_what_stands_in_the_way_of_a_call_is_a_transport_error(
    served: ServedGrpc, binding: GrpcBinding, kind: type[ProtocolError], reads_as: type[Exception]
) -> None:
    served.operations.canned["GetTask"] = kind()
    with pytest.raises(reads_as):
        await binding.call(GET_TASK, NONE, PLAIN)


async def test_the_challenge_of_a_refusal_is_kept(served: ServedGrpc, binding: GrpcBinding) -> None:
    served.operations.canned["GetTask"] = Unauthenticated(challenge='Bearer realm="a2a"')
    with pytest.raises(AuthenticationFailed) as caught:
        await binding.call(GET_TASK, NONE, PLAIN)
    assert caught.value.challenge == 'Bearer realm="a2a"'


async def test_violations_arrive(served: ServedGrpc, binding: GrpcBinding) -> None:
    violations = (FieldViolation("message.parts", "too few"),)
    served.operations.canned["GetTask"] = InvalidParams(violations=violations)
    with pytest.raises(InvalidParams) as caught:
        await binding.call(GET_TASK, NONE, PLAIN)
    assert caught.value.violations == violations


async def test_an_agent_that_is_not_there_cannot_have_got_the_call() -> None:
    async with serving_grpc() as gone:
        target = gone.target
    async with bound(target) as binding:
        with pytest.raises(AgentUnreachable) as caught:
            await binding.call(GET_TASK, NONE, PLAIN)
    assert not caught.value.may_have_arrived


async def test_an_agent_that_came_back_is_found_again() -> None:
    async with AsyncExitStack() as first:
        served = await first.enter_async_context(serving_grpc(grace_s=0))
        async with bound(served.target) as binding:
            await binding.call(LIST_TASKS, ListTasksRequest(), PLAIN)
            await first.aclose()
            with pytest.raises(AgentUnreachable):
                await binding.call(LIST_TASKS, ListTasksRequest(), PLAIN)
            async with serving_grpc(port=served.port):
                await binding.call(LIST_TASKS, ListTasksRequest(), PLAIN)


async def test_a_stream_that_the_agent_cuts_may_have_arrived() -> None:
    async with AsyncExitStack() as first:
        served = await first.enter_async_context(serving_grpc(grace_s=0))
        async with bound(served.target) as binding:
            events = binding.stream(SEND_STREAMING_MESSAGE, sending("x", "wait"), PLAIN)
            await anext(events)
            await first.aclose()
            with pytest.raises(AgentUnreachable) as caught:
                [event async for event in events]
    assert caught.value.may_have_arrived


async def test_a_call_whose_binding_is_closed_is_unreachable_and_not_canceled(
    served: ServedGrpc, binding: GrpcBinding
) -> None:
    calling = asyncio.create_task(binding.call(SEND_MESSAGE, sending("c", "wait"), PLAIN))
    await served.script.started["c"].wait()
    await binding.close()
    with pytest.raises(AgentUnreachable):
        await calling


async def test_a_caller_that_gives_up_is_canceled(served: ServedGrpc, binding: GrpcBinding) -> None:
    calling = asyncio.create_task(binding.call(SEND_MESSAGE, sending("c", "wait"), PLAIN))
    await served.script.started["c"].wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_a_stream_that_is_closed_is_no_longer_followed(
    served: ServedGrpc, binding: GrpcBinding
) -> None:
    async with aclosing(binding.stream(SEND_STREAMING_MESSAGE, sending("s", "wait"), PLAIN)) as events:
        await anext(events)
        assert served.is_followed
    await eventually(lambda: not served.is_followed)


async def test_an_agent_over_its_limit_is_busy() -> None:
    async with (
        serving_grpc(max_calls=1) as served,
        bound(served.target) as binding,
        aclosing(binding.stream(SEND_STREAMING_MESSAGE, sending("s", "wait"), PLAIN)) as events,
    ):
        await anext(events)
        with pytest.raises(AgentBusy):
            await binding.call(LIST_TASKS, ListTasksRequest(), PLAIN)


async def test_a_request_that_is_too_large_for_the_agent_says_so() -> None:
    async with serving_grpc(max_request_bytes=10_000) as served, bound(served.target) as binding:
        with pytest.raises(InvalidRequest):
            await binding.call(SEND_MESSAGE, sending("x" * 20_000), PLAIN)


async def test_a_request_that_protobuf_has_no_way_to_say_is_not_sent(binding: GrpcBinding) -> None:
    request = CancelTaskRequest(id="t", metadata={"n": 10**400})
    with pytest.raises(InvalidParams):
        await binding.call(CANCEL_TASK, request, PLAIN)


async def test_headers_travel_as_metadata() -> None:
    seen: dict[str, Any] = {}

    async def behaviour(_body: bytes, rpc: Any) -> bytes:
        seen.update(rpc.invocation_metadata())
        raise RuntimeError

    extensions = ["https://e/1", "https://e/2"]
    authorized = {"Authorization": "Bearer t"}
    async with (
        rogue(behaviour) as url,
        bound(url, headers=authorized, extensions=extensions) as binding,
    ):
        with pytest.raises(UnknownRemoteError):
            await binding.call(GET_TASK, NONE, Extras(headers={"X-Request-Id": "7"}))
    expected = {"authorization": "Bearer t", "x-request-id": "7", "a2a-version": "1.0"}
    assert expected.items() <= seen.items()
    assert seen["a2a-extensions"] == "https://e/1,https://e/2"


@pytest.mark.parametrize("headers", [{"X-Name": "ü"}, {"X-Name": "a\r\nb: c"}, {"ü": "x"}])
async def test_headers_that_metadata_cannot_carry_are_refused(
    binding: GrpcBinding, headers: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequest):
        await binding.call(GET_TASK, NONE, Extras(headers=headers))


@pytest.mark.parametrize(
    "answer", [b"\xff\xff", b"", b"\x0a\x01t\x1a\x02\x08\x63"], ids=["bytes", "empty", "state"]
)
async def test_an_answer_that_is_no_task_is_invalid(answer: bytes) -> None:
    async def behaviour(_body: bytes, _rpc: Any) -> bytes:
        return answer

    async with rogue(behaviour) as url, bound(url) as binding:
        with pytest.raises(InvalidAgentResponse):
            await binding.call(GET_TASK, NONE, PLAIN)


@pytest.mark.parametrize(
    ("code", "reads_as"),
    [
        (grpc.StatusCode.NOT_FOUND, TaskNotFound),
        (grpc.StatusCode.DATA_LOSS, UnknownRemoteError),
        (grpc.StatusCode.UNAVAILABLE, AgentUnreachable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, TimeoutError),
    ],
)
async def test_a_status_without_readable_details_is_read_by_its_code(
    code: grpc.StatusCode, reads_as: type[Exception]
) -> None:
    async def behaviour(_body: bytes, rpc: Any) -> bytes:
        await rpc.abort(code, "x" * 3_000, (("grpc-status-details-bin", b"\xff\xff"),))
        return b""

    async with rogue(behaviour) as url, bound(url) as binding:
        with pytest.raises(reads_as) as caught:
            await binding.call(GET_TASK, NONE, PLAIN)
    assert len(str(caught.value)) <= 2_000
