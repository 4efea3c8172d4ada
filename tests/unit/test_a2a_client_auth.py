"""Credentials for what a card asks: which, where, and to whom they never go."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from a2a.card_types import AgentCard
from a2a.client import (
    ONE_TRY,
    A2AClient,
    ApiKeyCredential,
    BearerCredential,
    ClientCredentials,
    Credential,
    Retries,
)
from a2a.errors import AgentBusy, AgentHttpError, AgentUnreachable, AuthenticationFailed
from a2a.requests import GetTaskRequest, SendMessageRequest
from a2a.types import Message, Part
from tests.support.scripted_peer import card as card_json
from tests.support.scripted_peer import task
from tests.support.scripted_wire import Wire

TOKEN_URL = "https://login.test/token"  # noqa: S105 no secret
AT_ONCE = Retries(first_pause_s=0, last_pause_s=0)
SCHEMES: dict[str, Any] = {
    "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
    "query": {"apiKeySecurityScheme": {"location": "query", "name": "api_key"}},
    "cookie": {"apiKeySecurityScheme": {"location": "cookie", "name": "session"}},
    "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
    "basic": {"httpAuthSecurityScheme": {"scheme": "Basic"}},
    "oidc": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://login.test/oidc"}},
    "machine": {
        "oauth2SecurityScheme": {"flows": {"clientCredentials": {"tokenUrl": TOKEN_URL, "scopes": {}}}}
    },
    "person": {
        "oauth2SecurityScheme": {
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": "https://login.test/a", "tokenUrl": TOKEN_URL, "scopes": {}
                }
            }
        }
    },
    "host": {"apiKeySecurityScheme": {"location": "header", "name": "Host"}},
    "smuggled": {"apiKeySecurityScheme": {"location": "header", "name": "X: y\r\nZ"}},
    "new": {"quantumSecurityScheme": {}},
}  # fmt: skip


def card(*requirements: Mapping[str, list[str]], **schemes: Any) -> AgentCard:
    listed = [{"schemes": {name: {"list": scopes} for name, scopes in item.items()}} for item in requirements]
    return AgentCard.model_validate(card_json(securitySchemes=SCHEMES | schemes, securityRequirements=listed))


class Site:
    """The agent and its token endpoint. `accepts` are the Authorization headers that the agent takes, or None
    for any; each token is a new one."""

    def __init__(
        self, *, accepts: set[str] | None = None, answers: list[httpx.Response] | None = None
    ) -> None:
        self.accepts = accepts
        self.token_answers = answers or []
        self.tokens = 0
        self.token_requests: list[httpx.Request] = []
        self.calls: list[httpx.Request] = []
        self.wire = Wire(self.handle)
        self.http = self.wire.client()

    async def handle(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.url.path == "/token":
            self.token_requests.append(request)
            return self.token_answers.pop(0) if self.token_answers else self.token()
        self.calls.append(request)
        if self.accepts is not None and request.headers.get("authorization") not in self.accepts:
            return httpx.Response(401)
        call = json.loads(request.content)
        result = {"task": task()} if call["method"] == "SendMessage" else task()
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": call["id"], "result": result})

    def token(self, **more: Any) -> httpx.Response:
        self.tokens += 1
        content = {"access_token": f"T{self.tokens}", "token_type": "Bearer", "expires_in": 3600}
        return httpx.Response(200, json=content | more)

    def client(self, agent: AgentCard, credentials: Mapping[str, Credential]) -> A2AClient:
        return A2AClient.for_card(self.http, agent, credentials=credentials, retries=AT_ONCE)

    async def call(self, agent: AgentCard, credentials: Mapping[str, Credential]) -> httpx.Request:
        await get(self.client(agent, credentials))
        return self.calls[-1]


async def get(client: A2AClient) -> None:
    await client.get_task(GetTaskRequest(id="t"), timeout_s=5)


# Choice and place


async def test_a_key_goes_where_its_scheme_says() -> None:
    site = Site()
    credential = {name: ApiKeyCredential("k 1") for name in ("key", "query", "cookie")}

    assert (await site.call(card({"key": []}), credential)).headers["x-key"] == "k 1"
    assert (await site.call(card({"query": []}), credential)).url.params["api_key"] == "k 1"
    assert (await site.call(card({"cookie": []}), credential)).headers["cookie"] == "session=k%201"


@pytest.mark.parametrize("scheme", ["bearer", "oidc", "machine", "person"])
async def test_a_token_fulfils_what_takes_tokens(scheme: str) -> None:
    request = await Site().call(card({scheme: []}), {scheme: BearerCredential("T")})

    assert request.headers["authorization"] == "Bearer T"


async def test_a_token_may_be_made_for_each_request() -> None:
    numbers = iter("12")

    async def token() -> str:
        return next(numbers)

    site = Site()
    client = site.client(card({"bearer": []}), {"bearer": BearerCredential(token)})
    await get(client)
    await get(client)

    assert [request.headers["authorization"] for request in site.calls] == ["Bearer 1", "Bearer 2"]


async def test_the_first_requirement_that_can_be_fulfilled_is() -> None:
    """All schemes of one, and no more."""
    agent = card({"bearer": [], "new": []}, {"key": [], "cookie": []}, {"bearer": []})
    credentials: dict[str, Credential] = {
        "bearer": BearerCredential("T"),
        "key": ApiKeyCredential("k"),
        "cookie": ApiKeyCredential("c"),
    }
    headers = (await Site().call(agent, credentials)).headers

    assert (headers["x-key"], headers["cookie"], headers.get("authorization")) == ("k", "session=c", None)


@pytest.mark.parametrize("agent", [card(), card({}, {"key": []})], ids=["none", "none is enough"])
async def test_what_is_not_asked_for_is_not_sent(agent: AgentCard) -> None:
    headers = (await Site().call(agent, {"key": ApiKeyCredential("k")})).headers

    assert "x-key" not in headers


@pytest.mark.parametrize("scheme", ["basic", "person", "host", "smuggled", "new", "unknown"])
def test_credentials_that_do_not_fit_are_refused_and_the_card_quoted(scheme: str) -> None:
    every: dict[str, Credential] = {
        "basic": BearerCredential("T"),
        "person": ApiKeyCredential("k"),
        "host": ApiKeyCredential("k"),
        "smuggled": ApiKeyCredential("k"),
        "new": BearerCredential("T"),
        "unknown": BearerCredential("T"),
    }

    with pytest.raises(AuthenticationFailed, match=f"its card asks for {scheme} with key"):
        Site().client(card({scheme: [], "key": []}), every | {"key": ApiKeyCredential("k")})


async def test_who_has_no_credentials_calls_without() -> None:
    site = Site(accepts=set())

    with pytest.raises(AuthenticationFailed):
        await get(site.client(card({"key": []}), {}))
    assert len(site.calls) == 1


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "ü", "\x00"])
async def test_a_credential_that_no_header_takes_is_not_sent(key: str) -> None:
    site = Site()

    with pytest.raises(AuthenticationFailed, match="characters"):
        await get(site.client(card({"key": []}), {"key": ApiKeyCredential(key)}))
    assert site.wire.requests == []


async def test_credentials_do_not_follow_a_redirect_to_another_origin() -> None:
    async def elsewhere(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(307, headers={"Location": "http://evil.test/a2a"})

    wire = Wire(elsewhere)
    http = wire.client()
    http.follow_redirects = True
    client = A2AClient.for_card(http, card({"key": []}), credentials={"key": ApiKeyCredential("k")})

    with pytest.raises(AgentHttpError):
        await get(client)
    assert {request.url.host for request in wire.requests} == {"agent.test"}


async def test_a_redirect_within_the_origin_keeps_method_body_and_credentials() -> None:
    """As frameworks send it for a slash at the end."""
    site = Site()

    async def slashed(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/"):
            return httpx.Response(307, headers={"Location": f"{request.url}/"})
        return await site.handle(request)

    client = A2AClient.for_card(
        Wire(slashed).client(), card({"key": []}), credentials={"key": ApiKeyCredential("k")}
    )
    await get(client)

    assert (site.calls[0].method, site.calls[0].headers["x-key"]) == ("POST", "k")


def test_no_credential_shows_its_secret() -> None:
    credentials = [ApiKeyCredential("s3cret"), BearerCredential("s3cret"), ClientCredentials("id", "s3cret")]

    assert "s3cret" not in repr(credentials)


# Tokens of an endpoint


MACHINE: dict[str, Credential] = {"machine": ClientCredentials("id:1", "s/e&c")}


async def test_a_token_is_fetched_as_the_flow_says() -> None:
    """RFC 6749, 4.4 and 2.3.1"""
    site = Site()
    request = await site.call(card({"machine": ["read", "write"]}), MACHINE)

    assert request.headers["authorization"] == "Bearer T1"
    [asked] = site.token_requests
    assert str(asked.url) == TOKEN_URL
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"id%3A1:s%2Fe%26c"
    assert parse_qs(asked.content.decode()) == {"grant_type": ["client_credentials"], "scope": ["read write"]}


async def test_a_token_is_kept_and_fetched_once_for_all_who_wait() -> None:
    site = Site()
    client = site.client(card({"machine": []}), MACHINE)
    await asyncio.gather(*(get(client) for _ in range(20)))
    await get(client)

    assert (len(site.token_requests), len(site.calls)) == (1, 21)


@pytest.mark.parametrize("life", [0.0000001, "0.0000001"])
async def test_a_token_that_has_ended_is_fetched_anew(life: float | str) -> None:
    site = Site()
    site.token_answers = [site.token(expires_in=life), site.token(expires_in=life)]
    client = site.client(card({"machine": []}), MACHINE)
    await get(client)
    await get(client)

    assert [request.headers["authorization"] for request in site.calls] == ["Bearer T1", "Bearer T2"]


@pytest.mark.parametrize("life", [None, -1, 0, "soon", "nan", "inf", 10**400, [], True])
async def test_a_life_that_is_none_is_no_fault(life: object) -> None:
    site = Site()
    site.token_answers = [site.token(expires_in=life)]

    assert (await site.call(card({"machine": []}), MACHINE)).headers["authorization"] == "Bearer T1"


async def test_a_token_that_is_refused_is_renewed_once() -> None:
    site = Site(accepts={"Bearer T2"})
    message = SendMessageRequest(message=Message.from_user(Part.from_text("hi")))
    client = site.client(card({"machine": []}), MACHINE)
    await client.send_message(message, timeout_s=5)

    assert (len(site.token_requests), len(site.calls)) == (2, 2)


async def test_many_who_are_refused_at_once_renew_once() -> None:
    site = Site(accepts={"Bearer T2"})
    client = site.client(card({"machine": []}), MACHINE)
    await asyncio.gather(*(get(client) for _ in range(20)))

    assert len(site.token_requests) == 2


async def test_a_stream_renews_its_token_too() -> None:
    site = Site(accepts={"Bearer T2"})
    message = SendMessageRequest(message=Message.from_user(Part.from_text("hi")))
    client = site.client(card({"machine": []}), MACHINE)
    with pytest.raises(Exception, match="no stream came"):
        await anext(client.stream_message(message, timeout_s=5))

    assert len(site.token_requests) == 2


async def test_tokens_that_are_refused_again_fail() -> None:
    site = Site(accepts=set())

    with pytest.raises(AuthenticationFailed):
        await get(site.client(card({"machine": []}), MACHINE))
    assert (len(site.token_requests), len(site.calls)) == (2, 2)


@pytest.mark.parametrize("credential", [BearerCredential("T"), ApiKeyCredential("k")], ids=repr)
async def test_what_does_not_change_is_not_tried_twice(credential: Credential) -> None:
    site = Site(accepts=set())
    scheme = "bearer" if isinstance(credential, BearerCredential) else "key"

    with pytest.raises(AuthenticationFailed):
        await get(site.client(card({scheme: []}), {scheme: credential}))
    assert len(site.calls) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), r"HTTP 401 \(invalid_client\)"),
        (httpx.Response(400, json={"error": "<script>"}), r"HTTP 400$"),
        (httpx.Response(403), "HTTP 403"),
        (httpx.Response(302, headers={"Location": "https://evil.test/"}), "HTTP 302"),
        (httpx.Response(200, json={}), "no bearer token"),
        (httpx.Response(200, json={"access_token": "T", "token_type": "mac"}), "no bearer token"),
        (httpx.Response(200, json={"access_token": 7}), "no bearer token"),
        (httpx.Response(200, html="<h1>"), "no bearer token"),
        (httpx.Response(200, content=b"x" * 70_000), "too large"),
    ],
)
async def test_an_endpoint_that_gives_no_token_fails_the_call(answer: httpx.Response, why: str) -> None:
    site = Site(answers=[answer])

    with pytest.raises(AuthenticationFailed, match=why) as raised:
        await get(site.client(card({"machine": []}), MACHINE))
    assert raised.value.url == TOKEN_URL
    assert (len(site.wire.requests), site.calls) == (1, [])


async def test_an_endpoint_that_is_busy_or_away_is_asked_again() -> None:
    site = Site(answers=[httpx.Response(503), httpx.Response(429)])
    await get(site.client(card({"machine": []}), MACHINE))

    assert len(site.token_requests) == 3


async def test_an_endpoint_that_is_away_leaves_the_agent_uncalled() -> None:
    async def cut(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    client = A2AClient.for_card(
        Wire(cut).client(), card({"machine": []}), credentials=MACHINE, retries=ONE_TRY
    )
    with pytest.raises(AgentUnreachable) as raised:
        await get(client)
    assert not raised.value.may_have_arrived


@pytest.mark.parametrize(
    ("token_url", "is_sent"),
    [
        ("http://login.test/token", False),
        ("http://agent.test/token", True),
        ("http://127.0.0.1:9/token", True),
        ("https://login.test/token", True),
        ("ftp://login.test/token", False),
    ],
)
async def test_a_secret_goes_over_tls_or_not_at_all(token_url: str, is_sent: bool) -> None:
    flow = {"clientCredentials": {"tokenUrl": token_url, "scopes": {}}}
    agent = card({"machine": []}, machine={"oauth2SecurityScheme": {"flows": flow}})
    site = Site()
    client = site.client(agent, MACHINE)
    if is_sent:
        await get(client)
    else:
        with pytest.raises(AuthenticationFailed, match="without TLS"):
            await get(client)
    assert len(site.token_requests) == is_sent


async def test_the_callers_own_endpoint_stands_above_the_cards() -> None:
    site = Site()
    credential = ClientCredentials("id", "secret", token_url="https://mine.test/token")  # noqa: S106 no secret
    await site.call(card({"machine": []}), {"machine": credential})

    assert str(site.token_requests[0].url) == "https://mine.test/token"


async def test_a_busy_endpoint_that_stays_busy_is_busy() -> None:
    site = Site(answers=[httpx.Response(503)] * 3)

    with pytest.raises(AgentBusy):
        await get(site.client(card({"machine": []}), MACHINE))
