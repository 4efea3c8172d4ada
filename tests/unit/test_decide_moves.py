"""The executor's decisions before a step's first attempt: conditions, lists, approvals, one by one."""

from datetime import timedelta
from typing import Any

import pytest

from coordinator.executor.decide import MAX_ITEMS
from coordinator.executor.state import (
    AskApproval,
    Dispatch,
    Expand,
    Fail,
    Finish,
    Gather,
    Reattach,
    Skip,
    StepState,
    Wait,
)
from coordinator.planner.plan import Requirement, Strategy, When
from coordinator.planner.template import ConditionOp
from models.states import StepStatus, TaskStatus
from tests.support.task_states import DEADLINE, NOW, completed, decided, failed, item, skipped, step, task

ABOVE_TEN = When("steps.1.data.total", ConditionOp.gt, 10)
SEQUENTIAL = Strategy.sequential


# Conditions.


def test_a_step_whose_condition_holds_runs() -> None:
    assert decided(task(completed(1, data={"total": 11}), step(2, needs=(1,), when=ABOVE_TEN))) == [
        Dispatch(2)
    ]


def test_a_step_whose_condition_does_not_hold_is_left_out() -> None:
    [skip] = decided(task(completed(1, data={"total": 9}), step(2, needs=(1,), when=ABOVE_TEN)))
    assert isinstance(skip, Skip)
    assert (skip.number, skip.problem.code) == (2, "CONDITION_NOT_MET")


def test_a_condition_is_not_looked_at_before_what_it_is_about_has_ended() -> None:
    running = task(step(1, StepStatus.RUNNING), step(2, needs=(1,), when=ABOVE_TEN))
    assert decided(running, active={1}) == [Wait(DEADLINE)]


def test_what_depends_on_a_step_that_was_left_out_goes_on() -> None:
    assert decided(task(skipped(1, "CONDITION_NOT_MET"), step(2, needs=(1,)))) == [Dispatch(2)]


def test_a_step_that_was_left_out_does_not_fail_the_task() -> None:
    ended = task(completed(1), skipped(2, "CONDITION_NOT_MET", needs=(1,)))
    assert decided(ended) == [Finish(TaskStatus.COMPLETED)]


def test_a_task_whose_steps_were_all_left_out_is_completed() -> None:
    assert decided(task(skipped(1, "CONDITION_NOT_MET"), skipped(2, "NOT_NEEDED", fallback_for=1))) == [
        Finish(TaskStatus.COMPLETED)
    ]


@pytest.mark.parametrize(
    "first",
    [
        completed(1, data={"sum": 11}),
        completed(1, text="eleven"),
        failed(1, requirement=Requirement.optional),
    ],
    ids=["other data", "no data", "failed optional"],
)
def test_a_condition_on_what_is_missing_fails_the_step_before_anything_is_sent(first: StepState) -> None:
    [fail] = decided(task(first, step(2, needs=(1,), when=ABOVE_TEN)))
    assert isinstance(fail, Fail)
    assert (fail.number, fail.problem.code) == (2, "REFERENCE_MISSING")


def test_a_condition_can_ask_whether_something_is_missing() -> None:
    missing = When("steps.1.data.total", ConditionOp.missing)
    assert decided(task(completed(1, text="eleven"), step(2, needs=(1,), when=missing))) == [Dispatch(2)]


def test_a_condition_on_a_failed_step_is_about_the_fallback_that_stands_in() -> None:
    replaced = task(
        failed(1), completed(2, fallback_for=1, data={"total": 11}), step(3, needs=(1,), when=ABOVE_TEN)
    )
    assert decided(replaced) == [Dispatch(3)]


# Lists.


def listing(number: int = 2, status: StepStatus = StepStatus.PENDING, **more: Any) -> StepState:
    return step(number, status, needs=(1,), for_each="steps.1.data.cities", **more)


def cities(*names: str) -> StepState:
    return completed(1, data={"cities": list(names)})


def test_a_step_with_a_list_becomes_one_step_for_each_item() -> None:
    assert decided(task(cities("Oslo", "Rome"), listing())) == [Expand(2, ("Oslo", "Rome"))]


def test_an_empty_list_is_expanded_and_gathered_at_once() -> None:
    assert decided(task(cities(), listing())) == [Expand(2, ())]
    assert decided(task(cities(), listing(status=StepStatus.RUNNING))) == [Gather(2)]


@pytest.mark.parametrize("value", ["Oslo", {"a": 1}, 7, True])
def test_what_is_no_list_fails_the_step(value: object) -> None:
    [fail] = decided(task(completed(1, data={"cities": value}), listing()))
    assert isinstance(fail, Fail)
    assert fail.problem.code == "REFERENCE_MISSING"
    assert "no list" in fail.problem.message


def test_a_list_that_is_not_there_fails_the_step() -> None:
    [fail] = decided(task(completed(1, text="none"), listing()))
    assert isinstance(fail, Fail)
    assert fail.problem.code == "REFERENCE_MISSING"


def test_a_list_of_too_many_items_fails_the_step() -> None:
    assert decided(task(cities(*["Oslo"] * MAX_ITEMS), listing())) == [Expand(2, ("Oslo",) * MAX_ITEMS)]
    [fail] = decided(task(cities(*["Oslo"] * (MAX_ITEMS + 1)), listing()))
    assert isinstance(fail, Fail)
    assert fail.problem.code == "TOO_MANY_ITEMS"


def test_a_condition_comes_before_the_list() -> None:
    never = When("steps.1.data.cities", ConditionOp.contains, "Paris")
    [skip] = decided(task(cities("Oslo"), listing(when=never)))
    assert isinstance(skip, Skip)


def test_items_run_at_once() -> None:
    parent = listing(status=StepStatus.RUNNING)
    assert decided(task(cities("a", "b"), parent, item(3, parent, 0), item(4, parent, 1))) == [
        Dispatch(3),
        Dispatch(4),
    ]


def test_no_more_items_run_at_once_than_the_step_allows() -> None:
    parent = listing(status=StepStatus.RUNNING, max_parallel=2)
    items = [item(number, parent, number) for number in (3, 4, 5)]
    assert decided(task(cities("a", "b", "c"), parent, *items)) == [Dispatch(3), Dispatch(4)]
    items[0].status = StepStatus.RUNNING
    assert decided(task(cities("a", "b", "c"), parent, *items), active={3}) == [Dispatch(4)]


def test_items_that_are_reattached_count() -> None:
    parent = listing(status=StepStatus.RUNNING, max_parallel=1)
    items = [item(3, parent, 0, StepStatus.RUNNING), item(4, parent, 1)]
    assert decided(task(cities("a", "b"), parent, *items)) == [Reattach(3)]


def test_the_limit_of_one_list_does_not_hold_up_another_step() -> None:
    parent = listing(status=StepStatus.RUNNING, max_parallel=1)
    items = [item(5, parent, 0, StepStatus.RUNNING), item(6, parent, 1)]
    assert decided(task(cities("a", "b"), parent, step(3), *items), active={5}) == [Dispatch(3)]


@pytest.mark.parametrize("last", [StepStatus.COMPLETED, StepStatus.FAILED])
def test_a_list_is_gathered_once_all_its_items_have_ended(last: StepStatus) -> None:
    parent = listing(status=StepStatus.RUNNING)
    first, second = item(3, parent, 0, StepStatus.COMPLETED), item(4, parent, 1, StepStatus.RUNNING)
    state = task(cities("a", "b"), parent, first, second)
    assert decided(state, active={4}) == [Wait(DEADLINE)]
    second.status = last
    assert decided(state) == [Gather(2)]


def test_what_depends_on_a_list_waits_until_it_is_gathered() -> None:
    parent = listing(status=StepStatus.RUNNING)
    first = item(4, parent, 0, StepStatus.RUNNING)
    assert decided(task(cities("a"), parent, step(3, needs=(2,)), first), active={4}) == [Wait(DEADLINE)]


def test_an_item_that_failed_leaves_the_failure_of_the_task_to_its_list() -> None:
    parent = listing(status=StepStatus.FAILED, requirement=Requirement.optional)
    broken = item(3, parent, 0, StepStatus.FAILED)
    assert decided(task(cities("a"), parent, broken)) == [Finish(TaskStatus.COMPLETED)]


# Approvals.


def gate(number: int = 1, **more: Any) -> StepState:
    return step(number, approval=True, **more)


def asked(number: int = 1, **more: Any) -> StepState:
    waiting = gate(number, **more)
    waiting.waiting_for = "Somebody has to approve it before it starts."
    return waiting


def test_a_step_with_a_gate_asks_for_approval_before_it_starts() -> None:
    assert decided(task(gate())) == [AskApproval(1)]


def test_a_gate_does_not_ask_before_the_step_is_ready() -> None:
    running = task(step(1, StepStatus.RUNNING), gate(2, needs=(1,)))
    assert decided(running, active={1}) == [Wait(DEADLINE)]


def test_a_gate_asks_once() -> None:
    assert decided(task(asked())) == [Wait(DEADLINE, TaskStatus.AWAITING_APPROVAL)]


def test_a_gate_leaves_the_task_to_a_person_only_when_nothing_else_can_go_on() -> None:
    both = task(asked(1), step(2, StepStatus.RUNNING))
    assert decided(both, active={2}) == [Wait(DEADLINE)]
    both.steps[2].status = StepStatus.COMPLETED
    assert decided(both) == [Wait(DEADLINE, TaskStatus.AWAITING_APPROVAL)]


def test_a_gate_holds_up_no_other_step() -> None:
    assert decided(task(asked(1), step(2))) == [Dispatch(2)]


def test_a_task_that_rests_at_a_gate_still_takes_other_steps_up() -> None:
    """The task's own status is that of its rest until the approval is taken in."""
    assert decided(task(asked(1), step(2), status=TaskStatus.AWAITING_APPROVAL)) == [Dispatch(2)]


def test_an_approved_step_runs() -> None:
    approved = gate()
    approved.is_approved = True
    assert decided(task(approved)) == [Dispatch(1)]


def test_an_approved_list_is_expanded() -> None:
    approved = listing(approval=True)
    approved.is_approved = True
    assert decided(task(cities("Oslo"), approved)) == [Expand(2, ("Oslo",))]


def test_nobody_is_asked_to_approve_what_will_be_left_out() -> None:
    [skip] = decided(task(completed(1, data={"total": 9}), gate(2, needs=(1,), when=ABOVE_TEN)))
    assert isinstance(skip, Skip)


def test_the_items_of_an_approved_list_need_no_approval() -> None:
    parent = listing(status=StepStatus.RUNNING, approval=True)
    parent.is_approved = True
    assert decided(task(cities("a"), parent, item(3, parent, 0))) == [Dispatch(3)]


# One after the other.


def test_sequential_steps_run_one_at_a_time() -> None:
    plan = task(step(1), step(2), strategy=SEQUENTIAL)
    assert decided(plan) == [Dispatch(1)]
    plan.steps[1].status, plan.steps[1].attempt = StepStatus.RUNNING, 1
    assert decided(plan, active={1}) == [Wait(DEADLINE)]
    plan.steps[1].status = StepStatus.COMPLETED
    assert decided(plan) == [Dispatch(2)]


def test_a_sequential_step_that_is_tried_again_goes_before_the_next() -> None:
    again = step(1)
    again.attempt, again.retry_at = 1, NOW + timedelta(seconds=5)
    assert decided(task(again, step(2), strategy=SEQUENTIAL)) == [Wait(again.retry_at)]


def test_a_sequential_step_that_asks_goes_before_the_next() -> None:
    asking = task(step(1, StepStatus.INPUT_REQUIRED), step(2), strategy=SEQUENTIAL)
    assert decided(asking) == [Wait(DEADLINE, TaskStatus.INPUT_REQUIRED)]


def test_a_sequential_step_can_depend_on_one_of_a_later_number() -> None:
    plan = task(step(1, needs=(2,)), step(2), strategy=SEQUENTIAL)
    assert decided(plan) == [Dispatch(2)]
    plan.steps[2].status = StepStatus.COMPLETED
    assert decided(plan) == [Dispatch(1)]


def test_the_items_of_a_sequential_list_run_one_at_a_time() -> None:
    parent = listing(status=StepStatus.RUNNING)
    parent.attempt = 0
    items = [item(3, parent, 0), item(4, parent, 1)]
    plan = task(cities("a", "b"), parent, *items, strategy=SEQUENTIAL)
    assert decided(plan) == [Dispatch(3)]
    items[0].status, items[0].attempt = StepStatus.RUNNING, 1
    assert decided(plan, active={3}) == [Wait(DEADLINE)]


def test_a_sequential_list_is_one_step_with_all_its_items() -> None:
    plan = task(cities("a", "b"), listing(), step(3), strategy=SEQUENTIAL)
    assert decided(plan) == [Expand(2, ("a", "b"))]
    parent = listing(status=StepStatus.RUNNING)
    parent.attempt = 0
    items = [item(4, parent, 0, StepStatus.COMPLETED), item(5, parent, 1)]
    assert decided(task(cities("a", "b"), parent, step(3), *items, strategy=SEQUENTIAL)) == [Dispatch(5)]


def test_a_sequential_list_is_not_expanded_while_another_step_runs() -> None:
    running = task(step(3, StepStatus.RUNNING), cities("a"), listing(), strategy=SEQUENTIAL)
    assert decided(running, active={3}) == [Wait(DEADLINE)]
