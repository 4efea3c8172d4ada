"""Agent cards of 0.3 and 0.2 as 1.0 cards, and 1.0 cards with the keys of 0.3."""

from typing import Any

import pytest
from pydantic import ValidationError

from a2a.card_types import AgentCard
from a2a.compat.card import card_from_v03, card_to_v03, dual_card, is_legacy, is_v03_card, major_minor
from a2a.compat.reading import ShapeError

Json = dict[str, Any]

SCHEMES: dict[str, tuple[Json, Json]] = {
    "key": (
        {"type": "apiKey", "in": "header", "name": "X-Key"},
        {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
    ),
    "http": (
        {"type": "http", "scheme": "Bearer", "bearerFormat": "JWT", "description": "d"},
        {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT", "description": "d"}},
    ),
    "oauth": (
        {
            "type": "oauth2",
            "oauth2MetadataUrl": "https://id.example/meta",
            "flows": {
                "clientCredentials": {"tokenUrl": "https://id.example/token", "scopes": {"read": "reads"}}
            },
        },
        {
            "oauth2SecurityScheme": {
                "oauth2MetadataUrl": "https://id.example/meta",
                "flows": {
                    "clientCredentials": {"tokenUrl": "https://id.example/token", "scopes": {"read": "reads"}}
                },
            }
        },
    ),
    "oidc": (
        {"type": "openIdConnect", "openIdConnectUrl": "https://id.example"},
        {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://id.example"}},
    ),
    "mtls": ({"type": "mutualTLS", "description": "d"}, {"mtlsSecurityScheme": {"description": "d"}}),
}
CARD_V03: Json = {
    "protocolVersion": "0.3.0",
    "name": "Counter",
    "description": "Counts.",
    "version": "1.2.3",
    "url": "https://a.example/rpc",
    "preferredTransport": "JSONRPC",
    "additionalInterfaces": [
        {"url": "https://a.example/rpc", "transport": "JSONRPC"},
        {"url": "https://a.example/rest", "transport": "HTTP+JSON"},
    ],
    "capabilities": {
        "streaming": True,
        "pushNotifications": False,
        "extensions": [{"uri": "https://x.example/ext", "required": False}],
    },
    "supportsAuthenticatedExtendedCard": True,
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["application/json"],
    "skills": [
        {
            "id": "count",
            "name": "Count",
            "description": "Counts words.",
            "tags": ["words"],
            "examples": ["count this"],
            "inputModes": ["text/plain"],
            "outputModes": ["application/json"],
            "security": [{"http": []}],
        }
    ],
    "provider": {"organization": "Us", "url": "https://us.example"},
    "documentationUrl": "https://a.example/docs",
    "iconUrl": "https://a.example/icon.png",
    "securitySchemes": {name: old for name, (old, _) in SCHEMES.items()},
    "security": [{"oauth": ["read"], "key": []}, {"mtls": []}],
}
CARD: Json = {
    "name": "Counter",
    "description": "Counts.",
    "version": "1.2.3",
    "supportedInterfaces": [
        {"url": "https://a.example/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        {"url": "https://a.example/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "0.3"},
    ],
    "capabilities": {
        "streaming": True,
        "pushNotifications": False,
        "extendedAgentCard": True,
        "extensions": [{"uri": "https://x.example/ext", "required": False}],
    },
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["application/json"],
    "skills": [
        {
            "id": "count",
            "name": "Count",
            "description": "Counts words.",
            "tags": ["words"],
            "examples": ["count this"],
            "inputModes": ["text/plain"],
            "outputModes": ["application/json"],
            "securityRequirements": [{"schemes": {"http": {"list": []}}}],
        }
    ],
    "provider": {"organization": "Us", "url": "https://us.example"},
    "documentationUrl": "https://a.example/docs",
    "iconUrl": "https://a.example/icon.png",
    "securitySchemes": {name: new for name, (_, new) in SCHEMES.items()},
    "securityRequirements": [
        {"schemes": {"oauth": {"list": ["read"]}, "key": {"list": []}}},
        {"schemes": {"mtls": {"list": []}}},
    ],
}
BARE: Json = {
    "name": "a",
    "description": "d",
    "version": "1",
    "url": "https://a.example",
    "capabilities": {},
    "defaultInputModes": ["text"],
    "defaultOutputModes": ["text", "text/plain"],
    "skills": [{"id": "s", "name": "s", "description": "d"}],
}


def test_a_card_is_translated_both_ways() -> None:
    assert card_from_v03(CARD_V03) == CARD
    assert card_to_v03(CARD) == CARD_V03


def test_a_translated_card_is_a_valid_1_0_card() -> None:
    card = AgentCard.model_validate(card_from_v03(CARD_V03))
    assert [item.protocol_version for item in card.supported_interfaces] == ["0.3", "0.3"]


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (CARD_V03, True),
        (BARE, True),
        (CARD, False),
        (dual_card(CARD), False),
        ({**BARE, "supportedInterfaces": []}, True),
        ({}, False),
        ([], False),
        (None, False),
        ("card", False),
    ],
)
def test_a_0_3_card_is_known_by_its_keys(card: object, expected: bool) -> None:
    assert is_v03_card(card) is expected


def test_a_dual_card_is_read_by_its_supported_interfaces() -> None:
    dual = dual_card(CARD)
    assert card_from_v03(dual) is dual
    read = AgentCard.model_validate(dual).to_json()
    assert read == AgentCard.model_validate(CARD).to_json()


def test_a_dual_card_has_the_keys_of_both() -> None:
    dual = dual_card(CARD)
    assert dual.keys() == CARD.keys() | CARD_V03.keys()
    assert dual["securitySchemes"]["key"] == SCHEMES["key"][0] | SCHEMES["key"][1]
    assert dual["skills"][0].keys() >= {"security", "securityRequirements"}


def test_only_the_old_interfaces_are_in_the_old_keys() -> None:
    new = {"url": "https://a.example/new", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    card = card_to_v03({**CARD, "supportedInterfaces": [new, *CARD["supportedInterfaces"]]})
    assert card["url"] == "https://a.example/rpc"
    assert new["url"] not in [item["url"] for item in card["additionalInterfaces"]]


def test_a_card_without_an_old_interface_has_no_old_keys() -> None:
    new = {"url": "https://a.example/new", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    with pytest.raises(ShapeError):
        card_to_v03({**CARD, "supportedInterfaces": [new]})


def test_a_bare_0_2_card_is_a_json_rpc_agent() -> None:
    card = card_from_v03({**BARE, "protocolVersion": "0.2.5"})
    assert card["supportedInterfaces"] == [
        {"url": "https://a.example", "protocolBinding": "JSONRPC", "protocolVersion": "0.2"}
    ]
    assert is_legacy(card["supportedInterfaces"][0]["protocolVersion"])
    assert card["defaultInputModes"] == card["defaultOutputModes"] == ["text/plain"]
    assert card["skills"][0]["tags"] == []
    AgentCard.model_validate(card)


def test_the_preferred_interface_comes_first_and_none_twice() -> None:
    card = card_from_v03(
        {
            **BARE,
            "preferredTransport": "HTTP+JSON",
            "additionalInterfaces": [
                {"url": "https://a.example/rpc", "transport": "JSONRPC"},
                {"url": "https://a.example", "transport": "HTTP+JSON"},
            ],
        }
    )
    pairs = [(item["url"], item["protocolBinding"]) for item in card["supportedInterfaces"]]
    assert pairs == [("https://a.example", "HTTP+JSON"), ("https://a.example/rpc", "JSONRPC")]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.3.0", "0.3"),
        ("0.3", "0.3"),
        ("0.2.6", "0.2"),
        ("1.0.1", "1.0"),
        (None, "0.3"),
        ("new", "0.3"),
        (3, "0.3"),
    ],
)
def test_of_a_version_major_and_minor_count(version: object, expected: str) -> None:
    assert major_minor(version) == expected


def test_half_a_provider_is_none() -> None:
    assert "provider" not in card_from_v03({**BARE, "provider": {"organization": "Us"}})


def test_the_proto_form_of_security_is_read() -> None:
    card = card_from_v03(
        {**BARE, "securitySchemes": CARD["securitySchemes"], "security": CARD["securityRequirements"]}
    )
    assert card["securitySchemes"] == CARD["securitySchemes"]
    assert card["securityRequirements"] == CARD["securityRequirements"]


def test_of_several_flows_one_is_kept() -> None:
    code = {"authorizationUrl": "https://id.example", "tokenUrl": "https://id.example/t", "scopes": {}}
    flows = {"implicit": {"authorizationUrl": "https://id.example", "scopes": {}}, "authorizationCode": code}
    card = card_from_v03({**BARE, "securitySchemes": {"o": {"type": "oauth2", "flows": flows}}})
    assert card["securitySchemes"]["o"]["oauth2SecurityScheme"]["flows"] == {"authorizationCode": code}


def test_a_scheme_of_an_unknown_type_is_left_out() -> None:
    assert card_from_v03({**BARE, "securitySchemes": {"x": {"type": "magic"}}})["securitySchemes"] == {}


@pytest.mark.parametrize(
    "broken",
    [
        {"url": 5},
        {"additionalInterfaces": "x"},
        {"additionalInterfaces": [1]},
        {"additionalInterfaces": [{"url": ["x"], "transport": {}}]},
        {"capabilities": "streaming"},
        {"skills": {"a": 1}},
        {"skills": [None]},
        {"defaultInputModes": "text"},
        {"defaultInputModes": [["text"]]},
        {"security": [["x"]]},
        {"security": [{"x": "scope"}]},
        {"securitySchemes": []},
        {"securitySchemes": {"x": "apiKey"}},
        {"securitySchemes": {"x": {"type": "oauth2"}}},
        {"securitySchemes": {"x": {"type": "oauth2", "flows": {}}}},
    ],
)
def test_a_broken_card_is_refused_with_its_field(broken: Json) -> None:
    with pytest.raises(ShapeError):
        card_from_v03({**BARE, **broken})


@pytest.mark.parametrize("broken", [{"name": None}, {"skills": [{"id": 1}]}, {"version": {}}])
def test_a_card_that_lacks_what_it_needs_is_refused_by_the_model(broken: Json) -> None:
    with pytest.raises(ValidationError):
        AgentCard.model_validate(card_from_v03({**BARE, **broken}))
