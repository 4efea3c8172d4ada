"""A network that fails as it is told, between a caller and one server: cuts, delays, refusals.

It works in a thread of its own; what a test sets holds from the next bytes on.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

CHUNK_BYTES = 64 * 1024
NO_LINGER = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, 0 s. A close resets the connection.


@dataclass(slots=True)
class _Cut:
    on: bytes
    after: int
    times: int


class TcpProxy:
    """`url` leads to the server on `target_port` of this machine. `cuts` counts the connections that were
    cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self.delay_s = 0.0
        self.cuts = 0
        self._planned: _Cut | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp proxy", daemon=True)

    def cut(self, *, on: bytes, after: int, times: int = 1) -> None:
        """The next connections on which a caller says `on`, once they have brought so many bytes back."""
        self._planned = _Cut(on, after, times)

    def accept(self) -> None:
        self._do(self._accept())

    def refuse(self) -> None:
        """No connection is taken any more, and those that are open are cut."""
        self._do(self._refuse())

    def open(self) -> None:
        self._thread.start()
        self.accept()

    def close(self) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _accept(self) -> None:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self._port, reuse_address=True
        )

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            _reset(writer)
        await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(self, (reader, writer), (there, back))
        ends = {writer, back}
        self._open |= ends
        try:
            await connection.carry()
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    def take_cut(self, said: bytes) -> int | None:
        """After how many bytes of its answer a connection is to be cut that says this."""
        planned = self._planned
        if planned is None or planned.times == 0 or planned.on not in said:
            return None
        planned.times -= 1
        return planned.after


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    def __init__(self, proxy: TcpProxy, caller: Ends, server: Ends) -> None:
        self._proxy = proxy
        self._caller = caller
        self._server = server
        self._left: int | None = None

    async def carry(self) -> None:
        """Until either side closes."""
        ways = [asyncio.ensure_future(self._requests()), asyncio.ensure_future(self._answers())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self) -> None:
        while said := await self._caller[0].read(CHUNK_BYTES):
            if self._left is None:
                self._left = self._proxy.take_cut(said)
            await self._pass_on(said, self._server[1])
            if self._left == 0:
                return self._cut()
        return None

    async def _answers(self) -> None:
        while said := await self._server[0].read(CHUNK_BYTES):
            if self._left is None:
                await self._pass_on(said, self._caller[1])
                continue
            await self._pass_on(said[: self._left], self._caller[1])
            self._left = max(0, self._left - len(said))
            if self._left == 0:
                return self._cut()
        return None

    async def _pass_on(self, said: bytes, to: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._proxy.delay_s)
        to.write(said)
        await to.drain()

    def _cut(self) -> None:
        self._proxy.cuts += 1
        for _, writer in (self._caller, self._server):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """As a host does that is gone."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


@contextlib.contextmanager
def proxied(target_port: int) -> Iterator[TcpProxy]:
    proxy = TcpProxy(target_port)
    proxy.open()
    try:
        yield proxy
    finally:
        proxy.close()
