"""The client over real sockets, through the guarded client with either transport beneath it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from a2a.client import ONE_TRY, A2AClient, Retries
from a2a.errors import AgentTimeout, AgentUnreachable
from a2a.guard import AddressPolicy, guarded_client
from a2a.requests import GetTaskRequest
from tests.support.raw_server import Answer, answering, response, says, says_nothing
from tests.support.scripted_calls import CHUNKED, SLOW, follow, request
from tests.support.scripted_peer import artifact, artifact_update, status_update, task

AT_ONCE = Retries(first_pause_s=0, last_pause_s=0)
END = b"0\r\n\r\n"


@pytest.fixture(params=[False, True], ids=["aiohttp", "httpx"])
async def http(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    policy = AddressPolicy(allow_loopback=True, allow_private=False)
    async with guarded_client(policy, timeout_s=20, httpx_only=request.param) as client:
        yield client


def in_turn(*answers: Answer) -> Answer:
    """One for each connection."""
    left = list(answers)

    async def answer(writer: asyncio.StreamWriter) -> None:
        await left.pop(0)(writer)

    return answer


def stream(call: int, events: Sequence[Any]) -> bytes:
    frames = b""
    for event in events:
        body = json.dumps({"jsonrpc": "2.0", "id": call, "result": event})
        frame = f"data: {body}\n\n".encode()
        frames += f"{len(frame):x}\r\n".encode() + frame + b"\r\n"
    return CHUNKED + frames


@pytest.mark.parametrize("end", [b"", END, b"40\r\ndata: {"], ids=["cut", "ended", "cut in an event"])
async def test_a_stream_survives_its_connection(http: httpx.AsyncClient, end: bytes) -> None:
    begun = [{"task": task()}, artifact_update("one ", append=False)]
    now = task(artifacts=[artifact("one two ")])
    rest = [{"task": now}, artifact_update("three"), status_update("COMPLETED")]
    first, second = says(stream(1, begun) + end), says(stream(2, rest) + END)
    async with answering(in_turn(first, second)) as url:
        events = await follow(A2AClient(http, url, retries=AT_ONCE), request("hi"))

    texts = [
        part.text
        for event in events
        if event.artifact_update is not None
        for part in event.artifact_update.artifact.parts
    ]
    assert texts == ["one ", "two ", "three"]


@pytest.mark.parametrize("answer", [says(), says(CHUNKED), says(CHUNKED + END)])
async def test_a_message_whose_stream_said_nothing_is_not_sent_again(
    http: httpx.AsyncClient, answer: Answer
) -> None:
    async with answering(in_turn(answer)) as url:
        with pytest.raises(AgentUnreachable) as raised:
            await follow(A2AClient(http, url, retries=AT_ONCE), request("hi"))

    assert raised.value.may_have_arrived


async def test_a_read_survives_a_connection_that_is_closed_under_it(http: httpx.AsyncClient) -> None:
    """As an idle one is that the server gives up just then."""
    body = json.dumps({"jsonrpc": "2.0", "id": 2, "result": task()}).encode()
    async with answering(in_turn(says(), says(response(body)))) as url:
        got = await A2AClient(http, url, retries=AT_ONCE).get_task(GetTaskRequest(id="t"), timeout_s=5)

    assert got.id == "t"


async def test_who_is_not_there_has_not_had_the_message(http: httpx.AsyncClient) -> None:
    async with answering(says_nothing) as url:
        pass

    with pytest.raises(AgentUnreachable) as raised:
        await A2AClient(http, url, retries=AT_ONCE).send_message(request("hi"), timeout_s=5)
    assert not raised.value.may_have_arrived


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
async def test_a_slow_server_ends_at_the_deadline(http: httpx.AsyncClient, answer: Answer) -> None:
    async with answering(answer) as url, asyncio.timeout(5):
        client = A2AClient(http, url, retries=ONE_TRY)
        with pytest.raises(AgentTimeout):
            await client.send_message(request("hi"), timeout_s=0.2)
        with pytest.raises(AgentTimeout):
            await follow(client, request("hi"), timeout_s=0.2)
