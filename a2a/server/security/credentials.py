"""Credentials that are compared: API keys and opaque bearer tokens, and where in a request they stand."""

import asyncio
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog
from pydantic import SecretStr

from a2a.server.security.callers import Grant, Outcome, Refusal, is_name
from a2a.server.security.schemes import BEARER_TOKEN, KEY, MAX_CREDENTIAL_CHARS, ApiKey, Bearer, Verify

log = structlog.get_logger(__name__)

VERIFY_TIMEOUT_S = 10.0


class Verifier(Protocol):
    """What one scheme makes of a request."""

    async def verify(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Outcome: ...


def header_map(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> dict[str, str]:
    """Headers, or gRPC metadata, by lower-case name. A repeated one is joined (RFC 9110, 5.3), so that no two
    readers of a request can take it for a different one; a joined credential is nobody's."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = _text(raw_name).lower(), _text(raw_value)
        separator = "; " if name == "cookie" else ", "
        joined[name] = joined[name] + separator + value if name in joined else value
    return joined


def query_map(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Query parameters by name, repeated ones joined for the same reason."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def bearer_token(headers: Mapping[str, str]) -> str | Refusal | None:
    """The token of `Authorization: Bearer` (RFC 6750, 2.1)."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    token = token.strip(" ")
    well_formed = len(token) <= MAX_CREDENTIAL_CHARS and BEARER_TOKEN.fullmatch(token)
    return token if well_formed else Refusal.INVALID


class KeyVerifier:
    def __init__(self, scheme: ApiKey) -> None:
        self._scheme = scheme
        self._owners = _owners(scheme.keys, scheme.scheme_name)

    async def verify(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Outcome:
        key = self._presented(headers, query)
        if key is None:
            return None
        if len(key) > MAX_CREDENTIAL_CHARS or not KEY.fullmatch(key):
            return Refusal.INVALID
        return await _grant(self._scheme.scheme_name, self._owners, key)

    def _presented(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
        match self._scheme.location:
            case "header":
                return headers.get(self._scheme.name.lower())
            case "query":
                return query.get(self._scheme.name)
            case "cookie":
                return _cookie(headers.get("cookie", ""), self._scheme.name)


class TokenVerifier:
    def __init__(self, scheme: Bearer) -> None:
        self._scheme = scheme
        self._owners = _owners(scheme.tokens, scheme.scheme_name)

    async def verify(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Outcome:  # noqa: ARG002 Verifier's signature
        token = bearer_token(headers)
        if not isinstance(token, str):
            return token
        return await _grant(self._scheme.scheme_name, self._owners, token)


class _KeyRing:
    """The owners of known keys. Every key is compared, each in constant time, and hashed before, so that the
    time taken tells nothing about any of them."""

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._keys = [(owner, _digest(secret.get_secret_value())) for owner, secret in keys.items()]

    async def owner(self, key: str) -> str | None:
        presented = _digest(key)
        found = None
        for owner, known in self._keys:
            if hmac.compare_digest(presented, known):
                found = owner
        return found


class _Unavailable(Exception):
    """The author's function failed."""


def _owners(keys: Mapping[str, SecretStr] | Verify, scheme_name: str) -> Verify:
    return _KeyRing(keys).owner if isinstance(keys, Mapping) else _contained(keys, scheme_name)


def _contained(verify: Verify, scheme_name: str) -> Verify:
    """The author's function with a deadline. What it raises may quote the credential, so only the name of the
    error's class gets out, into the log."""

    async def owner(credential: str) -> str | None:
        try:
            async with asyncio.timeout(VERIFY_TIMEOUT_S):
                return await verify(credential)
        except Exception as exc:  # noqa: BLE001 the edge to the author's code
            log.warning("security.verify_failed", scheme=scheme_name, error=type(exc).__name__)
        raise _Unavailable

    return owner


async def _grant(scheme_name: str, owners: Verify, credential: str) -> Outcome:
    try:
        owner = await owners(credential)
    except _Unavailable:
        return Refusal.UNAVAILABLE
    return Grant(scheme_name, owner) if owner is not None and is_name(owner) else Refusal.INVALID


def _cookie(header: str, name: str) -> str | None:
    """Values of a repeated cookie are joined, like those of a header."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    values = [value for key, _, value in pairs if key == name]
    return ", ".join(values) if values else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
