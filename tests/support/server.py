"""A real uvicorn server in a thread of its own, on a free port of this machine."""

import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from tests.support.waiting import eventually_now

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(slots=True)
class Served:
    """`url` has no slash at its end."""

    url: str
    _server: uvicorn.Server
    _thread: threading.Thread = field(repr=False)

    def stop(self) -> None:
        """As on SIGTERM: no new connections, open ones finish, then the app's lifespan ends."""
        self._server.should_exit = True
        self._thread.join(timeout=20)
        assert not self._thread.is_alive(), "the server did not stop within 20 s"


@contextlib.contextmanager
def serving(app: AsgiApp, *, graceful_s: int = 1, listening: socket.socket | None = None) -> Iterator[Served]:
    """The app behind HTTP for as long as the context lasts; `graceful_s` is how long open requests may take
    once it stops. `listening` is a socket that is already bound, for a server that comes back on its port."""
    bound = listening or socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=graceful_s)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), name="served app", daemon=True)
    thread.start()
    served = Served(f"http://127.0.0.1:{bound.getsockname()[1]}", server, thread)
    try:
        eventually_now(lambda: server.started or not thread.is_alive(), within_s=10)
        assert server.started, "the app did not start"
        yield served
    finally:
        served.stop()
        bound.close()
