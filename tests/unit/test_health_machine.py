"""The health state machine."""

from coordinator.health.machine import Health, drain, observe
from models.states import Evidence, HealthState


def after(*seen: bool, start: HealthState = HealthState.UP) -> HealthState:
    health = Health(start)
    for ok in seen:
        health = observe(health, Evidence.PROBE, ok=ok)
    return health.state


def test_one_failure_only_degrades() -> None:
    assert after(False) is HealthState.DEGRADED
    assert after(False, False) is HealthState.DEGRADED


def test_three_failures_in_a_row_take_down() -> None:
    assert after(False, False, False) is HealthState.DOWN


def test_a_success_in_between_breaks_the_streak() -> None:
    assert after(False, False, True, False, False) is HealthState.DEGRADED


def test_two_successes_bring_back_up_and_one_does_not() -> None:
    assert after(True, start=HealthState.DOWN) is HealthState.DOWN
    assert after(True, True, start=HealthState.DOWN) is HealthState.UP
    assert after(True, True, start=HealthState.DEGRADED) is HealthState.UP


def test_a_registration_makes_a_known_agent_up_from_any_state() -> None:
    for state in HealthState:
        assert observe(Health(state, failures=2), Evidence.REGISTRATION, ok=True) == Health(HealthState.UP)


def test_a_draining_agent_stays_so_while_it_answers_and_goes_down_when_it_is_gone() -> None:
    assert after(True, True, True, start=HealthState.DRAINING) is HealthState.DRAINING
    assert after(False, False, False, start=HealthState.DRAINING) is HealthState.DOWN


def test_a_goodbye_drains_whoever_is_not_down_already() -> None:
    assert drain(Health(HealthState.UP)).state is HealthState.DRAINING
    assert drain(Health(HealthState.DOWN)).state is HealthState.DOWN


def test_a_quarantined_agent_is_not_freed_by_probes() -> None:
    assert after(True, True, True, start=HealthState.QUARANTINED) is HealthState.QUARANTINED


def test_a_heartbeat_changes_nothing_since_it_does_not_say_that_calls_arrive() -> None:
    for state in HealthState:
        for health in (Health(state, failures=2), Health(state, successes=1)):
            assert observe(health, Evidence.HEARTBEAT, ok=True) == health


def test_calls_count_as_probes_do() -> None:
    once = observe(Health(HealthState.DOWN), Evidence.CALL, ok=True)
    assert observe(once, Evidence.CALL, ok=True).state is HealthState.UP
