"""Our agents with a mailbox: the bridge between an inbox and the agent in the same process."""

import asyncio
import socket
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from a2a import Agent, InputRequired, Progress, Request, SkillFailed
from a2a.settings import AgentSettings
from coordinator.app import create_app
from examples import night_agent
from tests.support.coordinator import Coordinator, settings_for
from tests.support.server import serving
from tests.support.task_api import act, answer, becomes, begin, codes, ended, step, why
from tests.support.waiting import Gate, eventually_now

Json = dict[str, Any]


class Cellar:
    """An agent behind a mailbox; `gate` lets "wait" go on."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.began: list[str] = []
        self.canceled: list[str] = []

    def agent(self) -> Agent:
        agent = Agent(name="Cellar", description="Nobody can call it.", version="1.0.0")

        @agent.skill(id="fetch_wine", description="Fetch wine", tags=["wine"])
        async def fetch_wine(request: Request) -> str:
            return f"wine for {request.text}"

        @agent.skill(id="choose_wine", description="Choose wine", tags=["choice"])
        async def choose_wine(request: Request) -> str:
            if not request.history:
                raise InputRequired("Red or white?")
            return request.text

        @agent.skill(id="spill_wine", description="Spill wine", tags=["spill"])
        async def spill_wine(request: Request) -> str:
            raise SkillFailed("It is on the floor.")

        @agent.skill(id="wait_for_wine", description="Wait for wine", tags=["wait"])
        async def wait_for_wine(request: Request) -> AsyncGenerator[Progress | str]:
            self.began.append(request.message.message_id)
            yield Progress("waiting")
            try:
                await self.gate.wait(within_s=30)
            except asyncio.CancelledError:
                self.canceled.append(request.message.message_id)
                raise
            yield "ripe"

        return agent


def settings(coordinator: Coordinator, **more: Any) -> AgentSettings:
    return AgentSettings(
        _env_file=None, coordinator_url=HttpUrl(coordinator.url), agent_grace_s=1, log_level="error", **more
    )


@contextmanager
def behind_a_mailbox(coordinator: Coordinator, cellar: Cellar, **more: Any) -> Iterator[str]:
    """The agent's id, once it is there."""
    app = cellar.agent().app(settings(coordinator, agent_mailbox=True, **more))
    known = {agent["id"] for agent in agents(coordinator) if agent["health"]["state"] == "up"}
    with serving(app):
        eventually_now(lambda: ids_up(coordinator) - known, within_s=10)
        (agent_id,) = ids_up(coordinator) - known
        yield agent_id


def agents(coordinator: Coordinator) -> list[Json]:
    found: list[Json] = coordinator.http.get("/api/agents").json()["agents"]
    return found


def ids_up(coordinator: Coordinator) -> set[str]:
    return {agent["id"] for agent in agents(coordinator) if agent["health"]["state"] == "up"}


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    bound = socket.create_server(("127.0.0.1", 0))
    # It tells the agents where their inbox is.
    url = HttpUrl(f"http://127.0.0.1:{bound.getsockname()[1]}")
    app = create_app(settings_for(database_url).model_copy(update={"coordinator_url": url}))
    with ExitStack() as stack:
        served = stack.enter_context(serving(app, listening=bound))
        yield Coordinator(served.url, stack)


def test_an_agent_with_a_mailbox_does_steps_as_any_other(coordinator: Coordinator) -> None:
    with behind_a_mailbox(coordinator, Cellar()):
        steps = (step(1, "fetch_wine"), step(2, "fetch_wine"), step(3, "spill_wine", requirement="optional"))
        done = ended(coordinator, begin(coordinator, *steps)["id"])

    assert done["status"] == "completed"
    assert [found["output_data"]["text"] for found in done["steps"][:2]] == ["wine for do it"] * 2
    assert codes(done) == [None, None, "AGENT_FAILED"]


def test_it_may_ask(coordinator: Coordinator) -> None:
    with behind_a_mailbox(coordinator, Cellar()):
        task_id = begin(coordinator, step(1, "choose_wine"))["id"]
        assert becomes(coordinator, task_id, "input_required")["steps"][0]["question"] == "Red or white?"
        answer(coordinator, task_id, "red")

        assert ended(coordinator, task_id)["result"]["text"] == "red"


def test_what_it_has_begun_is_canceled_with_the_step(coordinator: Coordinator) -> None:
    cellar = Cellar()
    with behind_a_mailbox(coordinator, cellar):
        task_id = begin(coordinator, step(1, "wait_for_wine"))["id"]
        eventually_now(lambda: cellar.began, within_s=10)

        act(coordinator, task_id, "cancel")

        eventually_now(lambda: cellar.canceled == cellar.began, within_s=10)
        assert coordinator.task(task_id)["status"] == "canceled"


def test_an_agent_that_ends_brings_what_it_has_done_and_drains(coordinator: Coordinator) -> None:
    cellar = Cellar()
    with behind_a_mailbox(coordinator, cellar, agent_max_running=1) as agent_id:
        task_id = begin(coordinator, step(1, "wait_for_wine"))["id"]
        eventually_now(lambda: cellar.began, within_s=10)
        cellar.gate.open()

    assert ended(coordinator, task_id)["result"]["text"] == "ripe"
    assert coordinator.http.get(f"/api/agents/{agent_id}").json()["health"]["state"] == "draining"


def test_with_its_file_it_is_the_same_agent_after_a_restart_and_gets_what_it_held(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    file, cellar = tmp_path / "deep" / "mailbox.json", Cellar()
    with behind_a_mailbox(coordinator, cellar, agent_mailbox_file=file) as first:
        task_id = begin(coordinator, step(1, "wait_for_wine"))["id"]
        eventually_now(lambda: cellar.began, within_s=10)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cellar.gate.open()

    with behind_a_mailbox(coordinator, cellar, agent_mailbox_file=file) as second:
        done = ended(coordinator, task_id)

    assert first == second
    assert done["result"]["text"] == "ripe"
    assert len(set(cellar.began)) == 1


async def test_the_night_agent_does_what_waited_and_goes_to_sleep(
    coordinator: Coordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATOR_URL", coordinator.url)
    monkeypatch.setenv("AGENT_MAILBOX_FILE", str(tmp_path / "night.json"))
    assert await night_agent.wake() == 0
    task_id = begin(coordinator, step(1, "night_report"))["id"]
    eventually_now(lambda: "it says it will at" in why(coordinator, task_id), within_s=10)

    assert await night_agent.wake() == 1

    done = ended(coordinator, task_id)
    assert done["result"]["text"].endswith("do it: done while everybody slept.")
    [agent] = agents(coordinator)
    assert agent["health"]["state"] == "down"
