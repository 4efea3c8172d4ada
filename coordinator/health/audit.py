"""The registry's audit log: what happened to an agent, and who did it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, insert, select

from a2a.types import Json
from models.ids import new_id
from models.tables import AgentEvent

MAX_WORDS_CHARS = 500


class Actor(StrEnum):
    OPERATOR = "operator"
    AGENT = "agent"
    COORDINATOR = "coordinator"


def note(connection: Connection, agent_id: str, kind: str, actor: Actor, now: datetime, **data: Json) -> None:
    """Append one event; it is written with what it tells of."""
    connection.execute(
        insert(AgentEvent).values(
            id=new_id("event"), agent_id=agent_id, kind=kind, actor=actor, data=data, created_at=now
        )
    )


def list_agent_events(
    connection: Connection, *, agent_id: str | None = None, after: str | None = None, limit: int
) -> Sequence[Row[tuple[AgentEvent]]]:
    """The oldest events after the one with the id `after`; without it the newest, oldest first."""
    query = select(AgentEvent.__table__).limit(limit)
    if agent_id is not None:
        query = query.where(AgentEvent.agent_id == agent_id)
    if after is not None:
        return connection.execute(query.where(AgentEvent.id > after).order_by(AgentEvent.id)).all()
    newest = connection.execute(query.order_by(AgentEvent.id.desc())).all()
    return list(reversed(newest))
