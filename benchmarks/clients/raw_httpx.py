# mypy: ignore-errors
"""A task's three calls in a plain loop. Nothing is written down: what dies with the process is lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from echo_calls import STEPS, calling, state_of


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    async with calling(url) as call:

        async def task() -> str:
            return state_of([await call(instruction) for instruction in STEPS])

        yield task
