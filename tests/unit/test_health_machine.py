"""The health state machine."""

from datetime import UTC, datetime, timedelta

from coordinator.health.machine import BREAKER_PAUSE_S, Health, drain, try_again
from coordinator.health.machine import observe as observe_at
from models.states import Evidence, HealthState

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def observe(health: Health, evidence: Evidence, *, ok: bool, later_s: float = 0.0) -> Health:
    return observe_at(health, evidence, ok=ok, now=NOW + timedelta(seconds=later_s))


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


# The circuit breaker


def called(*seen: bool, start: Health | None = None) -> Health:
    health = start or Health(HealthState.UP)
    for ok in seen:
        health = observe(health, Evidence.CALL, ok=ok)
    return health


def opened() -> Health:
    return called(False, False, False)


def test_three_failed_calls_in_a_row_open_the_breaker() -> None:
    assert called(False, False).breaker_until is None
    assert opened().state is HealthState.DOWN
    assert opened().breaker_until == NOW + timedelta(seconds=BREAKER_PAUSE_S)


def test_a_served_card_makes_no_failed_call_good() -> None:
    """Most agents whose card answers complete no task."""
    health = called(False, False)
    for _ in range(5):
        health = observe(health, Evidence.PROBE, ok=True)
    assert health.state is HealthState.UP
    assert observe(health, Evidence.CALL, ok=False).state is HealthState.DOWN


def test_a_served_card_does_not_close_the_breaker() -> None:
    health = opened()
    for _ in range(5):
        health = observe(health, Evidence.PROBE, ok=True)
    assert health.state is HealthState.DOWN


def test_two_good_calls_bring_back_an_agent_whose_breaker_was_open() -> None:
    once = observe(opened(), Evidence.DEEP_PROBE, ok=True, later_s=20)
    assert once.state is HealthState.DOWN
    assert once.breaker_until is None
    twice = observe(once, Evidence.DEEP_PROBE, ok=True, later_s=21)
    assert twice == Health(HealthState.UP, successes=2)


def test_after_one_good_call_a_served_card_is_the_second_success() -> None:
    once = observe(opened(), Evidence.DEEP_PROBE, ok=True, later_s=20)
    assert observe(once, Evidence.PROBE, ok=True, later_s=21).state is HealthState.UP


def test_each_failed_trial_doubles_the_pause() -> None:
    health = opened()
    pauses = []
    for _ in range(8):
        assert health.breaker_until is not None
        at = (health.breaker_until - NOW) / timedelta(seconds=1)
        health = observe(health, Evidence.DEEP_PROBE, ok=False, later_s=at)
        assert health.breaker_until is not None
        pauses.append((health.breaker_until - NOW) / timedelta(seconds=1) - at)
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]


def test_failures_of_calls_that_were_out_already_do_not_prolong_the_pause() -> None:
    assert called(False, False, start=opened()) == opened()


def test_where_only_a_step_can_try_one_may_and_its_failure_opens_the_breaker_again() -> None:
    trial = try_again(opened())
    assert trial.state is HealthState.DEGRADED
    again = observe(trial, Evidence.CALL, ok=False, later_s=20)
    assert again.state is HealthState.DOWN
    assert again.breaker_until == NOW + timedelta(seconds=20 + 2 * BREAKER_PAUSE_S)
    assert observe(trial, Evidence.CALL, ok=True, later_s=20).call_failures == 0


def test_a_trial_is_for_agents_whose_breaker_is_open() -> None:
    for state in HealthState:
        assert try_again(Health(state)) == Health(state)


def test_a_failed_conformance_run_quarantines_and_a_good_one_frees() -> None:
    assert observe(opened(), Evidence.CONFORMANCE, ok=True) == Health(HealthState.UP)
    failed = observe(Health(HealthState.UP), Evidence.CONFORMANCE, ok=False)
    assert failed == Health(HealthState.QUARANTINED)


def test_a_good_run_that_ends_after_a_good_bye_does_not_undo_it() -> None:
    draining = Health(HealthState.DRAINING)
    assert observe(draining, Evidence.CONFORMANCE, ok=True) == draining


def test_a_drain_does_not_close_the_breaker() -> None:
    assert drain(opened()) == opened()
    assert drain(called(False, False)).call_failures == 2


def test_an_agent_in_quarantine_that_says_good_bye_stays_there() -> None:
    assert drain(Health(HealthState.QUARANTINED)).state is HealthState.QUARANTINED


def test_an_absence_takes_down_at_once_and_a_visit_brings_back_what_was() -> None:
    for health in (Health(HealthState.UP), Health(HealthState.DEGRADED, call_failures=2)):
        away = observe(health, Evidence.VISIT, ok=False)
        assert away.state is HealthState.DOWN
        assert observe(away, Evidence.VISIT, ok=True) == health


def test_a_visit_changes_nothing_of_an_agent_that_is_there_drained_or_quarantined() -> None:
    for state in (HealthState.UP, HealthState.DRAINING, HealthState.QUARANTINED):
        assert observe(Health(state), Evidence.VISIT, ok=True) == Health(state)


def test_an_absence_frees_nobody_from_quarantine() -> None:
    quarantined = Health(HealthState.QUARANTINED)
    assert observe(quarantined, Evidence.VISIT, ok=False) == quarantined


def test_a_visit_does_not_close_the_circuit_breaker() -> None:
    health = Health(HealthState.UP)
    for _ in range(3):
        health = observe(health, Evidence.CALL, ok=False)

    assert observe(health, Evidence.VISIT, ok=True) == health
    assert observe(observe(health, Evidence.VISIT, ok=False), Evidence.VISIT, ok=True) == health


def test_a_registration_does_not_close_the_breaker_but_lets_one_call_try() -> None:
    registered = observe(opened(), Evidence.REGISTRATION, ok=True)
    assert registered.state is HealthState.DEGRADED
    assert observe(registered, Evidence.CALL, ok=False, later_s=1).state is HealthState.DOWN
