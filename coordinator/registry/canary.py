"""A canary beside the stable agents with its skills: taken out of use where it fails more often than they."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from coordinator.health.audit import Actor, note
from coordinator.health.record import decayed
from coordinator.registry.routes import STABLE_WEIGHT
from models.tables import Agent, AgentSkill


@dataclass(frozen=True, slots=True)
class Calls:
    """Counts of calls, older ones weighing less."""

    ok: float
    failed: float

    @property
    def total(self) -> float:
        return self.ok + self.failed

    @property
    def error_rate(self) -> float:
        """0 to 1; 0 where there was no call."""
        return self.failed / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Rules:
    """`margin` is how much higher a canary's error rate may be, 0 to 1; below `min_calls` nothing is said."""

    margin: float
    min_calls: int


def why_roll_back(canary: Calls, stable: Calls, rules: Rules) -> str | None:
    """A sentence where the canary fails too often, else None. Pure."""
    # A count that decays never quite reaches the number of calls.
    if canary.total < rules.min_calls - 0.5 or canary.error_rate <= stable.error_rate + rules.margin:
        return None
    return (
        f"{canary.error_rate:.0%} of its calls failed, {stable.error_rate:.0%} of those of the agents beside"
        f" it; allowed are {rules.margin:.0%} more"
    )


def roll_back_canaries(connection: Connection, rules: Rules, now: datetime) -> list[str]:
    """Weight 0 for every canary that fails too often; their ids."""
    canaries = select(Agent.id, Agent.weight, Agent.calls_ok, Agent.calls_failed, Agent.calls_at).where(
        Agent.weight.between(1, STABLE_WEIGHT - 1), Agent.removed_at.is_(None)
    )
    # In the order in which the executor locks agents, too.
    canaries = canaries.order_by(Agent.id)
    rolled_back = []
    for row in connection.execute(canaries).all():
        why = why_roll_back(_sum([row], now), _beside(connection, row.id, now), rules)
        if why is None:
            continue
        guard = update(Agent).where(Agent.id == row.id, Agent.weight == row.weight)
        connection.execute(guard.values(weight=0, updated_at=now))
        note(connection, row.id, "canary.rolled_back", Actor.COORDINATOR, now, weight=row.weight, reason=why)
        rolled_back.append(row.id)
    return rolled_back


def _beside(connection: Connection, agent_id: str, now: datetime) -> Calls:
    """Of the stable agents that have one of its skills."""
    own = select(AgentSkill.skill_id).where(AgentSkill.agent_id == agent_id)
    peers = select(AgentSkill.agent_id).where(AgentSkill.skill_id.in_(own))
    query = select(Agent.calls_ok, Agent.calls_failed, Agent.calls_at).where(
        Agent.id.in_(peers), Agent.weight == STABLE_WEIGHT, Agent.removed_at.is_(None)
    )
    return _sum(connection.execute(query).all(), now)


def _sum(rows: Sequence[Any], now: datetime) -> Calls:
    ok = failed = 0.0
    for row in rows:
        ok += decayed(row.calls_ok, row.calls_at, now)
        failed += decayed(row.calls_failed, row.calls_at, now)
    return Calls(ok, failed)
