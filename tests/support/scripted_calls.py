"""What tests of the client send, and JSON-RPC answers as bytes."""

import json
from typing import Any

import httpx
import pytest

from a2a.client import A2AClient
from a2a.errors import A2AError
from a2a.requests import SendMessageConfiguration, SendMessageRequest
from a2a.types import Message, Part, StreamResponse
from tests.support.raw_server import Answer, answering, dribbles, response, says_and_hangs, says_nothing

TASK = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW: dict[str, Answer] = {
    "silent": says_nothing,
    "silent after the head": says_and_hangs(response(b"x" * 100)[:-50]),
    "a byte at a time": dribbles(),
}


def request(text: str, skill: str = "echo", *, at_once: bool = False) -> SendMessageRequest:
    message = Message.from_user(Part.from_text(text), metadata={"skillId": skill})
    return SendMessageRequest(
        message=message, configuration=SendMessageConfiguration(return_immediately=at_once)
    )


def rpc_response(**content: Any) -> bytes:
    """To the first call of a client."""
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
