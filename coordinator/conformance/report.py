"""What a conformance run found: one line for each finding, and the facts that routing goes by. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from a2a.client.choice import BINDINGS, VERSIONS

# In the place of an interface where a finding is about the agent as a whole.
WHOLE_AGENT = ""


class Check(StrEnum):
    """Names that stay. In the order in which findings are listed."""

    CARD = "card"
    SKILL = "skill"
    ADVERTISED_URL = "advertised_url"
    INTERFACE = "interface"
    CREDENTIALS = "credentials"
    SEND = "send"
    GET = "get"
    UNKNOWN_TASK = "unknown_task"
    LIST = "list"
    STREAM = "stream"
    CANCEL = "cancel"
    PUSH = "push"
    INVALID_REQUEST = "invalid_request"


class Outcome(StrEnum):
    """`noted`: not as good as it could be, and no fault."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOTED = "noted"


class Verdict(StrEnum):
    """`proven`: a real send came to its end, or to an honest question, over one interface at least.
    `unproven`: nothing could be sent honestly, but an invalid request was refused as the protocol says.
    `failed`: sends fail, or the wire is broken."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """`interface` is such as "JSONRPC 1.0". `detail` says what was seen, `meaning` what routing makes of it;
    each is one sentence."""

    check: Check
    interface: str
    outcome: Outcome
    detail: str
    meaning: str


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """What of an interface may be relied on. `version` is Major.Minor.

    `is_usable`: a send came to its end here; where nothing could be sent, an invalid request was refused.
    `gets`: a task that was sent can be asked for; `cancels`: CancelTask answers as the protocol says.
    `latency_ms` is that of the quickest call without work behind it.
    """

    url: str
    binding: str
    version: str
    tenant: str | None
    is_usable: bool
    gets: bool
    streams: bool
    lists: bool
    cancels: bool
    pushes: bool
    latency_ms: float | None

    @property
    def label(self) -> str:
        return f"{self.binding} {self.version}"


@dataclass(frozen=True, slots=True)
class Report:
    """`interfaces` are those that were called, in the order of the card; `reason` is one sentence."""

    card_url: str
    agent_name: str
    agent_version: str
    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...]
    interfaces: tuple[InterfaceFacts, ...]
    started_at: datetime
    took_s: float

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return found

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Report":
        """Raises pydantic's ValidationError for what `to_json` did not give."""
        return _adapter().validate_python(value)


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def best_interface(
    report: Report, *, bindings: Sequence[str] = BINDINGS, versions: Sequence[str] = VERSIONS
) -> InterfaceFacts | None:
    """Where steps are sent: what a2a.client.choose_interface would take, of the usable ones. None where there
    is none. Whether to stream, push, list or cancel there is in its fields."""
    for version in versions:
        for interface in report.interfaces:
            if interface.is_usable and interface.binding in bindings and interface.version == version:
                return interface
    return None
