"""An HTTP server that keeps its connections open, and counts what comes over them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator


class Peer:
    """A server that keeps connections open and gives each request the next of its answers, the last for ever.

    None closes the connection instead.
    """

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = asyncio.Event()
        self.asked = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                self.requests.append(await self._request(reader))
                self.asked.set()
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if answer is None:
                    break
                writer.write(answer)
        self.ended.set()
        writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"transfer-encoding" in head.lower():
            return head + await reader.readuntil(b"0\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        return head + await reader.readexactly(int(length or b"0"))

    @contextlib.asynccontextmanager
    async def listening(self, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in self.writers:
                writer.transport.abort()
            await server.wait_closed()

    @contextlib.asynccontextmanager
    async def url(self) -> AsyncIterator[str]:
        async with self.listening() as port:
            yield f"http://127.0.0.1:{port}/"
