"""Whatever a card holds, its signature holds for it and for no other card."""

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from a2a.card_types import AgentCard
from a2a.signing import (
    CardSignatureInvalid,
    TrustStore,
    VerifiedCard,
    canonical_card,
    public_jwk,
    sign_card,
    verify_card,
)

KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
TRUST = TrustStore(keys=[public_jwk(KEY, kid="k", alg="EdDSA")])

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
WORDS = st.lists(TEXT, min_size=1, max_size=3)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
REQUIREMENTS = st.lists(
    st.fixed_dictionaries(
        {"schemes": st.dictionaries(TEXT, st.fixed_dictionaries({"list": WORDS}), min_size=1, max_size=2)}
    ),
    min_size=1,
    max_size=2,
)
SCHEME = st.one_of(
    st.fixed_dictionaries(
        {"apiKeySecurityScheme": st.fixed_dictionaries({"location": st.just("header"), "name": TEXT})}
    ),
    st.fixed_dictionaries({"openIdConnectSecurityScheme": st.fixed_dictionaries({"openIdConnectUrl": TEXT})}),
)
CARD = st.fixed_dictionaries(
    {
        "name": TEXT,
        "description": TEXT,
        "version": TEXT,
        "supportedInterfaces": st.lists(
            st.fixed_dictionaries(
                {"url": TEXT, "protocolBinding": TEXT, "protocolVersion": TEXT}, optional={"tenant": TEXT}
            ),
            min_size=1,
            max_size=2,
        ),
        "capabilities": st.fixed_dictionaries(
            {},
            optional={
                "streaming": st.booleans(),
                "extensions": st.lists(
                    st.fixed_dictionaries(
                        {"uri": TEXT, "params": st.dictionaries(TEXT, JSON, min_size=1, max_size=3)}
                    ),
                    min_size=1,
                    max_size=2,
                ),
            },
        ),
        "defaultInputModes": WORDS,
        "defaultOutputModes": WORDS,
        "skills": st.lists(
            st.fixed_dictionaries(
                {"id": TEXT, "name": TEXT, "description": TEXT, "tags": WORDS},
                optional={"examples": WORDS, "securityRequirements": REQUIREMENTS},
            ),
            max_size=2,
        ),
    },
    optional={
        "iconUrl": TEXT,
        "provider": st.fixed_dictionaries({"url": TEXT, "organization": TEXT}),
        "securitySchemes": st.dictionaries(TEXT, SCHEME, min_size=1, max_size=2),
        "securityRequirements": REQUIREMENTS,
    },
)


def signed(card: dict[str, Any]) -> dict[str, Any]:
    return sign_card(AgentCard.model_validate(card), KEY, kid="k", alg="EdDSA").to_json()


def verify(card: dict[str, Any]) -> VerifiedCard:
    return asyncio.run(verify_card(card, TRUST))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container of the JSON with each of its keys or indexes."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        yield value, key
        yield from places(below)


def shuffled(value: Any) -> Any:
    """The same JSON, its keys the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(CARD)
def test_a_signed_card_verifies_however_it_is_written(card: dict[str, Any]) -> None:
    received = json.loads(json.dumps(shuffled(signed(card)), indent=2))

    assert verify(received).card.to_json() == AgentCard.model_validate(received).to_json()


@settings(deadline=None)
@given(CARD)
def test_the_canonical_form_is_a_fixed_point(card: dict[str, Any]) -> None:
    canonical = canonical_card(card)

    assert canonical_card(json.loads(canonical)) == canonical


@settings(deadline=None)
@given(CARD, st.data())
def test_a_card_changed_anywhere_no_longer_verifies(card: dict[str, Any], data: st.DataObject) -> None:
    tampered = copy.deepcopy(signed(card))
    container, key = data.draw(st.sampled_from(list(places(tampered))))
    change = data.draw(st.sampled_from(["remove", "replace", "empty"]))
    if change == "remove":
        del container[key]
    else:
        container[key] = data.draw(TEXT | st.booleans()) if change == "replace" else type(container[key])()
    try:
        changes_nothing = canonical_card(tampered) == canonical_card(card)
    except CardSignatureInvalid:
        changes_nothing = False
    touches_signature = tampered.get("signatures") != signed(card)["signatures"]
    assume(touches_signature or not changes_nothing)

    with pytest.raises(CardSignatureInvalid):
        verify(tampered)


@settings(deadline=None)
@given(CARD, st.binary(min_size=64, max_size=64))
def test_no_other_bytes_are_its_signature(card: dict[str, Any], forged: bytes) -> None:
    received = signed(card)
    received["signatures"][0]["signature"] = forged.hex()

    with pytest.raises(CardSignatureInvalid):
        verify(received)
