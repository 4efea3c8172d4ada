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


class DrainingServer(uvicorn.Server):
    """uvicorn waits for its callers before the app learns that it ends; callers of a task wait for that."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        if not self.force_exit:
            await self._drain()
        await super().shutdown(sockets=sockets)


def serve_until_interrupted(app: FastAPI, *, host: str, port: int, grace_s: float) -> None:
    """`app` is an agent's. Tasks have `grace_s` seconds to end, and streams as long again to be read."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=max(1, math.ceil(grace_s))
    )
    server = DrainingServer(config, app.state.drain)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILED)
