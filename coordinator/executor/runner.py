"""`run(task_id)`: claim a task, bring it as far as it will go, let it go again. Safe to call at any time,
from any process, any number of times: the lease decides who works."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from a2a.database import Database
from a2a.types import Json, Part
from coordinator.clock import Now
from coordinator.executor.aggregate import aggregate, gaps
from coordinator.executor.artifacts import read_artifacts
from coordinator.executor.decide import decide
from coordinator.executor.errors import LeaseLost
from coordinator.executor.events import Event, Wakeups
from coordinator.executor.outcomes import StepWriter
from coordinator.executor.planning import Planned, Planning, Unplannable
from coordinator.executor.state import (
    Dispatch,
    Finish,
    Lease,
    Problem,
    Reattach,
    Skip,
    Stop,
    TaskState,
    Wait,
)
from coordinator.executor.steps import StepRunner
from coordinator.executor.store import (
    claim_task,
    fail_task,
    insert_steps,
    load_task,
    read_signals,
    release_lease,
    renew_lease,
    write_task,
)
from coordinator.memory.store import add_message
from coordinator.planner.plan import Plan
from models.states import Speaker, StepStatus, TaskStatus

log = structlog.get_logger(__name__)

NO_AGENTS_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class RunTools:
    """What a run works with. `control` wakes a running task when somebody cancels, approves or answers;
    `news` tells watchers of new events; `owner` names this process in the leases."""

    database: Database
    planning: Planning
    steps: StepRunner
    writer: StepWriter
    control: Wakeups
    news: Wakeups
    owner: str
    lease_s: float
    max_parallel_steps: int
    now: Now


class TaskRunner:
    def __init__(self, tools: RunTools) -> None:
        self._tools = tools

    async def run(self, task_id: str) -> None:
        """Returns when the task has ended, waits for a person, or belongs to somebody else."""
        tools = self._tools
        claim = partial(
            claim_task, task_id=task_id, owner=tools.owner, lease_s=tools.lease_s, now=tools.now()
        )
        lease = await tools.database.write(claim)
        if lease is None:
            return
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            try:
                async with self._renewed(lease):
                    await _Run(tools, lease).until_rest()
            except LeaseLost:
                log.warning("task.lease_lost")
            finally:
                await asyncio.shield(tools.database.write(partial(release_lease, lease=lease)))

    async def give_up(self, task_id: str, error_id: str) -> None:
        """Fail a task whose run crashes each time; its plan and steps are not even read."""
        tools, now = self._tools, self._tools.now()
        problem = Problem("INTERNAL_ERROR", f"The coordinator failed on this task; its log has {error_id}.")
        claim = partial(claim_task, task_id=task_id, owner=tools.owner, lease_s=tools.lease_s, now=now)
        lease = await tools.database.write(claim)
        if lease is not None:
            await tools.database.write(partial(fail_task, lease=lease, problem=problem, now=now))
            tools.news.wake(task_id)

    @asynccontextmanager
    async def _renewed(self, lease: Lease) -> AsyncIterator[None]:
        tools = self._tools

        async def renew() -> None:
            while True:
                await asyncio.sleep(tools.lease_s / 3)
                renewal = partial(renew_lease, lease=lease, lease_s=tools.lease_s, now=tools.now())
                try:
                    is_ours = await tools.database.write(renewal)
                except Exception:
                    # The database may be back before the lease runs out.
                    log.exception("lease.renewal_failed")
                    continue
                if not is_ours:
                    # The run finds out by itself: its next write is refused.
                    return
                tools.control.wake(lease.task_id)

        renewal = asyncio.create_task(renew(), name=f"lease of {lease.task_id}")
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.wait([renewal])


class AnswerCame(Exception):
    """A step's question was answered while its run was about to leave it to a person."""


class _Run:
    """One claimed task in this process."""

    def __init__(self, tools: RunTools, lease: Lease) -> None:
        self._tools = tools
        self._database = tools.database
        self._steps = tools.steps
        self._now = tools.now
        self._lease = lease
        self._active: dict[int, asyncio.Task[None]] = {}

    async def until_rest(self) -> None:
        task, plan = await self._database.read(partial(load_task, lease=self._lease))
        try:
            with self._tools.control.listening(task.id) as wake:
                if plan is None:
                    plan = await self._make_plan(task, wake)
                if plan is not None:
                    await self._execute(task, plan, wake)
        finally:
            for attempt in self._active.values():
                attempt.cancel()
            if self._active:
                await asyncio.wait(self._active.values())

    async def _make_plan(self, task: TaskState, wake: asyncio.Event) -> Plan | None:
        """The plan, written with its steps; None where the task has ended instead. A network without any
        agent is waited for: it may only just be starting."""
        waiting_for: str | None = None
        while True:
            if task.cancel_requested or self._now() >= task.deadline_at:
                await self._finish(task, None, _unplanned_end(task, waiting_for))
                return None
            outcome = await self._tools.planning.plan(task)
            if isinstance(outcome, Planned):
                return await self._adopt(task, outcome)
            if isinstance(outcome, Unplannable):
                await self._finish(task, None, Finish(TaskStatus.FAILED, outcome.problem))
                return None
            if waiting_for is None:
                waiting_for = outcome.reason
                await self._write(
                    Event("task.waiting", {"reason": waiting_for}),
                    status=TaskStatus.PLANNING,
                    waiting_for=waiting_for,
                )
            await self._rest(wake, self._now() + timedelta(seconds=NO_AGENTS_RETRY_S))
            await self._look(task)

    async def _adopt(self, task: TaskState, planned: Planned) -> Plan:
        status = TaskStatus.AWAITING_APPROVAL if planned.needs_approval else TaskStatus.EXECUTING
        now, plan = self._now(), planned.plan
        events = (
            Event("task.planned", {"plan": plan.to_json()}),
            Event(f"task.{status}", {}),
        )

        def change(connection: Connection) -> TaskState:
            write_task(
                connection, self._lease, now, events, status=status, waiting_for=None, plan=plan.to_json()
            )
            insert_steps(connection, self._lease.task_id, plan)
            return load_task(connection, self._lease)[0]

        fresh = await self._database.write(change)
        self._tools.news.wake(task.id)
        task.status, task.steps = fresh.status, fresh.steps
        return plan

    async def _execute(self, task: TaskState, plan: Plan, wake: asyncio.Event) -> None:
        planned = {step.number: step for step in plan.steps}
        while True:
            commands = decide(
                task,
                self._now(),
                active=self._active.keys(),
                max_parallel=self._tools.max_parallel_steps,
            )
            stops = [command for command in commands if isinstance(command, Stop)]
            # All at once: an agent that does not answer its cancel holds up no other.
            await asyncio.gather(*(self._stop(task, stop.number, stop.problem) for stop in stops))
            for command in commands:
                match command:
                    case Dispatch(number):
                        attempt = self._steps.attempt(self._lease, task, task.steps[number], planned[number])
                        self._active[number] = asyncio.create_task(attempt, name=f"step {number}")
                    case Reattach(number):
                        attempt = self._steps.reattach(self._lease, task, task.steps[number], planned[number])
                        self._active[number] = asyncio.create_task(attempt, name=f"step {number}")
                    case Skip(number, reason):
                        await self._tools.writer.skip(self._lease, task.steps[number], reason)
                    case Stop():
                        continue
                    case Finish():
                        await self._finish(task, plan, command)
                        return
                    case Wait(until, for_person):
                        if for_person and await self._left_to_person(task):
                            return
                        await self._rest(wake, until)
            await self._collect()
            await self._look(task)

    async def _rest(self, wake: asyncio.Event, until: datetime) -> None:
        """Until a step ends, somebody wakes us, or the time has come."""
        left_s = max(0.0, (until - self._now()) / timedelta(seconds=1))
        woken = asyncio.create_task(wake.wait())
        await asyncio.wait(
            [woken, *self._active.values()], timeout=left_s, return_when=asyncio.FIRST_COMPLETED
        )
        woken.cancel()
        wake.clear()

    async def _collect(self) -> None:
        """Drop the attempts that have ended. One that crashed ends the run: its exception is raised here."""
        for number, attempt in list(self._active.items()):
            if attempt.done():
                del self._active[number]
                await attempt

    async def _look(self, task: TaskState) -> None:
        """See what others have written: a cancel, an approval, an answer."""
        signals = await self._database.read(partial(read_signals, lease=self._lease))
        task.cancel_requested = signals.cancel_requested
        if task.status is TaskStatus.AWAITING_APPROVAL:
            task.status = signals.status
        for number, answer in signals.answers.items():
            if number not in self._active:
                task.steps[number].answer = answer

    async def _stop(self, task: TaskState, number: int, problem: Problem | None) -> None:
        attempt = self._active.pop(number, None)
        if attempt is not None:
            attempt.cancel()
            await asyncio.wait([attempt])
        step = task.steps[number]
        if not step.status.is_terminal:
            await self._steps.stop(self._lease, step, problem)

    async def _left_to_person(self, task: TaskState) -> bool:
        """Whether the run can end here. False where the answer came while it was about to: the rows of task
        and steps change together in one transaction, so one of the two sees the other."""
        if task.status is TaskStatus.AWAITING_APPROVAL:
            signals = await self._database.read(partial(read_signals, lease=self._lease))
            return signals.status is TaskStatus.AWAITING_APPROVAL and not signals.cancel_requested
        asking = next(step for step in task.steps.values() if step.status is StepStatus.INPUT_REQUIRED)
        data = {"step_number": asking.number, "question": asking.question}
        event, now = Event("task.input_required", data), self._now()

        def change(connection: Connection) -> bool:
            # The task's row first: whoever answers takes it first too.
            write_task(connection, self._lease, now, (event,), status=TaskStatus.INPUT_REQUIRED)
            if read_signals(connection, self._lease).answers:
                raise AnswerCame
            return True

        try:
            left = await self._database.write(change)
        except AnswerCame:
            await self._look(task)
            return False
        self._tools.news.wake(task.id)
        return left

    async def _finish(self, task: TaskState, plan: Plan | None, finish: Finish) -> None:
        now = self._now()
        problem = finish.problem.to_json() if finish.problem is not None else None
        event = Event(f"task.{finish.status}", problem or {})
        # Nobody else writes artifacts of this task, so they need not be read inside the transaction.
        done = [number for number, step in task.steps.items() if step.status is StepStatus.COMPLETED]
        stored = await self._database.read(partial(read_artifacts, task_id=task.id, steps=done))
        result = aggregate(task.steps, stored)

        def change(connection: Connection) -> None:
            write_task(
                connection,
                self._lease,
                now,
                (event,),
                status=finish.status,
                waiting_for=None,
                result=result.to_json() if result.text else None,
                error=problem,
                gaps=gaps(task.steps, plan.notes if plan is not None else ()),
                completed_at=now,
                lease_owner=None,
                lease_token=None,
                lease_expires_at=None,
            )
            said = result.text if finish.status is TaskStatus.COMPLETED else _last_words(finish)
            parts = [Part.from_text(said)]
            add_message(connection, task.session_id, Speaker.AGENT, parts, now, task_id=task.id)

        await self._database.write(change)
        log.info("task.ended", status=str(finish.status), code=(problem or {}).get("code"))
        self._tools.news.wake(task.id)

    async def _write(self, event: Event, **columns: Json) -> None:
        now = self._now()

        def change(connection: Connection) -> None:
            write_task(connection, self._lease, now, (event,), **columns)

        await self._database.write(change)
        self._tools.news.wake(self._lease.task_id)


def _unplanned_end(task: TaskState, waiting_for: str | None) -> Finish:
    if task.cancel_requested:
        return Finish(TaskStatus.CANCELED)
    reason = waiting_for or "It was not planned yet."
    problem = Problem("DEADLINE_EXCEEDED", f"The deadline passed while the task waited. {reason}")
    return Finish(TaskStatus.FAILED, problem)


def _last_words(finish: Finish) -> str:
    return finish.problem.message if finish.problem is not None else "The task was canceled."
