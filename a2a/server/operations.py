"""The eleven operations by name: JSON parameters in, checked and called, whatever binding they came by."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from a2a.errors import FieldViolation, InvalidParams
from a2a.requests import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    SendMessageRequest,
    SendMessageResponse,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.server.context import CallContext
from a2a.server.handler import RequestHandler
from a2a.server.live import Follower
from a2a.stores.base import StoredTask
from a2a.types import Json, Message, Task, WireModel

MAX_VIOLATIONS = 20
MAX_VIOLATION_CHARS = 300
ModelT = TypeVar("ModelT", bound=BaseModel)

# The request model of each operation.
REQUESTS: dict[str, type[WireModel]] = {
    "SendMessage": SendMessageRequest,
    "SendStreamingMessage": SendMessageRequest,
    "GetTask": GetTaskRequest,
    "ListTasks": ListTasksRequest,
    "CancelTask": CancelTaskRequest,
    "SubscribeToTask": SubscribeToTaskRequest,
    "CreateTaskPushNotificationConfig": TaskPushNotificationConfig,
    "GetTaskPushNotificationConfig": GetTaskPushNotificationConfigRequest,
    "ListTaskPushNotificationConfigs": ListTaskPushNotificationConfigsRequest,
    "DeleteTaskPushNotificationConfig": DeleteTaskPushNotificationConfigRequest,
    "GetExtendedAgentCard": GetExtendedAgentCardRequest,
}


class Operations:
    """A handler's operations by their names in the specification."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._unary: dict[str, Callable[[Any, CallContext], Awaitable[WireModel]]] = {
            "SendMessage": self._send_message,
            "GetTask": handler.get_task,
            "ListTasks": handler.list_tasks,
            "CancelTask": handler.cancel_task,
            "CreateTaskPushNotificationConfig": handler.create_push_config,
            "GetTaskPushNotificationConfig": handler.get_push_config,
            "ListTaskPushNotificationConfigs": handler.list_push_configs,
            "DeleteTaskPushNotificationConfig": handler.delete_push_config,
            "GetExtendedAgentCard": handler.extended_card,
        }
        self._streaming: dict[str, Callable[[Any, CallContext], Awaitable[Follower]]] = {
            "SendStreamingMessage": handler.stream_message,
            "SubscribeToTask": handler.subscribe,
        }

    def knows(self, name: str) -> bool:
        return name in REQUESTS

    def is_streaming(self, name: str) -> bool:
        return name in self._streaming

    async def call(self, name: str, params: Json, call: CallContext) -> WireModel:
        """The answer of an operation that gives one. Raises ProtocolError."""
        return await self._unary[name](validated(REQUESTS[name], params), call)

    async def call_json(self, name: str, params: Json, call: CallContext) -> bytes:
        """As `call`, the answer as it goes out on the JSON bindings."""
        if name == "SendMessage":
            sent = await self._handler.send(validated(SendMessageRequest, params), call)
            if isinstance(sent, StoredTask):
                return b'{"task":' + sent.to_body() + b"}"
            return pydantic_core.to_json(_response(sent), exclude_none=True)
        return pydantic_core.to_json(await self.call(name, params, call), exclude_none=True)

    async def stream(self, name: str, params: Json, call: CallContext) -> Follower:
        """The events of an operation that gives many. Raises ProtocolError before the first one."""
        return await self._streaming[name](validated(REQUESTS[name], params), call)

    async def _send_message(self, request: SendMessageRequest, call: CallContext) -> SendMessageResponse:
        return _response(await self._handler.send_message(request, call))


def _response(answer: Task | Message) -> SendMessageResponse:
    if isinstance(answer, Message):
        return SendMessageResponse(message=answer)
    return SendMessageResponse(task=answer)


def validated(model: type[ModelT], params: Json) -> ModelT:
    """Raises InvalidParams with the fields that are wrong. Absent parameters are empty ones."""
    try:
        return model.model_validate({} if params is None else params)
    except ValidationError as exc:
        violations = violations_of(exc.errors(include_url=False))
        more = f" (and {exc.error_count() - 1} more)" if exc.error_count() > 1 else ""
        first = f"{violations[0].field}: {violations[0].description}{more}"
        raise InvalidParams(first, violations=violations) from exc


def violations_of(errors: list[ErrorDetails]) -> list[FieldViolation]:
    return [
        FieldViolation(
            ".".join(str(step) for step in error["loc"])[:MAX_VIOLATION_CHARS] or "params",
            error["msg"].removeprefix("Value error, ")[:MAX_VIOLATION_CHARS],
        )
        for error in errors[:MAX_VIOLATIONS]
    ]
