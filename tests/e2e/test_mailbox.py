"""Agents that fetch their requests, in processes that die: nothing is lost, and what was answered or is still
held is not done again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import postgres_database
from tests.support.network import SLOW_AGENT, Network, step, twice, until
from tests.support.nursery import Nursery

PLAN = {"steps": [step(1, "ponder")]}


def start_fetching_agent(network: Network, folder: Path, *, seconds: float, **settings: str) -> None:
    """It cannot be called: nothing that it says leads to it."""
    network.begin_agent(
        "slow",
        SLOW_AGENT,
        SLOW_AGENT_SECONDS=str(seconds),
        AGENT_URL="http://192.0.2.1:1",
        AGENT_MAILBOX="true",
        AGENT_MAILBOX_FILE=str(folder / "mailbox.json"),
        **settings,
    )
    until(lambda: states(network) == ["up"], within_s=20, what="the agent has joined")


def states(network: Network) -> list[str]:
    client = network.clients.get("other", network.http)
    return [agent["health"]["state"] for agent in client.get("/api/agents").json()["agents"]]


def test_an_answer_counts_although_the_coordinator_died_meanwhile(network: Network, tmp_path: Path) -> None:
    start_fetching_agent(network, tmp_path, seconds=3)
    task_id = network.create(description="ponder", plan=PLAN)
    until(network.executions, within_s=20, what="it is at work")

    network.kill("coordinator")
    until(lambda: network.executions("done"), within_s=20, what="it is done")
    network.start_coordinator()

    task = network.ended(task_id)
    assert task["status"] == "completed"
    assert task["steps"][0]["may_have_run_twice"] is False
    assert len(network.executions()) == 1


def test_a_step_that_waits_in_the_inbox_when_the_coordinator_dies_is_done_once(
    network: Network, tmp_path: Path
) -> None:
    start_fetching_agent(network, tmp_path, seconds=0.1)
    network.server("slow").stop()
    task_id = network.create(description="ponder", plan=PLAN)
    until(lambda: network.task(task_id)["steps"][0]["status"] == "running", within_s=20, what="it is sent")

    network.kill("coordinator")
    network.start_coordinator()
    network.server("slow").go_on()

    task = network.ended(task_id)
    assert task["status"] == "completed"
    assert not twice(network.executions())


def test_a_request_that_a_killed_agent_had_is_given_again(network: Network, tmp_path: Path) -> None:
    start_fetching_agent(network, tmp_path, seconds=60)
    task_id = network.create(description="ponder", plan=PLAN)
    until(network.executions, within_s=20, what="it is at work")

    network.kill("slow")
    start_fetching_agent(network, tmp_path, seconds=0.1)

    task = network.ended(task_id)
    assert (task["status"], task["steps"][0]["attempt"]) == ("completed", 1)
    assert len({execution.message_id for execution in network.executions()}) == 1
    assert len(states(network)) == 1, "it is the same agent"


@pytest.fixture
def two_coordinators(
    tmp_path: Path, postgres_server: str, postgres_template: str, nursery: Nursery
) -> Iterator[Network]:
    """On one database; the agent knows the one called "other"."""
    database = postgres_database(postgres_server, template=postgres_template)
    with database as url, Network(tmp_path, url, nursery) as network:
        network.start_coordinator("other")
        network.start_coordinator()
        yield network


def test_a_task_of_one_coordinator_is_fetched_from_another(two_coordinators: Network, tmp_path: Path) -> None:
    network = two_coordinators
    start_fetching_agent(network, tmp_path, seconds=0.1, COORDINATOR_URL=network.url_of("other"))

    task_id = network.create(description="ponder", plan=PLAN)

    assert network.ended(task_id)["status"] == "completed"
    assert len(network.executions()) == 1
