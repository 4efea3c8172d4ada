"""Identifiers: opaque strings whose prefix says what they name, a UUIDv7 inside so that they sort by time."""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID


def made_at(identifier: str) -> datetime:
    """When an id of `new_id` was made, to the millisecond."""
    milliseconds = int(identifier.rpartition("_")[2][:12], 16)
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)


def new_id(prefix: str) -> str:
    """For example `task_019a...`: 48 bits of milliseconds, 12 of their fraction, the rest random
    (RFC 9562, version 7, method 3), so that ids made one after the other sort in that order."""
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (rest_ns * 4096 // 1_000_000) << 64
    value |= 0x2 << 62 | secrets.randbits(62)
    return f"{prefix}_{UUID(int=value).hex}"
