"""The executor's vocabulary: what it knows of a task, what an attempt can come to, what is to be done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from a2a.types import Artifact, Json
from coordinator.planner.plan import Plan, PlanStep, Requirement, Strategy
from models.states import StepStatus, TaskStatus

# Ends of a step that are as planned: nothing is missing.
QUIET_CODES = ("CONDITION_NOT_MET", "NOT_NEEDED", "REVISED_AWAY")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a task, held by one process at a time."""

    task_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something failed: a stable code and a sentence. `may_have_run`: an agent may have done the work, or
    be at it still."""

    code: str
    message: str
    may_have_run: bool = False

    def to_json(self) -> dict[str, Json]:
        details = {"may_have_run": True} if self.may_have_run else {}
        return {"code": self.code, "message": self.message, "details": details}

    @staticmethod
    def from_json(value: Mapping[str, Json]) -> "Problem":
        may_have_run = bool(value.get("details", {}).get("may_have_run", False))
        return Problem(value["code"], value["message"], may_have_run)


@dataclass(slots=True)
class StepState:
    """A step as the events of its task left it. `has_answer`: a person has answered its question, and the
    agent does not know yet. `parent` is the step whose list it does an item of."""

    number: int
    planned: PlanStep
    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    agent_id: str | None = None
    message_id: str | None = None
    memory_id: str | None = None
    choice: dict[str, Json] | None = None
    remote_task_id: str | None = None
    remote_context_id: str | None = None
    failed_agents: tuple[str, ...] = ()
    may_have_run_twice: bool = False
    cancel_answer: str | None = None
    question: str | None = None
    has_answer: bool = False
    is_approved: bool = False
    waiting_for: str | None = None
    retry_at: datetime | None = None
    error: Problem | None = None
    output: dict[str, Json] | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    parent: int | None = None
    item_index: int | None = None
    item: Json = None

    @property
    def depends_on(self) -> tuple[int, ...]:
        return self.planned.depends_on

    @property
    def requirement(self) -> Requirement:
        return self.planned.requirement

    @property
    def is_list(self) -> bool:
        """It is done item by item, by steps of their own."""
        return self.planned.for_each is not None and self.parent is None

    @property
    def is_uncertain(self) -> bool:
        """The last attempt failed, and its agent may have done the work all the same."""
        return self.error is not None and self.error.may_have_run

    @property
    def is_quiet(self) -> bool:
        """It was left out as planned."""
        return self.error is not None and self.error.code in QUIET_CODES


@dataclass(slots=True)
class TaskState:
    """A task as its runner holds it: what its events come to. `last_look` is the newest event of others that
    was taken in."""

    id: str
    session_id: str
    description: str
    strategy: Strategy
    deadline_at: datetime
    needs_approval: bool = False
    priority: int = 0
    traceparent: str | None = None
    webhook: dict[str, Json] | None = None
    status: TaskStatus = TaskStatus.PENDING
    waiting_for: str | None = None
    cancel_requested: bool = False
    plan: Plan | None = None
    last_look: int = 0
    steps: dict[int, StepState] = field(default_factory=dict)

    def children_of(self, number: int) -> list[StepState]:
        return [step for step in self.steps.values() if step.parent == number]

    def adopt(self, plan: Plan) -> None:
        """Take the plan, a first one or a revision: steps that have begun stay as they are."""
        self.plan = plan
        for planned in plan.steps:
            known = self.steps.get(planned.number)
            if known is None:
                self.steps[planned.number] = StepState(planned.number, planned)
            elif known.status is StepStatus.PENDING and known.attempt == 0:
                known.planned = planned


# What one attempt of a step can come to.


@dataclass(frozen=True, slots=True)
class Done:
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent waits for a person; the remote task stays open. With `may_go_on` it waits for what is done
    elsewhere, an authorisation, and may go on without hearing from us (A2A 7.6)."""

    question: str
    may_go_on: bool = False


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """`blames_agent`: the agent did not answer properly, which counts against its health."""

    problem: Problem
    retryable: bool
    retry_after_s: float | None = None
    blames_agent: bool = False


Outcome: TypeAlias = Done | Asked | AttemptFailed


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
class Look:
    """The remote task may have gone on although nobody answered its question here."""

    number: int


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave the step out; `problem` says why."""

    number: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class Fail:
    """End the step before anything is sent."""

    number: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class Expand:
    """Make a step for each item of the list."""

    number: int
    items: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Gather:
    """All items of the list are done: put them together."""

    number: int


@dataclass(frozen=True, slots=True)
class AskApproval:
    number: int


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
    """Nothing to do before `until`, unless something happens. `rest` is set where only a person can go on:
    the state that the task then is in."""

    until: datetime
    rest: TaskStatus | None = None


Command: TypeAlias = (
    Dispatch | Reattach | Look | Skip | Fail | Expand | Gather | AskApproval | Stop | Finish | Wait
)
