"""Heavy work in a thread that really ends when its time is over or its caller cancels."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from agent_servers.api.errors import WorkStopped

T = TypeVar("T")


class Interruptible(Protocol):
    """What can be told from another thread to give up what it is doing (a DuckDB connection)."""

    def interrupt(self) -> None: ...


class Budget:
    """Shared by the event loop, which stops it, and the worker thread, which checks it."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._running: list[Interruptible] = []

    def check(self) -> None:
        """Raise WorkStopped once the budget was stopped. Call it in every long loop."""
        if self._stopped.is_set():
            raise WorkStopped

    @contextmanager
    def interrupting(self, work: Interruptible) -> Iterator[None]:
        """Within the block `stop` also interrupts `work`."""
        with self._lock:
            self._running.append(work)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(work)

    def stop(self) -> None:
        self._stopped.set()
        with self._lock:
            for work in self._running:
                work.interrupt()


async def run_bounded(work: Callable[[Budget], T], *, timeout_s: float) -> T:
    """The result of `work(budget)` run in a thread. TimeoutError when it takes longer.

    On timeout and on cancellation the thread is told to stop; it ends at its next check.
    """
    budget = Budget()
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.to_thread(work, budget)
    finally:
        budget.stop()
