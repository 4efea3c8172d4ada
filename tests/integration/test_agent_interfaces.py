"""The coordinator and agents that are reached by other interfaces than JSON-RPC 1.0."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from a2a import Agent, InputRequired, Request
from a2a.card_types import WELL_KNOWN_PATH
from a2a.compat.card import card_to_v03
from a2a.settings import AgentSettings
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.server import AsgiApp


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


def forecasts(url: str, skill_id: str) -> Agent:
    agent = Agent(name=skill_id, description="Forecasts.", version="1.0.0", url=url, serves_v03=True)

    @agent.skill(id=skill_id, description="Weather forecast", tags=["weather"], input_modes=["*/*"])
    async def forecast(request: Request) -> str:
        if not request.history:
            raise InputRequired("Which city?")
        return f"rain in {request.text}"

    return agent


def with_card(app: AsgiApp, card: dict[str, Any]) -> AsgiApp:
    """The app, with another card."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != WELL_KNOWN_PATH:
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(card).encode()})

    return served


def rest_only(agent: Agent) -> dict[str, Any]:
    card = agent.card().to_json()
    card["supportedInterfaces"] = [
        {**item, "tenant": "acme"}
        for item in card["supportedInterfaces"]
        if item["protocolBinding"] == "HTTP+JSON"
    ]
    return card


def of_0_3(agent: Agent) -> dict[str, Any]:
    return card_to_v03(agent.card().to_json())


@pytest.mark.parametrize("make_card", [rest_only, of_0_3])
def test_a_question_is_answered_over_the_interface_that_the_agent_has(
    coordinator: Coordinator, make_card: Callable[[Agent], dict[str, Any]]
) -> None:
    skill_id = make_card.__name__

    def app(url: str) -> AsgiApp:
        agent = forecasts(url, skill_id)
        return with_card(agent.app(AgentSettings(_env_file=None)), make_card(agent))

    coordinator.add_app(app)
    step = {"number": 1, "instruction": "forecast", "skill_id": skill_id, "depends_on": []}
    task = coordinator.run(description="the weather", plan={"steps": [step]})
    assert task["status"] == "input_required", task
    coordinator.http.post(f"/api/tasks/{task['id']}/input", json={"parts": [{"text": "Oslo"}]})
    events = coordinator.http.get(f"/api/tasks/{task['id']}/events").text

    assert "task.completed" in events
    assert coordinator.task(task["id"])["result"]["text"] == "rain in Oslo"
