"""The closed sets of words that columns hold; the CHECK constraints are made from them."""

from enum import StrEnum


class TaskStatus(StrEnum):
    PENDING = "pending"
    PLANNING = "planning"
    AWAITING_APPROVAL = "awaiting_approval"
    EXECUTING = "executing"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_terminal(self) -> bool:
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELED)


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"

    @property
    def is_terminal(self) -> bool:
        return self not in (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.INPUT_REQUIRED)


class HealthState(StrEnum):
    QUARANTINED = "quarantined"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    DRAINING = "draining"


class Admission(StrEnum):
    """Whether an agent may be used at all: one that is `held` waits for an operator."""

    ADMITTED = "admitted"
    HELD = "held"


class Proof(StrEnum):
    """What the conformance run said of an agent, in the words of its report. `pending`: it has still to
    come; `waived`: it is switched off."""

    PENDING = "pending"
    PROVEN = "proven"
    UNPROVEN = "unproven"
    FAILED = "failed"
    WAIVED = "waived"


class Evidence(StrEnum):
    """What a row of `health_checks` was seen by."""

    REGISTRATION = "registration"
    HEARTBEAT = "heartbeat"
    PROBE = "probe"
    DEEP_PROBE = "deep_probe"
    CONFORMANCE = "conformance"
    CALL = "call"
    # Of an agent that fetches its requests: that it came, or did not come any more.
    VISIT = "visit"


class Speaker(StrEnum):
    USER = "user"
    AGENT = "agent"


class DeliveryStatus(StrEnum):
    """Of a webhook: `failed` is given up after its last try."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
