"""Agents that misbehave on the wire, answers that get lost: no step is stuck, repeated or forgotten."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from a2a.database import Database
from models.tables import Task
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.raw_agent import RawAgent


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(database_url)) as running:
        yield running


def with_agent(coordinator: Coordinator, skill: str, *, streaming: bool = True) -> RawAgent:
    agents: list[RawAgent] = []

    def make(url: str) -> RawAgent:
        agents.append(RawAgent(url, skill, streaming=streaming))
        return agents[0]

    coordinator.add_app(lambda url: make(url).app())
    return agents[0]


def run(coordinator: Coordinator, skill: str, **more: Any) -> dict[str, Any]:
    plan = {"steps": [{"number": 1, "instruction": "do it", "skill_id": skill}]}
    return coordinator.run(description="do it", plan=plan, **more)


@pytest.mark.parametrize("skill", ["stays_open", "status_first", "flaky_polls"])
def test_the_step_completes_with_one_send(coordinator: Coordinator, skill: str) -> None:
    agent = with_agent(coordinator, skill)
    task = run(coordinator, skill, deadline_s=20)
    assert (task["status"], task["error"]) == ("completed", None)
    assert task["result"]["text"] == "done"
    assert agent.count("SendStreamingMessage") == 1
    assert agent.count("CancelTask") == 0
    assert task["steps"][0]["may_have_run_twice"] is False


def test_a_persons_answer_survives_a_delivery_that_fails(coordinator: Coordinator) -> None:
    agent = with_agent(coordinator, "refused_answer")
    asked = run(coordinator, "refused_answer")
    assert asked["status"] == "input_required"
    path = f"/api/tasks/{asked['id']}"
    assert coordinator.http.post(f"{path}/input", json={"parts": [{"text": "Oslo"}]}).status_code == 202
    assert "task.completed" in coordinator.http.get(f"{path}/events").text
    sent = [params["message"] for method, params in agent.calls if method == "SendStreamingMessage"]
    assert [message["parts"][0]["text"] for message in sent] == ["do it", "Oslo", "Oslo"]
    assert sent[1]["messageId"] == sent[2]["messageId"], "the agent can tell that it is the same answer"
    assert sent[2]["taskId"] == "remote-1"


def test_a_send_whose_answer_was_lost_is_repeated_under_its_own_id(coordinator: Coordinator) -> None:
    agent = with_agent(coordinator, "lost_answer")
    task = run(coordinator, "lost_answer")
    assert task["status"] == "completed"
    sends = [params for method, params in agent.calls if method == "SendStreamingMessage"]
    first, second = [params["message"]["messageId"] for params in sends]
    assert first == second
    assert task["steps"][0]["error"] is None, "a completed step carries no error of an earlier attempt"


def test_a_step_goes_on_by_itself_once_its_agent_was_authorised_elsewhere(database_url: str) -> None:
    settings = settings_for(database_url)
    settings.steps.look_again_s = 0.1
    with running_coordinator(settings) as coordinator:
        agent = with_agent(coordinator, "authorised_elsewhere")
        asked = run(coordinator, "authorised_elsewhere")
        assert asked["status"] == "input_required"
        assert asked["steps"][0]["question"] == "Log in at example.org."
        ended = coordinator.http.get(f"/api/tasks/{asked['id']}/events").text
        assert "step.resumed" in ended
        assert "task.completed" in ended
        assert agent.count("SendStreamingMessage") == 1


def test_an_agent_that_answers_with_a_message_has_answered(coordinator: Coordinator) -> None:
    with_agent(coordinator, "only_message", streaming=False)
    assert run(coordinator, "only_message")["result"]["text"] == "done"


def test_characters_that_no_database_holds_are_left_out(coordinator: Coordinator) -> None:
    with_agent(coordinator, "odd_characters")
    task = run(coordinator, "odd_characters")
    assert task["result"]["text"] == "nul  and \\u0000"


def test_numbers_that_json_does_not_know_are_the_agents_failure(coordinator: Coordinator) -> None:
    with_agent(coordinator, "hostile_numbers")
    task = run(coordinator, "hostile_numbers", deadline_s=15)
    assert task["status"] == "failed"
    assert task["error"]["code"] == "AGENT_FAILED"


def test_a_short_deadline_is_not_held_against_the_agent(coordinator: Coordinator) -> None:
    with_agent(coordinator, "flaky_polls")
    for _ in range(3):
        run(coordinator, "flaky_polls", deadline_s=0.3)
    [agent] = coordinator.http.get("/api/agents").json()["agents"]
    assert agent["health"]["state"] == "up"


def test_when_all_optional_steps_fail_the_task_has_failed(coordinator: Coordinator) -> None:
    with_agent(coordinator, "hostile_numbers")
    step = {"number": 1, "instruction": "x", "skill_id": "hostile_numbers", "requirement": "optional"}
    task = coordinator.run(description="do it", plan={"steps": [step]})
    assert task["status"] == "failed"


async def test_a_task_whose_run_crashes_each_time_fails_for_good(database_url: str) -> None:
    with running_coordinator(settings_for(database_url)) as coordinator:
        with_agent(coordinator, "stays_open")
        waiting = run(coordinator, "stays_open", approval="plan")
        database = Database(database_url)
        spoilt = update(Task).where(Task.id == waiting["id"]).values(plan={"not": "a plan"})
        await database.write(lambda connection: connection.execute(spoilt).rowcount)
        await database.close()
        coordinator.http.post(f"/api/tasks/{waiting['id']}/approve")
        ended = await asyncio.to_thread(
            coordinator.http.get, f"/api/tasks/{waiting['id']}/events", timeout=30
        )
        assert "INTERNAL_ERROR" in ended.text
        assert "error_" in ended.text, "it names the entry in the log"
