"""The way out to URLs that somebody else gave us: every connection goes to an address that was checked.

The name is resolved here, each address checked against the policy, and the socket opened to that very
address, so a name that changes between check and connect gains nothing. Redirects are followed by hand-over
to the same transport, so each hop is checked again. TLS still verifies the name.
"""

from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

import httpx

from a2a.addresses import Address, AddressPolicy
from a2a.errors import ResponseTooLarge

__all__ = ["Address", "AddressPolicy", "guarded_client", "read_capped"]

MAX_CONNECTIONS = 200
MAX_REDIRECT_BYTES = 64 * 1024


class _NoCookies(httpx.Cookies):
    """Nothing that an agent sets is kept or sent back, and no answer is searched for it."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _GuardedClient(httpx.AsyncClient):
    def __init__(self, transport: httpx.AsyncBaseTransport, *, timeout_s: float, max_redirects: int) -> None:
        super().__init__(
            transport=transport,
            timeout=timeout_s,
            follow_redirects=max_redirects > 0,
            max_redirects=max(max_redirects, 1),
            trust_env=False,
            event_hooks={"response": [_cap_redirect]},
        )
        self._cookies = _NoCookies()
        self._guarded = transport

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: bool | Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """httpx's own, but for a streamed request that asks for nothing of what lies between it and the
        transport (authentication, redirects, hooks): that takes about a sixth of the time of a call."""
        is_plain = stream and follow_redirects is False and auth is httpx.USE_CLIENT_DEFAULT
        if not is_plain or self.is_closed:
            return await super().send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
        response = await self._guarded.handle_async_request(request)
        response.request = request
        return response


def guarded_client(
    policy: AddressPolicy,
    *,
    timeout_s: float,
    max_redirects: int = 3,
    max_connections: int = MAX_CONNECTIONS,
    httpx_only: bool = False,
) -> httpx.AsyncClient:
    """A client for URLs from outside. No proxies, credentials or cookies but those of the request itself.

    It belongs to the event loop of its first request. A request over `max_connections` waits for another to
    end. A refused address raises AddressRefused, the body of a redirect over MAX_REDIRECT_BYTES raises
    ResponseTooLarge; everything else is httpx's own. `httpx_only`, and also where aiohttp is not installed:
    httpx's own transport, which costs many times the CPU.
    """
    transport = _transport(policy, max_connections, httpx_only=httpx_only)
    return _GuardedClient(transport, timeout_s=timeout_s, max_redirects=max_redirects)


def _transport(policy: AddressPolicy, max_connections: int, *, httpx_only: bool) -> httpx.AsyncBaseTransport:
    # Imported here: who only serves does not pay for a client.
    if httpx_only or find_spec("aiohttp") is None:
        from a2a.guard.httpx_transport import HttpxTransport

        return HttpxTransport(policy, max_connections=max_connections)
    from a2a.guard.aiohttp_transport import AiohttpTransport

    return AiohttpTransport(policy, max_connections=max_connections)


async def _cap_redirect(response: httpx.Response) -> None:
    """httpx reads the body of a redirect to its end before it follows."""
    if response.has_redirect_location:
        response.stream = _Capped(response)


class _Capped(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._url = str(response.url)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_REDIRECT_BYTES:
                raise ResponseTooLarge(self._url, max_bytes=MAX_REDIRECT_BYTES)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def read_capped(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The body of a streamed response. Raises ResponseTooLarge as soon as it is over the cap."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise ResponseTooLarge(str(response.url), max_bytes=max_bytes)
    return bytes(body)
