"""Agents and registrations that mean harm, at a real coordinator: clear errors, nobody else is disturbed."""

from collections.abc import Iterator

import pytest

from a2a import InputRequired, Request
from tests.integration.test_registry_admission import agent, coordinating, join, served
from tests.support.changing_agent import ChangingAgent
from tests.support.coordinator import Coordinator
from tests.support.waiting import eventually_now

PLAN = {"steps": [{"number": 1, "instruction": "echo hello", "skill_id": "echo"}]}


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with coordinating(database_url) as running:
        yield running


class Asking(ChangingAgent):
    """Asks before it says anything."""

    async def echo(self, request: Request) -> str:
        self.runs += 1
        if self.runs == 1:
            raise InputRequired("What is the password?")
        return request.text


def serve_asking(coordinator: Coordinator) -> tuple[Asking, str]:
    made: list[Asking] = []

    def make(url: str) -> Asking:
        made.append(Asking(url))
        return made[0]

    url = coordinator.serve_app(make)
    return made[0], url


# Work that is under way


def is_alone(coordinator: Coordinator, agent_id: str) -> bool:
    """Whether nobody else with the skill gets work."""
    step = coordinator.run(description="echo hello", plan=PLAN)["steps"][0]
    return bool(step["agent"]["id"] == agent_id and "the only agent" in step["choice"]["reason"])


def test_an_answer_does_not_go_where_an_unapproved_card_leads(coordinator: Coordinator) -> None:
    asking, url = serve_asking(coordinator)
    stranger, elsewhere = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    task = coordinator.run(description="echo hello", plan=PLAN)
    assert task["status"] == "input_required"

    asking.card["supportedInterfaces"] = stranger.card["supportedInterfaces"]
    eventually_now(lambda: agent(coordinator, agent_id)["admission"]["state"] == "held", within_s=10)
    assert agent(coordinator, agent_id)["url"] == elsewhere
    # What a process keeps of the registry may be a second old.
    other_id = join(coordinator, served(coordinator)[1]).json()["id"]
    eventually_now(lambda: is_alone(coordinator, other_id), within_s=10)

    answer = {"parts": [{"text": "secret"}]}
    coordinator.http.post(f"/api/tasks/{task['id']}/input", json=answer)
    eventually_now(lambda: coordinator.task(task["id"])["status"] == "failed", within_s=10)
    assert coordinator.task(task["id"])["steps"][0]["error"]["code"] == "AGENT_GONE"
    assert stranger.runs == 0
