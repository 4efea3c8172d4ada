"""A coordinator that knows its own URL, so that agents can call it back, and can come back on it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pydantic import HttpUrl

from coordinator.app import create_app
from coordinator.settings import Settings
from tests.support.coordinator import Coordinator
from tests.support.server import serving


@contextmanager
def reachable_coordinator(settings: Settings) -> Iterator[Coordinator]:
    bound = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    with ExitStack() as stack:
        app = create_app(settings.model_copy(update={"coordinator_url": HttpUrl(url)}))
        stack.enter_context(serving(app, listening=bound))
        yield Coordinator(url, stack)
