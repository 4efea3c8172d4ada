"""Agents that leave the registry with the file they come from, and come back with it."""

from datetime import datetime

from sqlalchemy import Connection, update

from coordinator.health.audit import Actor, note
from models.base import DEFAULT_TENANT
from models.states import HealthState
from models.tables import Agent

# In the place of a column: registering again gives another reason, and an operator's removal leaves that one.
FILE_GONE = "its file was deleted"


def withdraw_agent(connection: Connection, card_url: str, now: datetime) -> bool:
    """Take the agent with this card URL out, in a way that does not keep it from registering again. False
    where it is not in the registry; whom an operator has removed stays removed."""
    gone = connection.execute(
        update(Agent)
        .where(Agent.tenant_id == DEFAULT_TENANT, Agent.card_url == card_url, Agent.removed_at.is_(None))
        .values(
            removed_at=now,
            lease_expires_at=None,
            health=HealthState.DOWN,
            health_reason=FILE_GONE,
            health_since=now,
        )
        .returning(Agent.id)
    )
    agent_id = gone.scalar_one_or_none()
    if agent_id is None:
        return False
    note(connection, agent_id, "agent.withdrawn", Actor.COORDINATOR, now, reason=FILE_GONE)
    return True
