"""Two things at once in the registry: registrations, probes and proofs of one agent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a.client import FetchedCard
from a2a.client.cards import parse_card
from a2a.database import Database
from a2a.signing import TrustStore
from coordinator.clock import utc_now
from coordinator.health.audit import Actor
from coordinator.health.deep import DeepProber
from coordinator.health.probes import Probed
from coordinator.health.record import record
from coordinator.registry.admission import Policy
from coordinator.registry.arrival import JoinRules
from coordinator.registry.errors import CardRejected
from coordinator.registry.operations import admit_agent
from coordinator.registry.proving import ProofRules, Prover
from coordinator.registry.registration import Joining, Registry
from coordinator.registry.signatures import Signatures
from coordinator.registry.store import AgentRow, find_known, list_agents, remove_agent, set_agent
from coordinator.registry.withdrawal import withdraw_agent
from models.states import Evidence
from tests.unit.card_samples import card_json

OWN = "http://127.0.0.1:8000"
HERE = "http://agent.example"
THERE = "http://moved.example"
Cards = dict[str, dict[str, Any]]


def card_at(origin: str, **changes: Any) -> dict[str, Any]:
    interface = {"url": f"{origin}/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    return card_json(supportedInterfaces=[interface], **changes)


def fetched(card: dict[str, Any]) -> FetchedCard:
    return FetchedCard(parse_card("", json.dumps(card).encode()), None, 0.0)


class World:
    """A registry on a database, and the cards that are served out there by their origins."""

    def __init__(self, url: str, policy: Policy = Policy.OPEN, *, proves: bool = False) -> None:
        self.cards: Cards = {HERE: card_at(HERE)}
        self.database = Database(url)
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        self.due: list[str] = []
        self.registry = Registry(
            self.database,
            self.http,
            JoinRules(policy, 100, proves=proves),
            Signatures(self.http, TrustStore(), is_required=False),
            tokens=["word"],
            own_url=OWN,
            proof_due=self.due.append,
            now=utc_now,
        )

    def _serve(self, request: httpx.Request) -> httpx.Response:
        card = self.cards.get(f"{request.url.scheme}://{request.url.host}")
        return httpx.Response(404) if card is None else httpx.Response(200, json=card)

    async def join(self, url: str = HERE, **more: Any) -> str:
        return await self.registry.register(Joining(url, Actor.AGENT, **more))

    async def row(self, agent_id: str) -> AgentRow:
        found = await self.database.read(partial(find_known, agent_id=agent_id))
        assert found is not None
        return found

    async def probed(self, agent_id: str) -> Probed:
        return Probed(agent_id, (await self.row(agent_id)).updated_at)

    async def listed(self) -> list[AgentRow]:
        return [row for row, _ in await self.database.read(list_agents)]


@asynccontextmanager
async def world(url: str, policy: Policy = Policy.OPEN, *, proves: bool = False) -> AsyncIterator[World]:
    made = World(url, policy, proves=proves)
    try:
        yield made
    finally:
        await made.http.aclose()
        await made.database.close()


# Registrations


async def test_one_card_url_registered_many_times_at_once_is_one_agent(database_url: str) -> None:
    """By two coordinators on the database."""
    async with world(database_url) as one, world(database_url) as other:
        ids = await asyncio.gather(*(who.join() for _ in range(10) for who in (one, other)))
        assert len(set(ids)) == 1
        assert len(await one.listed()) == 1


# A probe whose card comes late


Change = Callable[[World, str], Any]


async def removed(world: World, agent_id: str) -> None:
    await world.database.write(partial(remove_agent, agent_id=agent_id, now=utc_now()))


async def withdrawn(world: World, agent_id: str) -> None:
    card_url = (await world.row(agent_id)).card_url
    await world.database.write(partial(withdraw_agent, card_url=card_url, now=utc_now()))


async def moved(world: World, agent_id: str) -> None:
    world.cards = {THERE: card_at(THERE)}
    assert await world.join(THERE, previous_id=agent_id) == agent_id


async def changed(world: World, agent_id: str) -> None:
    world.cards[HERE] = card_at(HERE, securitySchemes={"key": {"mtlsSecurityScheme": {}}})
    await world.join(token="word")  # noqa: S106 of a test


@pytest.mark.parametrize("meanwhile", [removed, withdrawn, moved, changed])
async def test_a_probe_of_an_agent_that_has_changed_meanwhile_changes_nothing(
    database_url: str, meanwhile: Change
) -> None:
    async with world(database_url) as there:
        agent_id = await there.join()
        probed = await there.probed(agent_id)
        await meanwhile(there, agent_id)
        before, listed = await there.row(agent_id), await there.listed()
        late = fetched(card_at(HERE, version="1.1.0"))
        assert await there.registry.card_seen(probed, late) is None
        assert await there.row(agent_id) == before
        assert await there.listed() == listed


async def test_a_probe_of_an_agent_that_is_as_it_was_takes_its_new_card(database_url: str) -> None:
    async with world(database_url) as there:
        agent_id = await there.join()
        late = fetched(card_at(HERE, version="1.1.0"))
        assert await there.registry.card_seen(await there.probed(agent_id), late) is None
        assert (await there.row(agent_id)).version == "1.1.0"


# A proof that ends late


NO_PUSH: Any = None


async def proving(world: World, agent_id: str, meanwhile: Callable[[], Any]) -> None:
    """A conformance run of the agent, during whose first call something happens."""
    done: list[bool] = []

    async def call(request: httpx.Request) -> httpx.Response:
        if not done:
            done.append(True)
            await meanwhile()
        return httpx.Response(500)

    async with httpx.AsyncClient(transport=httpx.MockTransport(call)) as http:
        prover = Prover(world.database, http, NO_PUSH, ProofRules(5.0, 86_400.0), utc_now)
        prover.due(agent_id)
        await prover.wait(agent_id, timeout_s=10)
    assert done


async def test_a_proof_of_a_card_that_has_changed_meanwhile_does_not_count(database_url: str) -> None:
    async with world(database_url, proves=True) as there:
        agent_id = await there.join()

        async def change() -> None:
            there.cards[HERE] = card_at(HERE, version="2.0.0")
            await there.join()

        await proving(there, agent_id, change)
        row = await there.row(agent_id)
        assert (row.version, row.proof) == ("2.0.0", "pending")
        assert row.proof_due_at <= utc_now(), "it is due again at once"


async def test_a_proof_of_an_agent_that_has_moved_meanwhile_does_not_count(database_url: str) -> None:
    async with world(database_url, proves=True) as there:
        agent_id = await there.join()
        await proving(there, agent_id, partial(moved, there, agent_id))
        row = await there.row(agent_id)
        assert (row.url, row.proof) == (f"{THERE}/", "pending")


async def test_an_agent_that_is_held_is_checked_once_it_is_admitted(database_url: str) -> None:
    """Strangers cost no runs."""
    async with world(database_url, Policy.QUARANTINE, proves=True) as there:
        agent_id = await there.join()
        prover = Prover(there.database, there.http, NO_PUSH, ProofRules(5.0, 86_400.0), utc_now)
        await prover.sweep()
        await prover.wait(agent_id, timeout_s=10)
        assert there.due == []
        assert (await there.row(agent_id)).proof == "pending"
        admit = partial(admit_agent, agent_id=agent_id, now=utc_now(), is_admitted=True)
        await there.database.write(admit)
        await prover.sweep()
        await prover.wait(agent_id, timeout_s=10)
        assert (await there.row(agent_id)).proof == "failed"


# The breaker


async def test_where_agents_are_not_checked_the_breaker_closes_too(database_url: str) -> None:
    """It would stay down for ever: nothing but a call closes it, and an agent that is down gets none."""
    async with world(database_url) as there:
        agent_id = await there.join()
        fail = partial(record, agent_id=agent_id, evidence=Evidence.CALL, ok=False, detail="x", now=utc_now())
        for _ in range(3):
            assert (await there.database.write(fail)) is not None
        assert (await there.row(agent_id)).health == "down"

        async def nothing(_agent_id: str) -> None:
            pass

        deep = DeepProber(
            there.database, nothing, interval_s=None, now=lambda: utc_now() + timedelta(minutes=1)
        )
        await deep.sweep()
        assert (await there.row(agent_id)).health == "degraded", "one step may try it"


# Cards that are never twice the same


async def test_a_card_whose_words_change_each_time_is_not_proven_each_time(database_url: str) -> None:
    async with world(database_url, proves=True) as there:
        agent_id = await there.join()
        await there.database.write(partial(set_agent, agent_id=agent_id, proof="proven", proof_due_at=None))
        there.due.clear()
        late = fetched(card_at(HERE, description="It is 12:01."))
        await there.registry.card_seen(await there.probed(agent_id), late)
        row = await there.row(agent_id)
        assert (row.description, row.proof_due_at, there.due) == ("It is 12:01.", None, [])


async def test_what_a_comparison_does_not_tell_is_kept_too(database_url: str) -> None:
    """A card that is signed anew each time it is served, by a key that nobody here knows."""
    async with world(database_url) as there:
        agent_id = await there.join()
        signed = card_at(HERE, signatures=[{"protected": "e30", "signature": "e30"}])
        await there.registry.card_seen(await there.probed(agent_id), fetched(signed))
        assert (await there.row(agent_id)).card["signatures"] == signed["signatures"]


async def test_two_skills_whose_ids_are_stored_alike_are_one(database_url: str) -> None:
    async with world(database_url) as there:
        [skill] = card_json()["skills"]
        there.cards[HERE] = card_at(HERE, skills=[skill, {**skill, "id": skill["id"] + "\0"}])
        await there.join()
        [(_, skills)] = await there.database.read(list_agents)
        assert [row.skill_id for row in skills] == ["now"]


# Interfaces


@pytest.mark.parametrize("url", [f"{OWN}/", "http://localhost:8000/x", "HTTP://[::1]:8000/"])
async def test_an_interface_that_leads_back_here_is_refused_wherever_it_stands(
    tmp_path: Path, url: str
) -> None:
    """The first one fails its check and the second one is called: tasks that make tasks."""
    async with world(f"sqlite:///{tmp_path}/none.db") as there:
        there.cards[HERE]["supportedInterfaces"].append(
            {"url": url, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"}
        )
        with pytest.raises(CardRejected, match="this coordinator itself"):
            await there.join()


@pytest.mark.parametrize("url", ["http://[", "http://xn--/", "http://a:99999/", "javascript:alert(1)"])
async def test_an_interface_whose_url_is_none_is_refused(tmp_path: Path, url: str) -> None:
    async with world(f"sqlite:///{tmp_path}/none.db") as there:
        there.cards[HERE]["supportedInterfaces"][0]["url"] = url
        with pytest.raises(CardRejected, match="interface URL on its card is not"):
            await there.join()


async def test_a_second_interface_whose_url_is_none_disturbs_nobody(database_url: str) -> None:
    async with world(database_url) as there:
        there.cards[HERE]["supportedInterfaces"].append(
            {"url": "http://[", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"}
        )
        agent_id = await there.join()
        there.cards[HERE] = card_at(HERE)
        assert await there.join() == agent_id


async def test_the_usual_port_makes_no_other_agent(database_url: str) -> None:
    async with world(database_url) as there:
        assert await there.join(f"{HERE}:80") == await there.join()
