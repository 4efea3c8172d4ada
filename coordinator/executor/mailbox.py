"""Agents that fetch their requests, called as any other: a binding of A2A whose wire is the agent's inbox.

A message has its row for good: sent again, as after a crash, it finds that row and its answer, so that
nothing is done twice without the agent doing anything for it. Any other request has a row of its own.
"""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import ClassVar, Literal

from pydantic import ValidationError

from a2a.card_types import AgentInterface
from a2a.client.binding import CANCEL_TASK, Extras, Heard, Operation, RequestT, ResultT
from a2a.client.jsonrpc import result_of
from a2a.client.remote_errors import invalid_answer
from a2a.errors import AgentBusy, AgentUnreachable, UnsupportedOperation
from a2a.requests import SendMessageRequest
from a2a.types import StreamResponse
from coordinator.clock import Now
from coordinator.executor.inboxes import Inboxes
from coordinator.registry.inbox import KEPT_FOR, InboxAway, InboxFull, InboxGone, InboxItem
from coordinator.registry.mailbox import agent_id_of
from models.ids import new_id

FULL_FOR_S = 30.0
# By then everybody here knows that it is away.
AWAY_FOR_S = 1.0
# A wish to cancel is still worth something when nobody waits for the answer any more.
CANCEL_LASTS_S = 3_600.0


class InboxBinding:
    """`lasts_s` is for how long a request makes sense. A call that is canceled leaves a message where it is:
    the process may end, and the next one takes it up. Who gives it up withdraws it."""

    sends_task_first: ClassVar[bool] = False

    def __init__(self, inboxes: Inboxes, interface: AgentInterface, *, lasts_s: float, now: Now) -> None:
        self.url = interface.url
        self._agent_id = agent_id_of(interface)
        self._inboxes = inboxes
        self._lasts_s = lasts_s
        self._now = now

    async def call(
        self, operation: Operation[RequestT, ResultT], request: RequestT, extras: Extras
    ) -> ResultT:
        if isinstance(request, SendMessageRequest):
            request_id = request_id_of(self._agent_id, request.message.message_id)
        else:
            request_id = new_id("request")
        lasts_s = CANCEL_LASTS_S if operation is CANCEL_TASK else self._lasts_s
        envelope = {
            "jsonrpc": "2.0",
            "id": request_id,
            "method": operation.name,
            "params": request.to_json(),
        }
        item = InboxItem(
            request_id,
            self._agent_id,
            {"request": envelope, "headers": dict(extras.headers)},
            self._now() + timedelta(seconds=lasts_s),
            # An answer to its question can go to no other agent and at no other time.
            only_if_there=isinstance(request, SendMessageRequest) and request.message.task_id is None,
        )
        try:
            response = await self._inboxes.ask(item)
        except InboxFull as exc:
            raise AgentBusy(self.url, status=429, retry_after_s=FULL_FOR_S) from exc
        except InboxAway as exc:
            # It was there a moment ago, when it was chosen.
            raise AgentBusy(self.url, status=503, retry_after_s=AWAY_FOR_S) from exc
        except InboxGone as exc:
            raise AgentUnreachable(self.url, "it was removed", may_have_arrived=False) from exc
        finally:
            if operation.is_read:
                await self._inboxes.withdraw(self._agent_id, request_id)
        try:
            return operation.result.model_validate(result_of(response, self.url, request_id))
        except ValidationError as exc:
            raise invalid_answer(exc) from exc

    def stream(
        self,
        operation: Operation[RequestT, StreamResponse],  # noqa: ARG002 the bindings' signature
        request: RequestT,  # noqa: ARG002
        extras: Extras,  # noqa: ARG002
    ) -> AsyncGenerator[Heard]:
        raise UnsupportedOperation("An inbox has no streams.")


class Mailboxes:
    """What the dispatcher does with agents that fetch their requests."""

    def __init__(self, inboxes: Inboxes, now: Now) -> None:
        self._inboxes = inboxes
        self._now = now

    def binding(self, interface: AgentInterface, lasts_s: float) -> InboxBinding:
        return InboxBinding(self._inboxes, interface, lasts_s=lasts_s, now=self._now)

    async def withdraw(
        self, interface: AgentInterface, message_id: str
    ) -> Literal["canceled", "refused", "unknown"] | None:
        """canceled: the agent never got it. None where it was not there."""
        agent_id = agent_id_of(interface)
        state = await self._inboxes.withdraw(agent_id, request_id_of(agent_id, message_id))
        if state is None:
            return None
        if state.response is not None:
            return "refused"
        return "unknown" if state.is_taken else "canceled"

    async def is_safe_to_repeat(self, interface: AgentInterface, message_id: str, sent_at: datetime) -> bool:
        """Whether the message may be put into the inbox again without being done twice: it is there and
        brought no error, or is not and cannot have been forgotten yet."""
        state = await self._inboxes.state(request_id_of(agent_id_of(interface), message_id))
        if state is None:
            return self._now() - sent_at < KEPT_FOR
        return state.response is None or state.has_result


def request_id_of(agent_id: str, message_id: str) -> str:
    """Of a message to an agent, the same each time."""
    digest = blake2b(f"{agent_id}\n{message_id}".encode(), digest_size=16)
    return f"request_{digest.hexdigest()}"
