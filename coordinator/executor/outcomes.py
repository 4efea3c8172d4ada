"""What comes of an attempt, written down: the step's row, its artifacts, its events, the agent's health."""

import random
from datetime import datetime

from sqlalchemy import Connection

from a2a.database import Database
from a2a.types import Json
from coordinator.clock import Now
from coordinator.executor.aggregate import step_text
from coordinator.executor.artifacts import insert_artifacts, read_artifacts
from coordinator.executor.decide import RetryPolicy, retry_at
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
from models.states import Evidence, StepStatus

MAX_OUTPUT_CHARS = 20_000


class StepWriter:
    """Writes to the steps of claimed tasks, fenced by the lease, and tells the watchers."""

    def __init__(self, database: Database, wakeups: Wakeups, retries: RetryPolicy, now: Now) -> None:
        self._database = database
        self._wakeups = wakeups
        self._retries = retries
        self._now = now

    async def write(self, lease: Lease, step: StepState, *events: Event, **columns: Json) -> None:
        """Change an open step. Raises LeaseLost."""
        now = self._now()

        def change(connection: Connection) -> None:
            write_step(connection, lease, step.number, now, events, **columns)

        await self._database.write(change)
        self._wakeups.wake(lease.task_id)

    async def skip(self, lease: Lease, step: StepState, reason: str) -> None:
        step.status = StepStatus.SKIPPED
        step.error = Problem("DEPENDENCY_FAILED", reason)
        await self.write(
            lease,
            step,
            Event("step.skipped", {"step_number": step.number, "reason": reason}),
            status=step.status,
            waiting_for=None,
            error=step.error.to_json(),
            completed_at=self._now(),
        )

    async def conclude(self, lease: Lease, task: TaskState, step: StepState, outcome: Outcome) -> None:
        """Write what the attempt came to, and when the step is to be tried again if it is."""
        now = self._now()
        again = retry_at(step, outcome, now, self._retries, jitter=random.random())  # noqa: S311
        match outcome:
            case Done():
                await self._complete(lease, step, outcome)
            case Asked(question):
                await self._ask(lease, step, question)
            case NoAgent(reason):
                await self._wait(lease, step, reason, again)
            case AttemptFailed():
                # A step cut short by the task's own deadline says nothing about the agent.
                is_fair = now < task.deadline_at
                await self._fail(lease, step, outcome, again, blames_agent=outcome.blames_agent and is_fair)

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
                answer=None,
                error=None,
                output={"text": step_text(stored)[:MAX_OUTPUT_CHARS], "artifact_ids": ids},
                completed_at=now,
            )
            self._note_call(connection, step, now, ok=True, detail="a step was completed")

        await self._database.write(change)
        step.status, step.error = StepStatus.COMPLETED, None
        self._wakeups.wake(lease.task_id)

    async def _ask(self, lease: Lease, step: StepState, question: str) -> None:
        step.status, step.question, step.answer = StepStatus.INPUT_REQUIRED, question, None
        await self.write(
            lease,
            step,
            Event("step.input_required", {"step_number": step.number, "question": question}),
            status=step.status,
            question=question,
            answer=None,
        )

    async def _wait(self, lease: Lease, step: StepState, reason: str, again: datetime | None) -> None:
        """Nobody to ask now. Said once, however long it lasts."""
        step.retry_at = again
        if step.waiting_for == reason and step.status is StepStatus.PENDING:
            return
        step.status, step.waiting_for = StepStatus.PENDING, reason
        await self.write(
            lease,
            step,
            Event("step.waiting", {"step_number": step.number, "reason": reason}),
            status=step.status,
            waiting_for=reason,
        )

    async def _fail(
        self,
        lease: Lease,
        step: StepState,
        outcome: AttemptFailed,
        again: datetime | None,
        *,
        blames_agent: bool,
    ) -> None:
        now, problem = self._now(), outcome.problem
        step.is_uncertain = outcome.is_uncertain
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
            self._note_call(connection, step, now, ok=not blames_agent, detail=problem.message)

        await self._database.write(change)
        self._wakeups.wake(lease.task_id)

    def _note_call(
        self, connection: Connection, step: StepState, now: datetime, *, ok: bool, detail: str
    ) -> None:
        if step.agent_id is not None:
            record(connection, step.agent_id, Evidence.CALL, ok=ok, detail=detail, now=now)
