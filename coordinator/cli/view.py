"""What is known of a running task, event by event. Pure: an event in, the next view out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from coordinator.cli.plain import one_line
from coordinator.cli.shapes import QUIET_CODES, TERMINAL, Accepted, Event, Plan

# The step's state after an event; the kinds that are missing here change no state.
_STEP_STATES: Final = {
    "step.expanded": "running",
    "step.awaiting_approval": "needs approval",
    "step.approved": "pending",
    "step.started": "running",
    "step.progress": "running",
    "step.reattached": "running",
    "step.resent": "running",
    "step.answered": "running",
    "step.resumed": "running",
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
    "task.input_given": "executing",
    "task.cancel_requested": "canceling",
} | {f"task.{state}": state for state in TERMINAL}
_WITH_PLAN: Final = ("task.planned", "task.plan_revised")
ITEM_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class StepView:
    """`note` is the last thing the step said or waits for, `code` why it failed or was skipped. An item of a
    list has its list's number as `parent` and its `place` in it from 1."""

    number: int
    instruction: str = ""
    agent: str = ""
    state: str = "pending"
    note: str = ""
    code: str = ""
    depends_on: tuple[int, ...] = ()
    fallback_for: int | None = None
    parent: int | None = None
    place: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def elapsed_s(self, now: datetime) -> float | None:
        if self.started_at is None:
            return None
        return ((self.ended_at or now) - self.started_at).total_seconds()

    @property
    def has_ended(self) -> bool:
        return self.state in STEP_ENDED

    @property
    def is_quiet(self) -> bool:
        """It was left out as planned."""
        return self.state == "skipped" and self.code in QUIET_CODES

    @property
    def label(self) -> str:
        """What it is called: an item by its list and its place."""
        return str(self.number) if self.parent is None else f"{self.parent}.{self.place}"


@dataclass(frozen=True, slots=True)
class TaskView:
    """All times are the coordinator's; `clock_lead` is how far our clock is ahead of it."""

    task_id: str
    created_at: datetime
    clock_lead: timedelta = timedelta()
    state: str = "planning"
    note: str = ""
    planner: str = ""
    version: int = 1
    steps: Mapping[int, StepView] = field(default_factory=dict)
    ended_at: datetime | None = None

    def elapsed_s(self, now: datetime) -> float:
        return ((self.ended_at or self.coordinator_time(now)) - self.created_at).total_seconds()

    def coordinator_time(self, now: datetime) -> datetime:
        return now - self.clock_lead

    def step(self, number: int) -> StepView:
        return self.steps.get(number, StepView(number))

    def planned(self) -> list[StepView]:
        """The steps of the plan, without the items of lists."""
        return [step for _, step in sorted(self.steps.items()) if step.parent is None]

    def items(self, number: int) -> list[StepView]:
        return [step for _, step in sorted(self.steps.items()) if step.parent == number]

    def gates(self) -> list[StepView]:
        """The steps that wait for somebody's approval."""
        return [step for step in self.planned() if step.state == "needs approval"]

    @property
    def is_busy(self) -> bool:
        """Steps go on, or wait for something else than an approval."""
        busy = ("running", "waiting", "retrying", "asks you")
        return any(step.state in busy for step in self.steps.values())

    def unmet(self, step: StepView) -> tuple[int, ...]:
        """The steps that this one still waits for."""
        return tuple(n for n in step.depends_on if n in self.steps and not self.steps[n].has_ended)


def first_view(accepted: Accepted, now: datetime) -> TaskView:
    view = TaskView(
        task_id=accepted.task_id, created_at=accepted.created_at, clock_lead=now - accepted.created_at
    )
    return with_plan(view, accepted.plan) if accepted.plan is not None else view


def with_plan(view: TaskView, plan: Plan) -> TaskView:
    """The view with the plan's steps; what is known of a step stays, and one that the plan no longer has is
    left out."""
    steps = {number: _without_plan(step) for number, step in view.steps.items()}
    for planned in plan.steps:
        known = view.step(planned.number)
        steps[planned.number] = replace(
            known,
            instruction=planned.instruction,
            depends_on=planned.depends_on,
            fallback_for=planned.fallback_for,
            agent=known.agent or planned.agent_name,
        )
    return replace(view, steps=steps, planner=plan.planner, version=plan.version)


def _without_plan(step: StepView) -> StepView:
    if step.has_ended or step.parent is not None:
        return step
    return replace(step, state="skipped", code="REVISED_AWAY", note="The plan was revised without it.")


def planned(event: Event) -> Plan | None:
    """The plan that an event carries."""
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


def item_title(item: Any) -> str:
    """An item of a list on one line: text as it is, else its JSON."""
    text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
    return one_line(text, max_chars=ITEM_CHARS)


def after(view: TaskView, event: Event) -> TaskView:
    """The view once the event has happened. An unknown kind changes nothing."""
    if event.kind.startswith("task."):
        return _after_task_event(view, event)
    number = step_number(event)
    if number is None or event.kind not in _STEP_STATES:
        return view
    steps = {**view.steps, number: _after_step_event(view.step(number), event)}
    if event.kind == "step.expanded":
        steps |= {item.number: item for item in _items(event, number)}
    return replace(view, steps=steps)


def _after_task_event(view: TaskView, event: Event) -> TaskView:
    plan = planned(event) if event.kind in _WITH_PLAN else None
    if plan is not None:
        view = replace(with_plan(view, plan), note=said(event.data))
    if event.kind not in _TASK_STATES:
        return view
    ended_at = event.created_at if event.is_last else None
    return replace(view, state=_TASK_STATES[event.kind], note=said(event.data), ended_at=ended_at)


def _after_step_event(step: StepView, event: Event) -> StepView:
    state = _STEP_STATES[event.kind]
    agent, code = event.data.get("agent_name"), event.data.get("code")
    started_at = step.started_at
    if state == "running" and (started_at is None or step.state in ("retrying", "waiting")):
        started_at = event.created_at
    return replace(
        step,
        state=state,
        note=said(event.data),
        code=code if isinstance(code, str) else "",
        agent=one_line(agent) if isinstance(agent, str) and agent else step.agent,
        started_at=started_at,
        ended_at=event.created_at if state in STEP_ENDED else None,
    )


def _items(event: Event, parent: int) -> list[StepView]:
    """The items of a list, as the event that makes their steps names them."""
    numbers, items = event.data.get("children"), event.data.get("items")
    if not isinstance(numbers, list) or not isinstance(items, list):
        return []
    return [
        StepView(number, instruction=item_title(item), parent=parent, place=place)
        for place, (number, item) in enumerate(zip(numbers, items, strict=False), start=1)
        if isinstance(number, int)
    ]
