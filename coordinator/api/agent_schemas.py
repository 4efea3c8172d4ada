"""The shapes of the registry's API."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coordinator.api.schemas import AgentRef
from coordinator.api.shapes import Body, Identifier, Utc
from models.states import Admission, HealthState, Proof

MAX_LOAD = 1_000_000


class RegisterIn(Body):
    """`card` instead of `card_url` is that of an agent that cannot be called and fetches its requests."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"card_url": "http://127.0.0.1:8010"}]})

    card_url: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    card: dict[str, Any] | None = None
    join_token: Annotated[str, Field(max_length=500)] | None = None
    # The id that the agent had under another card URL, or has with its inbox.
    agent_id: Identifier | None = None
    inbox_secret: Annotated[str, Field(max_length=500)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.card_url is None) == (self.card is None):
            raise ValueError("give card_url or card, and not both")
        return self


class SkillOut(BaseModel):
    id: str
    name: str
    description: str
    tags: list[str]
    examples: list[str]
    input_modes: list[str]
    output_modes: list[str]


class BreakerOut(BaseModel):
    """After three failed calls in a row it is open until the time given, and the agent down until a call
    succeeds."""

    failed_calls: int
    open_until: Utc | None


class HealthOut(BaseModel):
    """`state` as the health state machine has it, since when and why."""

    state: HealthState
    reason: str
    since: Utc
    last_checked_at: Utc | None
    last_heartbeat_at: Utc | None
    last_called_at: Utc | None
    # When an agent that fetches its requests says it will look again.
    next_active_at: Utc | None
    breaker: BreakerOut


class AdmissionOut(BaseModel):
    """`held` agents wait for an operator; `held_for` says what is to be looked at."""

    state: Admission
    held_for: str | None


class AgentOut(BaseModel):
    id: str
    name: str
    description: str
    version: str
    card_url: str
    url: str
    binding: str
    protocol_version: str
    signed_by: str | None
    status: Literal["ACTIVE", "INACTIVE", "ERROR"]
    admission: AdmissionOut
    proof: Proof
    weight: int
    is_drained: bool
    health: HealthOut
    skills: list[SkillOut]
    load: dict[str, Any] | None
    registered_at: Utc


class AgentJoined(AgentOut):
    """With an inbox: where it is, and once the secret for it."""

    inbox_url: str | None = None
    inbox_secret: str | None = None


class AgentList(BaseModel):
    agents: list[AgentOut]


class FoundAgent(BaseModel):
    agent: AgentRef
    skill_id: str
    score: float
    matched_terms: list[str]
    status: Literal["ACTIVE", "INACTIVE", "ERROR"]


class SearchResult(BaseModel):
    query: str
    results: list[FoundAgent]


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
    join_token: Annotated[str, Field(max_length=500)] | None = None
    running: Annotated[int, Field(ge=0, le=MAX_LOAD)] = 0
    capacity: Annotated[int, Field(gt=0, le=MAX_LOAD)] = 1


class AgentChange(Body):
    """What is left out stays. `is_admitted` ends a quarantine that waits for an operator, or begins one;
    `is_drained`: no new work, however often it registers; `weight`: percent of the sessions it gets, below
    100 as a canary; `card_url`: it has moved."""

    is_admitted: bool | None = None
    is_drained: bool | None = None
    weight: Annotated[int, Field(ge=0, le=100)] | None = None
    card_url: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None


class FindingOut(BaseModel):
    check: str
    interface: str
    outcome: str
    detail: str
    meaning: str


class ReportOut(BaseModel):
    """What a conformance run found; each finding says what it means for routing (docs/conformance.md)."""

    agent_id: str
    verdict: str
    reason: str
    findings: list[FindingOut]
    interfaces: list[dict[str, Any]]
    started_at: Utc
    took_s: float
    next_at: Utc | None


class AgentEventOut(BaseModel):
    id: str
    agent_id: str
    kind: str
    actor: str
    data: dict[str, Any]
    at: Utc


class AgentEvents(BaseModel):
    """Oldest first; the id of the last is `after` for those that follow."""

    events: list[AgentEventOut]


class HeartbeatOut(BaseModel):
    known: bool
    heartbeat_interval_s: float
