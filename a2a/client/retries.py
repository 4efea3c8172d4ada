"""When a call that failed is tried again, and after how long."""

import asyncio
import random
from dataclasses import dataclass

from a2a.client.transport import Deadline
from a2a.errors import A2AError, AgentBusy, AgentHttpError, AgentUnreachable

# A gateway that did not reach the agent, or lost it: for a read it is all the same.
GATEWAY_STATUSES = (502, 504)


@dataclass(frozen=True, slots=True)
class Retries:
    """`attempts` is how often a call is tried in all. A cut stream is taken up again until the agent could
    not be reached for `resume_within_s` seconds; 0 makes that one try."""

    attempts: int = 3
    first_pause_s: float = 0.1
    last_pause_s: float = 5.0
    resume_within_s: float = 30.0

    def pause_s(self, failures: int) -> float:
        """Doubles with each failure; at random, so that the clients of an agent do not come all at once."""
        longest_s: float = min(self.first_pause_s * 2 ** min(failures - 1, 30), self.last_pause_s)
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 no secret is made of it


DEFAULT_RETRIES = Retries()
ONE_TRY = Retries(attempts=1, resume_within_s=0)


class Tries:
    """Of one call: nothing is sent twice that may have arrived, but for reads. `has_renewed` notes that other
    credentials were tried."""

    __slots__ = ("_deadline", "_failures", "_is_read", "_retries", "has_renewed")

    def __init__(
        self,
        retries: Retries,
        deadline: Deadline,
        *,
        is_read: bool,
    ) -> None:
        self._retries = retries
        self._deadline = deadline
        self._is_read = is_read
        self.has_renewed = False
        self._failures = 0

    async def pause_after(self, error: A2AError) -> None:
        """Until the next try. Raises `error` where there is none."""
        self._failures += 1
        if self._failures >= self._retries.attempts or not self._may_repeat(error):
            raise error
        pause_s = self._retries.pause_s(self._failures)
        if isinstance(error, AgentBusy) and error.retry_after_s is not None:
            # Jitter is added: to come before one was asked to is worse than to come late.
            pause_s += error.retry_after_s
        if not self._deadline.leaves(pause_s):
            raise error
        await asyncio.sleep(pause_s)

    def _may_repeat(self, error: A2AError) -> bool:
        match error:
            case AgentBusy():
                return True
            case AgentUnreachable():
                return self._is_read or not error.may_have_arrived
            case AgentHttpError():
                return self._is_read and error.status in GATEWAY_STATUSES
            case _:
                return False
