"""How a step is followed: by its answer, a stream, polls or notifications. Chosen by what the agent can do
and how long the step is likely to take."""

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

# A step as short as this is sent and answered in one request.
SHORT_S = 1.0
# Over a step as long as this no connection is kept open where the agent can call.
LONG_S = 60.0
REMEMBERED = 8
ENOUGH = 3
MAX_REMEMBERED = 10_000
MAX_LATE = 10_000


class Delivery(StrEnum):
    ANSWER = "answer"
    STREAM = "stream"
    POLL = "poll"
    PUSH = "push"


def choose_delivery(*, streams: bool, pushes: bool, expected_s: float | None) -> Delivery:
    """`expected_s` is None where nothing is known of the skill yet: its first steps are streamed, since a
    stream tells the remote task's id at once."""
    if expected_s is not None and expected_s <= SHORT_S:
        return Delivery.ANSWER
    if pushes and expected_s is not None and expected_s >= LONG_S:
        return Delivery.PUSH
    if streams:
        return Delivery.STREAM
    return Delivery.PUSH if pushes else Delivery.POLL


class Durations:
    """How long the latest steps of a skill took on an agent, in seconds."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def note(self, agent_id: str, skill_id: str, seconds: float) -> None:
        latest = self._latest.setdefault((agent_id, skill_id), deque(maxlen=REMEMBERED))
        latest.append(seconds)
        if len(self._latest) > MAX_REMEMBERED:
            self._latest.popitem(last=False)

    def expected_s(self, agent_id: str, skill_id: str) -> float | None:
        """The longest of the latest: who guesses too little learns the remote task's id too late."""
        latest = self._latest.get((agent_id, skill_id), ())
        return max(latest) if len(latest) >= ENOUGH else None


@dataclass(frozen=True, slots=True)
class Expected:
    """A place where notifications of one attempt arrive; they only say that it is time to look."""

    url: str
    token: str
    arrived: asyncio.Event


class PushInbox:
    """Knows which notifications are expected here. Their bodies are not believed: the task is asked for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._expected: dict[str, asyncio.Event] = {}
        self._late: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def expecting(self) -> Iterator[Expected]:
        token, arrived = secrets.token_urlsafe(24), asyncio.Event()
        self._expected[token] = arrived
        try:
            yield Expected(self._url, token, arrived)
        finally:
            del self._expected[token]
            self._late[token] = None
            if len(self._late) > MAX_LATE:
                self._late.popitem(last=False)

    def arrive(self, token: str) -> bool:
        """False where nobody here has waited for it. What comes too late is taken, too: its agent has done as
        it was asked."""
        arrived = self._expected.get(token)
        if arrived is not None:
            arrived.set()
        return arrived is not None or token in self._late
