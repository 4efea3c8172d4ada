"""Where the agent that `parley check` tries can send notifications: a small server on this machine."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

from coordinator.executor.delivery import PushInbox

HOST: Final = "127.0.0.1"
TOKEN_HEADER: Final = "X-A2A-Notification-Token"  # noqa: S105 the name of a header
MAX_BODY_BYTES: Final = 1_000_000
READ_TIMEOUT_S: Final = 10.0


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """The library would print a traceback where a client hangs up."""


@contextmanager
def push_receiver() -> Iterator[PushInbox]:
    """To be entered inside the event loop that waits for the notifications."""
    loop = asyncio.get_running_loop()

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_TIMEOUT_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            # An unread body would end the connection before the agent has its answer.
            self.rfile.read(min(int(length) if length.isdigit() else 0, MAX_BODY_BYTES))
            with suppress(RuntimeError):  # it comes late, and the loop is closed
                loop.call_soon_threadsafe(inbox.arrive, self.headers.get(TOKEN_HEADER, ""))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the library's name
            pass

    server = _Server((HOST, 0), Handler)
    inbox = PushInbox(f"http://{HOST}:{server.server_port}/")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
