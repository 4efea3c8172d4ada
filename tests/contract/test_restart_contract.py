"""What a task store in a database keeps over the death of its process: killed, and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.contract.receivers import Receiver
from tests.support.bindings import (
    BINDINGS,
    JSON_RPC,
    Caller,
    Params,
    Result,
    World,
    free_port,
    message,
    parts,
    said_last,
    served,
    state,
    told,
)
from tests.support.databases import postgres_database, run_apart
from tests.support.scripted_agent import ScriptedAgent
from tests.support.waiting import eventually, eventually_now

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Left:
    """What the dead process has left behind. `once` made the finished task."""

    once: Params
    finished: Result
    running: Result
    asking: dict[str, Result]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "postgresql":
        with postgres_database(request.getfixturevalue("postgres_server")) as found:
            yield found
        return
    yield f"sqlite:///{tmp_path_factory.mktemp('store')}/tasks.db"


@contextmanager
def killed_in_the_end(store_url: str) -> Iterator[World]:
    """An agent in a process of its own, which gets no chance to say good-bye."""
    port = free_port()
    settings = {"TASK_STORE_URL": store_url, "AGENT_URL": f"http://127.0.0.1:{port}", "COORDINATOR_URL": ""}
    app = "tests.contract.killed_agent:app"
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "critical"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    world = World(ScriptedAgent(), f"http://127.0.0.1:{port}", "")
    try:
        eventually_now(lambda: _answers(world.url), within_s=20)
        yield world
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


async def leave(world: World, hooks: str) -> Left:
    async with world.caller(JSON_RPC) as agent:
        once = message("hello", configuration=_telling(f"{hooks}/finished"))
        finished = (await agent.call("SendMessage", once))["task"]
        asking = {name: await agent.send("weather", "ask") for name in (*BINDINGS, "canceled")}
        begun = message(
            "r", "wait", configuration={**_telling(f"{hooks}/running"), "returnImmediately": True}
        )
        running = (await agent.call("SendMessage", begun))["task"]
        async with agent.stream("SubscribeToTask", {"id": running["id"]}) as events:
            event = await anext(events)
            while told(event) != "WORKING":
                event = await anext(events)
    return Left(once, finished, running, asking)


def _telling(url: str) -> Params:
    return {"taskPushNotificationConfig": {"url": url}}


@pytest.fixture(scope="module")
def left(url: str, receiver: Receiver) -> Left:
    receiver.is_down = True
    receiver.posted.clear()
    with killed_in_the_end(url) as world:
        found = run_apart(leave(world, receiver.url))
    receiver.is_down = False
    return found


@pytest.fixture(scope="module")
def world(url: str, left: Left) -> Iterator[World]:
    with served(url) as world:
        yield world


@pytest.fixture(params=BINDINGS)
async def agent(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    async with world.caller(request.param) as caller:
        yield caller


@pytest.fixture
def asked(left: Left, request: pytest.FixtureRequest) -> Result:
    """A task that asked before the death, for each binding its own."""
    return left.asking[request.node.callspec.params["agent"]]


async def test_a_finished_task_is_still_what_it_was(agent: Caller, left: Left) -> None:
    assert parts(await agent.get(left.finished)) == parts(left.finished)
    assert state(await agent.get(left.finished)) == "COMPLETED"


async def test_all_tasks_are_still_listed(agent: Caller, left: Left) -> None:
    """3.1.4"""
    page = await agent.call("ListTasks")
    known = {task["id"] for task in (left.finished, left.running, *left.asking.values())}

    assert known <= {task["id"] for task in page["tasks"]}


async def test_a_running_task_has_failed_and_may_be_tried_again(agent: Caller, left: Left) -> None:
    task = await agent.get(left.running)

    assert state(task) == "FAILED"
    assert task["status"]["message"]["metadata"] == {"retryable": True, "mayHaveRun": True}
    assert "send it again" in said_last(task)


async def test_a_message_that_comes_again_gives_the_task_it_made_before(agent: Caller, left: Left) -> None:
    """3.3.1"""
    again = await agent.call("SendMessage", left.once)

    assert again["task"]["id"] == left.finished["id"]


async def test_a_question_can_still_be_answered(agent: Caller, asked: Result) -> None:
    """3.4.3"""
    task = await agent.send("Oslo", taskId=asked["id"])

    assert (state(task), parts(task)) == ("COMPLETED", [[{"text": "['weather', 'Which city?'] Oslo"}]])


async def test_a_question_can_still_be_canceled(world: World, left: Left) -> None:
    """3.1.5"""
    async with world.caller(JSON_RPC) as agent:
        canceled = await agent.call("CancelTask", {"id": left.asking["canceled"]["id"]})

    assert state(canceled) == "CANCELED"


@pytest.mark.parametrize(("path", "last"), [("finished", "COMPLETED"), ("running", "FAILED")])
async def test_who_was_not_told_of_an_end_is_told_now(
    world: World, receiver: Receiver, path: str, last: str
) -> None:
    """4.3.3: once at least"""
    await eventually(lambda: receiver.told(path), within_s=5)

    assert receiver.told(path) == [last]
