"""One real call of an agent: whether it still does what it did in its conformance run."""

import asyncio
from dataclasses import dataclass

import httpx

from a2a.card_types import AgentCard, AgentInterface
from coordinator.conformance.samples import samples_of
from coordinator.conformance.sending import Proof, send_samples
from coordinator.conformance.shares import Countdown
from coordinator.conformance.wire import Wire


@dataclass(frozen=True, slots=True)
class Called:
    """`detail` is a sentence about what came of it."""

    ok: bool
    detail: str
    latency_ms: float


async def call_once(
    http: httpx.AsyncClient, card: AgentCard, interface: AgentInterface, *, timeout_s: float
) -> Called | None:
    """None where nothing can be sent honestly. Never raises for what the agent does."""
    samples = samples_of(card).tried[:1]
    if not samples:
        return None
    clock = asyncio.get_running_loop().time
    began = clock()
    sent = await send_samples(Wire(http, interface), samples, Countdown(timeout_s, clock))
    # One that is still at work has taken the call; how long it takes is its own affair.
    is_ok = sent.proof in (Proof.DONE, Proof.SLOW)
    return Called(is_ok, sent.detail, (clock() - began) * 1_000)
