"""The executor's decisions, as a table of situations."""

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.executor.decide import RetryPolicy, decide, retry_at
from coordinator.executor.state import (
    AttemptFailed,
    Dispatch,
    Done,
    Finish,
    NoAgent,
    Problem,
    Reattach,
    Skip,
    StepState,
    Stop,
    TaskState,
    Wait,
)
from coordinator.planner.plan import Requirement
from models.states import StepStatus, TaskStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE = NOW + timedelta(minutes=10)


def step(
    number: int,
    status: StepStatus = StepStatus.PENDING,
    *,
    needs: tuple[int, ...] = (),
    requirement: Requirement = Requirement.required,
) -> StepState:
    return StepState(number, f"step {number}", "skill", requirement, needs, status)


def task(*steps: StepState, status: TaskStatus = TaskStatus.EXECUTING, canceled: bool = False) -> TaskState:
    return TaskState(
        "task_1", "session_1", "do it", status, DEADLINE, canceled, {item.number: item for item in steps}
    )


def test_steps_without_dependencies_start_at_once() -> None:
    assert decide(task(step(1), step(2)), NOW, active=(), max_parallel=8) == [Dispatch(1), Dispatch(2)]


def test_a_step_waits_for_all_it_depends_on() -> None:
    running = task(step(1, StepStatus.COMPLETED), step(2, StepStatus.RUNNING), step(3, needs=(1, 2)))
    [wait] = decide(running, NOW, active={2}, max_parallel=8)
    assert wait == Wait(DEADLINE, for_person=False)


def test_no_more_steps_run_at_once_than_allowed() -> None:
    assert decide(task(step(1), step(2), step(3)), NOW, active=(), max_parallel=2) == [
        Dispatch(1),
        Dispatch(2),
    ]


def test_a_running_step_without_an_attempt_here_is_reattached() -> None:
    orphaned = task(step(1, StepStatus.RUNNING), step(2))
    assert decide(orphaned, NOW, active=(), max_parallel=8) == [Reattach(1), Dispatch(2)]


def test_what_depends_on_a_failed_required_step_is_skipped() -> None:
    broken = task(step(1, StepStatus.FAILED), step(2, needs=(1,)))
    [skip] = decide(broken, NOW, active=(), max_parallel=8)
    assert isinstance(skip, Skip)
    assert skip.number == 2
    assert "step 1" in skip.reason


def test_what_depends_on_a_failed_optional_step_runs_without_it() -> None:
    lacking = task(step(1, StepStatus.FAILED, requirement=Requirement.optional), step(2, needs=(1,)))
    assert decide(lacking, NOW, active=(), max_parallel=8) == [Dispatch(2)]


def test_a_failed_required_step_fails_the_task_with_its_code() -> None:
    failed = step(1, StepStatus.FAILED)
    failed.error = Problem("AGENT_FAILED", "no luck")
    [finish] = decide(task(failed, step(2, StepStatus.SKIPPED)), NOW, active=(), max_parallel=8)
    assert finish == Finish(TaskStatus.FAILED, Problem("AGENT_FAILED", "Step 1 failed: no luck"))


def test_a_failed_optional_step_does_not_fail_the_task() -> None:
    ended = task(step(1, StepStatus.COMPLETED), step(2, StepStatus.FAILED, requirement=Requirement.optional))
    assert decide(ended, NOW, active=(), max_parallel=8) == [Finish(TaskStatus.COMPLETED)]


def test_an_independent_branch_goes_on_after_another_failed() -> None:
    half = task(step(1, StepStatus.FAILED), step(2, StepStatus.COMPLETED), step(3, needs=(2,)))
    assert decide(half, NOW, active=(), max_parallel=8) == [Dispatch(3)]


def test_a_cancel_stops_every_open_step_and_ends_the_task() -> None:
    canceled = task(step(1, StepStatus.RUNNING), step(2), step(3, StepStatus.COMPLETED), canceled=True)
    assert decide(canceled, NOW, active={1}, max_parallel=8) == [
        Stop(1, None),
        Stop(2, None),
        Finish(TaskStatus.CANCELED),
    ]


def test_past_the_deadline_the_task_fails_with_what_it_waited_for() -> None:
    waiting = step(1)
    waiting.waiting_for = "No agent with the skill echo is up."
    stop, finish = decide(task(waiting), DEADLINE, active=(), max_parallel=8)
    assert isinstance(stop, Stop)
    assert isinstance(finish, Finish)
    assert finish.problem is not None
    assert finish.problem.code == "DEADLINE_EXCEEDED"
    assert "No agent with the skill echo is up." in finish.problem.message


def test_a_task_that_awaits_approval_runs_nothing() -> None:
    unapproved = task(step(1), status=TaskStatus.AWAITING_APPROVAL)
    assert decide(unapproved, NOW, active=(), max_parallel=8) == [Wait(DEADLINE, for_person=True)]


def test_a_question_leaves_the_task_to_a_person_once_nothing_else_runs() -> None:
    asking = task(step(1, StepStatus.INPUT_REQUIRED), step(2, StepStatus.RUNNING))
    assert decide(asking, NOW, active={2}, max_parallel=8) == [Wait(DEADLINE, for_person=False)]
    asking.steps[2].status = StepStatus.COMPLETED
    assert decide(asking, NOW, active=(), max_parallel=8) == [Wait(DEADLINE, for_person=True)]


def test_an_answered_question_goes_on() -> None:
    answered = step(1, StepStatus.INPUT_REQUIRED)
    answered.answer = [{"text": "Oslo"}]
    assert decide(task(answered), NOW, active=(), max_parallel=8) == [Dispatch(1)]


def test_a_step_that_is_to_be_retried_later_waits_until_then() -> None:
    later = step(1)
    later.retry_at = NOW + timedelta(seconds=5)
    assert decide(task(later), NOW, active=(), max_parallel=8) == [Wait(later.retry_at, for_person=False)]
    assert decide(task(later), later.retry_at, active=(), max_parallel=8) == [Dispatch(1)]


POLICY = RetryPolicy(max_attempts=3, backoff_s=1.0)


def _failed(*, retryable: bool = True, retry_after_s: float | None = None) -> AttemptFailed:
    return AttemptFailed(Problem("AGENT_BUSY", "busy"), retryable, retry_after_s)


@pytest.mark.parametrize(("attempt", "least_s", "most_s"), [(1, 0.5, 1.0), (2, 1.0, 2.0)])
def test_backoff_doubles_and_is_jittered(attempt: int, least_s: float, most_s: float) -> None:
    tried = step(1)
    tried.attempt = attempt
    soonest = retry_at(tried, _failed(), NOW, POLICY, jitter=0.0)
    latest = retry_at(tried, _failed(), NOW, POLICY, jitter=1.0)
    assert soonest == NOW + timedelta(seconds=least_s)
    assert latest == NOW + timedelta(seconds=most_s)


def test_a_longer_retry_after_wins_over_the_backoff() -> None:
    tried = step(1)
    tried.attempt = 1
    again = retry_at(tried, _failed(retry_after_s=30), NOW, POLICY, jitter=1.0)
    assert again == NOW + timedelta(seconds=30)


def test_the_last_attempt_and_a_final_failure_are_not_retried() -> None:
    tried = step(1)
    tried.attempt = 3
    assert retry_at(tried, _failed(), NOW, POLICY, jitter=0.5) is None
    tried.attempt = 1
    assert retry_at(tried, _failed(retryable=False), NOW, POLICY, jitter=0.5) is None
    assert retry_at(tried, Done(()), NOW, POLICY, jitter=0.5) is None


def test_nobody_to_ask_is_no_attempt_and_is_looked_at_again_for_ever() -> None:
    tried = step(1)
    tried.attempt = 3
    assert retry_at(tried, NoAgent("all down"), NOW, POLICY, jitter=0.5) == NOW + timedelta(seconds=1)
