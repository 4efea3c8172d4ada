"""The attempts of a task's steps: what is written before, while and after an agent works on one."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from a2a.types import Json, Message, Part, Task
from coordinator.clock import Now
from coordinator.executor.aggregate import step_text
from coordinator.executor.artifacts import (
    insert_artifacts,
    message_parts,
    read_artifacts,
)
from coordinator.executor.decide import RetryPolicy, retry_at
from coordinator.executor.dispatch import Dispatcher, Watcher
from coordinator.executor.events import Event, Wakeups
from coordinator.executor.state import (
    Asked,
    AttemptFailed,
    Done,
    Lease,
    NoAgent,
    Outcome,
    Problem,
    StepState,
    TaskState,
)
from coordinator.executor.store import write_step
from coordinator.health.record import record
from coordinator.planner.plan import PlanStep
from coordinator.registry.choice import NobodyFits, choose
from coordinator.registry.store import Route, list_routes
from models.database import Database
from models.ids import new_id
from models.states import Evidence, StepStatus

log = structlog.get_logger(__name__)

MAX_PROGRESS_EVENTS = 500


@dataclass(frozen=True, slots=True)
class StepLimits:
    timeout_s: float
    retries: RetryPolicy


class StepRunner:
    """Runs the attempts of one claimed task and writes what comes of them."""

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        wakeups: Wakeups,
        limits: StepLimits,
        now: Now,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._wakeups = wakeups
        self._limits = limits
        self._now = now

    async def attempt(self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep) -> None:
        """One attempt, from the choice of an agent to the written outcome; an answered question goes on."""
        if step.answer is not None and step.remote_task_id is not None:
            outcome = await self._answer(lease, task, step)
        else:
            outcome = await self._begin(lease, task, step, planned)
        await self._conclude(lease, step, outcome)

    async def reattach(self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep) -> None:
        """Find again what was running when the process before this one died. A known remote task is followed;
        where only the message is known it is sent again under its own id, which may have run twice."""
        route = await self._route_of(step)
        if route is None:
            outcome: Outcome = AttemptFailed(
                Problem("AGENT_GONE", "The agent left while the step was running."), retryable=True
            )
        elif step.remote_task_id is not None:
            await self._write(lease, step, Event("step.reattached", {"step_number": step.number}))
            outcome = await self._dispatcher.follow(
                route.url,
                step.remote_task_id,
                timeout_s=self._time_left_s(task),
                watcher=self._watcher(lease, step),
            )
        else:
            await self._write(
                lease,
                step,
                Event("step.resent", {"step_number": step.number}),
                may_have_run_twice=True,
            )
            outcome = await self._send(lease, task, step, planned, route)
        await self._conclude(lease, step, outcome)

    async def stop(self, lease: Lease, step: StepState, problem: Problem | None) -> None:
        """End an open step: cancel its remote task, if it has one, and write down what the agent said."""
        answer = None
        if step.remote_task_id is not None and step.status is not StepStatus.PENDING:
            route = await self._route_of(step)
            answer = await self._dispatcher.cancel(route.url, step.remote_task_id) if route else "unknown"
        step.status = StepStatus.CANCELED if problem is None else StepStatus.FAILED
        step.error = problem
        data: dict[str, Json] = {"step_number": step.number, "remote_task": answer}
        kind = "step.canceled" if problem is None else "step.failed"
        await self._write(
            lease,
            step,
            Event(kind, data | (problem.to_json() if problem else {})),
            status=step.status,
            waiting_for=None,
            error=problem.to_json() if problem else None,
            completed_at=self._now(),
        )

    async def skip(self, lease: Lease, step: StepState, reason: str) -> None:
        step.status = StepStatus.SKIPPED
        step.error = Problem("DEPENDENCY_FAILED", reason)
        await self._write(
            lease,
            step,
            Event("step.skipped", {"step_number": step.number, "reason": reason}),
            status=step.status,
            waiting_for=None,
            error=step.error.to_json(),
            completed_at=self._now(),
        )

    async def _begin(self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep) -> Outcome:
        routes = await self._database.read(partial(list_routes, skill_id=step.skill_id))
        route = choose(
            routes,
            skill_id=step.skill_id,
            pinned=planned.agent_id,
            preferred=[c.agent_id for c in planned.candidates if c.skill_id == step.skill_id],
            failed=step.failed_agents,
        )
        if isinstance(route, NobodyFits):
            return NoAgent(route.reason)
        step.status = StepStatus.RUNNING
        step.attempt += 1
        step.agent_id, step.message_id = route.agent_id, new_id("message")
        step.remote_task_id = step.remote_context_id = None
        await self._write(
            lease,
            step,
            Event(
                "step.started",
                {
                    "step_number": step.number,
                    "agent_id": route.agent_id,
                    "agent_name": route.name,
                    "attempt": step.attempt,
                },
            ),
            status=step.status,
            attempt=step.attempt,
            agent_id=step.agent_id,
            message_id=step.message_id,
            remote_task_id=None,
            remote_context_id=None,
            waiting_for=None,
            retry_at=None,
            started_at=self._now(),
        )
        return await self._send(lease, task, step, planned, route)

    async def _send(
        self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep, route: Route
    ) -> Outcome:
        stored = await self._database.read(
            lambda connection: read_artifacts(connection, task.id, steps=[None, *step.depends_on])
        )
        carried = [
            item for item in stored if item.step_number is not None or item.filename in planned.attachments
        ]
        parts, refused = message_parts(step.instruction, carried, route.input_modes)
        if refused:
            data = {"step_number": step.number, "agent_name": route.name, "files": refused}
            await self._write(lease, step, Event("step.files_left_out", data))
        message = Message.from_user(
            *parts,
            context_id=task.session_id,
            metadata={"skillId": step.skill_id},
            message_id=step.message_id,
        )
        return await self._dispatcher.send(
            route.url,
            message,
            streaming=route.streaming,
            timeout_s=self._time_left_s(task),
            watcher=self._watcher(lease, step),
        )

    async def _answer(self, lease: Lease, task: TaskState, step: StepState) -> Outcome:
        """Go on with the remote task that had asked."""
        route = await self._route_of(step)
        if route is None:
            problem = Problem("AGENT_GONE", "The agent left before it got its answer.")
            return AttemptFailed(problem, retryable=True)
        parts = [Part.model_validate(part) for part in step.answer or []]
        step.status, step.answer, step.question = StepStatus.RUNNING, None, None
        step.message_id = new_id("message")
        await self._write(
            lease,
            step,
            Event("step.answered", {"step_number": step.number}),
            status=step.status,
            answer=None,
            question=None,
            message_id=step.message_id,
        )
        message = Message.from_user(
            *parts,
            context_id=step.remote_context_id,
            task_id=step.remote_task_id,
            metadata={"skillId": step.skill_id},
            message_id=step.message_id,
        )
        return await self._dispatcher.send(
            route.url,
            message,
            streaming=route.streaming,
            timeout_s=self._time_left_s(task),
            watcher=self._watcher(lease, step),
        )

    async def _conclude(self, lease: Lease, step: StepState, outcome: Outcome) -> None:
        now = self._now()
        again = retry_at(step, outcome, now, self._limits.retries, jitter=random.random())  # noqa: S311
        match outcome:
            case Done():
                await self._complete(lease, step, outcome)
            case Asked(question):
                await self._ask(lease, step, question)
            case NoAgent(reason):
                await self._wait(lease, step, reason, again)
            case AttemptFailed():
                await self._fail(lease, step, outcome, again)

    async def _complete(self, lease: Lease, step: StepState, outcome: Done) -> None:
        now = self._now()

        def change(connection: Connection) -> None:
            ids = insert_artifacts(connection, lease.task_id, step.number, outcome.artifacts, now)
            stored = read_artifacts(connection, lease.task_id, steps=[step.number])
            events = [
                *(Event("step.artifact", {"step_number": step.number, "name": s.filename}) for s in stored),
                Event("step.completed", {"step_number": step.number, "agent_id": step.agent_id}),
            ]
            write_step(
                connection,
                lease,
                step.number,
                now,
                tuple(events),
                status=StepStatus.COMPLETED,
                waiting_for=None,
                output={"text": step_text(stored)[:20_000], "artifact_ids": ids},
                completed_at=now,
            )
            self._note_call(connection, step, now, ok=True, detail="a step was completed")

        await self._database.write(change)
        step.status = StepStatus.COMPLETED
        self._wakeups.wake(lease.task_id)

    async def _ask(self, lease: Lease, step: StepState, question: str) -> None:
        step.status, step.question = StepStatus.INPUT_REQUIRED, question
        await self._write(
            lease,
            step,
            Event("step.input_required", {"step_number": step.number, "question": question}),
            status=step.status,
            question=question,
        )

    async def _wait(self, lease: Lease, step: StepState, reason: str, again: datetime | None) -> None:
        """Nobody to ask now. Said once, however long it lasts."""
        step.retry_at = again
        if step.waiting_for == reason and step.status is StepStatus.PENDING:
            return
        step.status, step.waiting_for = StepStatus.PENDING, reason
        await self._write(
            lease,
            step,
            Event("step.waiting", {"step_number": step.number, "reason": reason}),
            status=step.status,
            waiting_for=reason,
        )

    async def _fail(
        self, lease: Lease, step: StepState, outcome: AttemptFailed, again: datetime | None
    ) -> None:
        now, problem = self._now(), outcome.problem
        step.retry_at, step.error = again, problem
        if step.agent_id is not None:
            step.failed_agents = (*step.failed_agents, step.agent_id)
        step.status = StepStatus.FAILED if again is None else StepStatus.PENDING
        data: dict[str, Json] = {"step_number": step.number, "agent_id": step.agent_id, **problem.to_json()}
        if again is not None:
            data["retry_at"] = again.isoformat()
        event = Event("step.failed" if again is None else "step.retrying", data)

        def change(connection: Connection) -> None:
            write_step(
                connection,
                lease,
                step.number,
                now,
                (event,),
                status=step.status,
                failed_agents=list(step.failed_agents),
                waiting_for=None if again is None else problem.message,
                error=problem.to_json(),
                retry_at=again,
                completed_at=now if again is None else None,
            )
            self._note_call(connection, step, now, ok=not outcome.blames_agent, detail=problem.message)

        await self._database.write(change)
        self._wakeups.wake(lease.task_id)

    def _note_call(
        self, connection: Connection, step: StepState, now: datetime, *, ok: bool, detail: str
    ) -> None:
        if step.agent_id is not None:
            record(connection, step.agent_id, Evidence.CALL, ok=ok, detail=detail, now=now)

    def _watcher(self, lease: Lease, step: StepState) -> Watcher:
        said: set[str] = set()

        async def seen(remote: Task) -> None:
            step.remote_task_id, step.remote_context_id = remote.id, remote.context_id
            await self._write(lease, step, remote_task_id=remote.id, remote_context_id=remote.context_id)

        async def progress(text: str) -> None:
            if text and text not in said and len(said) < MAX_PROGRESS_EVENTS:
                said.add(text)
                data = {"step_number": step.number, "text": text}
                await self._write(lease, step, Event("step.progress", data))

        return Watcher(seen, progress)

    async def _route_of(self, step: StepState) -> Route | None:
        routes = await self._database.read(partial(list_routes, skill_id=step.skill_id))
        return next((route for route in routes if route.agent_id == step.agent_id), None)

    def _time_left_s(self, task: TaskState) -> float:
        left = (task.deadline_at - self._now()) / timedelta(seconds=1)
        return max(0.0, min(left, self._limits.timeout_s))

    async def _write(self, lease: Lease, step: StepState, *events: Event, **columns: Json) -> None:
        now = self._now()

        def change(connection: Connection) -> None:
            write_step(connection, lease, step.number, now, events, **columns)

        await self._database.write(change)
        self._wakeups.wake(lease.task_id)
