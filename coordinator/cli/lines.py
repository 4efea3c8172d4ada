"""Events as lines of text, for where no table can be drawn. Pure."""

from collections.abc import Callable
from typing import Any, Final

from coordinator.cli.plain import one_line, to_approve
from coordinator.cli.shapes import Event
from coordinator.cli.view import StepView, TaskView, item_title, said, step_number

LISTED_ITEMS: Final = 5
# What became of the work at the agent of a canceled step.
REMOTE_CANCEL: Final = {
    "canceled": "its agent has stopped",
    "refused": "its agent would not stop and may still be at it",
    "unknown": "it is not known whether its agent has stopped",
}


def event_line(view: TaskView, event: Event) -> str | None:
    """The event as one line of text, `view` being the one after it; None where there is nothing to say."""
    number = step_number(event)
    if event.kind in _LINES:
        return _LINES[event.kind](view, event)
    if event.kind not in _STEP_LINES or number is None:
        return None
    step = view.step(number)
    words = _STEP_LINES[event.kind](step, event)
    return f"step {step.label}{words}" if words is not None else None


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _text(data: dict[str, Any], name: str) -> str:
    return one_line(data[name]) if isinstance(data.get(name), str) else ""


def _colon(event: Event) -> str:
    words = said(event.data)
    return f": {words}" if words else ""


def _planned(view: TaskView, _: Event) -> str:
    by = f" by {one_line(view.planner)}" if view.planner else ""
    return f"planned{by}: {counted(len(view.planned()), 'step')}"


def _approval(view: TaskView, _: Event) -> str | None:
    """A step that needs it has said so."""
    return None if view.gates() else f"awaiting approval of the plan: {to_approve(view.task_id, None)}"


def _needs_approval(view: TaskView, event: Event) -> str | None:
    number = step_number(event)
    if number is None:
        return None
    return f"step {view.step(number).label} needs somebody's approval: {to_approve(view.task_id, number)}"


def _given(view: TaskView, event: Event) -> str | None:
    number = step_number(event)
    return f"step {view.step(number).label} has got its answer" if number is not None else None


_LINES: Final[dict[str, Callable[[TaskView, Event], str | None]]] = {
    "task.planned": _planned,
    "task.plan_revised": lambda view, event: f"plan revised, version {view.version}{_colon(event)}",
    "task.waiting": lambda view, event: f"{view.state}{_colon(event)}",
    "task.input_required": lambda view, event: f"{view.state}{_colon(event)}",
    "task.input_given": _given,
    "task.awaiting_approval": _approval,
    "step.awaiting_approval": _needs_approval,
    "task.cancel_requested": lambda *_: "a cancel was asked for; the steps are being stopped",
    "task.canceled": lambda *_: "canceled",
}


def _started(step: StepView, event: Event) -> str:
    attempt = event.data.get("attempt")
    again = f", attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else ""
    twice = ", may run twice" if event.data.get("may_have_run_twice") is True else ""
    what = one_line(step.instruction, max_chars=100)
    return f" started by {step.agent or 'an agent'}{again}{twice}: {what}"


def _expanded(_: StepView, event: Event) -> str:
    items = event.data.get("items")
    if not isinstance(items, list):
        return " is done for each item of a list"
    names = ", ".join(item_title(item) for item in items[:LISTED_ITEMS])
    more = ", ..." if len(items) > LISTED_ITEMS else ""
    return f" is done for each of {counted(len(items), 'item')}: {names}{more}" if items else " has no items"


def _resent(_: StepView, event: Event) -> str:
    twice = event.data.get("may_have_run_twice") is True
    return f" sent again to its agent; {'it may have run twice' if twice else 'it cannot run twice'}"


def _artifact(_: StepView, event: Event) -> str | None:
    name = _text(event.data, "name")
    return f" produced {name}" if name else None


def _left_out(step: StepView, event: Event) -> str | None:
    files = event.data.get("files")
    if not isinstance(files, list):
        return None
    names = ", ".join(one_line(str(name)) for name in files)
    return f" goes without {names}, which {_text(event.data, 'agent_name') or step.agent} does not take"


def _completed(step: StepView, event: Event) -> str:
    kept_from = _text(event.data, "carried_over_from")
    if kept_from:
        return f" kept from {kept_from}"
    seconds = step.elapsed_s(event.created_at)
    return " completed" + (f" after {seconds:.1f} s" if seconds is not None else "")


def _skipped(step: StepView, event: Event) -> str:
    return f" not needed{_colon(event)}" if step.is_quiet else f" skipped{_colon(event)}"


def _canceled(_: StepView, event: Event) -> str:
    answer = REMOTE_CANCEL.get(_text(event.data, "remote_task"))
    return f" canceled; {answer}" if answer else " canceled"


def _state(step: StepView, event: Event) -> str:
    return f" {step.state}{_colon(event)}"


_STEP_LINES: Final[dict[str, Callable[[StepView, Event], str | None]]] = {
    "step.started": _started,
    "step.expanded": _expanded,
    "step.approved": lambda *_: " approved",
    "step.reattached": lambda *_: " taken up again after a restart",
    "step.resent": _resent,
    "step.resumed": lambda *_: " goes on by itself",
    "step.progress": lambda _, event: _colon(event) or None,
    "step.artifact": _artifact,
    "step.files_left_out": _left_out,
    "step.waiting": _state,
    "step.retrying": _state,
    "step.input_required": _state,
    "step.completed": _completed,
    "step.failed": _state,
    "step.skipped": _skipped,
    "step.canceled": _canceled,
}
