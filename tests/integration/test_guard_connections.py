"""The guarded client against real sockets: what is checked is what is connected to."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from a2a.errors import AddressRefused, ResponseTooLarge
from a2a.guard import AddressPolicy, guarded_client, read_capped
from tests.support.raw_server import answering, response, says

CLOSED = AddressPolicy(allow_loopback=False, allow_private=False)
LOCAL = AddressPolicy(allow_loopback=True, allow_private=False)
OK = says(response(b'"reached"'))
Guarded = Callable[..., httpx.AsyncClient]


@pytest.fixture(params=["aiohttp", "httpx"])
def guarded(request: pytest.FixtureRequest) -> Guarded:
    """A guarded client over either transport: what is claimed here holds for both."""
    return partial(guarded_client, httpx_only=request.param == "httpx")


class Resolver:
    """A name service that gives each answer once and the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def getaddrinfo(self, host: str, port: int, **_options: Any) -> list[Any]:
        if host.replace(".", "").isdigit():  # an address is its own answer; some event loops ask for it
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


def use(monkeypatch: pytest.MonkeyPatch, resolver: Resolver) -> None:
    """The event loop's resolver is the world outside; nothing of ours is replaced."""
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver.getaddrinfo)


def at(url: str, host: str) -> str:
    return f"http://{host}:{urlsplit(url).port}/"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
    ],
)
async def test_loopback_is_refused_however_it_is_written(guarded: Guarded, host: str) -> None:
    async with answering(OK) as url, guarded(CLOSED, timeout_s=5) as http:
        with pytest.raises(AddressRefused):
            await http.get(at(url, host))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0177.0.1"])
async def test_loopback_is_reached_where_it_is_allowed(guarded: Guarded, host: str) -> None:
    async with answering(OK) as url, guarded(LOCAL, timeout_s=5) as http:
        assert (await http.get(at(url, host))).json() == "reached"


async def test_a_name_with_its_last_dot_is_checked_like_the_one_without(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Resolver(["127.0.0.1"]))
    async with answering(OK) as url, guarded(CLOSED, timeout_s=5) as http:
        with pytest.raises(AddressRefused):
            await http.get(at(url, "localhost."))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0:8000/",
        "http://10.0.0.1/",
        "http://2852039166/",
    ],
)
async def test_a_forbidden_address_is_refused_without_a_connection(guarded: Guarded, url: str) -> None:
    async with guarded(LOCAL, timeout_s=5) as http:
        with pytest.raises(AddressRefused):
            await http.get(url)


async def test_a_name_with_one_forbidden_address_is_refused(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Resolver(["127.0.0.1", "10.0.0.1"]))
    async with answering(OK) as url, guarded(LOCAL, timeout_s=5) as http:
        with pytest.raises(AddressRefused) as refused:
            await http.get(at(url, "two-faced.example"))
    assert "10.0.0.1" not in str(refused.value), "what a name resolves to in here is nobody's business"


async def test_a_name_that_changes_after_the_check_gains_nothing(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for once, and the connection goes to the address that was checked."""
    resolver = Resolver(["127.0.0.1"], ["10.0.0.1"])
    use(monkeypatch, resolver)
    async with answering(OK) as url, guarded(LOCAL, timeout_s=5) as http:
        answer = await http.get(at(url, "rebinding.example"))

    assert answer.json() == "reached"
    assert resolver.asked == 1


async def test_a_name_that_changes_between_two_connections_is_checked_again(
    guarded: Guarded,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, Resolver(["127.0.0.1"], ["10.0.0.1"]))
    closing = says(response(b'"reached"', headers="Connection: close\r\n"))
    async with answering(closing) as url, guarded(LOCAL, timeout_s=5) as http:
        await http.get(at(url, "rebinding.example"))
        with pytest.raises(AddressRefused):
            await http.get(at(url, "rebinding.example"))


@pytest.mark.parametrize("target", ["http://10.0.0.1/", "http://169.254.169.254/", "//[fe80::1]/"])
async def test_a_redirect_to_a_forbidden_address_is_refused(guarded: Guarded, target: str) -> None:
    redirect = says(response(b"", status="302 Found", headers=f"Location: {target}\r\n"))
    async with answering(redirect) as url, guarded(LOCAL, timeout_s=5) as http:
        with pytest.raises(AddressRefused):
            await http.get(url)


async def test_a_redirect_to_a_file_is_not_followed(guarded: Guarded) -> None:
    redirect = says(response(b"", status="302 Found", headers="Location: file:///etc/passwd\r\n"))
    async with answering(redirect) as url, guarded(LOCAL, timeout_s=5) as http:
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get(url)


async def test_redirects_without_an_end_are_given_up(guarded: Guarded) -> None:
    redirect = says(response(b"", status="302 Found", headers="Location: /again\r\n"))
    async with answering(redirect) as url, guarded(LOCAL, timeout_s=5, max_redirects=2) as http:
        with pytest.raises(httpx.TooManyRedirects):
            await http.get(url)


async def test_a_name_that_does_not_resolve_is_a_connection_error(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Resolver([]))
    async with guarded(LOCAL, timeout_s=5) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("http://nowhere.example/")


async def test_a_second_address_is_tried_where_the_first_refuses(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Resolver(["127.0.0.2", "127.0.0.1"]))
    async with answering(OK) as url, guarded(LOCAL, timeout_s=5) as http:
        assert (await http.get(at(url, "two.example"))).json() == "reached"


@pytest.mark.parametrize("proxy_variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_not_used(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, proxy_variable: str
) -> None:
    monkeypatch.setenv(proxy_variable, "http://127.0.0.1:9/")
    async with answering(OK) as url, guarded(LOCAL, timeout_s=5) as http:
        assert (await http.get(url)).json() == "reached"


async def test_a_body_over_the_cap_is_refused_before_it_has_all_come(guarded: Guarded) -> None:
    endless = says(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 5_000)
    async with (
        answering(endless) as url,
        guarded(LOCAL, timeout_s=5) as http,
        http.stream("GET", url) as answer,
    ):
        with pytest.raises(ResponseTooLarge, match=r"over 1,000 bytes"):
            await read_capped(answer, max_bytes=1_000)


async def test_a_body_at_the_cap_is_read(guarded: Guarded) -> None:
    async with (
        answering(says(response(b"x" * 1_000))) as url,
        guarded(LOCAL, timeout_s=5) as http,
        http.stream("GET", url) as answer,
    ):
        assert await read_capped(answer, max_bytes=1_000) == b"x" * 1_000


async def test_a_client_has_as_many_connections_as_it_was_given(guarded: Guarded) -> None:
    async with (
        answering(OK) as url,
        guarded(LOCAL, timeout_s=5, max_connections=2) as http,
        http.stream("GET", url),
        http.stream("GET", url),
    ):
        with pytest.raises(httpx.PoolTimeout):
            await http.get(url, timeout=0.05)
