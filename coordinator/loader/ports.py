"""The port of each file: found from its name, so that the agent's address, and with it its id, stays the same
when the coordinator starts again."""

import asyncio
import socket
from collections.abc import Container, Iterator
from contextlib import suppress
from time import monotonic
from typing import Final
from zlib import crc32

HOST: Final = "127.0.0.1"
# Below the ports that systems give to outgoing connections.
FIRST_PORT: Final = 21_000
PORTS: Final = 1_000
BACKLOG: Final = 256
# The agents of a coordinator that was killed are about to leave when the next one comes.
PATIENCE_S: Final = 3.0
POLL_S: Final = 0.1


class NoPort(Exception):
    """Every port of the range is taken."""

    def __init__(self) -> None:
        super().__init__(f"no port is free between {FIRST_PORT} and {FIRST_PORT + PORTS - 1}")


def ports_for(name: str) -> Iterator[int]:
    """Every port of the range once, from the one that the name gives."""
    start = crc32(name.encode())
    return (FIRST_PORT + (start + step) % PORTS for step in range(PORTS))


def listen_on(port: int) -> socket.socket:
    """Raises OSError where it is taken."""
    return socket.create_server((HOST, port), backlog=BACKLOG)


def is_ours(port: int) -> bool:
    return FIRST_PORT <= port < FIRST_PORT + PORTS


def is_free(port: int) -> bool:
    try:
        listen_on(port).close()
    except OSError:
        return False
    return True


class Homes:
    """Who has which port. The socket listens from the start of a process on, and over a change of the file,
    so that callers wait for the new version; where nothing serves it is closed, so that they learn it."""

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}
        self._sockets: dict[str, socket.socket] = {}

    @property
    def ports(self) -> frozenset[int]:
        return frozenset(self._ports.values())

    def url(self, name: str) -> str | None:
        port = self._ports.get(name)
        return f"http://{HOST}:{port}" if port is not None else None

    async def take(self, name: str) -> socket.socket:
        """The socket of this file, on the port it had before if that is free. Raises NoPort."""
        if name not in self._sockets:
            self._sockets[name] = await self._open(name)
            self._ports[name] = self._sockets[name].getsockname()[1]
        return self._sockets[name]

    def close(self, name: str) -> None:
        """The port stays this file's, as far as we have a say in it."""
        listening = self._sockets.pop(name, None)
        if listening is not None:
            listening.close()

    def forget(self, name: str) -> None:
        self.close(name)
        self._ports.pop(name, None)

    async def _open(self, name: str) -> socket.socket:
        others = {port for other, port in self._ports.items() if other != name}
        first = self._ports.get(name) or next(ports_for(name))
        if first not in others:
            ends_at = monotonic() + PATIENCE_S
            while monotonic() < ends_at:
                with suppress(OSError):
                    return listen_on(first)
                await asyncio.sleep(POLL_S)
        return self._first_free(name, others)

    def _first_free(self, name: str, others: Container[int]) -> socket.socket:
        for port in ports_for(name):
            if port not in others:
                with suppress(OSError):
                    return listen_on(port)
        raise NoPort
