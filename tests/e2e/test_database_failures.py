"""Promise 1 when the database fails: a full disk, a server that is restarted. What was accepted is done, and
once; what cannot be accepted is refused and does not hang."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from tests.support.databases import copy_sqlite, postgres_database
from tests.support.network import SLOW_AGENT, Network, step, twice, until
from tests.support.nursery import Nursery
from tests.support.private_postgres import NoPostgres, PrivatePostgres, private_postgres
from tests.support.small_disk import NoDisk, SmallDisk, small_disk

PONDER_AND_NOTE = {"steps": [step(1, "ponder"), step(2, "note", 1)]}
TASKS = 50
ANSWERED_WITHIN_S = 20.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        with small_disk(tmp_path / "disk", megabytes=64) as disk:
            yield disk
    except NoDisk as exc:
        pytest.skip(f"no disk of our own can be made: {exc}")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    try:
        with private_postgres() as server:
            yield server
    except NoPostgres as exc:
        pytest.skip(f"no PostgreSQL server of our own can be started: {exc}")


def post(network: Network, body: dict[str, Any], *, key: str) -> httpx.Response:
    # uvicorn closes a connection on which a request crashed, and does not say so beforehand.
    headers = {"Idempotency-Key": key, "Connection": "close"}
    return network.http.post("/api/tasks", json=body, headers=headers, timeout=ANSWERED_WITHIN_S)


def is_refused(response: httpx.Response) -> bool:
    """Where it was not accepted. Any other answer is none of ours."""
    if response.status_code == 202:
        return False
    assert response.status_code >= 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"]
    return True


def assert_all_done_once(network: Network, ids: list[str]) -> None:
    tasks = [network.ended(task_id, within_s=60) for task_id in ids]
    assert [(task["status"], task["error"]) for task in tasks] == [("completed", None)] * len(ids)
    assert not any(done["may_have_run_twice"] for task in tasks for done in task["steps"])
    for task_id in ids:
        assert network.events(task_id).count("task.completed") == 1
    assert not twice(network.executions())
    assert len(network.executions()) == 2 * len(ids)


@pytest.fixture
def network_on_disk(
    disk: SmallDisk, sqlite_template: Path, tmp_path: Path, nursery: Nursery
) -> Iterator[Network]:
    with Network(tmp_path, copy_sqlite(sqlite_template, disk.folder), nursery) as network:
        network.start_coordinator()
        yield network


@pytest.fixture
def network_on_postgres(postgres: PrivatePostgres, tmp_path: Path, nursery: Nursery) -> Iterator[Network]:
    with postgres_database(postgres.url) as url, Network(tmp_path, url, nursery) as network:
        network.start_coordinator()
        yield network


def test_on_a_full_disk_tasks_are_refused_and_those_accepted_go_on_once_there_is_room(
    disk: SmallDisk, network_on_disk: Network
) -> None:
    network = network_on_disk
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="2", SLOW_AGENT_RESULT_BYTES="200000")
    ids = [network.create(description=f"ponder {number}", plan=PONDER_AND_NOTE) for number in range(8)]
    until(lambda: len(network.executions()) >= len(ids), within_s=10, what="all are at work")

    disk.fill()
    until(lambda: len(network.executions("done")) == len(ids), within_s=20, what="the agent's part is done")
    body = {"description": "more", "plan": PONDER_AND_NOTE, "inputs": [{"text": "x" * 500_000}]}
    answers: list[httpx.Response] = []

    def refuses() -> bool:
        answers.append(post(network, body, key=secrets.token_hex(8)))
        return is_refused(answers[-1])

    until(refuses, within_s=30, what="a task was refused")
    open_tasks = [network.task(task_id)["status"] for task_id in ids]
    disk.make_room()

    assert "executing" in open_tasks, "the disk was full for them, too"
    accepted = [answer.json()["task_id"] for answer in answers[:-1]]
    assert_all_done_once(network, [*ids, *accepted])
    assert network.ended(network.create(description="ponder"))["status"] == "completed"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_postgresql_server_that_is_restarted_under_load_costs_no_task(
    postgres: PrivatePostgres, network_on_postgres: Network, mode: Literal["fast", "immediate"]
) -> None:
    network = network_on_postgres
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="3", AGENT_MAX_RUNNING="256")
    ids = [network.create(description=f"ponder {n}", plan=PONDER_AND_NOTE) for n in range(TASKS)]
    until(lambda: len(network.executions()) >= TASKS, within_s=20, what="all are at work")

    restart = threading.Thread(target=postgres.restart, args=(mode,))
    restart.start()
    ids += insist(network, until_ends=restart)
    restart.join()

    assert_all_done_once(network, ids)


def insist(network: Network, *, until_ends: threading.Thread) -> list[str]:
    """Create tasks, each until it is accepted, until the thread has ended; their ids."""
    made = []
    body = {"description": "ponder meanwhile", "plan": PONDER_AND_NOTE}
    while until_ends.is_alive():
        key = secrets.token_hex(8)
        answers = [post(network, body, key=key)]
        while is_refused(answers[-1]):
            assert len(answers) < 1_000
            answers.append(post(network, body, key=key))
        made.append(answers[-1].json()["task_id"])
    return made
