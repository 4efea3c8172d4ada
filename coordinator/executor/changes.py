"""Many changes of many tasks in one transaction: every statement is run once for all of them.

A change is fenced: it is written only where its lease still holds and its task is open. Numbers of events are
given here, under the lock of the task's row, so a history has no gap and no number twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, cast

from sqlalchemy import Connection, Table, bindparam, select

from a2a.types import Json
from coordinator.executor.errors import LeaseLost, NewsCame
from coordinator.executor.history import Event
from coordinator.executor.state import Lease, StepState
from coordinator.executor.webhooks import insert_delivery
from coordinator.health.record import count_call, record
from coordinator.memory.store import Said, add_messages
from models.batch import insert_batch, update_batch
from models.states import Evidence, Speaker, TaskStatus
from models.tables import Artifact, Task, TaskEvent, TaskStep

Rows = list[dict[str, Json]]

_TASKS, _STEPS = cast("Table", Task.__table__), cast("Table", TaskStep.__table__)
_EVENTS, _ARTIFACTS = cast("Table", TaskEvent.__table__), cast("Table", Artifact.__table__)
# Without `is_approved`, which is for people to write: a run may not have heard of it yet.
_STEP_COLUMNS = (
    "status",
    "waiting_for",
    "attempt",
    "agent_id",
    "message_id",
    "memory_id",
    "choice",
    "remote_task_id",
    "remote_context_id",
    "failed_agents",
    "may_have_run_twice",
    "cancel_answer",
    "question",
    "output",
    "error",
    "retry_at",
    "started_at",
    "completed_at",
)


_COUNT_EVENTS = update_batch(_TASKS, ["id"], ["last_event", "updated_at"])
_SET_STATUS = update_batch(_TASKS, ["id"], ["status", "waiting_for"])
_SET_PLAN = update_batch(_TASKS, ["id"], ["plan"])
_END_TASK = update_batch(
    _TASKS,
    ["id"],
    [
        "status",
        "waiting_for",
        "result",
        "error",
        "gaps",
        "completed_at",
        "lease_owner",
        "lease_token",
        "lease_expires_at",
    ],
)
SET_STEP = update_batch(_STEPS, ["task_id", "number"], _STEP_COLUMNS)
_FORGET_ANSWER = update_batch(_STEPS, ["task_id", "number"], ["answer"])
ADD_STEPS = insert_batch(
    _STEPS,
    [
        "id",
        "task_id",
        "number",
        "instruction",
        "skill_id",
        "requirement",
        "depends_on",
        "parent",
        "item_index",
        "item",
        "status",
        "attempt",
        "failed_agents",
        "may_have_run_twice",
    ],
)
ADD_EVENTS = insert_batch(_EVENTS, ["task_id", "number", "kind", "data", "created_at"])
ADD_ARTIFACTS = insert_batch(
    _ARTIFACTS,
    [
        "id",
        "task_id",
        "step_number",
        "name",
        "filename",
        "media_type",
        "size_bytes",
        "part",
        "created_at",
    ],
)
# The rows are locked in one order, so that two processes never wait for each other.
_FENCES = (
    select(_TASKS.c.id, _TASKS.c.lease_token, _TASKS.c.last_event, _TASKS.c.completed_at)
    .where(_TASKS.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_TASKS.c.id)
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Call:
    """How a call of an agent ended. Unless it `blames` the agent a failure says nothing of its health: it is
    only counted."""

    agent_id: str
    ok: bool
    detail: str
    blames: bool = True


@dataclass(frozen=True, slots=True)
class Ending:
    """What is written with the last event of a task. `said` is the answer in its session."""

    result: Json
    error: Json
    gaps: list[Json]
    session_id: str
    said: list[Json]
    webhook: dict[str, Json] | None


@dataclass(slots=True)
class Change:
    """One step forward of one task: its events, and the rows they leave behind, as they are now.

    `status` and `waiting_for` are the task's, where the events change them. With `unless_news_since` nothing
    is written if the task has events after that number: whoever is about to leave a task sees them first.
    """

    lease: Lease
    at: datetime
    events: tuple[Event, ...]
    status: TaskStatus | None = None
    waiting_for: str | None = None
    steps: Rows = field(default_factory=list)
    new_steps: Rows = field(default_factory=list)
    forgotten_answers: Rows = field(default_factory=list)
    artifacts: Rows = field(default_factory=list)
    plan: dict[str, Json] | None = None
    calls: tuple[Call, ...] = ()
    ending: Ending | None = None
    unless_news_since: int | None = None


Written: TypeAlias = int | LeaseLost | NewsCame


def step_row(task_id: str, step: StepState) -> dict[str, Json]:
    """The columns that a run changes in the life of a step."""
    return {
        "key_task_id": task_id,
        "key_number": step.number,
        "status": step.status,
        "waiting_for": step.waiting_for,
        "attempt": step.attempt,
        "agent_id": step.agent_id,
        "message_id": step.message_id,
        "memory_id": step.memory_id,
        "choice": step.choice,
        "remote_task_id": step.remote_task_id,
        "remote_context_id": step.remote_context_id,
        "failed_agents": list(step.failed_agents),
        "may_have_run_twice": step.may_have_run_twice,
        "cancel_answer": step.cancel_answer,
        "question": step.question,
        "output": step.output,
        "error": step.error.to_json() if step.error is not None else None,
        "retry_at": step.retry_at,
        "started_at": step.started_at,
        "completed_at": step.completed_at,
    }


def apply_changes(connection: Connection, changes: Sequence[Change]) -> list[Written]:
    """Write them all; for each the number of its last event, or why nothing of it was written."""
    fences = connection.execute(_FENCES, {"ids": list({change.lease.task_id for change in changes})})
    tokens: dict[str, str | None] = {}
    counters: dict[str, int] = {}
    for row in fences:
        tokens[row.id] = row.lease_token if row.completed_at is None else None
        counters[row.id] = row.last_event
    outcomes: list[Written] = []
    written: list[Change] = []
    events: Rows = []
    for change in changes:
        task_id = change.lease.task_id
        if tokens.get(task_id) != change.lease.token:
            outcomes.append(LeaseLost(task_id))
        elif change.unless_news_since is not None and change.unless_news_since != counters[task_id]:
            outcomes.append(NewsCame(task_id))
        else:
            events += _event_rows(change, counters[task_id])
            counters[task_id] += len(change.events)
            outcomes.append(counters[task_id])
            written.append(change)
            if change.ending is not None:
                tokens[task_id] = None
    _write(connection, written, events, counters)
    return outcomes


def _write(
    connection: Connection, changes: Sequence[Change], events: Rows, counters: Mapping[str, int]
) -> None:
    # Of several changes of a task or step in one transaction the last counts.
    times = {change.lease.task_id: change.at for change in changes}
    statuses = {c.lease.task_id: c for c in changes if c.status is not None and c.ending is None}
    endings = {c.lease.task_id: (c, c.ending) for c in changes if c.ending is not None}
    steps = {(row["key_task_id"], row["key_number"]): row for change in changes for row in change.steps}
    _COUNT_EVENTS.run(
        connection,
        ({"key_id": id_, "last_event": counters[id_], "updated_at": at} for id_, at in times.items()),
    )
    _SET_STATUS.run(
        connection,
        (
            {"key_id": task_id, "status": change.status, "waiting_for": change.waiting_for}
            for task_id, change in statuses.items()
            if task_id not in endings
        ),
    )
    plans = ({"key_id": c.lease.task_id, "plan": c.plan} for c in changes if c.plan is not None)
    _SET_PLAN.run(connection, plans)
    ADD_STEPS.run(connection, (row for change in changes for row in change.new_steps))
    SET_STEP.run(connection, steps.values())
    _FORGET_ANSWER.run(connection, (row for change in changes for row in change.forgotten_answers))
    ADD_ARTIFACTS.run(connection, (row for change in changes for row in change.artifacts))
    ADD_EVENTS.run(connection, events)
    if endings:
        _end(connection, list(endings.values()))
    # In one order here too: each locks its agent's row.
    calls = [(call, change.at) for change in changes for call in change.calls]
    for call, at in sorted(calls, key=lambda noted: noted[0].agent_id):
        if call.blames:
            record(connection, call.agent_id, Evidence.CALL, ok=call.ok, detail=call.detail, now=at)
        else:
            count_call(connection, call.agent_id, ok=call.ok, now=at)


def _event_rows(change: Change, last_number: int) -> Rows:
    return [
        {
            "task_id": change.lease.task_id,
            "number": number,
            "kind": event.kind,
            "data": event.data,
            "created_at": change.at,
        }
        for number, event in enumerate(change.events, start=last_number + 1)
    ]


def _end(connection: Connection, endings: Sequence[tuple[Change, Ending]]) -> None:
    rows = [
        {
            "key_id": change.lease.task_id,
            "status": change.status,
            "waiting_for": None,
            "result": ending.result,
            "error": ending.error,
            "gaps": ending.gaps,
            "completed_at": change.at,
            "lease_owner": None,
            "lease_token": None,
            "lease_expires_at": None,
        }
        for change, ending in endings
    ]
    _END_TASK.run(connection, rows)
    said = [
        Said(ending.session_id, change.lease.task_id, Speaker.AGENT, ending.said, change.at)
        for change, ending in endings
    ]
    add_messages(connection, said)
    for change, ending in endings:
        if ending.webhook is not None:
            insert_delivery(connection, change.lease.task_id, ending.webhook, change.at)
