"""What an agent's author declares: security schemes, the keys for them, and requirements.

Declarations only; a mistake in one is a ValueError when it is made. None of the texts here holds a secret.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from a2a.server.security.callers import is_name

# From a credential to the name of its owner, or None.
Verify: TypeAlias = Callable[[str], Awaitable[str | None]]
Location: TypeAlias = Literal["header", "query", "cookie"]
# Scheme names with the scopes each must grant, all together: `{"oauth2": ["tasks.write"]}`. A sequence of
# these is met by any one; `{}` is met by everybody.
Requirement: TypeAlias = Mapping[str, Sequence[str]]

MIN_KEY_CHARS = 16
MAX_CREDENTIAL_CHARS = 16_384
KEY = re.compile(r"[\x21-\x7e]+")
BEARER_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, 2.1
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # RFC 9110, 5.1
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")  # RFC 6749, 3.3
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# The signature algorithms that may be declared, with the type and curve of the keys each needs. None of them
# is symmetric: a public key must never serve as a shared secret.
ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key in a header, the query or a cookie; its owner is the caller. URLs end up in logs.

    `keys` maps owners to keys, or is an async function from a key to its owner's name or None.
    """

    keys: Mapping[str, SecretStr] | Verify = field(repr=False)
    name: str = "X-API-Key"
    location: Location = "header"
    scheme_name: str = "apiKey"
    description: str | None = None

    def __post_init__(self) -> None:
        if not _FIELD_NAME.fullmatch(self.name):
            raise ValueError("an API key's name must be usable as the name of a header")
        _check_keys(self.keys, KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An opaque token as `Authorization: Bearer ...`; its owner is the caller. `tokens` as `ApiKey.keys`."""

    tokens: Mapping[str, SecretStr] | Verify = field(repr=False)
    bearer_format: str | None = None
    scheme_name: str = "bearer"
    description: str | None = None

    def __post_init__(self) -> None:
        _check_keys(self.tokens, BEARER_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2ClientCredentials:
    """An access token from an authorization server: a JWT that one of the keys at `jwks_url` has signed.

    `issuer` and `audience` are compared with the token's as they stand. The caller is the issuer and the
    token's subject (or client id). `scopes` maps each scope to its description. Needs pyjwt[crypto].
    """

    token_url: str
    jwks_url: str
    issuer: str
    audience: str
    scopes: Mapping[str, str] = field(default_factory=dict)
    algorithms: Sequence[str] = ("RS256", "ES256", "EdDSA")
    leeway_s: float = 30.0
    scheme_name: str = "oauth2"
    description: str | None = None

    def __post_init__(self) -> None:
        for url in (self.token_url, self.jwks_url):
            _check_url(url)
        if not self.issuer or not self.audience:
            raise ValueError("issuer and audience must not be empty")
        if not self.algorithms or not set(self.algorithms) <= ALGORITHMS.keys():
            raise ValueError(f"algorithms must be some of {', '.join(ALGORITHMS)}")
        for scope in self.scopes:
            if not _SCOPE.fullmatch(scope):
                raise ValueError(f"{scope!r} is no scope")


Scheme: TypeAlias = ApiKey | Bearer | OAuth2ClientCredentials


def parse_keys(text: SecretStr) -> dict[str, SecretStr]:
    """Keys by owner from `owner=key` entries, separated by commas or line breaks, as a setting or a file
    holds them. Raises ValueError, which names an entry by its number only."""
    keys: dict[str, SecretStr] = {}
    entries = re.split(r"[,\n]", text.get_secret_value())
    for number, entry in enumerate(entries, start=1):
        owner, _, key = (part.strip() for part in entry.partition("="))
        if not owner and not key:
            continue
        if not owner or not key:
            raise ValueError(f"entry {number} of the keys is not owner=key")
        if owner in keys:
            raise ValueError(f"entry {number} of the keys names an owner again")
        keys[owner] = SecretStr(key)
    return keys


def checked_schemes(schemes: Sequence[Scheme]) -> dict[str, Scheme]:
    """The schemes by their names on the card."""
    named = {scheme.scheme_name: scheme for scheme in schemes}
    if len(named) < len(schemes) or not all(map(is_name, named)):
        raise ValueError("each security scheme needs a scheme_name of its own")
    return named


def checked_requirements(
    schemes: Sequence[Scheme], requirements: Sequence[Requirement] | None
) -> tuple[Requirement, ...]:
    """The requirements, once it is sure that they can be met. None means any one of the schemes."""
    named = checked_schemes(schemes)
    if requirements is None:
        return tuple({name: ()} for name in named)
    for requirement in requirements:
        for name, scopes in requirement.items():
            scheme = named.get(name)
            if scheme is None:
                raise ValueError(f"a requirement names the scheme {name!r}, which is not declared")
            declared = scheme.scopes if isinstance(scheme, OAuth2ClientCredentials) else {}
            if isinstance(scopes, str) or not set(scopes) <= declared.keys():
                raise ValueError(f"a requirement names scopes that the scheme {name!r} does not declare")
    return tuple(requirements)


def _check_keys(keys: Mapping[str, SecretStr] | Verify, grammar: re.Pattern[str]) -> None:
    if not isinstance(keys, Mapping):
        return
    for owner, secret in keys.items():
        key = secret.get_secret_value()
        if not is_name(owner):
            raise ValueError("a key's owner must be a printable name")
        if not MIN_KEY_CHARS <= len(key) <= MAX_CREDENTIAL_CHARS or not grammar.fullmatch(key):
            raise ValueError(
                f"the key of {owner!r} must have {MIN_KEY_CHARS} characters or more, and none that its place"
                " in a request does not allow"
            )
    if len({secret.get_secret_value() for secret in keys.values()}) < len(keys):
        raise ValueError("a key must have one owner")


def _check_url(url: str) -> None:
    """Whoever can change what is sent to or read from these addresses can be anybody: RFC 6749, 3.2."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        raise ValueError(f"{url!r} must be an https address, or http on this machine")
