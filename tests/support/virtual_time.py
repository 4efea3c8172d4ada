"""An event loop whose time passes only when nothing else is left to do: a minute of waiting takes no time,
and what happens is decided by a seed and not by the machine."""

import asyncio
import contextvars
import random
import selectors
from bisect import bisect_right
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
# How long what a thread would do takes, at most, before it is done and before that is known.
THREAD_S = 0.004


class _JumpingSelector(selectors.DefaultSelector):
    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen in this loop")
        if not ready and timeout:
            self.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """What is given to a thread is run in the loop instead, a few virtual milliseconds later: one thing at a
    time, in an order that `seed` decides."""

    def __init__(self, seed: int) -> None:
        selector = _JumpingSelector()
        selector.jump = self._jump
        super().__init__(selector)
        self._seconds = 0.0
        self._jumps: list[tuple[datetime, datetime]] = [(datetime.now(UTC), START)]
        self.random = random.Random(seed)  # noqa: S311 no secret
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self._seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def virtual(self, real: datetime) -> datetime:
        """When that was, for what knows the machine's clock alone."""
        place = bisect_right(self._jumps, real, key=lambda jump: jump[0])
        return self._jumps[max(0, place - 1)][1]

    def pause_s(self) -> float:
        return self.random.random() * THREAD_S

    def run_in_executor(  # type: ignore[override]  # the base declares a generic of TypeVarTuple
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        self.call_later(self.pause_s(), self._work, done, func, args)
        return done

    def _work(self, done: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if done.done():
            return
        try:
            result = func(*args)
        except Exception as exc:  # noqa: BLE001 handed to who waits
            self.call_later(self.pause_s(), _settle, done, None, exc)
        else:
            self.call_later(self.pause_s(), _settle, done, result, None)

    def _jump(self, seconds: float) -> None:
        self._seconds += seconds
        self._jumps.append((datetime.now(UTC), self.now()))


def _settle(done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


class Process:
    """What lives and dies together: all tasks that were started within it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)

    def run(self, coroutine: Coroutine[Any, Any, T], *, name: str = "") -> asyncio.Task[T]:
        loop = asyncio.get_running_loop()
        return loop.create_task(coroutine, name=name or self.name, context=self._context.copy())

    def call(self, function: Callable[[], T]) -> T:
        return self._context.copy().run(function)

    def kill(self) -> None:
        """As kill -9 would: what it has done stays, and nothing more comes of it. Whatever the process owns
        has to ask `is_dead`, since its tasks still run their `finally`."""
        self.is_dead = True
        for task in list(self._tasks):
            task.cancel()

    def own(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.is_dead:
            task.get_loop().call_soon(task.cancel)


_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def current_process() -> Process | None:
    return _PROCESS.get()


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, context: contextvars.Context | None = None
) -> asyncio.Task[Any]:
    task = asyncio.Task(coroutine, loop=loop, context=context)
    process = _PROCESS.get() if context is None else context.get(_PROCESS)
    if process is not None:
        process.own(task)
    return task
