"""The 0.3 face: JSON-RPC calls of older clients, answered in their own shapes by the same operations."""

from functools import partial
from typing import TYPE_CHECKING

import pydantic_core

from a2a.compat.json_rpc import error_to_v03, request_from_v03, result_to_v03
from a2a.compat.reading import ShapeError
from a2a.compat.shapes import event_to_v03
from a2a.errors import FieldViolation, InvalidParams, ProtocolError
from a2a.server.context import CallContext
from a2a.server.http import Answer, Stream
from a2a.server.live import Event
from a2a.server.operations import Operations
from a2a.types import Json

if TYPE_CHECKING:
    from a2a.server.jsonrpc import Call


async def operate_v03(operations: Operations, rpc: "Call", call: CallContext) -> Answer | Stream:
    """Raises ProtocolError, MethodNotFound for a method that 0.3 has not."""
    try:
        method, params = request_from_v03(rpc.method, rpc.params)
    except ShapeError as exc:
        raise InvalidParams(violations=[FieldViolation(exc.field, exc.description)]) from exc
    headers = {"x-a2a-extensions": ", ".join(call.extensions)} if call.extensions else {}
    if operations.is_streaming(method):
        follower = await operations.stream(method, params, call)
        return Stream(follower, partial(_frame, rpc.id), headers)
    result = await operations.call(method, params, call)
    return Answer(_body(rpc.id, "result", result_to_v03(rpc.method, result.to_json())), headers=headers)


def error_body_v03(request_id: Json, error: ProtocolError) -> bytes:
    return _body(request_id, "error", error_to_v03(error))


def _frame(request_id: Json, event: Event) -> bytes:
    translated = event_to_v03(pydantic_core.from_json(event.json))
    return b"data: " + _body(request_id, "result", translated) + b"\n\n"


def _body(request_id: Json, key: str, value: Json) -> bytes:
    return pydantic_core.to_json({"jsonrpc": "2.0", "id": request_id, key: value})
