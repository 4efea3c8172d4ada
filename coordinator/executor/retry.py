"""A task done again where it failed. Terminal states never change, so it is a new task: the steps that had
completed come along with what they produced, the rest is as it was at the beginning."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, or_, select

from a2a.types import Json, Part
from coordinator.executor.artifacts import artifact_rows, read_artifacts
from coordinator.executor.changes import step_row
from coordinator.executor.creation import Creation, NewTask, prepare, step_rows
from coordinator.executor.errors import WrongState
from coordinator.executor.history import Event, evolve
from coordinator.executor.queries import AnyRow, find_task
from coordinator.planner.plan import Plan, Strategy
from models.ids import new_id
from models.states import StepStatus, TaskStatus
from models.tables import TaskStep


def prepare_retry(connection: Connection, task_id: str, now: datetime, default_deadline_s: float) -> Creation:
    """Raises TaskNotFound, and WrongState for a task that has not failed or was not canceled."""
    row = find_task(connection, task_id)
    status = TaskStatus(row.status)
    if status not in (TaskStatus.FAILED, TaskStatus.CANCELED):
        raise WrongState(task_id, status, "only a task that has failed or was canceled can be tried again")
    inputs = read_artifacts(connection, task_id, steps=[None])
    begun = select(TaskStep.id).where(TaskStep.task_id == task_id, TaskStep.attempt > 0).limit(1)
    # A plan that was refused is not approved by being tried again; one that ran was.
    approval = row.approval if connection.execute(begun).first() is None else "none"
    request = NewTask(
        description=row.description,
        user_id=row.user_id,
        session_id=row.session_id,
        strategy=Strategy(row.strategy),
        approval=approval,
        plan=Plan.from_json(row.plan) if row.plan is not None else None,
        deadline_s=(row.deadline_at - row.created_at) / timedelta(seconds=1),
        priority=row.priority,
        webhook=row.webhook,
        traceparent=row.traceparent,
    )
    parts = [_named(item.part, item.filename) for item in inputs]
    creation = prepare(request, parts, now, key=None, default_deadline_s=default_deadline_s)
    creation.task["retry_of"] = task_id
    if request.plan is not None:
        _carry_over(connection, creation, task_id, now)
    return creation


def _named(part: Part, filename: str) -> Part:
    return part.model_copy(update={"filename": filename})


def _carry_over(connection: Connection, creation: Creation, task_id: str, now: datetime) -> None:
    """The completed steps of the old task, each with an event of its own; of a list its items too."""
    done = TaskStep.status == StepStatus.COMPLETED
    query = select(TaskStep.__table__).where(TaskStep.task_id == task_id, done)
    rows = connection.execute(query.order_by(TaskStep.number)).all()
    items: dict[int, list[AnyRow]] = {}
    for row in rows:
        if row.parent is not None:
            items.setdefault(row.parent, []).append(row)
    for row in rows:
        if row.parent is not None or row.number not in creation.state.steps:
            continue
        own = items.get(row.number, [])
        if creation.state.steps[row.number].is_list:
            children = {"children": [i.number for i in own], "items": [i.item for i in own]}
            _happened(creation, now, "step.expanded", row.number, **children)
        for step in (*own, row):
            _completed(connection, creation, task_id, step, now)
    state = creation.state
    for number in connection.execute(_uncertain(task_id)).scalars():
        if number in state.steps:
            state.steps[number].may_have_run_twice = True
    creation.steps = step_rows(state.id, state.steps.values())
    told = [step for step in state.steps.values() if step.status.is_terminal or step.may_have_run_twice]
    creation.done_steps = [step_row(state.id, step) for step in told]
    state.last_look = creation.task["last_event"] = len(creation.events)


def _uncertain(task_id: str) -> Select[int]:
    """The steps that did not complete and may have run all the same: now they run once more."""
    may_have_run = or_(
        TaskStep.may_have_run_twice, TaskStep.error["details"]["may_have_run"].as_boolean().is_(True)
    )
    open_or_failed = TaskStep.status != StepStatus.COMPLETED
    return select(TaskStep.number).where(TaskStep.task_id == task_id, open_or_failed, may_have_run)


def _completed(connection: Connection, creation: Creation, task_id: str, row: AnyRow, now: datetime) -> None:
    old = read_artifacts(connection, task_id, steps=[row.number])
    stored = [replace(item, id=new_id("artifact")) for item in old]
    creation.artifacts += artifact_rows(creation.state.id, stored, now)
    step = creation.state.steps[row.number]
    step.agent_id, step.remote_task_id = row.agent_id, row.remote_task_id
    step.may_have_run_twice = row.may_have_run_twice
    step.output = {**(row.output or {}), "artifact_ids": [item.id for item in stored]}
    _happened(creation, now, "step.completed", row.number, agent_id=row.agent_id, carried_over_from=task_id)


def _happened(creation: Creation, now: datetime, kind: str, step_number: int, **data: Json) -> None:
    event = Event(kind, {"step_number": step_number, **data})
    evolve(creation.state, event, now)
    creation.events.append(
        {
            "task_id": creation.state.id,
            "number": len(creation.events) + 1,
            "kind": kind,
            "data": event.data,
            "created_at": now,
        }
    )
