"""How agents come in: a card is fetched from its own URL, checked, compared with what is known, and kept."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection

from a2a.card_types import AgentCard
from a2a.client import ONE_TRY, FetchedCard, choose_interface, fetch_card_if_changed
from a2a.database import Database
from a2a.errors import A2AError, AddressRefused, CardRefused, TransportError
from coordinator.clock import Now
from coordinator.health.audit import Actor
from coordinator.health.probes import Probed
from coordinator.registry.admission import Policy, is_valid
from coordinator.registry.arrival import Entry, JoinRules, TakenIn, take_in
from coordinator.registry.card_urls import ITSELF, card_url_of, check_advertised, check_no_way_back
from coordinator.registry.errors import CardRejected, JoinRefused, RegistryBusy
from coordinator.registry.mailbox import BringingCard, Joined, checked_card, take_in_card
from coordinator.registry.origin import is_same_server
from coordinator.registry.signatures import Signatures
from coordinator.registry.store import AgentRow, Arrival, find_known

CARD_TIMEOUT_S = 5.0
REACH_TIMEOUT_S = 3.0
MAX_AT_ONCE = 150
MAX_WAITING = 500
BUSY_FOR_S = 5
# Which address a name has in this network is not told.
REFUSED_ADDRESS = (
    "its address is not one that this coordinator may call; an operator can allow more with"
    " AGENTS_ALLOW_LOOPBACK and AGENTS_ALLOW_PRIVATE."
)


@dataclass(frozen=True, slots=True)
class Joining:
    """The wish to join with the card at `url`, which is an agent's origin or the card's own URL.

    `previous_id`: it was here under another URL. `brings_back`: also an agent that an operator removed.
    `is_vouched`: an operator's word stands in for a join token.
    """

    url: str
    actor: Actor
    token: str | None = None
    previous_id: str | None = None
    brings_back: bool = False
    is_vouched: bool = False


class Registry:
    """`http` has to be a guarded client, `own_url` is the coordinator's. `proof_due` is called with the id of
    an agent that is to be checked now."""

    def __init__(
        self,
        database: Database,
        http: httpx.AsyncClient,
        rules: JoinRules,
        signatures: Signatures,
        *,
        tokens: Sequence[str],
        own_url: str,
        proof_due: Callable[[str], None],
        now: Now,
    ) -> None:
        self._database = database
        self._http = http
        self._rules = rules
        self._tokens = tokens
        self._signatures = signatures
        self._own_url = own_url
        self._proof_due = proof_due
        self._now = now
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._waiting = 0

    async def register(self, joining: Joining) -> str:
        """The agent's id. A card URL that is known is brought up to date and keeps its id.

        Raises CardRejected, JoinRefused, RegistryBusy and RegistryFull."""
        has_token = joining.is_vouched or self.check_token(joining.token)
        card_url = card_url_of(joining.url)
        if is_same_server(card_url, self._own_url):
            raise CardRejected(card_url, ITSELF)
        async with self._turn():
            fetched = await self._fetch(card_url)
            assert fetched.card is not None
            arrival = await self._arrival(card_url, fetched.card, fetched.etag)
            has_moved = await self._may_move(joining, card_url, has_token=has_token)
        entry = Entry(
            arrival,
            joining.actor,
            has_token=has_token,
            brings_back=joining.brings_back,
            previous_id=joining.previous_id if has_moved else None,
        )
        return await self._take_in(entry)

    async def register_card(self, wish: BringingCard) -> Joined:
        """The same for an agent that fetches its requests.

        Raises CardRejected, InboxRefused, JoinRefused, RegistryBusy and RegistryFull."""
        has_token = self.check_token(wish.token)
        card = checked_card(wish.card)
        async with self._turn():
            signed_by = await self._signatures.signer_of("inbox", card)

        def change(connection: Connection) -> Joined:
            return take_in_card(
                connection, wish, card, signed_by, self._rules, self._now(), has_token=has_token
            )

        return await self._database.write(change)

    async def card_seen(self, probed: Probed, fetched: FetchedCard) -> str | None:
        """A probe has got a card that may be another than before; why it cannot be used, or None."""
        known = await self._database.read(partial(find_known, agent_id=probed.agent_id))
        if known is None or known.removed_at is not None:
            return None
        assert fetched.card is not None
        if fetched.card.to_json() == known.card and fetched.etag == known.etag:
            return None
        try:
            arrival = await self._arrival(known.card_url, fetched.card, fetched.etag)
        except CardRejected as exc:
            return f"its card has changed and cannot be used: {exc.why}"
        await self._take_in(Entry(arrival, Actor.COORDINATOR, probed))
        return None

    def check_token(self, token: str | None) -> bool:
        """Whether it is a join token of ours. Raises JoinRefused where it is wrong, or missing and needed."""
        if token is not None:
            if not is_valid(token, self._tokens):
                raise JoinRefused(is_wrong=True)
            return True
        if self._rules.policy is Policy.TOKEN:
            raise JoinRefused(is_wrong=False)
        return False

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """However many agents register at once, few are fetched at a time and not many wait for that."""
        if self._waiting >= MAX_WAITING:
            raise RegistryBusy(retry_after_s=BUSY_FOR_S)
        self._waiting += 1
        try:
            async with self._slots:
                yield
        finally:
            self._waiting -= 1

    async def _fetch(self, card_url: str) -> FetchedCard:
        try:
            return await fetch_card_if_changed(self._http, card_url, etag=None, timeout_s=CARD_TIMEOUT_S)
        except AddressRefused as exc:
            raise CardRejected(card_url, REFUSED_ADDRESS) from exc
        except TransportError as exc:
            raise CardRejected(card_url, f"{exc.detail}.") from exc

    async def _arrival(self, card_url: str, card: AgentCard, etag: str | None) -> Arrival:
        if not card.skills:
            raise CardRejected(card_url, "its card lists no skills, so no step could go to it.")
        try:
            interface = choose_interface(card)
        except CardRefused as exc:
            raise CardRejected(card_url, f"{exc.detail}.") from exc
        check_advertised(card_url, interface.url)
        check_no_way_back(card, card_url, self._own_url)
        await self._reach(card_url, interface.url)
        return Arrival(card_url, card, etag, interface, await self._signatures.signer_of(card_url, card))

    async def _reach(self, card_url: str, url: str) -> None:
        """Whether anything answers where the card says to call. The server that served the card does."""
        if is_same_server(card_url, url):
            return
        try:
            async with self._http.stream("HEAD", url, timeout=REACH_TIMEOUT_S):
                return
        except AddressRefused as exc:
            raise CardRejected(card_url, REFUSED_ADDRESS) from exc
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            parts = urlsplit(card_url)
            raise CardRejected(
                card_url,
                f"its card says to call {url}, where nothing answers, though the card itself came from"
                f" {parts.scheme}://{parts.netloc}; set AGENT_URL to the URL by which the agent is reached.",
            ) from exc
        except httpx.HTTPError:
            return

    async def _may_move(self, joining: Joining, card_url: str, *, has_token: bool) -> bool:
        """Whether the agent with the previous id is this one. Raises CardRejected where it still answers."""
        if joining.previous_id is None:
            return False
        known = await self._database.read(partial(find_known, agent_id=joining.previous_id))
        if known is None or known.removed_at is not None or known.card_url == card_url:
            return False
        if known.inbox_digest is not None and not joining.is_vouched:
            raise CardRejected(card_url, f"the agent {known.id} is another, which fetches its requests.")
        if not has_token and await self._answers(known):
            raise CardRejected(
                card_url,
                f"the agent {known.id} still answers at its old URL; stop it there, or show a join token.",
            )
        return True

    async def _answers(self, known: AgentRow) -> bool:
        try:
            await fetch_card_if_changed(
                self._http, known.card_url, etag=None, timeout_s=REACH_TIMEOUT_S, retries=ONE_TRY
            )
        except A2AError:
            return False
        return True

    async def _take_in(self, entry: Entry) -> str:
        def change(connection: Connection) -> TakenIn:
            return take_in(connection, entry, self._rules, self._now())

        taken_in = await self._database.write(change)
        if taken_in.is_proof_due:
            self._proof_due(taken_in.agent_id)
        return taken_in.agent_id
