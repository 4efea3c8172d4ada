"""The executor's vocabulary: what it knows of a task, what an attempt can come to, what is to be done."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from a2a.types import Artifact, Json
from coordinator.planner.plan import Requirement
from models.states import StepStatus, TaskStatus


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a task, held by one process at a time."""

    task_id: str
    token: str


@dataclass(slots=True)
class StepState:
    number: int
    instruction: str
    skill_id: str
    requirement: Requirement
    depends_on: tuple[int, ...]
    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    agent_id: str | None = None
    message_id: str | None = None
    remote_task_id: str | None = None
    remote_context_id: str | None = None
    failed_agents: tuple[str, ...] = ()
    may_have_run_twice: bool = False
    is_uncertain: bool = False
    question: str | None = None
    answer: list[Json] | None = None
    waiting_for: str | None = None
    retry_at: datetime | None = None
    error: "Problem | None" = None


@dataclass(slots=True)
class TaskState:
    """A task as its runner holds it; the rows are the truth, this is what was last read or written."""

    id: str
    session_id: str
    description: str
    status: TaskStatus
    deadline_at: datetime
    cancel_requested: bool
    steps: dict[int, StepState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something failed: a stable code and a sentence."""

    code: str
    message: str

    def to_json(self) -> dict[str, Json]:
        return {"code": self.code, "message": self.message, "details": {}}


# What one attempt of a step can come to.


@dataclass(frozen=True, slots=True)
class Done:
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent waits for a person; the remote task stays open."""

    question: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """`blames_agent`: the agent did not answer properly, which counts against its health. `is_uncertain`:
    the agent may have done the work, or be at it still."""

    problem: Problem
    retryable: bool
    retry_after_s: float | None = None
    blames_agent: bool = False
    is_uncertain: bool = False


@dataclass(frozen=True, slots=True)
class NoAgent:
    """Nobody could be asked; this is not an attempt."""

    reason: str


Outcome: TypeAlias = Done | Asked | AttemptFailed | NoAgent


# What `decide` says is to be done.


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Start an attempt, or go on with the open one where an answer has come."""

    number: int


@dataclass(frozen=True, slots=True)
class Reattach:
    """The step was running when its process died: find its remote task again."""

    number: int


@dataclass(frozen=True, slots=True)
class Skip:
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End an open step and its remote task; `problem` is None where the task was canceled."""

    number: int
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Finish:
    status: TaskStatus
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`, unless something happens. `for_person`: only a person can go on."""

    until: datetime
    for_person: bool


Command: TypeAlias = Dispatch | Reattach | Skip | Stop | Finish | Wait
