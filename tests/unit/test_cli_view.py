"""What the progress display knows after which event."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from coordinator.cli.live import progress
from coordinator.cli.shapes import Accepted, Event
from coordinator.cli.view import TaskView, after, event_line, first_view

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAN = {
    "planner": "rules",
    "steps": [
        {
            "number": 1,
            "instruction": "Research it",
            "agent_id": "agent_2",
            "candidates": [
                {"agent_id": "agent_1", "agent_name": "Other"},
                {"agent_id": "agent_2", "agent_name": "Research"},
            ],
        },
        {"number": 2, "instruction": "Summarise it", "depends_on": [1]},
    ],
}


def event(second: int, kind: str, **data: Any) -> Event:
    return Event(number=second, kind=kind, data=data, created_at=START + timedelta(seconds=second))


def seen(*events: Event, ahead_s: float = 0) -> TaskView:
    accepted = Accepted(task_id="task_1", session_id="session_1", created_at=START)
    first = first_view("Research and summarise", accepted, START + timedelta(seconds=ahead_s))
    return reduce(after, events, first)


def drawn(view: TaskView, now: datetime) -> str:
    console = Console(file=StringIO(), width=100, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(progress(view, now))
    return capture.get()


def test_plan_gives_steps_their_agents_and_what_they_wait_for() -> None:
    view = seen(event(1, "task.planned", plan=PLAN))
    assert [step.agent for step in view.steps.values()] == ["Research", ""]
    assert view.unmet(view.steps[2]) == (1,)


def test_step_that_ended_is_waited_for_no_longer() -> None:
    view = seen(
        event(1, "task.planned", plan=PLAN),
        event(2, "step.started", step_number=1, agent_name="Research", attempt=1),
        event(5, "step.completed", step_number=1),
    )
    assert view.unmet(view.steps[2]) == ()
    assert view.steps[1].elapsed_s(START + timedelta(hours=1)) == 3


def test_plan_that_changes_keeps_what_is_known_of_its_steps() -> None:
    view = seen(
        event(1, "task.planned", plan=PLAN),
        event(2, "step.started", step_number=1, agent_name="Third", attempt=1),
        event(3, "task.planned", plan=PLAN),
    )
    assert (view.steps[1].state, view.steps[1].agent) == ("running", "Third")


def test_retried_step_counts_from_its_new_start() -> None:
    view = seen(
        event(1, "step.started", step_number=1, agent_name="A", attempt=1),
        event(2, "step.retrying", step_number=1, message="busy", retry_at="2026-01-02T03:04:09Z"),
        event(4, "step.started", step_number=1, agent_name="B", attempt=2),
    )
    assert view.steps[1].elapsed_s(START + timedelta(seconds=6)) == 2


def test_clock_that_is_ahead_of_the_coordinators_does_not_show() -> None:
    view = seen(event(1, "step.started", step_number=1, agent_name="A", attempt=1), ahead_s=3600)
    now = START + timedelta(seconds=3600 + 4)
    assert view.elapsed_s(now) == 4
    assert view.steps[1].elapsed_s(view.coordinator_time(now)) == 3


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("task.from.the.future", {}),
        ("step.unheard.of", {"step_number": 1}),
        ("step.started", {"step_number": "one"}),
        ("nothing", {}),
    ],
)
def test_unknown_event_changes_nothing_and_says_nothing(kind: str, data: dict[str, Any]) -> None:
    before = seen(event(1, "task.planned", plan=PLAN))
    happened = event(2, kind, **data)
    assert after(before, happened) == before
    assert event_line(before, happened) is None


@pytest.mark.parametrize("plan", [None, "text", {"steps": "none"}])
def test_plan_of_an_unknown_shape_is_left_out(plan: Any) -> None:
    assert seen(event(1, "task.planned", plan=plan)).steps == {}


def test_table_shows_each_step_with_agent_state_and_time() -> None:
    view = seen(
        event(0, "task.planned", plan=PLAN),
        event(0, "step.started", step_number=1, agent_name="Research", attempt=1),
        event(1, "step.progress", step_number=1, text="reading 3 files"),
    )
    rows = [line.split() for line in drawn(view, START + timedelta(seconds=2)).splitlines()]
    assert ["1", "Research", "it", "Research", "running", "2.0", "s"] in rows
    assert ["reading", "3", "files"] in rows
    assert ["2", "Summarise", "it", "after", "1"] in rows


def test_reason_of_a_failure_stays_on_the_screen() -> None:
    view = seen(event(1, "step.failed", step_number=1, code="X", message="The disk is full."))
    assert "The disk is full." in drawn(view, START)


def test_words_of_agents_cannot_steer_the_terminal() -> None:
    view = seen(
        event(1, "step.started", step_number=1, agent_name="A\x1b[2J[bold]", attempt=1),
        event(2, "step.progress", step_number=1, text="one\x1b]0;x\x07\ntwo"),
    )
    shown = drawn(view, START)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "A[2J[bold]" in shown
