"""Which fields of a card an operator has to look at when they change, and which may."""

from typing import Any

import pytest

from a2a.card_types import AgentCard
from coordinator.registry.drift import Drift, drift_between
from tests.unit.card_samples import card_json

HERE = {"url": "https://weather.example/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
SKILL = card_json()["skills"][0]


def drift(**changes: Any) -> Drift:
    old, new = AgentCard.model_validate(card_json()), AgentCard.model_validate(card_json(**changes))
    return drift_between(old, new, old_signer=None, new_signer=None)


def test_a_card_that_is_the_same_has_not_changed() -> None:
    assert not drift()


@pytest.mark.parametrize(
    "changes",
    [
        {"supportedInterfaces": [HERE, {**HERE, "url": "https://other.example/"}]},
        {"supportedInterfaces": [HERE, {**HERE, "url": "http://weather.example/"}]},
        {"supportedInterfaces": [HERE, {**HERE, "protocolBinding": "GRPC", "url": "other.example:443"}]},
        {"securitySchemes": {"key": {"mtlsSecurityScheme": {}}}},
        {"securityRequirements": [{"schemes": {"key": {}}}]},
        {"skills": [{**SKILL, "securityRequirements": [{"schemes": {"key": {}}}]}]},
    ],
)
def test_what_an_operator_has_to_look_at(changes: dict[str, Any]) -> None:
    assert drift(**changes).structural


@pytest.mark.parametrize(
    ("changes", "is_of_words"),
    [
        ({"description": "It is 12:01."}, True),
        ({"documentationUrl": "https://weather.example/docs"}, True),
        ({"iconUrl": "https://weather.example/icon"}, True),
        ({"version": "1.3.0"}, False),
        ({"defaultInputModes": ["text/csv"]}, False),
        ({"defaultOutputModes": ["text/csv"]}, False),
        ({"capabilities": {"streaming": False, "extendedAgentCard": True}}, False),
        ({"supportedInterfaces": [{**HERE, "tenant": "another"}]}, False),
        ({"skills": [{**SKILL, "description": "The weather then."}]}, False),
        ({"skills": [SKILL, {**SKILL, "id": "then"}]}, False),
        ({"supportedInterfaces": [HERE, {**HERE, "url": "http://["}]}, False),
    ],
)
def test_what_may_change(changes: dict[str, Any], *, is_of_words: bool) -> None:
    changed = drift(**changes)
    assert changed.harmless
    assert not changed.structural
    assert changed.is_of_words is is_of_words
