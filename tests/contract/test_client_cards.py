"""How the client finds cards, reads those of every version, and keeps them."""

import asyncio
import json

import httpx
import pytest

from a2a.client import (
    CardCache,
    choose_interface,
    fetch_card,
    fetch_card_if_changed,
    json_rpc_url,
    parse_card,
)
from a2a.client.cards import MAX_CARD_BYTES
from a2a.errors import A2AError, AddressRefused, AgentBusy, AgentTimeout, CardRefused
from a2a.guard import AddressPolicy, guarded_client
from tests.contract.conftest import ServedAgent
from tests.support.raw_server import Answer, answering, response, says
from tests.support.scripted_calls import SLOW
from tests.support.scripted_peer import card as card_json
from tests.support.scripted_wire import Wire


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


# Versions

V03 = {
    "protocolVersion": "0.3.0",
    "name": "Old",
    "description": "Speaks 0.3.",
    "version": "1",
    "url": "http://old.test/rpc",
    "preferredTransport": "JSONRPC",
    "additionalInterfaces": [{"url": "http://old.test/rest", "transport": "HTTP+JSON"}],
    "capabilities": {"streaming": True},
    "defaultInputModes": ["text"],
    "defaultOutputModes": ["text"],
    "skills": [{"id": "s", "name": "S", "description": "s", "tags": []}],
}


def parsed(content: object) -> list[tuple[str, str, str]]:
    read = parse_card("http://a/", json.dumps(content).encode())
    return [(item.protocol_binding, item.protocol_version, item.url) for item in read.supported_interfaces]


def test_a_card_of_0_3_is_one_of_1_0_whose_interfaces_say_0_3() -> None:
    assert parsed(V03) == [
        ("JSONRPC", "0.3", "http://old.test/rpc"),
        ("HTTP+JSON", "0.3", "http://old.test/rest"),
    ]


def test_of_a_card_with_the_keys_of_both_those_of_1_0_count() -> None:
    assert parsed(V03 | card_json()) == [("JSONRPC", "1.0", "http://agent.test/a2a")]


def test_a_broken_card_of_0_3_says_where() -> None:
    with pytest.raises(CardRefused, match=r"not a valid A2A 0.3 agent card: additionalInterfaces"):
        parsed(V03 | {"additionalInterfaces": 7})


async def test_an_agent_of_0_2_is_found_at_its_own_path() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        found = request.url.path == "/.well-known/agent.json"
        return httpx.Response(200, json=V03 | {"protocolVersion": "0.2.5"}) if found else httpx.Response(404)

    wire = Wire(answer)
    card = await fetch_card(wire.client(), "http://old.test", timeout_s=5)

    assert card.name == "Old"
    assert [request.url.path for request in wire.requests] == [
        "/.well-known/agent-card.json",
        "/.well-known/agent.json",
    ]
    assert choose_interface(card).url == "http://old.test/rpc"


# Fetched again


def busy_then(*answers: httpx.Response) -> Wire:
    left = list(answers)

    async def answer(_request: httpx.Request) -> httpx.Response:
        return left.pop(0)

    return Wire(answer)


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_card_is_asked_for_again(status: int) -> None:
    wire = busy_then(httpx.Response(status), httpx.Response(200, json=card_json()))

    assert (await fetch_card(wire.client(), "http://agent.test", timeout_s=5)).name == "Peer"


async def test_an_agent_that_stays_busy_is_busy() -> None:
    wire = busy_then(*(httpx.Response(503) for _ in range(3)))

    with pytest.raises(AgentBusy):
        await fetch_card(wire.client(), "http://agent.test", timeout_s=5)


async def test_a_card_is_not_sent_again_while_it_is_the_same() -> None:
    """8.6"""

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("if-none-match") == '"one"':
            return httpx.Response(304, headers={"Cache-Control": "max-age=7"})
        headers = {"ETag": '"one"', "Cache-Control": "public, max-age=60", "Age": "20"}
        return httpx.Response(200, json=card_json(), headers=headers)

    http = Wire(answer).client()
    first = await fetch_card_if_changed(http, "http://agent.test", etag=None, timeout_s=5)
    second = await fetch_card_if_changed(http, "http://agent.test", etag=first.etag, timeout_s=5)

    assert first.card is not None
    assert (first.etag, first.max_age_s) == ('"one"', 40.0)
    assert (second.card, second.etag, second.max_age_s) == (None, '"one"', 7.0)


@pytest.mark.parametrize(
    ("control", "max_age_s"),
    [
        ("max-age=60", 60),
        ("public, Max-Age=60", 60),
        ('max-age="60"', 60),
        ("max-age=999999999", 86_400),
        ("max-age=99999999999999", 86_400),
        ("max-age=60, no-store", 0),
        ("no-cache, max-age=60", 0),
        ("s-maxage=60", 0),
        ("max-age=-5", 0),
        ("max-age=soon", 0),
        ("", 0),
    ],
)
async def test_how_long_a_card_is_good(control: str, max_age_s: float) -> None:
    wire = busy_then(httpx.Response(200, json=card_json(), headers={"Cache-Control": control}))
    fetched = await fetch_card_if_changed(wire.client(), "http://agent.test", etag=None, timeout_s=5)

    assert fetched.max_age_s == max_age_s


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def cached(max_cards: int = 10) -> tuple[CardCache, Wire, Clock]:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        headers = {"ETag": '"one"', "Cache-Control": "max-age=60"}
        if "if-none-match" in request.headers:
            return httpx.Response(304, headers=headers)
        return httpx.Response(200, json=card_json(), headers=headers)

    wire, clock = Wire(answer), Clock()
    return CardCache(wire.client(), max_cards=max_cards, now=clock), wire, clock


async def test_a_fresh_card_is_kept_and_a_stale_one_asked_after() -> None:
    cache, wire, clock = cached()
    first = await cache.get("http://agent.test", timeout_s=5)
    again = await cache.get("http://agent.test", timeout_s=5)
    clock.now = 61
    stale = await cache.get("http://agent.test", timeout_s=5)

    assert first is again is stale
    assert [request.headers.get("if-none-match") for request in wire.requests] == [None, '"one"']


async def test_many_who_want_one_card_make_one_request() -> None:
    cache, wire, _ = cached()
    await asyncio.gather(*(cache.get("http://agent.test", timeout_s=5) for _ in range(20)))

    assert len(wire.requests) == 1


async def test_the_cache_holds_no_more_than_it_may() -> None:
    cache, wire, _ = cached(max_cards=2)
    for number in (1, 2, 3, 2, 1):
        await cache.get(f"http://agent{number}.test", timeout_s=5)

    assert len(wire.requests) == 4


# Choice


@pytest.mark.parametrize(
    ("interfaces", "chosen"),
    [
        ([("HTTP+JSON", "1.0", "a"), ("JSONRPC", "1.0", "b")], "a"),
        ([("JSONRPC", "0.3", "a"), ("HTTP+JSON", "1.0", "b")], "b"),
        ([("GRPC", "1.0", "a"), ("HTTP+JSON", "0.3.0", "b")], "b"),
        ([("JSONRPC", "2.0", "a"), ("JSONRPC", "0.2.6", "b")], "b"),
    ],
)
def test_the_agents_preference_counts_and_1_0_before_0_3(
    interfaces: list[tuple[str, str, str]], chosen: str
) -> None:
    listed = [
        {"protocolBinding": binding, "protocolVersion": version, "url": url}
        for binding, version, url in interfaces
    ]
    card = parse_card("u", json.dumps(card_json(supportedInterfaces=listed)).encode())

    assert choose_interface(card).url == chosen


def test_a_card_that_offers_nothing_we_speak_is_refused_with_what_it_offers() -> None:
    listed = [
        {"protocolBinding": "GRPC", "protocolVersion": "1.0", "url": "a:1"},
        {"protocolBinding": "JSONRPC", "protocolVersion": "2.0", "url": "b"},
    ]
    card = parse_card("u", json.dumps(card_json(supportedInterfaces=listed)).encode())

    with pytest.raises(CardRefused, match=r"offers GRPC 1.0, JSONRPC 2.0; needed is JSONRPC 1.0 or HTTP"):
        choose_interface(card)
