"""Who is let in: join tokens, quarantine, changed cards, signatures, agents that move; and the audit log."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a.card_types import AgentCard
from a2a.signing import public_jwk, sign_card
from coordinator.clock import utc_now
from coordinator.health.audit import Actor
from coordinator.registry.admission import Policy
from coordinator.registry.arrival import JoinRules
from coordinator.registry.errors import RegistryBusy
from coordinator.registry.registration import MAX_WAITING, Joining, Registry
from tests.integration.test_api_agents import rpc
from tests.support.changing_agent import ChangingAgent
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.waiting import eventually_now
from tests.unit.card_samples import pem

TOKEN = "a-long-random-word"  # noqa: S105 of a test


@contextmanager
def coordinating(database_url: str, **agents: Any) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(database_url, agents={"join_tokens": TOKEN, **agents})) as running:
        yield running


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with coordinating(database_url) as running:
        yield running


def join(coordinator: Coordinator, url: str, **more: Any) -> httpx.Response:
    return coordinator.http.post("/api/agents", json={"card_url": url, **more})


def served(coordinator: Coordinator) -> tuple[ChangingAgent, str]:
    """An agent behind HTTP that is not registered; and its URL."""
    made: list[ChangingAgent] = []

    def make(url: str) -> ChangingAgent:
        made.append(ChangingAgent(url))
        return made[0]

    url = coordinator.serve_app(make)
    return made[0], url


def agent(coordinator: Coordinator, agent_id: str) -> dict[str, Any]:
    found: dict[str, Any] = coordinator.http.get(f"/api/agents/{agent_id}").json()
    return found


def state(coordinator: Coordinator, agent_id: str) -> str:
    return str(agent(coordinator, agent_id)["health"]["state"])


def kinds(coordinator: Coordinator, agent_id: str) -> list[str]:
    events = coordinator.http.get("/api/agents/events", params={"agent_id": agent_id}).json()["events"]
    return [event["kind"] for event in events]


def text_of(task: dict[str, Any]) -> str:
    return str(task["status"]["message"]["parts"][0]["text"])


# Join tokens


def test_in_quarantine_an_agent_without_a_token_waits_for_an_operator(database_url: str) -> None:
    with coordinating(database_url, admission="quarantine") as coordinator:
        _, url = served(coordinator)
        joined = join(coordinator, url).json()
        assert joined["admission"] == {"state": "held", "held_for": "it joined without a join token"}
        assert joined["health"]["state"] == "quarantined"
        made = coordinator.http.post("/api/tasks", json={"description": "echo hello"}).json()
        assert coordinator.task(made["task_id"])["status"] in ("pending", "planning")

        admitted = coordinator.http.patch(f"/api/agents/{joined['id']}", json={"is_admitted": True}).json()
        assert admitted["health"]["state"] == "up"
        eventually_now(lambda: coordinator.task(made["task_id"])["status"] == "completed", within_s=10)
        assert kinds(coordinator, joined["id"]) == ["agent.registered", "agent.admitted", "agent.health"]


def test_a_join_token_lets_an_agent_in_and_frees_one_that_was_held(database_url: str) -> None:
    with coordinating(database_url, admission="quarantine") as coordinator:
        _, url = served(coordinator)
        assert join(coordinator, url).json()["health"]["state"] == "quarantined"
        assert join(coordinator, url, join_token=TOKEN).json()["health"]["state"] == "up"


@pytest.mark.parametrize("policy", ["open", "quarantine", "token"])
def test_a_wrong_token_is_refused_whatever_is_asked(database_url: str, policy: str) -> None:
    with coordinating(database_url, admission=policy) as coordinator:
        _, url = served(coordinator)
        refused = join(coordinator, url, join_token="another")  # noqa: S106 of a test
        assert (refused.status_code, refused.json()["code"]) == (401, "JOIN_REFUSED")
        operation = {"operation": "register", "agentCardUrl": url, "joinToken": "another"}
        assert "not one of this coordinator's" in text_of(rpc(coordinator, {"data": operation}))
        assert coordinator.http.get("/api/agents").json()["agents"] == []


def test_where_a_token_is_needed_nothing_works_without(database_url: str) -> None:
    with coordinating(database_url, admission="token") as coordinator:
        _, url = served(coordinator)
        assert join(coordinator, url).status_code == 401
        agent_id = join(coordinator, url, join_token=TOKEN).json()["id"]
        beat = f"/api/agents/{agent_id}/heartbeat"
        assert coordinator.http.post(beat, json={}).status_code == 401
        assert coordinator.http.post(beat, json={"join_token": TOKEN}).json()["known"]
        leave = {"operation": "deregister", "agentId": agent_id}
        assert "A join token is needed" in text_of(rpc(coordinator, {"data": leave}))
        assert state(coordinator, agent_id) == "up"


def test_an_operator_holds_an_agent_that_was_admitted(coordinator: Coordinator) -> None:
    _, url = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    held = coordinator.http.patch(f"/api/agents/{agent_id}", json={"is_admitted": False}).json()
    assert held["health"]["state"] == "quarantined"
    assert held["health"]["reason"] == "held: an operator holds it"
    assert join(coordinator, url).json()["health"]["state"] == "quarantined", "it cannot free itself"
    joined = join(coordinator, url, join_token=TOKEN).json()
    assert joined["health"]["state"] == "quarantined", "agents show their token whenever they start"


# Cards that change


def test_a_new_skill_is_taken_in_from_a_probe(coordinator: Coordinator) -> None:
    changing, url = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    changing.card["skills"].append({**changing.card["skills"][0], "id": "shout", "name": "Shout"})
    eventually_now(lambda: len(agent(coordinator, agent_id)["skills"]) == 2, within_s=10)
    assert state(coordinator, agent_id) == "up"
    [event] = [
        event
        for event in coordinator.http.get("/api/agents/events").json()["events"]
        if event["kind"] == "agent.card_changed"
    ]
    assert event["data"]["harmless"] == ["new skills: shout"]
    assert event["actor"] == "coordinator"


def test_a_card_that_sends_calls_to_another_server_puts_the_agent_into_quarantine(
    coordinator: Coordinator,
) -> None:
    changing, url = served(coordinator)
    _, elsewhere = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    for interface in changing.card["supportedInterfaces"]:
        interface["url"] = elsewhere
    eventually_now(lambda: state(coordinator, agent_id) == "quarantined", within_s=10)
    assert f"another server: {elsewhere}" in agent(coordinator, agent_id)["admission"]["held_for"]

    assert join(coordinator, url).json()["health"]["state"] == "quarantined"
    assert join(coordinator, url, join_token=TOKEN).json()["health"]["state"] == "up"


def test_a_card_with_other_security_puts_the_agent_into_quarantine(coordinator: Coordinator) -> None:
    changing, url = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    changing.card["securitySchemes"] = {"key": {"httpAuthSecurityScheme": {"scheme": "bearer"}}}
    joined = join(coordinator, url).json()
    assert joined["id"] == agent_id
    assert "who they are" in joined["admission"]["held_for"]
    freed = coordinator.http.patch(f"/api/agents/{agent_id}", json={"is_admitted": True}).json()
    assert freed["health"]["state"] == "up"
    assert join(coordinator, url).json()["health"]["state"] == "up", "what was approved is no news any more"


def test_a_card_that_cannot_be_used_any_more_counts_as_a_failed_probe(coordinator: Coordinator) -> None:
    changing, url = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    changing.card["skills"] = []
    eventually_now(lambda: state(coordinator, agent_id) == "down", within_s=15)
    assert "lists no skills" in agent(coordinator, agent_id)["health"]["reason"]


# Addresses


def test_a_card_that_names_a_port_where_nothing_answers_is_told_so(coordinator: Coordinator) -> None:
    changing, url = served(coordinator)
    for interface in changing.card["supportedInterfaces"]:
        interface["url"] = "http://127.0.0.1:9"
    refused = join(coordinator, url)
    assert (refused.status_code, refused.json()["code"]) == (422, "CARD_REJECTED")
    assert "http://127.0.0.1:9, where nothing answers" in refused.json()["detail"]
    assert "AGENT_URL" in refused.json()["detail"]


def test_an_agent_that_has_moved_keeps_its_id(coordinator: Coordinator) -> None:
    with ExitStack() as there:
        old = Coordinator(coordinator.url, there)
        _, old_url = served(old)
        agent_id = join(coordinator, old_url).json()["id"]
        _, new_url = served(coordinator)
        still = join(coordinator, new_url, agent_id=agent_id)
        assert (still.status_code, still.json()["code"]) == (422, "CARD_REJECTED")
        assert "still answers at its old URL" in still.json()["detail"]
    moved = join(coordinator, new_url, agent_id=agent_id).json()
    assert moved["id"] == agent_id
    assert moved["url"] == new_url
    assert moved["health"]["state"] == "up"
    assert "agent.moved" in kinds(coordinator, agent_id)
    assert len(coordinator.http.get("/api/agents").json()["agents"]) == 1


def test_where_strangers_are_quarantined_a_move_needs_a_token_or_an_operator(database_url: str) -> None:
    with coordinating(database_url, admission="quarantine") as coordinator:
        with ExitStack() as there:
            _, old_url = served(Coordinator(coordinator.url, there))
            agent_id = join(coordinator, old_url, join_token=TOKEN).json()["id"]
        _, new_url = served(coordinator)
        stranger = join(coordinator, new_url, agent_id=agent_id).json()
        assert stranger["id"] != agent_id, "who only says so does not get the agent's id and its work"
        assert stranger["admission"]["held_for"] == "it joined without a join token"
        assert agent(coordinator, agent_id)["url"] == old_url
        assert agent(coordinator, agent_id)["admission"]["state"] == "admitted"
        moved = join(coordinator, served(coordinator)[1], agent_id=agent_id, join_token=TOKEN).json()
        assert (moved["id"], moved["health"]["state"]) == (agent_id, "up")


def test_an_operator_moves_an_agent(coordinator: Coordinator) -> None:
    _, old_url = served(coordinator)
    agent_id = join(coordinator, old_url).json()["id"]
    _, new_url = served(coordinator)
    moved = coordinator.http.patch(f"/api/agents/{agent_id}", json={"card_url": new_url}).json()
    assert (moved["id"], moved["url"], moved["health"]["state"]) == (agent_id, new_url, "up")


# Signatures


def signed(card: dict[str, Any]) -> dict[str, Any]:
    return sign_card(AgentCard.model_validate(card), pem("ES256"), kid="ours", alg="ES256").to_json()


@pytest.fixture
def trusted_keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [public_jwk(pem("ES256"), kid="ours", alg="ES256")]}))
    return path


def test_where_signatures_are_required_only_trusted_keys_count(database_url: str, trusted_keys: Path) -> None:
    settings = {"require_signature": True, "trusted_keys_file": trusted_keys}
    with coordinating(database_url, **settings) as coordinator:
        changing, url = served(coordinator)
        assert "the card has no signature" in join(coordinator, url).json()["detail"]
        changing.card = signed(changing.card)
        assert join(coordinator, url).json()["signed_by"] == "ours"


def test_a_signature_that_does_not_match_its_card_is_always_refused(
    database_url: str, trusted_keys: Path
) -> None:
    with coordinating(database_url, trusted_keys_file=trusted_keys) as coordinator:
        changing, url = served(coordinator)
        changing.card = {**signed(changing.card), "description": "Another one."}
        assert "does not match" in join(coordinator, url).json()["detail"]


def test_a_card_that_loses_its_signature_puts_the_agent_into_quarantine(
    database_url: str, trusted_keys: Path
) -> None:
    with coordinating(database_url, trusted_keys_file=trusted_keys) as coordinator:
        changing, url = served(coordinator)
        plain, changing.card = changing.card, signed(changing.card)
        agent_id = join(coordinator, url).json()["id"]
        changing.card = plain
        eventually_now(lambda: state(coordinator, agent_id) == "quarantined", within_s=10)
        assert "signed by ours" in agent(coordinator, agent_id)["admission"]["held_for"]


# Operators


def test_a_drain_lasts_until_the_operator_ends_it(coordinator: Coordinator) -> None:
    _, url = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    drained = coordinator.http.patch(f"/api/agents/{agent_id}", json={"is_drained": True}).json()
    assert drained["health"]["state"] == "draining"
    assert join(coordinator, url).json()["health"]["state"] == "draining"
    assert coordinator.http.post(f"/api/agents/{agent_id}/heartbeat", json={}).json()["known"]
    undrained = coordinator.http.patch(f"/api/agents/{agent_id}", json={"is_drained": False}).json()
    assert undrained["health"]["state"] == "up"


def test_the_audit_log_is_read_on_from_where_one_was(coordinator: Coordinator) -> None:
    _, url = served(coordinator)
    agent_id = join(coordinator, url).json()["id"]
    first = coordinator.http.get("/api/agents/events").json()["events"]
    coordinator.http.delete(f"/api/agents/{agent_id}")
    after = {"after": first[-1]["id"]}
    later = coordinator.http.get("/api/agents/events", params=after).json()["events"]
    assert [(event["kind"], event["actor"]) for event in later] == [("agent.removed", "operator")]


# Many, and the same


def test_two_agents_with_one_name_are_two_agents(coordinator: Coordinator) -> None:
    ids = {join(coordinator, served(coordinator)[1]).json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert coordinator.run(description="echo hello")["status"] == "completed"


def test_a_registry_that_is_full_says_so(database_url: str) -> None:
    with coordinating(database_url, max_agents=1) as coordinator:
        assert join(coordinator, served(coordinator)[1]).status_code == 201
        refused = join(coordinator, served(coordinator)[1])
        assert (refused.status_code, refused.json()["code"]) == (503, "REGISTRY_FULL")


def test_a_heartbeat_for_an_unknown_id_is_answered_and_keeps_nothing(coordinator: Coordinator) -> None:
    for number in range(50):
        answer = coordinator.http.post(f"/api/agents/agent_{number}/heartbeat", json={}).json()
        assert not answer["known"]
    assert coordinator.http.get("/api/agents").json()["agents"] == []


async def test_more_registrations_than_may_wait_are_sent_away() -> None:
    held = asyncio.Event()

    async def hang(_request: httpx.Request) -> httpx.Response:
        await held.wait()
        return httpx.Response(404)

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as http:
        registry = Registry(
            None,  # type: ignore[arg-type]  # nobody gets that far
            http,
            JoinRules(Policy.OPEN, 10, proves=False),
            None,  # type: ignore[arg-type]
            tokens=[],
            own_url="http://127.0.0.1:8000",
            proof_due=lambda _: None,
            now=utc_now,
        )
        joining = [
            asyncio.create_task(registry.register(Joining(f"http://127.0.0.1:{port}", Actor.AGENT)))
            for port in range(10_000, 10_000 + MAX_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(RegistryBusy):
            await registry.register(Joining("http://127.0.0.1:9999", Actor.AGENT))
        for task in joining:
            task.cancel()
        await asyncio.gather(*joining, return_exceptions=True)
