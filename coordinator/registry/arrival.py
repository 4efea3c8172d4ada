"""A fetched card taken into the tables: who it is, what has changed, whether it may be used."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from a2a.card_types import AgentCard
from a2a.types import Json
from coordinator.health.audit import Actor, note
from coordinator.health.probes import Probed
from coordinator.health.record import reassess, record
from coordinator.registry.admission import BY_AN_OPERATOR, Policy, Standing, admit
from coordinator.registry.drift import Drift, drift_between
from coordinator.registry.errors import CardRejected, RegistryFull
from coordinator.registry.store import (
    AgentRow,
    Arrival,
    add_agent,
    change_agent,
    count_agents,
    find_known,
    set_agent,
)
from coordinator.registry.withdrawal import MAY_COME_BACK
from models.states import Admission, Evidence, HealthState, Proof

REMOVED = "an operator removed this agent; add it again with POST /api/agents."


@dataclass(frozen=True, slots=True)
class JoinRules:
    """What becomes of agents that join; `proves`: they have to pass the conformance run."""

    policy: Policy
    max_agents: int
    proves: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A card, who brought it, and in what capacity. `previous_id` is that of an agent that wants to move;
    `probed` is None for a registration."""

    arrival: Arrival
    actor: Actor
    probed: Probed | None = None
    has_token: bool = False
    brings_back: bool = False
    previous_id: str | None = None


@dataclass(frozen=True, slots=True)
class TakenIn:
    agent_id: str
    is_proof_due: bool


def take_in(connection: Connection, entry: Entry, rules: JoinRules, now: datetime) -> TakenIn:
    """Raises CardRejected for an agent that was removed, RegistryFull where one more is too many."""
    if entry.probed is not None:
        return _seen(connection, entry, entry.probed, rules, now)
    known = find_known(connection, card_url=entry.arrival.card_url, locks=True)
    has_moved = False
    if known is None and entry.previous_id is not None:
        known = find_known(connection, agent_id=entry.previous_id, locks=True)
        has_moved = known is not None and _is_the_same(entry, known, rules)
        known = known if has_moved else None
    if known is None:
        return _new(connection, entry, rules, now)
    if known.removed_at is not None:
        if not entry.brings_back and known.health_reason not in MAY_COME_BACK:
            raise CardRejected(entry.arrival.card_url, REMOVED)
        return _returned(connection, entry, rules, known, now)
    return _known(connection, entry, rules, known, now, has_moved=has_moved)


def _seen(connection: Connection, entry: Entry, probed: Probed, rules: JoinRules, now: datetime) -> TakenIn:
    """Whoever has left, moved or changed since its card was asked for may have another one now: the next
    probe tells. A probe lets nobody in."""
    known = find_known(connection, agent_id=probed.agent_id, locks=True)
    if known is None or known.removed_at is not None or known.updated_at != probed.updated_at:
        return TakenIn(probed.agent_id, is_proof_due=False)
    return _known(connection, entry, rules, known, now, has_moved=False)


def _is_the_same(entry: Entry, known: AgentRow, rules: JoinRules) -> bool:
    """Whether the agent that says it was `known` may have its id, its work and the answers to its questions.
    Whoever only says so becomes an agent of its own, and `known` stays as it is."""
    if entry.has_token:
        return True
    if known.signed_by is not None:
        return bool(entry.arrival.signed_by == known.signed_by)
    return rules.policy is Policy.OPEN


def _new(connection: Connection, entry: Entry, rules: JoinRules, now: datetime) -> TakenIn:
    if count_agents(connection) >= rules.max_agents:
        raise RegistryFull(rules.max_agents)
    standing = admit(rules.policy, None, Drift(), has_token=entry.has_token)
    proof = Proof.PENDING if rules.proves else Proof.WAIVED
    agent_id = add_agent(connection, entry.arrival, standing, proof, now)
    data = _told(entry, standing)
    note(connection, agent_id, "agent.registered", entry.actor, now, **data)
    return _settle(connection, agent_id, entry, standing, proof, now, is_due=proof is Proof.PENDING)


def _returned(
    connection: Connection, entry: Entry, rules: JoinRules, known: AgentRow, now: datetime
) -> TakenIn:
    """As new, under its old id; what an operator wanted of it lasts until an operator brings it back."""
    is_held = not entry.brings_back and known.held_for == BY_AN_OPERATOR
    before = Standing(Admission(known.admission), known.held_for) if is_held else None
    standing = admit(rules.policy, before, Drift(), has_token=entry.has_token)
    proof = Proof.PENDING if rules.proves else Proof.WAIVED
    is_drained = known.is_drained and not entry.brings_back
    columns = _columns(standing, proof, now) | {"is_drained": is_drained, "weight": 100}
    change_agent(connection, known.id, entry.arrival, now, **columns)
    note(connection, known.id, "agent.returned", entry.actor, now, **_told(entry, standing))
    return _settle(connection, known.id, entry, standing, proof, now, is_due=proof is Proof.PENDING)


def _known(
    connection: Connection,
    entry: Entry,
    rules: JoinRules,
    known: AgentRow,
    now: datetime,
    *,
    has_moved: bool,
) -> TakenIn:
    arrival = entry.arrival
    before = Standing(Admission(known.admission), known.held_for)
    drift = drift_between(
        AgentCard.model_validate(known.card),
        arrival.card,
        old_signer=known.signed_by,
        new_signer=arrival.signed_by,
        # That a moved agent is called elsewhere is no surprise.
        may_move=has_moved,
    )
    standing = admit(rules.policy, before, drift, has_token=entry.has_token)
    # A description that holds the time of day is no reason to call the agent's skills again.
    has_changed = has_moved or (bool(drift) and not drift.is_of_words)
    proof, is_due = _proof_of(known, rules, has_changed=has_changed, is_new=has_moved)
    if entry.probed is not None and not has_changed:
        is_due = False
    columns = _columns(standing, proof, now if is_due else known.proof_due_at)
    if drift or has_moved:
        change_agent(connection, known.id, arrival, now, **columns)
        kind = "agent.moved" if has_moved else "agent.card_changed"
        changes = {"structural": list(drift.structural), "harmless": list(drift.harmless)}
        note(connection, known.id, kind, entry.actor, now, **_told(entry, standing), **changes)
    else:
        # A card that is signed anew each time differs in nothing else.
        set_agent(connection, known.id, etag=arrival.etag, card=arrival.card.to_json(), **columns)
    if entry.probed is None or standing != before or proof != known.proof:
        return _settle(connection, known.id, entry, standing, proof, now, is_due=is_due)
    return TakenIn(known.id, is_due and standing.admission is Admission.ADMITTED)


def _proof_of(known: AgentRow, rules: JoinRules, *, has_changed: bool, is_new: bool) -> tuple[Proof, bool]:
    """What counts as its proof now, and whether it is checked anew. One that works goes on while it is."""
    proof = Proof(known.proof)
    if not rules.proves:
        return Proof.WAIVED, False
    if is_new:
        return Proof.PENDING, True
    return proof, has_changed or proof not in (Proof.PROVEN, Proof.UNPROVEN)


def _columns(standing: Standing, proof: Proof, due_at: datetime | None) -> dict[str, Json]:
    return {
        "admission": standing.admission,
        "held_for": standing.held_for,
        "proof": proof,
        "proof_due_at": due_at,
    }


def _settle(
    connection: Connection,
    agent_id: str,
    entry: Entry,
    standing: Standing,
    proof: Proof,
    now: datetime,
    *,
    is_due: bool,
) -> TakenIn:
    """Its health after that: a card that was fetched a moment ago is as good as a probe."""
    detail = _why(standing, proof)
    if entry.probed is None:
        state = record(connection, agent_id, Evidence.REGISTRATION, ok=True, detail=detail, now=now)
    else:
        state = reassess(connection, agent_id, detail, entry.actor, now)
    if state is HealthState.QUARANTINED:
        set_agent(connection, agent_id, health_reason=detail)
    return TakenIn(agent_id, is_due and standing.admission is Admission.ADMITTED)


def _why(standing: Standing, proof: Proof) -> str:
    if standing.admission is Admission.HELD:
        return f"held until an operator admits it: {standing.held_for}"
    if proof is Proof.PENDING:
        return "registered, and being checked"
    if proof is Proof.FAILED:
        return "its last conformance run failed; it is being checked again"
    return "registered"


def _told(entry: Entry, standing: Standing) -> dict[str, Json]:
    return {
        "name": entry.arrival.card.name,
        "card_url": entry.arrival.card_url,
        "admission": standing.admission,
        "held_for": standing.held_for,
        "has_token": entry.has_token,
        "signed_by": entry.arrival.signed_by,
    }
