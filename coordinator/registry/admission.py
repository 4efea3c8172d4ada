"""Which agents may be used: those that come in freely, with a join token, or by an operator's word. Pure."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coordinator.registry.drift import Drift
from models.states import Admission

UNVOUCHED = "it joined without a join token"
BY_AN_OPERATOR = "an operator holds it"


class Policy(StrEnum):
    """What becomes of an agent that shows no join token: it may be used, it is kept aside until an operator
    admits it, or it is refused."""

    OPEN = "open"
    QUARANTINE = "quarantine"
    TOKEN = "token"  # noqa: S105 a word of a setting


@dataclass(frozen=True, slots=True)
class Standing:
    """Of an agent that is known: whether it was let in, and for what it is held."""

    admission: Admission
    held_for: str | None


def is_valid(token: str, tokens: Sequence[str]) -> bool:
    # All are compared, so that the time tells nothing.
    found = [hmac.compare_digest(token.encode(), known.encode()) for known in tokens]
    return any(found)


def admit(policy: Policy, known: Standing | None, drift: Drift, *, has_token: bool) -> Standing:
    """How an agent stands once its card has been taken in. A join token lifts everything but an operator's
    word: agents show theirs whenever they start."""
    if known is not None and known.held_for == BY_AN_OPERATOR:
        return known
    if has_token:
        return Standing(Admission.ADMITTED, None)
    if known is None:
        if policy is Policy.OPEN:
            return Standing(Admission.ADMITTED, None)
        return Standing(Admission.HELD, UNVOUCHED)
    if drift.structural:
        return Standing(Admission.HELD, "; ".join(drift.structural))
    return known
