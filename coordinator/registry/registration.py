"""How an agent comes in: its card is fetched from its own URL, checked, and kept."""

from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection

from a2a.card_types import WELL_KNOWN_PATH, AgentCard, AgentInterface
from a2a.client import choose_interface, fetch_card
from a2a.database import Database
from a2a.errors import AddressRefused, CardRefused, TransportError
from coordinator.clock import Now
from coordinator.health.record import record
from coordinator.registry.errors import CardRejected
from coordinator.registry.origin import is_same_server
from coordinator.registry.store import is_removed, save_agent
from models.states import Evidence

CARD_TIMEOUT_S = 5.0
NOWHERE = ("0.0.0.0", "::")  # noqa: S104 looked for, not bound
ITSELF = "it is this coordinator itself, which would send its tasks to itself; register another agent."
# Which address a name has in this network is not told.
REFUSED_ADDRESS = (
    "its address is not one that this coordinator may call; an operator can allow more with"
    " AGENTS_ALLOW_LOOPBACK and AGENTS_ALLOW_PRIVATE."
)


async def register(
    database: Database, http: httpx.AsyncClient, url: str, now: Now, *, own_url: str, by_operator: bool
) -> str:
    """Fetch and check the card at `url` (an agent's origin, or the card's own URL), keep the agent; its id.

    A card URL that is known is brought up to date and keeps its id; one that was removed comes back only
    `by_operator`. `http` has to be a guarded client, `own_url` is the coordinator's. Raises CardRejected.
    """
    card_url = _card_url(url)
    if is_same_server(card_url, own_url):
        raise CardRejected(card_url, ITSELF)
    try:
        card = await fetch_card(http, card_url, timeout_s=CARD_TIMEOUT_S)
    except AddressRefused as exc:
        raise CardRejected(card_url, REFUSED_ADDRESS) from exc
    except TransportError as exc:
        raise CardRejected(card_url, f"{exc.detail}.") from exc
    interface = _usable_interface(card_url, card)
    if is_same_server(interface.url, own_url):
        raise CardRejected(card_url, ITSELF)

    def change(connection: Connection) -> str:
        at = now()
        if not by_operator and is_removed(connection, card_url):
            raise CardRejected(
                card_url, "an operator removed this agent; add it again with POST /api/agents."
            )
        agent_id = save_agent(connection, card_url, interface, card, at)
        record(connection, agent_id, Evidence.REGISTRATION, ok=True, detail="registered", now=at)
        return agent_id

    return await database.write(change)


def _card_url(url: str) -> str:
    """The card's URL in one spelling. Raises CardRejected for what is no http(s) URL."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        httpx.URL(url.strip())  # it knows of hosts that are none, such as xn--
    except (ValueError, httpx.InvalidURL) as exc:
        raise CardRejected(url, "it is not a URL.") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CardRejected(url, "its URL has to begin with http:// or https:// and name a host.")
    if parts.username or parts.password:
        raise CardRejected(url, "its URL must not hold a user name or password.")
    if parts.hostname in NOWHERE:
        raise CardRejected(url, "0.0.0.0 is no address to call; advertise the host's name or address.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return origin + (parts.path if parts.path.endswith(".json") else parts.path.rstrip("/") + WELL_KNOWN_PATH)


def _usable_interface(card_url: str, card: AgentCard) -> AgentInterface:
    try:
        interface = choose_interface(card)
    except CardRefused as exc:
        raise CardRejected(card_url, f"{exc.detail}.") from exc
    url = interface.url
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise CardRejected(card_url, "the interface URL on its card is not a URL.") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CardRejected(card_url, "the interface URL on its card is not an http(s) URL.")
    if parts.hostname in NOWHERE:
        raise CardRejected(
            card_url,
            f"its card says to call {url}, which is no address; set AGENT_URL to the host's name or address.",
        )
    if not card.skills:
        raise CardRejected(card_url, "its card lists no skills, so no step could go to it.")
    return interface
