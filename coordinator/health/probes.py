"""Cheap looks at every agent: its card is asked for at its interval, a failing agent's sooner."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import httpx
import structlog
from sqlalchemy import Connection, and_, case, or_, select, update

from a2a.client import ONE_TRY, FetchedCard, fetch_card_if_changed
from a2a.database import Database
from a2a.errors import A2AError
from coordinator.clock import Now
from coordinator.health.machine import FAILURES_TO_DOWN
from coordinator.health.record import record
from models.states import Evidence, HealthState
from models.tables import Agent

log = structlog.get_logger(__name__)

# A failing agent is asked again soon, so that three strikes do not take three intervals.
RETRY_S = 1.0
# The others come with the next sweep: agents that were due at once are not for ever after.
MAX_PER_SWEEP = 500
# Connections are 200: some are left for agents that answer while others hang.
MAX_AT_ONCE = 150
MAX_FAILING_AT_ONCE = 50
MAX_JITTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Probed:
    """The agent that a card is asked of, and when it was last changed before that."""

    agent_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """An agent whose probe is due. `is_quiet`: a good answer would change nothing."""

    probed: Probed
    card_url: str
    etag: str | None
    is_quiet: bool
    is_failing: bool


# Takes a card that may be another than before; why it cannot be used, or None.
CardSeen = Callable[[Probed, FetchedCard], Awaitable[str | None]]


class Prober:
    """Probes through `http`, which has to be a guarded client: card URLs are anybody's. `card_seen` is told
    of every card that may be another than before."""

    def __init__(
        self,
        database: Database,
        http: httpx.AsyncClient,
        card_seen: CardSeen,
        *,
        interval_s: float,
        timeout_s: float,
        now: Now,
    ) -> None:
        self._database = database
        self._http = http
        self._card_seen = card_seen
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._now = now
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._failing_slots = asyncio.Semaphore(MAX_FAILING_AT_ONCE)

    async def sweep(self) -> None:
        """Probe the agents that are due, at once but bounded."""
        due = await self._database.write(partial(self._claim_due, now=self._now()))
        await asyncio.gather(*(self._probe(agent) for agent in due))

    def _claim_due(self, connection: Connection, *, now: datetime) -> list[Due]:
        """Mark the due agents as checked in the same statement, so that no other sweep takes them too."""
        interval, retry = timedelta(seconds=self._interval_s), timedelta(seconds=RETRY_S)
        # Where the one that looked before has a clock that is ahead, nobody would for that long.
        is_of_another_clock = Agent.last_checked_at > now + interval
        is_failing = Agent.failures.between(1, FAILURES_TO_DOWN - 1)
        is_recovering = and_(Agent.health == HealthState.DOWN, Agent.successes > 0)
        # An agent whose heartbeats have stopped is looked at now rather than at its interval.
        is_due = or_(
            Agent.last_checked_at.is_(None),
            Agent.last_checked_at <= now - interval,
            is_of_another_clock,
            and_(or_(is_failing, is_recovering), Agent.last_checked_at <= now - retry),
            Agent.lease_expires_at < now,
        )
        first = (
            select(Agent.id)
            .where(Agent.removed_at.is_(None), Agent.inbox_digest.is_(None), is_due)
            .order_by(Agent.last_checked_at.nulls_first())
            .limit(MAX_PER_SWEEP)
            .with_for_update(skip_locked=True)
        )
        lease = case((Agent.lease_expires_at < now, None), else_=Agent.lease_expires_at)
        claimed = connection.execute(
            update(Agent)
            .where(Agent.id.in_(first.scalar_subquery()))
            .values(last_checked_at=now, lease_expires_at=lease)
            .returning(Agent.id, Agent.updated_at, Agent.card_url, Agent.etag, Agent.health, Agent.failures)
        )
        return [
            Due(
                Probed(row.id, row.updated_at),
                row.card_url,
                row.etag,
                is_quiet=row.health == HealthState.UP and row.failures == 0,
                is_failing=row.health == HealthState.DOWN or row.failures > 0,
            )
            for row in claimed
        ]

    async def _probe(self, due: Due) -> None:
        async with self._failing_slots if due.is_failing else self._slots:
            await asyncio.sleep(random.random() * min(MAX_JITTER_S, self._interval_s / 10))  # noqa: S311
            started = time.perf_counter()
            try:
                fetched = await fetch_card_if_changed(
                    self._http, due.card_url, etag=due.etag, timeout_s=self._timeout_s, retries=ONE_TRY
                )
            except A2AError as exc:
                await self._record(due, started, ok=False, detail=str(exc))
                return
        unusable = await self._take(due, fetched) if fetched.card is not None else None
        if unusable is not None:
            await self._record(due, started, ok=False, detail=unusable)
        elif not due.is_quiet:
            await self._record(due, started, ok=True, detail="the agent card was served")

    async def _take(self, due: Due, fetched: FetchedCard) -> str | None:
        try:
            return await self._card_seen(due.probed, fetched)
        except Exception:
            # A card that we did not think of is a failure of its agent, and does not end the sweep.
            log.exception("agent.card_not_taken", agent_id=due.probed.agent_id)
            return "its card cannot be taken in; the log says why"

    async def _record(self, due: Due, started: float, *, ok: bool, detail: str) -> None:
        await self._database.write(
            partial(
                record,
                agent_id=due.probed.agent_id,
                evidence=Evidence.PROBE,
                ok=ok,
                detail=detail,
                now=self._now(),
                latency_ms=(time.perf_counter() - started) * 1_000,
            )
        )
