"""Loops that a process needs to be alive: named, stopped with it, and never dead in silence."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import structlog

log = structlog.get_logger(__name__)


@asynccontextmanager
async def background_loop(loop: Coroutine[None, None, None], *, name: str) -> AsyncIterator[None]:
    """Run `loop` beside the body and cancel it afterwards. Should it end by itself, the process is told to
    terminate: a server without its loops looks healthy and does nothing."""

    async def supervised() -> None:
        try:
            await loop
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("loop.died", loop=name)
        else:
            log.error("loop.ended", loop=name)
        signal.raise_signal(signal.SIGTERM)

    task = asyncio.create_task(supervised(), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def every(interval_s: float, work: Callable[[], Awaitable[None]], *, name: str) -> None:
    """Do the work again and again, with a pause between; a time it fails is logged and not the last."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await work()
        except Exception:
            log.exception("loop.failed", loop=name)
