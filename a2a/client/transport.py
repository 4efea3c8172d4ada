"""HTTP as the client needs it: deadlines, size caps, and httpx's errors as ours."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import httpx

from a2a.errors import (
    A2AError,
    AgentBusy,
    AgentHttpError,
    AgentTimeout,
    AgentUnreachable,
    AuthenticationFailed,
    InvalidAgentResponse,
    PermissionRefused,
)
from a2a.guard import read_capped

MAX_RETRY_AFTER_S = 3_600.0
MAX_CHALLENGE_CHARS = 1_000
# A deadline over the whole call stands above: httpx needs none for each of its phases.
NO_TIMEOUTS = {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}
T = TypeVar("T")


class Deadline:
    """`timeout_s` from now, for all that is awaited in it."""

    __slots__ = ("ends_at", "timeout_s", "url")

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.ends_at = asyncio.get_running_loop().time() + timeout_s

    async def bound(self, awaited: Awaitable[T]) -> T:
        """What is there at once is given past the deadline too. Raises AgentTimeout."""
        try:
            async with asyncio.timeout_at(self.ends_at):
                return await awaited
        except TimeoutError as exc:
            raise AgentTimeout(self.url, after_s=self.timeout_s) from exc

    def leaves(self, pause_s: float) -> bool:
        """Whether there is time for more after such a pause."""
        return asyncio.get_running_loop().time() + pause_s < self.ends_at


def parsed_url(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as exc:
        raise AgentUnreachable(url, "the URL cannot be used", may_have_arrived=False) from exc


def plain_request(verb: str, url: httpx.URL, headers: httpx.Headers, body: bytes | None) -> httpx.Request:
    """What httpx would make of it, without looking at each header again: with a stream it adds none."""
    request = httpx.Request(
        verb, url, headers=headers, stream=httpx.ByteStream(body or b""), extensions=NO_TIMEOUTS
    )
    request.headers["Host"] = url.netloc.decode("ascii")
    if body is not None or verb == "POST":
        request.headers["Content-Length"] = str(len(body or b""))
    request.read()
    return request


async def send(http: httpx.AsyncClient, request: httpx.Request, *, follow_redirects: bool) -> httpx.Response:
    """The response with its body still to be read. The caller closes it."""
    try:
        return await http.send(request, stream=True, follow_redirects=follow_redirects)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise translated(exc, str(request.url)) from exc


async def read(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The whole body; the response is closed then. Raises ResponseTooLarge."""
    try:
        return await read_capped(response, max_bytes=max_bytes)
    except httpx.HTTPError as exc:
        raise translated(exc, str(response.url)) from exc
    finally:
        await response.aclose()


async def chunks(response: httpx.Response, *, max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    try:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > max_bytes:
                raise InvalidAgentResponse("The agent's answer is too large.")
            yield chunk
    except httpx.HTTPError as exc:
        raise translated(exc, str(response.url)) from exc


def translated(exc: Exception, url: str) -> A2AError | TimeoutError:
    """A TimeoutError is for the deadline above to put its seconds to."""
    match exc:
        case httpx.TimeoutException():
            return TimeoutError()
        case httpx.ConnectError() | httpx.UnsupportedProtocol():
            return AgentUnreachable(url, str(exc) or "no connection", may_have_arrived=False)
        case httpx.TooManyRedirects():
            return AgentUnreachable(url, "it redirects again and again", may_have_arrived=False)
        case httpx.DecodingError():
            return InvalidAgentResponse("The agent's answer is not compressed as it says.")
        case httpx.TransportError():
            return AgentUnreachable(url, str(exc) or "the connection failed")
        case _:
            return AgentUnreachable(url, "the URL cannot be used", may_have_arrived=False)


def refusal(response: httpx.Response, url: str) -> A2AError | None:
    """What a status says that means the same whatever the body is."""
    match response.status_code:
        case 401:
            challenge = response.headers.get("www-authenticate")
            return AuthenticationFailed(url, challenge=challenge and challenge[:MAX_CHALLENGE_CHARS])
        case 403:
            return PermissionRefused(url)
        case 429 | 503:
            retry_after_s = _retry_after_s(response.headers.get("retry-after"))
            return AgentBusy(url, status=response.status_code, retry_after_s=retry_after_s)
        case status if 300 <= status < 400:
            return AgentHttpError(url, status=status)
        case _:
            return None


def _retry_after_s(value: str | None) -> float | None:
    """Within what a wait can be: the header is the agent's to choose, "inf" and "nan" included."""
    try:
        wished_s = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return min(max(0.0, wished_s), MAX_RETRY_AFTER_S) if math.isfinite(wished_s) else None
