"""What people do to tasks from outside: make one, cancel, approve, answer. Guarded updates, no lease."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pydantic_core
from sqlalchemy import Connection, Row, insert, select, update

from a2a.database import Database
from a2a.types import Artifact as A2AArtifact
from a2a.types import Json, Part
from coordinator.clock import Now
from coordinator.executor.artifacts import insert_artifacts, named_inputs
from coordinator.executor.errors import IdempotencyConflict, TaskNotFound, WrongState
from coordinator.executor.events import Event, Wakeups, insert_events
from coordinator.executor.planning import Planning
from coordinator.executor.store import insert_steps
from coordinator.executor.worker import Worker
from coordinator.memory.store import add_message, create_session, find_session
from coordinator.planner.plan import Attachment, Plan, Strategy, agents_by_skill, validate_plan
from coordinator.planner.rules import plan_by_rules
from models.base import DEFAULT_TENANT
from models.ids import new_id
from models.states import Speaker, StepStatus, TaskStatus
from models.tables import Task, TaskStep


@dataclass(frozen=True, slots=True)
class NewTask:
    """A request for a task, checked in shape. `plan` is the caller's own, if it has one."""

    description: str
    inputs: tuple[Part, ...] = ()
    user_id: str | None = None
    session_id: str | None = None
    strategy: Strategy = Strategy.auto
    approval: str = "none"
    plan: Plan | None = None
    deadline_s: float | None = None

    def digest(self) -> str:
        """Tells two requests under one Idempotency-Key apart."""
        parts = [part.to_json() for part in self.inputs]
        plan = self.plan.to_json() if self.plan is not None else None
        content = [
            self.description,
            parts,
            self.user_id,
            self.session_id,
            self.strategy,
            self.approval,
            plan,
            self.deadline_s,
        ]
        return hashlib.sha256(pydantic_core.to_json(content)).hexdigest()


class Intake:
    def __init__(
        self,
        database: Database,
        planning: Planning,
        worker: Worker,
        *,
        control: Wakeups,
        news: Wakeups,
        default_deadline_s: float,
        now: Now,
    ) -> None:
        self._database = database
        self._planning = planning
        self._worker = worker
        self._control = control
        self._news = news
        self._default_deadline_s = default_deadline_s
        self._now = now

    async def create(self, request: NewTask, *, idempotency_key: str | None = None) -> str:
        """The id of the task, durably accepted. Raises SessionNotFound, PlanInvalid, IdempotencyConflict."""
        inputs = named_inputs(request.inputs)
        if idempotency_key is not None:
            made = await self._database.read(partial(_made_before, key=idempotency_key, request=request))
            if made is not None:
                return made
        if request.plan is not None:
            offers = agents_by_skill((await self._planning.index()).offers)
            validate_plan(request.plan, offers, [part.filename or "" for part in inputs])
        task_id = await self._database.write(
            partial(self._insert, request=request, inputs=inputs, key=idempotency_key)
        )
        self._worker.wake()
        return task_id

    async def preview(self, request: NewTask) -> Plan:
        """The plan the task would get now. Raises UnknownTaskType, PlanInvalid."""
        index = await self._planning.index()
        inputs = [Attachment(p.filename or "", p.media_type or "") for p in named_inputs(request.inputs)]
        if request.plan is not None:
            validate_plan(request.plan, agents_by_skill(index.offers), [item.name for item in inputs])
            return request.plan
        return plan_by_rules(request.description, index, inputs, request.strategy)

    async def cancel(self, task_id: str) -> None:
        """Ask for the end of the task; its runner confirms it. Raises TaskNotFound, WrongState."""
        await self._database.write(partial(_request_cancel, task_id=task_id, now=self._now()))
        self._poke(task_id)

    async def approve(self, task_id: str) -> None:
        """Raises TaskNotFound, WrongState."""
        await self._database.write(partial(_approve, task_id=task_id, now=self._now()))
        self._poke(task_id)

    async def answer(self, task_id: str, step_number: int | None, parts: list[Part]) -> None:
        """Answer the question of a step, by default of the only one that asks. Raises TaskNotFound,
        WrongState."""
        await self._database.write(
            partial(_answer, task_id=task_id, step_number=step_number, parts=parts, now=self._now())
        )
        self._poke(task_id)

    def _poke(self, task_id: str) -> None:
        self._control.wake(task_id)
        self._news.wake(task_id)
        self._worker.wake()

    def _insert(self, connection: Connection, request: NewTask, inputs: list[Part], key: str | None) -> str:
        if key is not None:
            made = _made_before(connection, key, request)
            if made is not None:
                return made
        now, task_id = self._now(), new_id("task")
        session_id = request.session_id or create_session(connection, request.user_id, now)
        find_session(connection, session_id)
        status = _first_status(request)
        events = (
            Event("task.created", {"description": request.description}),
            *((Event("task.planned", {"plan": request.plan.to_json()}),) if request.plan else ()),
            *((Event(f"task.{status}", {}),) if request.plan else ()),
        )
        connection.execute(
            insert(Task).values(
                id=task_id,
                session_id=session_id,
                user_id=request.user_id,
                description=request.description,
                strategy=request.strategy,
                approval=request.approval,
                status=status,
                plan=request.plan.to_json() if request.plan else None,
                gaps=[],
                last_event=len(events),
                idempotency_key=key,
                request_digest=request.digest(),
                deadline_at=now + timedelta(seconds=request.deadline_s or self._default_deadline_s),
                created_at=now,
                updated_at=now,
            )
        )
        insert_events(connection, task_id, len(events), events, now)
        if request.plan is not None:
            insert_steps(connection, task_id, request.plan)
        artifacts = [A2AArtifact.of(part, name=part.filename or "input") for part in inputs]
        insert_artifacts(connection, task_id, None, artifacts, now)
        said = [Part.from_text(request.description)]
        add_message(connection, session_id, Speaker.USER, said, now, task_id=task_id)
        return task_id


def _first_status(request: NewTask) -> TaskStatus:
    if request.plan is None:
        return TaskStatus.PENDING
    return TaskStatus.AWAITING_APPROVAL if request.approval == "plan" else TaskStatus.EXECUTING


def _made_before(connection: Connection, key: str, request: NewTask) -> str | None:
    row = connection.execute(
        select(Task.id, Task.request_digest).where(
            Task.tenant_id == DEFAULT_TENANT, Task.idempotency_key == key
        )
    ).one_or_none()
    if row is None:
        return None
    if row.request_digest != request.digest():
        raise IdempotencyConflict(key)
    return str(row.id)


def _locked(connection: Connection, task_id: str) -> Row[str, int]:
    query = select(Task.status, Task.last_event).where(Task.id == task_id, Task.tenant_id == DEFAULT_TENANT)
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise TaskNotFound(task_id)
    return row


def _change(connection: Connection, task_id: str, now: datetime, event: Event, **columns: Json) -> None:
    last_number = connection.execute(
        update(Task)
        .where(Task.id == task_id)
        .values(last_event=Task.last_event + 1, updated_at=now, **columns)
        .returning(Task.last_event)
    ).scalar_one()
    insert_events(connection, task_id, last_number, (event,), now)


def _request_cancel(connection: Connection, task_id: str, now: datetime) -> None:
    status = TaskStatus(_locked(connection, task_id).status)
    if status is TaskStatus.CANCELED:
        return
    if status.is_terminal:
        raise WrongState(task_id, status, "it has ended and can no longer be canceled")
    _change(connection, task_id, now, Event("task.cancel_requested", {}), cancel_requested_at=now)


def _approve(connection: Connection, task_id: str, now: datetime) -> None:
    status = TaskStatus(_locked(connection, task_id).status)
    if status is not TaskStatus.AWAITING_APPROVAL:
        raise WrongState(task_id, status, "only a task that awaits approval can be approved")
    _change(connection, task_id, now, Event("task.executing", {}), status=TaskStatus.EXECUTING)


def _answer(
    connection: Connection, task_id: str, step_number: int | None, parts: list[Part], now: datetime
) -> None:
    status = TaskStatus(_locked(connection, task_id).status)
    query = select(TaskStep.number).where(
        TaskStep.task_id == task_id,
        TaskStep.status == StepStatus.INPUT_REQUIRED,
        TaskStep.answer.is_(None),
    )
    asking = list(connection.execute(query.order_by(TaskStep.number)).scalars())
    wanted = asking if step_number is None else [number for number in asking if number == step_number]
    if status.is_terminal or not wanted:
        raise WrongState(task_id, status, "no step of it waits for input")
    if len(wanted) > 1:
        listed = ", ".join(map(str, wanted))
        raise WrongState(task_id, status, f"steps {listed} wait for input; name one with step_number")
    connection.execute(
        update(TaskStep)
        .where(TaskStep.task_id == task_id, TaskStep.number == wanted[0])
        .values(answer=[part.to_json() for part in parts])
    )
    event = Event("task.input_given", {"step_number": wanted[0]})
    _change(connection, task_id, now, event, status=TaskStatus.EXECUTING)
