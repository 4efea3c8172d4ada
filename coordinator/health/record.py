"""Evidence about an agent, written down: the only code that changes an agent's health."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from a2a.types import Json
from coordinator.health.audit import MAX_WORDS_CHARS, Actor, note
from coordinator.health.machine import Health, drain, observe, try_again
from models.ids import new_id
from models.states import Admission, Evidence, HealthState, Proof
from models.tables import Agent, HealthCheck

# Of the counts by which a canary is judged.
HALF_LIFE_S = 600.0
_PROVEN = (Proof.PROVEN, Proof.UNPROVEN, Proof.WAIVED)
_CALLS = (Evidence.CALL, Evidence.DEEP_PROBE)


@dataclass(frozen=True, slots=True)
class Standing:
    """What, beside its health, decides whether an agent gets work, and its counts of calls."""

    is_admitted: bool
    is_proven: bool
    is_drained: bool
    calls_ok: float
    calls_failed: float
    calls_at: datetime | None

    def bound(self, health: Health) -> Health:
        """The health as far as the standing allows: whoever is held or not proven stays quarantined, and whom
        an operator drains gets no work however well it is."""
        if not (self.is_admitted and self.is_proven):
            return Health(HealthState.QUARANTINED)
        if self.is_drained and health.state in (HealthState.UP, HealthState.DEGRADED):
            return drain(health)
        return health


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
    the agent is unknown. A look that changes nothing leaves no row in the history: an agent that is gone for
    good would leave one each time."""
    found = _current(connection, agent_id)
    if found is None:
        return None
    before, standing = found
    after = standing.bound(observe(before, evidence, ok=ok, now=now))
    values = _changes(before, after, detail, now)
    if evidence in _CALLS:
        values |= _counted(standing, ok=ok, now=now)
    if values:
        connection.execute(update(Agent).where(Agent.id == agent_id).values(values))
    if after.state is not before.state:
        _tell(connection, agent_id, before.state, after.state, evidence, detail, now)
    if after.state is not before.state or (not ok and (after != before or evidence in _CALLS)):
        _log(connection, agent_id, evidence, after.state, now, ok=ok, detail=detail, latency_ms=latency_ms)
    return after.state


def count_call(connection: Connection, agent_id: str, *, ok: bool, now: datetime) -> None:
    """For the comparison with a canary only: how it ended says nothing of the agent's health."""
    found = _current(connection, agent_id)
    if found is not None:
        counted = _counted(found[1], ok=ok, now=now)
        connection.execute(update(Agent).where(Agent.id == agent_id).values(counted))


def record_goodbye(connection: Connection, agent_id: str, now: datetime) -> bool:
    """False where the agent is unknown."""
    return _drain(connection, agent_id, "the agent said good-bye", Actor.AGENT, now)


def record_drain(connection: Connection, agent_id: str, now: datetime, *, is_drained: bool) -> None:
    """By an operator: it gets no work, however often it registers, until the operator ends it."""
    connection.execute(update(Agent).where(Agent.id == agent_id).values(is_drained=is_drained))
    if is_drained:
        _drain(connection, agent_id, "an operator drains it", Actor.OPERATOR, now)
        return
    found = _current(connection, agent_id)
    if found is not None and found[0].state is HealthState.DRAINING:
        reassess(connection, agent_id, "an operator ended its draining", Actor.OPERATOR, now)


def reassess(
    connection: Connection, agent_id: str, detail: str, actor: Actor, now: datetime
) -> HealthState | None:
    """After its standing has changed: quarantined where it has to be, and up where that is over; the state.
    None where the agent is unknown."""
    found = _current(connection, agent_id)
    if found is None:
        return None
    before, standing = found
    is_free = before.state in (HealthState.QUARANTINED, HealthState.DRAINING)
    after = standing.bound(Health(HealthState.UP) if is_free else before)
    _set(connection, agent_id, before, after, detail, actor, now)
    return after.state


def allow_a_trial(connection: Connection, agent_id: str, now: datetime) -> None:
    """The breaker's pause is over, and only steps can try the agent."""
    found = _current(connection, agent_id)
    if found is not None:
        detail = "its pause after failed calls is over; steps may try it"
        _set(
            connection,
            agent_id,
            found[0],
            found[1].bound(try_again(found[0])),
            detail,
            Actor.COORDINATOR,
            now,
        )


def record_heartbeat(
    connection: Connection,
    agent_id: str,
    load: Json,
    lease_s: float,
    now: datetime,
) -> bool:
    """Renew the agent's lease. False where the agent is unknown and has to register again, and for one that
    fetches its requests: its visits say that it is there, which nobody else can say for it."""
    known = connection.execute(
        update(Agent)
        .where(Agent.id == agent_id, Agent.removed_at.is_(None), Agent.inbox_digest.is_(None))
        # An operator's drain lasts; a good-bye is over when the agent is there again, and it has to say so.
        .where((Agent.health != HealthState.DRAINING) | Agent.is_drained)
        .values(load=load, last_heartbeat_at=now, lease_expires_at=now + timedelta(seconds=lease_s))
        .returning(Agent.id)
    )
    return known.scalar_one_or_none() is not None


def forget_older_than(connection: Connection, before: datetime) -> None:
    connection.execute(delete(HealthCheck).where(HealthCheck.created_at < before))


def decayed(count: float, since: datetime | None, now: datetime) -> float:
    """A count of calls as it weighs now: half after each half-life."""
    if since is None:
        return count
    age_s = max(0.0, (now - since) / timedelta(seconds=1))
    return float(count * 0.5 ** (age_s / HALF_LIFE_S))


def _drain(connection: Connection, agent_id: str, detail: str, actor: Actor, now: datetime) -> bool:
    found = _current(connection, agent_id)
    if found is None:
        return False
    _set(connection, agent_id, found[0], drain(found[0]), detail, actor, now)
    connection.execute(update(Agent).where(Agent.id == agent_id).values(lease_expires_at=None))
    return True


def _current(connection: Connection, agent_id: str) -> tuple[Health, Standing] | None:
    query = select(
        Agent.health,
        Agent.failures,
        Agent.successes,
        Agent.call_failures,
        Agent.breaker_trips,
        Agent.breaker_until,
        Agent.admission,
        Agent.proof,
        Agent.is_drained,
        Agent.calls_ok,
        Agent.calls_failed,
        Agent.calls_at,
    ).where(Agent.id == agent_id, Agent.removed_at.is_(None))
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        return None
    health = Health(HealthState(row.health), *row[1:6])
    is_proven = row.proof in _PROVEN
    is_admitted = row.admission == Admission.ADMITTED
    counts = (row.calls_ok, row.calls_failed, row.calls_at)
    return health, Standing(is_admitted, is_proven, row.is_drained, *counts)


def _set(
    connection: Connection,
    agent_id: str,
    before: Health,
    after: Health,
    detail: str,
    actor: Actor,
    now: datetime,
) -> None:
    values = _changes(before, after, detail, now)
    if values:
        connection.execute(update(Agent).where(Agent.id == agent_id).values(values))
    if after.state is not before.state:
        _tell(connection, agent_id, before.state, after.state, None, detail, now, actor)
        _log(
            connection,
            agent_id,
            Evidence.REGISTRATION,
            after.state,
            now,
            ok=True,
            detail=detail,
            latency_ms=None,
        )


def _changes(before: Health, after: Health, detail: str, now: datetime) -> dict[str, Json]:
    """The columns that are other than before."""
    if after == before:
        return {}
    values: dict[str, Json] = {
        "failures": after.failures,
        "successes": after.successes,
        "call_failures": after.call_failures,
        "breaker_trips": after.breaker_trips,
        "breaker_until": after.breaker_until,
    }
    if after.state is not before.state:
        values |= {"health": after.state, "health_reason": detail[:MAX_WORDS_CHARS], "health_since": now}
    return values


def _counted(standing: Standing, *, ok: bool, now: datetime) -> dict[str, Json]:
    return {
        "calls_ok": decayed(standing.calls_ok, standing.calls_at, now) + int(ok),
        "calls_failed": decayed(standing.calls_failed, standing.calls_at, now) + int(not ok),
        "calls_at": now,
        "last_called_at": now,
    }


def _tell(
    connection: Connection,
    agent_id: str,
    before: HealthState,
    after: HealthState,
    evidence: Evidence | None,
    detail: str,
    now: datetime,
    actor: Actor = Actor.COORDINATOR,
) -> None:
    data = {"from": before, "to": after, "evidence": evidence, "reason": detail[:MAX_WORDS_CHARS]}
    note(connection, agent_id, "agent.health", actor, now, **data)


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
            detail=detail[:MAX_WORDS_CHARS],
            latency_ms=latency_ms,
            health=state,
            created_at=now,
        )
    )
