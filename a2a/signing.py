"""Signed agent cards (specification 8.4): a JWS (RFC 7515) over the canonical JSON (RFC 8785) of the card.

What is signed are the fields this package reads, so what was verified is what is used; whatever else stands
in a stranger's JSON is neither signed nor read. No I/O but the callable that fetches a key set. The libraries
are loaded at the first use: an agent that does not sign does not pay for them.
"""

import sys
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from a2a.card_types import AgentCard, AgentCardSignature
from a2a.errors import A2AError
from a2a.types import Json

if TYPE_CHECKING:
    from jwt import PyJWK, PyJWS
    from jwt.algorithms import AllowedPrivateKeys

Algorithm = Literal["ES256", "RS256", "EdDSA"]
Jwk = Mapping[str, Json]
FetchKeys = Callable[[str], Awaitable[Json]]

# What we verify. Neither "none" nor HMAC: a card's reader holds no secret of its signer.
VERIFIED_ALGORITHMS = frozenset(
    {"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}
)
MAX_SAFE_INTEGER = 2**53 - 1
MAX_FETCHED_KEYS = 100
# Keys of one kid that are tried: a kid is unique among the keys of one type, and there are three types.
MAX_KEYS_TRIED = 3
# What PyJWK is given of a stranger's key: no private part, nothing but strings.
_PUBLIC_MEMBERS = ("kty", "crv", "x", "y", "n", "e")
_EMPTY: tuple[Json, ...] = ("", [], {}, None)
# Scalars the protocol calls `optional`, and its one free object: set to nothing is not the same as unset.
_EXPLICIT_PRESENCE = frozenset(
    {"streaming", "push_notifications", "extended_agent_card", "documentation_url", "icon_url", "params"}
)


class Refusal(StrEnum):
    """Why a signature, or the whole card, does not count."""

    NOT_A_CARD = "this is no agent card"
    NOT_CANONICAL = "the card holds a value without a canonical form"
    NO_SIGNATURE = "the card has no signature"
    BAD_HEADER = "the protected header cannot be read or lacks alg or kid"
    ALGORITHM = "the algorithm is not accepted"
    KEY_REVOKED = "the key is revoked"
    KEY_UNKNOWN = "the key is not trusted"
    KEY_UNFIT = "the key does not fit the algorithm"
    MISMATCH = "the signature does not match the card"


class CardSignatureInvalid(A2AError):
    """No signature of the card can be relied on. `refusals` has one reason for each, in their order."""

    def __init__(self, *refusals: Refusal) -> None:
        self.refusals = refusals
        super().__init__("; ".join(dict.fromkeys(refusals)))


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Whose signatures count: public JWKs, found by their kid, and exact URLs of key sets that a signature's
    `jku` may name. A revoked kid never counts, wherever its key is.

    `accepts_lossy`: take the form that the official SDKs sign, too. It leaves out everything that is empty,
    so that for instance a security requirement without scopes can be added to such a card, or taken away.
    """

    keys: Sequence[Jwk] = ()
    jku_urls: frozenset[str] = frozenset()
    revoked_kids: frozenset[str] = frozenset()
    accepts_lossy: bool = False


@dataclass(frozen=True, slots=True)
class VerifiedCard:
    """The card that was signed and the key that did it; `jku` is set if the key came from there."""

    card: AgentCard
    kid: str
    algorithm: str
    jku: str | None


def canonical_card(card_json: Mapping[str, Json]) -> bytes:
    """The bytes a signature covers (8.4.1). Raises CardSignatureInvalid."""
    return _canonical(_present(_parse(card_json), keep_required=True))


def sign_card(
    card: AgentCard, key: str | bytes, *, kid: str, alg: Algorithm, jku: str | None = None
) -> AgentCard:
    """A copy of the card with one more signature. `key` is a private key in PEM; ValueError if it does not
    fit `alg`, CardSignatureInvalid if the card has no canonical form. Signatures that are there stay: they
    cover the same bytes."""
    private_key = _private_key(key, alg)
    header = {"typ": "JOSE", "kid": kid} | ({"jku": jku} if jku is not None else {})
    payload = _canonical(_present(card, keep_required=True))
    token = _jws().encode(payload, private_key, algorithm=alg, headers=header)
    protected, _, signature = token.split(".")
    signed = AgentCardSignature(protected=protected, signature=signature)
    return card.model_copy(update={"signatures": [*(card.signatures or ()), signed]})


def public_jwk(key: str | bytes, *, kid: str, alg: Algorithm) -> dict[str, Json]:
    """The public half of a private key in PEM, for a key set or a trust store."""
    jwk = _jws().get_algorithm_by_name(alg).to_jwk(_private_key(key, alg).public_key(), as_dict=True)
    public = {name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}
    return {**public, "kid": kid, "alg": alg, "use": "sig"}


async def verify_card(
    card_json: Mapping[str, Json], trust: TrustStore, *, fetch_keys: FetchKeys | None = None
) -> VerifiedCard:
    """The card, if at least one of its signatures is valid. Raises CardSignatureInvalid.

    `fetch_keys` gets the key set, as JSON, from an allowed `jku` whose kid the store does not hold. If it
    raises an A2AError and no other signature is valid, that error is raised: it could not be told.
    """
    card = _parse(card_json)
    if not card.signatures:
        raise CardSignatureInvalid(Refusal.NO_SIGNATURE)
    payloads = _accepted_payloads(card, trust)
    key_ring = _KeyRing(trust, fetch_keys)
    refusals: list[Refusal] = []
    failure: A2AError | None = None
    for signature in card.signatures:
        try:
            return await _verify(card, signature, payloads, key_ring)
        except CardSignatureInvalid as exc:
            refusals += exc.refusals
        except A2AError as exc:
            failure = failure or exc
    raise failure or CardSignatureInvalid(*refusals)


async def _verify(
    card: AgentCard, signature: AgentCardSignature, payloads: Sequence[str], key_ring: "_KeyRing"
) -> VerifiedCard:
    header = _protected_header(signature)
    alg, kid, jku = header.get("alg"), header.get("kid"), header.get("jku")
    if not isinstance(alg, str) or not isinstance(kid, str):
        raise CardSignatureInvalid(Refusal.BAD_HEADER)
    if alg not in VERIFIED_ALGORITHMS:
        raise CardSignatureInvalid(Refusal.ALGORITHM)
    jwks, source = await key_ring.find(kid, jku if isinstance(jku, str) else None)
    keys = _fitting_keys(jwks, alg)
    tokens = [f"{signature.protected}.{payload}.{signature.signature}" for payload in payloads]
    if not any(_is_signed(token, key, alg) for key in keys for token in tokens):
        raise CardSignatureInvalid(Refusal.MISMATCH)
    return VerifiedCard(card, kid=kid, algorithm=alg, jku=source)


def _protected_header(signature: AgentCardSignature) -> dict[str, Json]:
    """The header that is signed; nothing of the unprotected one counts."""
    from jwt import PyJWTError

    try:
        return _jws().get_unverified_header(f"{signature.protected}..")
    except PyJWTError as exc:
        raise CardSignatureInvalid(Refusal.BAD_HEADER) from exc


def _is_signed(token: str, key: "PyJWK", alg: str) -> bool:
    from jwt import PyJWTError

    try:
        _jws().decode_complete(token, key, algorithms=[alg])
    except PyJWTError:
        return False
    return True


def _fitting_keys(jwks: Sequence[Jwk], alg: str) -> list["PyJWK"]:
    """The keys whose type, curve, size and purpose are those of the algorithm; at least one."""
    from jwt import PyJWK, PyJWTError

    keys: list[PyJWK] = []
    for jwk in jwks:
        if jwk.get("alg") not in (None, alg) or jwk.get("use") not in (None, "sig"):
            continue
        public = {name: jwk[name] for name in _PUBLIC_MEMBERS if isinstance(jwk.get(name), str)}
        try:
            key = PyJWK(public, algorithm=alg)
            key.Algorithm.prepare_key(key.key)
        except PyJWTError:
            continue
        if key.Algorithm.check_key_length(key.key) is None:
            keys.append(key)
    if not keys:
        raise CardSignatureInvalid(Refusal.KEY_UNFIT)
    return keys


class _KeyRing:
    """Finds the keys of a kid: in the store, or else in an allowed key set, fetched once."""

    def __init__(self, trust: TrustStore, fetch_keys: FetchKeys | None) -> None:
        self._trust = trust
        self._fetch_keys = fetch_keys
        self._fetched: dict[str, list[Jwk]] = {}

    async def find(self, kid: str, jku: str | None) -> tuple[list[Jwk], str | None]:
        """The keys, and the URL of their key set if they are not the store's own."""
        if kid in self._trust.revoked_kids:
            raise CardSignatureInvalid(Refusal.KEY_REVOKED)
        if own := _keys_of(kid, self._trust.keys):
            return own, None
        if jku is None or jku not in self._trust.jku_urls or self._fetch_keys is None:
            raise CardSignatureInvalid(Refusal.KEY_UNKNOWN)
        if jku not in self._fetched:
            # What fails once is not asked again: a card may name the same key set twenty times.
            self._fetched[jku] = []
            self._fetched[jku] = _jwks_in(await self._fetch_keys(jku))
        if fetched := _keys_of(kid, self._fetched[jku]):
            return fetched, jku
        raise CardSignatureInvalid(Refusal.KEY_UNKNOWN)


def _keys_of(kid: str, jwks: Sequence[Jwk]) -> list[Jwk]:
    return [jwk for jwk in jwks if jwk.get("kid") == kid][:MAX_KEYS_TRIED]


def _jwks_in(key_set: Json) -> list[Jwk]:
    keys = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(keys, list):
        return []
    return [key for key in keys[:MAX_FETCHED_KEYS] if isinstance(key, dict)]


def _parse(card_json: Mapping[str, Json]) -> AgentCard:
    try:
        return AgentCard.model_validate(card_json)
    except ValidationError as exc:
        raise CardSignatureInvalid(Refusal.NOT_A_CARD) from exc


def _accepted_payloads(card: AgentCard, trust: TrustStore) -> list[str]:
    """The specification's form and the one of the official SDKs, which drop REQUIRED fields that are empty.

    A required field reads the same absent or empty, so that form is as good; the rest that they drop is not.
    """
    full = _present(card, keep_required=True)
    short = _without_empty(full) if trust.accepts_lossy else _present(card, keep_required=False)
    payloads = dict.fromkeys((_canonical(full), _canonical(short)))
    return [urlsafe_b64encode(payload).rstrip(b"=").decode() for payload in payloads]


def _canonical(value: Json) -> bytes:
    import rfc8785

    try:
        return rfc8785.dumps(value)
    except ValueError as exc:
        raise CardSignatureInvalid(Refusal.NOT_CANONICAL) from exc


def _present(model: BaseModel, *, keep_required: bool) -> dict[str, Json]:
    """The fields that are there by the presence rules of 8.4.1; `signatures` never is."""
    present: dict[str, Json] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None or name == "signatures":
            continue
        plain = _plain(value, keep_required=keep_required)
        if info.is_required():
            is_present = keep_required or plain not in ("", [], {})
        else:
            is_present = name in _EXPLICIT_PRESENCE or bool(value)
        if is_present:
            present[info.alias or name] = plain
    return present


def _plain(value: Json, *, keep_required: bool) -> Json:
    match value:
        case BaseModel():
            return _present(value, keep_required=keep_required)
        case list():
            return [_plain(item, keep_required=keep_required) for item in value]
        case dict():
            return {key: _plain(item, keep_required=keep_required) for key, item in value.items()}
        case int():
            return _as_double(value)
        case _:
            return value


def _as_double(value: int) -> float:
    """A large integer as the number JSON makes of it (RFC 8785 3.2.2.3). If that has other digits it stays as
    it is, and has no canonical form: two cards would share one."""
    if abs(value) <= MAX_SAFE_INTEGER or value.bit_length() > sys.float_info.max_exp - 1:
        return value
    double = float(value)
    return double if Decimal(repr(double)) == value else value


def _without_empty(value: Json) -> Json:
    """Without null and everything that is empty, or becomes it, at any depth."""
    match value:
        case list():
            return [kept for item in value if (kept := _without_empty(item)) not in _EMPTY]
        case dict():
            return {key: kept for key, item in value.items() if (kept := _without_empty(item)) not in _EMPTY}
        case _:
            return value


def _private_key(pem: str | bytes, alg: Algorithm) -> "AllowedPrivateKeys":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from jwt import InvalidKeyError

    algorithm = _jws().get_algorithm_by_name(alg)
    try:
        key = load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ValueError("the key is no unencrypted private key in PEM") from exc
    try:
        prepared: AllowedPrivateKeys = algorithm.prepare_key(key)
    except (TypeError, InvalidKeyError) as exc:
        raise ValueError(f"the key does not fit {alg}") from exc
    if algorithm.check_key_length(prepared) is not None:
        raise ValueError("the key is too short")
    return prepared


@cache
def _jws() -> "PyJWS":
    from jwt import PyJWS

    return PyJWS(algorithms=sorted(VERIFIED_ALGORITHMS), options={"enforce_minimum_key_length": True})
