"""Time as a value that is passed in: `Now` is a function, so that tests hold the clock."""

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)
