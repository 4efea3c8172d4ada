"""Real calls to agents that did nothing for long, or whose circuit breaker has paused long enough."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Connection, and_, or_, select, update

from a2a.database import Database
from coordinator.clock import Now
from coordinator.health.record import allow_a_trial, record
from models.states import Evidence, HealthState
from models.tables import Agent

# They cost the agent something, and nobody waits for them.
MAX_AT_ONCE = 10
MAX_PER_SWEEP = 50
# Before that a claim may still be at work.
LONGEST_CALL_S = 10.0


class Tried(Protocol):
    """How a real call ended, as this package needs it."""

    @property
    def ok(self) -> bool: ...

    @property
    def detail(self) -> str: ...

    @property
    def latency_ms(self) -> float: ...


# Calls the agent with this id once; None where nothing can be asked of it that does no harm.
TryAgent = Callable[[str], Awaitable[Tried | None]]


class DeepProber:
    """An agent whose steps come in is not asked: they say more. `interval_s` is after how long a quiet one
    is; None: only those are tried whose breaker has paused long enough."""

    def __init__(
        self, database: Database, try_agent: TryAgent, *, interval_s: float | None, now: Now
    ) -> None:
        self._database = database
        self._try_agent = try_agent
        self._interval_s = interval_s
        self._now = now
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def sweep(self) -> None:
        due = await self._database.write(partial(self._claim_due, now=self._now()))
        await asyncio.gather(*(self._probe(agent_id) for agent_id in due))

    def _claim_due(self, connection: Connection, *, now: datetime) -> list[str]:
        """Called now is what it will have been: no other sweep takes it too."""
        is_over = Agent.last_called_at <= now - timedelta(seconds=LONGEST_CALL_S)
        is_due = and_(Agent.health == HealthState.DOWN, Agent.breaker_until <= now, is_over)
        if self._interval_s is not None:
            last = now - timedelta(seconds=self._interval_s)
            is_quiet = or_(Agent.last_called_at.is_(None), Agent.last_called_at <= last)
            is_due = or_(is_due, and_(is_quiet, Agent.health.in_((HealthState.UP, HealthState.DEGRADED))))
        first = (
            select(Agent.id)
            .where(Agent.removed_at.is_(None), is_due)
            .order_by(Agent.last_called_at)
            .limit(MAX_PER_SWEEP)
            .with_for_update(skip_locked=True)
        )
        claimed = connection.execute(
            update(Agent)
            .where(Agent.id.in_(first.scalar_subquery()))
            .values(last_called_at=now)
            .returning(Agent.id)
        )
        return list(claimed.scalars())

    async def _probe(self, agent_id: str) -> None:
        async with self._slots:
            tried = await self._try_agent(agent_id)
        if tried is None:
            await self._database.write(partial(allow_a_trial, agent_id=agent_id, now=self._now()))
            return
        await self._database.write(
            partial(
                record,
                agent_id=agent_id,
                evidence=Evidence.DEEP_PROBE,
                ok=tried.ok,
                detail=tried.detail,
                now=self._now(),
                latency_ms=tried.latency_ms,
            )
        )
