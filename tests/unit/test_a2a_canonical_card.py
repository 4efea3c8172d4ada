"""The bytes of an agent card that a signature covers (specification 8.4.1, RFC 8785)."""

import json
from typing import Any

import pytest

from a2a.signing import CardSignatureInvalid, Refusal, canonical_card
from tests.unit.card_samples import card_json


def extension_bytes(params: Any) -> str:
    """The canonical form of a value that travels in an extension."""
    extensions = [{"uri": "u", "params": {"v": params}}]
    text = canonical_card(card_json(capabilities={"extensions": extensions})).decode()
    return text.partition('"params":{"v":')[2].partition('},"uri":"u"}')[0]


def test_the_worked_example_of_the_specification_comes_out() -> None:
    """8.4.1"""
    card = card_json(
        description="",
        capabilities={"streaming": False, "pushNotifications": False, "extensions": []},
        skills=[],
    )

    assert canonical_card(card) == (
        b'{"capabilities":{"pushNotifications":false,"streaming":false},'
        b'"defaultInputModes":["text/plain"],"defaultOutputModes":["text/plain"],"description":"",'
        b'"name":"Weather","skills":[],"supportedInterfaces":[{"protocolBinding":"JSONRPC",'
        b'"protocolVersion":"1.0","url":"https://weather.example/"}],"version":"1.2.0"}'
    )


@pytest.mark.parametrize(
    "unset",
    [
        {"iconUrl": None},
        {"securitySchemes": {}},
        {"securityRequirements": []},
        {"signatures": [{"protected": "e30", "signature": "AAAA"}]},
        {"somethingNew": {"x": 1}},
        {"capabilities": {"streaming": False, "extensions": [], "pushNotifications": None}},
    ],
    ids=lambda unset: next(iter(unset)),
)
def test_what_is_unset_or_unknown_is_not_signed(unset: dict[str, Any]) -> None:
    assert canonical_card(card_json(**unset)) == canonical_card(card_json())


def test_scalars_without_presence_are_not_signed_at_their_default() -> None:
    """8.4.1: tenant, an extension's required and description, a flow's pkceRequired are not `optional`."""
    card = card_json(capabilities={"extensions": [{"uri": "u", "required": False, "description": ""}]})
    card["supportedInterfaces"][0]["tenant"] = ""
    card["skills"][0] |= {"examples": [], "inputModes": []}

    assert canonical_card(card) == canonical_card(card_json(capabilities={"extensions": [{"uri": "u"}]}))


@pytest.mark.parametrize(
    ("explicit", "text"),
    [
        ({"capabilities": {"extendedAgentCard": False}}, b'"capabilities":{"extendedAgentCard":false}'),
        ({"capabilities": {}}, b'"capabilities":{}'),
        ({"documentationUrl": ""}, b'"documentationUrl":""'),
        ({"defaultInputModes": []}, b'"defaultInputModes":[]'),
        ({"securitySchemes": {"m": {"mtlsSecurityScheme": {}}}}, b'{"m":{"mtlsSecurityScheme":{}}}'),
        ({"securityRequirements": [{"schemes": {"m": {"list": []}}}]}, b'[{"schemes":{"m":{}}}]'),
    ],
)
def test_what_is_required_or_set_is_signed_though_it_is_empty(explicit: dict[str, Any], text: bytes) -> None:
    assert text in canonical_card(card_json(**explicit))


def test_the_protos_names_are_signed_in_camel_case() -> None:
    card = card_json()
    card["default_input_modes"] = card.pop("defaultInputModes")

    assert canonical_card(card) == canonical_card(card_json())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (333333333.33333329, "333333333.3333333"), (1e30, "1e+30"), (4.50, "4.5"), (2e-3, "0.002"),
        (0.000000000000000000000000001, "1e-27"), (-0.0, "0"), (5e-324, "5e-324"),
        (-1.7976931348623157e308, "-1.7976931348623157e+308"), (9007199254740991, "9007199254740991"),
        (295147905179352830000.0, "295147905179352830000"), (1e21, "1e+21"), (2**53, "9007199254740992"),
        (295147905179352830000, "295147905179352830000"), (1e-6, "0.000001"),
        (1e-7, "1e-7"), (9.999999999999997e22, "9.999999999999997e+22"), (1.0, "1"), (None, "null"),
        ("\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f", '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ("\u007f\u2028\U0001f600", '"\u007f\u2028\U0001f600"'), ({"b": 1, "a": [True]}, '{"a":[true],"b":1}'),
    ],
)  # fmt: skip
def test_values_are_written_as_ecmascript_does(value: Any, text: str) -> None:
    """RFC 8785 3.2.2 and appendix B"""
    assert extension_bytes(value) == text


def test_keys_are_ordered_by_utf_16_code_units() -> None:
    """RFC 8785 3.2.3: an emoji, as surrogates, comes before U+FB33."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]

    assert list(json.loads(extension_bytes(dict.fromkeys(keys, 0)))) == [
        "\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["\ud800", {"\udead": 1}, 2**53 + 1, -(2**68), 10**400])
def test_a_value_without_a_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(CardSignatureInvalid) as refused:
        extension_bytes(value)

    assert refused.value.refusals == (Refusal.NOT_CANONICAL,)


def test_what_is_no_card_is_refused() -> None:
    with pytest.raises(CardSignatureInvalid) as refused:
        canonical_card({"name": "Weather"})

    assert refused.value.refusals == (Refusal.NOT_A_CARD,)
