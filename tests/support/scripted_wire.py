"""What stands for the network in tests of the client: a function answers each request, and what it answers
may be cut, slow or wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import httpx

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]


class Wire(httpx.AsyncBaseTransport):
    """`requests` are all that were sent, in their order, their bodies read."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        return await self._handler(request)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self, trust_env=False)


class Chunks(httpx.AsyncByteStream):
    """A body; after its last chunk the connection is cut, or hangs, or the body ends. `is_closed` says that
    the client has let go of it."""

    def __init__(self, chunks: Sequence[bytes], *, is_cut: bool = False, hangs: bool = False) -> None:
        self._chunks = chunks
        self._is_cut = is_cut
        self._hangs = hangs
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._is_cut:
            raise httpx.ReadError("cut")
        if self._hangs:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.is_closed = True


def event_stream(data: Sequence[bytes], *, is_cut: bool = False, hangs: bool = False) -> httpx.Response:
    """One event for each; data of several lines is sent as several lines."""
    frames = [b"".join(b"data: " + line + b"\n" for line in item.split(b"\n")) + b"\n" for item in data]
    stream = Chunks(frames, is_cut=is_cut, hangs=hangs)
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)
