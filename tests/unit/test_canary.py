"""When a canary is rolled back."""

import pytest

from coordinator.registry.canary import Calls, Rules, why_roll_back

RULES = Rules(margin=0.1, min_calls=20)


def test_a_canary_that_fails_more_often_by_the_margin_is_rolled_back() -> None:
    why = why_roll_back(Calls(15, 5), Calls(95, 5), RULES)
    assert why is not None
    assert "25% of its calls failed, 5%" in why


def test_within_the_margin_it_stays() -> None:
    assert why_roll_back(Calls(18, 2), Calls(100, 0), RULES) is None
    assert why_roll_back(Calls(10, 10), Calls(10, 10), RULES) is None, "where all fail it is not the canary"


@pytest.mark.parametrize("failed", [1, 19])
def test_before_there_are_enough_calls_nothing_is_said(failed: int) -> None:
    assert why_roll_back(Calls(0, failed), Calls(100, 0), RULES) is None


def test_the_last_call_counts_though_those_before_have_decayed_a_little() -> None:
    assert why_roll_back(Calls(0, 19.7), Calls(100, 0), RULES) is not None


def test_without_stable_agents_the_margin_is_all_that_is_allowed() -> None:
    assert why_roll_back(Calls(17, 3), Calls(0, 0), RULES) is not None
    assert why_roll_back(Calls(19, 1), Calls(0, 0), RULES) is None
