"""The shapes of a plan: as a caller gives it, and as it is shown."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from coordinator.api.shapes import Body, Description, Identifier, StepNumber
from coordinator.planner.plan import Requirement, Strategy
from coordinator.planner.template import ConditionOp


class WhenIn(Body):
    """A condition on what an earlier step produced, e.g. {"ref": "steps.1.data.total", "op": "gt", "value":
    10}."""

    ref: Annotated[str, Field(min_length=1, max_length=500)]
    op: ConditionOp
    value: Any = None


class RetryIn(Body):
    """What differs for one step from STEPS_MAX_ATTEMPTS and STEPS_BACKOFF_S."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] | None = None
    backoff_s: Annotated[float, Field(ge=0, le=3_600)] | None = None


class PlannedStepIn(Body):
    """`instruction` and the strings in `data` may hold references to what earlier steps produced:
    `{{steps.1.data.total}}`, `{{steps.1.text}}`, `{{steps.1.artifacts.NAME}}`, and within `for_each`
    `{{item}}`."""

    number: StepNumber
    instruction: Description
    skill_id: Identifier
    agent_id: Identifier | None = None
    depends_on: list[StepNumber] = Field(default_factory=list)
    attachments: list[str] = Field(default_factory=list)
    requirement: Requirement = Requirement.required
    fallback_for: StepNumber | None = None
    data: Annotated[Any, Field(description="sent as a data part")] = None
    when: WhenIn | None = None
    for_each: Annotated[
        str | None, Field(max_length=500, description="a list: the step is done once for each item")
    ] = None
    max_parallel: Annotated[int, Field(ge=1, le=100)] | None = None
    approval: Annotated[bool, Field(description="somebody has to approve it before it starts")] = False
    timeout_s: Annotated[float, Field(gt=0, le=7 * 24 * 3600)] | None = None
    retry: RetryIn = RetryIn()
    no_failover: bool = False


class PlanIn(Body):
    steps: Annotated[list[PlannedStepIn], Field(min_length=1)]


class CandidateOut(BaseModel):
    agent_id: str
    agent_name: str
    skill_id: str
    score: float
    matched_terms: list[str]


class PlannedStepOut(BaseModel):
    number: int
    instruction: str
    skill_id: str
    agent_id: str | None
    depends_on: list[int]
    attachments: list[str]
    requirement: Requirement
    fallback_for: int | None
    data: Any
    when: WhenIn | None
    for_each: str | None
    max_parallel: int | None
    approval: bool
    timeout_s: float | None
    retry: RetryIn
    no_failover: bool
    candidates: list[CandidateOut]
    reason: str


class PlanOut(BaseModel):
    """`planner` says who made it: "rules", or "request" for a plan that came with the task. `version` counts
    its revisions; the events have each of them."""

    planner: str
    strategy: Strategy
    version: int
    steps: list[PlannedStepOut]
    notes: list[str]
