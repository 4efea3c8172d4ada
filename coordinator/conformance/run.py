"""The conformance run of one agent: each interface of its card in its share of the time."""

import asyncio
from typing import Final

import httpx
import structlog

from a2a.card_types import AgentCard
from coordinator.clock import Now
from coordinator.conformance.declared import declared, skill_findings
from coordinator.conformance.interface_run import InterfaceRun, Plan
from coordinator.conformance.receiver import PushReceiver
from coordinator.conformance.report import WHOLE_AGENT, Check, Finding, Outcome, Report
from coordinator.conformance.samples import samples_of
from coordinator.conformance.shares import Countdown
from coordinator.conformance.verdict import judge
from coordinator.conformance.wire import Wire

TIME_BOX_S: Final = 60.0
# The rest is for the calls to end by their own deadlines, which say more than the end of the run.
PART_FOR_CALLS: Final = 0.95

log = structlog.get_logger(__name__)


async def check_agent(
    http: httpx.AsyncClient,
    card: AgentCard,
    card_url: str,
    *,
    time_box_s: float = TIME_BOX_S,
    now: Now,
    push: PushReceiver | None,
) -> Report:
    """Never raises for what the agent does. `http` has to be a guarded client; it sends no credentials.

    It runs skills: see docs/conformance.md for how many sends there are, and for the tags that spare a skill.
    `push` is a receiver that the agent can reach; without one its notifications are not checked.
    """
    clock = asyncio.get_running_loop().time
    started_at, began = now(), clock()
    time = Countdown(time_box_s, clock)
    samples, from_card = samples_of(card), declared(card, card_url)
    capabilities = card.capabilities
    plan = Plan(samples.tried, bool(capabilities.streaming), bool(capabilities.push_notifications), push)
    runs = [
        await _run(Wire(http, interface), plan, time.part_s(1, of=len(from_card.called) - number))
        for number, interface in enumerate(from_card.called)
    ]
    findings = [*from_card.findings, *skill_findings(samples.left_out)]
    findings += [found for run in runs for found in run.findings]
    facts = tuple(run.facts() for run in runs)
    verdict, reason = judge(samples, findings, facts)
    return Report(
        card_url=card_url,
        agent_name=card.name,
        agent_version=card.version,
        verdict=verdict,
        reason=reason,
        findings=_sorted(findings),
        interfaces=facts,
        started_at=started_at,
        took_s=round(clock() - began, 2),
    )


async def _run(wire: Wire, plan: Plan, share_s: float) -> InterfaceRun:
    time = Countdown(share_s * PART_FOR_CALLS, asyncio.get_running_loop().time)
    run = InterfaceRun(wire, plan, time)
    try:
        async with asyncio.timeout(share_s):
            await run.run()
    except TimeoutError:
        run.note(Check.INTERFACE, Outcome.FAILED, f"Its share of the time, {share_s:.1f} s, was up.")
    except Exception:
        # The agent found a way that we did not think of: a finding about it, and a bug of ours in the log.
        log.exception("conformance.crashed", url=wire.interface.url)
        run.note(Check.INTERFACE, Outcome.FAILED, "Its answers broke off the run; the log says how.")
    return run


def _sorted(findings: list[Finding]) -> tuple[Finding, ...]:
    """What is about the whole agent first, then each interface in the order of the card."""
    interfaces = list(dict.fromkeys([WHOLE_AGENT, *(found.interface for found in findings)]))
    checks = list(Check)
    return tuple(
        sorted(
            findings,
            key=lambda found: (interfaces.index(found.interface), checks.index(found.check)),
        )
    )
