"""HTTP as the bindings use it: requests read within bounds, answers and event streams written.

Straight on ASGI: a request's way through FastAPI's dependencies costs about as much as the operation itself.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from a2a.errors import InvalidParams, PermissionDenied, ProtocolError, Unauthenticated
from a2a.server.context import CallContext
from a2a.server.live import Event, Follower
from a2a.server.security import header_map, query_map

JSON_TYPES = ("application/json", "application/a2a+json")
# Proxies close a stream that says nothing; so does a client that cannot tell it from a dead one.
KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
# A client that takes nothing for this long is gone.
SEND_TIMEOUT_S = 60.0
MAX_QUERY_FIELDS = 100
RETRY_AFTER_S = "1"
CARD_MAX_AGE_S = 60

Frame = Callable[[Event], bytes]


class BodyTooLarge(Exception):
    """The body is over the agent's limit."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(max_bytes)


class Disconnected(Exception):
    """The client has left before its request was whole."""


class HttpRequest:
    """One request. Header names are lower-case; a field that comes twice is one list (RFC 9110, 5.3)."""

    __slots__ = ("_has_odd_query", "_receive", "headers", "method", "query")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if len(self.headers) < len(scope["headers"]):
            self.headers = header_map(scope["headers"])
        found = _query(scope["query_string"])
        self.query = found or {}
        self._has_odd_query = found is None
        self._receive = receive

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def check_query(self) -> None:
        """Raises InvalidParams for a query that was not read: its filters would be missing."""
        if self._has_odd_query:
            raise InvalidParams(f"The query has over {MAX_QUERY_FIELDS} fields.")

    async def beginning(self, max_bytes: int) -> bytes:
        """The body, if it is no longer than that; else nothing."""
        try:
            return await self.body(max_bytes)
        except BodyTooLarge:
            return b""

    async def body(self, max_bytes: int) -> bytes:
        """Raises BodyTooLarge as soon as it is clear, or Disconnected."""
        length = self.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > max_bytes:
            raise BodyTooLarge(max_bytes)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > max_bytes:
                raise BodyTooLarge(max_bytes)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def gone(self) -> None:
        """Until the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """A response of server-sent events, each written by `frame`."""

    follower: Follower
    frame: Frame
    headers: Mapping[str, str] | None = None


def error_headers(error: ProtocolError) -> dict[str, str]:
    """What HTTP itself says of an error: how to authenticate (RFC 9110, 11.6.1), when to come back."""
    if isinstance(error, Unauthenticated | PermissionDenied):
        return {"www-authenticate": error.challenge} if error.challenge else {}
    return {"retry-after": RETRY_AFTER_S} if error.is_retryable else {}


def etag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def cacheable(request: HttpRequest, answer: Answer, etag: str, cache_control: str) -> Answer:
    """The answer with what caches need to know, or 304 where the client has it already (RFC 9110, 13.1.2)."""
    headers = {**(answer.headers or {}), "etag": etag, "cache-control": cache_control}
    known = request.headers.get("if-none-match", "")
    if etag in known or known.strip() == "*":
        return Answer(b"", 304, answer.media_type, headers)
    return Answer(answer.body, answer.status, answer.media_type, headers)


def extension_headers(call: CallContext) -> dict[str, str]:
    """Which extensions were activated."""
    return {"a2a-extensions": ", ".join(call.extensions)} if call.extensions else {}


async def send_answer(send: Send, answer: Answer) -> None:
    headers = _encoded(answer.headers)
    if answer.status != 304:  # the length would be that of the 200 (RFC 9110, 8.6)
        headers = [
            (b"content-type", answer.media_type.encode("latin-1")),
            (b"content-length", b"%d" % len(answer.body)),
            *headers,
        ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def send_stream(request: HttpRequest, send: Send, stream: Stream) -> None:
    """Write events as they come, until there are no more or the client leaves."""
    headers = [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        *_encoded(stream.headers),
    ]
    follower = stream.follower
    watch = asyncio.create_task(request.gone(), name="watch for the client to leave")
    watch.add_done_callback(lambda _task: follower.close())
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            body = await _next_frames(stream)
            if not body:
                break
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await send({"type": "http.response.body", "body": b""})
    except (TimeoutError, OSError):
        return  # nobody is there to read on
    finally:
        watch.cancel()
        follower.close()


async def _next_frames(stream: Stream) -> bytes:
    try:
        async with asyncio.timeout(KEEP_ALIVE_S):
            events = await stream.follower.batch()
    except TimeoutError:
        return KEEP_ALIVE
    return b"".join(map(stream.frame, events))


def _encoded(headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()] if headers else []


def _query(raw: bytes) -> dict[str, str] | None:
    """None where it has too many fields."""
    if not raw:
        return {}
    try:
        return query_map(
            parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
        )
    except ValueError:
        return None
