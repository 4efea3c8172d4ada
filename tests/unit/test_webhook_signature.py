"""What a webhook is signed with, what answers mean, and what follows from them."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a.errors import AddressRefused
from coordinator.executor.webhook_rules import (
    MAX_ERROR_CHARS,
    Delivered,
    DeliveryState,
    Failed,
    Outcome,
    Refused,
    WebhookPolicy,
    after,
    failure,
    judged,
    signature,
    signing_key,
)
from models.states import DeliveryStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = WebhookPolicy()
OUTCOMES = st.one_of(
    st.just(Delivered()), st.just(Refused("No.")), st.builds(Failed, st.just("No."), st.floats(0, 1e9))
)


def test_the_vector_of_the_specification_comes_out() -> None:
    """Standard Webhooks: the test of its reference libraries."""
    signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_without_the_prefix_is_the_key_itself() -> None:
    expected = hmac.new("schlüssel".encode(), b"delivery_1.7.{}", hashlib.sha256).digest()
    assert signature("schlüssel", "delivery_1", 7, b"{}") == f"v1,{base64.b64encode(expected).decode()}"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_====", "whsec_no base64", "whsec_a-_b", "whsec_ü"])
def test_a_secret_that_gives_no_key_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        signing_key(secret)
    assert not secret or secret not in str(raised.value)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    assert judged(status, None, NOW) == Delivered()


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 404, 408, 429, 500, 502, 503, 504])
def test_other_statuses_may_go_better_later(status: int) -> None:
    outcome = judged(status, None, NOW)
    assert isinstance(outcome, Failed)
    assert f"HTTP {status}" in outcome.error
    assert outcome.retry_after_s == 0


def test_gone_is_for_good() -> None:
    assert isinstance(judged(410, "120", NOW), Refused)


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        ("120", 120),
        ("0", 0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:05:05 -0000", 60),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("٣", 0),
        ("", 0),
        ("1" * 400, 0),
        ("Fri, 02 Jan 2026 03:05:05 +999999999999", 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_receiver_says_when(status: int, header: str, expected_s: float) -> None:
    """RFC 9110, 10.2.3"""
    outcome = judged(status, header, NOW)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_s == expected_s


def test_only_a_busy_receiver_says_when() -> None:
    assert judged(500, "120", NOW) == Failed("The receiver answered HTTP 500.")


@given(header=st.text())
def test_no_header_breaks_the_sender(header: str) -> None:
    outcome = judged(503, header, NOW)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_s >= 0


@pytest.mark.parametrize(
    ("exc", "outcome"),
    [
        (
            AddressRefused("inside", "10.0.0.1"),
            Refused("The URL leads to an address that we may not connect to."),
        ),
        (httpx.UnsupportedProtocol("ftp"), Refused("The URL cannot be used.")),
        (httpx.InvalidURL("[bad"), Refused("The URL cannot be used.")),
        (TimeoutError(), Failed("The receiver did not answer within 15 s.")),
        (httpx.ReadTimeout("read"), Failed("The receiver did not answer within 15 s.")),
        (httpx.ConnectError("Refused"), Failed("The receiver cannot be connected to: Refused.")),
        (httpx.ReadError("oops"), Failed("The connection broke before the receiver had answered.")),
    ],
)
def test_what_it_means_that_no_answer_came(exc: Exception, outcome: Outcome) -> None:
    assert failure(exc, 15) == outcome


def test_an_error_is_no_longer_than_it_may_be() -> None:
    outcome = failure(httpx.ConnectError("x" * 1_000), 15)
    assert isinstance(outcome, Failed)
    assert len(outcome.error) == MAX_ERROR_CHARS


def test_what_was_delivered_stays_so() -> None:
    assert after(3, Delivered(), NOW, POLICY, 0.5) == DeliveryState(
        DeliveryStatus.DELIVERED, NOW, delivered_at=NOW
    )


@pytest.mark.parametrize(
    ("attempt", "jitter", "pause_s"),
    [(1, 1, 5), (1, 0, 2.5), (2, 1, 10), (3, 1, 20), (7, 1, 320), (7, 0, 160)],
)
def test_pauses_double(attempt: int, jitter: float, pause_s: float) -> None:
    state = after(attempt, Failed("No."), NOW, POLICY, jitter)
    assert state == DeliveryState(DeliveryStatus.PENDING, NOW + timedelta(seconds=pause_s), "No.")


def test_the_receiver_may_ask_for_a_longer_pause_but_not_for_a_shorter_one() -> None:
    longer = after(1, Failed("No.", retry_after_s=120), NOW, POLICY, 1)
    shorter = after(1, Failed("No.", retry_after_s=1), NOW, POLICY, 1)
    assert longer.next_try_at == NOW + timedelta(seconds=120)
    assert shorter.next_try_at == NOW + timedelta(seconds=5)


def test_the_last_attempt_is_the_last() -> None:
    assert after(8, Failed("No."), NOW, POLICY, 1) == DeliveryState(DeliveryStatus.FAILED, NOW, "No.")


def test_what_is_refused_is_not_tried_again() -> None:
    assert after(1, Refused("No."), NOW, POLICY, 1) == DeliveryState(DeliveryStatus.FAILED, NOW, "No.")


@given(attempt=st.integers(1, 10_000), outcome=OUTCOMES, jitter=st.floats(0, 1))
def test_whatever_comes_a_delivery_ends_or_is_due_within_the_longest_pause(
    attempt: int, outcome: Outcome, jitter: float
) -> None:
    state = after(attempt, outcome, NOW, WebhookPolicy(max_attempts=9_000), jitter)
    assert NOW <= state.next_try_at <= NOW + timedelta(hours=1)
    assert (state.status is DeliveryStatus.PENDING) == (isinstance(outcome, Failed) and attempt < 9_000)
    assert (state.last_error is None) == (state.status is DeliveryStatus.DELIVERED)
