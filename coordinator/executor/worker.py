"""Finds tasks that nobody runs and runs them, as many at once as the setting allows."""

import asyncio
from functools import partial

import structlog

from coordinator.clock import Now
from coordinator.executor.runner import TaskRunner
from coordinator.executor.store import list_claimable
from models.database import Database

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
CRASH_PAUSE_S = 10.0


class Worker:
    """New tasks are announced by `wake`; what was missed (a crash, another process) is found by looking."""

    def __init__(self, database: Database, runner: TaskRunner, *, max_running: int, now: Now) -> None:
        self._database = database
        self._runner = runner
        self._max_running = max_running
        self._now = now
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    @property
    def running(self) -> int:
        return len(self._running)

    def wake(self) -> None:
        self._wake.set()

    async def loop(self) -> None:
        """Never ends by itself."""
        while True:
            self._wake.clear()
            await self._start_claimable()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def drain(self, *, grace_s: float) -> None:
        """Let running tasks go on for `grace_s` seconds, then leave them to whoever comes next."""
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _start_claimable(self) -> None:
        free = self._max_running - len(self._running)
        if free <= 0:
            return
        limit = free + len(self._running)
        ids = await self._database.read(partial(list_claimable, now=self._now(), limit=limit))
        for task_id in [task_id for task_id in ids if task_id not in self._running][:free]:
            run = asyncio.create_task(self._run(task_id), name=f"run {task_id}")
            self._running[task_id] = run

    async def _run(self, task_id: str) -> None:
        try:
            await self._runner.run(task_id)
        except Exception:
            # The lease is released: the task is looked at again, by us or by another process.
            log.exception("task.run_crashed", task_id=task_id)
            await asyncio.sleep(CRASH_PAUSE_S)
        finally:
            del self._running[task_id]
            self._wake.set()
