"""What is known of a running task, event by event. Pure: an event in, the next view out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from coordinator.cli.plain import one_line
from coordinator.cli.shapes import TERMINAL, Accepted, Event, Plan

# The step's state after an event; the kinds that are missing here change no state.
_STEP_STATES: Final = {
    "step.started": "running",
    "step.reattached": "running",
    "step.waiting": "waiting",
    "step.retrying": "retrying",
    "step.input_required": "asks you",
    "step.completed": "completed",
    "step.failed": "failed",
    "step.skipped": "skipped",
    "step.canceled": "canceled",
}
STEP_ENDED: Final = frozenset({"completed", "failed", "skipped", "canceled"})
_TASK_STATES: Final = {
    "task.created": "planning",
    "task.planned": "planned",
    "task.waiting": "waiting",
    "task.executing": "executing",
    "task.awaiting_approval": "awaiting approval",
    "task.input_required": "asks you",
} | {f"task.{state}": state for state in TERMINAL}


@dataclass(frozen=True, slots=True)
class StepView:
    """`note` is the last thing the step said or waits for."""

    number: int
    instruction: str = ""
    agent: str = ""
    state: str = "pending"
    note: str = ""
    depends_on: tuple[int, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def elapsed_s(self, now: datetime) -> float | None:
        if self.started_at is None:
            return None
        return ((self.ended_at or now) - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class TaskView:
    """All times are the coordinator's; `clock_lead` is how far our clock is ahead of it."""

    task_id: str
    description: str
    created_at: datetime
    clock_lead: timedelta = timedelta()
    state: str = "planning"
    note: str = ""
    planner: str = ""
    steps: Mapping[int, StepView] = field(default_factory=dict)
    ended_at: datetime | None = None

    def elapsed_s(self, now: datetime) -> float:
        return ((self.ended_at or self.coordinator_time(now)) - self.created_at).total_seconds()

    def coordinator_time(self, now: datetime) -> datetime:
        return now - self.clock_lead

    def unmet(self, step: StepView) -> tuple[int, ...]:
        """The steps that this one still waits for."""
        return tuple(n for n in step.depends_on if n in self.steps and self.steps[n].state not in STEP_ENDED)


def first_view(description: str, accepted: Accepted, now: datetime) -> TaskView:
    view = TaskView(
        task_id=accepted.task_id,
        description=description,
        created_at=accepted.created_at,
        clock_lead=now - accepted.created_at,
    )
    return with_plan(view, accepted.plan) if accepted.plan is not None else view


def with_plan(view: TaskView, plan: Plan) -> TaskView:
    """The view with the plan's steps; what is known of a step that stays is kept."""
    steps = {}
    for planned in plan.steps:
        known = view.steps.get(planned.number, StepView(planned.number))
        steps[planned.number] = replace(
            known,
            instruction=planned.instruction,
            depends_on=planned.depends_on,
            agent=known.agent or planned.agent_name,
        )
    return replace(view, steps=steps, planner=plan.planner)


def planned(event: Event) -> Plan | None:
    """The plan that a task.planned event carries."""
    try:
        return Plan.model_validate(event.data.get("plan"))
    except ValidationError:
        return None


def step_number(event: Event) -> int | None:
    number = event.data.get("step_number")
    return number if isinstance(number, int) else None


def said(data: Mapping[str, Any]) -> str:
    """The words for a person that an event carries, under whichever name its kind has for them."""
    for name in ("text", "reason", "question", "message"):
        if isinstance(data.get(name), str) and data[name].strip():
            return one_line(data[name])
    return ""


def after(view: TaskView, event: Event) -> TaskView:
    """The view once the event has happened. An unknown kind changes nothing."""
    if event.kind in _TASK_STATES:
        return _after_task_event(view, event)
    number = step_number(event)
    if number is None or not event.kind.startswith("step."):
        return view
    step = _after_step_event(view.steps.get(number, StepView(number)), event)
    return replace(view, steps={**view.steps, number: step})


def _after_task_event(view: TaskView, event: Event) -> TaskView:
    plan = planned(event) if event.kind == "task.planned" else None
    if plan is not None:
        view = with_plan(view, plan)
    ended_at = event.created_at if event.is_last else None
    return replace(view, state=_TASK_STATES[event.kind], note=said(event.data), ended_at=ended_at)


def _after_step_event(step: StepView, event: Event) -> StepView:
    state = _STEP_STATES.get(event.kind)
    if event.kind == "step.progress":
        return replace(step, state="running", note=said(event.data))
    if state is None:
        return step
    agent = event.data.get("agent_name")
    started_at = step.started_at
    if state == "running" and (started_at is None or step.state in ("retrying", "waiting")):
        started_at = event.created_at
    return replace(
        step,
        state=state,
        note=said(event.data),
        agent=one_line(agent) if isinstance(agent, str) and agent else step.agent,
        started_at=started_at,
        ended_at=event.created_at if state in STEP_ENDED else None,
    )


def event_line(view: TaskView, event: Event) -> str | None:
    """The event as one line of text, `view` being the one after it; None where there is nothing to say."""
    number = step_number(event)
    if event.kind.startswith("step.") and number is not None:
        return _step_line(view.steps.get(number, StepView(number)), event)
    words = said(event.data)
    match event.kind:
        case "task.planned":
            by = f" by {one_line(view.planner)}" if view.planner else ""
            return f"planned{by}: {len(view.steps)} step{'s' if len(view.steps) != 1 else ''}"
        case "task.waiting" | "task.input_required":
            return f"{_TASK_STATES[event.kind]}: {words}"
        case "task.awaiting_approval":
            return "awaiting approval of the plan"
        case "task.canceled":
            return "canceled"
        case _:
            return None


def _step_line(step: StepView, event: Event) -> str | None:
    start = f"step {step.number}"
    words = f": {said(event.data)}" if said(event.data) else ""
    match event.kind:
        case "step.started":
            attempt = event.data.get("attempt")
            again = f", attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else ""
            what = one_line(step.instruction, max_chars=100)
            return f"{start} started by {step.agent or 'an agent'}{again}: {what}"
        case "step.reattached":
            return f"{start} taken up again after a restart"
        case "step.progress":
            return f"{start}{words}"
        case "step.artifact":
            name = event.data.get("name")
            return f"{start} produced {one_line(name)}" if isinstance(name, str) else None
        case "step.completed":
            seconds = step.elapsed_s(event.created_at)
            return f"{start} completed" + (f" after {seconds:.1f} s" if seconds is not None else "")
        case _ if event.kind in _STEP_STATES:
            return f"{start} {step.state}{words}"
        case _:
            return None
