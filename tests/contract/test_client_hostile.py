"""The client against servers that are broken, slow or hostile."""

import asyncio
import gzip
from typing import Any

import httpx
import pytest

from a2a.client import A2AClient
from a2a.client.http_binding import MAX_STREAM_BYTES
from a2a.errors import (
    A2AError,
    AgentBusy,
    AgentHttpError,
    AgentTimeout,
    AgentUnreachable,
    AuthenticationFailed,
    InternalError,
    InvalidAgentResponse,
    PermissionRefused,
    UnknownRemoteError,
)
from tests.support.raw_server import Answer, answering, response, says, says_and_hangs, says_nothing
from tests.support.scripted_calls import (
    CHUNKED,
    SLOW,
    TASK,
    error_of,
    request,
    rpc_response,
    sse_chunk,
    stream_error_of,
)

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
    "401 JSON": (says(response(b'"who?"', status="401 Unauthorized")), AuthenticationFailed, False),
    "403 JSON": (says(response(b'"no"', status="403 Forbidden")), PermissionRefused, False),
    "another id": (says(response(b'{"jsonrpc":"2.0","id":7,"result":{}}')), InvalidAgentResponse, False),
    "the id as text": (
        says(response(b'{"jsonrpc":"2.0","id":"1","result":{}}')),
        InvalidAgentResponse,
        False,
    ),
    "a stream of nothing": (says(response(b"", content_type="text/plain")), InvalidAgentResponse, False),
    "301": (says(response(b"", status="301 M", headers="Location: /x\r\n")), AgentHttpError, False),
    "307 to another host": (
        says(response(b"", status="307 T", headers="Location: http://127.0.0.1:1/\r\n")),
        AgentHttpError,
        False,
    ),
    "307 in a circle": (
        says(response(b"", status="307 T", headers="Location: /\r\n")),
        AgentHttpError,
        False,
    ),
    "307 to no URL": (
        says(response(b"", status="307 T", headers="Location: http://[\r\n")),
        AgentHttpError,
        False,
    ),
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


async def test_a_stream_that_falls_silent_is_a_timeout(http: httpx.AsyncClient) -> None:
    raised = await stream_error_of(http, says_and_hangs(CHUNKED + sse_chunk({"task": TASK})), timeout_s=0.2)

    assert isinstance(raised, AgentTimeout)
    assert raised.after_s == 0.2


async def test_a_slow_reader_of_a_stream_is_not_the_agents_fault(http: httpx.AsyncClient) -> None:
    """The deadline is for the agent: an event that is there already is given out after it too."""
    ended = {**TASK, "status": {"state": "TASK_STATE_COMPLETED"}}
    both = CHUNKED + sse_chunk({"task": TASK}) + sse_chunk({"task": ended}) + b"0\r\n\r\n"
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
