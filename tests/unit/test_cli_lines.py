"""What each event says on a line of its own."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest

from coordinator.cli.lines import event_line
from coordinator.cli.shapes import Accepted, Event
from coordinator.cli.view import TaskView, after, first_view

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(kind: str, **data: Any) -> Event:
    return Event(number=1, kind=kind, data=data, created_at=START + timedelta(seconds=1))


BEFORE: TaskView = reduce(
    after,
    [
        event(
            "task.planned", plan={"planner": "request", "steps": [{"number": 2, "instruction": "Forecast"}]}
        ),
        event("step.expanded", step_number=2, children=[3, 4], items=["Oslo", {"a": 1}]),
    ],
    first_view(Accepted(task_id="task_1", session_id="session_1", created_at=START), START),
)


def line(kind: str, **data: Any) -> str | None:
    happened = event(kind, **data)
    return event_line(after(BEFORE, happened), happened)


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (
            "step.expanded",
            {"step_number": 2, "children": [3, 4], "items": ["Oslo", {"a": 1}]},
            'step 2 is done for each of 2 items: Oslo, {"a": 1}',
        ),
        (
            "step.expanded",
            {"step_number": 2, "children": list(range(3, 10)), "items": [1, 2, 3, 4, 5, 6, 7]},
            "step 2 is done for each of 7 items: 1, 2, 3, 4, 5, ...",
        ),
        ("step.expanded", {"step_number": 2, "children": [], "items": []}, "step 2 has no items"),
        (
            "step.started",
            {"step_number": 4, "agent_name": "A", "attempt": 2, "may_have_run_twice": True},
            'step 2.2 started by A, attempt 2, may run twice: {"a": 1}',
        ),
        (
            "step.awaiting_approval",
            {"step_number": 2},
            "step 2 needs somebody's approval: parley approve task_1 --step 2",
        ),
        ("step.approved", {"step_number": 2}, "step 2 approved"),
        ("step.reattached", {"step_number": 3}, "step 2.1 taken up again after a restart"),
        (
            "step.resent",
            {"step_number": 3, "may_have_run_twice": True},
            "step 2.1 sent again to its agent; it may have run twice",
        ),
        (
            "step.resent",
            {"step_number": 3, "may_have_run_twice": False},
            "step 2.1 sent again to its agent; it cannot run twice",
        ),
        ("step.resumed", {"step_number": 3}, "step 2.1 goes on by itself"),
        (
            "step.files_left_out",
            {"step_number": 3, "agent_name": "A", "files": ["a.csv", "b\x1b.csv"]},
            "step 2.1 goes without a.csv, b.csv, which A does not take",
        ),
        (
            "step.skipped",
            {"step_number": 2, "code": "CONDITION_NOT_MET", "reason": "It does not hold."},
            "step 2 not needed: It does not hold.",
        ),
        (
            "step.skipped",
            {"step_number": 2, "code": "DEPENDENCY_FAILED", "reason": "It needs step 1."},
            "step 2 skipped: It needs step 1.",
        ),
        (
            "step.completed",
            {"step_number": 2, "agent_id": "a", "carried_over_from": "task_0"},
            "step 2 kept from task_0",
        ),
        ("step.canceled", {"step_number": 2, "remote_task": None}, "step 2 canceled"),
        (
            "step.canceled",
            {"step_number": 3, "remote_task": "refused"},
            "step 2.1 canceled; its agent would not stop and may still be at it",
        ),
        (
            "task.plan_revised",
            {
                "plan": {"planner": "rules", "version": 3, "steps": []},
                "version": 3,
                "reason": "Step 1 failed.",
            },
            "plan revised, version 3: Step 1 failed.",
        ),
        ("task.awaiting_approval", {}, "awaiting approval of the plan: parley approve task_1"),
        ("task.input_given", {"step_number": 4}, "step 2.2 has got its answer"),
        ("task.cancel_requested", {}, "a cancel was asked for; the steps are being stopped"),
    ],
)
def test_event_is_said_in_words(kind: str, data: dict[str, Any], said: str) -> None:
    assert line(kind, **data) == said


def test_task_that_rests_at_a_step_does_not_speak_of_the_plan() -> None:
    waits = after(BEFORE, event("step.awaiting_approval", step_number=2))
    rests = event("task.awaiting_approval")
    assert event_line(after(waits, rests), rests) is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("step.awaiting_approval", {}),
        ("step.artifact", {"step_number": 2, "name": 5}),
        ("step.files_left_out", {"step_number": 2, "files": 5}),
        ("step.answered", {"step_number": 2}),
        ("step.accepted", {"step_number": 2}),
        ("task.input_given", {}),
        ("task.from.the.future", {}),
    ],
)
def test_event_without_anything_to_say_says_nothing(kind: str, data: dict[str, Any]) -> None:
    assert line(kind, **data) is None
