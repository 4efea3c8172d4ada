"""One attempt of a step on the wire: send the message, follow the remote task to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from a2a.card_types import AgentInterface
from a2a.client import A2AClient
from a2a.errors import (
    A2AError,
    AgentTimeout,
    InternalError,
    InvalidAgentResponse,
    InvalidParams,
    MethodNotFound,
    PushNotificationNotSupported,
    TransportError,
    UnsupportedOperation,
)
from a2a.fold import TaskFold
from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.types import Artifact, Message, StreamResponse, Task, TaskState, TaskStatus
from coordinator.executor.delivery import Delivery, Expected, PushInbox
from coordinator.executor.faults import AFTER_SEND, BEFORE_SEND, Fault
from coordinator.executor.replies import MAX_WORDS_CHARS, failed_call, outcome_of
from coordinator.executor.state import AttemptFailed, Done, Outcome, Problem

FIRST_POLL_S = 0.2
LAST_POLL_S = 5.0
# Between two looks at a task whose agent notifies us: a notification may get lost.
PUSHED_POLL_S = 30.0
UNREACHABLE_S = 15.0
CALL_TIMEOUT_S = 30.0
CANCEL_TIMEOUT_S = 10.0
# Answers to a wish to be told of a task that say nothing of the task itself.
CANNOT_FOLLOW = (
    UnsupportedOperation,
    MethodNotFound,
    PushNotificationNotSupported,
    TransportError,
    InternalError,
    InvalidAgentResponse,
)
DEADLINE_KEY = "urn:parley:deadline:v1"


@dataclass(frozen=True, slots=True)
class Listener:
    """What an attempt tells while it runs: the remote task's ids at first sight, and the agent's progress."""

    seen: Callable[[Task], None]
    progress: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Call:
    """To whom and for how long. `deadline` travels along, `traceparent` too. `look_timeout_s` is for one
    look at the remote task."""

    interface: AgentInterface
    delivery: Delivery
    timeout_s: float
    deadline: str
    traceparent: str
    look_timeout_s: float = CALL_TIMEOUT_S


class RemoteAttempt:
    """One attempt on the wire: what is sent, and the remote task that it starts or takes up."""

    def __init__(
        self, client: A2AClient, call: Call, listener: Listener, pushes: PushInbox, fault: Fault
    ) -> None:
        self._client = client
        self._call = call
        self._listener = listener
        self._pushes = pushes
        self._fault = fault
        self._headers = {"traceparent": call.traceparent}
        self._task_id: str | None = None
        self._is_seen = False

    async def bounded(self, work: Awaitable[Outcome]) -> Outcome:
        """The outcome of `work`, with every failure of the call turned into one. Past the time, the remote
        task is canceled: nobody will read its result."""
        timeout_s = self._call.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except (TimeoutError, AgentTimeout):
            if self._task_id is not None:
                await self._cancel_quietly(self._task_id)
            sentence = f"The agent did not finish within {timeout_s:.0f} s."
            problem = Problem("STEP_TIMEOUT", sentence, may_have_run=True)
            return AttemptFailed(problem, retryable=True, blames_agent=True)
        except A2AError as exc:
            failed = failed_call(exc)
            if self._task_id is None:
                return failed
            # Whatever kept us from the task, the agent had begun with it.
            return replace(failed, problem=replace(failed.problem, may_have_run=True))

    async def send(self, message: Message) -> Outcome:
        if self._call.delivery is not Delivery.PUSH:
            return await self._send(message, None)
        with self._pushes.expecting() as expected:
            try:
                return await self._send(message, expected)
            except (PushNotificationNotSupported, InvalidParams):
                # It will not call us, at least not there: then we ask.
                if self._is_seen:
                    raise
        return await self._send(message, None)

    async def _send(self, message: Message, expected: Expected | None) -> Outcome:
        delivery = self._call.delivery
        self._fault(BEFORE_SEND)
        request = SendMessageRequest(
            message=message,
            configuration=SendMessageConfiguration(
                history_length=0,
                return_immediately=delivery in (Delivery.POLL, Delivery.PUSH),
                task_push_notification_config=_push_config(expected),
            ),
            metadata={DEADLINE_KEY: self._call.deadline},
        )
        if delivery is Delivery.STREAM:
            answer = await self._stream(request)
        else:
            answer = await self._client.send_message(
                request, timeout_s=self._call.timeout_s, headers=self._headers
            )
            self._fault(AFTER_SEND)
        if isinstance(answer, Message):
            return Done((Artifact.of(*answer.parts, name="answer"),))
        self._note(answer)
        return outcome_of(answer) or await self._poll(answer.id, expected)

    async def follow(self, remote_task_id: str) -> Outcome:
        self._task_id = remote_task_id
        if self._call.delivery is not Delivery.PUSH:
            return await self._follow(remote_task_id)
        with self._pushes.expecting() as expected:
            config = _push_config(expected, remote_task_id)
            assert config is not None
            try:
                await self._client.create_push_config(config, timeout_s=CALL_TIMEOUT_S, headers=self._headers)
            except CANNOT_FOLLOW:
                # It has ended, or will not tell us: either way a look says more.
                return await self._poll(remote_task_id, None)
            return await self._poll(remote_task_id, expected)

    async def _follow(self, remote_task_id: str) -> Outcome:
        """By its stream where there is one. The first look says more than a stream that cannot be joined."""
        if self._call.delivery is Delivery.STREAM:
            try:
                task = await self._subscribed(remote_task_id)
            except CANNOT_FOLLOW:
                pass
            else:
                outcome = outcome_of(task)
                if outcome is not None:
                    return outcome
        return await self._poll(remote_task_id, None)

    async def _subscribed(self, remote_task_id: str) -> Task:
        request = SubscribeToTaskRequest(id=remote_task_id)
        events = self._client.subscribe(request, timeout_s=self._call.timeout_s, headers=self._headers)
        fold: TaskFold | None = None
        async with aclosing(events):
            async for event in events:
                fold = await self._take(fold, event)
                if fold.status.state.is_settled:
                    break
        if fold is None:
            raise InternalError("The agent's stream ended before it said anything.")
        return fold.task

    async def _poll(self, remote_task_id: str, expected: Expected | None) -> Outcome:
        """Ask for the task at growing intervals until it has ended or asks something. An agent that does not
        answer is asked again for a while: the work may well go on behind a short outage."""
        self._task_id = remote_task_id
        now = asyncio.get_running_loop().time
        pause_s, last_answer = FIRST_POLL_S, now()
        longest_s = LAST_POLL_S if expected is None else PUSHED_POLL_S
        request = GetTaskRequest(id=remote_task_id, history_length=0)
        while True:
            try:
                task = await self._client.get_task(
                    request, timeout_s=self._call.look_timeout_s, headers=self._headers
                )
            except (TransportError, InternalError, InvalidAgentResponse):
                if now() - last_answer >= UNREACHABLE_S:
                    raise
            else:
                last_answer = now()
                self._note(task)
                outcome = outcome_of(task)
                if outcome is not None:
                    return outcome
            await _pause(pause_s, expected)
            pause_s = min(pause_s * 1.5, longest_s)

    async def _stream(self, request: SendMessageRequest) -> Task | Message:
        """The message, or the task as far as the stream told it. A cut stream is no failure once the task is
        known: it is polled then."""
        fold: TaskFold | None = None
        try:
            stream = self._client.stream_message(
                request, timeout_s=self._call.timeout_s, headers=self._headers
            )
            async with aclosing(stream) as events:
                async for event in events:
                    if fold is None:
                        self._fault(AFTER_SEND)
                    if event.message is not None:
                        return event.message
                    fold = await self._take(fold, event)
                    if fold.status.state.is_settled:
                        # Some agents leave the stream open, as they may while they wait for a person.
                        break
        except (TransportError, InvalidAgentResponse):
            if fold is None:
                raise
        if fold is None:
            raise InternalError("The agent's stream ended before it said anything.")
        return fold.task

    async def _take(self, fold: TaskFold | None, event: StreamResponse) -> TaskFold:
        update = event.status_update or event.artifact_update
        if event.task is not None:
            fold = TaskFold(event.task)
            self._note(event.task)
        elif fold is None:
            # The task should have come first; what it is now includes this update.
            assert update is not None
            request = GetTaskRequest(id=update.task_id)
            task = await self._client.get_task(request, timeout_s=CALL_TIMEOUT_S, headers=self._headers)
            fold = TaskFold(task)
            self._note(task)
        elif event.status_update is not None:
            fold.apply_status(event.status_update)
            self._tell(fold.status)
        elif event.artifact_update is not None:
            fold.apply_artifact(event.artifact_update)
        return fold

    def _note(self, task: Task) -> None:
        if not self._is_seen:
            self._is_seen, self._task_id = True, task.id
            self._listener.seen(task)
        self._tell(task.status)

    def _tell(self, status: TaskStatus) -> None:
        said = status.message
        if status.state is TaskState.WORKING and said is not None:
            self._listener.progress(said.spoken_text()[:MAX_WORDS_CHARS])

    async def _cancel_quietly(self, remote_task_id: str) -> None:
        try:
            await self._client.cancel_task(CancelTaskRequest(id=remote_task_id), timeout_s=CANCEL_TIMEOUT_S)
        except A2AError:
            return


def _push_config(expected: Expected | None, task_id: str | None = None) -> TaskPushNotificationConfig | None:
    if expected is None:
        return None
    return TaskPushNotificationConfig(url=expected.url, token=expected.token, task_id=task_id)


async def _pause(seconds: float, expected: Expected | None) -> None:
    if expected is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await expected.arrived.wait()
    except TimeoutError:
        return
    expected.arrived.clear()
