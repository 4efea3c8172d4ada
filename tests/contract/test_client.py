"""The client against a server that behaves, and against servers that do not."""

import asyncio
import gzip
import json
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from a2a.client.client import (
    MAX_CARD_BYTES,
    MAX_STREAM_BYTES,
    A2AClient,
    fetch_card,
    json_rpc_url,
    parse_card,
)
from a2a.errors import (
    A2AError,
    AddressRefused,
    AgentBusy,
    AgentHttpError,
    AgentTimeout,
    AgentUnreachable,
    CardRefused,
    InternalError,
    InvalidAgentResponse,
    TaskNotCancelable,
    TaskNotFound,
    UnknownRemoteError,
    VersionNotSupported,
)
from a2a.guard import AddressPolicy, guarded_client
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageConfiguration, SendMessageRequest
from a2a.types import Message, Part, StreamResponse, Task, TaskState
from tests.contract.conftest import ServedAgent
from tests.support.raw_server import (
    Answer,
    answering,
    dribbles,
    response,
    says,
    says_and_hangs,
    says_nothing,
)
from tests.support.scripted_agent import ScriptedAgent

TASK = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def request(text: str, skill: str = "echo", *, at_once: bool = False) -> SendMessageRequest:
    message = Message.from_user(Part.from_text(text), metadata={"skillId": skill})
    return SendMessageRequest(
        message=message, configuration=SendMessageConfiguration(return_immediately=at_once)
    )


def rpc_response(**content: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, **content}).encode()


def sse_chunk(result: Any) -> bytes:
    frame = b"data: " + rpc_response(result=result) + b"\n\n"
    return f"{len(frame):x}\r\n".encode() + frame + b"\r\n"


async def follow(
    client: A2AClient, sent: SendMessageRequest, *, timeout_s: float = 10
) -> list[StreamResponse]:
    return [event async for event in client.stream_message(sent, timeout_s=timeout_s)]


async def error_of(http: httpx.AsyncClient, answer: Answer, *, timeout_s: float = 5) -> A2AError:
    """What a send to such a server raises."""
    async with answering(answer) as url:
        with pytest.raises(A2AError) as raised:
            await A2AClient(http, url).send_message(request("hi"), timeout_s=timeout_s)
    return raised.value


async def stream_error_of(http: httpx.AsyncClient, answer: Answer, *, timeout_s: float = 5) -> A2AError:
    async with answering(answer) as url:
        with pytest.raises(A2AError) as raised:
            await follow(A2AClient(http, url), request("hi"), timeout_s=timeout_s)
    return raised.value


@pytest.fixture
def client(served_agent: ServedAgent, http: httpx.AsyncClient) -> A2AClient:
    return A2AClient(http, served_agent.url)


# A server that behaves


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
    sent.message.parts.append(Part.from_bytes(raw, "application/octet-stream", filename="a.bin"))
    task = await client.send_message(sent, timeout_s=10)

    assert isinstance(task, Task)
    assert (task.history or [])[0].parts[1].raw == raw


async def test_headers_of_the_caller_are_added(http: httpx.AsyncClient, served_agent: ServedAgent) -> None:
    client = A2AClient(http, served_agent.url)

    with pytest.raises(VersionNotSupported):
        await client.send_message(request("hi"), timeout_s=10, headers={"A2A-Version": "9.9"})


# Servers that do not

BROKEN_ANSWERS: dict[str, tuple[Answer, type[A2AError], bool]] = {
    "HTML": (says(response(b"<html>", content_type="text/html")), InvalidAgentResponse, False),
    "half of JSON": (says(response(b'{"jsonrpc":')), InvalidAgentResponse, False),
    "a list": (says(response(b"[]")), InvalidAgentResponse, False),
    "nothing": (says(response(b"")), InvalidAgentResponse, False),
    "no result": (says(response(rpc_response())), InvalidAgentResponse, False),
    "error null": (says(response(rpc_response(error=None))), InvalidAgentResponse, False),
    "error as text": (says(response(rpc_response(error="bad"))), InvalidAgentResponse, False),
    "result null": (says(response(rpc_response(result=None))), InvalidAgentResponse, False),
    "a bare task": (says(response(rpc_response(result=TASK))), InvalidAgentResponse, False),
    "an unknown state": (
        says(response(rpc_response(result={"task": {**TASK, "status": {"state": "DONE"}}}))),
        InvalidAgentResponse,
        False,
    ),
    "an id that is a number": (
        says(response(rpc_response(result={"task": {**TASK, "id": 7}}))),
        InvalidAgentResponse,
        False,
    ),
    "deep JSON": (says(response(b"[" * 100_000)), InvalidAgentResponse, False),
    "no gzip": (
        says(response(b"plain", headers="Content-Encoding: gzip\r\n")),
        InvalidAgentResponse,
        False,
    ),
    "404 HTML": (
        says(response(b"<html>", status="404 Not Found", content_type="text/html")),
        AgentHttpError,
        False,
    ),
    "500 HTML": (says(response(b"oops", status="500 Oops", content_type="text/html")), AgentHttpError, False),
    "500 JSON": (says(response(b'{"detail":"oops"}', status="500 Oops")), AgentHttpError, False),
    "401 JSON": (says(response(b'"who?"', status="401 Unauthorized")), AgentHttpError, False),
    "302": (says(response(b"", status="302 Found", headers="Location: /x\r\n")), AgentHttpError, False),
    "500 with an error object": (
        says(response(rpc_response(error={"code": -32603, "message": "oops"}), status="500 Oops")),
        InternalError,
        False,
    ),
    "an error of unknown code": (
        says(response(rpc_response(error={"code": -31999, "message": "new"}))),
        UnknownRemoteError,
        False,
    ),
    "429": (says(response(b"", status="429 Too Many Requests")), AgentBusy, True),
    "503": (says(response(b"{}", status="503 Service Unavailable")), AgentBusy, True),
    "closed at once": (says(), AgentUnreachable, True),
    "cut in the head": (says(b"HTTP/1.1 200 OK\r\nConte"), AgentUnreachable, True),
    "cut in the body": (says(response(b"x" * 100)[:-50]), AgentUnreachable, True),
    "no HTTP": (says(b"220 smtp.example ESMTP\r\n"), AgentUnreachable, True),
}


@pytest.mark.parametrize(
    ("answer", "error", "is_retryable"), BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS.keys()
)
async def test_a_broken_answer_is_an_error_of_its_kind(
    http: httpx.AsyncClient, answer: Answer, error: type[A2AError], is_retryable: bool
) -> None:
    raised = await error_of(http, answer)

    assert (type(raised), raised.is_retryable) == (error, is_retryable)


@pytest.mark.parametrize(
    ("answer", "error", "is_retryable"), BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS.keys()
)
async def test_a_broken_answer_to_a_stream_is_the_same_error(
    http: httpx.AsyncClient, answer: Answer, error: type[A2AError], is_retryable: bool
) -> None:
    raised = await stream_error_of(http, answer)

    assert (type(raised), raised.is_retryable) == (error, is_retryable)


@pytest.mark.parametrize(
    ("header", "retry_after_s"),
    [
        ("Retry-After: 7\r\n", 7.0),
        ("Retry-After: 0.5\r\n", 0.5),
        ("Retry-After: -3\r\n", 0.0),
        ("Retry-After: 1e300\r\n", 3_600.0),
        ("", None),
    ],
)
async def test_a_busy_server_says_when_to_come_back(
    http: httpx.AsyncClient, header: str, retry_after_s: float | None
) -> None:
    raised = await error_of(http, says(response(b"", status="429 Too Many Requests", headers=header)))

    assert isinstance(raised, AgentBusy)
    assert raised.retry_after_s == retry_after_s


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_a_time_to_come_back_that_is_no_number_of_seconds_is_none(
    http: httpx.AsyncClient, value: str
) -> None:
    answer = says(response(b"", status="503 Busy", headers=f"Retry-After: {value}\r\n"))
    raised = await error_of(http, answer)

    assert isinstance(raised, AgentBusy)
    assert raised.retry_after_s is None


SLOW: dict[str, Answer] = {
    "silent": says_nothing,
    "silent after the head": says_and_hangs(response(b"x" * 100)[:-50]),
    "a byte at a time": dribbles(),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
@pytest.mark.parametrize("ask", [error_of, stream_error_of])
async def test_a_slow_server_is_a_timeout_at_the_deadline(
    http: httpx.AsyncClient, ask: Any, answer: Answer
) -> None:
    async with asyncio.timeout(2):
        raised = await ask(http, answer, timeout_s=0.2)

    assert isinstance(raised, AgentTimeout)
    assert (raised.after_s, raised.is_retryable) == (0.2, True)


async def test_nobody_at_the_port_is_unreachable(http: httpx.AsyncClient) -> None:
    async with answering(says_nothing) as url:
        pass

    with pytest.raises(AgentUnreachable) as raised:
        await A2AClient(http, url).send_message(request("hi"), timeout_s=5)
    assert raised.value.is_retryable


async def test_an_answer_that_grows_without_end_is_refused(http: httpx.AsyncClient) -> None:
    """Compressed it is small, so that this test is quick: what counts is what it becomes."""
    bomb = gzip.compress(b"[" + b" " * (65 * 2**20), compresslevel=1)
    answer = says(response(bomb, headers="Content-Encoding: gzip\r\n"))

    assert isinstance(await error_of(http, answer), InvalidAgentResponse)


async def test_a_stream_that_grows_without_end_is_refused(http: httpx.AsyncClient) -> None:
    """Each of its events is small enough. Compressed, so that this test is quick."""
    comment = b": " + b"x" * 2**20 + b"\n\n"
    event = b"data: " + rpc_response(result={"task": TASK}) + b"\n\n"
    body = gzip.compress(event + comment * (MAX_STREAM_BYTES // 2**20) + event, compresslevel=1)
    answer = says(response(body, content_type="text/event-stream", headers="Content-Encoding: gzip\r\n"))
    raised = await stream_error_of(http, answer)

    assert isinstance(raised, InvalidAgentResponse)
    assert "too large" in str(raised)


async def test_a_stream_that_is_cut_gives_its_events_and_then_the_error(http: httpx.AsyncClient) -> None:
    async with answering(says(CHUNKED + sse_chunk({"task": TASK}))) as url:
        events = A2AClient(http, url).stream_message(request("hi"), timeout_s=5)
        first = await anext(events)
        with pytest.raises(AgentUnreachable) as raised:
            await anext(events)

    assert first.task is not None
    assert raised.value.is_retryable


async def test_a_stream_that_falls_silent_is_a_timeout(http: httpx.AsyncClient) -> None:
    raised = await stream_error_of(http, says_and_hangs(CHUNKED + sse_chunk({"task": TASK})), timeout_s=0.2)

    assert isinstance(raised, AgentTimeout)
    assert raised.after_s == 0.2


async def test_a_slow_reader_of_a_stream_is_not_the_agents_fault(http: httpx.AsyncClient) -> None:
    """The deadline is for the agent: an event that is there already is given out after it too."""
    both = CHUNKED + sse_chunk({"task": TASK}) + sse_chunk({"task": TASK}) + b"0\r\n\r\n"
    async with answering(says(both)) as url:
        events = A2AClient(http, url).stream_message(request("hi"), timeout_s=5)
        first = await anext(events)
        rest = [event async for event in events]

    assert [first.task is not None, *(event.task is not None for event in rest)] == [True, True]


@pytest.mark.parametrize(
    "result", [{}, {"task": TASK, "message": {}}, [], "x", {"statusUpdate": {"taskId": "t"}}], ids=repr
)
async def test_an_event_of_the_wrong_shape_is_refused(http: httpx.AsyncClient, result: Any) -> None:
    raised = await stream_error_of(http, says(CHUNKED + sse_chunk(result) + b"0\r\n\r\n"))

    assert isinstance(raised, InvalidAgentResponse)


async def test_an_error_within_a_stream_is_its_class_here(http: httpx.AsyncClient) -> None:
    frame = b"data: " + rpc_response(error={"code": -32603, "message": "died"}) + b"\n\n"
    chunk = f"{len(frame):x}\r\n".encode() + frame + b"\r\n0\r\n\r\n"
    raised = await stream_error_of(http, says(CHUNKED + sse_chunk({"task": TASK}) + chunk))

    assert isinstance(raised, InternalError)
    assert raised.detail == "died"


async def test_a_long_error_text_is_cut(http: httpx.AsyncClient) -> None:
    raised = await error_of(
        http, says(response(rpc_response(error={"code": -32603, "message": "x" * 100_000})))
    )

    assert len(str(raised)) == 2_000


# The card


async def card_error(http: httpx.AsyncClient, answer: Answer, *, timeout_s: float = 5) -> A2AError:
    async with answering(answer) as url:
        with pytest.raises(A2AError) as raised:
            await fetch_card(http, url, timeout_s=timeout_s)
    return raised.value


@pytest.mark.parametrize("end", ["", "/", "/.well-known/agent-card.json"])
async def test_a_card_is_found_at_the_origin_or_at_its_own_url(
    http: httpx.AsyncClient, served_agent: ServedAgent, end: str
) -> None:
    card = await fetch_card(http, served_agent.url + end, timeout_s=5)

    assert (card.name, json_rpc_url(card)) == ("Scripted", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(response(b"<html>", content_type="text/html")), "not JSON"),
        (says(response(b"x" * (MAX_CARD_BYTES + 1))), "over 262,144 bytes"),
        (says(response(b"{}", status="404 Not Found")), "HTTP 404"),
        (says(response(b"[]")), "not a valid A2A 1.0 agent card"),
        (says(response(b"[" * 100_000)), "not JSON"),
        (says(response(b"", status="302 Found", headers="Location: /x\r\n")), "HTTP 302"),
    ],
    ids=["HTML", "300 KB", "404", "a list", "deep", "a redirect"],
)
async def test_a_card_that_is_none_is_refused_with_the_reason(
    http: httpx.AsyncClient, answer: Answer, why: str
) -> None:
    raised = await card_error(http, answer)

    assert isinstance(raised, CardRefused)
    assert why in str(raised)
    assert not raised.is_retryable


async def test_the_fields_that_a_card_lacks_are_named(http: httpx.AsyncClient) -> None:
    raised = await card_error(http, says(response(b'{"name":"A","skills":[{"id":"s"}]}')))

    for field in ("description", "version", "supportedInterfaces", "capabilities"):
        assert f"{field}: Field required" in str(raised)


async def test_a_card_of_version_0_3_is_refused_by_its_fields() -> None:
    """Step 1 speaks 1.0 only."""
    old = {"name": "A", "description": "", "version": "1", "url": "http://a/", "protocolVersion": "0.3.0"}

    with pytest.raises(CardRefused, match="supportedInterfaces"):
        parse_card("http://a/", json.dumps(old).encode())


async def test_a_card_that_hangs_is_a_timeout(http: httpx.AsyncClient) -> None:
    for answer in SLOW.values():
        async with asyncio.timeout(2):
            raised = await card_error(http, answer, timeout_s=0.2)
        assert isinstance(raised, AgentTimeout)


async def test_a_redirect_of_the_card_is_followed_through_the_guard(served_agent: ServedAgent) -> None:
    policy = AddressPolicy(allow_loopback=True, allow_private=False)
    target = f"Location: {served_agent.url}/.well-known/agent-card.json\r\n"
    metadata = "Location: http://169.254.169.254/latest/\r\n"
    async with guarded_client(policy, timeout_s=5) as guarded:
        async with answering(says(response(b"", status="302 Found", headers=target))) as url:
            card = await fetch_card(guarded, url, timeout_s=5)
        refused = await card_error(guarded, says(response(b"", status="302 Found", headers=metadata)))

    assert card.name == "Scripted"
    assert isinstance(refused, AddressRefused)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "ftp://a/",
        "http://",
        "http://[::1",
        "http://a:99999/",
        "http://127.0.0.1:0/",
        "http://a b/",
        "http://\ud800/",
        "x" * 70_000,
    ],
)
async def test_a_url_that_cannot_be_used_is_an_error_of_ours(http: httpx.AsyncClient, url: str) -> None:
    with pytest.raises(A2AError):
        await fetch_card(http, url, timeout_s=2)


@pytest.mark.parametrize(
    ("interfaces", "url"),
    [
        ([("JSONRPC", "1.0", "a")], "a"),
        ([("GRPC", "1.0", "a"), ("JSONRPC", "1.0", "b"), ("JSONRPC", "1.0", "c")], "b"),
        ([("JSONRPC", "0.3", "a"), ("JSONRPC", "1.0.2", "b")], "b"),
        ([("HTTP+JSON", "1.0", "a"), ("JSONRPC", "2.0", "b")], None),
    ],
)
async def test_the_first_interface_we_speak_is_used(
    http: httpx.AsyncClient,
    served_agent: ServedAgent,
    interfaces: list[tuple[str, str, str]],
    url: str | None,
) -> None:
    """8.3.1"""
    card = await fetch_card(http, served_agent.url, timeout_s=5)
    changed = card.to_json() | {
        "supportedInterfaces": [
            {"protocolBinding": binding, "protocolVersion": version, "url": at}
            for binding, version, at in interfaces
        ]
    }

    assert json_rpc_url(parse_card("u", json.dumps(changed).encode())) == url
