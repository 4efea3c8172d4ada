"""Promise 3, one owner: two coordinators on one PostgreSQL database, of which one dies or freezes. Promise 1:
the other takes its tasks over within the lease time."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.databases import postgres_database
from tests.support.network import SLOW_AGENT, TERMINAL, Network, step, twice, until
from tests.support.nursery import Nursery

LEASE_S = 2.0
# A look for orphans each second, and a busy machine.
TAKEN_OVER_WITHIN_S = LEASE_S + 1.0 + 3.0
TASKS = 30
PLAN = {"steps": [step(1, "ponder"), step(2, "note", 1)]}
FAULTY = "tests.support.faulty_coordinator:app"


@pytest.fixture
def database_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    with postgres_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture
def network(tmp_path: Path, database_url: str, nursery: Nursery) -> Iterator[Network]:
    """With the coordinator "other"; the one called "coordinator" is the test's."""
    with Network(tmp_path, database_url, nursery, TASKS_LEASE_S=str(LEASE_S)) as network:
        network.start_coordinator("other")
        yield network


def start_agent(network: Network, *, seconds: float) -> None:
    other = network.url_of("other")
    network.start_agent("slow", SLOW_AGENT, COORDINATOR_URL=other, SLOW_AGENT_SECONDS=str(seconds))


def running(network: Network, name: str) -> int:
    found: int = network.clients[name].get("/ready").json()["running_tasks"]
    return found


def create_tasks(network: Network) -> list[str]:
    """All owned by "coordinator", and all at work."""
    network.start_coordinator()
    start_agent(network, seconds=8)
    ids = [network.create(description=f"ponder {number}", plan=PLAN) for number in range(TASKS)]
    until(lambda: len(network.executions()) >= TASKS, within_s=20, what="all are at work")
    assert (running(network, "coordinator"), running(network, "other")) == (TASKS, 0)
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


@pytest.mark.parametrize(
    "point",
    ["before_commit#2", "before_commit#4", "before_send", "after_send#2", "after_commit:step.completed"],
)
def test_what_a_coordinator_was_about_to_do_when_it_froze_is_not_done_after_its_lease(
    network: Network, tmp_path: Path, point: str
) -> None:
    frozen_at = tmp_path / "faults.log"
    settings = {"FAULTS": point, "FAULTS_FILE": str(frozen_at), "FAULTS_SIGNAL": "SIGSTOP"}
    network.start_coordinator(app=FAULTY, **settings)
    start_agent(network, seconds=0.3)
    task_id = network.create(description="ponder", plan=PLAN)
    until(frozen_at.exists, within_s=10, what="it froze")
    until(lambda: all_ended(network, [task_id]), within_s=20, what="the other brought it to its end")
    before = network.clients["other"].get(f"/api/tasks/{task_id}").json()

    network.server("coordinator").go_on()
    until(lambda: running(network, "coordinator") == 0, within_s=10, what="the late one has let go")

    assert "lease_lost" in network.log_of("coordinator")
    assert network.task(task_id) == before
    assert_done_once(network, [task_id])


def test_a_cancel_that_comes_to_the_one_reaches_the_run_of_the_other(network: Network) -> None:
    network.start_coordinator()
    start_agent(network, seconds=60)
    task_id = network.create(description="ponder", plan=PLAN)
    until(network.executions, within_s=10, what="it began")
    other = network.clients["other"]
    assert other.post(f"/api/tasks/{task_id}/cancel").status_code == 202
    until(lambda: all_ended(network, [task_id]), within_s=10, what="it has ended")
    assert other.get(f"/api/tasks/{task_id}").json()["status"] == "canceled"
    assert len(network.executions("canceled")) == 1


async def test_a_coordinator_that_froze_in_a_transaction_does_not_hold_up_the_other(
    network: Network, database_url: str
) -> None:
    """Its locks would keep everybody from the task for as long as it is frozen."""
    network.start_coordinator()
    start_agent(network, seconds=1)
    # Two connections: a session sees the activity of the others as it was at its transaction's first look.
    holder, spy = await asyncpg.connect(database_url), await asyncpg.connect(database_url)

    async def until_session(condition: str) -> None:
        ours = "datname = current_database() AND pid <> pg_backend_pid()"
        query = f"SELECT count(*) FROM pg_stat_activity WHERE {ours} AND {condition}"  # noqa: S608 ours
        async with asyncio.timeout(30):
            while not await spy.fetchval(query):
                assert not all_ended(network, [task_id])

    try:
        task_id = network.create(description="ponder", plan=PLAN)
        async with holder.transaction():
            await holder.execute("SELECT id FROM tasks WHERE id = $1 FOR UPDATE", task_id)
            await until_session("wait_event_type = 'Lock'")
            network.server("coordinator").stop()
        await until_session("state = 'idle in transaction'")
    finally:
        await holder.close()
        await spy.close()
    until(lambda: all_ended(network, [task_id]), within_s=30, what="the other brought it to its end")

    network.server("coordinator").go_on()
    until(lambda: running(network, "coordinator") == 0, within_s=10, what="the late one has let go")
    assert_done_once(network, [task_id])
