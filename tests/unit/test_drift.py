"""Which changes of a card are harmless, and which make another agent of it."""

from typing import Any

import pytest

from a2a.card_types import AgentCard
from coordinator.registry.drift import Drift, drift_between
from tests.unit.card_samples import card_json


def card(**changes: Any) -> AgentCard:
    return AgentCard.model_validate(card_json(**changes))


def drift(new: AgentCard, *, old_signer: str | None = None, new_signer: str | None = None) -> Drift:
    return drift_between(card(), new, old_signer=old_signer, new_signer=new_signer)


def test_the_same_card_has_not_changed() -> None:
    assert not drift(card())


@pytest.mark.parametrize("field", ["name", "description", "version"])
def test_texts_may_change(field: str) -> None:
    found = drift(card(**{field: "Another"}))
    assert found.structural == ()
    assert found.harmless == (f"changed: {field}",)


def test_skills_may_come_and_go_and_are_named() -> None:
    [skill, *_] = card_json()["skills"]
    found = drift(card(skills=[{**skill, "id": "new"}]))
    assert found.structural == ()
    assert "new skills: new" in found.harmless


def test_another_server_is_structural_and_another_path_is_not() -> None:
    [interface, *_] = card_json()["supportedInterfaces"]
    elsewhere = drift(card(supportedInterfaces=[{**interface, "url": "https://elsewhere.example/a2a"}]))
    assert elsewhere.structural == ("its card says to call another server: https://elsewhere.example",)
    moved = drift(card(supportedInterfaces=[{**interface, "url": interface["url"].rstrip("/") + "/v2"}]))
    assert moved.structural == ()


def test_a_server_less_is_harmless() -> None:
    [interface, *_] = card_json()["supportedInterfaces"]
    other = {**interface, "url": "https://elsewhere.example"}
    two = card(supportedInterfaces=[interface, other])
    found = drift_between(two, card(supportedInterfaces=[interface]), old_signer=None, new_signer=None)
    assert found.structural == ()


def test_security_is_structural() -> None:
    scheme = {"key": {"httpAuthSecurityScheme": {"scheme": "bearer"}}}
    assert drift(card(securitySchemes=scheme)).structural == (
        "it has changed how its callers have to say who they are",
    )


@pytest.mark.parametrize(("new_signer", "is_structural"), [("ours", False), ("other", True), (None, True)])
def test_the_signer_has_to_stay(new_signer: str | None, *, is_structural: bool) -> None:
    assert bool(drift(card(), old_signer="ours", new_signer=new_signer).structural) is is_structural


def test_a_first_signature_is_welcome() -> None:
    assert drift(card(), new_signer="ours") == Drift(harmless=("its card is now signed by ours",))


def test_a_moved_agent_may_be_called_elsewhere() -> None:
    [interface, *_] = card_json()["supportedInterfaces"]
    there = card(supportedInterfaces=[{**interface, "url": "https://elsewhere.example"}])
    found = drift_between(card(), there, old_signer=None, new_signer=None, may_move=True)
    assert found.structural == ()
