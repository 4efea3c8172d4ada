"""Steps with a condition, and steps that are done once for each item of a list."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.task_api import Json, act, answer, becomes, begin, codes, ended, run, statuses, step
from tests.support.workshop import Workshop

MAX_PARALLEL_STEPS = 4


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    settings = settings_for(shared_database_url, max_parallel_steps=MAX_PARALLEL_STEPS)
    with running_coordinator(settings) as running:
        yield running


@pytest.fixture(scope="module")
def workshop(coordinator: Coordinator) -> Workshop:
    made = Workshop()
    coordinator.add_agent(made.agent)
    return made


def when(ref: str, op: str, value: Any = None) -> Json:
    return {"ref": ref, "op": op, "value": value}


def gaps(task: Json) -> list[int]:
    return [gap["step_number"] for gap in task["gaps"]]


HOLDING = [
    ("steps.1.data.total", "gt", 11),
    ("steps.1.data.total", "eq", 12.0),
    ("steps.1.data.name", "contains", "sl"),
    ("steps.1.data.name", "in", ["Rome", "Oslo"]),
    ("steps.1.data.other", "missing", None),
    ("steps.1.data.total", "exists", None),
]


@pytest.mark.parametrize(("ref", "op", "value"), HOLDING)
def test_a_step_whose_condition_holds_is_done(
    coordinator: Coordinator, workshop: Workshop, ref: str, op: str, value: Any
) -> None:
    first = step(1, "give", data={"total": 12, "name": "Oslo"})
    task = run(coordinator, first, step(2, "say", 1, when=when(ref, op, value)))
    assert statuses(task) == ["completed", "completed"]


def test_a_step_whose_condition_does_not_hold_is_left_out_without_a_gap(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    big = step(2, "say", 1, instruction="big", when=when("steps.1.data.total", "gt", 100))
    small = step(3, "say", 1, instruction="small", when=when("steps.1.data.total", "le", 100))
    task = run(coordinator, step(1, "give", data={"total": 12}), big, small, step(4, "read", 2, 3))
    assert statuses(task) == ["completed", "skipped", "completed", "completed"]
    assert codes(task)[1] == "CONDITION_NOT_MET"
    assert (task["status"], task["gaps"]) == ("completed", [])
    assert workshop.texts(task, "say") == ["small"]
    [part] = workshop.heard(task, "read")[0].attachments
    assert part.text == "heard: small"


def test_a_condition_that_compares_what_cannot_be_compared_fails_its_step(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    unlike = step(2, "say", 1, when=when("steps.1.data.name", "gt", 100))
    task = run(coordinator, step(1, "give", data={"name": "Oslo"}), unlike)
    assert statuses(task) == ["completed", "failed"]
    assert "is a string" in task["steps"][1]["error"]["message"]
    assert workshop.heard(task, "say") == []


def test_a_list_is_done_once_for_each_item_and_its_results_keep_the_order(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    cities = [{"city": "Oslo"}, {"city": "Rome"}, {"city": "Lima"}]
    each = step(2, "say", 1, for_each="steps.1.data", instruction="{{item_index}} {{item.city}}")
    task = run(
        coordinator, step(1, "give", data=cities), each, step(3, "read", 2, instruction="{{steps.2.data}}")
    )
    assert sorted(workshop.texts(task, "say")) == ["0 Oslo", "1 Rome", "2 Lima"]
    assert workshop.texts(task, "read") == ['["heard: 0 Oslo","heard: 1 Rome","heard: 2 Lima"]']
    items = [shown for shown in task["steps"] if shown["parent"] == 2]
    assert [shown["item"] for shown in items] == cities
    carried = [part.text for part in workshop.heard(task, "read")[0].attachments]
    assert sorted(map(str, carried)) == ["heard: 0 Oslo", "heard: 1 Rome", "heard: 2 Lima"]


def holding_list(coordinator: Coordinator, items: int, **more: Any) -> Json:
    first = step(1, "give", data=list(range(items)))
    return begin(coordinator, first, step(2, "hold", 1, for_each="steps.1.data", **more))


@pytest.mark.parametrize(("more", "at_once"), [({"max_parallel": 2}, 2), ({}, MAX_PARALLEL_STEPS)])
def test_no_more_items_run_at_once_than_allowed(
    coordinator: Coordinator, workshop: Workshop, more: Json, at_once: int
) -> None:
    task = holding_list(coordinator, 6, **more)
    workshop.holds(task, at_once)
    items = [shown["status"] for shown in coordinator.task(task["id"])["steps"][2:]]
    assert (items.count("running"), items.count("pending")) == (at_once, 6 - at_once)
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"
    assert workshop.peak(task) == at_once


def test_a_failed_item_fails_its_list_once_the_others_are_done(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    each = step(2, "stumble", 1, for_each="steps.1.data", instruction="{{item}}", data="{{item}}")
    each |= {"retry": {"max_attempts": 1}}
    task = run(coordinator, step(1, "give", data=[0, 99, 0]), each)
    assert task["status"] == "failed"
    assert [shown["status"] for shown in task["steps"]][2:] == ["completed", "failed", "completed"]
    assert task["steps"][1]["error"]["message"] == "1 of 3 items did not complete. The first: It stumbled."
    assert gaps(task) == [2]


def test_a_failed_list_that_is_optional_is_one_gap(coordinator: Coordinator, workshop: Workshop) -> None:
    each = step(2, "fail", 1, for_each="steps.1.data", requirement="optional")
    task = run(coordinator, step(1, "give", data=[1, 2]), each, step(3, "say", 2))
    assert (task["status"], gaps(task)) == ("completed", [2])


def test_an_empty_list_is_done_at_once(coordinator: Coordinator, workshop: Workshop) -> None:
    each = step(2, "say", 1, for_each="steps.1.data.cities")
    last = step(3, "read", 2, instruction="{{steps.2.data}}")
    task = run(coordinator, step(1, "give", data={"cities": []}), each, last)
    assert statuses(task) == ["completed"] * 3
    assert task["steps"][1]["output_data"]["data"] == []
    assert workshop.heard(task, "say") == []
    assert workshop.texts(task, "read") == ["[]"]


@pytest.mark.parametrize(
    ("data", "code"),
    [({"a": 1}, "REFERENCE_MISSING"), ("abc", "REFERENCE_MISSING"), ([1] * 101, "TOO_MANY_ITEMS")],
)
def test_what_is_no_list_or_too_long_a_list_fails_its_step(
    coordinator: Coordinator, workshop: Workshop, data: Any, code: str
) -> None:
    each = step(2, "say", 1, for_each="steps.1.data.list")
    task = run(coordinator, step(1, "give", data={"list": data}), each)
    assert codes(task) == [None, code]
    assert workshop.heard(task, "say") == []


def test_a_list_may_have_a_hundred_items(coordinator: Coordinator, workshop: Workshop) -> None:
    each = step(2, "say", 1, for_each="steps.1.data", instruction="{{item}}")
    task = run(coordinator, step(1, "give", data=list(range(100))), each)
    assert task["steps"][1]["output_data"]["data"] == [f"heard: {item}" for item in range(100)]


def test_a_list_can_stand_in_for_a_failed_list(coordinator: Coordinator, workshop: Workshop) -> None:
    first = step(2, "fail", 1, for_each="steps.1.data")
    instead = step(
        3,
        "say",
        1,
        requirement="fallback",
        fallback_for=2,
        for_each="steps.1.data",
        instruction="instead of {{item}}",
    )
    last = step(4, "read", 2, for_each="steps.2.data", instruction="{{item}}")
    task = run(coordinator, step(1, "give", data=["a", "b"]), first, instead, last)
    assert (task["status"], task["gaps"]) == ("completed", [])
    assert sorted(workshop.texts(task, "read")) == ["heard: instead of a", "heard: instead of b"]


def test_a_list_is_approved_as_a_whole(coordinator: Coordinator, workshop: Workshop) -> None:
    each = step(2, "say", 1, for_each="steps.1.data", approval=True)
    task = run(coordinator, step(1, "give", data=["a", "b"]), each)
    assert (task["status"], statuses(task)) == ("awaiting_approval", ["completed", "pending"])
    assert act(coordinator, task["id"], "approve", step_number=2).status_code == 202
    assert statuses(ended(coordinator, task["id"])) == ["completed"] * 4


def test_items_that_ask_are_answered_by_their_own_numbers(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    each = step(2, "authorise", 1, for_each="steps.1.data")
    task = run(coordinator, step(1, "give", data=["a", "b"]), each)
    becomes(coordinator, task["id"], "input_required")
    assert answer(coordinator, task["id"], "badge 2", step_number=2).status_code == 409, (
        "the list asks nothing"
    )
    assert answer(coordinator, task["id"], "badge 4", step_number=4).status_code == 202
    assert answer(coordinator, task["id"], "badge 3", step_number=3).status_code == 202
    done = ended(coordinator, task["id"])
    assert done["steps"][1]["output_data"]["data"] == ["let in with badge 3", "let in with badge 4"]


def test_a_canceled_list_is_canceled_at_the_agent_of_each_item(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = holding_list(coordinator, 2)
    workshop.holds(task, 2)
    act(coordinator, task["id"], "cancel")
    done = ended(coordinator, task["id"])
    assert statuses(done) == ["completed", "canceled", "canceled", "canceled"]
    assert [shown["remote_cancel"] for shown in done["steps"]] == [None, None, "canceled", "canceled"]
    workshop.holds(task, 0)
