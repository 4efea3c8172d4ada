"""Waiting for something to become true, with an end to it."""

import asyncio
import concurrent.futures
import time
from collections.abc import Callable

POLL_S = 0.005


async def eventually(condition: Callable[[], object], *, within_s: float = 2.0) -> None:
    """Return as soon as `condition()` is true; fail when it is still false after `within_s` seconds."""
    ends_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_at, f"still not so after {within_s:g} s"
        await asyncio.sleep(POLL_S)


def eventually_now(condition: Callable[[], object], *, within_s: float = 2.0) -> None:
    """`eventually` for code that runs in no event loop."""
    ends_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_at, f"still not so after {within_s:g} s"
        time.sleep(POLL_S)


class Gate:
    """Opened once, waited for in any thread's event loop: how a test tells a skill to go on."""

    def __init__(self) -> None:
        self._opened: concurrent.futures.Future[None] = concurrent.futures.Future()

    @property
    def is_open(self) -> bool:
        return self._opened.done()

    def open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    async def wait(self, *, within_s: float = 10.0) -> None:
        """A canceled waiter leaves the gate as it is."""
        async with asyncio.timeout(within_s):
            await asyncio.shield(asyncio.wrap_future(self._opened))
