"""The JSON-RPC binding (specification section 9): envelopes in and out."""

from dataclasses import dataclass
from functools import partial

import pydantic_core
import structlog

from a2a.errors import (
    WIRE,
    InternalError,
    InvalidRequest,
    MethodNotFound,
    ParseError,
    ProtocolError,
    error_details,
)
from a2a.server.context import CallContext
from a2a.server.gate import Gate
from a2a.server.http import (
    JSON_TYPES,
    Answer,
    BodyTooLarge,
    Disconnected,
    HttpRequest,
    Stream,
    error_headers,
    extension_headers,
)
from a2a.server.live import Event
from a2a.server.operations import Operations
from a2a.types import PROTOCOL_VERSION, Json, new_id

log = structlog.get_logger(__name__)

V03 = "0.3"
# A call that is refused unread is looked at for its id, if it is no larger.
MAX_REFUSED_BYTES = 64 * 1024
RequestId = str | int | None
# The statuses by which HTTP itself says something: who asks, how much, how often. All else is 200 (9.1).
_HTTP_STATUSES = frozenset({401, 403, 413, 415, 429, 503})


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose envelope is valid."""

    id: RequestId
    method: str
    params: Json


class JsonRpc:
    """Calls an operation for a method name."""

    def __init__(
        self, operations: Operations, gate: Gate, *, max_body_bytes: int, serves_v03: bool = False
    ) -> None:
        self._versions = (PROTOCOL_VERSION, V03) if serves_v03 else (PROTOCOL_VERSION,)
        self._operations = operations
        self._gate = gate
        self._max_body_bytes = max_body_bytes

    async def answer(self, request: HttpRequest) -> Answer | Stream:
        """Raises Disconnected, and nothing else for what the caller sent."""
        body = b""
        try:
            call = await self._enter(request)
            body = await request.body(self._max_body_bytes)
            if request.media_type not in JSON_TYPES:
                refusal = InvalidRequest("Send the request with Content-Type: application/json.")
                return _refused(body, refusal, status=415)
            rpc = parse_call(body)
            if call.version == V03:
                return await self._operate_v03(rpc, call)
            return await self._operate(rpc, call)
        except BodyTooLarge as exc:
            return _refused(b"", InvalidRequest(f"The request is over {exc.max_bytes:,} bytes."), status=413)
        except _NotLetIn as refused:
            return _refused(await request.beginning(MAX_REFUSED_BYTES), refused.error)
        except ProtocolError as error:
            return _refused(body, error)
        except Disconnected:
            raise
        except Exception:
            error_id = new_id()
            log.exception("rpc.failed", error_id=error_id)
            return _refused(body, InternalError(f"The agent failed; its log has error {error_id}."))

    async def _enter(self, request: HttpRequest) -> CallContext:
        """Before the body is read: a stranger's may be large."""
        try:
            request.check_query()
            return await self._gate.enter(request.headers, request.query, versions=self._versions)
        except ProtocolError as exc:
            raise _NotLetIn(exc) from exc

    async def _operate_v03(self, rpc: Call, call: CallContext) -> Answer | Stream:
        # Few agents have this face, and it brings every shape of the older protocol along.
        from a2a.server.face03 import error_body_v03, operate_v03

        try:
            return await operate_v03(self._operations, rpc, call)
        except ProtocolError as error:
            return Answer(error_body_v03(rpc.id, error), _http_status(error), headers=error_headers(error))

    async def _operate(self, rpc: Call, call: CallContext) -> Answer | Stream:
        operations, params = self._operations, rpc.params
        if not operations.knows(rpc.method):
            raise MethodNotFound(
                "This agent has no such method; those of A2A 1.0 are written like SendMessage."
            )
        before, after = b'{"jsonrpc":"2.0","id":' + pydantic_core.to_json(rpc.id) + b',"result":', b"}"
        headers = extension_headers(call)
        if operations.is_streaming(rpc.method):
            follower = await operations.stream(rpc.method, params, call)
            return Stream(follower, partial(_frame, b"data: " + before, after + b"\n\n"), headers)
        json = await operations.call_json(rpc.method, params, call)
        return Answer(before + json + after, headers=headers)


class _NotLetIn(Exception):
    def __init__(self, error: ProtocolError) -> None:
        self.error = error
        super().__init__()


def _frame(before: bytes, after: bytes, event: Event) -> bytes:
    return before + event.json + after


def parse_call(body: bytes) -> Call:
    """Raises ParseError or InvalidRequest."""
    try:
        envelope = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise ParseError from exc
    if not isinstance(envelope, dict):
        raise InvalidRequest("A request is one JSON object; batches are not part of A2A.")
    if envelope.get("jsonrpc") != "2.0":
        raise InvalidRequest('The request needs "jsonrpc": "2.0".')
    method = envelope.get("method")
    if not isinstance(method, str):
        raise InvalidRequest("The request needs a method name.")
    request_id = request_id_of(envelope)
    return Call(request_id, method, envelope.get("params"))


def request_id_of(envelope: Json) -> RequestId:
    """Raises InvalidRequest on an id that is neither a string, an integer nor null."""
    request_id = envelope.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise InvalidRequest("The id of a request is a string, an integer or null.")
    return request_id


def request_id_in(body: bytes) -> RequestId:
    """The id of a request that is refused; None where it has none that can be read."""
    try:
        envelope = pydantic_core.from_json(body, allow_inf_nan=False)
        return request_id_of(envelope) if isinstance(envelope, dict) else None
    except (ValueError, InvalidRequest):
        return None


def _refused(body: bytes, error: ProtocolError, *, status: int | None = None) -> Answer:
    http_status = status or _http_status(error)
    return Answer(error_body(request_id_in(body), error), http_status, headers=error_headers(error))


def _http_status(error: ProtocolError) -> int:
    status = WIRE[type(error)].http_status
    return status if status in _HTTP_STATUSES else 200


def error_body(request_id: RequestId, error: ProtocolError) -> bytes:
    content: dict[str, Json] = {"code": WIRE[type(error)].rpc_code, "message": error.detail}
    details = error_details(error)
    if details:
        content["data"] = details
    return pydantic_core.to_json({"jsonrpc": "2.0", "id": request_id, "error": content})
