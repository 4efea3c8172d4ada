"""The JSON-RPC binding (section 9), of A2A 1.0 and of 0.3."""

from collections.abc import Sequence
from itertools import count
from typing import ClassVar

import httpx
import pydantic_core

from a2a.card_types import AgentInterface
from a2a.client.binding import Operation, RequestT, ResultT
from a2a.client.http_binding import Encoded, HttpBinding, json_or_none, parsed_json
from a2a.client.remote_errors import rpc_error
from a2a.compat import json_rpc as v03
from a2a.compat.shapes import event_from_v03, is_final
from a2a.errors import A2AError, InvalidAgentResponse
from a2a.requests import Empty
from a2a.types import PROTOCOL_VERSION, Json, StreamResponse


def result_of(envelope: Json, url: str, request_id: int | str, *, may_be_empty: bool = False) -> Json:
    """The `result` of a response to this very request; None where it has none and need not. Raises the error
    that it has, or InvalidAgentResponse."""
    if not isinstance(envelope, dict):
        raise InvalidAgentResponse("The agent's answer is no JSON-RPC response.")
    error = rpc_error(url, envelope.get("error"))
    if error is not None:
        raise error
    if "result" not in envelope and not may_be_empty:
        raise InvalidAgentResponse("The agent's answer has neither result nor error.")
    if envelope.get("id") != request_id:
        raise InvalidAgentResponse("The agent's answer has the id of another request.")
    return envelope.get("result")


class JsonRpcBinding(HttpBinding):
    accept = "application/json, text/event-stream"
    version_header: ClassVar[str | None] = PROTOCOL_VERSION
    extensions_header = "A2A-Extensions"

    def __init__(
        self, http: httpx.AsyncClient, interface: AgentInterface, *, extensions: Sequence[str] = ()
    ) -> None:
        super().__init__(http, interface, extensions=extensions)
        self._ids = count(1)

    def _encoded(self, operation: Operation[RequestT, ResultT], request: RequestT) -> Encoded:
        params = request.model_dump_json(exclude_none=True).encode()
        return self._call(operation.name, params)

    def _call(self, method: str, params: bytes) -> Encoded:
        request_id = next(self._ids)
        body = b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}' % (request_id, method.encode(), params)
        return Encoded("POST", self.url, body, request_id)

    def _result(self, operation: Operation[RequestT, ResultT], sent: Encoded, body: bytes) -> Json:
        result = self._answered(sent, body)
        # The official SDK's answer to Delete is null.
        return {} if result is None and operation.result is Empty else result

    def _event(self, sent: Encoded, data: bytes) -> tuple[Json, bool]:
        return self._answered(sent, data), False

    def _error(
        self,
        operation: Operation[RequestT, ResultT],  # noqa: ARG002 the bindings' signature
        sent: Encoded,  # noqa: ARG002
        status: int,  # noqa: ARG002
        body: bytes,
    ) -> A2AError | None:
        envelope = json_or_none(body)
        return rpc_error(self.url, envelope.get("error")) if isinstance(envelope, dict) else None

    def _answered(self, sent: Encoded, body: bytes, *, may_be_empty: bool = False) -> Json:
        return result_of(parsed_json(body), self.url, sent.id, may_be_empty=may_be_empty)


class JsonRpcV03Binding(JsonRpcBinding):
    """No A2A-Version means 0.3."""

    sends_task_first = False
    version_header = None
    extensions_header = "X-A2A-Extensions"

    def _encoded(self, operation: Operation[RequestT, ResultT], request: RequestT) -> Encoded:
        method, params = v03.request_to_v03(operation.name, request.to_json())
        return self._call(method, pydantic_core.to_json(params or {}))

    def _result(self, operation: Operation[RequestT, ResultT], sent: Encoded, body: bytes) -> Json:
        # Servers of that time leave a result of null out.
        result = self._answered(sent, body, may_be_empty=operation.result is Empty)
        # A stream was asked for and one answer came: whatever it is, it is no event.
        return (
            v03.result_from_v03(operation.name, result) if operation.result is not StreamResponse else result
        )

    def _event(self, sent: Encoded, data: bytes) -> tuple[Json, bool]:
        result = self._answered(sent, data)
        return event_from_v03(result), is_final(result)
