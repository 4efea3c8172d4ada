"""The way out to URLs that somebody else gave us: every connection goes to an address that was checked.

The name is resolved here, each address checked against the policy, and the socket opened to that very
address, so a name that changes between check and connect gains nothing. Redirects are followed by hand-over
to the same transport, so each hop is checked again. TLS still verifies the name.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import httpcore
import httpx
import structlog

from a2a.errors import AddressRefused, ResponseTooLarge

log = structlog.get_logger(__name__)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

MAX_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses may be connected to. Public ones always; multicast and reserved ones never."""

    allow_loopback: bool
    allow_private: bool

    def permits(self, address: Address) -> bool:
        plain = _unmapped(address)
        if plain.is_loopback:
            return self.allow_loopback
        if plain.is_multicast or plain.is_unspecified or plain.is_reserved or plain.is_link_local:
            return False
        # Python calls the retired site-local range (fec0::/10) global.
        if isinstance(plain, ipaddress.IPv6Address) and plain.is_site_local:
            return self.allow_private
        return plain.is_global or (self.allow_private and plain.is_private)


def _unmapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only carries it (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _resolve(host, port, timeout)
        for address in addresses:
            if not self._policy.permits(address):
                # The address is for the log only: the error may reach whoever gave us the name.
                log.info("guard.refused", host=host, address=str(address))
                raise AddressRefused(host, "its address is not one we may connect to")
        return await self._connect_first(addresses, port, timeout, local_address, socket_options)

    async def _connect_first(
        self,
        addresses: list[Address],
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[SocketOption] | None,
    ) -> httpcore.AsyncNetworkStream:
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure or httpcore.ConnectError("the name has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 httpcore's signature
        socket_options: Iterable[SocketOption] | None = None,  # noqa: ARG002 httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused(path, "unix sockets are not connected to")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _resolve(host: str, port: int, timeout: float | None) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise httpcore.ConnectError(f"the name {host} does not resolve") from exc
    except TimeoutError as exc:
        raise httpcore.ConnectTimeout from exc
    unique = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in unique]


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport with its connections made by the guard."""

    def __init__(self, policy: AddressPolicy, *, max_connections: int) -> None:
        context = ssl.create_default_context()
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=max_connections,
            max_keepalive_connections=50,
            keepalive_expiry=30.0,
            http1=True,
            http2=False,
            network_backend=_GuardedBackend(policy),
        )


def guarded_client(
    policy: AddressPolicy,
    *,
    timeout_s: float,
    max_redirects: int = 3,
    max_connections: int = MAX_CONNECTIONS,
) -> httpx.AsyncClient:
    """A client for URLs from outside. No proxies and no credentials from the environment.

    A request over `max_connections` waits for another to end. A refused address raises AddressRefused;
    everything else is httpx's own.
    """
    return httpx.AsyncClient(
        transport=GuardedTransport(policy, max_connections=max_connections),
        timeout=timeout_s,
        follow_redirects=max_redirects > 0,
        max_redirects=max(max_redirects, 1),
        trust_env=False,
    )


async def read_capped(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The body of a streamed response. Raises ResponseTooLarge as soon as it is over the cap."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise ResponseTooLarge(str(response.url), max_bytes=max_bytes)
    return bytes(body)
