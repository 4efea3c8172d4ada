"""Runs in a client's environment: `run.py CLIENT URL CALLERS SECONDS` prints calls, seconds and CPU as JSON.

CLIENT is a module beside this one. Its `connect(url)` is entered, and gives a call that returns the task's
state.
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import uvloop

WARM_S = 0.5
Call = Callable[[], Awaitable[str]]


async def callers(call: Call, number: int, seconds: float) -> int:
    """The calls that ended within `seconds`. Raises where one gives no completed task."""
    ends_at = time.perf_counter() + seconds

    async def caller() -> int:
        calls = 0
        while time.perf_counter() < ends_at:
            state = await call()
            if state != "TASK_STATE_COMPLETED":
                raise SystemExit(f"a call gave {state}")
            calls += 1
        return calls

    return sum(await asyncio.gather(*(caller() for _ in range(number))))


async def main(client: str, url: str, number: int, seconds: float) -> None:
    connected: AbstractAsyncContextManager[Call] = importlib.import_module(client).connect(url)
    async with connected as call:
        await callers(call, number, WARM_S)
        started, cpu = time.perf_counter(), time.process_time()
        calls = await callers(call, number, seconds)
        took, cpu = time.perf_counter() - started, time.process_time() - cpu
    json.dump({"calls": calls, "seconds": took, "cpu_s": cpu}, sys.stdout)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
