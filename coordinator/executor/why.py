"""Why a task is where it is: one sentence and the facts behind it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from a2a.types import Json, format_timestamp
from coordinator.executor.queries import AnyRow, TaskView
from models.states import StepStatus, TaskStatus


@dataclass(frozen=True, slots=True)
class Reason:
    sentence: str
    facts: dict[str, Json]


def explain(view: TaskView, latest: AnyRow | None, now: datetime) -> Reason:
    """`latest` is the newest event of any of its steps."""
    reason = _explain(view, now)
    if latest is not None:
        heard = {"kind": latest.kind, "at": format_timestamp(latest.created_at), **_said(latest.data)}
        reason.facts["last_event"] = heard
    return reason


def _said(data: dict[str, Json]) -> dict[str, Json]:
    return {name: data[name] for name in ("step_number", "text", "reason", "code", "message") if name in data}


def _explain(view: TaskView, now: datetime) -> Reason:
    task, status = view.task, TaskStatus(view.task.status)
    facts: dict[str, Json] = {
        "since": format_timestamp(task.updated_at),
        "deadline": format_timestamp(task.deadline_at),
        "steps": {str(step.number): step.status for step in view.steps},
    }
    match status:
        case TaskStatus.COMPLETED:
            lacking = f" with {len(task.gaps)} gaps" if task.gaps else ""
            return Reason(f"The task completed{lacking}.", facts)
        case TaskStatus.FAILED:
            facts |= {"code": task.error["code"], "do": f"POST /api/tasks/{task.id}/retry"}
            return Reason(f"The task failed. {task.error['message']}", facts)
        case TaskStatus.CANCELED:
            return Reason("The task was canceled.", facts)
        case TaskStatus.AWAITING_APPROVAL:
            facts["do"] = f"POST /api/tasks/{task.id}/approve"
            gates = [step for step in view.steps if step.status == StepStatus.PENDING and step.waiting_for]
            if gates:
                facts |= _step_facts(view, gates[0])
                return Reason(f"Step {gates[0].number} waits for somebody to approve it.", facts)
            return Reason("The task waits for somebody to approve its plan.", facts)
        case TaskStatus.PENDING | TaskStatus.PLANNING:
            waits = task.waiting_for or "It is about to be planned."
            return Reason(f"The task has no plan yet. {waits}", facts)
        case _:
            return _explain_steps(view, now, facts)


def _explain_steps(view: TaskView, now: datetime, facts: dict[str, Json]) -> Reason:
    asking = [step for step in view.steps if step.status == StepStatus.INPUT_REQUIRED]
    running = [step for step in view.steps if step.status == StepStatus.RUNNING]
    waiting = [step for step in view.steps if step.status == StepStatus.PENDING and step.waiting_for]
    if asking:
        step = asking[0]
        facts |= _step_facts(view, step) | {
            "question": step.question,
            "do": f"POST /api/tasks/{view.task.id}/input",
        }
        return Reason(f"Step {step.number} asks: {step.question}", facts)
    facts["do"] = f"wait, or POST /api/tasks/{view.task.id}/cancel"
    # A list runs as long as its items do; they say more.
    running = [step for step in running if step.agent_id is not None] or running
    if running:
        step = running[0]
        since_s = (now - step.started_at).total_seconds()
        who = view.agent_names.get(step.agent_id, "An agent")
        return Reason(
            f"{who} has been working on step {step.number} for {since_s:.0f} s.",
            facts | _step_facts(view, step),
        )
    if waiting:
        step = waiting[0]
        return Reason(f"Step {step.number} waits. {step.waiting_for}", facts | _step_facts(view, step))
    if view.task.cancel_requested_at is not None:
        return Reason("The task is being canceled.", facts)
    return Reason("The task is about to go on.", facts)


def _step_facts(view: TaskView, step: AnyRow) -> dict[str, Json]:
    facts: dict[str, Json] = {"step": step.number, "attempt": step.attempt}
    if step.agent_id is not None:
        facts["agent"] = {"id": step.agent_id, "name": view.agent_names.get(step.agent_id)}
    if step.started_at is not None:
        facts["started_at"] = format_timestamp(step.started_at)
    if step.remote_task_id is not None:
        facts["remote_task_id"] = step.remote_task_id
    if step.retry_at is not None:
        facts["next_retry_at"] = format_timestamp(step.retry_at)
    if step.error is not None:
        facts["last_error"] = {"code": step.error["code"], "message": step.error["message"]}
    return facts
