"""What every run of this process works with, built once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field

from a2a.database import Database
from coordinator.clock import Now
from coordinator.executor.attempts import AttemptTools
from coordinator.executor.decide import RetryPolicy
from coordinator.executor.events import Wakeups
from coordinator.executor.evidence import Suspects
from coordinator.executor.journal import Journal
from coordinator.executor.planning import Planning
from coordinator.registry.directory import Directory


@dataclass(frozen=True, slots=True)
class RunTools:
    """`control` wakes a running task when somebody cancels, approves or answers; `news` tells watchers of new
    events, `rests` those who wait until the task ends or asks; `webhook_due` is called when somebody is to be
    told of an end. `artifact_url` makes the link (of task and artifact id) that travels in place of a part of
    over `inline_bytes`; `look_again_s` lies between two looks at a remote task that waits for an
    authorisation. `suspects` knows whose last call failed."""

    database: Database
    journal: Journal
    planning: Planning
    directory: Directory
    attempts: AttemptTools
    retries: RetryPolicy
    control: Wakeups
    news: Wakeups
    rests: Wakeups
    webhook_due: Callable[[], None]
    max_parallel_steps: int
    inline_bytes: int
    look_again_s: float
    artifact_url: Callable[[str, str], str]
    now: Now
    suspects: Suspects = field(default_factory=Suspects)
