"""What is signed, what an answer means, and when a webhook is tried again. Pure: no await, clock or random.

The scheme, and what each status is taken for, are those of Standard Webhooks 1.0.0.
"""

import base64
import hmac
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeAlias, assert_never

import httpx

from a2a.errors import AddressRefused
from models.states import DeliveryStatus

MAX_ERROR_CHARS = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 no secret, but how one begins

_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """`first_pause_s` doubles with each attempt up to `max_pause_s`, which is also the most that a receiver
    can ask for. One request takes at most `timeout_s`."""

    max_attempts: int = 8
    first_pause_s: float = 5.0
    max_pause_s: float = 3600.0
    timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver took it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No further attempt makes sense. `error` is one sentence."""

    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It may go better later; `retry_after_s` is what the receiver asked for."""

    error: str
    retry_after_s: float = 0.0


Outcome: TypeAlias = Delivered | Refused | Failed


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """What an attempt leaves a delivery in: the columns of its row."""

    status: DeliveryStatus
    next_try_at: datetime
    last_error: str | None = None
    delivered_at: datetime | None = None


def after(
    attempt: int, outcome: Outcome, now: datetime, policy: WebhookPolicy, jitter: float
) -> DeliveryState:
    """`attempt` counts from 1. `jitter` is 0 to 1: what failed together does not come again together."""
    match outcome:
        case Delivered():
            return DeliveryState(DeliveryStatus.DELIVERED, now, delivered_at=now)
        case Failed(error, retry_after_s) if attempt < policy.max_attempts:
            longest_s = min(policy.first_pause_s * 2 ** min(attempt - 1, 30), policy.max_pause_s)
            pause_s = max(longest_s * (0.5 + jitter / 2), min(retry_after_s, policy.max_pause_s))
            return DeliveryState(DeliveryStatus.PENDING, now + timedelta(seconds=pause_s), error)
        case Failed(error) | Refused(error):
            return DeliveryState(DeliveryStatus.FAILED, now, error)
        case _:
            assert_never(outcome)


def judged(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """What an HTTP status means; `retry_after` is the header."""
    match status:
        case 410:
            return Refused("The receiver wants no more of this (HTTP 410).")
        case 429 | 503:
            return Failed(f"The receiver is busy (HTTP {status}).", _wished_pause_s(retry_after or "", now))
        case _ if 200 <= status < 300:
            return Delivered()
        case _ if 300 <= status < 400:
            return Failed(f"The receiver redirects elsewhere (HTTP {status}), which is not followed.")
        case _:
            return Failed(f"The receiver answered HTTP {status}.")


def _wished_pause_s(retry_after: str, now: datetime) -> float:
    """RFC 9110, 10.2.3: seconds or a date. 0 where it is neither, or past."""
    if _SECONDS.fullmatch(retry_after):
        return float(retry_after)
    with suppress(ValueError, OverflowError):
        at = parsedate_to_datetime(retry_after)
        aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(0.0, (aware - now).total_seconds())
    return 0.0


def failure(exc: Exception, timeout_s: float) -> Outcome:
    """What it means that no answer came."""
    match exc:
        case AddressRefused():
            return Refused("The URL leads to an address that we may not connect to.")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | ValueError():
            return Refused("The URL cannot be used.")
        case TimeoutError() | httpx.TimeoutException():
            return Failed(f"The receiver did not answer within {timeout_s:g} s.")
        case httpx.ConnectError():
            return Failed(f"The receiver cannot be connected to: {exc}."[:MAX_ERROR_CHARS])
        case _:
            return Failed("The connection broke before the receiver had answered.")


def signing_key(secret: str) -> bytes:
    """Raises ValueError where the secret is empty, or what follows `whsec_` is not base64."""
    encoded = secret.removeprefix(SECRET_PREFIX)
    key = secret.encode() if encoded == secret else base64.b64decode(encoded, validate=True)
    if not key:
        raise ValueError("the secret is empty")
    return key


def signature(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`; `timestamp` is in Unix seconds. Raises ValueError as `signing_key`."""
    signed = b".".join((delivery_id.encode(), str(timestamp).encode(), body))
    digest = hmac.digest(signing_key(secret), signed, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"
