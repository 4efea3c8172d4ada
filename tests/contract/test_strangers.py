"""What an agent does for callers it does not know, or not yet: little, and at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from a2a.server.security import ApiKey
from tests.support.scripted_agent import Rpc, ScriptedAgent
from tests.support.server import serving

ENDPOINTS = ("/", "/message:send")
BODY_BYTES = 2_000_000
SENT = b"x" * 200_000
SIZED = b"Content-Length: %d\r\n\r\n%b" % (BODY_BYTES, SENT)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(SENT), SENT)
INVALID_PARAMS = -32602


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    """An agent that asks for a key."""
    script = ScriptedAgent()
    script.agent.security = (ApiKey(keys={"ann": SecretStr("anns-key-0123456789")}),)
    script.agent.requirements = ({"apiKey": ()},)
    with serving(script.app()) as served:
        yield served.url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("rest", [SIZED, CHUNKED], ids=["sized", "chunked"])
async def test_a_stranger_is_refused_before_the_end_of_a_large_body(
    guarded_url: str, path: str, rest: bytes
) -> None:
    """13.1, 13.4; a tenth of the body is sent, and the connection stays open."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nContent-Type: application/json\r\n"
    async with asyncio.timeout(10), connected(guarded_url) as (reader, writer):
        writer.write(head.encode() + rest)
        answer = await reader.readuntil(b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: apikey" in answer.lower()


@pytest.mark.parametrize("request_id", [7, "seven", None])
async def test_a_stranger_is_refused_under_the_id_of_a_small_request(
    http: httpx.AsyncClient, guarded_url: str, request_id: int | str | None
) -> None:
    """JSON-RPC 2.0, section 5"""
    asking: dict[str, object] = {"jsonrpc": "2.0", "id": request_id, "method": "ListTasks", "params": {}}
    answer = await Rpc(http, guarded_url).post(asking)

    assert (answer.status_code, answer.json()["id"]) == (401, request_id)


async def test_a_stranger_is_refused_under_no_id_where_it_would_have_to_be_searched_for(
    http: httpx.AsyncClient, guarded_url: str
) -> None:
    asking: dict[str, object] = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "ListTasks",
        "params": {"x": "x" * 100_000},
    }
    answer = await Rpc(http, guarded_url).post(asking)

    assert (answer.status_code, answer.json()["id"]) == (401, None)


# Queries


def query_of(fields: int) -> str:
    return "&".join(f"f{number}=1" for number in range(fields))


async def test_a_query_of_too_many_fields_is_refused_and_not_half_read(
    http: httpx.AsyncClient, rpc: Rpc
) -> None:
    """Else its filters would be missing, and all tasks be listed."""
    answer = await http.get(f"{rpc.url}tasks?contextId=none&{query_of(100)}", headers={"A2A-Version": "1.0"})

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "over 100 fields" in answer.json()["error"]["message"]


async def test_a_query_of_as_many_fields_as_there_may_be_is_read(http: httpx.AsyncClient, rpc: Rpc) -> None:
    """A token that is none, at the very end, is what it is refused for."""
    query = f"{query_of(99)}&pageToken=none"
    answer = await http.get(f"{rpc.url}tasks?{query}", headers={"A2A-Version": "1.0"})

    assert "pageToken" in answer.text
    assert "fields" not in answer.json()["error"]["message"]


async def test_a_call_with_a_query_of_too_many_fields_is_refused_under_its_id(
    http: httpx.AsyncClient, rpc: Rpc
) -> None:
    sent: dict[str, Any] = rpc.envelope("ListTasks", {})
    answer = await Rpc(http, f"{rpc.url}?{query_of(101)}").post(json.dumps(sent).encode())

    assert (answer.json()["error"]["code"], answer.json()["id"]) == (INVALID_PARAMS, sent["id"])


# Lifespans


async def test_an_app_is_served_once() -> None:
    """What it holds is closed after that."""
    app = ScriptedAgent().app()
    async with app.router.lifespan_context(app):
        pass

    with pytest.raises(RuntimeError, match=r"served once; make a new one with agent\.app\(\)"):
        async with app.router.lifespan_context(app):
            raise AssertionError("it was served again")
