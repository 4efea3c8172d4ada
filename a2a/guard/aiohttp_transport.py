"""aiohttp beneath httpx's API: the same requests and errors, a fraction of the CPU, guarded connections.

aiohttp keeps the connections and speaks HTTP/1.1. Redirects, decompression and authentication stay httpx's;
cookies, proxies and the environment are nobody's.
"""

import asyncio
import io
import ipaddress
import os
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from functools import lru_cache, partial

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace
from yarl import URL

from a2a.addresses import AddressPolicy

MAX_IDLE_CONNECTIONS = 50
KEEP_IDLE_S = 30.0
# What the sockets' buffers take is written at once, so only a longer body can be slow to go.
LONG_BODY = 64 * 1024
# Also the most that is decompressed at a time, before a cap on the body can say no.
CHUNK = 16 * 1024
# httpx has set its own already.
NO_HEADERS_OF_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AiohttpTransport(httpx.AsyncBaseTransport):
    def __init__(self, policy: AddressPolicy, *, max_connections: int) -> None:
        self._policy = policy
        self._places = asyncio.Semaphore(max_connections)
        self._ssl_context = _ssl_context(ssl.get_default_verify_paths())
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("only http:// and https:// are spoken")
        timeouts = request.extensions.get("timeout", {})
        session = self._session_of_this_loop()
        await self._take_place(timeouts.get("pool"))
        try:
            answer = await _send(session, request, timeouts)
        except BaseException:
            self._places.release()
            raise
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer, self._places))

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _session_of_this_loop(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=_GuardedConnector(self._policy, self._ssl_context),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=NO_HEADERS_OF_AIOHTTP,
                auto_decompress=False,
            )
        if self._loop is not loop:
            raise RuntimeError("a client belongs to the event loop of its first request")
        return self._session

    async def _take_place(self, timeout_s: float | None) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._places.acquire()
        except TimeoutError as exc:
            raise httpx.PoolTimeout("no connection became free") from exc


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, places: asyncio.Semaphore) -> None:
        self._answer = answer
        self._places = places
        self._is_open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while chunk := await self._answer.content.read(CHUNK):
                yield chunk
        except (aiohttp.ClientError, HttpProcessingError, OSError) as exc:
            raise _as_httpx(exc) from exc

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            # A connection whose answer was read to its end is back among the idle ones already.
            if not self._answer.closed:
                self._answer.close()
            self._places.release()


class _Connection(ResponseHandler):
    """A connection that ends where the server speaks without having been asked.

    aiohttp queues such answers without limit and takes the first of them for that to the next request.
    """

    is_idle = False

    def has_unread(self) -> bool:
        """The server has spoken or gone, and the event loop has not seen it yet."""
        if self.transport is None:
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return bool(poll.poll(0))

    def data_received(self, data: bytes) -> None:
        if not self.is_idle:
            super().data_received(data)
        elif data and self.transport is not None:  # aiohttp calls with nothing to go on with what it holds
            self.transport.abort()


class _GuardedConnector(aiohttp.TCPConnector):
    def __init__(self, policy: AddressPolicy, ssl_context: ssl.SSLContext) -> None:
        self._policy = policy
        super().__init__(
            resolver=_GuardedResolver(policy),
            socket_factory=self._checked_socket,
            use_dns_cache=False,
            ssl=ssl_context,
            limit=0,  # the transport counts: aiohttp cannot tell waiting for a place from connecting
            keepalive_timeout=KEEP_IDLE_S,
        )
        new_connection: Callable[..., ResponseHandler] = _Connection
        self._factory = partial(new_connection, loop=self._loop)

    def _checked_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Each socket is made here for the address it is then connected to: no literal gets past this."""
        host = str(info[4][0])
        self._policy.check(host, ipaddress.ip_address(host))
        return socket.socket(info[0], info[1], info[2])

    def _release(
        self,
        key: ConnectionKey,
        protocol: ResponseHandler,
        *,
        should_close: bool = False,
    ) -> None:
        """aiohttp keeps any number of idle connections; answers from many hosts would use up our files."""
        is_full = sum(map(len, self._conns.values())) >= MAX_IDLE_CONNECTIONS
        super()._release(key, protocol, should_close=should_close or is_full)
        if isinstance(protocol, _Connection):
            protocol.is_idle = True

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if isinstance(protocol, _Connection) and not protocol.has_unread():
                protocol.is_idle = False
                return connection
            connection.close()
        return None


class _GuardedResolver(AbstractResolver):
    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=str(address), port=port, family=family, proto=0, flags=0)
            for address in await self._policy.resolve(host, port)
        ]

    async def close(self) -> None:
        pass


async def _send(
    session: aiohttp.ClientSession, request: httpx.Request, timeouts: dict[str, float | None]
) -> aiohttp.ClientResponse:
    body = await request.aread()
    is_long = len(body) > LONG_BODY
    url = request.url
    # The body is whole by now, so its length is told instead.
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.lower() != b"transfer-encoding"
    ]
    try:
        async with asyncio.timeout(_longest_s(timeouts)) if is_long else nullcontext():
            return await session.request(
                request.method,
                _target(url.scheme, url.raw_host, url.port, url.raw_path),
                headers=headers,
                data=io.BytesIO(body) if is_long else body or None,
                allow_redirects=False,
                timeout=_timeout(timeouts.get("connect"), timeouts.get("read")),
            )
    except (aiohttp.ClientError, HttpProcessingError, OSError) as exc:
        raise _as_httpx(exc) from exc
    except ValueError as exc:
        raise httpx.LocalProtocolError("the request cannot be sent") from exc


@lru_cache(maxsize=256)
def _target(scheme: str, raw_host: bytes, port: int | None, raw_path: bytes) -> URL:
    """The request's URL as httpx spelled it, less what is httpx's business: user, password and fragment."""
    host = raw_host.decode("ascii")
    if host.replace(".", "").isdigit():
        try:
            # aiohttp refuses 2130706433 and 127.1; as addresses they are checked like any other.
            host = socket.inet_ntoa(socket.inet_aton(host))
        except OSError as exc:
            raise httpx.ConnectError(f"the name {host} does not resolve") from exc
    elif ":" in host:
        host = f"[{host}]"
    path, _, query = raw_path.decode("ascii").partition("?")
    return URL.build(scheme=scheme, host=host, port=port, path=path, query_string=query, encoded=True)


@lru_cache(maxsize=4)
def _ssl_context(_paths: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    """One for all that trust the same: the certificates of the system take up to a megabyte in each."""
    return ssl.create_default_context()


@lru_cache(maxsize=64)
def _timeout(connect_s: float | None, read_s: float | None) -> aiohttp.ClientTimeout:
    """aiohttp's `connect` is the name, the socket and TLS together. There is no limit to the whole."""
    return aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=read_s)


def _longest_s(timeouts: dict[str, float | None]) -> float | None:
    """aiohttp has no limit for writing, so a long body gets what all the phases may take."""
    phases = [timeouts.get(phase) for phase in ("connect", "write", "read")]
    given = [phase for phase in phases if phase is not None]
    return sum(given) if len(given) == len(phases) else None


def _as_httpx(exc: Exception) -> httpx.TransportError:
    """ConnectError and ConnectTimeout: nothing was sent. All others: it may have arrived."""
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout("no connection in the time allowed")
        case aiohttp.SocketTimeoutError():
            return httpx.ReadTimeout("nothing was said in the time allowed")
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(_why_not_connected(exc))
        case aiohttp.InvalidURL():
            return httpx.ConnectError("the URL cannot be connected to")
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError("the connection was closed before an answer")
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("the answer breaks off or is not HTTP")
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return httpx.RemoteProtocolError("the answer is not HTTP")
        case TimeoutError():
            return httpx.WriteTimeout("the request was not taken in the time allowed")
        case _:
            return httpx.ReadError("the connection broke")


def _why_not_connected(exc: aiohttp.ClientConnectorError) -> str:
    """In our own words: the system's name the address."""
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {exc.host} does not resolve"
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(exc.certificate_error, "verify_message", "it cannot be verified")
            return f"the certificate is not accepted: {reason}"
        case aiohttp.ClientSSLError():
            return "TLS could not be agreed on"
        case _:
            return os.strerror(exc.errno) if exc.errno else "no connection can be made"
