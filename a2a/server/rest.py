"""The HTTP+JSON binding (specification section 11): paths and queries in, bare messages out."""

from collections.abc import Sequence
from dataclasses import dataclass

import pydantic_core
import structlog

from a2a.errors import (
    WIRE,
    FieldViolation,
    InternalError,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    ParseError,
    ProtocolError,
    error_details,
)
from a2a.server.context import CallContext
from a2a.server.gate import Gate
from a2a.server.http import (
    CARD_MAX_AGE_S,
    JSON_TYPES,
    Answer,
    BodyTooLarge,
    Disconnected,
    HttpRequest,
    Stream,
    cacheable,
    error_headers,
    etag_of,
    extension_headers,
)
from a2a.server.live import Event
from a2a.server.operations import Operations
from a2a.types import Json, new_id

log = structlog.get_logger(__name__)

A2A_JSON = "application/a2a+json"
PLAIN_JSON = "application/json"
# What stands in the query beside an operation's own fields.
_SERVICE_PARAMETERS = frozenset({"A2A-Version", "A2A-Extensions"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a method and path mean. `fields` are those of the path; `has_body`: the rest is in the body, not
    in the query. `allowed` is empty unless the path is known and the method is another."""

    operation: str
    fields: dict[str, str]
    has_body: bool = False
    allowed: Sequence[str] = ()


def find_target(method: str, segments: Sequence[str]) -> Target | None:
    """The operation at a path, given as its decoded segments; None where there is none. A first segment that
    begins no path of ours is a tenant."""
    known = _known(segments)
    tenant: dict[str, str] = {}
    if known is None and len(segments) > 1:
        known = _known(segments[1:])
        tenant = {"tenant": segments[0]}
    if known is None:
        return None
    by_method, fields = known
    operation = by_method.get(method)
    if operation is None:
        return Target("", {}, allowed=tuple(by_method))
    return Target(operation, {**fields, **tenant}, has_body=method == "POST")


def _known(segments: Sequence[str]) -> tuple[dict[str, str], dict[str, str]] | None:
    """Operations by method, and the fields of the path."""
    match segments:
        case ["message:send"]:
            return {"POST": "SendMessage"}, {}
        case ["message:stream"]:
            return {"POST": "SendStreamingMessage"}, {}
        case ["extendedAgentCard"]:
            return {"GET": "GetExtendedAgentCard"}, {}
        case ["tasks"]:
            return {"GET": "ListTasks"}, {}
        case ["tasks", task]:
            task_id, colon, verb = task.rpartition(":")
            if colon and verb == "cancel":
                return {"POST": "CancelTask"}, {"id": task_id}
            if colon and verb == "subscribe":
                # The prose says POST, the normative proto GET; clients send either.
                return {"POST": "SubscribeToTask", "GET": "SubscribeToTask"}, {"id": task_id}
            return {"GET": "GetTask"}, {"id": task}
        case ["tasks", task_id, "pushNotificationConfigs"]:
            operations = {
                "POST": "CreateTaskPushNotificationConfig",
                "GET": "ListTaskPushNotificationConfigs",
            }
            return operations, {"taskId": task_id}
        case ["tasks", task_id, "pushNotificationConfigs", config_id]:
            operations = {
                "GET": "GetTaskPushNotificationConfig",
                "DELETE": "DeleteTaskPushNotificationConfig",
            }
            return operations, {"taskId": task_id, "id": config_id}
        case _:
            return None


class Rest:
    """Calls the operation of a target."""

    def __init__(self, operations: Operations, gate: Gate, *, max_body_bytes: int) -> None:
        self._operations = operations
        self._gate = gate
        self._max_body_bytes = max_body_bytes

    async def answer(self, request: HttpRequest, target: Target) -> Answer | Stream:
        """Raises Disconnected, and nothing else for what the caller sent."""
        media_type = _answer_type(request)
        try:
            if target.allowed:
                return _wrong_method(target, media_type)
            request.check_query()
            # Before the body is read: a stranger's may be large.
            call = await self._gate.enter(request.headers, request.query)
            body = await request.body(self._max_body_bytes)
            return await self._operate(request, target, _params(request, target, body), call)
        except BodyTooLarge as exc:
            refusal = InvalidRequest(f"The request is over {exc.max_bytes:,} bytes.")
            return Answer(error_body(refusal, 413), 413, media_type)
        except _WrongMediaType:
            wrong = InvalidRequest(f"Send the request with Content-Type: {A2A_JSON}.")
            return Answer(error_body(wrong, 415), 415, media_type)
        except ProtocolError as error:
            status = WIRE[type(error)].http_status
            return Answer(error_body(error, status), status, media_type, error_headers(error))
        except Disconnected:
            raise
        except Exception:
            error_id = new_id()
            log.exception("rest.failed", operation=target.operation, error_id=error_id)
            failure = InternalError(f"The agent failed; its log has error {error_id}.")
            return Answer(error_body(failure, 500), 500, media_type)

    async def _operate(
        self, request: HttpRequest, target: Target, params: Json, call: CallContext
    ) -> Answer | Stream:
        headers = extension_headers(call)
        if self._operations.is_streaming(target.operation):
            follower = await self._operations.stream(target.operation, params, call)
            return Stream(follower, _frame, headers)
        body = await self._operations.call_json(target.operation, params, call)
        answer = Answer(body, 200, _answer_type(request), headers)
        if target.operation != "GetExtendedAgentCard":
            return answer
        # For this caller alone (13.3).
        return cacheable(request, answer, etag_of(body), f"private, max-age={CARD_MAX_AGE_S}")


def _wrong_method(target: Target, media_type: str) -> Answer:
    refusal = MethodNotFound(f"Use {' or '.join(target.allowed)} here.")
    return Answer(error_body(refusal, 405), 405, media_type, {"allow": ", ".join(target.allowed)})


class _WrongMediaType(Exception):
    """A body that is no JSON."""


def _params(request: HttpRequest, target: Target, body: bytes) -> Json:
    """The operation's parameters. Raises ParseError, InvalidParams or _WrongMediaType."""
    if not target.has_body or (not body and target.operation in ("CancelTask", "SubscribeToTask")):
        fields = {name: value for name, value in request.query.items() if name not in _SERVICE_PARAMETERS}
        return {**{name: value for name, value in fields.items() if value != ""}, **target.fields}
    if request.media_type not in JSON_TYPES:
        raise _WrongMediaType
    try:
        params = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise ParseError from exc
    if not isinstance(params, dict):
        raise InvalidParams("The body is one JSON object.")
    for name, value in target.fields.items():
        if params.get(name, value) != value:
            raise InvalidParams(violations=[FieldViolation(name, f"differs from the {name} in the path")])
    return {**params, **target.fields}


def _answer_type(request: HttpRequest) -> str:
    """The binding's own media type, unless the client takes plain JSON only."""
    accepted = request.headers.get("accept", "")
    return PLAIN_JSON if PLAIN_JSON in accepted and A2A_JSON not in accepted else A2A_JSON


def _frame(event: Event) -> bytes:
    return b"data: " + event.json + b"\n\n"


def error_body(error: ProtocolError, status: int) -> bytes:
    """google.rpc.Status as JSON (11.6)."""
    content: dict[str, Json] = {
        "code": status,
        "status": WIRE[type(error)].grpc_status,
        "message": error.detail,
        "details": error_details(error),
    }
    return pydantic_core.to_json({"error": content})
