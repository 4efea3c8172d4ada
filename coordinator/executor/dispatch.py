"""The executor's calls to agents: a step's message sent, its remote task followed, found again, canceled.
Knows A2A and no tables."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal

import httpx

from a2a.card_types import AgentCard, AgentInterface
from a2a.client import ONE_TRY, A2AClient, Retries, fetch_card
from a2a.errors import (
    A2AError,
    TaskNotCancelable,
    TransportError,
)
from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
)
from a2a.types import Message, Task, TaskState
from coordinator.executor.delivery import PushInbox
from coordinator.executor.faults import AFTER_CANCEL, BEFORE_CANCEL, Fault
from coordinator.executor.mailbox import Mailboxes
from coordinator.executor.remote import CALL_TIMEOUT_S, CANCEL_TIMEOUT_S, Call, Listener, RemoteAttempt
from coordinator.executor.state import Outcome
from coordinator.registry.mailbox import is_mailbox

FIND_TIMEOUT_S = 15.0
MAX_PAGES = 20
MAX_CLIENTS = 1_000
# A send is tried again by the executor, which may choose another agent; a cut stream is worth a moment here.
RETRIES = Retries(attempts=1, resume_within_s=2.0)

CancelAnswer = Literal["canceled", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Found:
    """`task` is the one that the message made; None where the agent does not say. `is_missing`: it lists what
    it has, and the message made none; `remembers`: what it lists is older than the message, so it has lost
    nothing since; `is_unreachable`: it could not be asked."""

    task: Task | None = None
    is_missing: bool = False
    remembers: bool = False
    is_unreachable: bool = False


class Dispatcher:
    """Calls agents through one HTTP client, which has to be a guarded one, or through their inboxes."""

    def __init__(
        self, http: httpx.AsyncClient, mailboxes: Mailboxes, pushes: PushInbox, fault: Fault
    ) -> None:
        self._http = http
        self._mailboxes = mailboxes
        self._pushes = pushes
        self._fault = fault
        self._client = lru_cache(MAX_CLIENTS)(self._new_client)

    async def send(self, call: Call, message: Message, listener: Listener) -> Outcome:
        """Send the message and follow what it starts until it ends or asks."""
        attempt = self._attempt(call, listener)
        return await attempt.bounded(attempt.send(message))

    async def follow(self, call: Call, remote_task_id: str, listener: Listener) -> Outcome:
        """Take up a remote task that an earlier process or attempt had started."""
        attempt = self._attempt(call, listener)
        return await attempt.bounded(attempt.follow(remote_task_id))

    async def cancel(self, interface: AgentInterface, remote_task_id: str) -> CancelAnswer:
        """Ask the agent to cancel; what it said."""
        client = self._client_of(interface)
        self._fault(BEFORE_CANCEL)
        try:
            task = await client.cancel_task(CancelTaskRequest(id=remote_task_id), timeout_s=CANCEL_TIMEOUT_S)
        except TaskNotCancelable:
            # So it says too of what was canceled already, by a call whose answer nobody heard.
            known = await self._task(interface, remote_task_id)
            state = known.status.state if known is not None else None
        except A2AError:
            return "unknown"
        else:
            state = task.status.state
            self._fault(AFTER_CANCEL)
        return "canceled" if state is TaskState.CANCELED else "refused"

    async def withdraw(self, interface: AgentInterface, message_id: str) -> CancelAnswer | None:
        """Take a message back out of an inbox; what came of that. None where it was not there, or is not in
        an inbox but sent."""
        if not is_mailbox(interface):
            return None
        return await self._mailboxes.withdraw(interface, message_id)

    async def asks(
        self, interface: AgentInterface, remote_task_id: str, *, unless_heard: str | None = None
    ) -> bool:
        """Whether the remote task waits for an answer, and has not heard the message `unless_heard`; true
        also where nothing can be learned of it."""
        if unless_heard is not None and is_mailbox(interface):
            # Its inbox knows, and gives it no message twice.
            return True
        task = await self._task(interface, remote_task_id, history_length=0 if unless_heard is None else 100)
        if task is None:
            return True
        has_heard = any(said.message_id == unless_heard for said in task.history or ())
        return task.status.state.is_interrupted and not has_heard

    async def _task(
        self, interface: AgentInterface, remote_task_id: str, *, history_length: int = 0
    ) -> Task | None:
        """None where nothing can be learned of it."""
        request = GetTaskRequest(id=remote_task_id, history_length=history_length)
        try:
            return await self._client_of(interface).get_task(request, timeout_s=CANCEL_TIMEOUT_S)
        except A2AError:
            return None

    async def card(self, url: str, *, timeout_s: float) -> AgentCard:
        """Raises A2AError."""
        return await fetch_card(self._http, url, timeout_s=timeout_s, retries=ONE_TRY)

    async def find(
        self, interface: AgentInterface, message_id: str, context_id: str, sent_at: datetime
    ) -> Found:
        """The task that a message made, which may have arrived or not: by the tasks of its context, or by the
        agent's inbox."""
        if is_mailbox(interface):
            is_safe = await self._mailboxes.is_safe_to_repeat(interface, message_id, sent_at)
            return Found(is_missing=is_safe, remembers=is_safe)
        client = self._client_of(interface)
        request = ListTasksRequest(context_id=context_id, history_length=100, page_size=100)
        remembers, is_open = False, True
        try:
            async with asyncio.timeout(FIND_TIMEOUT_S):
                for _ in range(MAX_PAGES):
                    page = await client.list_tasks(request, timeout_s=CALL_TIMEOUT_S)
                    for task in page.tasks:
                        if any(said.message_id == message_id for said in task.history or ()):
                            return Found(task)
                        at = task.status.timestamp
                        remembers = remembers or (at is not None and at < sent_at)
                        # One that hides its history might be it.
                        is_open = is_open and bool(task.history)
                    if not page.next_page_token:
                        return Found(is_missing=is_open, remembers=remembers)
                    request = request.model_copy(update={"page_token": page.next_page_token})
        except (TransportError, TimeoutError):
            return Found(is_unreachable=True)
        except A2AError:
            return Found()
        return Found()

    def _client_of(self, interface: AgentInterface, *, lasts_s: float = CANCEL_TIMEOUT_S) -> A2AClient:
        """`lasts_s` is for how long a request makes sense in an inbox."""
        if is_mailbox(interface):
            return A2AClient(
                self._http, interface, binding=self._mailboxes.binding(interface, lasts_s), retries=RETRIES
            )
        return self._client(
            interface.url, interface.protocol_binding, interface.protocol_version, interface.tenant
        )

    def _new_client(self, url: str, binding: str, version: str, tenant: str | None) -> A2AClient:
        """They hold no connections of their own and are kept only because a step makes several calls."""
        interface = AgentInterface(url=url, protocol_binding=binding, protocol_version=version, tenant=tenant)
        return A2AClient(self._http, interface, retries=RETRIES)

    def _attempt(self, call: Call, listener: Listener) -> RemoteAttempt:
        client = self._client_of(call.interface, lasts_s=call.timeout_s)
        return RemoteAttempt(client, call, listener, self._pushes, self._fault)
