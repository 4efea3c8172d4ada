"""What is done for the registry on a schedule (APScheduler), by one of the coordinators on a database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from a2a.database import Database
from coordinator.clock import Now
from coordinator.health.absence import take_absent_down
from coordinator.health.deep import DeepProber
from coordinator.health.duty import give_up_duty, take_duty
from coordinator.health.probes import Prober
from coordinator.health.record import forget_older_than
from coordinator.registry.canary import Rules, roll_back_canaries
from coordinator.registry.inbox import forget_requests
from coordinator.registry.proving import Prover
from coordinator.registry.withdrawal import withdraw_lost

log = structlog.get_logger(__name__)

DUTY = "registry upkeep"
# Ten sweeps may fail before another coordinator takes over.
DUTY_LEASE_S = 10.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """`prover` is None where agents are used unproven."""

    database: Database
    owner: str
    prober: Prober
    prover: Prover | None
    deep: DeepProber
    canaries: Rules
    history_days: int
    now: Now

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        scheduler, jobs = AsyncIOScheduler(timezone="UTC"), _Jobs()
        # Sweeps may overlap: each claims its agents, so a slow agent does not hold up the next sweep.
        often = {"trigger": "interval", "max_instances": 20, "coalesce": True}
        scheduler.add_job(self._on_duty(jobs, self.prober.sweep), seconds=1, **often)
        if self.prover is not None:
            scheduler.add_job(self._on_duty(jobs, self.prover.sweep), seconds=2, **often)
        scheduler.add_job(self._on_duty(jobs, self.deep.sweep), seconds=2, **often)
        scheduler.add_job(self._on_duty(jobs, self.note_absences), seconds=1, **often)
        scheduler.add_job(self._on_duty(jobs, self.judge_canaries), seconds=2, **often)
        scheduler.add_job(self._on_duty(jobs, self.prune), minutes=10, **often)
        scheduler.start()
        try:
            yield
        finally:
            scheduler.pause()
            await jobs.stop()
            scheduler.shutdown(wait=False)
            give_up = partial(give_up_duty, name=DUTY, owner=self.owner, now=self.now())
            await self.database.write(give_up)

    def _on_duty(self, jobs: "_Jobs", job: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            take = partial(take_duty, name=DUTY, owner=self.owner, now=self.now(), lease_s=DUTY_LEASE_S)
            if await self.database.write(take):
                await job()

        async def run() -> None:
            await jobs.run(work())

        return run

    async def judge_canaries(self) -> None:
        judge = partial(roll_back_canaries, rules=self.canaries, now=self.now())
        for agent_id in await self.database.write(judge):
            log.warning("canary.rolled_back", agent_id=agent_id)

    async def note_absences(self) -> None:
        for agent_id in await self.database.write(partial(take_absent_down, now=self.now())):
            log.info("agent.away", agent_id=agent_id)

    async def prune(self) -> None:
        """Forget the history that is older than the setting, agents gone for longer, and requests of inboxes
        that are over."""
        now = self.now()
        await self.database.write(partial(forget_requests, now=now))
        oldest = now - timedelta(days=self.history_days)
        await self.database.write(partial(forget_older_than, before=oldest))
        if lost := await self.database.write(partial(withdraw_lost, before=oldest, now=now)):
            log.info("agents.lost", count=lost)


class _Jobs:
    """What the scheduler has begun: it would log each job that it cancels as a failure."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[None], asyncio.Task[None] | None] = {}
        self._has_stopped = False

    async def run(self, work: Coroutine[None, None, None]) -> None:
        if self._has_stopped:
            work.close()
            return
        task = asyncio.create_task(work)
        self._running[task] = asyncio.current_task()
        try:
            await asyncio.wait([task])
        finally:
            del self._running[task]
        if not task.cancelled():
            task.result()

    async def stop(self) -> None:
        self._has_stopped = True
        begun = [task for task in self._running.values() if task is not None]
        for task in list(self._running):
            task.cancel()
        if begun:
            await asyncio.wait(begun)
