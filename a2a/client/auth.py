"""Credentials for what a card asks: each security scheme of a requirement fulfilled, on every request.

Credentials go to the origin of the interface that was chosen and nowhere else; a client secret goes to a
token endpoint over TLS only, unless that is on this machine or at the agent itself.
"""

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias
from urllib.parse import quote, quote_plus, urlencode

import httpx
import pydantic_core

from a2a.card_types import AgentCard, AgentInterface, APIKeySecurityScheme, SecurityScheme
from a2a.client.binding import Extras
from a2a.client.transport import NO_TIMEOUTS, parsed_url, read, refusal, send
from a2a.errors import A2AError, AgentBusy, AgentUnreachable, AuthenticationFailed, ResponseTooLarge
from a2a.types import Json

MAX_TOKEN_ANSWER_BYTES = 64 * 1024
# Of a token whose endpoint does not say how long it lives.
TOKEN_LIFE_S = 300.0
MAX_TOKEN_LIFE_S = 86_400.0
# A token that is about to end is renewed before it is refused; of a short life it is a tenth.
RENEW_BEFORE_S = 30.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# A card may name any header for its key, but for those that say how the request is to be read.
FRAMING_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te"})
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_ERROR_WORD = re.compile(r"[a-z_]{1,50}")


@dataclass(frozen=True, slots=True)
class ApiKeyCredential:
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BearerCredential:
    """For HTTP bearer, OAuth 2 and OpenID Connect. A callable is asked for the token at each request, and
    once more where the agent refuses it."""

    token: str | Callable[[], Awaitable[str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth 2 client credentials (RFC 6749, 4.4). `token_url` stands above the one on the card: give it where
    the card is not trusted with the secret."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str | None = None


Credential: TypeAlias = ApiKeyCredential | BearerCredential | ClientCredentials
Placed: TypeAlias = tuple[Literal["header", "query", "cookie"], str, str]


class _Source(Protocol):
    """Where the credential of one scheme comes from. `renew` is told what went with a refused request, and
    says whether there may be another one now."""

    async def place(self) -> Placed: ...

    async def renew(self, refused: Extras) -> bool: ...


class Authenticator:
    """The credentials of one requirement, all of them on each request."""

    def __init__(self, url: str, sources: Sequence[_Source]) -> None:
        self._url = url
        self._sources = sources

    async def extras(self) -> Extras:
        headers: dict[str, str] = {}
        query: dict[str, str] = {}
        cookies = []
        for source in self._sources:
            where, name, value = await source.place()
            if not value.isascii() or not value.isprintable():
                raise AuthenticationFailed(self._url, "our credential holds characters that no header takes")
            if where == "header":
                headers[name] = value
            elif where == "query":
                query[name] = value
            else:
                cookies.append(f"{name}={quote(value, safe='!#$&()*+-./:<=>?@[]^_`{|}~')}")
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        return Extras(headers, query)

    async def renew(self, refused: Extras) -> bool:
        """After the agent refused a request with these: whether there may be something else to give."""
        return any([await source.renew(refused) for source in self._sources])


def authenticator_for(
    http: httpx.AsyncClient, card: AgentCard, interface: AgentInterface, credentials: Mapping[str, Credential]
) -> Authenticator | None:
    """For the first requirement of the card that `credentials`, by scheme name, can fulfil; None where it
    requires nothing, and where there are no credentials. Raises AuthenticationFailed where none is fulfilled.
    """
    requirements = [requirement.schemes or {} for requirement in card.security_requirements or []]
    if not requirements or not credentials:
        return None
    declared = card.security_schemes or {}
    for schemes in requirements:
        sources = []
        for name, scopes in schemes.items():
            scheme, credential = declared.get(name), credentials.get(name)
            if scheme is None or credential is None:
                break
            source = _source(http, interface.url, scheme, credential, scopes.list or [])
            if source is None:
                break
            sources.append(source)
        else:
            return Authenticator(interface.url, sources) if sources else None
    wanted = " or ".join(" with ".join(schemes) for schemes in requirements)
    raise AuthenticationFailed(
        interface.url, f"its card asks for {wanted}; our credentials are for {', '.join(credentials)}"
    )


def _source(
    http: httpx.AsyncClient, url: str, scheme: SecurityScheme, credential: Credential, scopes: list[str]
) -> _Source | None:
    """None where the credential does not fit the scheme."""
    match credential:
        case ApiKeyCredential():
            wanted = scheme.api_key_security_scheme
            return _ApiKey(wanted, credential.key) if wanted is not None and _is_usable(wanted) else None
        case BearerCredential():
            return _Bearer(credential.token) if _takes_bearer(scheme) else None
        case ClientCredentials():
            oauth2 = scheme.oauth2_security_scheme
            flow = oauth2.flows.client_credentials if oauth2 is not None else None
            token_url = credential.token_url or (flow.token_url if flow is not None else None)
            if oauth2 is None or token_url is None:
                return None
            return _ClientToken(http, url, credential, token_url, scopes)


def _takes_bearer(scheme: SecurityScheme) -> bool:
    spoken = scheme.http_auth_security_scheme
    if spoken is not None:
        return spoken.scheme.lower() == "bearer"
    return scheme.oauth2_security_scheme is not None or scheme.open_id_connect_security_scheme is not None


def _is_usable(scheme: APIKeySecurityScheme) -> bool:
    return _TOKEN.fullmatch(scheme.name) is not None and scheme.name.lower() not in FRAMING_HEADERS


class _ApiKey:
    def __init__(self, scheme: APIKeySecurityScheme, key: str) -> None:
        self._placed: Placed = (scheme.location, scheme.name, key)

    async def place(self) -> Placed:
        return self._placed

    async def renew(self, refused: Extras) -> bool:  # noqa: ARG002 the sources' signature
        return False


class _Bearer:
    def __init__(self, token: str | Callable[[], Awaitable[str]]) -> None:
        self._token = token

    async def place(self) -> Placed:
        token = self._token if isinstance(self._token, str) else await self._token()
        return "header", "Authorization", f"Bearer {token}"

    async def renew(self, refused: Extras) -> bool:  # noqa: ARG002 the sources' signature
        return not isinstance(self._token, str)


class _ClientToken:
    """A token of the scheme's endpoint, kept while it lives; who asks meanwhile waits for the one request."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        agent_url: str,
        credential: ClientCredentials,
        token_url: str,
        scopes: list[str],
    ) -> None:
        self._http = http
        self._agent_url = agent_url
        self._token_url = token_url
        self._credential = credential
        self._scopes = scopes
        self._token = ""
        self._ends_at = 0.0
        self._lock = asyncio.Lock()

    async def place(self) -> Placed:
        async with self._lock:
            if time.monotonic() >= self._ends_at:
                await self._fetch()
            return "header", "Authorization", f"Bearer {self._token}"

    async def renew(self, refused: Extras) -> bool:
        """Of several calls that were refused the first drops the token; the others find the new one."""
        async with self._lock:
            if refused.headers.get("Authorization") == f"Bearer {self._token}":
                self._ends_at = 0.0
            return True

    async def _fetch(self) -> None:
        request = self._request()
        try:
            response = await send(self._http, request, follow_redirects=False)
            try:
                refused = refusal(response, self._token_url)
                if isinstance(refused, AgentBusy):
                    raise refused
                body = await read(response, max_bytes=MAX_TOKEN_ANSWER_BYTES)
            finally:
                await response.aclose()
        except AgentUnreachable as exc:
            # The agent itself has not been called yet.
            raise AgentUnreachable(self._token_url, exc.detail, may_have_arrived=False) from exc
        except ResponseTooLarge as exc:
            raise AuthenticationFailed(self._token_url, "its token is too large") from exc
        answer = _object(body)
        if response.status_code != 200:
            raise self._refused(f"HTTP {response.status_code}", answer)
        token, kind = answer.get("access_token"), answer.get("token_type", "bearer")
        if not isinstance(token, str) or not token or not isinstance(kind, str) or kind.lower() != "bearer":
            raise self._refused("no bearer token", answer)
        life_s = _life_s(answer.get("expires_in"))
        self._token = token
        self._ends_at = time.monotonic() + life_s - min(RENEW_BEFORE_S, life_s / 10)

    def _request(self) -> httpx.Request:
        url = parsed_url(self._token_url)
        agent = parsed_url(self._agent_url)
        is_at_agent = (url.scheme, url.host, url.port) == (agent.scheme, agent.host, agent.port)
        if url.scheme != "https" and url.host not in LOOPBACK and not is_at_agent:
            raise AuthenticationFailed(self._token_url, "a client secret is not sent without TLS")
        # RFC 6749, 2.3.1: both are form-encoded before they are joined.
        pair = f"{quote_plus(self._credential.client_id)}:{quote_plus(self._credential.client_secret)}"
        form = {"grant_type": "client_credentials"}
        if self._scopes:
            form["scope"] = " ".join(self._scopes)
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii"),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        content = urlencode(form).encode()
        return httpx.Request("POST", url, headers=headers, content=content, extensions=NO_TIMEOUTS)

    def _refused(self, what: str, answer: Mapping[str, Json]) -> A2AError:
        word = answer.get("error")
        said = f" ({word})" if isinstance(word, str) and _ERROR_WORD.fullmatch(word) else ""
        return AuthenticationFailed(self._token_url, f"the token endpoint gave {what}{said}")


def _object(body: bytes) -> dict[str, Json]:
    try:
        answer = pydantic_core.from_json(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _life_s(value: Json) -> float:
    """Some endpoints say it as a string."""
    try:
        life_s = float(value)
    except (TypeError, ValueError, OverflowError):
        return TOKEN_LIFE_S
    return min(life_s, MAX_TOKEN_LIFE_S) if life_s > 0 else TOKEN_LIFE_S
