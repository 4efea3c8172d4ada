"""The agent card: what a stranger's may look like, and what we send."""

from typing import Any

import pytest
from pydantic import ValidationError

from a2a.card_types import AgentCard, OAuthFlows, SecurityScheme
from tests.unit.card_samples import card_json

REQUIRED = (
    "name",
    "description",
    "supportedInterfaces",
    "version",
    "capabilities",
    "defaultInputModes",
    "defaultOutputModes",
    "skills",
)
SCHEMES: dict[str, dict[str, Any]] = {
    "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key", "description": "ask us"}},
    "basic": {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT"}},
    "oidc": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://id.example/.well-known"}},
    "mtls": {"mtlsSecurityScheme": {}},
    "oauth": {
        "oauth2SecurityScheme": {
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": "https://id.example/authorize",
                    "tokenUrl": "https://id.example/token",
                    "refreshUrl": "https://id.example/refresh",
                    "scopes": {"read": "Read all"},
                    "pkceRequired": True,
                }
            },
            "oauth2MetadataUrl": "https://id.example/metadata",
        }
    },
}
FLOWS: list[dict[str, Any]] = [
    {"clientCredentials": {"tokenUrl": "https://id.example/token", "scopes": {}}},
    {
        "deviceCode": {
            "deviceAuthorizationUrl": "https://id.example/device",
            "tokenUrl": "https://id.example/token",
            "scopes": {"read": "Read all"},
        }
    },
    {"implicit": {"authorizationUrl": "https://id.example/authorize", "scopes": {"read": ""}}},
    {"password": {"tokenUrl": "https://id.example/token"}},
]


def snake(value: Any) -> Any:
    """The same JSON with the proto's field names; the names in maps stay."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {"".join(f"_{c.lower()}" if c.isupper() else c for c in k): snake(v) for k, v in value.items()}


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_card_without_a_required_field_is_refused(missing: str) -> None:
    """4.4.1"""
    card = card_json()
    del card[missing]

    with pytest.raises(ValidationError):
        AgentCard.model_validate(card)


def test_a_card_without_an_interface_is_refused() -> None:
    with pytest.raises(ValidationError):
        AgentCard.model_validate(card_json(supportedInterfaces=[]))


@pytest.mark.parametrize("name", SCHEMES)
def test_each_security_scheme_reads_back_as_it_was_sent(name: str) -> None:
    """4.5"""
    card = card_json(securitySchemes={name: SCHEMES[name]})

    assert AgentCard.model_validate(card).to_json() == card


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: next(iter(flow)))
def test_each_oauth_flow_reads_back_as_it_was_sent(flow: dict[str, Any]) -> None:
    assert OAuthFlows.model_validate(flow).to_json() == flow


def test_requirements_name_schemes_and_their_scopes() -> None:
    required = [{"schemes": {"oauth": {"list": ["read"]}, "key": {}}}, {}]
    card = card_json(securityRequirements=required)
    card["skills"][0]["securityRequirements"] = required

    assert AgentCard.model_validate(card).to_json() == card


def test_signatures_read_back_as_they_were_sent() -> None:
    card = card_json(signatures=[{"protected": "e30", "signature": "AAAA", "header": {"n": None}}])

    assert AgentCard.model_validate(card).to_json() == card


def test_the_protos_names_are_read_at_every_depth() -> None:
    """ProtoJSON parsers take both."""
    card = card_json(
        securitySchemes=SCHEMES, securityRequirements=[{"schemes": {"oauth": {"list": ["read"]}}}]
    )

    assert AgentCard.model_validate(snake(card)).to_json() == card


def test_null_is_the_same_as_absent() -> None:
    optional = ("provider", "documentationUrl", "iconUrl", "securitySchemes", "securityRequirements")
    nulls = dict.fromkeys((*optional, "signatures"))
    card = card_json(**nulls, capabilities={"streaming": None, "extensions": None})
    card["skills"][0] |= {"examples": None, "inputModes": None, "securityRequirements": None}
    card["supportedInterfaces"][0]["tenant"] = None

    assert AgentCard.model_validate(card).to_json() == card_json(capabilities={})


def test_null_inside_the_parameters_of_an_extension_stays() -> None:
    extension = {"uri": "https://x.example/v1", "params": {"a": None, "b": [None]}}
    card = card_json(capabilities={"extensions": [extension]})

    assert AgentCard.model_validate(card).to_json() == card


@pytest.mark.parametrize("scheme", [{}, {"tokenBindingSecurityScheme": {"x": 1}}, {"type": "apiKey"}])
def test_a_scheme_of_an_unknown_kind_does_not_spoil_the_card(scheme: dict[str, Any]) -> None:
    card = AgentCard.model_validate(card_json(securitySchemes={"new": scheme, "key": SCHEMES["key"]}))

    assert card.security_schemes is not None
    assert card.security_schemes["new"] == SecurityScheme()
    assert card.security_schemes["key"].to_json() == SCHEMES["key"]


def test_a_scheme_of_two_kinds_is_refused() -> None:
    with pytest.raises(ValidationError, match="only one kind"):
        SecurityScheme.model_validate(SCHEMES["key"] | SCHEMES["basic"])


def test_a_key_that_travels_nowhere_we_know_is_refused() -> None:
    with pytest.raises(ValidationError):
        SecurityScheme.model_validate({"apiKeySecurityScheme": {"location": "body", "name": "k"}})


@pytest.mark.parametrize(
    "flood",
    [
        {"securitySchemes": {str(number): {} for number in range(51)}},
        {"securityRequirements": [{}] * 51},
        {"securityRequirements": [{"schemes": {"k": {"list": ["s"] * 201}}}]},
        {"signatures": [{"protected": "", "signature": ""}] * 21},
        {"signatures": [{"protected": "", "signature": "A" * 16_001}]},
    ],
    ids=["schemes", "requirements", "scopes", "signatures", "signature"],
)
def test_a_flood_is_refused(flood: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentCard.model_validate(card_json(**flood))
