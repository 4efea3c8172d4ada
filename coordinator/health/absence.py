"""Agents that fetch their requests: how long a visit counts, and what is said of those that come no more."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from a2a.types import Json
from coordinator.health.record import record
from models.states import Evidence
from models.tables import Agent

# Between two visits, and for the way.
GRACE_S = 15.0
# An agent that comes back as soon as this is asked meanwhile: a step can wait in its inbox.
LONGEST_NAP_S = 60.0
MAX_PER_SWEEP = 500


def lease_until(now: datetime, wait_s: float, next_active_at: datetime | None) -> datetime:
    """When an agent that came now counts as away. One that goes to sleep does so as soon as its visit ends,
    so that no step is sent to it which would time out in its inbox. Pure."""
    ends_at = now + timedelta(seconds=wait_s)
    grace = timedelta(seconds=GRACE_S)
    if next_active_at is None or next_active_at <= ends_at:
        return ends_at + grace
    if next_active_at <= ends_at + timedelta(seconds=LONGEST_NAP_S):
        return next_active_at + grace
    return ends_at


def why_away(last_seen: datetime | None, next_active_at: datetime | None, now: datetime) -> str:
    """Pure."""
    since = f"since {_words(last_seen, now)}" if last_seen is not None else "yet"
    says = ""
    if next_active_at is not None and next_active_at > now:
        says = f"; it says it will at {_words(next_active_at, now)}"
    return f"it has not looked into its inbox {since}{says}"


def note_visit(
    connection: Connection,
    agent_id: str,
    *,
    wait_s: float,
    next_active_at: datetime | None,
    load: Json,
    now: datetime,
) -> None:
    """`load` is None where the agent does not say."""
    until = lease_until(now, wait_s, next_active_at)
    is_leaving = until <= now
    values: dict[str, Json] = {
        "last_heartbeat_at": now,
        "lease_expires_at": None if is_leaving else until,
        "next_active_at": next_active_at,
    }
    if load is not None:
        values["load"] = load
    connection.execute(update(Agent).where(Agent.id == agent_id).values(values))
    detail = why_away(now, next_active_at, now) if is_leaving else "it looked into its inbox"
    record(connection, agent_id, Evidence.VISIT, ok=not is_leaving, detail=detail, now=now)


def take_absent_down(connection: Connection, now: datetime) -> list[str]:
    """Every agent with a mailbox whose visit counts no more; their ids."""
    first = (
        select(Agent.id)
        .where(Agent.inbox_digest.is_not(None), Agent.removed_at.is_(None), Agent.lease_expires_at < now)
        .limit(MAX_PER_SWEEP)
    )
    absent = connection.execute(
        update(Agent)
        # Again: it may have come meanwhile.
        .where(Agent.id.in_(first.scalar_subquery()), Agent.lease_expires_at < now)
        .values(lease_expires_at=None)
        .returning(Agent.id, Agent.last_heartbeat_at, Agent.next_active_at)
    ).all()
    for row in absent:
        detail = why_away(row.last_heartbeat_at, row.next_active_at, now)
        record(connection, row.id, Evidence.VISIT, ok=False, detail=detail, now=now)
    return [row.id for row in absent]


def _words(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M:%S} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S} UTC"
