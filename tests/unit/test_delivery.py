"""How a step is followed, how long skills take, and where notifications arrive."""

import pytest

from coordinator.executor.delivery import (
    ENOUGH,
    LONG_S,
    MAX_REMEMBERED,
    REMEMBERED,
    SHORT_S,
    Delivery,
    Durations,
    PushInbox,
    choose_delivery,
)


@pytest.mark.parametrize(
    ("streams", "pushes", "expected_s", "chosen"),
    [
        (True, True, SHORT_S, Delivery.ANSWER),
        (False, False, SHORT_S, Delivery.ANSWER),
        (True, True, 10.0, Delivery.STREAM),
        (True, False, LONG_S, Delivery.STREAM),
        (True, True, LONG_S, Delivery.PUSH),
        (False, True, 10.0, Delivery.PUSH),
        (False, False, LONG_S, Delivery.POLL),
        (True, True, None, Delivery.STREAM),
        (False, True, None, Delivery.PUSH),
        (False, False, None, Delivery.POLL),
    ],
)
def test_delivery_by_what_the_agent_can_do_and_how_long_it_takes(
    streams: bool, pushes: bool, expected_s: float | None, chosen: Delivery
) -> None:
    assert choose_delivery(streams=streams, pushes=pushes, expected_s=expected_s) is chosen


def noted(*seconds: float) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.note("a", "echo", each)
    return durations


def test_nothing_is_expected_of_a_skill_before_it_was_used_a_few_times() -> None:
    assert noted(*[1.0] * (ENOUGH - 1)).expected_s("a", "echo") is None
    assert noted(*[1.0] * ENOUGH).expected_s("a", "echo") == 1.0


def test_the_longest_of_the_latest_is_expected() -> None:
    assert noted(0.1, 5.0, 0.2).expected_s("a", "echo") == 5.0


def test_what_was_long_ago_is_forgotten() -> None:
    assert noted(5.0, *[0.1] * REMEMBERED).expected_s("a", "echo") == 0.1


def test_skills_and_agents_are_told_apart() -> None:
    durations = noted(*[1.0] * ENOUGH)
    assert durations.expected_s("a", "other") is None
    assert durations.expected_s("b", "echo") is None


def test_no_more_skills_are_remembered_than_a_few_thousand() -> None:
    durations = noted(*[1.0] * ENOUGH)
    for number in range(MAX_REMEMBERED):
        durations.note("b", f"skill {number}", 1.0)
    assert durations.expected_s("a", "echo") is None


def test_a_notification_with_the_token_of_an_attempt_wakes_it() -> None:
    inbox = PushInbox("http://here/notifications")
    with inbox.expecting() as expected:
        assert expected.url == "http://here/notifications"
        assert not expected.arrived.is_set()
        assert inbox.arrive(expected.token)
        assert expected.arrived.is_set()


def test_each_attempt_has_a_token_of_its_own() -> None:
    inbox = PushInbox("http://here/notifications")
    with inbox.expecting() as one, inbox.expecting() as other:
        assert one.token != other.token
        inbox.arrive(one.token)
        assert not other.arrived.is_set()


def test_a_token_that_nobody_ever_waited_for_is_refused() -> None:
    inbox = PushInbox("http://here/notifications")
    with inbox.expecting() as expected:
        pass
    assert inbox.arrive(expected.token), "what comes late was asked for once"
    assert not inbox.arrive("guessed")
