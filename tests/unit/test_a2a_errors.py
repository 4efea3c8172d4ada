"""The error tree and the one table that says how each error travels."""

from collections.abc import Iterator

import pytest

from a2a import errors
from a2a.errors import (
    WIRE,
    A2AError,
    AddressRefused,
    AgentBusy,
    AgentHttpError,
    AgentTimeout,
    AgentUnreachable,
    CardRefused,
    FieldViolation,
    InvalidParams,
    ProtocolError,
    ResponseTooLarge,
    TaskNotFound,
    UnknownRemoteError,
    error_details,
    error_from_code,
)

# Specification 5.4 and 9.5, as in v1.0.1: class, JSON-RPC code, HTTP status, gRPC status, reason.
SPECIFIED = [
    ("ParseError", -32700, 400, "INVALID_ARGUMENT", None),
    ("InvalidRequest", -32600, 400, "INVALID_ARGUMENT", None),
    ("MethodNotFound", -32601, 404, "UNIMPLEMENTED", None),
    ("InvalidParams", -32602, 400, "INVALID_ARGUMENT", None),
    ("InternalError", -32603, 500, "INTERNAL", None),
    ("TaskNotFound", -32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"),
    ("TaskNotCancelable", -32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
    ("PushNotificationNotSupported", -32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    ("UnsupportedOperation", -32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
    ("ContentTypeNotSupported", -32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"),
    ("InvalidAgentResponse", -32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE"),
    (
        "ExtendedAgentCardNotConfigured",
        -32007,
        400,
        "FAILED_PRECONDITION",
        "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
    ),
    ("ExtensionSupportRequired", -32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED"),
    ("VersionNotSupported", -32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
]

# Where the specification names no error, HTTP and gRPC do.
OURS = [
    ("Unauthenticated", -32051, 401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
    ("PermissionDenied", -32052, 403, "PERMISSION_DENIED", "PERMISSION_DENIED"),
    ("ResourceExhausted", -32053, 429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    ("AuthenticationUnavailable", -32054, 503, "UNAVAILABLE", "AUTHENTICATION_UNAVAILABLE"),
]


def subclasses(error: type[A2AError]) -> Iterator[type[A2AError]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_every_error_a_server_can_raise_has_a_row_in_the_table() -> None:
    """UnknownRemoteError is only ever received."""
    raised_by_servers = set(subclasses(ProtocolError)) - {UnknownRemoteError}

    assert raised_by_servers == set(WIRE)


@pytest.mark.parametrize(("name", "code", "status", "grpc", "reason"), [*SPECIFIED, *OURS])
def test_an_error_travels_as_specified(
    name: str, code: int, status: int, grpc: str, reason: str | None
) -> None:
    """5.4, 9.5"""
    wire = WIRE[getattr(errors, name)]

    assert (wire.rpc_code, wire.http_status, wire.grpc_status, wire.reason) == (code, status, grpc, reason)


def test_the_specified_errors_and_ours_are_all_there_are() -> None:
    assert {error.__name__ for error in WIRE} == {row[0] for row in [*SPECIFIED, *OURS]}


@pytest.mark.parametrize("error", WIRE, ids=lambda error: error.__name__)
def test_a_code_leads_back_to_the_error_it_came_from(error: type[ProtocolError]) -> None:
    received = error_from_code(WIRE[error].rpc_code, "what the peer said")

    assert type(received) is error
    assert received.detail == "what the peer said"


def test_an_unknown_code_is_kept() -> None:
    received = error_from_code(-32055, "new")

    assert isinstance(received, UnknownRemoteError)
    assert (received.code, received.detail) == (-32055, "new")


def test_the_error_info_names_the_reason_and_the_domain() -> None:
    """9.5"""
    assert error_details(TaskNotFound()) == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "TASK_NOT_FOUND",
            "domain": "a2a-protocol.org",
        }
    ]


def test_the_bad_request_names_each_field() -> None:
    """9.5"""
    error = InvalidParams(violations=[FieldViolation("message.parts", "is missing")])

    assert error_details(error) == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "message.parts", "description": "is missing"}],
        }
    ]


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (AgentUnreachable("u", "cut"), True),
        (AgentTimeout("u", after_s=1), True),
        (AgentBusy("u", status=503, retry_after_s=None), True),
        (AgentHttpError("u", status=404), False),
        (AddressRefused("u", "private"), False),
        (CardRefused("u", "HTML"), False),
        (ResponseTooLarge("u", max_bytes=1), False),
        (TaskNotFound(), False),
        (UnknownRemoteError(-1, ""), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, A2AError) else None,
)
def test_an_error_says_whether_the_same_call_may_succeed_later(error: A2AError, is_retryable: bool) -> None:
    assert error.is_retryable is is_retryable
