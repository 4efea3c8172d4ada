"""What a request over the guarded client means, over aiohttp and over httpx's own transport alike."""

import asyncio
import contextlib
import gzip
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from a2a.errors import ResponseTooLarge
from a2a.guard import AddressPolicy, guarded_client, read_capped
from a2a.guard.aiohttp_transport import MAX_IDLE_CONNECTIONS
from tests.support.keeping_server import Peer
from tests.support.raw_server import answering, response, says, says_and_hangs, says_nothing

LOCAL = AddressPolicy(allow_loopback=True, allow_private=False)
OK = response(b"ok")
EVENT = b"data: 1\n\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENT
Guarded = Callable[..., httpx.AsyncClient]


@pytest.fixture(params=["aiohttp", "httpx"])
def guarded(request: pytest.FixtureRequest) -> Guarded:
    return partial(guarded_client, LOCAL, httpx_only=request.param == "httpx")


def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is of this host."""

    async def getaddrinfo(host: str, port: int, **_options: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


# --- What goes out


async def test_a_connection_is_used_again(guarded: Guarded) -> None:
    peer = Peer(OK)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        answers = [(await http.post(url, content=b"{}")).text for _ in range(3)]
    assert (answers, peer.connections) == (["ok"] * 3, 1)


async def test_a_request_goes_out_as_httpx_made_it(guarded: Guarded) -> None:
    peer = Peer(OK)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        target = url.replace("http://", "http://user:word@") + "a%2Fb/%C3%A9?q=%20+&x#end"
        await http.post(target, content=b"body", headers={"X-Twice": "1"})
        sent = http.build_request("POST", target, content=b"body", headers={"X-Twice": "1"})
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"POST /a%2Fb/%C3%A9?q=%20+&x HTTP/1.1"
    expected = {name.lower(): value for name, value in sent.headers.raw}
    expected[b"authorization"] = b"Basic dXNlcjp3b3Jk"
    assert {line.partition(b": ")[0].lower(): line.partition(b": ")[2] for line in lines} == expected
    assert len(lines) == len(expected)
    assert body == b"body"


async def test_a_body_made_in_pieces_goes_out_whole(guarded: Guarded) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    peer = Peer(OK)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        await http.post(url, content=pieces())
    assert all(piece in peer.requests[0] for piece in (b"one ", b"two"))


async def test_a_header_cannot_hold_a_second_one(guarded: Guarded) -> None:
    async with Peer(OK).url() as url, guarded(timeout_s=5) as http:
        with pytest.raises(httpx.LocalProtocolError):
            await http.get(url, headers={"X-One": "1\r\nX-Two: 2"})


@pytest.mark.parametrize("url", ["http+unix://%2Ftmp%2Fsocket/", "unix:///tmp/socket", "ftp://127.0.0.1/"])
async def test_only_http_is_spoken(guarded: Guarded, url: str) -> None:
    async with guarded(timeout_s=5) as http:
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get(url)


async def test_a_cookie_is_not_kept(guarded: Guarded) -> None:
    peer = Peer(response(b"ok", headers="Set-Cookie: a=b\r\n"))
    async with peer.url() as url, guarded(timeout_s=5) as http:
        await http.get(url)
        await http.get(url)
        assert not http.cookies
    assert b"cookie" not in peer.requests[1].lower()


# --- What an error says about the request


async def test_a_refused_connection_is_a_connection_error_that_names_no_address(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch)
    async with Peer().listening() as port:
        pass
    async with guarded(timeout_s=5) as http:
        with pytest.raises(httpx.ConnectError) as refused:
            await http.post(f"http://agent.example:{port}/")
    assert "127.0.0.1" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://a..b/", "http://1.2.3.4.5/", f"http://{'a' * 64}.example/"])
async def test_a_host_that_is_no_name_is_a_connection_error(guarded: Guarded, url: str) -> None:
    async with guarded(timeout_s=5) as http:
        with pytest.raises((httpx.ConnectError, httpx.InvalidURL)):
            await http.get(url)


async def test_a_post_that_is_not_answered_may_have_arrived_and_is_not_repeated(guarded: Guarded) -> None:
    peer = Peer(None)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(url, content=b"{}")
    assert len(peer.requests) == 1


async def test_a_post_on_a_connection_that_ends_may_have_arrived_and_is_not_repeated(
    guarded: Guarded,
) -> None:
    peer = Peer(OK, None)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        await http.post(url, content=b"{}")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.post(url, content=b"{}")
    assert (len(peer.requests), peer.connections) == (2, 1)


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again(guarded: Guarded) -> None:
    peer = Peer(OK)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        await http.post(url)
        peer.writers[0].close()
        await peer.ended.wait()
        assert (await http.post(url)).text == "ok"
    assert peer.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000,
    ],
)
async def test_an_answer_that_is_no_http_may_come_from_a_request_that_arrived(
    guarded: Guarded, answer: bytes
) -> None:
    async with answering(says(answer)) as url, guarded(timeout_s=5) as http:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.post(url)


# --- Time


async def test_an_answer_that_does_not_come_is_a_read_timeout(guarded: Guarded) -> None:
    async with answering(says_nothing) as url, guarded(timeout_s=5) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(url, timeout=httpx.Timeout(5, read=0.05))


async def test_a_body_that_stops_is_a_read_timeout(guarded: Guarded) -> None:
    stops = says_and_hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
    async with answering(stops) as url, guarded(timeout_s=5) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(url, timeout=httpx.Timeout(5, read=0.05))


async def test_a_server_that_agrees_on_no_tls_is_a_connection_timeout(guarded: Guarded) -> None:
    async with answering(says_nothing) as url, guarded(timeout_s=5) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.post(url.replace("http:", "https:"), timeout=httpx.Timeout(5, connect=0.05))


async def test_a_body_that_nobody_takes_is_a_write_timeout(guarded: Guarded) -> None:
    async with answering(says_nothing) as url, guarded(timeout_s=5) as http:
        phases = httpx.Timeout(connect=0.2, write=0.2, read=0.2, pool=1)
        with pytest.raises(httpx.WriteTimeout):
            await http.post(url, content=b"x" * 50_000_000, timeout=phases)


async def test_a_stream_has_no_longest_time(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(STREAM)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        timeout = httpx.Timeout(5, read=None)
        async with http.stream("POST", url, timeout=timeout) as answer:
            events = answer.aiter_bytes()
            assert await anext(events) == EVENT
            loop = asyncio.get_running_loop()
            now = loop.time
            monkeypatch.setattr(loop, "time", lambda: now() + 3_600)
            peer.writers[0].write(EVENT)
            assert await anext(events) == EVENT


# --- What is left behind


async def test_a_stream_that_is_left_early_closes_its_connection(guarded: Guarded) -> None:
    peer = Peer(STREAM)
    async with peer.url() as url, guarded(timeout_s=5, max_connections=1) as http:
        async with http.stream("POST", url) as answer:
            assert await anext(answer.aiter_bytes()) == EVENT
        await asyncio.wait_for(peer.ended.wait(), 5)
        async with http.stream("POST", url):
            assert peer.connections == 2


async def test_a_request_that_is_cancelled_gives_its_connection_back(guarded: Guarded) -> None:
    peer = Peer(b"", OK)
    async with peer.url() as url, guarded(timeout_s=5, max_connections=1) as http:
        request = asyncio.create_task(http.post(url))
        await peer.asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await asyncio.wait_for(peer.ended.wait(), 5)
        assert (await http.post(url)).text == "ok"


async def test_a_request_over_the_connections_there_are_waits(guarded: Guarded) -> None:
    peer = Peer(OK)
    async with peer.url() as url, guarded(timeout_s=5, max_connections=2) as http:
        answers = await asyncio.gather(*(http.post(url) for _ in range(20)))
    assert {answer.text for answer in answers} == {"ok"}
    assert peer.connections <= 2


async def test_idle_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch)
    peer = Peer(OK)
    async with peer.listening() as port, guarded_client(LOCAL, timeout_s=5) as http:
        for number in range(MAX_IDLE_CONNECTIONS + 10):
            await http.get(f"http://agent-{number}.example:{port}/")
        again = [await http.get(f"http://agent-{n}.example:{port}/") for n in range(MAX_IDLE_CONNECTIONS)]
    assert len(again) == MAX_IDLE_CONNECTIONS
    assert peer.connections == MAX_IDLE_CONNECTIONS + 10, "the first ones were kept, the rest closed"


async def test_an_answer_that_nobody_asked_for_ends_the_connection(guarded: Guarded) -> None:
    peer = Peer(OK)
    async with peer.url() as url, guarded(timeout_s=5) as http:
        await http.post(url)
        peer.writers[0].write(response(b"forged"))
        await asyncio.wait_for(_until_gone(http, url, peer), 5)


async def _until_gone(http: httpx.AsyncClient, url: str, peer: Peer) -> None:
    """The forged answer may still be on its way; it is never given for one that was asked for."""
    while peer.connections == 1:
        with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
            assert (await http.post(url)).text == "ok"


# --- What a body may do


async def test_a_compressed_answer_is_decompressed_once(guarded: Guarded) -> None:
    twice = gzip.compress(gzip.compress(b"text"))
    packed = response(twice, headers="Content-Encoding: gzip\r\n")
    async with answering(says(packed)) as url, guarded(timeout_s=5) as http:
        assert gzip.decompress((await http.get(url)).content) == b"text"


async def test_the_cap_counts_what_is_decompressed(guarded: Guarded) -> None:
    bomb = response(gzip.compress(b"\0" * 50_000_000), headers="Content-Encoding: gzip\r\n")
    async with (
        answering(says(bomb)) as url,
        guarded(timeout_s=5) as http,
        http.stream("GET", url) as answer,
    ):
        with pytest.raises(ResponseTooLarge):
            await read_capped(answer, max_bytes=100_000)


async def test_a_redirect_with_an_endless_body_is_refused(guarded: Guarded) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with answering(endless) as url, guarded(timeout_s=5) as http:
        with pytest.raises(ResponseTooLarge):
            await http.get(url)


# --- TLS


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side for the name agent.example, whose issuer everybody here trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent.example")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("agent.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "agent.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_tls_is_agreed_on_with_the_name_of_the_url(
    guarded: Guarded, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch)
    async with Peer(OK).listening(certificate) as port, guarded(timeout_s=5) as http:
        assert (await http.get(f"https://agent.example:{port}/")).text == "ok"


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1", "2130706433"])
async def test_a_certificate_for_another_name_is_a_connection_error(
    guarded: Guarded, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    here(monkeypatch)
    peer = Peer(OK)
    async with peer.listening(certificate) as port, guarded(timeout_s=5) as http:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await http.get(f"https://{host}:{port}/")
    assert not peer.requests


# --- Event loops


def test_a_client_belongs_to_the_event_loop_of_its_first_request() -> None:
    http = guarded_client(LOCAL, timeout_s=5)

    async def ask() -> str:
        async with Peer(OK).url() as url:
            return (await http.get(url)).text

    async def ask_and_close() -> str:
        try:
            return await ask()
        finally:
            await http.aclose()

    async def ask_elsewhere() -> None:
        with pytest.raises(RuntimeError, match="event loop"):
            await asyncio.to_thread(asyncio.run, ask())

    async def scenario() -> None:
        assert await ask() == "ok"
        await ask_elsewhere()
        assert await ask_and_close() == "ok"

    asyncio.run(scenario())


async def test_a_client_that_asked_nothing_is_closed_in_any_event_loop(guarded: Guarded) -> None:
    closing: Awaitable[None] = guarded(timeout_s=5).aclose()
    await closing


def test_who_only_serves_does_not_load_aiohttp() -> None:
    code = "import sys, a2a, a2a.guard; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
