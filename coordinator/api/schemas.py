"""The shapes of the REST API: what a caller sends and what it gets back."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from a2a.types import Part
from coordinator.api.plan_schemas import PlanIn, PlanOut
from coordinator.api.shapes import Body, Description, Identifier, StepNumber, Utc
from coordinator.executor.webhook_rules import signing_key
from coordinator.planner.plan import Requirement, Strategy
from models.states import HealthState, StepStatus, TaskStatus

MAX_LOAD = 1_000_000


def _usable_secret(value: str) -> str:
    try:
        signing_key(value)
    except ValueError as exc:
        raise ValueError("after whsec_ there has to be base64") from exc
    return value


class WebhookIn(Body):
    """Told of the end of the task (Standard Webhooks); signed where there is a secret."""

    url: Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^https?://")]
    secret: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_usable_secret)] | None = None


class TaskIn(Body):
    """A task in plain words, with the files it is about and how to go about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"description": "Research how agents register with the coordinator and summarise it"},
                {
                    "description": "Analyse the attached data",
                    "inputs": [
                        {
                            "text": "month,sales\n2025-01,10\n2025-02,12\n",
                            "filename": "sales.csv",
                            "mediaType": "text/csv",
                        }
                    ],
                    "deadline_s": 60,
                },
            ]
        }
    )

    description: Description
    user_id: Identifier | None = None
    session_id: Identifier | None = None
    inputs: Annotated[list[Part], Field(max_length=20, default_factory=list)]
    strategy: Strategy = Strategy.auto
    approval: Literal["none", "plan"] = "none"
    plan: PlanIn | None = None
    deadline_s: Annotated[float, Field(gt=0, le=7 * 24 * 3600)] | None = None
    priority: Annotated[int, Field(ge=-100, le=100, description="higher goes first")] = 0
    webhook: WebhookIn | None = None
    dry_run: bool = False


class TaskAccepted(BaseModel):
    task_id: str
    session_id: str
    status: TaskStatus
    plan: PlanOut | None
    created_at: Utc


class DryRun(BaseModel):
    plan: PlanOut


class AgentRef(BaseModel):
    id: str
    name: str


class ArtifactOut(BaseModel):
    id: str
    step_number: int | None
    name: str
    filename: str
    media_type: str
    size_bytes: int
    url: str


class Failure(BaseModel):
    """`code` is stable, `message` is for people."""

    code: str
    message: str
    details: dict[str, Any] = {}


class StepOut(BaseModel):
    step_number: int
    instruction: str
    skill_id: str
    status: StepStatus
    requirement: Requirement
    depends_on: list[int]
    attachments: list[str]
    agent: AgentRef | None
    attempt: int
    remote_task_id: str | None
    may_have_run_twice: bool
    remote_cancel: Literal["canceled", "refused", "unknown"] | None
    fallback_for: int | None
    parent: Annotated[int | None, Field(description="the step with for_each whose item this is")]
    item: Any
    waiting_for: str | None
    question: str | None
    output_data: dict[str, Any] | None
    error: Failure | None
    retry_at: Utc | None
    started_at: Utc | None
    completed_at: Utc | None


class Source(BaseModel):
    """What a [number] in the result's text points at; `passage` stands so in the source."""

    number: int
    step_number: int
    source: str
    title: str | None = None
    locator: str | None = None
    passage: str | None = None


class ResultOut(BaseModel):
    text: str
    sources: list[Source]
    artifacts: list[ArtifactOut]


class Gap(BaseModel):
    step_number: int | None
    reason: str


class TaskSummary(BaseModel):
    id: str
    session_id: str
    user_id: str | None
    description: str
    status: TaskStatus
    waiting_for: str | None
    error: Failure | None
    created_at: Utc
    updated_at: Utc
    deadline_at: Utc
    completed_at: Utc | None


class WebhookOut(BaseModel):
    """`status` is null until the task has ended."""

    url: str
    status: Literal["pending", "delivered", "failed"] | None
    attempts: int
    last_error: str | None


class TaskOut(TaskSummary):
    priority: int
    retry_of: str | None
    webhook: WebhookOut | None
    plan: PlanOut | None
    steps: list[StepOut]
    inputs: list[ArtifactOut]
    result: ResultOut | None
    gaps: list[Gap]


class TaskPage(BaseModel):
    """`next_cursor` is null on the last page."""

    tasks: list[TaskSummary]
    next_cursor: str | None


class Why(BaseModel):
    """One sentence and the facts behind it."""

    sentence: str
    status: TaskStatus
    facts: dict[str, Any]


class ApprovalIn(Body):
    """Without a step number: the plan, or every step that waits for it."""

    step_number: StepNumber | None = None


class InputIn(Body):
    """The answer to a question that a step asked."""

    step_number: StepNumber | None = None
    parts: Annotated[list[Part], Field(min_length=1, max_length=20)]


class RegisterIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"card_url": "http://127.0.0.1:8010"}]})

    card_url: Annotated[str, Field(min_length=1, max_length=2_000)]


class SkillOut(BaseModel):
    id: str
    name: str
    description: str
    tags: list[str]
    examples: list[str]
    input_modes: list[str]
    output_modes: list[str]


class HealthOut(BaseModel):
    """`state` as the health state machine has it, since when and why."""

    state: HealthState
    reason: str
    since: Utc
    last_checked_at: Utc | None
    last_heartbeat_at: Utc | None


class AgentOut(BaseModel):
    id: str
    name: str
    description: str
    version: str
    card_url: str
    url: str
    status: Literal["ACTIVE", "INACTIVE", "ERROR"]
    health: HealthOut
    skills: list[SkillOut]
    load: dict[str, Any] | None
    registered_at: Utc


class AgentList(BaseModel):
    agents: list[AgentOut]


class HealthCheckOut(BaseModel):
    evidence: str
    ok: bool
    detail: str
    latency_ms: float | None
    state: HealthState
    at: Utc


class AgentHealth(BaseModel):
    health: HealthOut
    history: list[HealthCheckOut]


class HeartbeatIn(Body):
    running: Annotated[int, Field(ge=0, le=MAX_LOAD)] = 0
    capacity: Annotated[int, Field(gt=0, le=MAX_LOAD)] = 1


class HeartbeatOut(BaseModel):
    known: bool
    heartbeat_interval_s: float


class SessionIn(Body):
    user_id: Identifier | None = None


class SessionOut(BaseModel):
    id: str
    user_id: str | None
    created_at: Utc
    updated_at: Utc


class SessionPage(BaseModel):
    sessions: list[SessionOut]
    next_cursor: str | None


class MessageIn(Body):
    parts: Annotated[list[Part], Field(min_length=1, max_length=20)]


class MessageOut(BaseModel):
    id: str
    task_id: str | None
    speaker: Literal["user", "agent"]
    parts: list[Part]
    created_at: Utc


class MessagePage(BaseModel):
    """Oldest first; `next_cursor` is null on the last page."""

    messages: list[MessageOut]
    next_cursor: str | None


class Live(BaseModel):
    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    status: Literal["ready"]
    database: Literal["ok"]
    running_tasks: int


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `errors` names the fields where the request is at fault."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] | None = None
