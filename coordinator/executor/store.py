"""The run's side of the task tables. Every write is fenced: without the lease it changes nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from a2a.types import Json
from coordinator.executor.errors import LeaseLost
from coordinator.executor.events import Event, insert_events
from coordinator.executor.state import Lease, Problem, StepState, TaskState
from coordinator.planner.plan import Plan, Requirement
from models.ids import new_id
from models.states import StepStatus, TaskStatus
from models.tables import Task, TaskStep

# Failures after which the agent may have done the work all the same.
UNCERTAIN_CODES = ("AGENT_UNREACHABLE", "REMOTE_TASK_LOST", "STEP_TIMEOUT")

_RUNNABLE = (TaskStatus.PENDING, TaskStatus.PLANNING, TaskStatus.EXECUTING)
_WAITS_FOR_PERSON = (TaskStatus.AWAITING_APPROVAL, TaskStatus.INPUT_REQUIRED)


def _is_claimable(now: datetime) -> ColumnElement[bool]:
    """Work to do and no living owner. Tasks that wait for a person are left alone until their deadline."""
    return and_(
        Task.completed_at.is_(None),
        or_(Task.lease_expires_at.is_(None), Task.lease_expires_at < now),
        or_(
            Task.status.in_(_RUNNABLE),
            Task.deadline_at <= now,
            Task.cancel_requested_at.is_not(None),
        ),
    )


def list_claimable(connection: Connection, now: datetime, limit: int) -> list[str]:
    query = select(Task.id).where(_is_claimable(now)).order_by(Task.id).limit(limit)
    return list(connection.execute(query).scalars())


def claim_task(
    connection: Connection, task_id: str, owner: str, lease_s: float, now: datetime
) -> Lease | None:
    """The lease on the task, or None where somebody else was quicker: the guard is in the UPDATE itself."""
    lease = Lease(task_id, new_id("lease"))
    claimed = connection.execute(
        update(Task)
        .where(Task.id == task_id, _is_claimable(now))
        .values(lease_owner=owner, lease_token=lease.token, lease_expires_at=now + timedelta(seconds=lease_s))
        .returning(Task.id)
    )
    return lease if claimed.scalar_one_or_none() is not None else None


def renew_lease(connection: Connection, lease: Lease, lease_s: float, now: datetime) -> bool:
    """False where the lease is lost."""
    renewed = connection.execute(
        update(Task)
        .where(Task.id == lease.task_id, Task.lease_token == lease.token)
        .values(lease_expires_at=now + timedelta(seconds=lease_s))
        .returning(Task.id)
    )
    return renewed.scalar_one_or_none() is not None


def release_lease(connection: Connection, lease: Lease) -> None:
    connection.execute(
        update(Task)
        .where(Task.id == lease.task_id, Task.lease_token == lease.token)
        .values(lease_owner=None, lease_token=None, lease_expires_at=None)
    )


def release_all_leases(connection: Connection) -> int:
    """For a process that knows itself to be the only one: no other can hold a lease. How many there were."""
    released = connection.execute(
        update(Task)
        .where(Task.lease_token.is_not(None))
        .values(lease_owner=None, lease_token=None, lease_expires_at=None)
    )
    return released.rowcount


def load_task(connection: Connection, lease: Lease) -> tuple[TaskState, Plan | None]:
    """Raises LeaseLost."""
    row = connection.execute(
        select(Task.__table__).where(Task.id == lease.task_id, Task.lease_token == lease.token)
    ).one_or_none()
    if row is None:
        raise LeaseLost(lease.task_id)
    steps = connection.execute(
        select(TaskStep.__table__).where(TaskStep.task_id == lease.task_id).order_by(TaskStep.number)
    )
    task = TaskState(
        id=row.id,
        session_id=row.session_id,
        description=row.description,
        status=TaskStatus(row.status),
        deadline_at=row.deadline_at,
        cancel_requested=row.cancel_requested_at is not None,
        steps={step.number: _step_state(step._mapping) for step in steps},  # noqa: SLF001 SQLAlchemy's public name
    )
    return task, Plan.from_json(row.plan) if row.plan is not None else None


def _step_state(row: Json) -> StepState:
    error = row["error"]
    return StepState(
        number=row["number"],
        instruction=row["instruction"],
        skill_id=row["skill_id"],
        requirement=Requirement(row["requirement"]),
        depends_on=tuple(row["depends_on"]),
        status=StepStatus(row["status"]),
        attempt=row["attempt"],
        agent_id=row["agent_id"],
        message_id=row["message_id"],
        remote_task_id=row["remote_task_id"],
        remote_context_id=row["remote_context_id"],
        failed_agents=tuple(row["failed_agents"]),
        may_have_run_twice=row["may_have_run_twice"],
        question=row["question"],
        answer=row["answer"],
        waiting_for=row["waiting_for"],
        retry_at=row["retry_at"],
        error=Problem(error["code"], error["message"]) if error is not None else None,
        is_uncertain=error is not None and error["code"] in UNCERTAIN_CODES,
    )


def write_task(
    connection: Connection,
    lease: Lease,
    now: datetime,
    events: tuple[Event, ...] = (),
    **columns: Json,
) -> None:
    """Fence, count the events, set the columns: one UPDATE. Raises LeaseLost, and then nothing is written."""
    last_number = connection.execute(
        update(Task)
        .where(Task.id == lease.task_id, Task.lease_token == lease.token, Task.completed_at.is_(None))
        .values(last_event=Task.last_event + len(events), updated_at=now, **columns)
        .returning(Task.last_event)
    ).scalar_one_or_none()
    if last_number is None:
        raise LeaseLost(lease.task_id)
    insert_events(connection, lease.task_id, last_number, events, now)


def fail_task(connection: Connection, lease: Lease, problem: Problem, now: datetime) -> None:
    """End the task and its open steps. Raises LeaseLost."""
    write_task(
        connection,
        lease,
        now,
        (Event("task.failed", problem.to_json()),),
        status=TaskStatus.FAILED,
        waiting_for=None,
        error=problem.to_json(),
        completed_at=now,
        lease_owner=None,
        lease_token=None,
        lease_expires_at=None,
    )
    connection.execute(
        update(TaskStep)
        .where(TaskStep.task_id == lease.task_id, TaskStep.completed_at.is_(None))
        .values(status=StepStatus.FAILED, error=problem.to_json(), completed_at=now)
    )


def write_step(
    connection: Connection,
    lease: Lease,
    number: int,
    now: datetime,
    events: tuple[Event, ...] = (),
    **columns: Json,
) -> None:
    """Change an open step, fenced by the task's lease. Raises LeaseLost."""
    write_task(connection, lease, now, events)
    if not columns:
        return
    connection.execute(
        update(TaskStep)
        .where(
            TaskStep.task_id == lease.task_id,
            TaskStep.number == number,
            TaskStep.completed_at.is_(None),
        )
        .values(**columns)
    )


def insert_steps(connection: Connection, task_id: str, plan: Plan) -> None:
    rows = [
        {
            "id": new_id("step"),
            "task_id": task_id,
            "number": step.number,
            "instruction": step.instruction,
            "skill_id": step.skill_id,
            "requirement": step.requirement,
            "depends_on": list(step.depends_on),
            "status": StepStatus.PENDING,
            "attempt": 0,
            "failed_agents": [],
            "may_have_run_twice": False,
        }
        for step in plan.steps
    ]
    connection.execute(insert(TaskStep), rows)


@dataclass(frozen=True, slots=True)
class Signals:
    """What others have written for the runner to see."""

    status: TaskStatus
    cancel_requested: bool
    answers: dict[int, list[Json]]


def read_signals(connection: Connection, lease: Lease) -> Signals:
    """Raises LeaseLost."""
    row = connection.execute(
        select(Task.status, Task.cancel_requested_at).where(
            Task.id == lease.task_id, Task.lease_token == lease.token
        )
    ).one_or_none()
    if row is None:
        raise LeaseLost(lease.task_id)
    answered = connection.execute(
        select(TaskStep.number, TaskStep.answer).where(
            TaskStep.task_id == lease.task_id, TaskStep.answer.is_not(None)
        )
    )
    return Signals(
        TaskStatus(row.status),
        row.cancel_requested_at is not None,
        {step.number: step.answer for step in answered},
    )
