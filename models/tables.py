"""What survives a crash: agents and their health, sessions, messages, tasks, steps, events, artifacts.

Columns are what is queried, JSON is what is carried. Every row has a tenant.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import DEFAULT_TENANT, Base, Json, JsonDocument, one_of
from models.states import (
    Admission,
    DeliveryStatus,
    Evidence,
    HealthState,
    Proof,
    Speaker,
    StepStatus,
    TaskStatus,
)


class TenantMixin:
    tenant_id: Mapped[str] = mapped_column(server_default=DEFAULT_TENANT)


class Agent(TenantMixin, Base):
    """An agent server known by its card URL. `removed_at` is set where an operator took it out."""

    __tablename__ = "agents"
    __table_args__ = (
        UniqueConstraint("tenant_id", "card_url"),
        one_of("health", HealthState),
        one_of("admission", Admission),
        one_of("proof", Proof),
        CheckConstraint("failures >= 0 AND successes >= 0 AND call_failures >= 0", name="streaks"),
        CheckConstraint("weight BETWEEN 0 AND 100", name="weight"),
        # By these each process finds what has changed since its last look.
        Index("ix_agents_updated_at", "updated_at"),
        Index("ix_agents_removed_at", "removed_at"),
        Index("ix_agents_health_since", "health_since"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    card_url: Mapped[str]
    # Of the card as it was last fetched, to ask whether it has changed.
    etag: Mapped[str | None]
    # The key whose signature of the card was verified.
    signed_by: Mapped[str | None]
    admission: Mapped[str] = mapped_column(server_default=Admission.ADMITTED)
    # What the operator has to look at, where it is held.
    held_for: Mapped[str | None]
    proof: Mapped[str] = mapped_column(server_default=Proof.WAIVED)
    proof_due_at: Mapped[datetime | None]
    # What the conformance run learned of the interface that is called: {"streams", "pushes", "lists"}.
    facts: Mapped[dict[str, Json] | None]
    # The interface that is called: one of the card's.
    url: Mapped[str]
    protocol_binding: Mapped[str] = mapped_column(server_default="JSONRPC")
    protocol_version: Mapped[str] = mapped_column(server_default="1.0")
    interface_tenant: Mapped[str | None]
    name: Mapped[str]
    description: Mapped[str]
    version: Mapped[str]
    card: Mapped[dict[str, Json]]
    streaming: Mapped[bool]
    health: Mapped[str]
    health_reason: Mapped[str]
    health_since: Mapped[datetime]
    failures: Mapped[int]
    successes: Mapped[int]
    # The circuit breaker: failed calls in a row, how often it opened, and until when it is open.
    call_failures: Mapped[int] = mapped_column(server_default="0")
    breaker_trips: Mapped[int] = mapped_column(server_default="0")
    breaker_until: Mapped[datetime | None]
    is_drained: Mapped[bool] = mapped_column(server_default=false())
    # Percent of the sessions that it gets; below 100 it is a canary beside the others with its skills.
    weight: Mapped[int] = mapped_column(server_default="100")
    # Calls while a canary was compared with others, older ones counting less.
    calls_ok: Mapped[float] = mapped_column(server_default="0")
    calls_failed: Mapped[float] = mapped_column(server_default="0")
    calls_at: Mapped[datetime | None]
    # Of an agent with a mailbox: the digest of its secret, and when it says it will look next.
    inbox_digest: Mapped[str | None]
    next_active_at: Mapped[datetime | None]
    load: Mapped[dict[str, Json] | None]
    last_heartbeat_at: Mapped[datetime | None]
    lease_expires_at: Mapped[datetime | None]
    last_checked_at: Mapped[datetime | None]
    last_called_at: Mapped[datetime | None]
    registered_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class AgentSkill(TenantMixin, Base):
    __tablename__ = "agent_skills"
    __table_args__ = (Index("ix_agent_skills_skill_id", "tenant_id", "skill_id"),)

    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True)
    skill_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    tags: Mapped[list[Json]]
    examples: Mapped[list[Json]]
    input_modes: Mapped[list[Json]]
    output_modes: Mapped[list[Json]]


class HealthCheck(TenantMixin, Base):
    """One piece of evidence about an agent, and the state it left the agent in."""

    __tablename__ = "health_checks"
    __table_args__ = (
        one_of("evidence", Evidence),
        one_of("health", HealthState),
        Index("ix_health_checks_agent", "agent_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))
    evidence: Mapped[str]
    ok: Mapped[bool]
    detail: Mapped[str]
    latency_ms: Mapped[float | None]
    health: Mapped[str]
    created_at: Mapped[datetime]


class AgentReport(TenantMixin, Base):
    """What one conformance run of an agent found."""

    __tablename__ = "agent_reports"
    __table_args__ = (Index("ix_agent_reports_agent", "agent_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))
    verdict: Mapped[str]
    report: Mapped[dict[str, Json]]
    created_at: Mapped[datetime]


class AgentEvent(TenantMixin, Base):
    """The registry's audit log: what happened to an agent, and who did it. Append-only."""

    __tablename__ = "agent_events"
    __table_args__ = (Index("ix_agent_events_agent", "agent_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))
    kind: Mapped[str]
    actor: Mapped[str]
    data: Mapped[dict[str, Json]]
    created_at: Mapped[datetime]


class Duty(Base):
    """What exactly one process does, such as the health sweeps; `owner` has it until it expires."""

    __tablename__ = "duties"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    expires_at: Mapped[datetime]


class InboxRequest(TenantMixin, Base):
    """A request to an agent that fetches its requests itself, and the answers it has given so far."""

    __tablename__ = "inbox_requests"
    __table_args__ = (Index("ix_inbox_requests_agent", "agent_id", "taken_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))
    request: Mapped[dict[str, Json]]
    response: Mapped[dict[str, Json] | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    taken_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]


class Session(TenantMixin, Base):
    """Groups the tasks and messages of one user; its id is the A2A contextId."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user", "tenant_id", "user_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Message(TenantMixin, Base):
    __tablename__ = "messages"
    __table_args__ = (
        one_of("speaker", Speaker),
        Index("ix_messages_session", "session_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    task_id: Mapped[str | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    speaker: Mapped[str]
    parts: Mapped[list[Json]]
    created_at: Mapped[datetime]


class Task(TenantMixin, Base):
    """One request. The lease says which process runs it; every write of the run is fenced by its token."""

    __tablename__ = "tasks"
    __table_args__ = (
        one_of("status", TaskStatus),
        CheckConstraint(
            "(completed_at IS NOT NULL) = (status IN ('completed', 'failed', 'canceled'))",
            name="completed_at",
        ),
        CheckConstraint(
            "(lease_token IS NULL) = (lease_expires_at IS NULL)",
            name="lease",
        ),
        Index("ix_tasks_listing", "tenant_id", "id"),
        Index("ix_tasks_session", "session_id"),
        Index(
            "ix_tasks_open",
            "lease_expires_at",
            sqlite_where=text("completed_at IS NULL"),
            postgresql_where=text("completed_at IS NULL"),
        ),
        Index(
            "uq_tasks_idempotency",
            "tenant_id",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id"))
    user_id: Mapped[str | None]
    description: Mapped[str]
    strategy: Mapped[str]
    approval: Mapped[str]
    # Higher goes first where more tasks wait than may run.
    priority: Mapped[int] = mapped_column(server_default="0")
    traceparent: Mapped[str | None]
    webhook: Mapped[dict[str, Json] | None]
    retry_of: Mapped[str | None]
    status: Mapped[str]
    waiting_for: Mapped[str | None]
    plan: Mapped[dict[str, Json] | None]
    result: Mapped[dict[str, Json] | None]
    error: Mapped[dict[str, Json] | None]
    gaps: Mapped[list[Json]]
    last_event: Mapped[int]
    idempotency_key: Mapped[str | None]
    request_digest: Mapped[str | None]
    deadline_at: Mapped[datetime]
    cancel_requested_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_token: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class TaskStep(TenantMixin, Base):
    """One step of a task; the remote columns belong to its latest attempt. `parent` is the number of the step
    whose list it does an item of."""

    __tablename__ = "task_steps"
    __table_args__ = (
        one_of("status", StepStatus),
        UniqueConstraint("task_id", "number"),
        CheckConstraint("number > 0 AND attempt >= 0", name="counts"),
        Index("ix_task_steps_agent", "agent_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    number: Mapped[int]
    instruction: Mapped[str]
    skill_id: Mapped[str]
    requirement: Mapped[str]
    depends_on: Mapped[list[Json]]
    parent: Mapped[int | None]
    item_index: Mapped[int | None]
    item: Mapped[Json | None] = mapped_column(JsonDocument())
    status: Mapped[str]
    waiting_for: Mapped[str | None]
    is_approved: Mapped[bool] = mapped_column(server_default=false())
    attempt: Mapped[int]
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agents.id"))
    # Why this agent, and why not others.
    choice: Mapped[dict[str, Json] | None]
    message_id: Mapped[str | None]
    # Of the agent, as its card named it when the message was sent: while it is the same, sending again is
    # safe.
    memory_id: Mapped[str | None]
    remote_task_id: Mapped[str | None]
    failed_agents: Mapped[list[Json]]
    remote_context_id: Mapped[str | None]
    may_have_run_twice: Mapped[bool]
    # What the agent said when its remote task was to be canceled: canceled, refused or unknown.
    cancel_answer: Mapped[str | None]
    question: Mapped[str | None]
    answer: Mapped[list[Json] | None]
    output: Mapped[dict[str, Json] | None]
    error: Mapped[dict[str, Json] | None]
    retry_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class TaskEvent(TenantMixin, Base):
    """The history of a task: append-only, numbered from 1 without a gap."""

    __tablename__ = "task_events"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Json]]
    created_at: Mapped[datetime]


class Artifact(TenantMixin, Base):
    """One part of what came with a task (no step) or out of a step, with what a listing needs beside it."""

    __tablename__ = "artifacts"
    __table_args__ = (Index("ix_artifacts_task", "task_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    step_number: Mapped[int | None]
    name: Mapped[str]
    filename: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    part: Mapped[dict[str, Json]]
    created_at: Mapped[datetime]


class WebhookDelivery(TenantMixin, Base):
    """That a task has ended, to be told to the URL that its maker gave; written with the end itself."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("status", DeliveryStatus),
        Index(
            "ix_webhook_deliveries_due",
            "next_try_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_webhook_deliveries_task", "task_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    url: Mapped[str]
    secret: Mapped[str | None]
    status: Mapped[str]
    attempts: Mapped[int]
    last_error: Mapped[str | None]
    next_try_at: Mapped[datetime]
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]
