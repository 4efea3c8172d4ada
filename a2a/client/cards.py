"""Agent cards: found at the well-known path, read in every version, kept for as long as the agent allows."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pydantic_core
from pydantic import ValidationError

from a2a.card_types import WELL_KNOWN_PATH, AgentCard
from a2a.client.retries import DEFAULT_RETRIES, GATEWAY_STATUSES, Retries, Tries
from a2a.client.transport import NO_TIMEOUTS, Deadline, parsed_url, read, refusal, send
from a2a.compat.card import V03_CARD_PATH, card_from_v03, is_v03_card
from a2a.compat.reading import ShapeError
from a2a.errors import A2AError, AgentHttpError, CardRefused, InvalidAgentResponse, ResponseTooLarge

MAX_CARD_BYTES = 256 * 1024
MAX_CARD_AGE_S = 86_400.0
MAX_KEPT_CARDS = 1_000
_MAX_AGE = re.compile(r'(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[\s,])(?:no-store|no-cache)\b", re.IGNORECASE)
_AGE = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class FetchedCard:
    """`card` is None where it is unchanged since `etag`. It is good for `max_age_s` without asking again."""

    card: AgentCard | None
    etag: str | None
    max_age_s: float


async def fetch_card(
    http: httpx.AsyncClient, url: str, *, timeout_s: float, retries: Retries = DEFAULT_RETRIES
) -> AgentCard:
    """The card at an agent's origin or at the card's own URL, whatever version it is of.

    Raises AgentUnreachable, AgentTimeout, AgentBusy, AddressRefused, AuthenticationFailed, or CardRefused
    with what is wrong with it.
    """
    fetched = await fetch_card_if_changed(http, url, etag=None, timeout_s=timeout_s, retries=retries)
    assert fetched.card is not None
    return fetched.card


async def fetch_card_if_changed(
    http: httpx.AsyncClient,
    url: str,
    *,
    etag: str | None,
    timeout_s: float,
    retries: Retries = DEFAULT_RETRIES,
) -> FetchedCard:
    """The card where it is no longer the one that came with `etag` (8.6). Raises what fetch_card does."""
    card_url = url if url.endswith(".json") else url.rstrip("/") + WELL_KNOWN_PATH
    deadline = Deadline(card_url, timeout_s)
    return await deadline.bound(_with_retries(http, card_url, etag, Tries(retries, deadline, is_read=True)))


async def _with_retries(
    http: httpx.AsyncClient, card_url: str, etag: str | None, tries: Tries
) -> FetchedCard:
    while True:
        try:
            return await _fetch(http, card_url, etag)
        except A2AError as error:
            await tries.pause_after(error)


async def _fetch(http: httpx.AsyncClient, card_url: str, etag: str | None) -> FetchedCard:
    response = await _get(http, card_url, etag)
    if response.status_code == 404 and card_url.endswith(WELL_KNOWN_PATH):
        # Agents of A2A 0.2 have it there.
        await response.aclose()
        response = await _get(http, card_url.removesuffix(WELL_KNOWN_PATH) + V03_CARD_PATH, etag)
    try:
        if response.status_code == 304 and etag is not None:
            return FetchedCard(None, etag, _max_age_s(response))
        refused = refusal(response, card_url)
        if refused is not None and not isinstance(refused, AgentHttpError):
            raise refused
        if response.status_code in GATEWAY_STATUSES:
            raise AgentHttpError(card_url, status=response.status_code)
        if response.status_code != 200:
            raise CardRefused(card_url, f"HTTP {response.status_code} instead of an agent card")
        body = await read(response, max_bytes=MAX_CARD_BYTES)
    except ResponseTooLarge as exc:
        raise CardRefused(card_url, f"the card is over {MAX_CARD_BYTES:,} bytes") from exc
    except InvalidAgentResponse as exc:
        raise CardRefused(card_url, "the answer is not compressed as it says") from exc
    finally:
        await response.aclose()
    return FetchedCard(parse_card(card_url, body), response.headers.get("etag"), _max_age_s(response))


async def _get(http: httpx.AsyncClient, url: str, etag: str | None) -> httpx.Response:
    headers = httpx.Headers({**http.headers, "Accept": "application/json"})
    if etag is not None:
        headers["If-None-Match"] = etag
    request = httpx.Request("GET", parsed_url(url), headers=headers, extensions=NO_TIMEOUTS)
    return await send(http, request, follow_redirects=http.follow_redirects)


def parse_card(card_url: str, body: bytes) -> AgentCard:
    """A card of 0.3 or 0.2 becomes one of 1.0, its interfaces saying what they speak; of a card that has the
    keys of both, those of 1.0 count. Raises CardRefused that names the first fields that are wrong."""
    try:
        content = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise CardRefused(card_url, "the answer is not JSON, so it is no agent card") from exc
    version = "0.3" if is_v03_card(content) else "1.0"
    try:
        return AgentCard.model_validate(card_from_v03(content) if version == "0.3" else content)
    except ValidationError as exc:
        fields = [
            f"{'.'.join(map(str, error['loc'])) or 'card'}: {error['msg']}"
            for error in exc.errors(include_url=False, include_context=False, include_input=False)[:5]
        ]
        why = "; ".join(fields)
    except ShapeError as exc:
        why = str(exc)
    raise CardRefused(card_url, f"not a valid A2A {version} agent card: {why}")


class CardCache:
    """Cards by their URL: given again while they are fresh (Cache-Control), asked after by ETag when they are
    not. One request at a time for each URL; at most `max_cards`, the longest unused goes first."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        max_cards: int = MAX_KEPT_CARDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._max_cards = max_cards
        self._now = now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def get(self, url: str, *, timeout_s: float) -> AgentCard:
        """Raises what fetch_card does; a card that is no longer fresh does not stand in for a failure."""
        kept = self._kept.setdefault(url, _Kept())
        self._kept.move_to_end(url)
        while len(self._kept) > self._max_cards:
            self._kept.popitem(last=False)
        return await Deadline(url, timeout_s).bound(self._fresh(url, kept, timeout_s))

    async def _fresh(self, url: str, kept: "_Kept", timeout_s: float) -> AgentCard:
        async with kept.lock:
            if kept.card is None or self._now() >= kept.fresh_until:
                etag = kept.etag if kept.card is not None else None
                fetched = await fetch_card_if_changed(self._http, url, etag=etag, timeout_s=timeout_s)
                kept.card = fetched.card or kept.card
                kept.etag = fetched.etag
                kept.fresh_until = self._now() + fetched.max_age_s
            assert kept.card is not None
            return kept.card


class _Kept:
    """A card, and who asks for it."""

    def __init__(self) -> None:
        self.card: AgentCard | None = None
        self.etag: str | None = None
        self.fresh_until = 0.0
        self.lock = asyncio.Lock()


def _max_age_s(response: httpx.Response) -> float:
    """What is left of it: a cache on the way may have had the card for a while (Age)."""
    control = response.headers.get("cache-control", "")
    found = _MAX_AGE.search(control)
    if found is None or _NOT_KEPT.search(control):
        return 0.0
    age = response.headers.get("age", "")
    left_s = int(found[1]) - (int(age) if _AGE.fullmatch(age) else 0)
    return float(min(max(left_s, 0), MAX_CARD_AGE_S))
