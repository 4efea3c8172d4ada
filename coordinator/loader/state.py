"""What the loader knows of a file, and how that changes. Pure; times are seconds of a monotonic clock."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the folder as it is now; `problem` is why it cannot even be tried."""

    name: str
    version: tuple[int, ...]
    problem: str | None = None


class FileState(StrEnum):
    STARTING = "starting"
    SERVING = "serving"
    BROKEN = "broken"
    STOPPED = "stopped"


class Doing(StrEnum):
    CHECKING = "checking"
    STARTING = "starting"
    STOPPING = "stopping"
    REMOVING = "removing"
    ABORTING = "aborting"


@dataclass(frozen=True, slots=True)
class Policy:
    """A process that ends within `quick_s` of its start ended quickly; after `max_quick_ends` of these in a
    row its file is left until it changes."""

    start_s: float
    stop_s: float
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    quick_s: float = 60.0
    max_quick_ends: int = 5
    max_files: int = 64

    def pause_s(self, quick_ends: int) -> float:
        return min(self.first_pause_s * 2.0 ** (quick_ends - 1), self.longest_pause_s)


@dataclass(frozen=True, slots=True)
class Failure:
    """`is_final`: trying the same file again would come to the same."""

    why: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class AgentFile:
    """`tried` is the newest version that was looked at, `serves` the one that a process serves; they differ
    while a newer one is checked, or when it is broken."""

    name: str
    tried: Found | None = None
    serves: Found | None = None
    doing: Doing | None = None
    is_bad: bool = False
    error: str | None = None
    agent_name: str | None = None
    started_at: float = 0.0
    quick_ends: int = 0
    restarts: int = 0
    retry_at: float | None = None

    @property
    def state(self) -> FileState:
        if self.doing in (Doing.STOPPING, Doing.REMOVING):
            return FileState.STOPPED
        if self.serves is not None:
            return FileState.SERVING
        if self.doing is Doing.STARTING:
            return FileState.STARTING
        if self.is_bad:
            return FileState.BROKEN
        return FileState.STOPPED if self.retry_at is not None else FileState.STARTING

    def reported(self, found: Found, problem: str | None) -> "AgentFile":
        return replace(self, tried=found, error=problem, is_bad=problem is not None, doing=None)

    def checking(self, found: Found) -> "AgentFile":
        return replace(self, tried=found, doing=Doing.CHECKING)

    def passed(self) -> "AgentFile":
        return replace(self, doing=None, error=None, is_bad=False, quick_ends=0, retry_at=None)

    def starting(self, found: Found, now: float) -> "AgentFile":
        """A new version has all its attempts before it."""
        is_new = self.tried != found
        return replace(
            self,
            tried=found,
            doing=Doing.STARTING,
            is_bad=False,
            quick_ends=0 if is_new else self.quick_ends,
            started_at=now,
            retry_at=None,
        )

    def serving(self, agent_name: str | None) -> "AgentFile":
        return replace(self, serves=self.tried, doing=None, error=None, agent_name=agent_name)

    def stopping(self) -> "AgentFile":
        return replace(self, doing=Doing.STOPPING)

    def stopped(self) -> "AgentFile":
        return replace(self, doing=None, serves=None)

    def removing(self) -> "AgentFile":
        return replace(self, doing=Doing.REMOVING)

    def aborting(self) -> "AgentFile":
        return replace(self, doing=Doing.ABORTING)

    def aborted(self) -> "AgentFile":
        return replace(self, tried=None, doing=None)

    def failed(self, failure: Failure, now: float, policy: Policy) -> "AgentFile":
        """The new version did not pass, or its process did not come to serve."""
        if failure.is_final or self.doing is Doing.CHECKING:
            return replace(self, doing=None, is_bad=True, error=failure.why, retry_at=None)
        return replace(self._after_end(failure.why, now, policy), doing=None)

    def died(self, why: str, now: float, policy: Policy) -> "AgentFile":
        """The process that served it. What is done with a newer version meanwhile goes on."""
        after = self._after_end(why, now, policy)
        if self.tried == self.serves:
            return after
        # There is nothing to go back to: the older version is only in the memory of who is dead.
        if self.is_bad:
            return replace(after, is_bad=True, error=self.error, retry_at=None)
        return replace(after, is_bad=False)

    def _after_end(self, why: str, now: float, policy: Policy) -> "AgentFile":
        quick_ends = self.quick_ends + 1 if now - self.started_at < policy.quick_s else 1
        is_bad = quick_ends >= policy.max_quick_ends
        return replace(
            self,
            serves=None,
            is_bad=is_bad,
            error=f"{why}; it failed {quick_ends} times in a row and is left until it changes"
            if is_bad
            else why,
            quick_ends=quick_ends,
            restarts=self.restarts + (not is_bad),
            retry_at=None if is_bad else now + policy.pause_s(quick_ends),
        )


def shared_names(files: Iterable[AgentFile]) -> frozenset[str]:
    """Names that more than one of the agents has which are served."""
    counts = Counter(file.agent_name for file in files if file.serves is not None)
    return frozenset(name for name, count in counts.items() if count > 1 and name is not None)
