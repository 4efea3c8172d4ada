"""A request that is refused before it is looked at is still answered under its own id."""

import json
from typing import Any

import httpx
import pytest

from tests.contract.conftest import ServedAgent
from tests.support.scripted_agent import Rpc

ASKING: dict[str, Any] = {"jsonrpc": "2.0", "method": "GetTask", "params": {"id": "x"}}


@pytest.mark.parametrize("request_id", [7, "seven", None])
async def test_a_version_that_is_not_spoken_is_refused_under_the_requests_id(
    rpc: Rpc, request_id: int | str | None
) -> None:
    """3.6.2 and JSON-RPC 2.0, section 5"""
    answer = (await rpc.post(ASKING | {"id": request_id}, A2A_Version="0.3")).json()
    assert (answer["error"]["code"], answer["id"]) == (-32009, request_id)


async def test_a_media_type_that_is_not_taken_is_refused_under_the_requests_id(rpc: Rpc) -> None:
    answer = await rpc.post(json.dumps(ASKING | {"id": 7}).encode(), Content_Type="text/plain")
    assert (answer.status_code, answer.json()["id"]) == (415, 7)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"id":{}}', b'{"id":true}', b"[" * 100_000])
async def test_where_no_id_can_be_read_it_is_null(rpc: Rpc, body: bytes) -> None:
    answer = (await rpc.post(body, A2A_Version="2.0")).json()
    assert (answer["error"]["code"], answer["id"]) == (-32009, None)


@pytest.mark.parametrize("path", ["/health", "/.well-known/agent-card.json"])
async def test_head_answers_as_get_does_without_the_body(
    http: httpx.AsyncClient, served_agent: ServedAgent, path: str
) -> None:
    head, get = await http.head(served_agent.url + path), await http.get(served_agent.url + path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers.get("etag") == get.headers.get("etag")
