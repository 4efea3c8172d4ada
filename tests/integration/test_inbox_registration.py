"""How agents join that bring their card: over REST, and by an A2A message."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a2a.registration import answered_data
from a2a.requests import SendMessageResponse
from tests.support.coordinator import Coordinator, echo_agent, running_coordinator, settings_for
from tests.support.databases import copy_sqlite
from tests.support.inbox_visitor import Visitor, card
from tests.support.task_api import problem

Json = dict[str, Any]

SECRET = {"inbox_secret": "x"}
TOKEN = {"join_token": "open-sesame"}


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


def register(coordinator: Coordinator, **body: Any) -> Any:
    return coordinator.http.post("/api/agents", json=body)


def agent(coordinator: Coordinator, agent_id: str) -> Json:
    found: Json = coordinator.http.get(f"/api/agents/{agent_id}").json()
    return found


def ask(coordinator: Coordinator, operation: Json) -> Any:
    message = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"data": operation}]}
    response = coordinator.http.post(
        "/",
        json={"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}},
        headers={"A2A-Version": "1.0"},
    )
    answer = SendMessageResponse.model_validate(response.json()["result"])
    said = answer.task or answer.message
    assert said is not None
    return answered_data(said)


def test_who_cannot_be_called_is_not_checked_where_others_are(database_url: str) -> None:
    with running_coordinator(settings_for(database_url, agents={"prove": True})) as strict:
        found = agent(strict, Visitor(strict.http).id)

    assert (found["health"]["state"], found["proof"]) == ("up", "waived")


def test_a_card_is_taken_as_it_is_brought(coordinator: Coordinator) -> None:
    visitor = Visitor(coordinator.http, "dream", "snore")

    found = agent(coordinator, visitor.id)

    assert [skill["id"] for skill in found["skills"]] == ["dream", "snore"]
    assert (found["url"], found["binding"]) == (f"inbox:{visitor.id}", "urn:parley:mailbox:v1")
    assert visitor.joined["inbox_url"].endswith(f"/api/agents/{visitor.id}/inbox")
    assert "inbox_secret" not in found


def test_with_its_secret_an_agent_changes_its_card_and_stays_who_it_is(coordinator: Coordinator) -> None:
    visitor = Visitor(coordinator.http)

    changed = register(
        coordinator, card=card("Sleeper", "yawn"), agent_id=visitor.id, inbox_secret=visitor.secret
    ).json()

    assert (changed["id"], changed["inbox_secret"]) == (visitor.id, None)
    assert [skill["id"] for skill in changed["skills"]] == ["yawn"]
    assert visitor.visit(wait_s=0) == {"requests": [], "canceled": []}


@pytest.mark.parametrize("secret", [None, "wrong"])
def test_without_its_secret_nobody_becomes_an_agent(coordinator: Coordinator, secret: str | None) -> None:
    visitor = Visitor(coordinator.http)
    taken = register(coordinator, card=card(), agent_id=visitor.id, inbox_secret=secret)
    assert problem(taken) == (401, "INBOX_REFUSED")


def test_an_agent_that_is_called_cannot_be_taken_by_a_card(coordinator: Coordinator) -> None:
    taken = register(coordinator, card=card(), agent_id=coordinator.add_agent(echo_agent), **SECRET)
    assert problem(taken) == (401, "INBOX_REFUSED")


def test_an_agent_with_an_inbox_cannot_be_taken_by_a_url(coordinator: Coordinator) -> None:
    visitor = Visitor(coordinator.http)
    url = agent(coordinator, coordinator.add_agent(echo_agent))["card_url"]
    other = url.replace("127.0.0.1", "localhost")

    taken = register(coordinator, card_url=other, agent_id=visitor.id)

    assert problem(taken) == (422, "CARD_REJECTED")
    assert agent(coordinator, visitor.id)["binding"] == "urn:parley:mailbox:v1"


def test_who_has_an_id_that_is_unknown_here_joins_as_a_new_agent(coordinator: Coordinator) -> None:
    joined = register(coordinator, card=card(), agent_id="agent_of_old", **SECRET).json()
    assert joined["id"] != "agent_of_old"
    assert joined["inbox_secret"]


def test_it_joins_by_a_message_too(coordinator: Coordinator) -> None:
    joined = ask(coordinator, {"operation": "register", "agentCard": card()})
    again = {"agentId": joined["agentId"], "inboxSecret": joined["inboxSecret"]}

    same = ask(coordinator, {"operation": "register", "agentCard": card(), **again})

    assert same["agentId"] == joined["agentId"]
    assert same["inboxUrl"] == joined["inboxUrl"]
    assert "inboxSecret" not in same


def test_a_removed_agent_gets_nothing_until_somebody_brings_it_back(coordinator: Coordinator) -> None:
    visitor = Visitor(coordinator.http)
    coordinator.http.delete(f"/api/agents/{visitor.id}")

    assert problem(visitor.post(wait_s=0)) == (404, "AGENT_NOT_FOUND")
    back = register(coordinator, card=card(), agent_id=visitor.id, inbox_secret=visitor.secret)

    assert (back.status_code, back.json()["id"]) == (201, visitor.id)


@pytest.mark.parametrize(
    "body", [{}, {"card": card(), "card_url": "http://127.0.0.1:1"}], ids=["none", "both"]
)
def test_a_registration_has_a_card_or_a_url(coordinator: Coordinator, body: Json) -> None:
    assert problem(register(coordinator, **body)) == (422, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    "change",
    [{"skills": []}, {"name": None}, {"description": "x" * 300_000}, {"skills": "many"}],
    ids=["no skills", "no name", "too large", "wrong type"],
)
def test_a_card_that_cannot_be_used_is_refused(coordinator: Coordinator, change: Json) -> None:
    assert problem(register(coordinator, card=card() | change)) == (422, "CARD_REJECTED")


def test_where_a_join_token_is_needed_a_card_needs_it_too(tmp_path: Path, sqlite_template: Path) -> None:
    rules = {"admission": "token", "join_tokens": TOKEN["join_token"]}
    with running_coordinator(settings_for(copy_sqlite(sqlite_template, tmp_path), agents=rules)) as strict:
        assert problem(register(strict, card=card())) == (401, "JOIN_REFUSED")
        assert register(strict, card=card(), **TOKEN).status_code == 201
