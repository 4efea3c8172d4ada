"""Every error of the protocol, over each binding of each version, is its own class at the client."""

import json

import httpx
import pytest

from a2a.client import ONE_TRY, A2AClient
from a2a.errors import (
    WIRE,
    A2AError,
    AgentBusy,
    AgentHttpError,
    AuthenticationFailed,
    AuthenticationUnavailable,
    ContentTypeNotSupported,
    ExtensionSupportRequired,
    FieldViolation,
    InternalError,
    InvalidAgentResponse,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    ParseError,
    PermissionDenied,
    PermissionRefused,
    ProtocolError,
    ResourceExhausted,
    TaskNotCancelable,
    TaskNotFound,
    Unauthenticated,
    UnsupportedOperation,
    VersionNotSupported,
)
from a2a.requests import (
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a.types import Message, Part
from tests.support.scripted_peer import BINDINGS, Answer, Events, Peer, status_update, task
from tests.support.scripted_wire import event_stream

# What a status says as well is said by the same class, however it comes.
AS_TRANSPORT: dict[type[ProtocolError], type[A2AError]] = {
    Unauthenticated: AuthenticationFailed,
    PermissionDenied: PermissionRefused,
    ResourceExhausted: AgentBusy,
    AuthenticationUnavailable: AgentBusy,
}
# JSON-RPC's own errors have no reason: on HTTP+JSON the status is all there is.
WITHOUT_REASON: dict[type[ProtocolError], type[A2AError]] = {
    ParseError: InvalidParams,
    InvalidRequest: InvalidParams,
    MethodNotFound: UnsupportedOperation,
}
# What 0.3 has no code for, a server of 0.3 says it does not support.
NOT_IN_V03: tuple[type[ProtocolError], ...] = (ExtensionSupportRequired, VersionNotSupported)
# The reference server of 0.3 says the status and a sentence.
BY_V03_STATUS: dict[int, type[A2AError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: PermissionRefused,
    404: TaskNotFound,
    409: TaskNotCancelable,
    415: ContentTypeNotSupported,
    429: AgentBusy,
    503: AgentBusy,
    500: InternalError,
    501: UnsupportedOperation,
    502: InvalidAgentResponse,
}
SENT = SendMessageRequest(message=Message.from_user(Part.from_text("hi")))


@pytest.fixture(params=BINDINGS, ids="-".join)
def peer(request: pytest.FixtureRequest) -> Peer:
    binding, version = request.param
    return Peer(binding, version)


async def error_of(peer: Peer, answer: Answer) -> A2AError:
    peer.script["GetTask"] = answer
    client = A2AClient(peer.http, peer.interface, retries=ONE_TRY)
    with pytest.raises(A2AError) as raised:
        await client.get_task(GetTaskRequest(id="t"), timeout_s=5)
    return raised.value


@pytest.mark.parametrize("error", WIRE, ids=lambda error: error.__name__)
async def test_an_error_is_its_class(error: type[ProtocolError], peer: Peer) -> None:
    """5.4. 0.3's REST says the status alone, so there only what that tells is known."""
    raised = await error_of(peer, error("what the agent said"))

    if (peer.binding, peer.version) == ("HTTP+JSON", "0.3"):
        assert type(raised) is BY_V03_STATUS[peer._error(error("x"), None).status_code]
        return
    expected = AS_TRANSPORT.get(error, error)
    if peer.binding == "HTTP+JSON":
        expected = WITHOUT_REASON.get(error, expected)
    if peer.is_v03 and error in NOT_IN_V03:
        expected = UnsupportedOperation
    assert type(raised) is expected
    if isinstance(raised, ProtocolError):
        assert raised.detail == "what the agent said"


@pytest.mark.parametrize("operation", ["SendStreamingMessage", "SubscribeToTask"])
async def test_an_error_before_a_stream_is_its_class(operation: str, peer: Peer) -> None:
    peer.script[operation] = peer.script["GetTask"] = TaskNotFound("gone")
    client = A2AClient(peer.http, peer.interface)

    if operation == "SubscribeToTask":
        events = client.subscribe(SubscribeToTaskRequest(id="t"), timeout_s=5)
    else:
        events = client.stream_message(SENT, timeout_s=5)
    with pytest.raises(TaskNotFound, match="gone"):
        await anext(events)


async def test_a_status_says_more_than_any_body(peer: Peer) -> None:
    assert type(await error_of(peer, httpx.Response(403, html="<b>"))) is PermissionRefused
    refused = await error_of(peer, httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="a"'}))

    assert isinstance(refused, AuthenticationFailed)
    assert (refused.challenge, refused.may_have_arrived) == ('Bearer realm="a"', False)


def rest_status(http: int, **error: object) -> httpx.Response:
    return httpx.Response(http, json={"error": {"code": http, "message": "m", **error}})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (rest_status(409), TaskNotCancelable),
        (rest_status(409, status="FAILED_PRECONDITION"), TaskNotCancelable),
        (rest_status(415, status="INVALID_ARGUMENT"), ContentTypeNotSupported),
        (rest_status(502), InvalidAgentResponse),
        (rest_status(404, status="NOT_FOUND"), TaskNotFound),
        (rest_status(400, status="INVALID_ARGUMENT"), InvalidParams),
        (rest_status(400, status="FAILED_PRECONDITION"), UnsupportedOperation),
        (rest_status(501, status="UNIMPLEMENTED"), UnsupportedOperation),
        (rest_status(500, status=7, details="x"), InternalError),
        (rest_status(400, details=[None, {"@type": 1}, {"reason": "TASK_NOT_FOUND"}]), InvalidParams),
        (rest_status(418), AgentHttpError),
        (httpx.Response(404, json={"detail": "Not Found"}), AgentHttpError),
        (httpx.Response(400, json={"error": "bad"}), AgentHttpError),
        (httpx.Response(500, json=[]), AgentHttpError),
        (httpx.Response(502, html="<h1>"), AgentHttpError),
        (httpx.Response(400, content=b"{", headers={"Content-Type": "application/json"}), AgentHttpError),
    ],
)
async def test_a_rest_error_without_a_reason_is_read_by_its_status(
    answer: httpx.Response, error: type[A2AError]
) -> None:
    """11.6; 409, 415 and 502 are those of v1.0.0."""
    assert type(await error_of(Peer("HTTP+JSON", "1.0"), answer)) is error


async def test_a_reason_says_more_than_the_status() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "TASK_NOT_CANCELABLE"}]

    assert isinstance(
        await error_of(Peer("HTTP+JSON", "1.0"), rest_status(404, status="NOT_FOUND", details=details)),
        TaskNotCancelable,
    )


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_fields_that_are_wrong_are_named(binding: str) -> None:
    """9.5"""
    violations = [FieldViolation("id", "is empty")]
    raised = await error_of(Peer(binding, "1.0"), InvalidParams("bad", violations=violations))

    assert isinstance(raised, InvalidParams)
    assert raised.violations == (FieldViolation("id", "is empty"),)


async def test_an_error_within_a_rest_stream_is_its_class() -> None:
    peer = Peer("HTTP+JSON", "1.0")
    error = {"error": {"code": 500, "status": "INTERNAL", "message": "died"}}
    peer.script["SendStreamingMessage"] = Events([{"task": task()}, error])
    events = A2AClient(peer.http, peer.interface).stream_message(SENT, timeout_s=5)
    await anext(events)

    with pytest.raises(InternalError, match="died"):
        await anext(events)


@pytest.mark.parametrize(
    "content", [{}, [], {"id": 7}, {"status": {}}, {"task": task()}, "x", None], ids=repr
)
async def test_an_answer_of_the_wrong_shape_is_refused(content: object, peer: Peer) -> None:
    body: object = content
    if peer.binding == "JSONRPC":
        body = {"jsonrpc": "2.0", "id": 1, "result": content}

    assert isinstance(await error_of(peer, httpx.Response(200, json=body)), InvalidAgentResponse)


@pytest.mark.parametrize("content", [{}, [], "x", {"task": 7}, {"statusUpdate": {"taskId": "t"}}], ids=repr)
async def test_an_event_of_the_wrong_shape_is_refused(content: object, peer: Peer) -> None:
    event = content if not peer.is_v03 or peer.binding == "HTTP+JSON" else {"kind": "task", "x": content}
    body = {"jsonrpc": "2.0", "id": 1, "result": event} if peer.binding == "JSONRPC" else event
    peer.script["SendStreamingMessage"] = event_stream([json.dumps(body).encode()])
    client = A2AClient(peer.http, peer.interface)

    with pytest.raises(InvalidAgentResponse):
        await anext(client.stream_message(SENT, timeout_s=5))


@pytest.mark.parametrize("answer", [{"task": task()}, status_update("WORKING")])
async def test_an_answer_where_a_stream_was_asked_for_is_refused(
    answer: dict[str, object], peer: Peer
) -> None:
    content = answer if peer.binding == "HTTP+JSON" else {"jsonrpc": "2.0", "id": 1, "result": answer}
    peer.script["SendStreamingMessage"] = httpx.Response(200, json=content)

    with pytest.raises(InvalidAgentResponse, match="no stream came"):
        await anext(A2AClient(peer.http, peer.interface).stream_message(SENT, timeout_s=5))


async def test_a_push_config_without_its_task_is_refused_before_it_is_sent() -> None:
    peer = Peer("HTTP+JSON", "1.0")
    request = GetTaskPushNotificationConfigRequest.model_construct(task_id="", id="p")

    with pytest.raises(InvalidParams):
        await A2AClient(peer.http, peer.interface).get_push_config(request, timeout_s=5)
    assert peer.wire.requests == []
