"""Whose signature a card has, as far as the keys that an operator trusts can tell."""

import httpx
import pydantic_core

from a2a.card_types import AgentCard
from a2a.errors import A2AError, CardRefused
from a2a.guard import read_capped
from a2a.signing import CardSignatureInvalid, Refusal, TrustStore, verify_card
from a2a.types import Json
from coordinator.registry.errors import CardRejected

MAX_KEY_SET_BYTES = 64 * 1024
KEY_SET_TIMEOUT_S = 5.0


class Signatures:
    """`http` has to be a guarded client. With `is_required` an unsigned card, and one whose key is not
    trusted, is rejected; a signature that does not match its card always is."""

    def __init__(self, http: httpx.AsyncClient, trust: TrustStore, *, is_required: bool) -> None:
        self._http = http
        self._trust = trust
        self._is_required = is_required

    async def signer_of(self, card_url: str, card: AgentCard) -> str | None:
        """The id of the trusted key that signed the card; None where there is none. Raises CardRejected."""
        if not card.signatures and not self._is_required:
            return None
        try:
            verified = await verify_card(card.to_json(), self._trust, fetch_keys=self._fetch_keys)
        except CardSignatureInvalid as exc:
            if self._is_required or Refusal.MISMATCH in exc.refusals:
                raise CardRejected(card_url, f"its card's signature does not count: {exc}.") from exc
            return None
        except A2AError as exc:
            if self._is_required:
                raise CardRejected(card_url, "the key set of its card's signature cannot be read.") from exc
            return None
        return verified.kid

    async def _fetch_keys(self, url: str) -> Json:
        try:
            async with self._http.stream("GET", url, timeout=KEY_SET_TIMEOUT_S) as response:
                if response.status_code != 200:
                    raise CardRefused(url, f"HTTP {response.status_code} instead of a key set")
                body = await read_capped(response, max_bytes=MAX_KEY_SET_BYTES)
        except httpx.HTTPError as exc:
            raise CardRefused(url, "the key set cannot be fetched") from exc
        return _json(url, body)


def _json(url: str, body: bytes) -> Json:
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise CardRefused(url, "the key set is not JSON") from exc
