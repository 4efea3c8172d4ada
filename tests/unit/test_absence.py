"""How long a visit counts, and what is said of an agent that is away."""

from datetime import UTC, datetime, timedelta

from coordinator.health.absence import GRACE_S, LONGEST_NAP_S, lease_until, why_away

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_visit_counts_for_as_long_as_it_may_take_and_a_while() -> None:
    assert lease_until(NOW, 30, None) == later(30 + GRACE_S)
    assert lease_until(NOW, 30, later(-5)) == later(30 + GRACE_S)


def test_a_short_nap_is_no_absence() -> None:
    assert lease_until(NOW, 0, later(LONGEST_NAP_S)) == later(LONGEST_NAP_S + GRACE_S)


def test_an_agent_that_goes_to_sleep_is_away_as_soon_as_its_visit_ends() -> None:
    assert lease_until(NOW, 20, later(3_600)) == later(20)


def test_the_reason_says_since_when_and_until_when() -> None:
    said = why_away(later(-60), later(3_600), NOW)
    assert said == ("it has not looked into its inbox since 11:59:00 UTC; it says it will at 13:00:00 UTC")


def test_a_promise_that_was_not_kept_is_not_repeated() -> None:
    assert why_away(later(-60), later(-1), NOW) == "it has not looked into its inbox since 11:59:00 UTC"
    assert why_away(None, None, NOW) == "it has not looked into its inbox yet"


def test_another_day_is_named() -> None:
    assert "2026-01-02 12:00:00 UTC" in why_away(NOW, later(86_400), NOW)
