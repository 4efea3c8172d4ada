"""From the credentials of a request to its caller, by the schemes and requirements that the card declares."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, assert_never

from a2a.errors import AuthenticationUnavailable, PermissionDenied, Unauthenticated
from a2a.server.security.callers import ANONYMOUS, Caller, Grant, Refusal
from a2a.server.security.credentials import KeyVerifier, TokenVerifier, Verifier
from a2a.server.security.schemes import (
    ApiKey,
    Bearer,
    OAuth2ClientCredentials,
    Requirement,
    Scheme,
    checked_requirements,
    checked_schemes,
)

if TYPE_CHECKING:
    import httpx


class Authenticator:
    """`requirements` are met by any one of them; None means any one scheme, and an empty sequence lets
    everybody in. `realm` names the agent in challenges. `http` fetches the keys of OAuth2 issuers."""

    def __init__(
        self,
        schemes: Sequence[Scheme],
        requirements: Sequence[Requirement] | None = None,
        *,
        realm: str = "a2a",
        http: "httpx.AsyncClient | None" = None,
    ) -> None:
        self._schemes = checked_schemes(schemes)
        # That everybody may call is the requirement of nothing.
        self._requirements = checked_requirements(schemes, requirements) or ({},)
        self._verifiers = {name: _verifier(scheme, http) for name, scheme in self._schemes.items()}
        self._realm = _quoted(realm)

    async def authenticate(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Caller:
        """The caller, or ANONYMOUS where no credential is required and none was presented. Header names are
        lower-case; `header_map` and `query_map` make both mappings.

        Raises Unauthenticated, PermissionDenied or AuthenticationUnavailable. A wrong credential is refused
        even where none is required, unless another one of the request holds.
        """
        outcomes = {name: await verifier.verify(headers, query) for name, verifier in self._verifiers.items()}
        grants = tuple(outcome for outcome in outcomes.values() if isinstance(outcome, Grant))
        refused = [name for name, outcome in outcomes.items() if outcome is Refusal.INVALID]
        met = _first_met(grants, self._requirements)
        if met is None or not grants:
            if Refusal.UNAVAILABLE in outcomes.values():
                raise AuthenticationUnavailable
            if met is None or refused:
                raise self._refusal(grants, self._requirements, refused)
        return _caller(grants, met)

    def check(self, caller: Caller, requirements: Sequence[Requirement]) -> None:
        """Whether the caller has shown what one of `requirements` asks for, as a skill's may. Raises
        Unauthenticated where a credential is missing, PermissionDenied where only a scope is."""
        if requirements and _first_met(caller.grants, requirements) is None:
            raise self._refusal(caller.grants, requirements, refused=())

    def check_known(self, caller: Caller) -> None:
        """That the caller is somebody. Raises Unauthenticated."""
        self.check(caller, [{name: ()} for name in self._schemes])

    def _refusal(
        self, grants: Sequence[Grant], requirements: Sequence[Requirement], refused: Sequence[str]
    ) -> Unauthenticated | PermissionDenied:
        shown = {grant.scheme for grant in grants}
        for requirement in requirements:
            if requirement and requirement.keys() <= shown:
                scopes = " ".join(scope for needed in requirement.values() for scope in needed)
                challenge = f'Bearer realm={self._realm}, error="insufficient_scope", scope="{scopes}"'
                return PermissionDenied(challenge=challenge)
        asked = [name for requirement in requirements for name in requirement if name not in shown]
        challenges = dict.fromkeys(self._challenge(name, refused) for name in [*refused, *asked])
        return Unauthenticated(challenge=", ".join(challenges))

    def _challenge(self, name: str, refused: Sequence[str]) -> str:
        scheme = self._schemes[name]
        if isinstance(scheme, ApiKey):
            return f'ApiKey realm={self._realm}, in="{scheme.location}", name="{scheme.name}"'
        # Without credentials there is no error to tell (RFC 6750, 3.1).
        return f"Bearer realm={self._realm}" + (', error="invalid_token"' if name in refused else "")


def _first_met(grants: Sequence[Grant], requirements: Sequence[Requirement]) -> Requirement | None:
    scopes = {grant.scheme: grant.scopes for grant in grants}
    for requirement in requirements:
        if all(name in scopes and scopes[name].issuperset(needed) for name, needed in requirement.items()):
            return requirement
    return None


def _caller(grants: tuple[Grant, ...], met: Requirement) -> Caller:
    """Named by the first scheme of the requirement that was met, or where it asks for none by the first one
    that was shown."""
    if not grants:
        return ANONYMOUS
    first = next(iter(met), grants[0].scheme)
    grant = next(grant for grant in grants if grant.scheme == first)
    return Caller(grant.name, grant.scheme, grant.scopes, grants)


def _verifier(scheme: Scheme, http: "httpx.AsyncClient | None") -> Verifier:
    match scheme:
        case ApiKey():
            return KeyVerifier(scheme)
        case Bearer():
            return TokenVerifier(scheme)
        case OAuth2ClientCredentials():
            if http is None:
                raise ValueError("an OAuth2 scheme needs an HTTP client for the issuer's keys")
            # Only who checks tokens of an issuer needs an HTTP client, and the cryptography beneath.
            from a2a.server.security.jwks import Jwks
            from a2a.server.security.tokens import JwtVerifier

            return JwtVerifier(scheme, Jwks(http, scheme.jwks_url, scheme.algorithms))
        case _:
            assert_never(scheme)


def _quoted(text: str) -> str:
    """A quoted string of a header (RFC 9110, 5.6.4), of what ASCII of the text can be in one."""
    plain = "".join(char for char in text if char.isascii() and char.isprintable())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
