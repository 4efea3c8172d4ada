"""What each event makes of a task: the fold that rows and a replay both come to."""

from datetime import timedelta
from typing import Any

import pytest

from coordinator.executor.history import FOREIGN_KINDS, Event, evolve
from coordinator.executor.state import Problem, StepState, TaskState
from coordinator.planner.plan import Plan, PlanStep, Requirement, Strategy
from models.states import StepStatus, TaskStatus
from tests.support.task_states import NOW, completed, failed, skipped, step, task

LATER = NOW + timedelta(seconds=5)
STARTED: dict[str, Any] = {
    "agent_id": "agent_1",
    "attempt": 1,
    "message_id": "message_1",
    "memory_id": "memory_1",
    "is_same_remote_task": False,
    "may_have_run_twice": False,
}
PROBLEM = Problem("AGENT_UNREACHABLE", "no connection", may_have_run=True)


def after(state: TaskState, kind: str, **data: Any) -> TaskState:
    evolve(state, Event(kind, data), LATER)
    return state


def step_after(before: StepState, kind: str, **data: Any) -> StepState:
    return after(task(before), kind, step_number=before.number, **data).steps[before.number]


def as_plan(*steps: PlanStep, version: int = 1) -> dict[str, Any]:
    return Plan("request", Strategy.auto, steps, version=version).to_json()


# The task.


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("task.awaiting_approval", TaskStatus.AWAITING_APPROVAL),
        ("task.executing", TaskStatus.EXECUTING),
        ("task.input_required", TaskStatus.INPUT_REQUIRED),
        ("task.completed", TaskStatus.COMPLETED),
        ("task.failed", TaskStatus.FAILED),
        ("task.canceled", TaskStatus.CANCELED),
    ],
)
def test_the_status_that_an_event_says(kind: str, status: TaskStatus) -> None:
    assert after(task(step(1)), kind).status is status


def test_a_task_that_cannot_be_planned_yet_says_what_it_waits_for() -> None:
    waiting = after(task(status=TaskStatus.PENDING), "task.waiting", reason="No agent.")
    assert (waiting.status, waiting.waiting_for) == (TaskStatus.PLANNING, "No agent.")


def test_a_plan_makes_steps_and_ends_the_waiting() -> None:
    waiting = task(status=TaskStatus.PLANNING)
    waiting.waiting_for = "No agent."
    plan = as_plan(PlanStep(1, "one", "skill"), PlanStep(2, "two", "skill", depends_on=(1,)))
    planned = after(waiting, "task.planned", plan=plan)
    assert planned.waiting_for is None
    assert [each.status for each in planned.steps.values()] == [StepStatus.PENDING] * 2
    assert planned.steps[2].depends_on == (1,)


def test_a_cancel_is_only_asked_for() -> None:
    asked = after(task(step(1)), "task.cancel_requested")
    assert (asked.cancel_requested, asked.status) == (True, TaskStatus.EXECUTING)


def test_an_approval_that_comes_too_late_does_not_reopen_a_task() -> None:
    ended = after(task(completed(1), status=TaskStatus.COMPLETED), "task.executing")
    assert ended.status is TaskStatus.COMPLETED


def test_an_answer_belongs_to_its_step_and_sets_the_task_going() -> None:
    asking = task(step(1, StepStatus.INPUT_REQUIRED), status=TaskStatus.INPUT_REQUIRED)
    answered = after(asking, "task.input_given", step_number=1)
    assert (answered.status, answered.steps[1].has_answer) == (TaskStatus.EXECUTING, True)
    assert answered.steps[1].status is StepStatus.INPUT_REQUIRED, "the agent does not know yet"


def test_kinds_that_change_nothing_are_passed_over() -> None:
    before = after(task(step(1)), "step.progress", step_number=1, text="half")
    assert before == task(step(1))
    assert after(task(step(1)), "task.of_another_time") == task(step(1))


def test_what_others_write_is_known_to_the_fold() -> None:
    state = task(step(1, StepStatus.INPUT_REQUIRED), status=TaskStatus.AWAITING_APPROVAL)
    for kind in FOREIGN_KINDS:
        before = repr(state)
        after(state, kind, step_number=1)
        assert repr(state) != before or state.status is TaskStatus.EXECUTING


# Revisions.


def test_a_revision_adds_steps_and_changes_those_that_have_not_begun() -> None:
    state = task(failed(1), step(2, needs=(1,)))
    stand_in = PlanStep(3, "again", "other", requirement=Requirement.fallback, fallback_for=1)
    changed = PlanStep(2, "two", "other", depends_on=(1,))
    plan = as_plan(state.steps[1].planned, changed, stand_in, version=2)
    revised = after(state, "task.plan_revised", plan=plan, version=2, reason="it failed")
    assert revised.steps[2].planned.skill_id == "other"
    assert revised.steps[3].status is StepStatus.PENDING
    assert revised.plan is not None
    assert revised.plan.version == 2


@pytest.mark.parametrize("begun", [step(1, StepStatus.RUNNING), completed(1), failed(1)])
def test_a_revision_leaves_what_has_begun_as_it_is(begun: StepState) -> None:
    plan = as_plan(PlanStep(1, "one", "other"), version=2)
    assert after(task(begun), "task.plan_revised", plan=plan).steps[1].planned.skill_id == "skill"


def test_a_revision_leaves_a_step_that_is_to_be_tried_again_as_it_is() -> None:
    again = step(1)
    again.attempt = 1
    plan = as_plan(PlanStep(1, "one", "other"), version=2)
    assert after(task(again), "task.plan_revised", plan=plan).steps[1].planned.skill_id == "skill"


def test_a_step_that_a_revision_leaves_out_is_no_gap() -> None:
    plan = as_plan(PlanStep(1, "one", "skill"), version=2)
    left_out = after(task(completed(1), step(2)), "task.plan_revised", plan=plan).steps[2]
    assert left_out.status is StepStatus.SKIPPED
    assert left_out.is_quiet


def test_the_items_of_a_list_are_not_left_out_by_a_revision() -> None:
    state = task(completed(1, data={"items": [1]}), step(2, needs=(1,), for_each="steps.1.data.items"))
    after(state, "step.expanded", step_number=2, children=[3], items=["Oslo"])
    assert state.plan is not None
    revised = after(state, "task.plan_revised", plan=state.plan.to_json())
    assert revised.steps[3].status is StepStatus.PENDING


# A step's attempts.


def test_a_started_step_runs_with_its_agent_and_message() -> None:
    waiting = step(1)
    waiting.waiting_for, waiting.retry_at = "No agent.", NOW
    started = step_after(waiting, "step.started", **STARTED | {"may_have_run_twice": True})
    assert (started.status, started.attempt, started.started_at) == (StepStatus.RUNNING, 1, LATER)
    assert (started.agent_id, started.message_id, started.memory_id) == ("agent_1", "message_1", "memory_1")
    assert (started.waiting_for, started.retry_at) == (None, None)
    assert started.may_have_run_twice


def test_a_new_attempt_forgets_the_remote_task_of_the_last() -> None:
    tried = step(1)
    tried.remote_task_id, tried.remote_context_id = "remote_1", "context_1"
    started = step_after(tried, "step.started", **STARTED)
    assert (started.remote_task_id, started.remote_context_id) == (None, None)


def test_an_attempt_that_goes_on_with_a_remote_task_keeps_it() -> None:
    tried = step(1)
    tried.remote_task_id = "remote_1"
    started = step_after(tried, "step.started", **STARTED | {"is_same_remote_task": True})
    assert started.remote_task_id == "remote_1"


def test_what_may_have_run_twice_stays_so() -> None:
    tried = step(1)
    tried.may_have_run_twice = True
    assert step_after(tried, "step.started", **STARTED).may_have_run_twice
    assert step_after(tried, "step.resent", may_have_run_twice=False).may_have_run_twice
    assert step_after(step(1, StepStatus.RUNNING), "step.resent", may_have_run_twice=True).may_have_run_twice


def test_an_accepted_step_knows_its_remote_task() -> None:
    ids = {"remote_task_id": "remote_1", "remote_context_id": "context_1"}
    accepted = step_after(step(1, StepStatus.RUNNING), "step.accepted", **ids)
    assert (accepted.remote_task_id, accepted.remote_context_id) == ("remote_1", "context_1")


def test_a_step_that_is_to_be_tried_again_remembers_why_and_with_whom() -> None:
    at = {"retry_at": LATER.isoformat(), "agent_id": "agent_1"}
    retrying = step_after(step(1, StepStatus.RUNNING), "step.retrying", **PROBLEM.to_json(), **at)
    assert (retrying.status, retrying.error, retrying.retry_at) == (StepStatus.PENDING, PROBLEM, LATER)
    assert retrying.waiting_for == "no connection"
    assert retrying.failed_agents == ("agent_1",)
    assert retrying.is_uncertain


def test_a_step_without_an_agent_waits() -> None:
    held = step_after(step(1), "step.waiting", reason="No agent.")
    assert (held.status, held.waiting_for) == (StepStatus.PENDING, "No agent.")


# Questions and approvals.


def test_a_question_and_its_answer() -> None:
    asking = step_after(step(1, StepStatus.RUNNING), "step.input_required", question="Which?")
    assert (asking.status, asking.question) == (StepStatus.INPUT_REQUIRED, "Which?")
    asking.has_answer = True
    answered = step_after(asking, "step.answered", message_id="message_2", attempt=1)
    assert (answered.status, answered.question) == (StepStatus.RUNNING, None)
    assert (answered.message_id, answered.started_at) == ("message_2", LATER)
    assert answered.has_answer, "it is kept until the agent has worked on it"


def test_a_second_question_has_no_answer_yet() -> None:
    running = step(1, StepStatus.RUNNING)
    running.has_answer = True
    assert not step_after(running, "step.input_required", question="And which?").has_answer


def test_a_completed_step_needs_its_answer_no_more() -> None:
    running = step(1, StepStatus.RUNNING)
    running.has_answer = True
    assert not step_after(running, "step.completed").has_answer


def test_a_gate_waits_until_it_is_approved() -> None:
    waiting = step_after(step(1, approval=True), "step.awaiting_approval")
    assert waiting.waiting_for is not None
    approved = step_after(waiting, "step.approved")
    assert (approved.is_approved, approved.waiting_for) == (True, None)


# Lists.


def test_a_list_becomes_steps_for_its_items() -> None:
    state = task(completed(1), step(2, needs=(1,), for_each="steps.1.data", approval=True))
    after(state, "step.expanded", step_number=2, children=[3, 4], items=["Oslo", "Rome"])
    assert (state.steps[2].status, state.steps[2].attempt) == (StepStatus.RUNNING, 0)
    first, second = state.children_of(2)
    assert (first.number, first.item, first.item_index) == (3, "Oslo", 0)
    assert (second.number, second.item, second.item_index) == (4, "Rome", 1)
    assert not first.planned.approval
    assert not first.is_list


# Ends.


def test_a_completed_step_carries_no_earlier_error() -> None:
    running = step(1, StepStatus.RUNNING)
    running.error = PROBLEM
    done = step_after(running, "step.completed")
    assert (done.status, done.error, done.completed_at) == (StepStatus.COMPLETED, None, LATER)


def test_a_failed_step_says_why_and_what_became_of_its_remote_task() -> None:
    ended = step_after(step(1), "step.failed", **PROBLEM.to_json(), agent_id="agent_1", remote_task="refused")
    assert (ended.status, ended.error) == (StepStatus.FAILED, PROBLEM)
    assert (ended.failed_agents, ended.cancel_answer) == (("agent_1",), "refused")


def test_a_skipped_step_says_why() -> None:
    left_out = step_after(step(1), "step.skipped", code="NOT_NEEDED", reason="Step 1 did.")
    assert left_out.status is StepStatus.SKIPPED
    assert left_out.error == Problem("NOT_NEEDED", "Step 1 did.")


def test_a_canceled_step_says_what_the_agent_answered() -> None:
    ended = step_after(step(1, StepStatus.RUNNING), "step.canceled", remote_task="canceled")
    assert (ended.status, ended.cancel_answer) == (StepStatus.CANCELED, "canceled")


@pytest.mark.parametrize(
    "ended", [completed(1), failed(1), skipped(1, "NOT_NEEDED"), step(1, StepStatus.CANCELED)]
)
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("step.completed", {}),
        ("step.failed", PROBLEM.to_json()),
        ("step.skipped", {"code": "NOT_NEEDED", "reason": ""}),
        ("step.canceled", {}),
    ],
)
def test_a_step_that_has_ended_does_not_end_in_another_way(
    ended: StepState, kind: str, data: dict[str, Any]
) -> None:
    status = ended.status
    assert step_after(ended, kind, **data).status is status
