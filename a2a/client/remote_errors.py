"""Error answers of an agent as the classes of a2a.errors: by code on JSON-RPC, by reason on HTTP+JSON."""

from pydantic import ValidationError

from a2a.errors import (
    BAD_REQUEST_TYPE,
    ERROR_INFO_TYPE,
    WIRE,
    A2AError,
    AgentBusy,
    AuthenticationFailed,
    AuthenticationUnavailable,
    ContentTypeNotSupported,
    FieldViolation,
    InternalError,
    InvalidAgentResponse,
    InvalidParams,
    PermissionDenied,
    PermissionRefused,
    ProtocolError,
    ResourceExhausted,
    TaskNotCancelable,
    TaskNotFound,
    Unauthenticated,
    UnsupportedOperation,
    error_from_code,
)
from a2a.types import Json

MAX_DETAIL_CHARS = 2_000
MAX_VIOLATIONS = 20
MAX_VIOLATION_CHARS = 500

_BY_REASON = {wire.reason: error for error, wire in WIRE.items() if wire.reason is not None}
# Without a reason: what google.rpc.Status calls it first, for one HTTP status stands for many errors.
_BY_RPC_STATUS: dict[str, type[ProtocolError]] = {
    "NOT_FOUND": TaskNotFound,
    "INVALID_ARGUMENT": InvalidParams,
    "OUT_OF_RANGE": InvalidParams,
    "FAILED_PRECONDITION": UnsupportedOperation,
    "UNIMPLEMENTED": UnsupportedOperation,
    "INTERNAL": InternalError,
    "UNKNOWN": InternalError,
}
# 409, 415 and 502 are those of v1.0.0.
_BY_HTTP_STATUS: dict[int, type[ProtocolError]] = {
    400: InvalidParams,
    404: TaskNotFound,
    409: TaskNotCancelable,
    415: ContentTypeNotSupported,
    422: InvalidParams,
    500: InternalError,
    501: UnsupportedOperation,
    502: InvalidAgentResponse,
}
# These statuses of v1.0.0 meant one error each, so they say more than the general word beside them.
_TELLING_STATUSES = (409, 415)


def rpc_error(url: str, error: Json) -> A2AError | None:
    """Of a JSON-RPC error object; None where it is none."""
    if not isinstance(error, dict):
        return None
    code = error.get("code")
    if isinstance(code, bool) or not isinstance(code, int):
        return None
    known = error_from_code(code, _text(error.get("message")))
    known.violations = _violations(error.get("data"))
    return _as_transport(url, known)


def status_error(url: str, http_status: int, body: Json) -> A2AError | None:
    """Of a google.rpc.Status body (11.6); None where it is none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    details = error.get("details")
    known = _BY_REASON.get(_reason(details))
    if known is None and http_status not in _TELLING_STATUSES:
        known = _BY_RPC_STATUS.get(str(error.get("status")))
    known = known or _BY_HTTP_STATUS.get(http_status)
    if known is None:
        return None
    found = known(_text(error.get("message")))
    found.violations = _violations(details)
    return _as_transport(url, found)


def _as_transport(url: str, error: ProtocolError) -> A2AError:
    """One class for each of these, whether it came as a status or in the body."""
    match error:
        case Unauthenticated():
            return AuthenticationFailed(url)
        case PermissionDenied():
            return PermissionRefused(url)
        case ResourceExhausted() | AuthenticationUnavailable():
            return AgentBusy(url, status=WIRE[type(error)].http_status, retry_after_s=None)
        case _:
            return error


def invalid_answer(exc: ValidationError) -> InvalidAgentResponse:
    """That names the first field that is wrong."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "its top"
    return InvalidAgentResponse(f"The agent's answer is wrong at {where}: {first['msg']}"[:MAX_DETAIL_CHARS])


def _text(value: Json) -> str:
    return value[:MAX_DETAIL_CHARS] if isinstance(value, str) else ""


def _details(details: Json, type_url: str) -> list[dict[str, Json]]:
    listed = details if isinstance(details, list) else []
    return [item for item in listed if isinstance(item, dict) and item.get("@type") == type_url]


def _reason(details: Json) -> str:
    reasons = (item.get("reason") for item in _details(details, ERROR_INFO_TYPE))
    return next((reason for reason in reasons if isinstance(reason, str)), "")


def _violations(details: Json) -> tuple[FieldViolation, ...]:
    found = []
    for item in _details(details, BAD_REQUEST_TYPE):
        listed = item.get("fieldViolations")
        for violation in listed if isinstance(listed, list) else []:
            if isinstance(violation, dict):
                texts = (violation.get("field"), violation.get("description"))
                found.append(FieldViolation(*(_text(text)[:MAX_VIOLATION_CHARS] for text in texts)))
    return tuple(found[:MAX_VIOLATIONS])
