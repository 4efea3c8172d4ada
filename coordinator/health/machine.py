"""The health state machine: one piece of evidence in, the next state out. Pure.

Three failures in a row take an agent down, two successes in a row bring it up again; one failure only
makes it degraded. A heartbeat proves that the process lives, not that it can be called, so it changes
nothing. An agent that said good-bye stays draining until it registers again or is seen dead.
"""

from dataclasses import dataclass

from models.states import Evidence, HealthState

FAILURES_TO_DOWN = 3
SUCCESSES_TO_UP = 2


@dataclass(frozen=True, slots=True)
class Health:
    """A state and the length of the current streak of failures or successes."""

    state: HealthState
    failures: int = 0
    successes: int = 0


def observe(health: Health, evidence: Evidence, *, ok: bool) -> Health:
    if evidence is Evidence.REGISTRATION:
        return Health(HealthState.UP if ok else HealthState.QUARANTINED)
    if evidence is Evidence.HEARTBEAT:
        return health
    return _after_success(health) if ok else _after_failure(health)


def drain(health: Health) -> Health:
    """After the agent's good-bye: it gets no more work."""
    return Health(HealthState.DOWN if health.state is HealthState.DOWN else HealthState.DRAINING)


def _after_success(health: Health) -> Health:
    successes = min(health.successes + 1, SUCCESSES_TO_UP)
    state = health.state
    if state in (HealthState.DEGRADED, HealthState.DOWN) and successes >= SUCCESSES_TO_UP:
        state = HealthState.UP
    return Health(state, successes=successes)


def _after_failure(health: Health) -> Health:
    failures = min(health.failures + 1, FAILURES_TO_DOWN)
    state = health.state
    if state is HealthState.UP:
        state = HealthState.DEGRADED
    if failures >= FAILURES_TO_DOWN and state in (HealthState.DEGRADED, HealthState.DRAINING):
        state = HealthState.DOWN
    return Health(state, failures=failures)
