"""The agent's side of the registration, against a coordinator that is a small scripted agent."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from pydantic import HttpUrl

from a2a import Agent, Rejected, Request
from a2a.registration import EXTENSION_URI, Load, Registrar
from a2a.settings import AgentSettings
from tests.support.scripted_agent import ScriptedAgent
from tests.support.server import Served, serving
from tests.support.waiting import eventually

CARD_URL = "http://127.0.0.1:9/.well-known/agent-card.json"


class ScriptedCoordinator:
    """Notes what it is told. `refusals` registrations are turned down; with `forgets` it knows nobody."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.extensions: list[list[str] | None] = []
        self.refusals = 0
        self.forgets = False
        self.answer: dict[str, Any] = {"agentId": "agent_1", "heartbeatIntervalS": 0.02}

    def said(self, operation: str) -> list[dict[str, Any]]:
        return [item for item in list(self.told) if item["operation"] == operation]

    async def take(self, request: Request) -> dict[str, Any]:
        (told,) = request.data
        self.told.append(told)
        self.extensions.append(request.message.extensions)
        match told["operation"]:
            case "register":
                self.forgets = False
                if self.refusals:
                    self.refusals -= 1
                    raise Rejected("the card could not be fetched")
                return self.answer
            case "heartbeat":
                return {"known": not self.forgets}
            case _:
                return {}

    def app(self, url: str) -> FastAPI:
        agent = Agent(name="Coordinator", description="Takes notes.", version="1.0.0", url=url)
        agent.skill(
            id="membership",
            description="Registration",
            tags=["registration"],
            input_modes=["application/json"],
        )(self.take)
        return agent.app(AgentSettings(coordinator_url=None, agent_url=None))


@contextmanager
def open_coordinator(script: ScriptedCoordinator, port: int = 0) -> Iterator[Served]:
    bound = socket.create_server(("127.0.0.1", port), reuse_port=False)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    with serving(script.app(url), listening=bound) as served:
        yield served


@asynccontextmanager
async def registering(coordinator_url: str) -> AsyncIterator[Registrar]:
    """A registrar whose loop runs meanwhile."""
    async with httpx.AsyncClient(trust_env=False) as http:
        registrar = Registrar(
            http,
            coordinator_url=coordinator_url,
            card_url=CARD_URL,
            load=lambda: Load(running=2, capacity=5),
        )
        running = asyncio.create_task(registrar.run())
        try:
            yield registrar
        finally:
            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled(), "the loop ended by itself"


@pytest.fixture
def coordinator() -> ScriptedCoordinator:
    return ScriptedCoordinator()


async def test_an_agent_registers_its_card_under_the_extension(coordinator: ScriptedCoordinator) -> None:
    with open_coordinator(coordinator) as served:
        async with registering(served.url):
            await eventually(lambda: coordinator.told)

    assert coordinator.told[0] == {"operation": "register", "agentCardUrl": CARD_URL}
    assert coordinator.extensions[0] == [EXTENSION_URI]


async def test_it_says_at_intervals_that_it_lives_and_how_busy_it_is(
    coordinator: ScriptedCoordinator,
) -> None:
    with open_coordinator(coordinator) as served:
        async with registering(served.url):
            await eventually(lambda: len(coordinator.said("heartbeat")) >= 3)

    assert len(coordinator.said("register")) == 1
    assert coordinator.said("heartbeat")[0] == {
        "operation": "heartbeat",
        "agentId": "agent_1",
        "load": {"running": 2, "capacity": 5},
    }


async def test_it_registers_again_when_it_is_not_known_any_more(coordinator: ScriptedCoordinator) -> None:
    with open_coordinator(coordinator) as served:
        async with registering(served.url):
            await eventually(lambda: coordinator.said("heartbeat"))
            coordinator.forgets = True
            await eventually(lambda: len(coordinator.said("register")) == 2)
            beats = len(coordinator.said("heartbeat"))
            await eventually(lambda: len(coordinator.said("heartbeat")) > beats)


async def test_it_waits_for_a_coordinator_that_is_not_there_yet(coordinator: ScriptedCoordinator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with registering(f"http://127.0.0.1:{port}"):
        await asyncio.sleep(0)
        with open_coordinator(coordinator, port):
            await eventually(lambda: coordinator.said("register"), within_s=5)


async def test_it_comes_back_after_the_coordinator_was_away(coordinator: ScriptedCoordinator) -> None:
    with open_coordinator(coordinator) as first:
        port = int(first.url.rpartition(":")[2])
        async with registering(first.url):
            await eventually(lambda: coordinator.said("heartbeat"))
            await asyncio.to_thread(first.stop)
            again = ScriptedCoordinator()
            again.answer = {"agentId": "agent_2", "heartbeatIntervalS": 0.02}
            with open_coordinator(again, port):
                await eventually(lambda: again.said("heartbeat"), within_s=5)

    assert again.said("heartbeat")[-1]["agentId"] == "agent_2"


async def test_a_refusal_is_logged_with_the_reason_and_tried_again(coordinator: ScriptedCoordinator) -> None:
    coordinator.refusals = 1
    with open_coordinator(coordinator) as served, structlog.testing.capture_logs() as logs:
        async with registering(served.url):
            await eventually(lambda: len(coordinator.said("register")) == 2, within_s=5)

    (refused,) = [entry for entry in logs if entry["event"] == "registration.failed"]
    assert refused["why"] == "the card could not be fetched"
    assert refused["log_level"] == "warning"


@pytest.mark.parametrize(
    "answer", [{}, {"agentId": "a"}, {"agentId": "a", "heartbeatIntervalS": 0}], ids=repr
)
async def test_an_answer_that_makes_no_sense_is_no_end_of_it(
    coordinator: ScriptedCoordinator, answer: dict[str, Any]
) -> None:
    coordinator.answer = answer
    with open_coordinator(coordinator) as served:
        async with registering(served.url):
            await eventually(lambda: len(coordinator.said("register")) >= 2, within_s=5)

    assert coordinator.said("heartbeat") == []


async def test_it_says_good_bye(coordinator: ScriptedCoordinator) -> None:
    with open_coordinator(coordinator) as served:
        async with registering(served.url) as registrar:
            await eventually(lambda: coordinator.said("heartbeat"))
            await registrar.leave()

    assert coordinator.said("deregister") == [{"operation": "deregister", "agentId": "agent_1"}]


async def test_a_good_bye_to_nobody_is_quick_and_quiet(coordinator: ScriptedCoordinator) -> None:
    with open_coordinator(coordinator) as served:
        async with registering(served.url) as registrar:
            await eventually(lambda: coordinator.said("heartbeat"))
            await asyncio.to_thread(served.stop)
            async with asyncio.timeout(2):
                await registrar.leave()


async def test_an_agent_server_registers_when_it_starts_and_leaves_when_it_stops(
    coordinator: ScriptedCoordinator,
) -> None:
    """The whole of it, as a process does it."""
    settings = AgentSettings(
        coordinator_url=None, agent_url=HttpUrl("http://127.0.0.1:9"), agent_max_running=7
    )
    with open_coordinator(coordinator) as served:
        known = settings.model_copy(update={"coordinator_url": HttpUrl(served.url)})
        with serving(ScriptedAgent().agent.app(known)):
            await eventually(lambda: coordinator.said("heartbeat"), within_s=5)
        operations = [item["operation"] for item in coordinator.told]

    assert coordinator.told[0]["agentCardUrl"] == CARD_URL
    assert coordinator.said("heartbeat")[0]["load"] == {"running": 0, "capacity": 7}
    assert (operations[0], operations[-1]) == ("register", "deregister")
