"""What the command line reads of the coordinator's answers.

A client of its own: it takes only the fields it shows, so that a newer coordinator does not break it, and
it starts without loading the server. A test holds these shapes against the ones of the API.
"""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

TERMINAL: Final = frozenset({"completed", "failed", "canceled"})
# Codes of steps that were left out as planned: nothing went wrong.
QUIET_CODES: Final = frozenset({"CONDITION_NOT_MET", "NOT_NEEDED", "REVISED_AWAY"})


class Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class AgentRef(Shape):
    id: str
    name: str


class Failure(Shape):
    code: str
    message: str


class Candidate(Shape):
    agent_id: str
    agent_name: str


class PlannedStep(Shape):
    number: int
    instruction: str
    agent_id: str | None = None
    depends_on: tuple[int, ...] = ()
    fallback_for: int | None = None
    approval: bool = False
    candidates: tuple[Candidate, ...] = ()

    @property
    def agent_name(self) -> str:
        """The agent that will be asked first, as far as the plan says; else empty."""
        names = {candidate.agent_id: candidate.agent_name for candidate in self.candidates}
        if self.agent_id is not None:
            return names.get(self.agent_id, "")
        return next(iter(names.values()), "")


class Plan(Shape):
    planner: str
    version: int = 1
    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...] = ()


class Accepted(Shape):
    task_id: str
    session_id: str
    plan: Plan | None = None
    created_at: datetime


class Step(Shape):
    """`remote_cancel` is what its agent said to a cancel; `parent` the step with the list that this is an
    item of."""

    step_number: int
    instruction: str
    status: str
    agent: AgentRef | None = None
    attempt: int = 0
    may_have_run_twice: bool = False
    remote_cancel: str | None = None
    fallback_for: int | None = None
    parent: int | None = None
    item: Any = None
    waiting_for: str | None = None
    question: str | None = None
    error: Failure | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_quiet(self) -> bool:
        return self.status == "skipped" and self.error is not None and self.error.code in QUIET_CODES


class Artifact(Shape):
    id: str
    step_number: int | None = None
    name: str
    filename: str
    media_type: str
    size_bytes: int


class Source(Shape):
    number: int
    source: str
    title: str | None = None
    locator: str | None = None
    passage: str | None = None


class Result(Shape):
    text: str
    sources: tuple[Source, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


class Gap(Shape):
    step_number: int | None = None
    reason: str


class TaskSummary(Shape):
    id: str
    session_id: str
    description: str
    status: str
    error: Failure | None = None
    created_at: datetime
    completed_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in TERMINAL


class Webhook(Shape):
    """`status` is None until the task has ended."""

    url: str
    status: str | None = None
    attempts: int = 0
    last_error: str | None = None


class Task(TaskSummary):
    priority: int = 0
    retry_of: str | None = None
    webhook: Webhook | None = None
    plan: Plan | None = None
    steps: tuple[Step, ...] = ()
    result: Result | None = None
    gaps: tuple[Gap, ...] = ()


class TaskPage(Shape):
    tasks: tuple[TaskSummary, ...]
    next_cursor: str | None = None


class Why(Shape):
    sentence: str


class Skill(Shape):
    id: str


class Health(Shape):
    state: str
    reason: str
    since: datetime


class Agent(Shape):
    id: str
    name: str
    version: str
    url: str
    status: str
    health: Health
    skills: tuple[Skill, ...] = ()


class Breaker(Shape):
    failed_calls: int = 0
    open_until: datetime | None = None


class AgentHealth(Health):
    breaker: Breaker = Breaker()


class Admission(Shape):
    state: str
    held_for: str | None = None


class AgentDetail(Agent):
    card_url: str
    binding: str
    protocol_version: str
    health: AgentHealth
    admission: Admission
    proof: str
    weight: int = 100
    is_drained: bool = False


class Finding(Shape):
    check: str
    interface: str
    outcome: str
    detail: str
    meaning: str


class Report(Shape):
    """Of a conformance run."""

    verdict: str
    reason: str
    findings: tuple[Finding, ...] = ()
    started_at: datetime


class AgentList(Shape):
    agents: tuple[Agent, ...]


class Event(Shape):
    """One line of a task's history; `number` counts up within the task, `data` depends on `kind`."""

    number: int
    kind: str
    data: dict[str, Any] = {}
    created_at: datetime

    @property
    def is_last(self) -> bool:
        """Whether the task has ended with this event."""
        subject, _, what = self.kind.partition(".")
        return subject == "task" and what in TERMINAL
