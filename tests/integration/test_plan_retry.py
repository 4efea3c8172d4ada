"""A failed task tried again: what had been done is kept, the rest is done."""

from collections.abc import Iterator

import pytest

from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.task_api import act, becomes, begin, ended, events, problem, run, statuses, step, why
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


def test_a_retry_keeps_what_was_done_and_does_the_rest(coordinator: Coordinator, workshop: Workshop) -> None:
    once = {"retry": {"max_attempts": 1}, "instruction": "stumble once", "data": 1}
    task = run(
        coordinator, step(1, "say", instruction="first"), step(2, "stumble", 1, **once), step(3, "say", 2)
    )
    assert statuses(task) == ["completed", "failed", "skipped"]

    response = act(coordinator, task["id"], "retry")
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/tasks/{response.json()['task_id']}"
    again = ended(coordinator, response.json()["task_id"])
    assert again["id"] != task["id"]
    assert (again["retry_of"], again["session_id"]) == (task["id"], task["session_id"])
    assert (again["status"], statuses(again)) == ("completed", ["completed"] * 3)
    assert [request.skill_id for request in workshop.heard(task)] == ["say", "stumble", "stumble", "say"]

    [kept] = again["steps"][0]["output_data"]["artifact_ids"]
    assert kept not in task["steps"][0]["output_data"]["artifact_ids"]
    assert coordinator.http.get(f"/api/tasks/{again['id']}/artifacts/{kept}").text == "heard: first"
    [carried] = events(coordinator, again["id"], "step.completed")[:1]
    assert (carried["step_number"], carried["carried_over_from"]) == (1, task["id"])
    assert coordinator.task(task["id"]) == task, "the old one stays as it is"


def test_what_was_kept_goes_to_the_steps_that_need_it(coordinator: Coordinator, workshop: Workshop) -> None:
    first = step(1, "give", data={"total": 12})
    once = {"retry": {"max_attempts": 1}, "instruction": "stumble over {{steps.1.data.total}}", "data": 1}
    task = run(coordinator, first, step(2, "stumble", 1, **once))
    again = ended(coordinator, act(coordinator, task["id"], "retry").json()["task_id"])
    assert again["status"] == "completed"
    assert workshop.texts(task, "stumble") == ["stumble over 12"] * 2
    assert workshop.heard(task, "stumble")[1].data == [1, {"total": 12}]


def test_the_files_of_a_task_go_along_with_its_retry(coordinator: Coordinator, workshop: Workshop) -> None:
    file = {"text": "a,b", "filename": "t.csv", "mediaType": "text/csv"}
    once = {"retry": {"max_attempts": 1}, "instruction": "stumble with file", "data": 1}
    task = run(coordinator, step(1, "stumble", attachments=["t.csv"], **once), inputs=[file])
    again = ended(coordinator, act(coordinator, task["id"], "retry").json()["task_id"])
    assert again["status"] == "completed"
    [part] = workshop.heard(task)[1].attachments
    assert (part.filename, part.text) == ("t.csv", "a,b")


@pytest.mark.parametrize("what", ["completed", "running"])
def test_only_a_failed_or_canceled_task_can_be_tried_again(
    coordinator: Coordinator, workshop: Workshop, what: str
) -> None:
    task = begin(coordinator, step(1, "hold"))
    workshop.holds(task, 1)
    if what == "completed":
        workshop.release(task)
        ended(coordinator, task["id"])
    assert problem(act(coordinator, task["id"], "retry")) == (409, "WRONG_STATE")
    workshop.release(task)


def test_a_canceled_task_can_be_tried_again(coordinator: Coordinator, workshop: Workshop) -> None:
    task = begin(coordinator, step(1, "say"), step(2, "hold", 1))
    workshop.holds(task, 1)
    act(coordinator, task["id"], "cancel")
    ended(coordinator, task["id"])
    workshop.release(task)
    again = ended(coordinator, act(coordinator, task["id"], "retry").json()["task_id"])
    assert again["status"] == "completed"
    assert [request.skill_id for request in workshop.heard(task)] == ["say", "hold", "hold"]


def test_a_list_that_was_done_is_kept_with_its_items(coordinator: Coordinator, workshop: Workshop) -> None:
    each = step(2, "say", 1, for_each="steps.1.data", instruction="{{item}}")
    once = {"retry": {"max_attempts": 1}, "instruction": "stumble over {{steps.2.data}}", "data": 1}
    task = run(coordinator, step(1, "give", data=["a", "b"]), each, step(3, "stumble", 2, **once))
    again = ended(coordinator, act(coordinator, task["id"], "retry").json()["task_id"])
    assert (again["status"], statuses(again)) == ("completed", ["completed"] * 5)
    assert sorted(workshop.texts(task, "say")) == ["a", "b"]
    assert workshop.texts(task, "stumble") == ['stumble over ["heard: a","heard: b"]'] * 2
    shown = [(found["parent"], found["item"]) for found in again["steps"]]
    assert shown == [(found["parent"], found["item"]) for found in task["steps"]]
    carried = [part.text for part in workshop.heard(task, "stumble")[1].attachments]
    assert sorted(map(str, carried)) == ["heard: a", "heard: b"]


def test_a_list_with_a_failed_item_is_done_again(coordinator: Coordinator, workshop: Workshop) -> None:
    each = step(2, "stumble", 1, for_each="steps.1.data", instruction="stumble at {{item}}", data="{{item}}")
    each |= {"retry": {"max_attempts": 1}}
    task = run(coordinator, step(1, "give", data=[0, 1]), each, step(3, "read", 2))
    assert task["status"] == "failed"
    again = ended(coordinator, act(coordinator, task["id"], "retry").json()["task_id"])
    assert (again["status"], again["steps"][1]["output_data"]["data"]) == ("completed", ["It went well."] * 2)
    assert len(workshop.heard(task, "give")) == 1


def test_a_gate_that_was_passed_is_asked_again_for_a_step_that_failed(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "fail", approval=True))
    act(coordinator, task["id"], "approve")
    ended(coordinator, task["id"])
    again = act(coordinator, task["id"], "retry").json()["task_id"]
    assert why(coordinator, becomes(coordinator, again, "awaiting_approval")["id"]).startswith("Step 1 waits")
    act(coordinator, again, "cancel")
