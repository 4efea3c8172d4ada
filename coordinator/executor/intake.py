"""What people do to tasks from outside: make one, cancel, approve, answer, retry. Guarded updates, no
lease."""

from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Row, select, update

from a2a.types import Json, Part
from coordinator.executor.artifacts import named_inputs
from coordinator.executor.creation import Creation, NewTask, prepare
from coordinator.executor.errors import TaskNotFound, WrongState
from coordinator.executor.events import insert_events
from coordinator.executor.faults import Fault, after_commit
from coordinator.executor.history import Event
from coordinator.executor.retry import prepare_retry
from coordinator.executor.tools import RunTools
from coordinator.executor.worker import Worker
from coordinator.planner.plan import Attachment, Plan
from models.base import DEFAULT_TENANT
from models.states import StepStatus, TaskStatus
from models.tables import Task, TaskStep


class Intake:
    def __init__(self, tools: RunTools, worker: Worker, *, default_deadline_s: float, fault: Fault) -> None:
        self._database = tools.database
        self._planning = tools.planning
        self._worker = worker
        self._control = tools.control
        self._news = tools.news
        self._default_deadline_s = default_deadline_s
        self._fault = fault
        self._now = tools.now

    async def create(self, request: NewTask, *, idempotency_key: str | None = None) -> Creation:
        """The task, durably accepted; `made` is the id of the one that the key stands for, if it was used
        before. Raises SessionNotFound, PlanInvalid, IdempotencyConflict."""
        inputs = named_inputs(request.inputs)
        if request.plan is not None:
            await self._planning.check(request.plan, [part.filename or "" for part in inputs])
        creation = prepare(
            request,
            inputs,
            self._now(),
            key=idempotency_key,
            default_deadline_s=self._default_deadline_s,
        )
        await self._worker.create(creation)
        return creation

    async def preview(self, request: NewTask) -> Plan:
        """The plan the task would get now. Raises UnknownTaskType, PlanInvalid."""
        inputs = [Attachment(p.filename or "", p.media_type or "") for p in named_inputs(request.inputs)]
        if request.plan is not None:
            await self._planning.check(request.plan, [item.name for item in inputs])
            return request.plan
        return await self._planning.preview(request.description, inputs, request.strategy)

    async def retry(self, task_id: str) -> Creation:
        """A new task that goes on where a failed or canceled one ended: what had completed is kept, the rest
        is done again. Raises TaskNotFound, WrongState."""
        prepared = partial(
            prepare_retry, task_id=task_id, now=self._now(), default_deadline_s=self._default_deadline_s
        )
        creation = await self._database.read(prepared)
        await self._worker.create(creation)
        return creation

    async def cancel(self, task_id: str) -> None:
        """Ask for the end of the task; its runner confirms it. Raises TaskNotFound, WrongState."""
        await self._database.write(partial(_request_cancel, task_id=task_id, now=self._now()))
        self._fault(after_commit("task.cancel_requested"))
        self._poke(task_id)

    async def approve(self, task_id: str, step_number: int | None = None) -> None:
        """Approve the plan, or the steps that wait for it: the one named, or all. Raises TaskNotFound,
        WrongState."""
        approve = partial(_approve, task_id=task_id, step_number=step_number, now=self._now())
        await self._database.write(approve)
        self._fault(after_commit("step.approved"))
        self._poke(task_id)

    async def answer(self, task_id: str, step_number: int | None, parts: list[Part]) -> None:
        """Answer the question of a step, by default of the only one that asks. Raises TaskNotFound,
        WrongState."""
        await self._database.write(
            partial(_answer, task_id=task_id, step_number=step_number, parts=parts, now=self._now())
        )
        self._fault(after_commit("task.input_given"))
        self._poke(task_id)

    def _poke(self, task_id: str) -> None:
        self._control.wake(task_id)
        self._news.wake(task_id)
        self._worker.wake()


def _locked(connection: Connection, task_id: str) -> Row[str, int]:
    query = select(Task.status, Task.last_event).where(Task.id == task_id, Task.tenant_id == DEFAULT_TENANT)
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise TaskNotFound(task_id)
    return row


def _change(connection: Connection, task_id: str, now: datetime, *events: Event, **columns: Json) -> None:
    last_number = connection.execute(
        update(Task)
        .where(Task.id == task_id)
        .values(last_event=Task.last_event + len(events), updated_at=now, **columns)
        .returning(Task.last_event)
    ).scalar_one()
    insert_events(connection, task_id, last_number, events, now)


def _request_cancel(connection: Connection, task_id: str, now: datetime) -> None:
    status = TaskStatus(_locked(connection, task_id).status)
    if status is TaskStatus.CANCELED:
        return
    if status.is_terminal:
        raise WrongState(task_id, status, "it has ended and can no longer be canceled")
    _change(connection, task_id, now, Event("task.cancel_requested", {}), cancel_requested_at=now)


def _approve(connection: Connection, task_id: str, step_number: int | None, now: datetime) -> None:
    status = TaskStatus(_locked(connection, task_id).status)
    gates = _waiting_gates(connection, task_id) if not status.is_terminal else []
    wanted = gates if step_number is None else [number for number in gates if number == step_number]
    is_for_plan = status is TaskStatus.AWAITING_APPROVAL and not gates and step_number is None
    if not wanted and not is_for_plan:
        what = "its plan" if step_number is None else f"step {step_number}"
        raise WrongState(task_id, status, f"{what} does not wait for approval")
    for number in wanted:
        connection.execute(
            update(TaskStep)
            .where(TaskStep.task_id == task_id, TaskStep.number == number)
            .values(is_approved=True, waiting_for=None)
        )
    approved = [Event("step.approved", {"step_number": number}) for number in wanted]
    _change(connection, task_id, now, *approved, Event("task.executing", {}), status=TaskStatus.EXECUTING)


def _waiting_gates(connection: Connection, task_id: str) -> list[int]:
    """The steps whose plan wants an approval before they start, and that are ready but for it."""
    plan = connection.execute(select(Task.plan).where(Task.id == task_id)).scalar_one()
    gated = [step["number"] for step in (plan or {}).get("steps", ()) if step.get("approval")]
    query = select(TaskStep.number).where(
        TaskStep.task_id == task_id,
        TaskStep.number.in_(gated),
        TaskStep.status == StepStatus.PENDING,
        TaskStep.is_approved.is_(False),
        TaskStep.waiting_for.is_not(None),
    )
    return list(connection.execute(query.order_by(TaskStep.number)).scalars())


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
