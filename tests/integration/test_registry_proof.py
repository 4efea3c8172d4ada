"""Agents prove themselves before and while they have work: runs, deep probes, the breaker, canaries."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, update

from a2a import Agent, Request
from a2a.database import Database
from a2a.settings import AgentSettings
from models.tables import Agent as AgentRow
from tests.integration.test_api_agents import ask
from tests.integration.test_registry_admission import agent, join, kinds, served, state
from tests.support.changing_agent import ChangingAgent
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.server import AsgiApp
from tests.support.waiting import eventually_now

PROVING = {"prove": True, "check_timeout_s": 5.0}


@contextmanager
def proving(database_url: str, **agents: Any) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(database_url, agents=PROVING | agents)) as running:
        yield running


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with proving(database_url) as running:
        yield running


def report(coordinator: Coordinator, agent_id: str) -> dict[str, Any]:
    found: dict[str, Any] = coordinator.http.get(f"/api/agents/{agent_id}/report").json()
    return found


def echo(coordinator: Coordinator, **more: Any) -> dict[str, Any]:
    plan = {"steps": [{"number": 1, "instruction": "echo hello", "skill_id": "echo"}]}
    return coordinator.run(description="echo hello", plan=plan, **more)


def is_at_once(coordinator: Coordinator) -> bool:
    return bool(echo(coordinator)["steps"][0]["attempt"] == 1)


def pause_is_over(connection: Connection) -> None:
    long_ago = AgentRow.registered_at
    connection.execute(update(AgentRow).values(breaker_until=long_ago, last_called_at=long_ago))


# The conformance run


def test_an_agent_that_works_is_proven_before_the_registration_is_answered(coordinator: Coordinator) -> None:
    changing, url = served(coordinator)
    joined = join(coordinator, url).json()
    assert (joined["proof"], joined["health"]["state"]) == ("proven", "up")
    assert changing.runs >= 1, "a real send was made"
    found = report(coordinator, joined["id"])
    assert found["verdict"] == "proven"
    assert {finding["check"] for finding in found["findings"]} >= {"send", "get", "list", "stream", "cancel"}
    assert all(finding["meaning"] for finding in found["findings"])
    assert found["next_at"] is not None


def test_an_agent_that_completes_nothing_gets_no_work_until_it_does(coordinator: Coordinator) -> None:
    changing, url = served(coordinator)
    changing.fails = True
    joined = join(coordinator, url).json()
    assert (joined["proof"], joined["health"]["state"]) == ("failed", "quarantined")
    found = report(coordinator, joined["id"])
    assert found["verdict"] == "failed"
    assert joined["health"]["reason"] == found["reason"]

    changing.fails = False
    checked = coordinator.http.post(f"/api/agents/{joined['id']}/report").json()
    assert checked["verdict"] == "proven"
    assert state(coordinator, joined["id"]) == "up"
    assert echo(coordinator)["status"] == "completed"
    assert kinds(coordinator, joined["id"]).count("agent.checked") == 2


def test_an_agent_that_registers_by_itself_is_proven_in_the_background(coordinator: Coordinator) -> None:
    _, url = served(coordinator)
    agent_id = ask(coordinator, {"operation": "register", "agentCardUrl": url})["agentId"]
    eventually_now(lambda: state(coordinator, agent_id) == "up", within_s=10)


def shouting(url: str) -> AsgiApp:
    agent = Agent(name="Shouter", description="Shouts.", version="1.0.0", url=url)

    @agent.skill(id="shout", description="Shout a sentence", tags=["shout"], examples=["shout hello"])
    async def shout(request: Request) -> str:
        return request.text.upper()

    return agent.app(AgentSettings(_env_file=None))


def test_a_task_that_comes_while_its_agent_is_checked_waits_for_it(coordinator: Coordinator) -> None:
    join(coordinator, served(coordinator)[1])
    url = coordinator.serve_app(shouting)
    ask(coordinator, {"operation": "register", "agentCardUrl": url})
    task = coordinator.run(description="shout hello")
    assert (task["status"], task["result"]["text"]) == ("completed", "SHOUT HELLO")


def test_where_checks_are_off_one_cannot_be_asked_for(database_url: str) -> None:
    with proving(database_url, prove=False) as coordinator:
        agent_id = join(coordinator, served(coordinator)[1]).json()["id"]
        refused = coordinator.http.post(f"/api/agents/{agent_id}/report")
        assert (refused.status_code, refused.json()["code"]) == (409, "CHECKS_ARE_OFF")
        missing = coordinator.http.get(f"/api/agents/{agent_id}/report")
        assert (missing.status_code, missing.json()["code"]) == (404, "REPORT_NOT_FOUND")


def test_a_proven_agent_is_checked_again_when_its_time_comes(database_url: str) -> None:
    with proving(database_url, check_interval_s=1.0) as coordinator:
        changing, url = served(coordinator)
        agent_id = join(coordinator, url).json()["id"]
        first = report(coordinator, agent_id)["started_at"]
        eventually_now(lambda: report(coordinator, agent_id)["started_at"] != first, within_s=20)
        # One failed run of an agent that was proven makes a doubt, not a verdict.
        changing.fails = True
        eventually_now(lambda: report(coordinator, agent_id)["verdict"] == "failed", within_s=20)
        assert agent(coordinator, agent_id)["proof"] == "proven"
        assert state(coordinator, agent_id) in ("up", "degraded")


# Deep probes and the circuit breaker


def test_a_quiet_agent_that_stops_working_is_found_out_by_deep_probes(database_url: str) -> None:
    """Its card is served all the time."""
    with proving(database_url, deep_probe_interval_s=0.5) as coordinator:
        changing, url = served(coordinator)
        agent_id = join(coordinator, url).json()["id"]
        changing.fails = True
        eventually_now(lambda: state(coordinator, agent_id) == "down", within_s=40)
        breaker = agent(coordinator, agent_id)["health"]["breaker"]
        assert breaker["failed_calls"] == 3
        assert breaker["open_until"] is not None
        history = coordinator.http.get(f"/api/agents/{agent_id}/health").json()["history"]
        assert sum(check["evidence"] == "deep_probe" and not check["ok"] for check in history) >= 3


async def test_after_the_pause_of_the_breaker_a_deep_probe_brings_the_agent_back(database_url: str) -> None:
    with proving(database_url, deep_probe_interval_s=0.5) as coordinator:
        changing, url = served(coordinator)
        agent_id = join(coordinator, url).json()["id"]
        changing.fails = True
        eventually_now(lambda: state(coordinator, agent_id) == "down", within_s=40)
        changing.fails = False
        database = Database(database_url)
        try:
            await database.write(pause_is_over)
        finally:
            await database.close()
        eventually_now(lambda: state(coordinator, agent_id) == "up", within_s=30)


# Canaries


def canaries(coordinator: Coordinator, weight: int) -> tuple[ChangingAgent, ChangingAgent, str]:
    """A stable agent, a canary, and the canary's id."""
    stable, stable_url = served(coordinator)
    canary, canary_url = served(coordinator)
    join(coordinator, stable_url)
    agent_id = join(coordinator, canary_url).json()["id"]
    coordinator.http.patch(f"/api/agents/{agent_id}", json={"weight": weight})
    return stable, canary, agent_id


def session(coordinator: Coordinator) -> str:
    return str(coordinator.http.post("/api/sessions", json={}).json()["id"])


def test_a_canary_with_all_sessions_gets_them_and_the_task_says_why(database_url: str) -> None:
    with proving(database_url, prove=False) as coordinator:
        _, _, agent_id = canaries(coordinator, weight=99)
        tasks = [echo(coordinator, session_id=session(coordinator)) for _ in range(6)]
        chosen = [task["steps"][0] for task in tasks if task["steps"][0]["agent"]["id"] == agent_id]
        assert len(chosen) >= 4
        assert "it gets 99 % of the sessions" in chosen[0]["choice"]["reason"]
        assert chosen[0]["choice"]["others"][0]["reason"] == "the session is one of a canary's"


def test_a_canary_that_fails_hands_its_steps_on_and_is_rolled_back(database_url: str) -> None:
    with proving(database_url, prove=False, canary_min_calls=3) as coordinator:
        _, canary, agent_id = canaries(coordinator, weight=90)
        canary.fails = True
        for _ in range(20):
            task = echo(coordinator, session_id=session(coordinator))
            assert task["status"] == "completed", "another agent does what the canary failed"
            if agent(coordinator, agent_id)["weight"] == 0:
                break
        eventually_now(lambda: agent(coordinator, agent_id)["weight"] == 0, within_s=10)
        [event] = [
            event
            for event in coordinator.http.get("/api/agents/events").json()["events"]
            if event["kind"] == "canary.rolled_back"
        ]
        assert event["data"]["weight"] == 90
        assert "of its calls failed" in event["data"]["reason"]
        # What a process keeps of the registry may be a second old.
        eventually_now(partial(is_at_once, coordinator), within_s=10)
        eventually_now(partial(is_at_once, coordinator), within_s=10)
        before = canary.runs
        for _ in range(4):
            echo(coordinator, session_id=session(coordinator))
        assert canary.runs == before


def test_a_canary_that_does_as_well_as_the_others_stays(database_url: str) -> None:
    with proving(database_url, prove=False, canary_min_calls=3) as coordinator:
        stable, canary, agent_id = canaries(coordinator, weight=50)
        for _ in range(12):
            echo(coordinator, session_id=session(coordinator))
        assert canary.runs > 0
        assert stable.runs > 0
        assert agent(coordinator, agent_id)["weight"] == 50
