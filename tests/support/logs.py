"""What is logged, at whatever level an app of an earlier test has set for the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import structlog.testing


@contextmanager
def capture_logs() -> Iterator[list[Any]]:
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as logs:
        yield logs
