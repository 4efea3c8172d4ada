"""Search over REST, and how the index follows a registry that more than one process changes."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from a2a import Agent, Request
from a2a.card_types import AgentExtension
from a2a.database import Database
from coordinator.executor.network import Network
from coordinator.planner.search import Wanted, search
from coordinator.registry.listing import Listing
from models.states import HealthState
from models.tables import Agent as AgentRow
from models.tables import AgentSkill
from tests.support.coordinator import Coordinator, echo_agent, running_coordinator, settings_for
from tests.support.rows import insert_agent

EXTENSION = "urn:example:trace"


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(database_url)) as running:
        yield running


def parrot_agent(url: str) -> Agent:
    extension = AgentExtension(uri=EXTENSION, description="Traces.")
    agent = Agent(name="Parrot", description="Repeats.", version="2.0.0", url=url, extensions=[extension])

    @agent.skill(
        id="sing",
        description="Sing a sentence",
        tags=["Songs"],
        input_modes=["image/*"],
        output_modes=["audio/mpeg"],
    )
    async def sing(_request: Request) -> str:
        return "la"

    return agent


def found(coordinator: Coordinator, **params: Any) -> list[dict[str, Any]]:
    response = coordinator.http.get("/api/agents/search", params=params)
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_a_result_says_what_it_is_and_why_it_was_found(coordinator: Coordinator) -> None:
    agent_id = coordinator.add_agent(echo_agent)
    [result] = found(coordinator, q="echoing sentences")
    assert 0 < result.pop("score") <= 1
    assert result == {
        "agent": {"id": agent_id, "name": "Echo Agent"},
        "skill_id": "echo",
        "skill_name": "Echo",
        "tags": ["echo", "repeat"],
        "matched_terms": ["echoing", "sentences"],
        "status": "ACTIVE",
        "state": "up",
    }


def test_filters_narrow_what_words_find_and_stand_alone(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    coordinator.add_agent(parrot_agent)
    assert [r["skill_id"] for r in found(coordinator, q="sentence")] == ["sing", "echo"]
    for only_sing in (
        {"tag": "songs"},
        {"input_mode": "image/png"},
        {"output_mode": "audio/mpeg"},
        {"extension": EXTENSION},
        {"tag": ["songs"], "state": ["up", "down"]},
    ):
        assert [r["skill_id"] for r in found(coordinator, **only_sing)] == ["sing"], only_sing
        assert [r["skill_id"] for r in found(coordinator, q="sentence", **only_sing)] == ["sing"], only_sing
    assert found(coordinator, tag=["songs", "echo"]) == []
    assert found(coordinator, state="quarantined") == []
    assert [r["skill_id"] for r in found(coordinator, state="up", limit=1)] == ["echo"]


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 422, "VALIDATION_FAILED"),
        ({"q": "x" * 2_001}, 422, "VALIDATION_FAILED"),
        ({"q": "x", "limit": 0}, 422, "VALIDATION_FAILED"),
        ({"q": "x", "limit": 101}, 422, "VALIDATION_FAILED"),
        ({"q": "x", "state": "happy"}, 422, "VALIDATION_FAILED"),
        ({"q": "x", "tags": "misspelt"}, 422, "VALIDATION_FAILED"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    coordinator: Coordinator, params: dict[str, Any], status: int, code: str
) -> None:
    response = coordinator.http.get("/api/agents/search", params=params)
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "q", ["", "\r\n", "x", "the of and", "请总结 " * 400, "🤖" * 2_000, "a" * 2_000, "'; DROP TABLE --"]
)
def test_rubbish_finds_nothing(coordinator: Coordinator, q: str) -> None:
    coordinator.add_agent(echo_agent)
    assert found(coordinator, q=q) == []


def test_an_agent_is_found_at_once_and_no_longer_when_it_was_removed(coordinator: Coordinator) -> None:
    assert found(coordinator, q="echo") == []
    agent_id = coordinator.add_agent(echo_agent)
    assert len(found(coordinator, q="echo")) == 1
    coordinator.http.delete(f"/api/agents/{agent_id}")
    assert found(coordinator, q="echo") == []


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


def network_of(database: Database) -> Network:
    return Network(Listing(database, lambda: datetime.now(UTC)))


def with_skill(words: str, **columns: Any) -> Callable[[Connection], str]:
    """The agent of another process."""

    def change(connection: Connection) -> str:
        agent_id = insert_agent(connection, updated_at=datetime.now(UTC), **columns)
        _save_skill(connection, agent_id, words)
        return agent_id

    return change


def _save_skill(connection: Connection, agent_id: str, words: str) -> None:
    connection.execute(delete(AgentSkill).where(AgentSkill.agent_id == agent_id))
    modes: dict[str, Any] = {"tags": [], "examples": [], "input_modes": [], "output_modes": []}
    skill = {"agent_id": agent_id, "skill_id": "count", "name": "Count", "description": words}
    connection.execute(insert(AgentSkill).values(**skill, **modes))


async def ids(network: Network, words: str, **wanted: Any) -> list[str]:
    index = await network.index(fresh=True)
    return [skill.offer.agent_id for skill in search(index.postings, words, Wanted(**wanted), 20)]


async def test_what_another_process_changes_is_seen(database: Database) -> None:
    network = network_of(database)
    assert await ids(network, "whales") == []
    agent_id = await database.write(with_skill("Counts whales."))
    assert await ids(network, "whales") == [agent_id]

    def change(connection: Connection) -> None:
        _save_skill(connection, agent_id, "Counts birds.")
        connection.execute(update(AgentRow).values(updated_at=datetime.now(UTC)))

    await database.write(change)
    assert await ids(network, "whales") == []
    assert await ids(network, "birds") == [agent_id]
    await database.write(lambda c: c.execute(update(AgentRow).values(removed_at=datetime.now(UTC))))
    assert await ids(network, "birds") == []
    assert network.health == {}


async def test_a_transaction_that_is_seen_late_is_not_missed(database: Database) -> None:
    network = network_of(database)
    await network.index()
    before = datetime.now(UTC) - timedelta(seconds=5)
    agent_id = await database.write(with_skill("Counts whales."))
    await database.write(lambda c: c.execute(update(AgentRow).values(updated_at=before)))
    assert await ids(network, "whales") == [agent_id]


async def test_health_changes_who_is_offered_and_indexes_nothing(database: Database) -> None:
    network = network_of(database)
    agent_id = await database.write(with_skill("Counts whales."))
    index = await network.index()
    version = index.postings.version

    def turn(state: HealthState) -> Callable[[Connection], object]:
        return lambda c: c.execute(update(AgentRow).values(health=state, health_since=datetime.now(UTC)))

    await database.write(turn(HealthState.QUARANTINED))
    assert await ids(network, "whales") == []
    assert await ids(network, "whales", agent_ids={agent_id}) == [agent_id]
    assert (network.is_empty, network.usable(), index.offers) == (True, [], [])
    await database.write(turn(HealthState.DOWN))
    assert await ids(network, "whales") == [agent_id]
    assert index.offers
    assert index.postings.version == version


async def test_several_chunks_of_agents_are_all_read(database: Database) -> None:
    def change(connection: Connection) -> None:
        for number in range(450):
            with_skill(f"Counts whale{number}.", name=f"Agent {number}")(connection)

    await database.write(change)
    network = network_of(database)
    assert len(await ids(network, "whale449")) == 1
    assert len(network.usable()) == 450
