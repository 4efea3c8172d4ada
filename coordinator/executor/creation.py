"""A new task: what was asked for, and the rows it begins with."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import pydantic_core
from sqlalchemy import Connection, Table, select

from a2a.types import Artifact as A2AArtifact
from a2a.types import Json, Part
from coordinator.executor.artifacts import Stored, artifact_rows, store_parts
from coordinator.executor.changes import ADD_ARTIFACTS, ADD_EVENTS, ADD_STEPS, SET_STEP, Rows
from coordinator.executor.errors import IdempotencyConflict
from coordinator.executor.history import Event
from coordinator.executor.state import Lease, StepState, TaskState
from coordinator.memory.errors import SessionNotFound
from coordinator.memory.store import Said, add_messages
from coordinator.planner.plan import Plan, Strategy
from models.base import DEFAULT_TENANT
from models.batch import insert_batch
from models.ids import new_id
from models.states import Speaker, TaskStatus
from models.tables import Session, Task

_ADD_SESSIONS = insert_batch(cast("Table", Session.__table__), ["id", "user_id", "created_at", "updated_at"])
_ADD_TASKS = insert_batch(
    cast("Table", Task.__table__),
    [
        "id",
        "session_id",
        "user_id",
        "description",
        "strategy",
        "approval",
        "priority",
        "traceparent",
        "webhook",
        "retry_of",
        "status",
        "plan",
        "gaps",
        "last_event",
        "idempotency_key",
        "request_digest",
        "deadline_at",
        "lease_owner",
        "lease_token",
        "lease_expires_at",
        "created_at",
        "updated_at",
    ],
)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A request for a task, checked in shape. `plan` is the caller's own, if it has one; `webhook` is told of
    the end: {"url": ..., "secret": ...}."""

    description: str
    inputs: tuple[Part, ...] = ()
    user_id: str | None = None
    session_id: str | None = None
    strategy: Strategy = Strategy.auto
    approval: str = "none"
    plan: Plan | None = None
    deadline_s: float | None = None
    priority: int = 0
    webhook: dict[str, Json] | None = None
    traceparent: str | None = None

    def digest(self) -> str:
        """Tells two requests under one Idempotency-Key apart; the trace it belongs to makes no difference."""
        content = [
            self.description,
            [part.to_json() for part in self.inputs],
            self.user_id,
            self.session_id,
            self.strategy,
            self.approval,
            self.plan.to_json() if self.plan is not None else None,
            self.deadline_s,
            self.priority,
            self.webhook,
        ]
        return hashlib.sha256(pydantic_core.to_json(content)).hexdigest()


@dataclass(slots=True)
class Creation:
    """The rows of a task that is to be made; `done_steps` bring some of its steps up to date. With a key that
    was used before nothing is written: `made` is the task that there is then, `state` the new one's where
    this is it."""

    state: TaskState
    task: dict[str, Json]
    session: dict[str, Json] | None
    steps: Rows
    done_steps: Rows
    events: Rows
    inputs: list[Stored]
    artifacts: Rows
    said: Said
    key: str | None
    digest: str | None
    made: str | None = None
    is_begun_here: bool = False


def prepare(
    request: NewTask,
    inputs: list[Part],
    now: datetime,
    *,
    key: str | None,
    default_deadline_s: float,
) -> Creation:
    """`inputs` are the request's parts, named."""
    task_id, plan = new_id("task"), request.plan
    state = TaskState(
        id=task_id,
        session_id=request.session_id or new_id("session"),
        description=request.description,
        strategy=request.strategy,
        deadline_at=now + timedelta(seconds=request.deadline_s or default_deadline_s),
        needs_approval=request.approval == "plan",
        priority=request.priority,
        traceparent=request.traceparent,
        webhook=request.webhook,
    )
    events = [Event("task.created", {"description": request.description})]
    if plan is not None:
        state.adopt(plan)
        state.status = TaskStatus.AWAITING_APPROVAL if state.needs_approval else TaskStatus.EXECUTING
        events += [Event("task.planned", {"plan": plan.to_json()}), Event(f"task.{state.status}", {})]
    state.last_look = len(events)
    digest = request.digest() if key is not None else None
    artifacts = [A2AArtifact.of(part, name=part.filename or "input") for part in inputs]
    stored = store_parts(None, artifacts)
    return Creation(
        state=state,
        task=_task_row(request, state, now, key=key, digest=digest, last_event=len(events)),
        session=_session_row(state.session_id, request, now) if request.session_id is None else None,
        steps=step_rows(task_id, state.steps.values()),
        done_steps=[],
        events=[
            {"task_id": task_id, "number": place, "kind": event.kind, "data": event.data, "created_at": now}
            for place, event in enumerate(events, start=1)
        ],
        inputs=stored,
        artifacts=artifact_rows(task_id, stored, now),
        said=Said(
            state.session_id, task_id, Speaker.USER, [Part.from_text(request.description).to_json()], now
        ),
        key=key,
        digest=digest,
    )


def _task_row(
    request: NewTask, state: TaskState, now: datetime, *, key: str | None, digest: str | None, last_event: int
) -> dict[str, Json]:
    return {
        "id": state.id,
        "session_id": state.session_id,
        "user_id": request.user_id,
        "description": request.description,
        "strategy": request.strategy,
        "approval": request.approval,
        "priority": request.priority,
        "traceparent": request.traceparent,
        "webhook": request.webhook,
        "retry_of": None,
        "status": state.status,
        "plan": request.plan.to_json() if request.plan is not None else None,
        "gaps": [],
        "last_event": last_event,
        "idempotency_key": key,
        "request_digest": digest,
        "deadline_at": state.deadline_at,
        "lease_owner": None,
        "lease_token": None,
        "lease_expires_at": None,
        "created_at": now,
        "updated_at": now,
    }


def _session_row(session_id: str, request: NewTask, now: datetime) -> dict[str, Json]:
    return {"id": session_id, "user_id": request.user_id, "created_at": now, "updated_at": now}


def step_rows(task_id: str, steps: Iterable[StepState]) -> Rows:
    return [
        {
            "id": new_id("step"),
            "task_id": task_id,
            "number": step.number,
            "instruction": step.planned.instruction,
            "skill_id": step.planned.skill_id,
            "requirement": step.requirement,
            "depends_on": list(step.depends_on),
            "parent": step.parent,
            "item_index": step.item_index,
            "item": step.item,
            "status": step.status,
            "attempt": 0,
            "failed_agents": [],
            "may_have_run_twice": False,
        }
        for step in steps
    ]


def lease_at_birth(creation: Creation, owner: str, lease_s: float, now: datetime) -> Lease:
    """The task belongs to this process before anybody else can see it."""
    lease = Lease(creation.state.id, new_id("lease"))
    creation.task |= {
        "lease_owner": owner,
        "lease_token": lease.token,
        "lease_expires_at": now + timedelta(seconds=lease_s),
    }
    return lease


def create_tasks(
    connection: Connection, creations: Sequence[Creation]
) -> list[int | IdempotencyConflict | SessionNotFound]:
    """For each the number of its last event, or why there is no such task. Where its key was used before for
    the same request, `made` is the task that there is and nothing is written."""
    known_keys = _tasks_by_key(connection, [c.key for c in creations if c.key is not None])
    sessions = _known_sessions(connection, [c.state.session_id for c in creations if c.session is None])
    outcomes: list[int | IdempotencyConflict | SessionNotFound] = []
    new: list[Creation] = []
    for creation in creations:
        creation.made = None  # the transaction may be run again
        known = known_keys.get(creation.key) if creation.key is not None else None
        if known is not None and known[1] != creation.digest:
            outcomes.append(IdempotencyConflict(creation.key or ""))
        elif known is not None:
            creation.made = known[0]
            outcomes.append(0)
        elif creation.session is None and creation.state.session_id not in sessions:
            outcomes.append(SessionNotFound(creation.state.session_id))
        else:
            new.append(creation)
            outcomes.append(len(creation.events))
            if creation.key is not None:
                known_keys[creation.key] = (creation.state.id, creation.digest)
    _insert(connection, new)
    return outcomes


def _insert(connection: Connection, creations: Sequence[Creation]) -> None:
    _ADD_SESSIONS.run(connection, (c.session for c in creations if c.session is not None))
    _ADD_TASKS.run(connection, (c.task for c in creations))
    ADD_STEPS.run(connection, (row for c in creations for row in c.steps))
    SET_STEP.run(connection, (row for c in creations for row in c.done_steps))
    ADD_EVENTS.run(connection, (row for c in creations for row in c.events))
    ADD_ARTIFACTS.run(connection, (row for c in creations for row in c.artifacts))
    if creations:
        add_messages(connection, [c.said for c in creations])


def _tasks_by_key(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    if not keys:
        return {}
    query = select(Task.idempotency_key, Task.id, Task.request_digest).where(
        Task.tenant_id == DEFAULT_TENANT, Task.idempotency_key.in_(keys)
    )
    return {row.idempotency_key: (row.id, row.request_digest) for row in connection.execute(query)}


def _known_sessions(connection: Connection, ids: Sequence[str]) -> set[str]:
    if not ids:
        return set()
    query = select(Session.id).where(Session.id.in_(ids), Session.tenant_id == DEFAULT_TENANT)
    return set(connection.execute(query).scalars())
