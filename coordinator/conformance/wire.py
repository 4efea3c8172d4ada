"""The calls of a run over one interface, each tried once; what they mean is decided elsewhere."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Final, TypeVar

import httpx

from a2a.card_types import AgentInterface
from a2a.client import ONE_TRY, A2AClient
from a2a.client.binding import SEND_STREAMING_MESSAGE, Extras, Heard
from a2a.client.choice import spoken_version
from a2a.client.client import HTTP_BINDINGS
from a2a.errors import (
    A2AError,
    AgentTimeout,
    AuthenticationFailed,
    InvalidAgentResponse,
    ProtocolError,
    TransportError,
)
from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageConfiguration,
    SendMessageRequest,
    TaskPushNotificationConfig,
)
from a2a.types import Message, Role, Task, new_id
from coordinator.conformance.receiver import Expected

MAX_SAID_CHARS: Final = 300
T = TypeVar("T")


class Wire:
    """`latency_ms` is that of the quickest answer to a call without work behind it."""

    def __init__(self, http: httpx.AsyncClient, interface: AgentInterface) -> None:
        made = HTTP_BINDINGS[interface.protocol_binding, spoken_version(interface)]
        self.interface = interface
        self.latency_ms: float | None = None
        self._binding = made(http, interface)
        self._client = A2AClient(http, interface, binding=self._binding, retries=ONE_TRY)

    async def send(self, message: Message, *, timeout_s: float) -> Task | Message:
        """Waits for the end of the work."""
        return await self._client.send_message(_send_request(message), timeout_s=timeout_s)

    async def start(
        self, message: Message, *, timeout_s: float, notified: Expected | None = None
    ) -> Task | Message:
        """Does not wait."""
        push = None
        if notified is not None:
            push = TaskPushNotificationConfig(url=notified.url, token=notified.token)
        configuration = SendMessageConfiguration(
            history_length=0, return_immediately=True, task_push_notification_config=push
        )
        request = SendMessageRequest(message=message, configuration=configuration)
        return await self._client.send_message(request, timeout_s=timeout_s)

    def stream(self, message: Message) -> AsyncGenerator[Heard]:
        """The binding's own, which ends where the agent ends it: the client's would go on by other calls and
        so hide a stream that breaks off."""
        request = _send_request(message)
        if self.interface.tenant:
            request = request.model_copy(update={"tenant": self.interface.tenant})
        return self._binding.stream(SEND_STREAMING_MESSAGE, request, Extras())

    async def get(self, task_id: str, *, timeout_s: float) -> Task:
        request = GetTaskRequest(id=task_id, history_length=0)
        task = await self._timed(self._client.get_task(request, timeout_s=timeout_s))
        if task.id != task_id:
            raise InvalidAgentResponse("The agent's answer is about another task.")
        return task

    async def list(self, context_id: str | None, *, timeout_s: float) -> ListTasksResponse:
        request = ListTasksRequest(context_id=context_id)
        return await self._client.list_tasks(request, timeout_s=timeout_s)

    async def cancel(self, task_id: str, *, timeout_s: float) -> Task:
        return await self._client.cancel_task(CancelTaskRequest(id=task_id), timeout_s=timeout_s)

    async def send_nonsense(self, *, timeout_s: float) -> Task | Message:
        """A message without parts for a task that does not exist: twice a reason to refuse it (3.4.2, 4.1.4),
        and nothing in it that could be done."""
        message = Message.model_construct(message_id=new_id(), role=Role.USER, parts=[], task_id=new_id())
        request = SendMessageRequest.model_construct(message=message)
        return await self._timed(self._client.send_message(request, timeout_s=timeout_s))

    async def _timed(self, call: Awaitable[T]) -> T:
        now = asyncio.get_running_loop().time
        began = now()
        try:
            answer = await call
        except ProtocolError:
            self._note((now() - began) * 1_000)
            raise
        self._note((now() - began) * 1_000)
        return answer

    def _note(self, latency_ms: float) -> None:
        known = self.latency_ms
        self.latency_ms = round(latency_ms if known is None else min(known, latency_ms), 1)


def sentence(error: A2AError) -> str:
    """What an error is, without where it happened."""
    match error:
        case AgentTimeout():
            return f"No answer within {error.after_s:.1f} s."
        case AuthenticationFailed():
            said = "it asks for credentials (HTTP 401)"
        case TransportError():
            said = error.detail
        case ProtocolError():
            said = f"{type(error).__name__} ({error.detail[:MAX_SAID_CHARS].rstrip('.')})"
        case _:
            said = str(error)
    said = said[:MAX_SAID_CHARS].strip().rstrip(".") or type(error).__name__
    return f"{said[0].upper()}{said[1:]}."


def _send_request(message: Message) -> SendMessageRequest:
    # Said explicitly: what an agent does without a configuration differs.
    configuration = SendMessageConfiguration(history_length=0)
    return SendMessageRequest(message=message, configuration=configuration)
