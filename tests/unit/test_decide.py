"""The executor's decisions, as a table of situations: order, failure, fallbacks, the end."""

from datetime import timedelta

import pytest

from coordinator.executor.decide import RetryPolicy, retry_at, stand_ins
from coordinator.executor.state import (
    AttemptFailed,
    Dispatch,
    Finish,
    Problem,
    Reattach,
    Skip,
    StepState,
    Stop,
    Wait,
)
from coordinator.planner.plan import Requirement, Retry
from models.states import StepStatus, TaskStatus
from tests.support.task_states import DEADLINE, NOW, completed, decided, failed, skipped, step, task

OPTIONAL = Requirement.optional


def test_steps_without_dependencies_start_at_once() -> None:
    assert decided(task(step(1), step(2))) == [Dispatch(1), Dispatch(2)]


def test_a_step_waits_for_all_it_depends_on() -> None:
    running = task(completed(1), step(2, StepStatus.RUNNING), step(3, needs=(1, 2)))
    assert decided(running, active={2}) == [Wait(DEADLINE)]


def test_no_more_steps_run_at_once_than_allowed() -> None:
    assert decided(task(step(1), step(2), step(3)), max_parallel=2) == [Dispatch(1), Dispatch(2)]


def test_steps_that_run_already_count() -> None:
    running = task(step(1, StepStatus.RUNNING), step(2), step(3))
    assert decided(running, active={1}, max_parallel=2) == [Dispatch(2)]


def test_a_running_step_without_an_attempt_here_is_reattached() -> None:
    assert decided(task(step(1, StepStatus.RUNNING), step(2))) == [Reattach(1), Dispatch(2)]


def test_a_step_that_runs_is_reattached_even_where_no_more_may_start() -> None:
    orphans = task(step(1, StepStatus.RUNNING), step(2, StepStatus.RUNNING))
    assert decided(orphans, max_parallel=1) == [Reattach(1), Reattach(2)]


def test_a_step_that_is_reattached_takes_the_place_of_one_that_could_start() -> None:
    assert decided(task(step(1, StepStatus.RUNNING), step(2)), max_parallel=1) == [Reattach(1)]


# A failure and what it means for the rest.


def test_what_depends_on_a_failed_required_step_is_skipped() -> None:
    [skip] = decided(task(failed(1), step(2, needs=(1,))))
    assert isinstance(skip, Skip)
    assert (skip.number, skip.problem.code) == (2, "DEPENDENCY_FAILED")
    assert "step 1" in skip.problem.message


def test_what_depends_on_a_skipped_step_is_skipped() -> None:
    [skip] = decided(task(failed(1), skipped(2, "DEPENDENCY_FAILED", needs=(1,)), step(3, needs=(2,))))
    assert isinstance(skip, Skip)
    assert skip.number == 3


def test_a_step_is_skipped_although_another_that_it_needs_still_runs() -> None:
    half = task(failed(1), step(2, StepStatus.RUNNING), step(3, needs=(1, 2)))
    [skip] = decided(half, active={2})
    assert isinstance(skip, Skip)


def test_what_depends_on_a_failed_optional_step_runs_without_it() -> None:
    assert decided(task(failed(1, requirement=OPTIONAL), step(2, needs=(1,)))) == [Dispatch(2)]


def test_a_failed_required_step_fails_the_task_with_its_code() -> None:
    ended = task(failed(1), skipped(2, "DEPENDENCY_FAILED", needs=(1,)))
    assert decided(ended) == [Finish(TaskStatus.FAILED, Problem("AGENT_FAILED", "Step 1 failed: no luck"))]


def test_a_failed_optional_step_does_not_fail_the_task() -> None:
    assert decided(task(completed(1), failed(2, requirement=OPTIONAL))) == [Finish(TaskStatus.COMPLETED)]


def test_a_task_of_which_nothing_was_done_has_failed() -> None:
    [finish] = decided(task(failed(1, requirement=OPTIONAL), failed(2, requirement=OPTIONAL)))
    assert isinstance(finish, Finish)
    assert finish.status is TaskStatus.FAILED
    assert finish.problem is not None


def test_an_independent_branch_goes_on_after_another_failed() -> None:
    assert decided(task(failed(1), completed(2), step(3, needs=(2,)))) == [Dispatch(3)]


# Fallbacks.


def test_a_fallback_waits_until_the_first_has_ended() -> None:
    running = task(step(1, StepStatus.RUNNING), step(2, fallback_for=1))
    assert decided(running, active={1}) == [Wait(DEADLINE)]


def test_a_fallback_waits_while_the_first_is_tried_again() -> None:
    again = step(1)
    again.attempt, again.retry_at = 1, NOW + timedelta(seconds=5)
    assert decided(task(again, step(2, fallback_for=1))) == [Wait(again.retry_at)]


def test_a_fallback_runs_once_the_first_has_failed() -> None:
    assert decided(task(failed(1), step(2, fallback_for=1))) == [Dispatch(2)]


def test_a_fallback_runs_where_the_first_was_skipped_for_a_failure() -> None:
    broken = task(failed(1), skipped(2, "DEPENDENCY_FAILED", needs=(1,)), step(3, fallback_for=2))
    assert decided(broken) == [Dispatch(3)]


@pytest.mark.parametrize("first", [completed(1), skipped(1, "CONDITION_NOT_MET")])
def test_a_fallback_of_what_did_not_fail_is_not_needed(first: StepState) -> None:
    [skip] = decided(task(first, step(2, fallback_for=1)))
    assert isinstance(skip, Skip)
    assert (skip.number, skip.problem.code) == (2, "NOT_NEEDED")


def test_a_fallback_of_a_fallback_waits_for_both() -> None:
    chain = task(failed(1), step(2, StepStatus.RUNNING, fallback_for=1), step(3, fallback_for=2))
    assert decided(chain, active={2}) == [Wait(DEADLINE)]
    assert decided(task(failed(1), failed(2, fallback_for=1), step(3, fallback_for=2))) == [Dispatch(3)]


def test_the_whole_chain_of_fallbacks_is_not_needed_where_the_first_completed() -> None:
    chain = task(completed(1), skipped(2, "NOT_NEEDED", fallback_for=1), step(3, fallback_for=2))
    [skip] = decided(chain)
    assert isinstance(skip, Skip)
    assert (skip.number, skip.problem.code) == (3, "NOT_NEEDED")


def test_what_depends_on_a_failed_step_waits_for_its_fallback() -> None:
    running = task(failed(1), step(2, StepStatus.RUNNING, fallback_for=1), step(3, needs=(1,)))
    assert decided(running, active={2}) == [Wait(DEADLINE)]


def test_what_depends_on_a_failed_step_runs_on_its_fallbacks_result() -> None:
    replaced = task(failed(1), completed(2, fallback_for=1), step(3, needs=(1,)))
    assert decided(replaced) == [Dispatch(3)]
    assert stand_ins(replaced, [1]) == [2]


def test_a_fallback_of_a_fallback_stands_in_for_the_first() -> None:
    chain = task(failed(1), failed(2, fallback_for=1), completed(3, fallback_for=2), step(4, needs=(1,)))
    assert decided(chain) == [Dispatch(4)]
    assert stand_ins(chain, [1]) == [3]


def test_a_completed_step_stands_for_itself() -> None:
    assert stand_ins(task(completed(1), skipped(2, "NOT_NEEDED", fallback_for=1)), [1]) == [1]


def test_what_depends_on_a_failed_step_is_skipped_once_its_fallback_failed_too() -> None:
    [skip] = decided(task(failed(1), failed(2, fallback_for=1), step(3, needs=(1,))))
    assert isinstance(skip, Skip)
    assert skip.number == 3


def test_a_failed_step_whose_fallback_completed_does_not_fail_the_task() -> None:
    assert decided(task(failed(1), completed(2, fallback_for=1))) == [Finish(TaskStatus.COMPLETED)]


def test_where_the_fallback_failed_too_the_task_fails_for_the_first() -> None:
    first = failed(1, Problem("AGENT_GONE", "it left"))
    assert decided(task(first, failed(2, fallback_for=1))) == [
        Finish(TaskStatus.FAILED, Problem("AGENT_GONE", "Step 1 failed: it left"))
    ]


def test_a_failed_fallback_of_an_optional_step_does_not_fail_the_task() -> None:
    ended = task(completed(1), failed(2, requirement=OPTIONAL), failed(3, fallback_for=2))
    assert decided(ended) == [Finish(TaskStatus.COMPLETED)]


# Cancel, deadline, persons.


def test_a_cancel_stops_every_open_step_and_ends_the_task() -> None:
    canceled = task(step(1, StepStatus.RUNNING), step(2), completed(3), canceled=True)
    assert decided(canceled, active={1}) == [Stop(1, None), Stop(2, None), Finish(TaskStatus.CANCELED)]


def test_a_cancel_ends_a_task_that_waits_for_its_plan_to_be_approved() -> None:
    unapproved = task(step(1), status=TaskStatus.AWAITING_APPROVAL, canceled=True)
    assert decided(unapproved) == [Stop(1, None), Finish(TaskStatus.CANCELED)]


def test_past_the_deadline_the_task_fails_with_what_it_waited_for() -> None:
    waiting = step(1)
    waiting.waiting_for = "No agent with the skill echo is up."
    stop, finish = decided(task(waiting), DEADLINE)
    assert isinstance(stop, Stop)
    assert isinstance(finish, Finish)
    assert stop.problem == finish.problem
    assert finish.problem is not None
    assert finish.problem.code == "DEADLINE_EXCEEDED"
    assert "No agent with the skill echo is up." in finish.problem.message


def test_the_deadline_ends_a_task_that_waits_for_a_person() -> None:
    asking = task(step(1, StepStatus.INPUT_REQUIRED), status=TaskStatus.INPUT_REQUIRED)
    stop, finish = decided(asking, DEADLINE)
    assert isinstance(stop, Stop)
    assert isinstance(finish, Finish)
    assert finish.status is TaskStatus.FAILED


def test_a_task_whose_plan_awaits_approval_runs_nothing() -> None:
    unapproved = task(step(1), status=TaskStatus.AWAITING_APPROVAL)
    assert decided(unapproved) == [Wait(DEADLINE, TaskStatus.AWAITING_APPROVAL)]


def test_a_question_leaves_the_task_to_a_person_once_nothing_else_runs() -> None:
    asking = task(step(1, StepStatus.INPUT_REQUIRED), step(2, StepStatus.RUNNING))
    assert decided(asking, active={2}) == [Wait(DEADLINE)]
    asking.steps[2].status = StepStatus.COMPLETED
    assert decided(asking) == [Wait(DEADLINE, TaskStatus.INPUT_REQUIRED)]


def test_a_question_does_not_end_the_run_while_a_step_is_to_be_tried_again() -> None:
    again = step(2)
    again.attempt, again.retry_at = 1, NOW + timedelta(seconds=5)
    assert decided(task(step(1, StepStatus.INPUT_REQUIRED), again)) == [Wait(again.retry_at)]


def test_an_answered_question_goes_on() -> None:
    answered = step(1, StepStatus.INPUT_REQUIRED)
    answered.has_answer = True
    assert decided(task(answered)) == [Dispatch(1)]


# When a step is looked at again.


def test_a_step_that_is_to_be_retried_later_waits_until_then() -> None:
    later = step(1)
    later.retry_at = NOW + timedelta(seconds=5)
    assert decided(task(later)) == [Wait(later.retry_at)]
    assert decided(task(later), later.retry_at) == [Dispatch(1)]


def test_a_step_that_found_no_agent_is_looked_at_again() -> None:
    again_at = NOW + timedelta(seconds=1)
    assert decided(task(step(1)), held={1: again_at}) == [Wait(again_at)]
    assert decided(task(step(1)), again_at, held={1: again_at}) == [Dispatch(1)]


def test_a_step_that_is_held_holds_up_no_other() -> None:
    assert decided(task(step(1), step(2)), held={1: NOW + timedelta(seconds=1)}) == [Dispatch(2)]


def test_the_wait_ends_with_the_first_of_several_times() -> None:
    later = step(1)
    later.retry_at = NOW + timedelta(seconds=5)
    sooner = NOW + timedelta(seconds=2)
    assert decided(task(later, step(2)), held={2: sooner}) == [Wait(sooner)]


def test_no_wait_goes_beyond_the_deadline() -> None:
    later = step(1)
    later.retry_at = DEADLINE + timedelta(seconds=5)
    assert decided(task(later)) == [Wait(DEADLINE)]


def test_a_graph_in_which_nothing_can_happen_any_more_is_a_failure() -> None:
    """No plan that is taken comes to this: steps that wait for each other."""
    stop, finish = decided(task(failed(1), step(2, needs=(3,)), step(3, needs=(2,)), completed(4)))[1:]
    assert isinstance(stop, Stop)
    assert isinstance(finish, Finish)
    assert finish.status is TaskStatus.FAILED
    assert finish.problem is not None
    assert finish.problem.code == "STUCK"


POLICY = RetryPolicy(max_attempts=3, backoff_s=1.0)


def _failure(*, retryable: bool = True, retry_after_s: float | None = None) -> AttemptFailed:
    return AttemptFailed(Problem("AGENT_BUSY", "busy"), retryable, retry_after_s)


@pytest.mark.parametrize(("attempt", "least_s", "most_s"), [(1, 0.5, 1.0), (2, 1.0, 2.0)])
def test_backoff_doubles_and_is_jittered(attempt: int, least_s: float, most_s: float) -> None:
    tried = step(1)
    tried.attempt = attempt
    soonest = retry_at(tried, _failure(), NOW, POLICY, jitter=0.0)
    latest = retry_at(tried, _failure(), NOW, POLICY, jitter=1.0)
    assert soonest == NOW + timedelta(seconds=least_s)
    assert latest == NOW + timedelta(seconds=most_s)


def test_backoff_grows_to_a_minute_at_most() -> None:
    tried = step(1, retry=Retry(max_attempts=100_000))
    tried.attempt = 50_000
    assert retry_at(tried, _failure(), NOW, POLICY, jitter=1.0) == NOW + timedelta(seconds=60)


def test_what_the_agent_asked_for_binds_the_agent_and_not_the_step() -> None:
    tried = step(1)
    tried.attempt = 1
    again = retry_at(tried, _failure(retry_after_s=30), NOW, POLICY, jitter=1.0)
    assert again == NOW + timedelta(seconds=1)


def test_the_last_attempt_and_a_final_failure_are_not_retried() -> None:
    tried = step(1)
    tried.attempt = 3
    assert retry_at(tried, _failure(), NOW, POLICY, jitter=0.5) is None
    tried.attempt = 1
    assert retry_at(tried, _failure(retryable=False), NOW, POLICY, jitter=0.5) is None


def test_a_steps_own_retries_replace_the_policy() -> None:
    tried = step(1, retry=Retry(max_attempts=1, backoff_s=None))
    tried.attempt = 1
    assert retry_at(tried, _failure(), NOW, POLICY, jitter=1.0) is None
    patient = step(1, retry=Retry(max_attempts=5, backoff_s=0.0))
    patient.attempt = 4
    assert retry_at(patient, _failure(), NOW, POLICY, jitter=1.0) == NOW
