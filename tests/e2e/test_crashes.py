"""Processes that really die. Executions are counted on the agent's side."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.support.network import Network, until

SLOW = "tests.support.slow_agent:app"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "executions.log"


@pytest.fixture
def network(tmp_path: Path, log: Path, database_url: str) -> Iterator[Network]:
    network = Network(
        tmp_path,
        database_url,
        SLOW_AGENT_LOG=str(log),
        TASKS_LEASE_S="2",
        AGENTS_PROBE_INTERVAL_S="1",
        AGENTS_HEARTBEAT_INTERVAL_S="1",
        STEPS_BACKOFF_S="0.2",
    )
    network.start_coordinator()
    yield network
    network.close()


def executions(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def ponder(*depends_on: int, number: int = 1) -> dict[str, Any]:
    return {
        "number": number,
        "instruction": "ponder the moon",
        "skill_id": "ponder",
        "depends_on": list(depends_on),
    }


def test_a_coordinator_killed_while_a_step_runs_finds_the_remote_task_again(
    network: Network, log: Path
) -> None:
    network.start_agent("slow", SLOW, SLOW_AGENT_SECONDS="3")
    plan = {"steps": [ponder(), ponder(1, number=2)]}
    task_id = network.create(description="ponder twice", plan=plan)
    until(lambda: network.task(task_id)["steps"][0]["remote_task_id"], within_s=5, what="remote task seen")

    network.kill("coordinator")
    network.start_coordinator()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert [step["may_have_run_twice"] for step in task["steps"]] == [False, False]
    assert len(executions(log)) == 2, "each step ran once"
    assert "step.reattached" in network.events(task_id)


def test_tasks_accepted_before_a_crash_are_all_done_after_it(network: Network, log: Path) -> None:
    network.start_agent("slow", SLOW, SLOW_AGENT_SECONDS="0.5")
    ids = [network.create(description=f"ponder {n}", plan={"steps": [ponder()]}) for n in range(20)]

    network.kill("coordinator")
    network.start_coordinator()

    assert [network.ended(task_id)["status"] for task_id in ids] == ["completed"] * 20
    assert len(set(executions(log))) == len(executions(log)), "no message was worked on twice"


def test_a_step_fails_over_when_its_agent_is_killed(network: Network, log: Path) -> None:
    network.start_agent("first", SLOW, SLOW_AGENT_NAME="First", SLOW_AGENT_SECONDS="20")
    task_id = network.create(description="ponder", plan={"steps": [ponder()]})
    until(lambda: executions(log), within_s=10, what="the first agent began")
    network.start_agent("second", SLOW, SLOW_AGENT_NAME="Second", SLOW_AGENT_SECONDS="0.1")

    network.kill("first")
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert task["steps"][0]["agent"]["name"] == "Second"
    assert task["steps"][0]["attempt"] == 2


def test_with_all_agents_down_a_task_waits_with_the_reason_until_one_is_back(network: Network) -> None:
    network.start_agent("slow", SLOW, SLOW_AGENT_SECONDS="0.1")
    network.kill("slow")
    until(lambda: network.health_of(network.url_of("slow")) == "down", within_s=15, what="seen down")
    task_id = network.create(description="ponder the moon")

    def says_why() -> bool:
        return "Slow Agent is down" in network.http.get(f"/api/tasks/{task_id}/why").json()["sentence"]

    until(says_why, within_s=5, what="the reason")
    network.start_agent("slow", SLOW, SLOW_AGENT_SECONDS="0.1")
    assert network.ended(task_id)["status"] == "completed"


def test_with_all_agents_down_a_task_fails_at_its_deadline_with_the_reason(network: Network) -> None:
    network.start_agent("slow", SLOW)
    network.terminate("slow")
    until(lambda: network.health_of(network.url_of("slow")) != "up", within_s=10, what="said good-bye")
    task_id = network.create(description="ponder the moon", deadline_s=1.5)
    task = network.ended(task_id)
    assert task["error"]["code"] == "DEADLINE_EXCEEDED"
    assert "Slow Agent" in task["error"]["message"]


def test_a_cancel_reaches_the_agent(network: Network, log: Path) -> None:
    network.start_agent("slow", SLOW, SLOW_AGENT_SECONDS="60")
    task_id = network.create(description="ponder", plan={"steps": [ponder()]})
    until(lambda: executions(log), within_s=10, what="the agent began")
    assert network.http.post(f"/api/tasks/{task_id}/cancel").status_code == 202
    task = network.ended(task_id, within_s=10)
    assert task["status"] == "canceled"
    events = network.http.get(f"/api/tasks/{task_id}/events").text
    assert '"remote_task":"canceled"' in events


def test_a_question_is_answered_by_a_person_across_a_restart(network: Network) -> None:
    network.start_agent("slow", SLOW)
    plan = {"steps": [{"number": 1, "instruction": "inquire", "skill_id": "inquire"}]}
    task_id = network.create(description="inquire", plan=plan)
    until(lambda: network.task(task_id)["status"] == "input_required", within_s=10, what="the question")
    assert network.task(task_id)["steps"][0]["question"] == "Which city?"

    network.kill("coordinator")
    network.start_coordinator()
    answer = {"parts": [{"text": "Oslo"}]}
    assert network.http.post(f"/api/tasks/{task_id}/input", json=answer).status_code == 202
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert task["result"]["text"] == "You said Oslo."


def test_an_agent_registers_again_by_itself_after_the_coordinator_lost_its_memory(
    network: Network, database_url: str
) -> None:
    file = make_url(database_url).database
    if not database_url.startswith("sqlite") or file is None:
        pytest.skip("on SQLite only: the memory that is lost is a file")
    network.start_agent("slow", SLOW, SLOW_AGENT_SECONDS="0.1")
    before = network.http.get("/api/agents").json()["agents"][0]["id"]

    network.kill("coordinator")
    for rest in ("", "-wal", "-shm"):
        Path(file + rest).unlink(missing_ok=True)
    network.start_coordinator()
    until(lambda: network.health_of(network.url_of("slow")) == "up", within_s=20, what="registered again")

    assert network.http.get("/api/agents").json()["agents"][0]["id"] != before
