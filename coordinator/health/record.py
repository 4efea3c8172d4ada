"""Evidence about an agent, written down: the only code that changes an agent's health."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from a2a.types import Json
from coordinator.health.machine import Health, drain, observe
from models.ids import new_id
from models.states import Evidence, HealthState
from models.tables import Agent, HealthCheck

MAX_DETAIL_CHARS = 500


def record(
    connection: Connection,
    agent_id: str,
    evidence: Evidence,
    *,
    ok: bool,
    detail: str,
    now: datetime,
    latency_ms: float | None = None,
) -> HealthState | None:
    """Take one piece of evidence into the agent's health and history; the state after it, or None where
    the agent is unknown. A good heartbeat or call that changes nothing leaves no row in the history."""
    before = _current(connection, agent_id)
    if before is None:
        return None
    after = observe(before, evidence, ok=ok)
    _save(connection, agent_id, before, after, detail, now)
    is_news = after.state is not before.state or not ok
    if is_news or evidence in (Evidence.PROBE, Evidence.REGISTRATION):
        _log(connection, agent_id, evidence, after.state, now, ok=ok, detail=detail, latency_ms=latency_ms)
    return after.state


def record_goodbye(connection: Connection, agent_id: str, now: datetime) -> bool:
    """False where the agent is unknown."""
    before = _current(connection, agent_id)
    if before is None:
        return False
    detail = "the agent said good-bye"
    after = drain(before)
    _save(connection, agent_id, before, after, detail, now)
    connection.execute(update(Agent).where(Agent.id == agent_id).values(lease_expires_at=None))
    _log(connection, agent_id, Evidence.HEARTBEAT, after.state, now, ok=True, detail=detail, latency_ms=None)
    return True


def record_heartbeat(
    connection: Connection,
    agent_id: str,
    load: Json,
    lease_s: float,
    now: datetime,
) -> bool:
    """Renew the agent's lease. False where the agent is unknown and has to register again."""
    state = record(connection, agent_id, Evidence.HEARTBEAT, ok=True, detail="heartbeat", now=now)
    if state is None or state is HealthState.DRAINING:
        return False
    connection.execute(
        update(Agent)
        .where(Agent.id == agent_id)
        .values(load=load, last_heartbeat_at=now, lease_expires_at=now + timedelta(seconds=lease_s))
    )
    return True


def forget_older_than(connection: Connection, before: datetime) -> None:
    connection.execute(delete(HealthCheck).where(HealthCheck.created_at < before))


def _current(connection: Connection, agent_id: str) -> Health | None:
    query = select(Agent.health, Agent.failures, Agent.successes).where(
        Agent.id == agent_id, Agent.removed_at.is_(None)
    )
    row = connection.execute(query.with_for_update()).one_or_none()
    return Health(HealthState(row.health), row.failures, row.successes) if row is not None else None


def _save(
    connection: Connection, agent_id: str, before: Health, after: Health, detail: str, now: datetime
) -> None:
    values: dict[str, Json] = {"failures": after.failures, "successes": after.successes}
    if after.state is not before.state:
        values |= {
            "health": after.state,
            "health_reason": detail[:MAX_DETAIL_CHARS],
            "health_since": now,
        }
    connection.execute(update(Agent).where(Agent.id == agent_id).values(values))


def _log(
    connection: Connection,
    agent_id: str,
    evidence: Evidence,
    state: HealthState,
    now: datetime,
    *,
    ok: bool,
    detail: str,
    latency_ms: float | None,
) -> None:
    connection.execute(
        insert(HealthCheck).values(
            id=new_id("check"),
            agent_id=agent_id,
            evidence=evidence,
            ok=ok,
            detail=detail[:MAX_DETAIL_CHARS],
            latency_ms=latency_ms,
            health=state,
            created_at=now,
        )
    )
