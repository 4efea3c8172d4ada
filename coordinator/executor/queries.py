"""Tasks as they are read: one with all that belongs to it, lists with cursor pages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from coordinator.executor.errors import TaskNotFound
from models.base import DEFAULT_TENANT
from models.states import TaskStatus
from models.tables import Agent, Artifact, Task, TaskStep, WebhookDelivery

AnyRow = Row[Any]


@dataclass(frozen=True, slots=True)
class TaskView:
    task: AnyRow
    steps: list[AnyRow]
    artifacts: list[AnyRow]
    agent_names: dict[str, str]
    webhook: AnyRow | None = None


def find_task(connection: Connection, task_id: str) -> AnyRow:
    """Raises TaskNotFound."""
    query = select(Task.__table__).where(Task.id == task_id, Task.tenant_id == DEFAULT_TENANT)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise TaskNotFound(task_id)
    return row


def view_task(connection: Connection, task_id: str) -> TaskView:
    """Raises TaskNotFound."""
    task = find_task(connection, task_id)
    steps = connection.execute(
        select(TaskStep.__table__).where(TaskStep.task_id == task_id).order_by(TaskStep.number)
    ).all()
    used = {step.agent_id for step in steps if step.agent_id is not None}
    names = connection.execute(select(Agent.id, Agent.name).where(Agent.id.in_(used))) if used else ()
    without_content = [column for column in Artifact.__table__.columns if column.name != "part"]
    artifacts = connection.execute(
        select(*without_content).where(Artifact.task_id == task_id).order_by(Artifact.id)
    )
    delivery = None
    if task.webhook is not None:
        deliveries = select(WebhookDelivery.__table__).where(WebhookDelivery.task_id == task_id)
        delivery = connection.execute(deliveries).one_or_none()
    return TaskView(task, list(steps), list(artifacts), {row.id: row.name for row in names}, delivery)


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list is narrowed to; `before` is the last id of the page before."""

    status: TaskStatus | None = None
    agent_id: str | None = None
    session_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    before: str | None = None


def list_tasks(connection: Connection, wanted: TaskFilter, limit: int) -> list[AnyRow]:
    """Newest first."""
    query = select(Task.__table__).where(Task.tenant_id == DEFAULT_TENANT)
    if wanted.status is not None:
        query = query.where(Task.status == wanted.status)
    if wanted.session_id is not None:
        query = query.where(Task.session_id == wanted.session_id)
    if wanted.created_after is not None:
        query = query.where(Task.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(Task.created_at < wanted.created_before)
    if wanted.agent_id is not None:
        used = TaskStep.__table__.c
        query = query.where(exists().where(used.task_id == Task.id, used.agent_id == wanted.agent_id))
    if wanted.before is not None:
        query = query.where(Task.id < wanted.before)
    return list(connection.execute(query.order_by(Task.id.desc()).limit(limit)).all())
