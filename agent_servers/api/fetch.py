"""GET of a JSON or text resource by URL, through the guard: one request, capped in size and time."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from a2a import SkillFailed
from a2a.errors import AddressRefused, ResponseTooLarge
from a2a.guard import AddressPolicy, guarded_client, read_capped

_URL = re.compile(r"(?i)\bhttps?://[^\s<>\"'`\u201c\u201d]+")
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_URL_CHARS = 2_000
_HEADERS = {"Accept": "application/json, text/*;q=0.8", "User-Agent": "parley-api-agent/0.1"}


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_s: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL answered: JSON where `is_json`, else text."""

    url: str
    status: int
    size: int
    media_type: str
    value: Any
    is_json: bool

    def line(self) -> str:
        return f"GET {self.url} answered {self.status}: {self.size:,} bytes of {self.media_type}."


class UrlRefused(Exception):
    """The URL will not be fetched; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def find_urls(text: str) -> list[str]:
    """The http and https URLs in an instruction, each once, without the punctuation that ends a clause."""
    return list(dict.fromkeys(_trimmed(match[0]) for match in _URL.finditer(text)))


def _trimmed(url: str) -> str:
    url = url.rstrip(".,;:!?*")
    while url.endswith((")", "]", "}")):
        opening = {")": "(", "]": "[", "}": "{"}[url[-1]]
        if url.count(opening) >= url.count(url[-1]):
            break
        url = url[:-1].rstrip(".,;:!?")
    return url


def checked(url: str) -> httpx.URL:
    """The URL parsed. Raises UrlRefused for credentials, missing hosts and excessive length."""
    if len(url) > _MAX_URL_CHARS:
        raise UrlRefused(f"it is over {_MAX_URL_CHARS:,} characters")
    try:
        parsed = httpx.URL(url)
        has_host = bool(parsed.host)
    except (httpx.InvalidURL, UnicodeError) as exc:
        # UnicodeError: the host of http://xn--/ is no name.
        raise UrlRefused("it is not a valid URL") from exc
    if not has_host:
        raise UrlRefused("it names no host")
    if parsed.userinfo:
        raise UrlRefused("it carries credentials; send a URL without user name and password")
    return parsed


def shown(url: httpx.URL) -> str:
    """The URL fit to be printed: values of its query may be keys, so only their names are kept."""
    names = "&".join(f"{name}=..." for name in dict.fromkeys(url.params.keys()))
    plain = str(url.copy_with(query=None, fragment=None, userinfo=b""))
    return f"{plain}?{names}" if names else plain


async def fetch(url: str, policy: AddressPolicy, limits: Limits) -> Fetched:
    """Raises UrlRefused before and SkillFailed after the request, retryable where that may help."""
    target = checked(url)
    name = shown(target)
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _get(target, policy, limits)
    except AddressRefused as exc:
        raise UrlRefused(
            f"{target.host} is an address this agent may not connect to; use a public one"
        ) from exc
    except ResponseTooLarge as exc:
        raise SkillFailed(f"{name} answers with over {limits.max_bytes:,} bytes; ask it for less.") from exc
    except (TimeoutError, httpx.TimeoutException) as exc:
        raise SkillFailed(f"{name} did not answer within {limits.timeout_s:g} s.", retryable=True) from exc
    except httpx.TooManyRedirects as exc:
        raise SkillFailed(f"{name} redirects too often; use the address it leads to.") from exc
    except (httpx.UnsupportedProtocol, UnicodeError) as exc:
        raise SkillFailed(f"{name} redirects to an address that is neither http nor https.") from exc
    except httpx.HTTPError as exc:
        raise SkillFailed(f"{name} cannot be reached; check the address.", retryable=True) from exc


async def _get(target: httpx.URL, policy: AddressPolicy, limits: Limits) -> Fetched:
    async with (
        guarded_client(policy, timeout_s=limits.timeout_s) as client,
        client.stream("GET", target, headers=_HEADERS) as response,
    ):
        name, status = shown(target), response.status_code
        if status >= 400:
            raise SkillFailed(f"{name} answered with status {status}.", retryable=status in _RETRYABLE)
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = media_type == "application/json" or media_type.endswith("+json")
        if not is_json and not media_type.startswith("text/"):
            kind = media_type or "no media type"
            raise SkillFailed(f"{name} answers with {kind}; only JSON and text are fetched.")
        raw = await read_capped(response, max_bytes=limits.max_bytes)
        encoding = response.charset_encoding or "utf-8"
    value = _json(raw, name) if is_json else _text(raw, encoding)
    return Fetched(name, status, len(raw), media_type, value, is_json)


def _json(raw: bytes, name: str) -> Any:
    try:
        # NaN and Infinity are no JSON and could not be sent on.
        return json.loads(raw, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as exc:
        raise SkillFailed(f"{name} says it sends JSON, but its answer is not valid JSON.") from exc


def _text(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding, errors="replace")
    except LookupError:
        return raw.decode("utf-8", errors="replace")
