"""Scheduled probes (APScheduler): every agent's card is asked for at its interval, a failing one sooner."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import httpx
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import Connection, and_, case, or_, update

from a2a.client import ONE_TRY, fetch_card
from a2a.database import Database
from a2a.errors import A2AError
from coordinator.clock import Now
from coordinator.health.machine import FAILURES_TO_DOWN
from coordinator.health.record import forget_older_than, record
from coordinator.settings import AgentSettings
from models.states import Evidence
from models.tables import Agent

SWEEP_EVERY_S = 1.0
# A failing agent is asked again soon, so that three strikes do not take three intervals.
RETRY_S = 1.0
MAX_PROBES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Due:
    """An agent whose probe is due."""

    agent_id: str
    card_url: str


class HealthMonitor:
    """Probes through `http`, which has to be a guarded client: card URLs are anybody's."""

    def __init__(
        self, database: Database, http: httpx.AsyncClient, settings: AgentSettings, now: Now
    ) -> None:
        self._database = database
        self._http = http
        self._settings = settings
        self._now = now
        self._slots = asyncio.Semaphore(MAX_PROBES_AT_ONCE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        scheduler = AsyncIOScheduler(timezone="UTC")
        # Sweeps may overlap: each claims its agents, so a slow agent does not hold up the next sweep.
        scheduler.add_job(self.sweep, "interval", seconds=SWEEP_EVERY_S, max_instances=20, coalesce=True)
        scheduler.add_job(self.prune, "interval", hours=1, coalesce=True)
        scheduler.start()
        try:
            yield
        finally:
            scheduler.shutdown(wait=False)

    async def sweep(self) -> None:
        """Probe every agent that is due, at once but bounded."""
        due = await self._database.write(partial(self._claim_due, now=self._now()))
        await asyncio.gather(*(self._probe(agent) for agent in due))

    async def prune(self) -> None:
        """Forget the history that is older than the setting."""
        oldest = self._now() - timedelta(days=self._settings.history_days)
        await self._database.write(partial(forget_older_than, before=oldest))

    def _claim_due(self, connection: Connection, *, now: datetime) -> list[Due]:
        """Mark the due agents as checked in the same statement, so that no other sweep takes them too."""
        interval = timedelta(seconds=self._settings.probe_interval_s)
        is_failing = Agent.failures.between(1, FAILURES_TO_DOWN - 1)
        # An agent whose heartbeats have stopped is looked at now rather than at its interval.
        is_due = or_(
            Agent.last_checked_at.is_(None),
            Agent.last_checked_at <= now - interval,
            and_(is_failing, Agent.last_checked_at <= now - timedelta(seconds=RETRY_S)),
            Agent.lease_expires_at < now,
        )
        lease = case((Agent.lease_expires_at < now, None), else_=Agent.lease_expires_at)
        claimed = connection.execute(
            update(Agent)
            .where(Agent.removed_at.is_(None), is_due)
            .values(last_checked_at=now, lease_expires_at=lease)
            .returning(Agent.id, Agent.card_url)
        )
        return [Due(row.id, row.card_url) for row in claimed]

    async def _probe(self, due: Due) -> None:
        async with self._slots:
            started = time.perf_counter()
            try:
                timeout_s = self._settings.probe_timeout_s
                await fetch_card(self._http, due.card_url, timeout_s=timeout_s, retries=ONE_TRY)
                ok, detail = True, "the agent card was served"
            except A2AError as exc:
                ok, detail = False, str(exc)
            latency_ms = (time.perf_counter() - started) * 1_000
        await self._database.write(
            partial(
                record,
                agent_id=due.agent_id,
                evidence=Evidence.PROBE,
                ok=ok,
                detail=detail,
                now=self._now(),
                latency_ms=latency_ms,
            )
        )
