"""The registry's tables: queries and changes as functions of a connection."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from a2a.card_types import AgentCard, AgentInterface
from a2a.types import Json
from coordinator.health.audit import Actor, note
from coordinator.registry.admission import Standing
from coordinator.registry.errors import AgentNotFound, ReportNotFound
from models.base import DEFAULT_TENANT, storable
from models.ids import new_id
from models.states import HealthState, Proof
from models.tables import Agent, AgentReport, AgentSkill, HealthCheck

HISTORY_ROWS = 100
KEPT_REPORTS = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """A card as it was fetched and checked: the interface that is called, and the key that signed it. The
    last two are those of an agent that has brought its card, to fetch its requests."""

    card_url: str
    card: AgentCard
    etag: str | None
    interface: AgentInterface
    signed_by: str | None
    agent_id: str | None = None
    inbox_digest: str | None = None


def find_known(
    connection: Connection, *, card_url: str | None = None, agent_id: str | None = None, locks: bool = False
) -> "AgentRow | None":
    """The agent with this card URL or id, also one that was removed. With `locks` nobody else changes it
    before this transaction has ended."""
    query = select(Agent.__table__).where(Agent.tenant_id == DEFAULT_TENANT)
    query = (
        query.where(Agent.id == agent_id) if agent_id is not None else query.where(Agent.card_url == card_url)
    )
    return connection.execute(query.with_for_update() if locks else query).one_or_none()


def count_agents(connection: Connection) -> int:
    query = select(func.count()).select_from(Agent).where(Agent.removed_at.is_(None))
    return int(connection.execute(query).scalar_one())


def add_agent(
    connection: Connection, arrival: Arrival, standing: Standing, proof: Proof, now: datetime
) -> str:
    agent_id = arrival.agent_id or new_id("agent")
    values = _card_values(arrival) | {
        "admission": standing.admission,
        "held_for": standing.held_for,
        "proof": proof,
        "proof_due_at": now if proof is Proof.PENDING else None,
        "health": HealthState.QUARANTINED,
        "health_reason": "registered, not proven yet",
        "health_since": now,
        "failures": 0,
        "successes": 0,
        "last_called_at": now,
        "registered_at": now,
        "updated_at": now,
    }
    connection.execute(insert(Agent).values(id=agent_id, **values))
    _replace_skills(connection, agent_id, arrival.card)
    return agent_id


def change_agent(
    connection: Connection, agent_id: str, arrival: Arrival, now: datetime, **columns: Json
) -> None:
    """Its card is another one now, or it came back; `columns` are set beside it."""
    values = _card_values(arrival) | {"updated_at": now, "removed_at": None, "facts": None} | columns
    connection.execute(update(Agent).where(Agent.id == agent_id).values(values))
    _replace_skills(connection, agent_id, arrival.card)


def set_agent(connection: Connection, agent_id: str, **columns: Json) -> None:
    connection.execute(update(Agent).where(Agent.id == agent_id).values(columns))


def _card_values(arrival: Arrival) -> dict[str, Json]:
    card, interface = arrival.card, arrival.interface
    return {
        "card_url": arrival.card_url,
        "etag": arrival.etag,
        "signed_by": arrival.signed_by,
        "url": interface.url,
        "protocol_binding": interface.protocol_binding,
        "protocol_version": interface.protocol_version,
        "interface_tenant": interface.tenant,
        "name": card.name,
        "description": card.description,
        "version": card.version,
        "card": card.to_json(),
        "inbox_digest": arrival.inbox_digest,
        "streaming": bool(card.capabilities.streaming) and arrival.inbox_digest is None,
    }


def _replace_skills(connection: Connection, agent_id: str, card: AgentCard) -> None:
    connection.execute(delete(AgentSkill).where(AgentSkill.agent_id == agent_id))
    skills = [_skill_row(agent_id, card, index) for index in range(len(card.skills))]
    if skills:
        connection.execute(
            insert(AgentSkill), list({storable(row["skill_id"]): row for row in skills}.values())
        )


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
    note(connection, agent_id, "agent.removed", Actor.OPERATOR, now)


AgentRow = Row[tuple[Agent]]


def find_agent(connection: Connection, agent_id: str) -> tuple[AgentRow, list[Row[tuple[AgentSkill]]]]:
    """The agent's row and its skills. Raises AgentNotFound."""
    row = connection.execute(_agents().where(Agent.id == agent_id)).one_or_none()
    if row is None:
        raise AgentNotFound(agent_id)
    skills = connection.execute(select(AgentSkill.__table__).where(AgentSkill.agent_id == agent_id))
    return row, list(skills.all())


def save_report(
    connection: Connection, agent_id: str, verdict: str, report: dict[str, Json], now: datetime
) -> None:
    connection.execute(
        insert(AgentReport).values(
            id=new_id("report"), agent_id=agent_id, verdict=verdict, report=report, created_at=now
        )
    )
    newest = (
        select(AgentReport.id)
        .where(AgentReport.agent_id == agent_id)
        .order_by(AgentReport.id.desc())
        .limit(KEPT_REPORTS)
    )
    connection.execute(
        delete(AgentReport).where(
            AgentReport.agent_id == agent_id, AgentReport.id.not_in(newest.scalar_subquery())
        )
    )


def latest_report(connection: Connection, agent_id: str) -> Row[tuple[AgentReport]]:
    """Raises AgentNotFound and ReportNotFound."""
    find_agent(connection, agent_id)
    query = select(AgentReport.__table__).where(AgentReport.agent_id == agent_id)
    row = connection.execute(query.order_by(AgentReport.id.desc()).limit(1)).one_or_none()
    if row is None:
        raise ReportNotFound(agent_id)
    return row


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
