"""Agents that cannot be called: they bring their card, and fetch their requests with a secret."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic_core import to_json
from sqlalchemy import Connection

from a2a.card_types import AgentCard, AgentInterface
from a2a.client import parse_card
from a2a.client.cards import MAX_CARD_BYTES
from a2a.errors import CardRefused
from a2a.types import PROTOCOL_VERSION, Json
from coordinator.health.absence import GRACE_S
from coordinator.health.audit import Actor
from coordinator.registry.arrival import Entry, JoinRules, take_in
from coordinator.registry.errors import AgentNotFound, CardRejected, InboxRefused
from coordinator.registry.store import AgentRow, Arrival, find_known, set_agent
from models.ids import new_id

MAILBOX_BINDING = "urn:parley:mailbox:v1"
_SCHEME = "inbox:"
_BROUGHT = "inbox"


@dataclass(frozen=True, slots=True)
class BringingCard:
    """The wish to join with `card`. `agent_id` and `secret` are those of an agent that was here before."""

    card: Json
    actor: Actor
    token: str | None = None
    agent_id: str | None = None
    secret: str | None = None
    brings_back: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """`secret` is None where the agent has it already: it is told once, and only its digest is kept."""

    agent_id: str
    secret: str | None


def interface_of(agent_id: str) -> AgentInterface:
    return AgentInterface(
        url=_SCHEME + agent_id, protocol_binding=MAILBOX_BINDING, protocol_version=PROTOCOL_VERSION
    )


def is_mailbox(interface: AgentInterface) -> bool:
    return interface.protocol_binding == MAILBOX_BINDING


def agent_id_of(interface: AgentInterface) -> str:
    return interface.url.removeprefix(_SCHEME)


def checked_card(content: Json) -> AgentCard:
    """As it was brought. It need not say where the agent is called. Raises CardRejected."""
    if isinstance(content, dict) and not {"supportedInterfaces", "supported_interfaces", "url"} & set(
        content
    ):
        content = content | {"supportedInterfaces": [interface_of("").to_json()]}
    body = to_json(content)
    if len(body) > MAX_CARD_BYTES:
        raise CardRejected(_BROUGHT, f"its card is over {MAX_CARD_BYTES:,} bytes.")
    try:
        card = parse_card(_BROUGHT, body)
    except CardRefused as exc:
        raise CardRejected(_BROUGHT, f"{exc.detail}.") from exc
    if not card.skills:
        raise CardRejected(_BROUGHT, "its card lists no skills, so no step could go to it.")
    return card


def take_in_card(
    connection: Connection,
    wish: BringingCard,
    card: AgentCard,
    signed_by: str | None,
    rules: JoinRules,
    now: datetime,
    *,
    has_token: bool,
) -> Joined:
    """Raises InboxRefused where the secret is not the agent's, and what take_in does."""
    known = find_known(connection, agent_id=wish.agent_id, locks=True) if wish.agent_id is not None else None
    if known is not None:
        check_secret(known, wish.secret)
        secret, agent_id, digest = None, known.id, known.inbox_digest
    else:
        secret, agent_id = secrets.token_urlsafe(32), new_id("agent")
        digest = digest_of(secret)
    interface = interface_of(agent_id)
    # Where it is reached from elsewhere is no concern here: were it kept, each change would look like a move.
    kept = card.model_copy(update={"supported_interfaces": [interface]})
    arrival = Arrival(interface.url, kept, None, interface, signed_by, agent_id=agent_id, inbox_digest=digest)
    entry = Entry(arrival, wish.actor, has_token=has_token, brings_back=wish.brings_back)
    # Nobody can call it: its visits and its answers are all the proof there is.
    take_in(connection, entry, replace(rules, proves=False), now)
    set_agent(
        connection, agent_id, lease_expires_at=now + timedelta(seconds=2 * GRACE_S), next_active_at=None
    )
    return Joined(agent_id, secret)


def find_mailbox(connection: Connection, agent_id: str, secret: str | None) -> AgentRow:
    """The agent, locked. Raises AgentNotFound and InboxRefused."""
    known = find_known(connection, agent_id=agent_id, locks=True)
    if known is None or known.removed_at is not None or known.inbox_digest is None:
        raise AgentNotFound(agent_id)
    check_secret(known, secret)
    return known


def check_secret(known: AgentRow, secret: str | None) -> None:
    """Raises InboxRefused."""
    digest = known.inbox_digest
    if digest is None or secret is None or not hmac.compare_digest(digest_of(secret), digest):
        raise InboxRefused(known.id)


def digest_of(secret: str) -> str:
    """It is long and random, so that a plain digest does."""
    return hashlib.sha256(secret.encode()).hexdigest()
