"""The JSON-RPC binding (specification section 9): envelopes in and out, one table of methods."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import pydantic_core
import structlog
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

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
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageRequest, SendMessageResponse
from a2a.server.handler import RequestHandler
from a2a.types import Json, Message, StreamResponse, Task, WireModel, new_id

log = structlog.get_logger(__name__)

RequestId = str | int | None
MAX_VIOLATIONS = 20
ParamsT = TypeVar("ParamsT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose envelope is valid."""

    id: RequestId
    method: str
    params: Json


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
    """The id of a request that is refused before it is looked at; None where it has none that can be read."""
    try:
        envelope = pydantic_core.from_json(body, allow_inf_nan=False)
        return request_id_of(envelope) if isinstance(envelope, dict) else None
    except (ValueError, InvalidRequest):
        return None


def result_body(request_id: RequestId, result: WireModel) -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":'
        + pydantic_core.to_json(request_id)
        + b',"result":'
        + result.model_dump_json(exclude_none=True).encode()
        + b"}"
    )


def error_body(request_id: RequestId, error: ProtocolError) -> bytes:
    content: dict[str, Json] = {"code": WIRE[type(error)].rpc_code, "message": error.detail}
    details = error_details(error)
    if details:
        content["data"] = details
    return pydantic_core.to_json({"jsonrpc": "2.0", "id": request_id, "error": content})


def validated(model: type[ParamsT], params: Json) -> ParamsT:
    """The parameters as their model. Raises InvalidParams that names each bad field."""
    try:
        return model.model_validate(params)
    except ValidationError as exc:
        raise InvalidParams(violations=violations_of(exc.errors(include_url=False))) from exc


def violations_of(errors: list[ErrorDetails]) -> list[FieldViolation]:
    return [
        FieldViolation(".".join(str(step) for step in error["loc"]) or "params", error["msg"])
        for error in errors[:MAX_VIOLATIONS]
    ]


Unary = Callable[[Json], Awaitable[WireModel]]
Streaming = Callable[[Json], Awaitable[AsyncIterator[StreamResponse]]]


class JsonRpc:
    """Calls the handler's operation for a method name."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._unary: dict[str, Unary] = {
            "SendMessage": self._send_message,
            "GetTask": self._get_task,
            "CancelTask": self._cancel_task,
        }
        self._streaming: dict[str, Streaming] = {"SendStreamingMessage": self._stream_message}

    async def answer(self, body: bytes) -> bytes | AsyncIterator[bytes]:
        """One response body, or the SSE frames of a stream. Never raises for what the caller sent."""
        call = Call(None, "", None)
        try:
            call = parse_call(body)
            if call.method in self._streaming:
                events = await self._streaming[call.method](call.params)
                return _frames(call.id, events)
            operation = self._unary.get(call.method)
            if operation is None:
                raise MethodNotFound
            return result_body(call.id, await operation(call.params))
        except ProtocolError as error:
            return error_body(call.id, error)
        except Exception:
            error_id = new_id()
            log.exception("rpc.failed", method=call.method, error_id=error_id)
            failure = InternalError(f"The agent failed; its log has error {error_id}.")
            return error_body(call.id, failure)

    async def _send_message(self, params: Json) -> SendMessageResponse:
        answer = await self._handler.send_message(validated(SendMessageRequest, params))
        if isinstance(answer, Message):
            return SendMessageResponse.model_construct(message=answer)
        return SendMessageResponse.model_construct(task=answer)

    async def _stream_message(self, params: Json) -> AsyncIterator[StreamResponse]:
        return await self._handler.stream_message(validated(SendMessageRequest, params))

    async def _get_task(self, params: Json) -> Task:
        return await self._handler.get_task(validated(GetTaskRequest, params))

    async def _cancel_task(self, params: Json) -> Task:
        return await self._handler.cancel_task(validated(CancelTaskRequest, params))


async def _frames(request_id: RequestId, events: AsyncIterator[StreamResponse]) -> AsyncIterator[bytes]:
    async for event in events:
        yield b"data: " + result_body(request_id, event) + b"\n\n"
