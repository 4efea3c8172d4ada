"""The protocol's errors as gRPC statuses (specification 5.4 and 10.6), written by a server, read by a client.

A status has a code and a sentence; the ErrorInfo and BadRequest that say more travel as a google.rpc.Status
in the trailing metadata.
"""

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from a2a.errors import (
    ERROR_DOMAIN,
    WIRE,
    FieldViolation,
    InternalError,
    InvalidParams,
    MethodNotFound,
    PermissionDenied,
    ProtocolError,
    TaskNotFound,
    Unauthenticated,
    UnknownRemoteError,
    UnsupportedOperation,
)

DETAILS_KEY = "grpc-status-details-bin"
# Many peers take no more than 8 KiB of metadata. The sentence stands there twice and may grow threefold.
MAX_MESSAGE_BYTES = 800
MAX_FIELD_BYTES = 300
MAX_VIOLATIONS_BYTES = 2_000
# What is read of a peer's.
MAX_DETAIL_CHARS = 2_000
MAX_READ_VIOLATIONS = 20

_BY_REASON = {wire.reason: error for error, wire in WIRE.items() if wire.reason is not None}
# What a peer most likely means that gives no reason.
_BY_CODE: dict[grpc.StatusCode, type[ProtocolError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidParams,
    grpc.StatusCode.NOT_FOUND: TaskNotFound,
    grpc.StatusCode.FAILED_PRECONDITION: UnsupportedOperation,
    grpc.StatusCode.UNIMPLEMENTED: MethodNotFound,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.INTERNAL: InternalError,
}


def code_of(error: ProtocolError) -> grpc.StatusCode:
    return grpc.StatusCode[WIRE[type(error)].grpc_status]


def status_of(error: ProtocolError) -> Status:
    """The error with its details, within what metadata can carry."""
    number: int = code_of(error).value[0]
    status = Status(code=number, message=_cut(error.detail, MAX_MESSAGE_BYTES))
    reason = WIRE[type(error)].reason
    if reason is not None:
        status.details.add().Pack(ErrorInfo(reason=reason, domain=ERROR_DOMAIN))
    if error.violations:
        bad = BadRequest()
        for violation in error.violations:
            if bad.ByteSize() < MAX_VIOLATIONS_BYTES:
                bad.field_violations.add(
                    field=_cut(violation.field, MAX_FIELD_BYTES),
                    description=_cut(violation.description, MAX_FIELD_BYTES),
                )
        status.details.add().Pack(bad)
    return status


def error_of(code: grpc.StatusCode, message: str, details: bytes) -> ProtocolError:
    """The error that a peer meant. Its reason says more than its code: older versions use other codes."""
    detail = message[:MAX_DETAIL_CHARS]
    reason, violations = _read_details(details)
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code)
    if kind is None:
        number: int = code.value[0]
        return UnknownRemoteError(number, detail)
    error = kind(detail)
    error.violations = violations
    return error


def _read_details(details: bytes) -> tuple[str, tuple[FieldViolation, ...]]:
    """The peer's words: what cannot be read is as good as not said."""
    info, bad = ErrorInfo(), BadRequest()
    try:
        for detail in Status.FromString(details).details:
            for known in (info, bad):
                detail.Unpack(known)  # nothing happens where it is of another kind
    except DecodeError:
        return "", ()
    found = bad.field_violations[:MAX_READ_VIOLATIONS]
    violations = tuple(FieldViolation(violation.field, violation.description) for violation in found)
    return info.reason if info.domain == ERROR_DOMAIN else "", violations


def _cut(text: str, max_bytes: int) -> str:
    return text.encode(errors="replace")[:max_bytes].decode(errors="ignore")
