"""Finds tasks that nobody runs and runs them, as many at once as the setting allows."""

import asyncio
from collections import Counter
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError

from a2a.database import Database
from coordinator.clock import Now
from coordinator.executor.runner import TaskRunner
from coordinator.executor.store import list_claimable
from models.ids import new_id

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
CRASH_PAUSE_S = 1.0
MAX_CRASHES = 3


class Worker:
    """New tasks are announced by `wake`; what was missed (a crash, another process) is found by looking."""

    def __init__(self, database: Database, runner: TaskRunner, *, max_running: int, now: Now) -> None:
        self._database = database
        self._runner = runner
        self._max_running = max_running
        self._now = now
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._crashes: Counter[str] = Counter()

    @property
    def running(self) -> int:
        return len(self._running)

    def wake(self) -> None:
        self._wake.set()

    async def loop(self) -> None:
        """Never ends by itself."""
        while True:
            self._wake.clear()
            try:
                await self._start_claimable()
            except Exception:
                # The database may be away for a moment; tasks that run here go on.
                log.exception("worker.look_failed")
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
            self._crashes.pop(task_id, None)
        except (SQLAlchemyError, OSError):
            # The task is looked at again, by us or by another process, once the database is back.
            log.exception("task.database_failed", task_id=task_id)
            await asyncio.sleep(CRASH_PAUSE_S)
        except Exception as exc:  # noqa: BLE001 the edge of a run; logged in the next line
            await self._after_crash(task_id, exc)
        finally:
            del self._running[task_id]
            self._wake.set()

    async def _after_crash(self, task_id: str, exc: Exception) -> None:
        """Try a task again that crashed its run, but not for ever: what fails each time fails for good."""
        self._crashes[task_id] += 1
        error_id = new_id("error")
        log.error("task.run_crashed", task_id=task_id, error_id=error_id, exc_info=exc)
        await asyncio.sleep(CRASH_PAUSE_S)
        if self._crashes[task_id] >= MAX_CRASHES:
            await self._runner.give_up(task_id, error_id)
            del self._crashes[task_id]
