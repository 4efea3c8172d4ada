"""Signed agent cards: what a signature says, and which signatures count."""

import base64
import hmac
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from jwt import PyJWS

from a2a.card_types import AgentCard
from a2a.errors import AgentUnreachable
from a2a.signing import (
    Algorithm,
    CardSignatureInvalid,
    Refusal,
    TrustStore,
    VerifiedCard,
    canonical_card,
    public_jwk,
    sign_card,
    verify_card,
)
from tests.unit.card_samples import ALGORITHMS, card_json, pem, pem_of

JKU = "https://keys.example/jwks.json"


def signed_json(alg: Algorithm = "EdDSA", kid: str = "k", jku: str | None = None) -> dict[str, Any]:
    card = AgentCard.model_validate(card_json())
    return sign_card(card, pem(alg), kid=kid, alg=alg, jku=jku).to_json()


def trusting(*algs: Algorithm, kid: str = "k") -> TrustStore:
    return TrustStore(keys=[public_jwk(pem(alg), kid=kid, alg=alg) for alg in algs or ("EdDSA",)])


OTHER_JWK = public_jwk(pem_of(ed25519.Ed25519PrivateKey.generate()), kid="k", alg="EdDSA")


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def with_header(header: Any, signature: bytes = b"") -> dict[str, Any]:
    """A card whose one signature has this protected header."""
    protected = encoded(json.dumps(header).encode())
    return card_json(signatures=[{"protected": protected, "signature": encoded(signature)}])


def signed_over(payload: bytes, alg: Algorithm = "EdDSA", **header: Any) -> dict[str, Any]:
    """A signature somebody else made over bytes of their own."""
    key = PyJWS().get_algorithm_by_name(alg).prepare_key(pem(alg).decode())
    token = PyJWS().encode(payload, key, algorithm=alg, headers={"kid": "k", **header})
    protected, _, signature = token.split(".")
    return {"protected": protected, "signature": signature}


async def refusals(card: dict[str, Any], trust: TrustStore) -> tuple[Refusal, ...]:
    with pytest.raises(CardSignatureInvalid) as refused:
        await verify_card(card, trust)
    return refused.value.refusals


# Signing


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_signed_card_verifies(alg: Algorithm) -> None:
    verified = await verify_card(json.loads(json.dumps(signed_json(alg))), trusting(alg))

    assert verified == VerifiedCard(
        AgentCard.model_validate(signed_json(alg) | {"signatures": verified.card.to_json()["signatures"]}),
        kid="k",
        algorithm=alg,
        jku=None,
    )


def test_the_protected_header_says_what_the_specification_wants() -> None:
    """8.4.2"""
    (signature,) = signed_json("ES256", jku=JKU)["signatures"]

    assert json.loads(base64.urlsafe_b64decode(signature["protected"] + "==")) == {
        "alg": "ES256", "typ": "JOSE", "kid": "k", "jku": JKU,
    }  # fmt: skip
    assert set(signature) == {"protected", "signature"}


def test_signing_changes_nothing_else_of_the_card() -> None:
    signed = signed_json()
    del signed["signatures"]

    assert signed == card_json()


def test_the_public_key_has_no_private_part() -> None:
    assert [set(public_jwk(pem(alg), kid="k", alg=alg)) for alg in ALGORITHMS] == [
        {"kty", "crv", "x", "y", "kid", "alg", "use"},
        {"kty", "n", "e", "kid", "alg", "use"},
        {"kty", "crv", "x", "kid", "alg", "use"},
    ]


UNFIT_KEYS = {
    "another type": pem("RS256"),
    "another curve": pem_of(ec.generate_private_key(ec.SECP384R1())),
    "not a key": b"secret",
    "encrypted": ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    ),
}


@pytest.mark.parametrize("key", UNFIT_KEYS.values(), ids=UNFIT_KEYS)
def test_a_key_that_does_not_fit_the_algorithm_signs_nothing(key: bytes) -> None:
    with pytest.raises(ValueError, match="the key"):
        sign_card(AgentCard.model_validate(card_json()), key, kid="k", alg="ES256")


@cache
def short_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 refused below


def test_a_short_rsa_key_signs_nothing() -> None:
    with pytest.raises(ValueError, match="too short"):
        sign_card(AgentCard.model_validate(card_json()), pem_of(short_rsa_key()), kid="k", alg="RS256")


# Which signatures count


async def test_a_card_without_a_signature_is_refused() -> None:
    assert await refusals(card_json(), trusting()) == (Refusal.NO_SIGNATURE,)
    assert await refusals(card_json(signatures=[]), trusting()) == (Refusal.NO_SIGNATURE,)


async def test_a_key_the_store_does_not_hold_is_not_trusted() -> None:
    assert await refusals(signed_json(kid="other"), trusting()) == (Refusal.KEY_UNKNOWN,)


async def test_another_key_of_the_same_kid_does_not_match() -> None:
    store = TrustStore(keys=[OTHER_JWK])

    assert await refusals(signed_json(), store) == (Refusal.MISMATCH,)


async def test_a_revoked_key_does_not_count() -> None:
    store = TrustStore(keys=trusting().keys, revoked_kids=frozenset({"k"}))

    assert await refusals(signed_json(), store) == (Refusal.KEY_REVOKED,)


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512", "ES256K", "", "EDDSA"])
async def test_an_algorithm_that_proves_nothing_is_refused(alg: str) -> None:
    assert await refusals(with_header({"alg": alg, "kid": "k"}), trusting()) == (Refusal.ALGORITHM,)


async def test_the_public_key_is_no_hmac_secret() -> None:
    """Algorithm confusion: the attacker signs by HMAC with what everybody knows."""
    modulus = base64.urlsafe_b64decode(trusting("RS256").keys[0]["n"] + "==")
    header = {"alg": "HS256", "kid": "k"}
    signing_input = f"{encoded(json.dumps(header).encode())}.{encoded(canonical_card(card_json()))}"
    card = with_header(header, hmac.digest(modulus, signing_input.encode(), "sha256"))

    assert await refusals(card, trusting("RS256")) == (Refusal.ALGORITHM,)


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_key_of_another_type_is_not_tried(alg: Algorithm) -> None:
    others = [other for other in ALGORITHMS if other != alg]

    assert await refusals(signed_json(alg), trusting(*others)) == (Refusal.KEY_UNFIT,)


JWK = trusting("ES256").keys[0]
UNFIT_JWKS: dict[str, dict[str, Any]] = {
    "for another algorithm": {**JWK, "alg": "ES384"},
    "for encryption": {**JWK, "use": "enc"},
    "off the curve": {**JWK, "y": JWK["x"]},
    "on another curve": {**JWK, "crv": "P-384"},
    "a secret": {"kid": "k", "kty": "oct", "k": "AAAA"},
    "nothing": {"kid": "k"},
    "not strings": {"kid": "k", "kty": "EC", "crv": ["P-256"], "x": 1, "y": None},
}


@pytest.mark.parametrize("jwk", UNFIT_JWKS.values(), ids=UNFIT_JWKS)
async def test_a_key_that_is_not_for_this_is_not_tried(jwk: dict[str, Any]) -> None:
    assert await refusals(signed_json("ES256"), TrustStore(keys=[jwk])) == (Refusal.KEY_UNFIT,)


async def test_a_short_rsa_key_does_not_count() -> None:
    jwk = PyJWS().get_algorithm_by_name("RS256").to_jwk(short_rsa_key().public_key(), as_dict=True)
    store = TrustStore(keys=[{**jwk, "kid": "k"}])

    assert await refusals(with_header({"alg": "RS256", "kid": "k"}), store) == (Refusal.KEY_UNFIT,)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"alg": "EdDSA"},
        {"kid": "k"},
        {"alg": "EdDSA", "kid": 1},
        {"alg": ["EdDSA"], "kid": "k"},
        {"alg": "EdDSA", "kid": "k", "crit": ["exp"], "exp": 1},
        {"alg": "EdDSA", "kid": "k", "crit": []},
        ["EdDSA", "k"],
    ],
)
async def test_a_header_that_cannot_be_relied_on_is_refused(header: Any) -> None:
    """RFC 7515 4.1.11 for `crit`."""
    assert await refusals(with_header(header), trusting()) == (Refusal.BAD_HEADER,)


@pytest.mark.parametrize("protected", ["", "e30", "!!!", "e30.e30", "\u00e9", "W" * 8_000])
async def test_a_header_that_cannot_be_read_is_refused(protected: str) -> None:
    card = card_json(signatures=[{"protected": protected, "signature": "AAAA"}])

    assert await refusals(card, trusting()) == (Refusal.BAD_HEADER,)


@pytest.mark.parametrize("signature", ["", "AAAA", "!", "a.b", "\u00e9"])
async def test_a_signature_that_cannot_be_read_does_not_match(signature: str) -> None:
    card = signed_json()
    card["signatures"][0]["signature"] = signature

    assert await refusals(card, trusting()) == (Refusal.MISMATCH,)


async def test_an_unencoded_payload_is_not_taken() -> None:
    """RFC 7797: the signature would cover other bytes than those of 8.4.2."""
    card = with_header({"alg": "EdDSA", "kid": "k", "b64": False, "crit": ["b64"]})

    assert await refusals(card, trusting()) == (Refusal.MISMATCH,)


async def test_the_unprotected_header_names_no_key() -> None:
    card = signed_json(kid="other")
    card["signatures"][0]["header"] = {"kid": "k", "alg": "none"}

    assert await refusals(card, trusting()) == (Refusal.KEY_UNKNOWN,)


async def test_one_valid_signature_is_enough() -> None:
    """8.4.3: several allow keys to rotate."""
    card = AgentCard.model_validate(signed_json("RS256", kid="old"))
    both = sign_card(card, pem("EdDSA"), kid="k", alg="EdDSA").to_json()

    assert (await verify_card(both, trusting())).kid == "k"
    assert (await verify_card(both, trusting("RS256", kid="old"))).kid == "old"


async def test_each_signature_that_does_not_count_says_why() -> None:
    card = signed_json()
    card["signatures"] += signed_json(kid="other")["signatures"]
    card["version"] = "9"

    assert await refusals(card, trusting()) == (Refusal.MISMATCH, Refusal.KEY_UNKNOWN)


async def test_what_is_returned_is_what_was_signed() -> None:
    verified = await verify_card(signed_json() | {"unknown": "added later"}, trusting())

    assert "unknown" not in verified.card.to_json()


# The form that other implementations sign: nothing that is empty


async def test_required_fields_that_are_empty_may_be_left_out_of_what_is_signed() -> None:
    card = card_json(capabilities={}, skills=[])
    text = canonical_card(card).replace(b'"capabilities":{},', b"").replace(b'"skills":[],', b"")
    card["signatures"] = [signed_over(text)]

    assert (await verify_card(card, trusting())).card.skills == []


SCOPELESS: list[dict[str, Any]] = [{"schemes": {"m": {"list": []}}}]


async def test_nothing_else_that_is_empty_may_be_left_out() -> None:
    """Or anybody could add a requirement to a signed card."""
    card = signed_json() | {"securityRequirements": SCOPELESS}

    assert await refusals(card, trusting()) == (Refusal.MISMATCH,)


async def test_a_store_may_accept_what_is_signed_without_anything_empty() -> None:
    card = signed_json() | {"securityRequirements": SCOPELESS, "documentationUrl": ""}
    store = TrustStore(keys=trusting().keys, accepts_lossy=True)

    assert (await verify_card(card, store)).kid == "k"


# Keys from a jku


class KeyServer:
    """Answers with one key set, or fails, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(self, url: str) -> Any:
        self.asked.append(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ALLOWING = TrustStore(jku_urls=frozenset({JKU}))


KEY_SET = {"keys": list(trusting().keys)}


async def test_an_allowed_key_set_is_fetched() -> None:
    verified = await verify_card(signed_json(jku=JKU), ALLOWING, fetch_keys=KeyServer(KEY_SET))

    assert verified.jku == JKU


@pytest.mark.parametrize("jku", [f"{JKU}?x", "https://keys.example/", "http://169.254.169.254/", 7, None])
async def test_no_other_key_set_is_fetched(jku: Any) -> None:
    server = KeyServer(KEY_SET)
    card = card_json(signatures=[signed_over(canonical_card(card_json()), jku=jku)])

    with pytest.raises(CardSignatureInvalid) as refused:
        await verify_card(card, ALLOWING, fetch_keys=server)

    assert refused.value.refusals == (Refusal.KEY_UNKNOWN,)
    assert server.asked == []


async def test_the_stores_own_key_goes_before_a_fetched_one() -> None:
    server = KeyServer({"keys": [OTHER_JWK]})
    store = TrustStore(keys=trusting().keys, jku_urls=frozenset({JKU}))

    assert (await verify_card(signed_json(jku=JKU), store, fetch_keys=server)).jku is None
    assert server.asked == []


async def test_a_revoked_key_does_not_count_from_a_key_set_either() -> None:
    store = TrustStore(jku_urls=frozenset({JKU}), revoked_kids=frozenset({"k"}))

    with pytest.raises(CardSignatureInvalid) as refused:
        await verify_card(signed_json(jku=JKU), store, fetch_keys=KeyServer(KEY_SET))

    assert refused.value.refusals == (Refusal.KEY_REVOKED,)


@pytest.mark.parametrize(
    "answer", [None, [], "keys", {}, {"keys": None}, {"keys": [1, None]}, {"keys": [{"kid": ["k"]}]}]
)
async def test_a_key_set_that_is_none_holds_no_key(answer: Any) -> None:
    with pytest.raises(CardSignatureInvalid) as refused:
        await verify_card(signed_json(jku=JKU), ALLOWING, fetch_keys=KeyServer(answer))

    assert refused.value.refusals == (Refusal.KEY_UNKNOWN,)


async def test_a_key_set_is_asked_for_once_per_card() -> None:
    server = KeyServer(AgentUnreachable(JKU, "no connection"))
    card = signed_json(jku=JKU)
    card["signatures"] *= 3

    with pytest.raises(AgentUnreachable):
        await verify_card(card, ALLOWING, fetch_keys=server)

    assert server.asked == [JKU]


async def test_a_key_set_that_is_not_reached_does_not_spoil_another_signature() -> None:
    server = KeyServer(AgentUnreachable(JKU, "no connection"))
    card = AgentCard.model_validate(signed_json("ES256", kid="fetched", jku=JKU))
    both = sign_card(card, pem("EdDSA"), kid="k", alg="EdDSA").to_json()
    store = TrustStore(keys=trusting().keys, jku_urls=frozenset({JKU}))

    assert (await verify_card(both, store, fetch_keys=server)).kid == "k"


# Cost


def test_who_does_not_sign_loads_no_cryptography() -> None:
    names = "{'jwt', 'cryptography', 'rfc8785'}"
    code = f"import sys, a2a.signing; print({names} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "set()"
