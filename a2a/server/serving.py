"""A server process that ends in order: the running tasks first, then the callers who wait for them."""

import math
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from socket import socket

import uvicorn
from fastapi import FastAPI

STARTUP_FAILED = 3

Drain = Callable[[], Awaitable[None]]


def _nothing() -> None:
    pass


class DrainingServer(uvicorn.Server):
    """uvicorn waits for its callers before the app learns that it ends; callers of a task wait for that.
    `on_start` is called once it serves."""

    def __init__(self, config: uvicorn.Config, drain: Drain, on_start: Callable[[], None] = _nothing) -> None:
        super().__init__(config)
        self._drain = drain
        self._on_start = on_start

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_start()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        if not self.force_exit:
            await self._drain()
        await super().shutdown(sockets=sockets)


def serve_until_interrupted(
    app: FastAPI,
    *,
    host: str,
    port: int,
    grace_s: float,
    listening: socket | None = None,
    on_start: Callable[[], None] = _nothing,
) -> None:
    """`app` is an agent's. Tasks have `grace_s` seconds to end, and streams as long again to be read. With
    `listening`, a socket that listens already, host and port are not looked at."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=max(1, math.ceil(grace_s))
    )
    server = DrainingServer(config, app.state.drain, on_start)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening] if listening is not None else None)
    if not server.started:
        sys.exit(STARTUP_FAILED)
