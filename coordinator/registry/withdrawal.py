"""Agents that leave with their file, or because they answer no more for days; both may come back."""

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from coordinator.health.audit import Actor, note
from coordinator.health.machine import FAILURES_TO_DOWN
from coordinator.registry.admission import BY_AN_OPERATOR
from models.base import DEFAULT_TENANT
from models.states import HealthState
from models.tables import Agent

# In the place of a column: registering again gives another reason, and an operator's removal leaves that one.
FILE_GONE = "its file was deleted"
LOST = "it has not answered for days"
MAY_COME_BACK = (FILE_GONE, LOST)
MAX_AT_ONCE = 500


def withdraw_lost(connection: Connection, before: datetime, now: datetime) -> int:
    """Take out the agents that do not answer and have been out of use since `before`, so that those which
    came once make no room scarce; how many. Whom an operator drains or holds is his to remove."""
    query = select(Agent.card_url).where(
        Agent.removed_at.is_(None),
        Agent.inbox_digest.is_(None),
        Agent.health.in_((HealthState.DOWN, HealthState.QUARANTINED)),
        Agent.failures >= FAILURES_TO_DOWN,
        Agent.health_since < before,
        Agent.is_drained.is_(False),
        or_(Agent.held_for.is_(None), Agent.held_for != BY_AN_OPERATOR),
    )
    lost = connection.execute(query.limit(MAX_AT_ONCE)).scalars().all()
    return sum(withdraw_agent(connection, card_url, now, why=LOST) for card_url in lost)


def withdraw_agent(connection: Connection, card_url: str, now: datetime, *, why: str = FILE_GONE) -> bool:
    """Take the agent with this card URL out, in a way that does not keep it from registering again. False
    where it is not in the registry; whom an operator has removed stays removed. `why` is of MAY_COME_BACK."""
    gone = connection.execute(
        update(Agent)
        .where(Agent.tenant_id == DEFAULT_TENANT, Agent.card_url == card_url, Agent.removed_at.is_(None))
        .values(
            removed_at=now,
            lease_expires_at=None,
            health=HealthState.DOWN,
            health_reason=why,
            health_since=now,
        )
        .returning(Agent.id)
    )
    agent_id = gone.scalar_one_or_none()
    if agent_id is None:
        return False
    note(connection, agent_id, "agent.withdrawn", Actor.COORDINATOR, now, reason=why)
    return True
