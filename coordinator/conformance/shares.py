"""How the time of a run is shared out, so that what hangs does not eat the time of the rest. Pure but for the
clock that it is given."""

from collections.abc import Callable, Sequence
from typing import Final

from coordinator.conformance.report import Check

# In the order of the calls. A call whose turn has come may take its weight's part of what is left; what it
# does not use is left to the rest.
WEIGHTS: Final[dict[Check, float]] = {
    Check.SEND: 16,
    Check.GET: 1,
    Check.UNKNOWN_TASK: 1,
    Check.LIST: 1,
    Check.STREAM: 4,
    Check.CANCEL: 2,
    Check.PUSH: 2,
    Check.INVALID_REQUEST: 1,
}


class Countdown:
    """Seconds that are left until `ends_at`, on the same clock."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends_at = clock() + seconds

    def left_s(self) -> float:
        return max(0.0, self._ends_at - self._clock())

    def part_s(self, weight: float, of: float) -> float:
        return self.left_s() * weight / of

    def share_s(self, check: Check) -> float:
        """For a check whose turn has come."""
        return self.part_s(WEIGHTS[check], sum(_from(check)))


def _from(check: Check) -> Sequence[float]:
    order = list(WEIGHTS)
    return [WEIGHTS[name] for name in order[order.index(check) :]]
