"""The agent card as it is served."""

import httpx
import pytest

from a2a.card_types import AgentCard
from tests.support.scripted_agent import Rpc, ScriptedAgent
from tests.support.server import serving

PATH = ".well-known/agent-card.json"


async def card_of(http: httpx.AsyncClient, rpc: Rpc, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.get(rpc.url + PATH, headers=sent)


async def test_the_card_has_what_is_required_and_nothing_of_our_own(
    http: httpx.AsyncClient, rpc: Rpc
) -> None:
    """4.4.1, 8.1, 8.3.1"""
    answer = await card_of(http, rpc)
    card = answer.json()

    assert answer.headers["content-type"] == "application/json"
    assert set(card) == {
        "name", "description", "version", "supportedInterfaces", "capabilities",
        "defaultInputModes", "defaultOutputModes", "skills",
    }  # fmt: skip
    assert card["supportedInterfaces"] == [
        {"url": "http://127.0.0.1:9", "protocolBinding": binding, "protocolVersion": "1.0"}
        for binding in ("JSONRPC", "HTTP+JSON")
    ]
    [extension] = card["capabilities"].pop("extensions")
    assert card["capabilities"] == {"streaming": True, "pushNotifications": True}
    assert extension["uri"] == "urn:parley:deduplication:v1"
    assert set(extension) == {"uri", "description", "params"}, "known to the protocol, and not required"
    assert card["skills"][0] == {
        "id": "echo",
        "name": "Echo",
        "description": "The skill echo.",
        "tags": ["echo"],
        "examples": ["please echo"],
        "inputModes": ["*/*"],
        "outputModes": ["text/plain"],
    }


async def test_the_card_reads_back_as_what_it_was(http: httpx.AsyncClient, rpc: Rpc) -> None:
    body = (await card_of(http, rpc)).content

    assert AgentCard.model_validate_json(body).model_dump_json(exclude_none=True).encode() == body


async def test_the_card_may_be_kept_and_asked_for_by_its_tag(http: httpx.AsyncClient, rpc: Rpc) -> None:
    """8.6.1, RFC 9110 13.1.2"""
    first = await card_of(http, rpc)
    again = await card_of(http, rpc, If_None_Match=first.headers["etag"])

    assert "max-age=" in first.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    ("known", "status"), [("*", 304), ("W/{etag}", 304), ('"other", {etag}', 304), ('"other"', 200)]
)
async def test_a_tag_is_compared_as_http_says(
    http: httpx.AsyncClient, rpc: Rpc, known: str, status: int
) -> None:
    """RFC 9110 13.1.2: a list, weakly, or any."""
    etag = (await card_of(http, rpc)).headers["etag"]

    assert (await card_of(http, rpc, If_None_Match=known.format(etag=etag))).status_code == status


async def test_another_card_has_another_tag(http: httpx.AsyncClient, rpc: Rpc) -> None:
    with serving(ScriptedAgent().app(url="http://127.0.0.1:10/")) as served:
        other = await http.get(f"{served.url}/{PATH}")

    assert other.json()["supportedInterfaces"][0]["url"] == "http://127.0.0.1:10"
    assert other.headers["etag"] != (await card_of(http, rpc)).headers["etag"]


async def test_the_docs_show_each_skill_with_its_example(http: httpx.AsyncClient, rpc: Rpc) -> None:
    schema = (await http.get(rpc.url + "openapi.json")).json()
    body = schema["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]

    assert "please echo" in schema["info"]["description"]
    assert {"send_echo", "stream_report", "get_task", "cancel_task"} <= set(body["examples"])


async def test_every_example_of_the_docs_is_a_request_that_is_understood(
    http: httpx.AsyncClient, rpc: Rpc
) -> None:
    schema = (await http.get(rpc.url + "openapi.json")).json()
    body = schema["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]
    answer = await rpc.post(body["examples"]["send_echo"]["value"])

    assert answer.json()["result"]["task"]["artifacts"][0]["parts"] == [{"text": "please echo"}]


async def test_health_says_that_the_process_answers(http: httpx.AsyncClient, rpc: Rpc) -> None:
    assert (await http.get(rpc.url + "health")).json() == {"status": "ok"}
