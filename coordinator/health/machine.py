"""The health state machine: one piece of evidence in, the next state out. Pure.

Three failures in a row take an agent down, two successes in a row bring it up again; one failure only
makes it degraded. A heartbeat proves that the process lives, not that it can be called, so it changes
nothing. An agent that said good-bye stays draining until it registers again or is seen dead.

Failed calls are counted by themselves, for a served card says nothing of them. Three in a row open the
circuit breaker: the agent is down, and only a call brings it back. After a pause, doubled each time, one is
tried: a deep probe, or where that cannot be made, the next steps.

An agent that fetches its requests is away when it has not come for longer than it said, and there again with
its next visit: both are certain, so neither is counted. A visit does not close the circuit breaker.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.states import Evidence, HealthState

FAILURES_TO_DOWN = 3
SUCCESSES_TO_UP = 2
BREAKER_PAUSE_S = 15.0
LONGEST_BREAKER_PAUSE_S = 600.0
# What a call says; all else says only that the agent is there.
_CALLS = (Evidence.CALL, Evidence.DEEP_PROBE)


@dataclass(frozen=True, slots=True)
class Health:
    """A state, the length of the current streak of failures or successes, and the circuit breaker: failed
    calls in a row, how often it has opened since the agent was last up, until when it is open."""

    state: HealthState
    failures: int = 0
    successes: int = 0
    call_failures: int = 0
    breaker_trips: int = 0
    breaker_until: datetime | None = None


def observe(health: Health, evidence: Evidence, *, ok: bool, now: datetime) -> Health:
    match evidence:
        case Evidence.CONFORMANCE if ok and health.state is HealthState.DRAINING:
            return health  # the run had begun before the good-bye
        case Evidence.REGISTRATION if ok and health.breaker_until is not None:
            return try_again(health)  # it says that it is there, and not that its calls succeed
        case Evidence.REGISTRATION | Evidence.CONFORMANCE:
            return Health(HealthState.UP if ok else HealthState.QUARANTINED)
        case Evidence.HEARTBEAT:
            return health
        case Evidence.CALL | Evidence.DEEP_PROBE:
            return _after_good_call(health) if ok else _after_failed_call(health, now)
        case Evidence.PROBE:
            return _after_success(health) if ok else _after_failure(health)
        case Evidence.VISIT:
            return _after_visit(health) if ok else _after_absence(health)


def drain(health: Health) -> Health:
    """After the agent's good-bye, or an operator's wish: it gets no more work."""
    if health.state in (HealthState.DOWN, HealthState.QUARANTINED):
        return health
    return replace(health, state=HealthState.DRAINING, failures=0, successes=0)


def try_again(health: Health) -> Health:
    """The breaker's pause is over and nothing but steps can try the agent: they may, and the first that fails
    opens the breaker again."""
    if health.state is not HealthState.DOWN or health.breaker_until is None:
        return health
    return replace(health, state=HealthState.DEGRADED, call_failures=FAILURES_TO_DOWN - 1, breaker_until=None)


def _after_success(health: Health) -> Health:
    if health.breaker_until is not None:
        return replace(health, failures=0)
    successes = min(health.successes + 1, SUCCESSES_TO_UP)
    state = health.state
    if state in (HealthState.DEGRADED, HealthState.DOWN) and successes >= SUCCESSES_TO_UP:
        state = HealthState.UP
    return replace(health, state=state, failures=0, successes=successes)


def _after_visit(health: Health) -> Health:
    """As it was before it went away."""
    if health.state is not HealthState.DOWN or health.breaker_until is not None:
        return health
    return replace(health, state=HealthState.DEGRADED if health.call_failures else HealthState.UP)


def _after_absence(health: Health) -> Health:
    return health if health.state is HealthState.QUARANTINED else replace(health, state=HealthState.DOWN)


def _after_good_call(health: Health) -> Health:
    answered = replace(health, call_failures=0, breaker_until=None)
    after = _after_success(answered)
    return replace(after, breaker_trips=0) if after.state is HealthState.UP else after


def _after_failure(health: Health) -> Health:
    failures = min(health.failures + 1, FAILURES_TO_DOWN)
    return replace(health, state=_worse(health.state, failures), failures=failures, successes=0)


def _after_failed_call(health: Health, now: datetime) -> Health:
    failures = min(health.call_failures + 1, FAILURES_TO_DOWN)
    state = _worse(health.state, failures)
    after = replace(health, state=state, call_failures=failures, successes=0)
    if failures < FAILURES_TO_DOWN or state is not HealthState.DOWN:
        return after
    if health.breaker_until is not None and now < health.breaker_until:
        return after
    pause_s = min(BREAKER_PAUSE_S * 2**health.breaker_trips, LONGEST_BREAKER_PAUSE_S)
    trips = min(health.breaker_trips + 1, 16)
    return replace(after, breaker_trips=trips, breaker_until=now + timedelta(seconds=pause_s))


def _worse(state: HealthState, failures: int) -> HealthState:
    if failures >= FAILURES_TO_DOWN and state in (
        HealthState.UP,
        HealthState.DEGRADED,
        HealthState.DRAINING,
    ):
        return HealthState.DOWN
    return HealthState.DEGRADED if state is HealthState.UP else state
