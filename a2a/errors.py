"""Every error of the protocol, and the one table that says how each travels (specification 5.4, 9.5).

A2AError
├── CardSignatureInvalid (a2a.signing), TaskStoreInUse, TaskStoreVersionUnknown (a2a.stores)
├── AttachmentUnreadable (a2a.attachments)
├── ProtocolError                    said by a server to its caller, on the wire
│   ├── ParseError, InvalidRequest, MethodNotFound, InvalidParams, InternalError      (JSON-RPC 2.0)
│   ├── TaskNotFound, TaskNotCancelable, PushNotificationNotSupported, UnsupportedOperation,
│   │   ContentTypeNotSupported, InvalidAgentResponse, ExtendedAgentCardNotConfigured,
│   │   ExtensionSupportRequired, VersionNotSupported                                 (A2A)
│   ├── Unauthenticated, PermissionDenied, AuthenticationUnavailable, ResourceExhausted (ours)
│   └── UnknownRemoteError           a code this table does not know
└── TransportError                   seen by a client before an answer of the protocol was there
    ├── AgentUnreachable, AgentTimeout, AgentBusy, AgentHttpError
    ├── AuthenticationFailed, PermissionRefused
    └── AddressRefused, CardRefused, ResponseTooLarge
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

ERROR_DOMAIN = "a2a-protocol.org"
ERROR_INFO_TYPE = "type.googleapis.com/google.rpc.ErrorInfo"
BAD_REQUEST_TYPE = "type.googleapis.com/google.rpc.BadRequest"


class A2AError(Exception):
    """Base of the package's errors. `is_retryable`: the same call may succeed later."""

    is_retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One invalid input field: its dotted wire path and what is wrong with it."""

    field: str
    description: str


class ProtocolError(A2AError):
    """An error with a place in the protocol's table. `detail` is one sentence for the caller."""

    default_detail: ClassVar[str] = "The request failed."

    def __init__(self, detail: str | None = None, *, violations: Sequence[FieldViolation] = ()) -> None:
        self.detail = detail or self.default_detail
        self.violations = tuple(violations)
        super().__init__(self.detail)


class ParseError(ProtocolError):
    default_detail = "The body is not valid JSON."


class InvalidRequest(ProtocolError):
    default_detail = "The body is not a JSON-RPC 2.0 request."


class MethodNotFound(ProtocolError):
    default_detail = "This agent has no such method."


class InvalidParams(ProtocolError):
    default_detail = "The parameters are not valid."


class InternalError(ProtocolError):
    default_detail = "The agent failed."


class TaskNotFound(ProtocolError):
    default_detail = "There is no such task, or it is not yours."


class TaskNotCancelable(ProtocolError):
    default_detail = "The task has ended and can no longer be canceled."


class PushNotificationNotSupported(ProtocolError):
    default_detail = "This agent sends no push notifications."


class UnsupportedOperation(ProtocolError):
    default_detail = "This operation is not supported here."


class ContentTypeNotSupported(ProtocolError):
    default_detail = "The skill does not accept this media type."


class InvalidAgentResponse(ProtocolError):
    default_detail = "The agent's answer does not follow the protocol."


class ExtendedAgentCardNotConfigured(ProtocolError):
    default_detail = "This agent has no extended card."


class ExtensionSupportRequired(ProtocolError):
    default_detail = "The agent requires an extension that the request does not declare."


class VersionNotSupported(ProtocolError):
    default_detail = "This protocol version is not supported; send the header A2A-Version: 1.0."


class Unauthenticated(ProtocolError):
    """`challenge` goes into the WWW-Authenticate header."""

    default_detail = "Say who you are, as the agent's card says how."

    def __init__(self, detail: str | None = None, *, challenge: str = "Bearer") -> None:
        super().__init__(detail)
        self.challenge = challenge


class PermissionDenied(ProtocolError):
    """`challenge` goes into the WWW-Authenticate header."""

    default_detail = "You may not do this."

    def __init__(self, detail: str | None = None, *, challenge: str = "Bearer") -> None:
        super().__init__(detail)
        self.challenge = challenge


class AuthenticationUnavailable(ProtocolError):
    """What checks the credential does not answer: the credential may well be good."""

    is_retryable = True
    default_detail = "Credentials cannot be checked right now; try again later."


class ResourceExhausted(ProtocolError):
    """The same call may succeed later."""

    is_retryable = True
    default_detail = "The agent has too much to do; try again later."


class UnknownRemoteError(ProtocolError):
    """An error object whose code is in no table; `code` keeps it."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Wire:
    """How one error class travels on each binding."""

    rpc_code: int
    http_status: int
    grpc_status: str
    reason: str | None = None


WIRE: dict[type[ProtocolError], Wire] = {
    ParseError: Wire(-32700, 400, "INVALID_ARGUMENT"),
    InvalidRequest: Wire(-32600, 400, "INVALID_ARGUMENT"),
    MethodNotFound: Wire(-32601, 404, "UNIMPLEMENTED"),
    InvalidParams: Wire(-32602, 400, "INVALID_ARGUMENT"),
    InternalError: Wire(-32603, 500, "INTERNAL"),
    TaskNotFound: Wire(-32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"),
    TaskNotCancelable: Wire(-32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
    PushNotificationNotSupported: Wire(-32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    UnsupportedOperation: Wire(-32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
    ContentTypeNotSupported: Wire(-32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"),
    InvalidAgentResponse: Wire(-32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE"),
    ExtendedAgentCardNotConfigured: Wire(
        -32007, 400, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"
    ),
    ExtensionSupportRequired: Wire(-32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED"),
    VersionNotSupported: Wire(-32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
    Unauthenticated: Wire(-32051, 401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
    PermissionDenied: Wire(-32052, 403, "PERMISSION_DENIED", "PERMISSION_DENIED"),
    AuthenticationUnavailable: Wire(-32054, 503, "UNAVAILABLE", "AUTHENTICATION_UNAVAILABLE"),
    ResourceExhausted: Wire(-32053, 429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
}

_BY_RPC_CODE = {wire.rpc_code: error for error, wire in WIRE.items()}


def error_details(error: ProtocolError) -> list[dict[str, Any]]:
    """The `@type`d details that go with the error on every binding (9.5, 11.6)."""
    details: list[dict[str, Any]] = []
    reason = WIRE[type(error)].reason
    if reason is not None:
        details.append({"@type": ERROR_INFO_TYPE, "reason": reason, "domain": ERROR_DOMAIN})
    if error.violations:
        fields = [{"field": v.field, "description": v.description} for v in error.violations]
        details.append({"@type": BAD_REQUEST_TYPE, "fieldViolations": fields})
    return details


def error_from_code(code: int, detail: str) -> ProtocolError:
    """The error a JSON-RPC peer meant by `code`."""
    known = _BY_RPC_CODE.get(code)
    return known(detail) if known is not None else UnknownRemoteError(code, detail)


class TransportError(A2AError):
    """No answer of the protocol arrived. `url` is the agent's interface or card URL; `may_have_arrived` is
    false where the request cannot have reached the agent."""

    may_have_arrived = True

    def __init__(self, url: str, detail: str) -> None:
        self.url = url
        self.detail = detail
        super().__init__(f"{url}: {detail}")


class AgentUnreachable(TransportError):
    """No connection, or it was cut before the answer."""

    is_retryable = True

    def __init__(self, url: str, detail: str, *, may_have_arrived: bool = True) -> None:
        super().__init__(url, detail)
        self.may_have_arrived = may_have_arrived


class AgentTimeout(TransportError):
    """The agent did not answer within the deadline."""

    is_retryable = True

    def __init__(self, url: str, *, after_s: float) -> None:
        super().__init__(url, f"no answer within {after_s:g} s")
        self.after_s = after_s


class AgentBusy(TransportError):
    """HTTP 429 or 503; `retry_after_s` is what the agent asked for, if it did."""

    is_retryable = True
    may_have_arrived = False

    def __init__(self, url: str, *, status: int, retry_after_s: float | None) -> None:
        super().__init__(url, f"the agent is busy (HTTP {status})")
        self.retry_after_s = retry_after_s


class AgentHttpError(TransportError):
    """An HTTP status where the protocol has none."""

    def __init__(self, url: str, *, status: int) -> None:
        super().__init__(url, f"HTTP {status} instead of an A2A answer")
        self.status = status


class AuthenticationFailed(TransportError):
    """HTTP 401, or no credentials that fit. `challenge` is the agent's WWW-Authenticate header."""

    may_have_arrived = False

    def __init__(self, url: str, detail: str | None = None, *, challenge: str | None = None) -> None:
        super().__init__(url, detail or "it does not accept our credentials (HTTP 401)")
        self.challenge = challenge


class PermissionRefused(TransportError):
    """HTTP 403: the agent knows us and does not let us."""

    may_have_arrived = False

    def __init__(self, url: str) -> None:
        super().__init__(url, "it does not permit us this call (HTTP 403)")


class AddressRefused(TransportError):
    """The guard does not let us connect there."""

    may_have_arrived = False


class CardRefused(TransportError):
    """What stands at a card URL is no agent card we can use."""


class ResponseTooLarge(TransportError):
    """The body is over the cap that was set for it."""

    def __init__(self, url: str, *, max_bytes: int) -> None:
        super().__init__(url, f"the answer is over {max_bytes:,} bytes")
        self.max_bytes = max_bytes
