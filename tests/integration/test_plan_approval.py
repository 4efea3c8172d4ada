"""Steps that somebody has to approve before they start, beside plans that somebody has to."""

from collections.abc import Iterator

import pytest

from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.task_api import act, becomes, begin, ended, events, problem, run, statuses, step, why
from tests.support.waiting import eventually_now
from tests.support.workshop import Workshop


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


@pytest.fixture(scope="module")
def workshop(coordinator: Coordinator) -> Workshop:
    made = Workshop()
    coordinator.add_agent(made.agent)
    return made


def test_a_step_waits_for_its_approval_and_the_task_says_which(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "say"), step(2, "read", 1, approval=True), step(3, "say", 2))
    assert (task["status"], statuses(task)) == ("awaiting_approval", ["completed", "pending", "pending"])
    assert task["steps"][1]["waiting_for"] == "Somebody has to approve it before it starts."
    assert why(coordinator, task["id"]) == "Step 2 waits for somebody to approve it."
    assert workshop.heard(task, "read") == []

    assert act(coordinator, task["id"], "approve", step_number=2).status_code == 202
    done = ended(coordinator, task["id"])
    assert (done["status"], statuses(done)) == ("completed", ["completed"] * 3)
    assert events(coordinator, task["id"], "step.approved") == [{"step_number": 2}]


@pytest.mark.parametrize("wrong", [1, 3, 9])
def test_a_step_that_does_not_wait_cannot_be_approved(
    coordinator: Coordinator, workshop: Workshop, wrong: int
) -> None:
    task = run(coordinator, step(1, "say"), step(2, "say", 1, approval=True), step(3, "say", 2))
    response = act(coordinator, task["id"], "approve", step_number=wrong)
    assert problem(response) == (409, "WRONG_STATE")
    assert f"step {wrong} does not wait for approval" in response.json()["detail"]
    assert coordinator.task(task["id"])["status"] == "awaiting_approval"


def test_one_of_two_gates_can_be_opened(coordinator: Coordinator, workshop: Workshop) -> None:
    first, second = step(1, "say", approval=True, instruction="one"), step(2, "say", approval=True)
    task = run(coordinator, first, second)
    assert act(coordinator, task["id"], "approve", step_number=1).status_code == 202
    eventually_now(lambda: statuses(coordinator.task(task["id"])) == ["completed", "pending"], within_s=10)
    becomes(coordinator, task["id"], "awaiting_approval")
    assert why(coordinator, task["id"]) == "Step 2 waits for somebody to approve it."
    assert workshop.texts(task) == ["one"]


def test_without_a_number_every_waiting_step_is_approved(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "say", approval=True), step(2, "say", approval=True))
    assert act(coordinator, task["id"], "approve").status_code == 202
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_approving_the_plan_does_not_approve_its_steps(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "say", approval=True), approval="plan")
    assert why(coordinator, task["id"]) == "The task waits for somebody to approve its plan."
    assert problem(act(coordinator, task["id"], "approve", step_number=1)) == (409, "WRONG_STATE")
    assert act(coordinator, task["id"], "approve").status_code == 202
    eventually_now(lambda: why(coordinator, task["id"]).startswith("Step 1 waits"), within_s=10)
    becomes(coordinator, task["id"], "awaiting_approval")
    assert workshop.heard(task) == []
    assert act(coordinator, task["id"], "approve", step_number=1).status_code == 202
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_a_gate_can_be_opened_while_other_steps_run(coordinator: Coordinator, workshop: Workshop) -> None:
    task = begin(coordinator, step(1, "hold"), step(2, "say", approval=True))
    workshop.holds(task, 1)
    assert act(coordinator, task["id"], "approve", step_number=2).status_code == 202
    eventually_now(lambda: len(workshop.heard(task, "say")) == 1, within_s=10)
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_a_task_that_waits_for_approval_can_be_canceled(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "say", approval=True))
    assert act(coordinator, task["id"], "cancel").status_code == 202
    assert ended(coordinator, task["id"])["status"] == "canceled"
    assert problem(act(coordinator, task["id"], "approve")) == (409, "WRONG_STATE")
    assert workshop.heard(task) == []


def test_a_sequential_task_waits_for_an_approval_before_it_goes_on(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "say", approval=True), step(2, "say"), strategy="sequential")
    assert statuses(task) == ["pending", "pending"]
    assert workshop.heard(task, "say") == []


def test_a_plan_that_was_refused_waits_for_its_approval_again(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "say"), approval="plan")
    assert act(coordinator, task["id"], "cancel").status_code == 202
    ended(coordinator, task["id"])
    again = act(coordinator, task["id"], "retry").json()
    assert again["status"] == "awaiting_approval"
