"""An HTTP server that says exactly the bytes it is given: for answers that no framework would make."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def response(
    body: bytes, *, status: str = "200 OK", content_type: str = "application/json", headers: str = ""
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def says(*chunks: bytes) -> Answer:
    """The chunks, then the connection is closed."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()

    return answer


async def says_nothing(writer: asyncio.StreamWriter) -> None:
    """Until the client goes away."""
    await writer.wait_closed()


def says_and_hangs(*chunks: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await says(*chunks)(writer)
        await writer.wait_closed()

    return answer


def dribbles(*, every_s: float = 0.02) -> Answer:
    """A header that never ends, a byte at a time: always alive, never done."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(every_s)

    return answer


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """The URL of a server that gives `answer` to each request, in this event loop."""
    open_connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_connections.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            open_connections.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(open_connections):
            task.cancel()
        if open_connections:
            await asyncio.wait(list(open_connections))
        await server.wait_closed()
