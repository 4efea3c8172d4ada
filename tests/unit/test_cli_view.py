"""What the progress display knows after which event."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from coordinator.cli.lines import event_line
from coordinator.cli.live import progress
from coordinator.cli.shapes import Accepted, Event
from coordinator.cli.view import TaskView, after, first_view

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAN: dict[str, Any] = {
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
    first = first_view(accepted, START + timedelta(seconds=ahead_s))
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


ITEMS = ["Oslo", {"city": "Rome"}, 5]


def listed(count: int = 3) -> TaskView:
    """Step 2 of the plan as a list."""
    items = (ITEMS * count)[:count]
    return seen(
        event(1, "task.planned", plan=PLAN),
        event(2, "step.expanded", step_number=2, children=list(range(3, 3 + count)), items=items),
    )


def test_list_has_its_items_as_steps_named_by_their_place() -> None:
    view = listed()
    assert [step.number for step in view.planned()] == [1, 2]
    assert [(item.label, item.instruction) for item in view.items(2)] == [
        ("2.1", "Oslo"),
        ("2.2", '{"city": "Rome"}'),
        ("2.3", "5"),
    ]


def test_items_stand_under_their_list_which_counts_them() -> None:
    view = reduce(
        after,
        [
            event(3, "step.started", step_number=3, agent_name="A", attempt=1),
            event(4, "step.completed", step_number=3),
            event(4, "step.failed", step_number=4, message="Closed.", code="AGENT_FAILED"),
        ],
        listed(),
    )
    rows = [line.split() for line in drawn(view, START + timedelta(seconds=5)).splitlines()]
    assert [row[0] for row in rows[2:7] if row[0] != "Closed."] == ["1", "2", "2.1", "2.2"]
    assert ["2", "Summarise", "it", "2/3", "done", "3.0", "s"] in rows
    assert ["2.1", "Oslo", "A", "completed", "1.0", "s"] in rows


def test_long_list_shows_what_needs_looking_at_and_counts_the_rest() -> None:
    view = after(listed(50), event(3, "step.failed", step_number=50, message="Closed.", code="X"))
    view = after(view, event(3, "step.started", step_number=40, agent_name="A", attempt=1))
    lines = [line.split() for line in drawn(view, START).splitlines()]
    assert [line[0] for line in lines if line and line[0].startswith("2.")] == [
        *(f"2.{place}" for place in range(1, 7)),
        "2.38",
        "2.48",
    ]
    assert ["and", "42", "more"] in lines


@pytest.mark.parametrize(
    "data",
    [{}, {"children": [3]}, {"children": "x", "items": []}, {"children": ["x", 3], "items": [1]}],
)
def test_list_of_an_unknown_shape_is_a_step_without_items(data: dict[str, Any]) -> None:
    assert seen(event(1, "step.expanded", step_number=2, **data)).items(2) == []


def test_step_that_waits_for_approval_is_a_gate_until_it_is_approved() -> None:
    waits = event(2, "step.awaiting_approval", step_number=1)
    view = seen(event(1, "task.planned", plan=PLAN), waits)
    assert [gate.number for gate in view.gates()] == [1]
    assert "needs approval" in drawn(view, START)
    assert after(view, event(3, "step.approved", step_number=1)).gates() == []


def test_how_to_approve_stands_there_while_other_steps_go_on() -> None:
    hint = "parley approve task_1 --step 1"
    busy = seen(
        event(1, "task.planned", plan=PLAN),
        event(2, "step.awaiting_approval", step_number=1),
        event(3, "step.started", step_number=2, agent_name="A", attempt=1),
    )
    assert hint in drawn(busy, START)
    assert hint not in drawn(after(busy, event(4, "step.completed", step_number=2)), START)


@pytest.mark.parametrize(
    ("code", "is_quiet"), [("CONDITION_NOT_MET", True), ("NOT_NEEDED", True), ("DEPENDENCY_FAILED", False)]
)
def test_step_that_was_left_out_as_planned_raises_no_alarm(code: str, is_quiet: bool) -> None:
    view = seen(event(1, "step.skipped", step_number=1, code=code, reason="So it is."))
    assert view.steps[1].is_quiet is is_quiet
    console = Console(file=StringIO(), width=100, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(progress(view, START))
    alarm = "\x1b[33mskipped"
    assert (alarm in capture.get()) is not is_quiet


def test_fallback_says_what_it_is_for_until_it_runs() -> None:
    plan = PLAN | {"steps": [PLAN["steps"][0], {"number": 2, "instruction": "Else", "fallback_for": 1}]}
    view = seen(event(1, "task.planned", plan=plan))
    assert ["2", "Else", "if", "1", "fails"] in [line.split() for line in drawn(view, START).splitlines()]


def test_revised_plan_keeps_what_has_begun_and_leaves_out_the_rest() -> None:
    revised = {
        "planner": "rules",
        "version": 2,
        "steps": [
            PLAN["steps"][0],
            {"number": 3, "instruction": "Summarise it elsewhere", "depends_on": [1]},
        ],
    }
    view = seen(
        event(1, "task.planned", plan=PLAN),
        event(2, "step.started", step_number=1, agent_name="Research", attempt=1),
        event(3, "task.plan_revised", plan=revised, version=2, reason="Nobody can do step 2."),
    )
    assert {number: step.state for number, step in view.steps.items()} == {
        1: "running",
        2: "skipped",
        3: "pending",
    }
    assert view.steps[2].is_quiet
    assert (view.state, view.version, view.note) == ("planned", 2, "Nobody can do step 2.")


def test_answered_question_is_no_longer_asked() -> None:
    view = seen(
        event(1, "step.started", step_number=1, agent_name="A", attempt=1),
        event(2, "step.input_required", step_number=1, question="Which city?"),
        event(3, "task.input_required", step_number=1, question="Which city?"),
        event(4, "task.input_given", step_number=1),
        event(5, "step.answered", step_number=1, message_id="m", attempt=1),
    )
    assert (view.state, view.steps[1].state) == ("executing", "running")
    assert view.steps[1].elapsed_s(START + timedelta(seconds=7)) == 6


def test_cancel_shows_before_it_is_confirmed() -> None:
    assert seen(event(1, "task.executing"), event(2, "task.cancel_requested")).state == "canceling"


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
