"""Requests out of a mailbox, handed to an agent over whichever binding and version its card offers."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar

import httpx
from pydantic import ValidationError

from a2a.card_types import AgentCard
from a2a.client import A2AClient
from a2a.errors import (
    WIRE,
    A2AError,
    InternalError,
    InvalidParams,
    MethodNotFound,
    ProtocolError,
    ResourceExhausted,
    TransportError,
    UnknownRemoteError,
    error_details,
)
from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageRequest,
    TenantRequest,
)
from a2a.types import Json, Task

CANCEL_TIMEOUT_S = 10.0
RequestT = TypeVar("RequestT", bound=TenantRequest)


class MailboxCalls:
    """Raises CardRefused for a card without an interface that is spoken here."""

    def __init__(self, http: httpx.AsyncClient, card: AgentCard) -> None:
        self._client = A2AClient.for_card(http, card)

    async def answer(self, request: dict[str, Json], headers: Mapping[str, str], *, timeout_s: float) -> Json:
        """The JSON-RPC response, an error included."""
        response: dict[str, Json] = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            return response | {"result": await self._result(request, headers, timeout_s)}
        except A2AError as exc:
            return response | {"error": _error(exc)}

    async def cancel(self, request: dict[str, Json]) -> None:
        """End the task that a message has begun, as far as the agent lists its tasks. Best effort."""
        if request.get("method") != "SendMessage":
            return
        with suppress(A2AError):
            message = _params(SendMessageRequest, request).message
            query = ListTasksRequest(context_id=message.context_id, history_length=100)
            page = await self._client.list_tasks(query, timeout_s=CANCEL_TIMEOUT_S)
            for task in page.tasks:
                if any(said.message_id == message.message_id for said in task.history or ()):
                    wish = CancelTaskRequest(id=task.id)
                    await self._client.cancel_task(wish, timeout_s=CANCEL_TIMEOUT_S)

    async def _result(self, request: dict[str, Json], headers: Mapping[str, str], timeout_s: float) -> Json:
        client = self._client
        match request.get("method"):
            case "SendMessage":
                sent = _params(SendMessageRequest, request)
                answer = await client.send_message(sent, timeout_s=timeout_s, headers=headers)
                return {"task" if isinstance(answer, Task) else "message": answer.to_json()}
            case "GetTask":
                wanted = _params(GetTaskRequest, request)
                return (await client.get_task(wanted, timeout_s=timeout_s, headers=headers)).to_json()
            case "CancelTask":
                over = _params(CancelTaskRequest, request)
                return (await client.cancel_task(over, timeout_s=timeout_s, headers=headers)).to_json()
            case _:
                raise MethodNotFound


def _params(model: type[RequestT], request: dict[str, Json]) -> RequestT:
    try:
        return model.model_validate(request.get("params"))
    except ValidationError as exc:
        raise InvalidParams from exc


def _error(exc: A2AError) -> dict[str, Json]:
    """An agent that cannot be reached is busy as far as the coordinator is concerned, where nothing can have
    arrived there."""
    if isinstance(exc, UnknownRemoteError):
        return {"code": exc.code, "message": exc.detail}
    if isinstance(exc, TransportError):
        detail = f"Behind its mailbox the agent failed: {exc.detail}."
        exc = InternalError(detail) if exc.may_have_arrived else ResourceExhausted(detail)
    said = exc if isinstance(exc, ProtocolError) else InternalError()
    return {"code": WIRE[type(said)].rpc_code, "message": said.detail, "data": error_details(said)}
