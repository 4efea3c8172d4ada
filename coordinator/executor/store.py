"""Claiming tasks and reading them back: leases, orphans, the state as the rows have it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, or_, select, update

from a2a.types import Json
from coordinator.executor.errors import LeaseLost
from coordinator.executor.history import FOREIGN_KINDS, Event
from coordinator.executor.state import Lease, Problem, StepState, TaskState
from coordinator.planner.plan import Plan, PlanStep, Requirement, Strategy
from models.ids import new_id
from models.states import StepStatus, TaskStatus
from models.tables import Task, TaskEvent, TaskStep

_RUNNABLE = (TaskStatus.PENDING, TaskStatus.PLANNING, TaskStatus.EXECUTING)


def _is_claimable(now: datetime) -> ColumnElement[bool]:
    """Work to do and no living owner. Tasks that wait for a person are left alone until their deadline, or
    until it is time to look whether an agent has gone on by itself."""
    return and_(
        Task.completed_at.is_(None),
        or_(Task.lease_expires_at.is_(None), Task.lease_expires_at < now),
        or_(
            Task.status.in_(_RUNNABLE),
            Task.deadline_at <= now,
            Task.cancel_requested_at.is_not(None),
            and_(Task.status == TaskStatus.INPUT_REQUIRED, _is_to_be_looked_at(now)),
        ),
    )


def _is_to_be_looked_at(now: datetime) -> ColumnElement[bool]:
    """A step of it waits for an authorisation, and its remote task may have gone on meanwhile."""
    steps = TaskStep.__table__.c
    return exists().where(
        steps.task_id == Task.id, steps.status == StepStatus.INPUT_REQUIRED, steps.retry_at <= now
    )


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task under its lease. `unreadable` says why its rows make no state: then there is none to run."""

    lease: Lease
    task: TaskState | None
    unreadable: Exception | None = None


def claim_tasks(
    connection: Connection,
    owner: str,
    lease_s: float,
    now: datetime,
    *,
    limit: int,
    but: Collection[str] = (),
) -> list[Claimed]:
    """Take up to `limit` tasks that nobody runs, urgent ones first, `but` those: what this process runs it
    still runs where it slept through the end of its lease. The guard stands in the UPDATE itself, so
    of two processes that found the same task one gets it."""
    found = (
        select(Task.id)
        .where(_is_claimable(now), Task.id.not_in(but))
        .order_by(Task.priority.desc(), Task.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.execute(found).scalars())
    if not ids:
        return []
    token = new_id("lease")
    expires_at = now + timedelta(seconds=lease_s)
    taken = connection.execute(
        update(Task)
        .where(Task.id.in_(ids), _is_claimable(now))
        .values(lease_owner=owner, lease_token=token, lease_expires_at=expires_at)
        .returning(Task.id)
    )
    return load_tasks(connection, [Lease(task_id, token) for task_id in taken.scalars()])


def claim_task(
    connection: Connection, task_id: str, owner: str, lease_s: float, now: datetime
) -> Claimed | None:
    """None where the task has ended, waits for a person, or belongs to somebody else."""
    lease = Lease(task_id, new_id("lease"))
    taken = connection.execute(
        update(Task)
        .where(Task.id == task_id, _is_claimable(now))
        .values(lease_owner=owner, lease_token=lease.token, lease_expires_at=now + timedelta(seconds=lease_s))
        .returning(Task.id)
    )
    return load_tasks(connection, [lease])[0] if taken.scalar_one_or_none() is not None else None


def load_tasks(connection: Connection, leases: Sequence[Lease]) -> list[Claimed]:
    """The tasks that are still held under these leases, urgent ones first."""
    tokens = {lease.task_id: lease for lease in leases}
    rows = connection.execute(
        select(Task.__table__).where(Task.id.in_(tokens)).order_by(Task.priority.desc(), Task.id)
    ).all()
    steps: dict[str, list[Row[tuple[TaskStep]]]] = {}
    by_number = select(TaskStep.__table__).where(TaskStep.task_id.in_(tokens)).order_by(TaskStep.number)
    for step in connection.execute(by_number):
        steps.setdefault(step.task_id, []).append(step)
    claimed = []
    for row in rows:
        lease = tokens[row.id]
        if row.lease_token != lease.token:
            continue
        try:
            claimed.append(Claimed(lease, task_state(row, steps.get(row.id, ()))))
        except Exception as exc:  # noqa: BLE001 rows that make no sense are the run's failure, told by its runner
            claimed.append(Claimed(lease, None, exc))
    return claimed


def renew_leases(
    connection: Connection, owner: str, task_ids: Iterable[str], lease_s: float, now: datetime
) -> set[str]:
    """The tasks that are still ours."""
    renewed = connection.execute(
        update(Task)
        .where(Task.id.in_(list(task_ids)), Task.lease_owner == owner)
        .values(lease_expires_at=now + timedelta(seconds=lease_s))
        .returning(Task.id)
    )
    return set(renewed.scalars())


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


def fail_open_steps(
    connection: Connection, lease: Lease, problem: dict[str, Json], now: datetime
) -> tuple[str, dict[str, Json] | None]:
    """For a task that fails as a whole; its session and webhook. Raises LeaseLost."""
    ours = select(Task.session_id, Task.webhook).where(
        Task.id == lease.task_id, Task.lease_token == lease.token
    )
    row = connection.execute(ours).one_or_none()
    if row is None:
        raise LeaseLost(lease.task_id)
    connection.execute(
        update(TaskStep)
        .where(TaskStep.task_id == lease.task_id, TaskStep.completed_at.is_(None))
        .values(status=StepStatus.FAILED, error=problem, completed_at=now)
    )
    return row.session_id, row.webhook


def foreign_events(connection: Connection, task_id: str, after: int) -> list[tuple[int, Event]]:
    """What people and other processes have done to the task since event `after`."""
    query = (
        select(TaskEvent.number, TaskEvent.kind, TaskEvent.data)
        .where(TaskEvent.task_id == task_id, TaskEvent.number > after, TaskEvent.kind.in_(FOREIGN_KINDS))
        .order_by(TaskEvent.number)
    )
    return [(row.number, Event(row.kind, row.data)) for row in connection.execute(query)]


def read_answer(connection: Connection, task_id: str, number: int) -> list[Json]:
    """The parts with which a person answered the step's question."""
    query = select(TaskStep.answer).where(TaskStep.task_id == task_id, TaskStep.number == number)
    return connection.execute(query).scalar_one() or []


def task_state(row: Row[tuple[Task]], steps: Iterable[Row[tuple[TaskStep]]]) -> TaskState:
    """The rows as the fold of the task's events."""
    plan = Plan.from_json(row.plan) if row.plan is not None else None
    task = TaskState(
        id=row.id,
        session_id=row.session_id,
        description=row.description,
        strategy=Strategy(row.strategy),
        deadline_at=row.deadline_at,
        needs_approval=row.approval == "plan",
        priority=row.priority,
        traceparent=row.traceparent,
        webhook=row.webhook,
        status=TaskStatus(row.status),
        waiting_for=row.waiting_for,
        cancel_requested=row.cancel_requested_at is not None,
        plan=plan,
        last_look=row.last_event,
    )
    planned = {step.number: step for step in plan.steps} if plan is not None else {}
    for step in steps:
        task.steps[step.number] = _step_state(step, planned)
    return task


def _step_state(row: Row[tuple[TaskStep]], planned: dict[int, PlanStep]) -> StepState:
    known = planned.get(row.parent or row.number)
    return StepState(
        number=row.number,
        planned=known if known is not None else _left_out(row),
        status=StepStatus(row.status),
        attempt=row.attempt,
        agent_id=row.agent_id,
        message_id=row.message_id,
        memory_id=row.memory_id,
        choice=row.choice,
        remote_task_id=row.remote_task_id,
        remote_context_id=row.remote_context_id,
        failed_agents=tuple(row.failed_agents),
        may_have_run_twice=row.may_have_run_twice,
        cancel_answer=row.cancel_answer,
        question=row.question,
        has_answer=row.answer is not None,
        is_approved=row.is_approved,
        waiting_for=row.waiting_for,
        retry_at=row.retry_at,
        error=Problem.from_json(row.error) if row.error is not None else None,
        output=row.output,
        started_at=row.started_at,
        completed_at=row.completed_at,
        parent=row.parent,
        item_index=row.item_index,
        item=row.item,
    )


def _left_out(row: Row[tuple[TaskStep]]) -> PlanStep:
    """A step that a revision of the plan has left out."""
    return PlanStep(
        row.number,
        row.instruction,
        row.skill_id,
        depends_on=tuple(row.depends_on),
        requirement=Requirement(row.requirement),
    )
