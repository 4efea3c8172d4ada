"""Promise 3, one owner: two coordinators on one PostgreSQL database, of which one dies or freezes. Promise 1:
the other takes its tasks over within the lease time."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import postgres_database
from tests.support.network import SLOW_AGENT, TERMINAL, Network, step, twice, until
from tests.support.nursery import Nursery

LEASE_S = 2.0
# A look for orphans each second, and a busy machine.
TAKEN_OVER_WITHIN_S = LEASE_S + 1.0 + 3.0
TASKS = 30


@pytest.fixture
def database_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    with postgres_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture
def network(tmp_path: Path, database_url: str, nursery: Nursery) -> Iterator[Network]:
    """The coordinators "coordinator" and "other", and an agent that has registered with the latter."""
    with Network(tmp_path, database_url, nursery, TASKS_LEASE_S=str(LEASE_S)) as network:
        network.start_coordinator()
        network.start_coordinator("other")
        other = network.url_of("other")
        network.start_agent("slow", SLOW_AGENT, COORDINATOR_URL=other, SLOW_AGENT_SECONDS="8")
        yield network


def running(network: Network, name: str) -> int:
    found: int = network.clients[name].get("/ready").json()["running_tasks"]
    return found


def create_tasks(network: Network, count: int = TASKS) -> list[str]:
    """All owned by "coordinator", and all at work."""
    plan = {"steps": [step(1, "ponder"), step(2, "note", 1)]}
    ids = [network.create(description=f"ponder {number}", plan=plan) for number in range(count)]
    until(lambda: len(network.executions()) == count, within_s=20, what="all are at work")
    assert (running(network, "coordinator"), running(network, "other")) == (count, 0)
    return ids


def assert_done_once(network: Network, ids: list[str]) -> None:
    other = network.clients["other"]
    for task_id in ids:
        task = other.get(f"/api/tasks/{task_id}").json()
        assert (task["status"], task["error"]) == ("completed", None)
        assert [done["may_have_run_twice"] for done in task["steps"]] == [False, False]
        kinds = network.events(task_id, of="other")
        assert kinds[-1] == "task.completed"
        assert kinds.count("step.completed") == 2
    assert not twice(network.executions())
    assert len(network.executions()) == 2 * len(ids)


def all_ended(network: Network, ids: list[str]) -> bool:
    page = network.clients["other"].get("/api/tasks", params={"limit": 200}).json()["tasks"]
    ended = {task["id"] for task in page if task["status"] in TERMINAL}
    return set(ids) <= ended


def test_the_tasks_of_a_killed_coordinator_are_taken_over_within_the_lease_time(network: Network) -> None:
    ids = create_tasks(network)

    network.kill("coordinator")
    died_at = time.monotonic()
    until(lambda: running(network, "other") == TASKS, within_s=20, what="taken over")
    took_s = time.monotonic() - died_at
    until(lambda: all_ended(network, ids), within_s=40, what="all have ended")

    assert took_s < TAKEN_OVER_WITHIN_S
    assert_done_once(network, ids)


def test_a_coordinator_that_was_frozen_for_longer_than_its_lease_changes_nothing_and_lets_go(
    network: Network,
) -> None:
    ids = create_tasks(network)

    network.server("coordinator").stop()
    until(lambda: running(network, "other") == TASKS, within_s=20, what="taken over")
    network.server("coordinator").go_on()
    until(lambda: running(network, "coordinator") == 0, within_s=10, what="the late one has let go")
    assert running(network, "other") == TASKS
    until(lambda: all_ended(network, ids), within_s=40, what="all have ended")

    assert "task.lease_lost" in network.log_of("coordinator")
    assert_done_once(network, ids)


def test_a_coordinator_that_was_frozen_until_its_tasks_had_ended_changes_nothing(network: Network) -> None:
    ids = create_tasks(network, count=5)

    network.server("coordinator").stop()
    until(lambda: all_ended(network, ids), within_s=40, what="all have ended")
    before = [network.clients["other"].get(f"/api/tasks/{task_id}").json() for task_id in ids]
    network.server("coordinator").go_on()
    until(lambda: running(network, "coordinator") == 0, within_s=10, what="the late one has let go")

    assert [network.task(task_id) for task_id in ids] == before
    assert_done_once(network, ids)


def test_both_make_and_run_tasks_and_either_shows_them_all(network: Network) -> None:
    """A cancel that comes to the one reaches the run of the other."""
    plan = {"steps": [step(1, "ponder")]}
    task_id = network.create(description="ponder", plan=plan)
    until(network.executions, within_s=10, what="it began")
    other = network.clients["other"]
    assert other.post(f"/api/tasks/{task_id}/cancel").status_code == 202
    until(lambda: all_ended(network, [task_id]), within_s=10, what="it has ended")
    assert other.get(f"/api/tasks/{task_id}").json()["status"] == "canceled"
    assert len(network.executions("canceled")) == 1
