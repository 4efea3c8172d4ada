"""What a task is, as a fold of its events: `evolve` is the only code that changes a task's state. Pure.

The rows of tasks and steps are what the fold has come to, written in the transaction of the events. Texts,
files and answers are not in the events; their rows are beside them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from a2a.types import Json
from coordinator.executor.state import Problem, StepState, TaskState
from coordinator.planner.plan import Plan
from models.states import StepStatus, TaskStatus

Data: TypeAlias = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    data: Data


def evolve(task: TaskState, event: Event, at: datetime) -> None:
    """Take the event into the state. Kinds that change nothing, such as step.progress, are passed over."""
    on_task = _ON_TASK.get(event.kind)
    if on_task is not None:
        on_task(task, event.data, at)
        return
    on_step = _ON_STEP.get(event.kind)
    if on_step is not None:
        on_step(task.steps[event.data["step_number"]], event.data, at)


def _planned(task: TaskState, data: Data, _at: datetime) -> None:
    plan = Plan.from_json(data["plan"])
    task.adopt(plan)
    task.waiting_for = None


def _revised(task: TaskState, data: Data, at: datetime) -> None:
    _planned(task, data, at)
    wanted = {step.number for step in task.plan.steps} if task.plan is not None else set()
    for step in task.steps.values():
        if step.number not in wanted and step.parent is None and not step.status.is_terminal:
            _end(step, StepStatus.SKIPPED, at, Problem("REVISED_AWAY", "A revision of the plan left it out."))


def _task_waits(task: TaskState, data: Data, _at: datetime) -> None:
    task.status, task.waiting_for = TaskStatus.PLANNING, data["reason"]


def _cancel_requested(task: TaskState, _data: Data, _at: datetime) -> None:
    task.cancel_requested = True


def _executing(task: TaskState, _data: Data, _at: datetime) -> None:
    if not task.status.is_terminal:
        task.status = TaskStatus.EXECUTING


def _input_given(task: TaskState, data: Data, at: datetime) -> None:
    task.steps[data["step_number"]].has_answer = True
    _executing(task, data, at)


def _status(status: TaskStatus) -> "Callable[[TaskState, Data, datetime], None]":
    def change(task: TaskState, _data: Data, _at: datetime) -> None:
        task.status, task.waiting_for = status, None

    return change


def _expanded(task: TaskState, data: Data, at: datetime) -> None:
    """`items` are not in every event: the steps' rows have them."""
    parent = task.steps[data["step_number"]]
    parent.status, parent.started_at, parent.waiting_for = StepStatus.RUNNING, at, None
    # An item's own step: what is asked before it and how it ends is the list's affair.
    planned = replace(parent.planned, depends_on=parent.planned.depends_on, when=None, approval=False)
    items = data.get("items") or [None] * len(data["children"])
    for index, number in enumerate(data["children"]):
        task.steps[number] = StepState(
            number, planned, parent=parent.number, item_index=index, item=items[index]
        )


def _started(step: StepState, data: Data, at: datetime) -> None:
    step.status, step.started_at = StepStatus.RUNNING, at
    step.attempt, step.agent_id = data["attempt"], data["agent_id"]
    step.message_id, step.memory_id = data["message_id"], data["memory_id"]
    step.choice = data.get("choice")
    if not data["is_same_remote_task"]:
        step.remote_task_id = step.remote_context_id = None
    step.may_have_run_twice = step.may_have_run_twice or data["may_have_run_twice"]
    step.waiting_for = step.retry_at = None


def _accepted(step: StepState, data: Data, _at: datetime) -> None:
    step.remote_task_id, step.remote_context_id = data["remote_task_id"], data["remote_context_id"]


def _resent(step: StepState, data: Data, _at: datetime) -> None:
    step.may_have_run_twice = step.may_have_run_twice or data["may_have_run_twice"]


def _asks(step: StepState, data: Data, _at: datetime) -> None:
    step.status, step.question, step.has_answer = StepStatus.INPUT_REQUIRED, data["question"], False
    _looked(step, data, _at)


def _looked(step: StepState, data: Data, _at: datetime) -> None:
    again = data.get("look_again_at")
    step.retry_at = datetime.fromisoformat(again) if again is not None else None


def _resumed(step: StepState, _data: Data, _at: datetime) -> None:
    step.status, step.question, step.retry_at = StepStatus.RUNNING, None, None


def _answered(step: StepState, data: Data, at: datetime) -> None:
    """The answer is on its way; it is kept until the agent has worked on it."""
    step.status, step.question, step.message_id = StepStatus.RUNNING, None, data["message_id"]
    step.attempt, step.started_at = data["attempt"], at
    step.waiting_for = step.retry_at = None


def _waits(step: StepState, data: Data, _at: datetime) -> None:
    step.status, step.waiting_for = StepStatus.PENDING, data["reason"]


def _asks_approval(step: StepState, _data: Data, _at: datetime) -> None:
    step.waiting_for = "Somebody has to approve it before it starts."


def _approved(step: StepState, _data: Data, _at: datetime) -> None:
    step.is_approved, step.waiting_for = True, None


def _retrying(step: StepState, data: Data, _at: datetime) -> None:
    problem = Problem.from_json(data)
    step.status, step.error, step.waiting_for = StepStatus.PENDING, problem, problem.message
    step.retry_at = datetime.fromisoformat(data["retry_at"])
    _note_agent(step, data)


def _completed(step: StepState, _data: Data, at: datetime) -> None:
    step.has_answer = False
    _end(step, StepStatus.COMPLETED, at, None)


def _failed(step: StepState, data: Data, at: datetime) -> None:
    _note_agent(step, data)
    step.cancel_answer = data.get("remote_task") or step.cancel_answer
    _end(step, StepStatus.FAILED, at, Problem.from_json(data))


def _skipped(step: StepState, data: Data, at: datetime) -> None:
    _end(step, StepStatus.SKIPPED, at, Problem(data["code"], data["reason"]))


def _canceled(step: StepState, data: Data, at: datetime) -> None:
    step.cancel_answer = data.get("remote_task")
    _end(step, StepStatus.CANCELED, at, None)


def _note_agent(step: StepState, data: Data) -> None:
    if data.get("agent_id") is not None:
        step.failed_agents = (*step.failed_agents, data["agent_id"])


def _end(step: StepState, status: StepStatus, at: datetime, error: Problem | None) -> None:
    if step.status.is_terminal:
        return
    step.status, step.error, step.completed_at = status, error, at
    step.waiting_for = step.retry_at = step.question = None


_ON_TASK: dict[str, Callable[[TaskState, Data, datetime], None]] = {
    "task.planned": _planned,
    "task.plan_revised": _revised,
    "task.waiting": _task_waits,
    "task.awaiting_approval": _status(TaskStatus.AWAITING_APPROVAL),
    "task.executing": _executing,
    "task.input_required": _status(TaskStatus.INPUT_REQUIRED),
    "task.input_given": _input_given,
    "task.cancel_requested": _cancel_requested,
    "task.completed": _status(TaskStatus.COMPLETED),
    "task.failed": _status(TaskStatus.FAILED),
    "task.canceled": _status(TaskStatus.CANCELED),
    "step.expanded": _expanded,
}
_ON_STEP: dict[str, Callable[[StepState, Data, datetime], None]] = {
    "step.started": _started,
    "step.accepted": _accepted,
    "step.resent": _resent,
    "step.input_required": _asks,
    "step.looked": _looked,
    "step.resumed": _resumed,
    "step.answered": _answered,
    "step.waiting": _waits,
    "step.awaiting_approval": _asks_approval,
    "step.approved": _approved,
    "step.retrying": _retrying,
    "step.completed": _completed,
    "step.failed": _failed,
    "step.skipped": _skipped,
    "step.canceled": _canceled,
}
# Written by people and other processes, not by the run itself.
FOREIGN_KINDS = (
    "task.cancel_requested",
    "task.input_given",
    "task.executing",
    "step.approved",
)
