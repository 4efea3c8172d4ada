"""Which tasks this process runs: new ones as they are made, those that nobody runs as they are found.

`run(task_id)` is all that whoever delivers work needs: it claims the task, brings it as far as it will go and
lets it go again. It may be called at any time, from any process, any number of times.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError

from a2a.types import Part
from coordinator.executor.artifacts import Stored
from coordinator.executor.changes import Change, Ending
from coordinator.executor.creation import Creation, lease_at_birth
from coordinator.executor.errors import LeaseLost
from coordinator.executor.faults import AFTER_CLAIM, AFTER_CREATE, Fault
from coordinator.executor.history import Event
from coordinator.executor.run import Run
from coordinator.executor.state import Lease, Problem
from coordinator.executor.store import (
    Claimed,
    claim_task,
    claim_tasks,
    fail_open_steps,
    release_lease,
    renew_leases,
)
from coordinator.executor.tools import RunTools
from models.ids import new_id
from models.states import TaskStatus

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
CRASH_PAUSE_S = 1.0
MAX_CRASHES = 3


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """`owner` names this process in the leases, this one start of it alone."""

    owner: str
    lease_s: float
    max_running: int


@dataclass(slots=True)
class _Running:
    lease: Lease
    work: asyncio.Task[None]


class Worker:
    def __init__(self, tools: RunTools, policy: WorkerPolicy, *, fault: Fault) -> None:
        self._database = tools.database
        self._tools = tools
        self._policy = policy
        self._fault = fault
        self._now = tools.now
        self._running: dict[str, _Running] = {}
        self._promised = 0
        self._wake = asyncio.Event()
        self._crashes: Counter[str] = Counter()
        self._is_draining = False

    @property
    def running(self) -> int:
        return len(self._running)

    def wake(self) -> None:
        """There may be work: look now."""
        self._wake.set()

    async def create(self, creation: Creation) -> str:
        """Make the task durable and run it, at once where there is room; its id, or that of the one that was
        made before under the same key. Raises SessionNotFound and IdempotencyConflict."""
        lease = None
        has_room = len(self._running) + self._promised < self._policy.max_running and not self._is_draining
        if has_room and creation.state.status is not TaskStatus.AWAITING_APPROVAL:
            lease = lease_at_birth(creation, self._policy.owner, self._policy.lease_s, self._now())
            self._promised += 1
        written = self._tools.journal.submit(creation)
        # Here and not after the await: the caller may be gone by then, and the task is ours.
        written.add_done_callback(partial(self._begin, creation, lease))
        await asyncio.shield(written)
        self._fault(AFTER_CREATE)
        return creation.made or creation.state.id

    async def run(self, task_id: str) -> None:
        """Returns when the task has ended, waits for a person, or belongs to somebody else."""
        claimed = await self._database.write(
            partial(
                claim_task,
                task_id=task_id,
                owner=self._policy.owner,
                lease_s=self._policy.lease_s,
                now=self._now(),
            )
        )
        if claimed is not None:
            await self._start(claimed).work

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

    async def renew(self) -> None:
        """Keep the leases of what runs here. A run whose lease is lost is stopped: another process has it."""
        if not self._running:
            return
        held = dict(self._running)
        policy = self._policy
        renewal = partial(
            renew_leases, owner=policy.owner, task_ids=list(held), lease_s=policy.lease_s, now=self._now()
        )
        ours = await self._database.write(renewal)
        for task_id, running in held.items():
            if task_id in ours:
                # Another process may have acted on it.
                self._tools.control.wake(task_id)
            elif self._running.get(task_id) is running and not running.work.done():
                log.warning("task.lease_lost", task_id=task_id)
                running.work.cancel()

    async def drain(self, *, grace_s: float) -> None:
        """Take nothing new, let running tasks go on for `grace_s` seconds, then leave them to whoever comes
        next."""
        self._is_draining = True
        works = [running.work for running in self._running.values()]
        if works:
            _, late = await asyncio.wait(works, timeout=grace_s)
            for work in late:
                work.cancel()
            if late:
                await asyncio.wait(late)

    async def _start_claimable(self) -> None:
        free = self._policy.max_running - len(self._running) - self._promised
        if free <= 0 or self._is_draining:
            return
        claim = partial(
            claim_tasks,
            owner=self._policy.owner,
            lease_s=self._policy.lease_s,
            now=self._now(),
            limit=free,
            but=list(self._running),
        )
        for claimed in await self._database.write(claim):
            self._start(claimed)

    def _begin(self, creation: Creation, lease: Lease | None, written: "asyncio.Future[int]") -> None:
        """The task has been made, or not."""
        if lease is not None:
            self._promised -= 1
        if written.cancelled() or written.exception() is not None or creation.made is not None:
            return
        if lease is not None:
            creation.is_begun_here = True
            self._start(Claimed(lease, creation.state), creation.inputs)
        else:
            self.wake()

    def _start(self, claimed: Claimed, inputs: list[Stored] | None = None) -> _Running:
        task_id = claimed.lease.task_id
        work = asyncio.create_task(self._run(claimed, inputs), name=f"run {task_id}")
        running = self._running[task_id] = _Running(claimed.lease, work)
        work.add_done_callback(partial(self._forget, task_id, running))
        return running

    def _forget(self, task_id: str, running: _Running, _work: "asyncio.Task[None]") -> None:
        if self._running.get(task_id) is running:
            del self._running[task_id]
        self._wake.set()

    async def _run(self, claimed: Claimed, inputs: list[Stored] | None) -> None:
        lease = claimed.lease
        has_ended = False
        with structlog.contextvars.bound_contextvars(task_id=lease.task_id):
            try:
                self._fault(AFTER_CLAIM)
                has_ended = await self._until_rest(claimed, inputs)
                self._crashes.pop(lease.task_id, None)
            except LeaseLost:
                log.warning("task.lease_lost")
            except (SQLAlchemyError, OSError):
                # The task is looked at again, by us or by another process, once the database is back.
                log.exception("task.database_failed")
                await asyncio.sleep(CRASH_PAUSE_S)
            except Exception as exc:  # noqa: BLE001 the edge of a run; logged in the next line
                await self._after_crash(lease, exc)
            finally:
                if not has_ended:
                    await asyncio.shield(self._release(lease))

    async def _until_rest(self, claimed: Claimed, inputs: list[Stored] | None) -> bool:
        """Whether the task has ended, and its lease with it."""
        if claimed.task is None:
            raise claimed.unreadable or RuntimeError("the task cannot be read")
        await Run(self._tools, claimed.lease, claimed.task, inputs).until_rest()
        return claimed.task.status.is_terminal

    async def _release(self, lease: Lease) -> None:
        try:
            await self._database.write(partial(release_lease, lease=lease))
        except (SQLAlchemyError, OSError):
            log.exception("lease.release_failed")

    async def _after_crash(self, lease: Lease, exc: Exception) -> None:
        """Try a task again that crashed its run, but not for ever: what fails each time fails for good."""
        self._crashes[lease.task_id] += 1
        error_id = new_id("error")
        log.error("task.run_crashed", error_id=error_id, exc_info=exc)
        await asyncio.sleep(CRASH_PAUSE_S)
        if self._crashes[lease.task_id] >= MAX_CRASHES:
            await self._give_up(lease, error_id)
            del self._crashes[lease.task_id]

    async def _give_up(self, lease: Lease, error_id: str) -> None:
        """Its plan and steps are not even read."""
        sentence = f"The coordinator failed on this task; its log has {error_id}."
        problem = Problem("INTERNAL_ERROR", sentence).to_json()
        now = self._now()
        session_id, webhook = await self._database.write(
            partial(fail_open_steps, lease=lease, problem=problem, now=now)
        )
        ending = Ending(
            result=None,
            error=problem,
            gaps=[],
            session_id=session_id,
            said=[Part.from_text(sentence).to_json()],
            webhook=webhook,
        )
        event = Event("task.failed", problem)
        change = Change(lease, now, (event,), status=TaskStatus.FAILED, ending=ending)
        await self._tools.journal.write(change)
        self._tools.news.wake(lease.task_id)
        self._tools.rests.wake(lease.task_id)
