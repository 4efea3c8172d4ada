"""Agents that fetch their requests: what they are given, when, and what becomes of their answers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from models.ids import new_id
from tests.support.coordinator import Coordinator, echo_agent, running_coordinator, settings_for
from tests.support.inbox_visitor import Visitor, failure, result, said, task
from tests.support.task_api import (
    act,
    answer,
    becomes,
    begin,
    codes,
    ended,
    events,
    problem,
    statuses,
    step,
    why,
)
from tests.support.waiting import eventually_now

Json = dict[str, Any]

TOMORROW = "2999-01-01T00:00:00Z"
INTERNAL_ERROR = -32603


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


@pytest.fixture
def visitor(coordinator: Coordinator) -> Iterator[Visitor]:
    """The only agent with its skill."""
    made = Visitor(coordinator.http, new_id("dream"))
    yield made
    coordinator.http.delete(f"/api/agents/{made.id}")


def dream(coordinator: Coordinator, visitor: Visitor, **more: Any) -> str:
    """A task of one step for the visitor; its id."""
    return str(begin(coordinator, step(1, visitor.skill, **more))["id"])


def health(coordinator: Coordinator, agent_id: str) -> Json:
    found: Json = coordinator.http.get(f"/api/agents/{agent_id}").json()["health"]
    return found


# A step


def test_a_step_is_fetched_and_answered_by_a_message(coordinator: Coordinator, visitor: Visitor) -> None:
    task_id = dream(coordinator, visitor)

    request = visitor.work("a dream")

    assert request["request"]["method"] == "SendMessage"
    assert request["headers"]["traceparent"].startswith("00-")
    done = ended(coordinator, task_id)
    assert (done["status"], done["result"]["text"]) == ("completed", "a dream")
    assert done["steps"][0]["may_have_run_twice"] is False


def test_a_visit_that_waits_returns_as_soon_as_a_request_comes(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(visitor.visit, wait_s=50)
        eventually_now(lambda: health(coordinator, visitor.id)["last_heartbeat_at"])
        began = time.monotonic()
        task_id = dream(coordinator, visitor)
        found = waiting.result(timeout=20)

    assert len(found["requests"]) == 1
    assert time.monotonic() - began < 10
    act(coordinator, task_id, "cancel")


def test_a_task_that_the_agent_failed_fails_the_step_in_its_words(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    task_id = dream(coordinator, visitor)

    visitor.visit(result(visitor.fetch(), {"task": task("FAILED", "It was a nightmare.")}), wait_s=0)

    done = ended(coordinator, task_id)
    assert codes(done) == ["AGENT_FAILED"]
    assert "It was a nightmare." in done["error"]["message"]


def test_a_question_is_answered_the_same_way_with_the_remote_task(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    task_id = dream(coordinator, visitor)
    visitor.visit(result(visitor.fetch(), {"task": task("INPUT_REQUIRED", "Of what?")}), wait_s=0)
    becomes(coordinator, task_id, "input_required")

    assert answer(coordinator, task_id, "sheep").status_code == 202
    request = visitor.fetch()
    visitor.visit(result(request, {"task": task("COMPLETED", "of sheep")}), wait_s=0)

    message = request["request"]["params"]["message"]
    assert (message["taskId"], message["parts"][0]["text"]) == ("remote-1", "sheep")
    assert ended(coordinator, task_id)["result"]["text"] == "of sheep"


def test_a_task_that_still_works_is_asked_for_through_the_inbox(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    task_id = dream(coordinator, visitor)
    visitor.visit(result(visitor.fetch(), {"task": task("WORKING")}), wait_s=0)

    request = visitor.fetch()
    visitor.visit(result(request, task("COMPLETED", "at last")), wait_s=0)

    assert (request["request"]["method"], request["request"]["params"]["id"]) == ("GetTask", "remote-1")
    assert ended(coordinator, task_id)["result"]["text"] == "at last"


def test_a_request_that_was_answered_with_an_error_is_given_again(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    task_id = dream(coordinator, visitor)
    first = visitor.fetch()
    visitor.visit(failure(first, INTERNAL_ERROR), wait_s=0)

    second = visitor.work()

    assert second["request"]["params"]["message"] == first["request"]["params"]["message"]
    done = ended(coordinator, task_id)
    assert done["status"] == "completed"
    assert done["steps"][0]["may_have_run_twice"] is True


@pytest.mark.parametrize(
    "response",
    [{}, {"result": 7}, {"jsonrpc": "2.0", "id": "another", "result": said("x")}, {"error": "bad"}],
    ids=["empty", "number", "other id", "no error object"],
)
def test_an_answer_that_is_no_response_fails_the_attempt(
    coordinator: Coordinator, visitor: Visitor, response: Json
) -> None:
    task_id = dream(coordinator, visitor, retry={"max_attempts": 1})

    visitor.visit({"id": visitor.fetch()["id"], "response": response}, wait_s=0)

    assert codes(ended(coordinator, task_id)) == ["AGENT_FAILED"]


def test_a_large_answer_arrives(coordinator: Coordinator, visitor: Visitor) -> None:
    task_id = dream(coordinator, visitor)

    visitor.visit(result(visitor.fetch(), said("z" * 10_000_000)), wait_s=0)

    assert statuses(ended(coordinator, task_id)) == ["completed"]


# What is given


def test_an_answer_counts_once(coordinator: Coordinator, visitor: Visitor) -> None:
    task_id = dream(coordinator, visitor)
    request = visitor.fetch()

    visitor.visit(result(request, said("first")), wait_s=0)
    visitor.visit(result(request, said("second")), wait_s=0)

    assert ended(coordinator, task_id)["result"]["text"] == "first"
    assert len(events(coordinator, task_id, "step.completed")) == 1


def test_what_the_agent_does_not_hold_is_given_again(coordinator: Coordinator, visitor: Visitor) -> None:
    task_id = dream(coordinator, visitor)
    request = visitor.fetch()

    assert visitor.visit(wait_s=0)["requests"] == [], "it does not say what it holds"
    assert visitor.visit(wait_s=0, holding=[request["id"]])["requests"] == []
    assert visitor.fetch(holding=[]) == request
    visitor.visit(result(request, said("done")), wait_s=0, holding=[])

    assert ended(coordinator, task_id)["status"] == "completed"


def test_no_more_is_given_than_was_asked_for(coordinator: Coordinator, visitor: Visitor) -> None:
    begin(coordinator, *(step(number, visitor.skill) for number in (1, 2, 3)))
    first = visitor.fetch(limit=1)
    assert visitor.visit(wait_s=0, limit=0)["requests"] == []

    rest = [visitor.fetch(limit=1), visitor.fetch(limit=1)]

    assert len({request["id"] for request in (first, *rest)}) == 3
    for request in (first, *rest):
        visitor.visit(result(request, said("done")), wait_s=0)


def test_the_capacity_that_a_visit_tells_bounds_what_is_sent(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    visitor.visit(wait_s=0, capacity=1, holding=[])
    task_id = str(begin(coordinator, step(1, visitor.skill), step(2, visitor.skill))["id"])

    first = visitor.fetch()
    assert visitor.visit(wait_s=1)["requests"] == []
    visitor.visit(result(first, said("one")), wait_s=0)
    visitor.work("two")

    assert ended(coordinator, task_id)["status"] == "completed"


def test_a_newer_visit_ends_the_older(coordinator: Coordinator, visitor: Visitor) -> None:
    with ThreadPoolExecutor(1) as thread:
        older = thread.submit(visitor.visit, wait_s=50)
        eventually_now(lambda: health(coordinator, visitor.id)["last_heartbeat_at"])
        visitor.visit(wait_s=0)

        assert older.result(timeout=10) == {"requests": [], "canceled": []}


# Cancel and time limits


def test_a_step_that_is_canceled_before_it_was_fetched_never_was(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    task_id = dream(coordinator, visitor)
    becomes(coordinator, task_id, "executing")
    eventually_now(lambda: statuses(coordinator.task(task_id)) == ["running"], within_s=10)

    act(coordinator, task_id, "cancel")

    assert ended(coordinator, task_id)["steps"][0]["remote_cancel"] == "canceled"
    assert visitor.visit(wait_s=0)["requests"] == []


def test_a_visit_learns_that_what_it_holds_was_canceled(coordinator: Coordinator, visitor: Visitor) -> None:
    task_id = dream(coordinator, visitor)
    request = visitor.fetch()

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(visitor.visit, wait_s=50, holding=[request["id"]])
        act(coordinator, task_id, "cancel")
        found = waiting.result(timeout=10)

    assert found == {"requests": [], "canceled": [request["id"]]}
    assert ended(coordinator, task_id)["steps"][0]["remote_cancel"] == "unknown"
    visitor.visit(result(request, said("too late")), wait_s=0)
    assert coordinator.task(task_id)["status"] == "canceled"


def test_a_step_that_nobody_fetched_in_time_has_not_run(coordinator: Coordinator, visitor: Visitor) -> None:
    task_id = dream(coordinator, visitor, timeout_s=2)
    eventually_now(lambda: coordinator.task(task_id)["steps"][0]["attempt"] == 2, within_s=10)

    visitor.work()

    done = ended(coordinator, task_id)
    assert (done["status"], done["steps"][0]["may_have_run_twice"]) == ("completed", False)
    assert [failed["code"] for failed in events(coordinator, task_id, "step.retrying")] == ["STEP_TIMEOUT"]


# Away and back


def test_an_agent_that_sleeps_is_waited_for_and_gets_the_step_when_it_wakes(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    visitor.visit(wait_s=0, next_active_at=TOMORROW)
    assert health(coordinator, visitor.id)["state"] == "down"
    task_id = dream(coordinator, visitor)
    eventually_now(lambda: "waits" in why(coordinator, task_id), within_s=10)

    assert "it says it will at 2999-01-01 00:00:00 UTC" in why(coordinator, task_id)
    visitor.work("slept well")

    assert health(coordinator, visitor.id)["state"] == "up"
    done = ended(coordinator, task_id)
    assert (done["result"]["text"], done["steps"][0]["attempt"]) == ("slept well", 1)


def test_a_step_that_was_about_to_go_to_an_agent_that_fell_asleep_waits_too(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    first = dream(coordinator, visitor)
    visitor.work()
    ended(coordinator, first)
    visitor.visit(wait_s=0, next_active_at=TOMORROW)

    task_id = dream(coordinator, visitor)

    eventually_now(lambda: "it says it will at" in why(coordinator, task_id), within_s=10)
    act(coordinator, task_id, "cancel")


# Who may


@pytest.mark.parametrize("secret", ["wrong", "é"])
def test_a_wrong_secret_is_refused(coordinator: Coordinator, visitor: Visitor, secret: str) -> None:
    headers = {b"Authorization": f"Bearer {secret}".encode()}
    response = coordinator.http.post(f"/api/agents/{visitor.id}/inbox", json={}, headers=headers)
    assert problem(response) == (401, "INBOX_REFUSED")


def test_without_a_secret_nothing_is_given(coordinator: Coordinator, visitor: Visitor) -> None:
    response = coordinator.http.post(f"/api/agents/{visitor.id}/inbox", json={"wait_s": 0})
    assert problem(response) == (401, "INBOX_REFUSED")


def test_only_agents_that_fetch_have_an_inbox(coordinator: Coordinator) -> None:
    headers = {"Authorization": "Bearer x"}
    for agent_id in ("agent_nobody", coordinator.add_agent(echo_agent)):
        response = coordinator.http.post(f"/api/agents/{agent_id}/inbox", json={}, headers=headers)
        assert problem(response) == (404, "AGENT_NOT_FOUND")


def test_an_answer_to_the_request_of_another_agent_changes_nothing(
    coordinator: Coordinator, visitor: Visitor
) -> None:
    thief = Visitor(coordinator.http, "steal")
    task_id = dream(coordinator, visitor)
    request = visitor.fetch()

    found = thief.visit(result(request, said("stolen")), wait_s=0, holding=[request["id"]])
    visitor.visit(result(request, said("mine")), wait_s=0)

    assert found["requests"] == []
    assert ended(coordinator, task_id)["result"]["text"] == "mine"


@pytest.mark.parametrize(
    "body",
    [
        {"wait_s": -1},
        {"wait_s": 61},
        {"limit": 51},
        {"capacity": 0},
        {"next_active_at": "soon"},
        {"next_active_at": "2026-01-01T00:00:00"},
        {"answers": [{"id": "x"}]},
        {"answers": [{"id": "x", "response": []}]},
        {"holding": ["x"] * 1_001},
        {"waits": 1},
    ],
    ids=str,
)
def test_a_visit_that_makes_no_sense_is_refused(visitor: Visitor, body: Json) -> None:
    assert problem(visitor.post(**body)) == (422, "VALIDATION_FAILED")


def test_a_visit_over_the_cap_of_the_api_is_refused(coordinator: Coordinator, visitor: Visitor) -> None:
    answers = [{"id": "x", "response": {"result": "z" * 40_000_000}}]
    assert problem(visitor.post(answers=answers, wait_s=0)) == (413, "TOO_LARGE")
