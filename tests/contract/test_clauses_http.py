"""Clauses that only HTTP has: the body of an error, header lists, null, and cards that caches keep."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import HttpUrl, SecretStr

from a2a import Agent, Request
from a2a.card_types import AgentExtension
from a2a.server.security import Bearer
from a2a.settings import AgentSettings
from tests.support.server import serving

FIRST, SECOND = "https://example.org/first/v1", "https://example.org/second/v1"
TOKEN = "alice-token-0123456789"  # noqa: S105 of a test
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


async def echo(request: Request) -> str:
    return request.text


def agent() -> Agent:
    """Anybody may call, and whoever says who they are may see the private skill."""
    made = Agent(
        name="Clauses",
        description="Echoes.",
        version="1.0.0",
        extensions=[AgentExtension(uri=FIRST), AgentExtension(uri=SECOND)],
        security=[Bearer(tokens={"alice": SecretStr(TOKEN)})],
        requirements=[{}, {"bearer": ()}],
    )
    made.skill(id="echo", description="Echoes.", tags=["echo"])(echo)
    made.skill(id="secret", description="Echoes in private.", tags=["echo"], is_private=True)(echo)
    return made


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    app = agent().app(AgentSettings(agent_url=HttpUrl("http://127.0.0.1:9/agents/echo")))
    with serving(app) as served:
        yield served.url


@pytest.fixture(params=["", "/agents/echo"], ids=["root", "base"])
async def rest(request: pytest.FixtureRequest, origin: str) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP+JSON at the root of the origin and at the card's URL."""
    headers = {"A2A-Version": "1.0"}
    async with httpx.AsyncClient(base_url=origin + request.param, headers=headers, trust_env=False) as client:
        yield client


def sending(**configuration: Any) -> dict[str, Any]:
    message = {
        "messageId": uuid4().hex,
        "role": "ROLE_USER",
        "parts": [{"text": "hello"}],
        "metadata": {"skillId": "echo"},
    }
    return {"message": message, **({"configuration": configuration} if configuration else {})}


async def test_an_error_is_a_status_with_its_info(rest: httpx.AsyncClient) -> None:
    """11.6"""
    answer = await rest.get("/tasks/no-such-task")
    error = answer.json()["error"]
    info = {"@type": ERROR_INFO, "reason": "TASK_NOT_FOUND", "domain": "a2a-protocol.org"}
    assert (answer.status_code, list(answer.json())) == (404, ["error"])
    assert (error["code"], error["status"], error["details"]) == (404, "NOT_FOUND", [info])


async def test_a_tenant_of_the_body_must_be_that_of_the_path(rest: httpx.AsyncClient) -> None:
    answer = await rest.post("/acme/message:send", json={**sending(), "tenant": "other"})
    assert answer.json()["error"]["details"][0]["fieldViolations"][0]["field"] == "tenant"


@pytest.mark.parametrize(
    "lines",
    [[f"{FIRST},{SECOND}"], [f"{SECOND} , https://example.org/unknown,{FIRST}"], [FIRST, SECOND]],
    ids=["list", "spaces and unknown", "two lines"],
)
async def test_extensions_are_activated_however_they_are_listed(
    rest: httpx.AsyncClient, lines: list[str]
) -> None:
    """3.2.6 and 4.6.3; a list may come in several lines (RFC 9110, 5.3)."""
    headers = [("A2A-Version", "1.0"), *(("A2A-Extensions", line) for line in lines)]
    answer = await rest.get("/tasks", headers=headers)
    assert answer.headers["a2a-extensions"] == f"{FIRST}, {SECOND}"


async def test_another_version_of_an_extension_is_not_activated(rest: httpx.AsyncClient) -> None:
    """4.6.3"""
    answer = await rest.get("/tasks", headers={"A2A-Extensions": FIRST.replace("v1", "v2")})
    assert "a2a-extensions" not in answer.headers


async def test_null_is_the_same_as_unset(rest: httpx.AsyncClient) -> None:
    """5.5: ProtoJSON"""
    request = sending(returnImmediately=None, historyLength=None, taskPushNotificationConfig=None)
    answer = await rest.post("/message:send", json={**request, "tenant": None, "metadata": None})
    assert answer.json()["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_card_that_is_known_is_not_described_again(origin: str) -> None:
    """RFC 9110, 8.6: the length of a 304 would be that of the card."""
    async with httpx.AsyncClient(base_url=origin, trust_env=False) as plain:
        etag = (await plain.get("/.well-known/agent-card.json")).headers["etag"]
        answer = await plain.get("/.well-known/agent-card.json", headers={"If-None-Match": etag})
    assert answer.status_code == 304
    assert answer.headers["etag"] == etag
    assert not {"content-length", "content-type"} & set(answer.headers)


async def test_the_extended_card_is_for_callers_that_are_known(rest: httpx.AsyncClient) -> None:
    """3.1.11 and 13.3, also where others may call as well."""
    refused = await rest.get("/extendedAgentCard")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="Clauses"')
    given = await rest.get("/extendedAgentCard", headers={"Authorization": f"Bearer {TOKEN}"})
    assert [skill["id"] for skill in given.json()["skills"]] == ["echo", "secret"]


async def test_the_extended_card_may_be_kept_by_its_caller_alone(rest: httpx.AsyncClient) -> None:
    """8.6 and 13.3"""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    given = await rest.get("/extendedAgentCard", headers=headers)
    known = await rest.get("/extendedAgentCard", headers={**headers, "If-None-Match": given.headers["etag"]})
    assert given.headers["cache-control"] == "private, max-age=60"
    assert (known.status_code, known.content) == (304, b"")


async def test_the_public_card_names_no_private_skill(origin: str) -> None:
    """3.1.11"""
    async with httpx.AsyncClient(base_url=origin, trust_env=False) as plain:
        card = (await plain.get("/.well-known/agent-card.json")).json()
    assert card["capabilities"]["extendedAgentCard"] is True
    assert [skill["id"] for skill in card["skills"]] == ["echo"]
    assert card["securityRequirements"] == [{"schemes": {}}, {"schemes": {"bearer": {"list": []}}}]
