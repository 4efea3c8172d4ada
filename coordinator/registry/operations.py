"""What an operator does to an agent: admit it or hold it, drain it, give it a share of the sessions."""

from datetime import datetime

from sqlalchemy import Connection

from coordinator.health.audit import Actor, note
from coordinator.health.record import reassess, record_drain
from coordinator.registry.admission import BY_AN_OPERATOR
from coordinator.registry.store import find_agent, set_agent
from models.states import Admission, HealthState


def admit_agent(connection: Connection, agent_id: str, now: datetime, *, is_admitted: bool) -> None:
    """Raises AgentNotFound."""
    agent, _ = find_agent(connection, agent_id)
    if (agent.admission == Admission.ADMITTED) == is_admitted:
        return
    admission = Admission.ADMITTED if is_admitted else Admission.HELD
    held_for = None if is_admitted else BY_AN_OPERATOR
    set_agent(connection, agent_id, admission=admission, held_for=held_for, updated_at=now)
    kind = "agent.admitted" if is_admitted else "agent.held"
    note(connection, agent_id, kind, Actor.OPERATOR, now, held_for=agent.held_for)
    detail = "an operator admitted it" if is_admitted else f"held: {BY_AN_OPERATOR}"
    state = reassess(connection, agent_id, detail, Actor.OPERATOR, now)
    if state is HealthState.QUARANTINED:
        why = detail if not is_admitted else f"{detail}; its conformance run has still to succeed"
        set_agent(connection, agent_id, health_reason=why)


def drain_agent(connection: Connection, agent_id: str, now: datetime, *, is_drained: bool) -> None:
    """Raises AgentNotFound."""
    agent, _ = find_agent(connection, agent_id)
    if agent.is_drained == is_drained:
        return
    kind = "agent.drained" if is_drained else "agent.undrained"
    note(connection, agent_id, kind, Actor.OPERATOR, now)
    record_drain(connection, agent_id, now, is_drained=is_drained)


def weigh_agent(connection: Connection, agent_id: str, now: datetime, *, weight: int) -> None:
    """Percent of the sessions. Its calls, and so those of the agents beside it, are counted from now on.
    Raises AgentNotFound."""
    agent, _ = find_agent(connection, agent_id)
    if agent.weight == weight:
        return
    counts = {"calls_ok": 0.0, "calls_failed": 0.0, "calls_at": None}
    set_agent(connection, agent_id, weight=weight, updated_at=now, **counts)
    note(connection, agent_id, "canary.weight", Actor.OPERATOR, now, before=agent.weight, after=weight)
