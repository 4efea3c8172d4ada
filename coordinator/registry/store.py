"""The registry's tables: queries and changes as functions of a connection."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from a2a.card_types import AgentCard, AgentInterface
from a2a.deduplication import memory_id_of
from a2a.types import Json
from coordinator.registry.errors import AgentNotFound
from models.base import DEFAULT_TENANT
from models.ids import new_id
from models.states import HealthState
from models.tables import Agent, AgentSkill, HealthCheck

HISTORY_ROWS = 100
# A skill with this tag does what should not be done by two agents.
NO_FAILOVER = "no-failover"


@dataclass(frozen=True, slots=True)
class Route:
    """An agent that has a skill: where it is called, how, and how it is.

    `running` and `capacity` are what its heartbeats say; `memory_id` names its memory of messages where it
    deduplicates them (docs/extensions/deduplication.md); `no_failover`: the skill's card says so in a tag.
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


def save_agent(
    connection: Connection, card_url: str, interface: AgentInterface, card: AgentCard, now: datetime
) -> str:
    """Insert the agent, or bring the one with this card URL up to date; its id."""
    values: dict[str, Json] = {
        "url": interface.url,
        "protocol_binding": interface.protocol_binding,
        "protocol_version": interface.protocol_version,
        "interface_tenant": interface.tenant,
        "name": card.name,
        "description": card.description,
        "version": card.version,
        "card": card.to_json(),
        "streaming": bool(card.capabilities.streaming),
        "updated_at": now,
        "removed_at": None,
    }
    known = update(Agent).where(Agent.tenant_id == DEFAULT_TENANT, Agent.card_url == card_url)
    agent_id = connection.execute(known.values(values).returning(Agent.id)).scalar_one_or_none()
    if agent_id is None:
        agent_id = new_id("agent")
        connection.execute(insert(Agent).values(id=agent_id, card_url=card_url, **values, **_unproven(now)))
    connection.execute(delete(AgentSkill).where(AgentSkill.agent_id == agent_id))
    skills = [_skill_row(agent_id, card, index) for index in range(len(card.skills))]
    if skills:
        connection.execute(insert(AgentSkill), list({row["skill_id"]: row for row in skills}.values()))
    return str(agent_id)


def is_removed(connection: Connection, card_url: str) -> bool:
    """Whether an operator took the agent with this card URL out of the registry."""
    query = select(Agent.id).where(
        Agent.tenant_id == DEFAULT_TENANT, Agent.card_url == card_url, Agent.removed_at.is_not(None)
    )
    return connection.execute(query).scalar_one_or_none() is not None


def _unproven(now: datetime) -> dict[str, Json]:
    return {
        "health": HealthState.QUARANTINED,
        "health_reason": "registered, not proven yet",
        "health_since": now,
        "failures": 0,
        "successes": 0,
        "registered_at": now,
    }


def _skill_row(agent_id: str, card: AgentCard, index: int) -> dict[str, Json]:
    skill = card.skills[index]
    return {
        "agent_id": agent_id,
        "skill_id": skill.id,
        "name": skill.name,
        "description": skill.description,
        "tags": skill.tags,
        "examples": skill.examples or [],
        "input_modes": skill.input_modes or card.default_input_modes,
        "output_modes": skill.output_modes or card.default_output_modes,
    }


def remove_agent(connection: Connection, agent_id: str, now: datetime) -> None:
    """Take the agent out of the registry; its history stays. Raises AgentNotFound."""
    gone = connection.execute(
        update(Agent)
        .where(Agent.id == agent_id, Agent.removed_at.is_(None))
        .values(removed_at=now, lease_expires_at=None)
        .returning(Agent.id)
    )
    if gone.scalar_one_or_none() is None:
        raise AgentNotFound(agent_id)


AgentRow = Row[tuple[Agent]]


def find_agent(connection: Connection, agent_id: str) -> tuple[AgentRow, list[Row[tuple[AgentSkill]]]]:
    """The agent's row and its skills. Raises AgentNotFound."""
    row = connection.execute(_agents().where(Agent.id == agent_id)).one_or_none()
    if row is None:
        raise AgentNotFound(agent_id)
    skills = connection.execute(select(AgentSkill.__table__).where(AgentSkill.agent_id == agent_id))
    return row, list(skills.all())


def list_agents(connection: Connection) -> list[tuple[AgentRow, list[Row[tuple[AgentSkill]]]]]:
    rows = connection.execute(_agents().order_by(Agent.name, Agent.id)).all()
    skills: dict[str, list[Row[tuple[AgentSkill]]]] = {}
    for skill in connection.execute(select(AgentSkill.__table__).order_by(AgentSkill.skill_id)):
        skills.setdefault(skill.agent_id, []).append(skill)
    return [(row, skills.get(row.id, [])) for row in rows]


def _agents() -> Select[tuple[Agent]]:
    return select(Agent.__table__).where(Agent.removed_at.is_(None), Agent.tenant_id == DEFAULT_TENANT)


def health_history(connection: Connection, agent_id: str) -> list[Row[tuple[HealthCheck]]]:
    """The newest pieces of evidence, newest first."""
    query = (
        select(HealthCheck.__table__)
        .where(HealthCheck.agent_id == agent_id)
        .order_by(HealthCheck.created_at.desc(), HealthCheck.id.desc())
        .limit(HISTORY_ROWS)
    )
    return list(connection.execute(query).all())


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
    return [_route(row) for row in connection.execute(columns)]


def _route(row: Any) -> Route:
    capabilities = row.card.get("capabilities") or {}
    load = row.load or {}
    return Route(
        agent_id=row.id,
        name=row.name,
        card_url=row.card_url,
        interface=AgentInterface(
            url=row.url,
            protocol_binding=row.protocol_binding,
            protocol_version=row.protocol_version,
            tenant=row.interface_tenant,
        ),
        streaming=row.streaming,
        pushes=bool(capabilities.get("pushNotifications")),
        health=HealthState(row.health),
        health_reason=row.health_reason,
        health_since=row.health_since,
        running=int(load.get("running", 0)),
        capacity=int(load["capacity"]) if "capacity" in load else None,
        memory_id=memory_id_of(capabilities.get("extensions") or ()),
        input_modes=tuple(row.input_modes),
        no_failover=NO_FAILOVER in row.tags,
    )
