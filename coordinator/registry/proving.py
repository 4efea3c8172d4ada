"""Agents proven by the conformance run: when they join, when their card changes, and every day.

What a run finds becomes how the agent is called; an agent that completes nothing gets no work.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile

import httpx
import structlog
from sqlalchemy import Connection, or_, select, update

from a2a.card_types import AgentCard
from a2a.database import Database
from coordinator.clock import Now
from coordinator.conformance.call import Called, call_once
from coordinator.conformance.receiver import PushReceiver
from coordinator.conformance.report import InterfaceFacts, Report, Verdict, best_interface
from coordinator.conformance.run import check_agent
from coordinator.health.audit import Actor, note
from coordinator.health.record import record
from coordinator.registry.routes import called_interface
from coordinator.registry.store import find_known, save_report, set_agent
from models.states import Admission, Evidence, HealthState, Proof
from models.tables import Agent, AgentReport

log = structlog.get_logger(__name__)

MAX_AT_ONCE = 8
# Above that they wait in the database for the next sweep.
MAX_BEGUN = 1_000
# Doubled with each further one.
AGAIN_AFTER_FAILURE_S = 60.0
LONGEST_AGAIN_S = 3_600.0
# One failed run of an agent that was proven is a failed call; so many in a row take the proof away.
DOUBTS = 3


@dataclass(frozen=True, slots=True)
class ProofRules:
    """`interval_s` lies between two runs, `time_box_s` is what one may take."""

    time_box_s: float
    interval_s: float


@dataclass(frozen=True, slots=True)
class _Claimed:
    agent_id: str
    card_url: str
    card: AgentCard


class Prover:
    """`http` has to be a guarded client; `receiver` takes the notifications of agents that push."""

    def __init__(
        self,
        database: Database,
        http: httpx.AsyncClient,
        receiver: PushReceiver,
        rules: ProofRules,
        now: Now,
    ) -> None:
        self._database = database
        self._http = http
        self._receiver = receiver
        self._rules = rules
        self._now = now
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._running: dict[str, asyncio.Task[None]] = {}

    def due(self, agent_id: str) -> None:
        """Check the agent now, unless that is being done or too many wait."""
        if agent_id in self._running or len(self._running) >= MAX_BEGUN:
            return
        task = asyncio.create_task(self._prove(agent_id), name=f"prove {agent_id}")
        self._running[agent_id] = task
        task.add_done_callback(lambda _: self._running.pop(agent_id, None))

    async def wait(self, agent_id: str, *, timeout_s: float) -> None:
        """Until the agent's run here has ended, if there is one, or the time is over."""
        task = self._running.get(agent_id)
        if task is not None:
            await asyncio.wait([task], timeout=timeout_s)

    async def sweep(self) -> None:
        """Begin with those whose time has come: daily runs, and what a dead process had left."""
        for agent_id in await self._database.read(partial(_due, now=self._now(), limit=MAX_AT_ONCE * 4)):
            self.due(agent_id)

    async def check(self, agent_id: str, *, timeout_s: float) -> None:
        """An operator asks for a run now."""
        await self._database.write(partial(set_agent, agent_id=agent_id, proof_due_at=self._now()))
        self.due(agent_id)
        await self.wait(agent_id, timeout_s=timeout_s)

    async def try_agent(self, agent_id: str) -> Called | None:
        """One real call, for a deep probe; None where nothing can be asked of it that does no harm."""
        row = await self._database.read(partial(find_known, agent_id=agent_id))
        if row is None or row.inbox_digest is not None:
            return None
        card = AgentCard.model_validate(row.card)
        return await call_once(self._http, card, called_interface(row), timeout_s=self._rules.time_box_s)

    async def close(self) -> None:
        """What is not ended is done again after the restart."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _prove(self, agent_id: str) -> None:
        async with self._slots:
            claimed = await self._database.write(partial(self._claim, agent_id=agent_id))
            if claimed is None:
                return
            try:
                report = await check_agent(
                    self._http,
                    claimed.card,
                    claimed.card_url,
                    time_box_s=self._rules.time_box_s,
                    now=self._now,
                    push=self._receiver,
                )
            except Exception:
                # The claim runs out and the agent is checked again; nobody else is disturbed.
                log.exception("agent.check_crashed", agent_id=agent_id)
                return
        log.info("agent.checked", agent_id=agent_id, verdict=report.verdict)
        await self._database.write(partial(self._apply, claimed=claimed, report=report))

    def _claim(self, connection: Connection, *, agent_id: str) -> _Claimed | None:
        now = self._now()
        claim = (
            update(Agent)
            .where(Agent.id == agent_id, Agent.removed_at.is_(None), Agent.inbox_digest.is_(None))
            .where(Agent.proof_due_at <= now)
            # For longer than it can take: should this process die, another does it.
            .values(proof_due_at=now + timedelta(seconds=2 * self._rules.time_box_s + 10))
            .returning(Agent.id, Agent.card_url, Agent.card)
        )
        row = connection.execute(claim).one_or_none()
        return _Claimed(row.id, row.card_url, AgentCard.model_validate(row.card)) if row is not None else None

    def _apply(self, connection: Connection, *, claimed: _Claimed, report: Report) -> None:
        agent_id, now, rules = claimed.agent_id, self._now(), self._rules
        known = find_known(connection, agent_id=agent_id, locks=True)
        if known is None or known.removed_at is not None:
            return
        if known.card_url != claimed.card_url or AgentCard.model_validate(known.card) != claimed.card:
            # It has moved or changed meanwhile: what was seen says nothing of what it is now.
            set_agent(connection, agent_id, proof_due_at=now)
            return
        is_ok = report.verdict is not Verdict.FAILED
        was_proven = known.proof in (Proof.PROVEN, Proof.UNPROVEN)
        save_report(connection, agent_id, report.verdict, report.to_json(), now)
        failures = 0 if is_ok else _failures_in_a_row(connection, agent_id)
        if not is_ok and was_proven and failures < DOUBTS:
            again = now + timedelta(seconds=AGAIN_AFTER_FAILURE_S)
            set_agent(connection, agent_id, proof_due_at=again)
            detail = f"a conformance run failed: {report.reason}"
            record(connection, agent_id, Evidence.DEEP_PROBE, ok=False, detail=detail, now=now)
            return
        pause_s = min(AGAIN_AFTER_FAILURE_S * 2 ** (failures - 1), LONGEST_AGAIN_S) if failures else 0.0
        wait_s = rules.interval_s if is_ok else min(pause_s, rules.interval_s)
        best = best_interface(report)
        columns = _called(best) if best is not None else {}
        set_agent(
            connection,
            agent_id,
            proof=Proof(report.verdict),
            proof_due_at=now + timedelta(seconds=wait_s),
            last_called_at=now,
            updated_at=now,
            **columns,
        )
        state = record(connection, agent_id, Evidence.CONFORMANCE, ok=is_ok, detail=report.reason, now=now)
        if state is HealthState.QUARANTINED and known.held_for is None:
            set_agent(connection, agent_id, health_reason=report.reason)
        if Proof(report.verdict) != known.proof:
            data = {"verdict": report.verdict, "reason": report.reason}
            note(connection, agent_id, "agent.checked", Actor.COORDINATOR, now, **data)


def _called(facts: InterfaceFacts) -> dict[str, object]:
    """How the agent is called from now on."""
    return {
        "url": facts.url,
        "protocol_binding": facts.binding,
        "protocol_version": facts.version,
        "interface_tenant": facts.tenant,
        "streaming": bool(facts.streams),
        "facts": {"streams": facts.streams, "lists": facts.lists, "pushes": facts.pushes},
    }


def _due(connection: Connection, *, now: datetime, limit: int) -> Sequence[str]:
    """An agent that was proven and is down is left to its probes, and one that is held to the operator:
    whoever may not work yet costs no runs, nor the time of those who wait for theirs."""
    is_checkable = or_(Agent.health != HealthState.DOWN, Agent.proof.in_((Proof.PENDING, Proof.FAILED)))
    query = (
        select(Agent.id)
        .where(Agent.removed_at.is_(None), Agent.inbox_digest.is_(None))
        .where(Agent.proof_due_at <= now, is_checkable, Agent.admission == Admission.ADMITTED)
        .order_by(Agent.proof_due_at)
        .limit(limit)
    )
    return connection.execute(query).scalars().all()


def _failures_in_a_row(connection: Connection, agent_id: str) -> int:
    """As far as the reports that are kept tell."""
    query = select(AgentReport.verdict).where(AgentReport.agent_id == agent_id)
    verdicts = connection.execute(query.order_by(AgentReport.id.desc())).scalars()
    return sum(1 for _ in takewhile(lambda verdict: verdict == Verdict.FAILED, verdicts))
