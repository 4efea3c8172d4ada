"""Where a step can go: the agents with a skill, how each is called and how it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from a2a.card_types import AgentInterface
from a2a.deduplication import memory_id_of
from models.base import DEFAULT_TENANT
from models.states import Admission, HealthState
from models.tables import Agent, AgentSkill

# A skill with this tag does what should not be done by two agents.
NO_FAILOVER = "no-failover"
STABLE_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class Route:
    """An agent that has a skill: where it is called, how, and how it is.

    `running` and `capacity` are what its heartbeats say; `memory_id` names its memory of messages where it
    deduplicates them (docs/extensions/deduplication.md); `no_failover`: the skill's card says so in a tag.
    `weight` is the percentage of sessions that a canary gets, 100 for every other agent; `is_compared`: there
    is a canary among the agents with the skill, so that their calls are counted. `is_held`: an operator has
    to look at it before it is called.
    """

    agent_id: str
    name: str
    card_url: str
    interface: AgentInterface
    streaming: bool
    pushes: bool
    health: HealthState
    health_reason: str
    health_since: datetime
    running: int
    capacity: int | None
    memory_id: str | None
    input_modes: tuple[str, ...]
    no_failover: bool
    weight: int = 100
    is_compared: bool = False
    has_failed_calls: bool = False
    is_held: bool = False


def list_routes(connection: Connection, skill_id: str) -> list[Route]:
    """Every agent with the skill, in whatever health it is."""
    query = (
        select(Agent, AgentSkill.input_modes)
        .join(AgentSkill, Agent.id == AgentSkill.agent_id)
        .where(AgentSkill.skill_id == skill_id, Agent.removed_at.is_(None))
        .where(Agent.tenant_id == DEFAULT_TENANT)
        .order_by(Agent.id)
    )
    columns = query.with_only_columns(*Agent.__table__.columns, AgentSkill.input_modes, AgentSkill.tags)
    rows = connection.execute(columns).all()
    is_compared = any(row.weight < STABLE_WEIGHT for row in rows)
    return [_route(row, is_compared=is_compared) for row in rows]


def called_interface(row: Any) -> AgentInterface:
    """The interface of an agent's row that is called."""
    return AgentInterface(
        url=row.url,
        protocol_binding=row.protocol_binding,
        protocol_version=row.protocol_version,
        tenant=row.interface_tenant,
    )


def _route(row: Any, *, is_compared: bool) -> Route:
    capabilities = row.card.get("capabilities") or {}
    load = row.load or {}
    facts = row.facts or {}
    return Route(
        agent_id=row.id,
        name=row.name,
        card_url=row.card_url,
        interface=called_interface(row),
        streaming=row.streaming,
        # What was seen to work counts more than what the card promises.
        pushes=bool(facts.get("pushes", capabilities.get("pushNotifications"))),
        health=HealthState(row.health),
        health_reason=row.health_reason,
        health_since=row.health_since,
        running=int(load.get("running", 0)),
        capacity=int(load["capacity"]) if "capacity" in load else None,
        memory_id=memory_id_of(capabilities.get("extensions") or ()),
        input_modes=tuple(row.input_modes),
        no_failover=NO_FAILOVER in row.tags,
        weight=row.weight,
        is_compared=is_compared,
        has_failed_calls=row.call_failures > 0,
        is_held=row.admission == Admission.HELD,
    )
