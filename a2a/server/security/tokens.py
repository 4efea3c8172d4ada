"""Access tokens that are JWTs (RFC 7519, 9068): who signed one decides whether it counts, what it says
decides for whom. Rules of RFC 8725: the algorithm is a declared one, the key from the issuer's set alone."""

from collections.abc import Mapping
from typing import Any

from a2a.server.security.callers import Grant, Outcome, Refusal, is_name
from a2a.server.security.credentials import bearer_token
from a2a.server.security.jwks import Jwks, JwksUnavailable
from a2a.server.security.schemes import OAuth2ClientCredentials

REQUIRED_CLAIMS = ["exp", "iss", "aud"]


class JwtVerifier:
    """Checks signature, exp, nbf, iat, iss and aud; nbf and iat only where the token has them, for many
    issuers send none."""

    def __init__(self, scheme: OAuth2ClientCredentials, jwks: Jwks) -> None:
        # So that a missing package is seen when the agent starts.
        import cryptography  # noqa: F401
        import jwt  # noqa: F401

        self._scheme = scheme
        self._jwks = jwks

    async def verify(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Outcome:  # noqa: ARG002 Verifier's signature
        from jwt import PyJWTError

        token = bearer_token(headers)
        if not isinstance(token, str):
            return token
        try:
            claims = await self._claims(token)
        except JwksUnavailable:
            return Refusal.UNAVAILABLE
        except (PyJWTError, ValueError):
            return Refusal.INVALID
        return self._grant(claims)

    async def _claims(self, token: str) -> dict[str, Any]:
        """What the token says, once it is sure that its issuer said so to us, and still does."""
        import jwt

        header = jwt.get_unverified_header(token)
        algorithm = str(header.get("alg"))
        if algorithm not in self._scheme.algorithms:
            raise jwt.InvalidAlgorithmError
        key = await self._jwks.find(header.get("kid"), algorithm)
        if key is None:
            raise jwt.InvalidTokenError
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._scheme.audience,
            issuer=self._scheme.issuer,
            leeway=self._scheme.leeway_s,
            options={"require": REQUIRED_CLAIMS, "enforce_minimum_key_length": True},
        )

    def _grant(self, claims: Mapping[str, Any]) -> Outcome:
        subject = claims.get("sub") or claims.get("client_id")
        # An issuer's URL has no fragment (RFC 8414, 2), so two issuers' subjects never share a name.
        name = f"{self._scheme.issuer}#{subject}"
        if not isinstance(subject, str) or not is_name(name):
            return Refusal.INVALID
        scopes = _scopes(claims.get("scope")) | _scopes(claims.get("scp"))
        return Grant(self._scheme.scheme_name, name, scopes)


def _scopes(claim: object) -> frozenset[str]:
    """A claim of words separated by spaces, or a list of them; issuers differ."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(word for word in claim if isinstance(word, str))
    return frozenset()
