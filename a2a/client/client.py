"""The client of one agent: the eleven operations over whichever binding its card offers.

Each has a deadline over all it does, retries included. Foreign errors end here: what the network does is a
TransportError, what the agent says a ProtocolError, and an answer that follows neither InvalidAgentResponse.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

import httpx

from a2a.card_types import AgentCard, AgentInterface
from a2a.client.auth import Authenticator, Credential, authenticator_for
from a2a.client.binding import (
    CANCEL_TASK,
    CREATE_PUSH_CONFIG,
    DELETE_PUSH_CONFIG,
    GET_EXTENDED_CARD,
    GET_PUSH_CONFIG,
    GET_TASK,
    LIST_PUSH_CONFIGS,
    LIST_TASKS,
    SEND_MESSAGE,
    SEND_STREAMING_MESSAGE,
    SUBSCRIBE_TO_TASK,
    Binding,
    Extras,
    Heard,
    Operation,
    RequestT,
    ResultT,
)
from a2a.client.choice import BINDINGS, VERSIONS, choose_interface, spoken_version
from a2a.client.http_binding import HttpBinding
from a2a.client.jsonrpc import JsonRpcBinding, JsonRpcV03Binding
from a2a.client.rest import RestBinding, RestV03Binding
from a2a.client.resume import ResumedStream, Seen
from a2a.client.retries import DEFAULT_RETRIES, Retries, Tries
from a2a.client.transport import Deadline
from a2a.errors import A2AError, AuthenticationFailed, CardRefused
from a2a.requests import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.types import PROTOCOL_VERSION, Message, StreamResponse, Task

Headers = Mapping[str, str]

# By protocolBinding and version.
HTTP_BINDINGS: dict[tuple[str, str], type[HttpBinding]] = {
    ("JSONRPC", "1.0"): JsonRpcBinding,
    ("HTTP+JSON", "1.0"): RestBinding,
    ("JSONRPC", "0.3"): JsonRpcV03Binding,
    ("HTTP+JSON", "0.3"): RestV03Binding,
}
_NO_EXTRAS = Extras()


class A2AClient:
    """`interface` is one of the card's, or the URL of a JSON-RPC 1.0 interface.

    `binding` is what speaks to the interface where that is not HTTP; it declares its own extensions.
    `headers` of an operation are its own; `trace` gives those of each request, such as traceparent;
    `extensions` are declared with each. All go through `http`, whose connections others may use as well.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        interface: AgentInterface | str,
        *,
        binding: Binding | None = None,
        authenticator: Authenticator | None = None,
        extensions: Sequence[str] = (),
        trace: Callable[[], Headers] | None = None,
        retries: Retries = DEFAULT_RETRIES,
    ) -> None:
        if isinstance(interface, str):
            interface = AgentInterface.model_construct(
                url=interface, protocol_binding="JSONRPC", protocol_version=PROTOCOL_VERSION, tenant=None
            )
        self.interface = interface
        self._binding = binding or _binding(http, interface, extensions)
        self._authenticator = authenticator
        self._trace = trace
        self._retries = retries

    @classmethod
    def for_card(
        cls,
        http: httpx.AsyncClient,
        card: AgentCard,
        *,
        bindings: Sequence[str] = BINDINGS,
        versions: Sequence[str] = VERSIONS,
        credentials: Mapping[str, Credential] | None = None,
        extensions: Sequence[str] = (),
        trace: Callable[[], Headers] | None = None,
        retries: Retries = DEFAULT_RETRIES,
    ) -> "A2AClient":
        """Of the interface that choose_interface finds. `credentials` are by the card's scheme names.

        Raises CardRefused, or AuthenticationFailed where the credentials fulfil no requirement of the card.
        """
        interface = choose_interface(card, bindings=bindings, versions=versions)
        authenticator = authenticator_for(http, card, interface, credentials or {})
        return cls(
            http, interface, authenticator=authenticator, extensions=extensions, trace=trace, retries=retries
        )

    async def send_message(
        self, request: SendMessageRequest, *, timeout_s: float, headers: Headers | None = None
    ) -> Task | Message:
        response = await self._call(SEND_MESSAGE, request, timeout_s, headers)
        answer = response.task or response.message
        assert answer is not None
        return answer

    async def stream_message(
        self, request: SendMessageRequest, *, timeout_s: float, headers: Headers | None = None
    ) -> AsyncGenerator[StreamResponse]:
        """Each event as it comes, to the end of the task or its question to us; `timeout_s` bounds the whole.

        A stream that is cut is taken up again where it was. One that is cut before it said which task it is
        about raises AgentUnreachable: the message may have arrived or not, so the caller decides what to do.
        """
        deadline = Deadline(self.interface.url, timeout_s)
        opened = self._stream(SEND_STREAMING_MESSAGE, request, deadline, headers)
        resumed = self._resumed(Seen(), deadline, headers, is_subscription=False)
        async with aclosing(_bounded(resumed.follow(opened, self.interface.url), deadline)) as events:
            async for event in events:
                yield event

    async def subscribe(
        self, request: SubscribeToTaskRequest, *, timeout_s: float, headers: Headers | None = None
    ) -> AsyncGenerator[StreamResponse]:
        """The task as it is now, then each event until it ends, whether the connection holds or not.

        UnsupportedOperation where it has ended already; an agent of 0.3 gives its last state instead.
        """
        deadline = Deadline(self.interface.url, timeout_s)
        resumed = self._resumed(Seen(request.id), deadline, headers, is_subscription=True)
        async with aclosing(_bounded(resumed.take_up(), deadline)) as events:
            async for event in events:
                yield event

    async def get_task(
        self, request: GetTaskRequest, *, timeout_s: float, headers: Headers | None = None
    ) -> Task:
        return await self._call(GET_TASK, request, timeout_s, headers)

    async def list_tasks(
        self, request: ListTasksRequest, *, timeout_s: float, headers: Headers | None = None
    ) -> ListTasksResponse:
        """Agents of 0.3 have none: UnsupportedOperation."""
        return await self._call(LIST_TASKS, request, timeout_s, headers)

    async def cancel_task(
        self, request: CancelTaskRequest, *, timeout_s: float, headers: Headers | None = None
    ) -> Task:
        return await self._call(CANCEL_TASK, request, timeout_s, headers)

    async def create_push_config(
        self, request: TaskPushNotificationConfig, *, timeout_s: float, headers: Headers | None = None
    ) -> TaskPushNotificationConfig:
        return await self._call(CREATE_PUSH_CONFIG, request, timeout_s, headers)

    async def get_push_config(
        self,
        request: GetTaskPushNotificationConfigRequest,
        *,
        timeout_s: float,
        headers: Headers | None = None,
    ) -> TaskPushNotificationConfig:
        return await self._call(GET_PUSH_CONFIG, request, timeout_s, headers)

    async def list_push_configs(
        self,
        request: ListTaskPushNotificationConfigsRequest,
        *,
        timeout_s: float,
        headers: Headers | None = None,
    ) -> ListTaskPushNotificationConfigsResponse:
        return await self._call(LIST_PUSH_CONFIGS, request, timeout_s, headers)

    async def delete_push_config(
        self,
        request: DeleteTaskPushNotificationConfigRequest,
        *,
        timeout_s: float,
        headers: Headers | None = None,
    ) -> None:
        await self._call(DELETE_PUSH_CONFIG, request, timeout_s, headers)

    async def get_extended_card(self, *, timeout_s: float, headers: Headers | None = None) -> AgentCard:
        """The card for those the agent knows (3.1.11)."""
        return await self._call(GET_EXTENDED_CARD, GetExtendedAgentCardRequest(), timeout_s, headers)

    async def _call(
        self,
        operation: Operation[RequestT, ResultT],
        request: RequestT,
        timeout_s: float,
        headers: Headers | None,
    ) -> ResultT:
        deadline = Deadline(self.interface.url, timeout_s)
        return await deadline.bound(self._tried(operation, request, deadline, headers))

    async def _tried(
        self,
        operation: Operation[RequestT, ResultT],
        request: RequestT,
        deadline: Deadline,
        headers: Headers | None,
    ) -> ResultT:
        request = self._with_tenant(request)
        tries = Tries(self._retries, deadline, is_read=operation.is_read)
        extras = _NO_EXTRAS
        while True:
            try:
                extras = await self._extras(headers)
                return await self._binding.call(operation, request, extras)
            except A2AError as error:
                if not await self._renewed(error, extras, tries):
                    await tries.pause_after(error)

    async def _stream(
        self,
        operation: Operation[RequestT, StreamResponse],
        request: RequestT,
        deadline: Deadline,
        headers: Headers | None,
    ) -> AsyncGenerator[Heard]:
        """Tried again as a call is, until something was heard."""
        request = self._with_tenant(request)
        tries = Tries(self._retries, deadline, is_read=operation.is_read)
        extras = _NO_EXTRAS
        has_begun = False
        while True:
            try:
                extras = await self._extras(headers)
                async with aclosing(self._binding.stream(operation, request, extras)) as events:
                    async for heard in events:
                        has_begun = True
                        yield heard
            except A2AError as error:
                if has_begun:
                    raise
                if not await self._renewed(error, extras, tries):
                    await tries.pause_after(error)
            else:
                return

    def _resumed(
        self, seen: Seen, deadline: Deadline, headers: Headers | None, *, is_subscription: bool
    ) -> ResumedStream:
        def subscribe(task_id: str) -> AsyncGenerator[Heard]:
            return self._stream(SUBSCRIBE_TO_TASK, SubscribeToTaskRequest(id=task_id), deadline, headers)

        async def get_task(task_id: str) -> Task:
            return await self._tried(GET_TASK, GetTaskRequest(id=task_id), deadline, headers)

        return ResumedStream(
            subscribe,
            get_task,
            seen=seen,
            retries=self._retries,
            sends_task_first=self._binding.sends_task_first,
            is_subscription=is_subscription,
        )

    def _with_tenant(self, request: RequestT) -> RequestT:
        """Exactly the interface's (8.3.2)."""
        tenant = self.interface.tenant
        return request if not tenant else request.model_copy(update={"tenant": tenant})

    async def _extras(self, headers: Headers | None) -> Extras:
        """What is nearest to the call has the last word."""
        if headers is None and self._trace is None and self._authenticator is None:
            return _NO_EXTRAS
        found = await self._authenticator.extras() if self._authenticator is not None else _NO_EXTRAS
        traced = self._trace() if self._trace is not None else {}
        return Extras({**traced, **found.headers, **(headers or {})}, found.query)

    async def _renewed(self, error: A2AError, refused: Extras, tries: Tries) -> bool:
        """Whether there are other credentials, after the agent (no token endpoint) refused these; once."""
        is_ours = isinstance(error, AuthenticationFailed) and error.url == self.interface.url
        if not is_ours or self._authenticator is None or tries.has_renewed:
            return False
        tries.has_renewed = True
        return await self._authenticator.renew(refused)


def _binding(http: httpx.AsyncClient, interface: AgentInterface, extensions: Sequence[str]) -> Binding:
    made = HTTP_BINDINGS.get((interface.protocol_binding, spoken_version(interface)))
    if made is None:
        offered = f"{interface.protocol_binding} {interface.protocol_version}"
        raise CardRefused(interface.url, f"{offered} is not spoken here")
    return made(http, interface, extensions=extensions)


async def _bounded(
    events: AsyncGenerator[StreamResponse], deadline: Deadline
) -> AsyncGenerator[StreamResponse]:
    """Only the wait for the next event is timed: between events the consumer runs."""
    async with aclosing(events):
        while True:
            event = await deadline.bound(anext(events, None))
            if event is None:
                return
            yield event
