"""Who is calling, what they have shown for it, and why a credential may count for nothing."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

MAX_NAME_CHARS = 500


@dataclass(frozen=True, slots=True)
class Grant:
    """One scheme's word for who is calling. `scheme` is its name on the card."""

    scheme: str
    name: str
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. `name` says whose the tasks are; `scheme` is the one it comes from. `grants` holds
    every scheme the caller has shown a credential for."""

    name: str
    scheme: str
    scopes: frozenset[str] = frozenset()
    grants: tuple[Grant, ...] = ()


ANONYMOUS = Caller(name="", scheme="")


class Refusal(Enum):
    """Why a credential that was presented names nobody."""

    INVALID = "invalid"
    UNAVAILABLE = "unavailable"


# None: no credential of that scheme was presented.
Outcome: TypeAlias = Grant | Refusal | None


def is_name(value: object) -> bool:
    """Whether `value` can name a caller: it ends up in stores and logs, and an empty one is ANONYMOUS."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS and value.isprintable()
