"""One attempt of a step: send the message, follow the remote task to its end. Knows A2A and no tables."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import httpx

from a2a.card_types import AgentInterface
from a2a.client import A2AClient, Retries
from a2a.errors import (
    A2AError,
    AgentBusy,
    AgentHttpError,
    AgentTimeout,
    InternalError,
    InvalidAgentResponse,
    ProtocolError,
    TaskNotCancelable,
    TaskNotFound,
    TransportError,
)
from a2a.fold import TaskFold
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageConfiguration, SendMessageRequest
from a2a.types import Artifact, Message, StreamResponse, Task, TaskState, TaskStatus
from coordinator.executor.state import Asked, AttemptFailed, Done, Outcome, Problem

FIRST_POLL_S = 0.2
LAST_POLL_S = 5.0
UNREACHABLE_S = 15.0
CALL_TIMEOUT_S = 30.0
CANCEL_TIMEOUT_S = 10.0
MAX_WORDS_CHARS = 2_000
# A send is tried again by the executor, which may choose another agent; a cut stream is worth a moment here.
RETRIES = Retries(attempts=1, resume_within_s=2.0)

CancelAnswer = Literal["canceled", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Watcher:
    """What an attempt tells while it runs: the remote task's ids at first sight, and the agent's progress."""

    seen: Callable[[Task], Awaitable[None]]
    progress: Callable[[str], Awaitable[None]]


class Dispatcher:
    """Calls agents through one HTTP client, which has to be a guarded one."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(
        self,
        interface: AgentInterface,
        message: Message,
        *,
        streaming: bool,
        timeout_s: float,
        watcher: Watcher,
    ) -> Outcome:
        """Send the message and follow what it starts until it ends or asks; at most `timeout_s` seconds."""
        attempt = _Attempt(A2AClient(self._http, interface, retries=RETRIES), watcher)
        return await attempt.bounded(
            attempt.send(message, streaming=streaming, timeout_s=timeout_s), timeout_s
        )

    async def follow(
        self, interface: AgentInterface, remote_task_id: str, *, timeout_s: float, watcher: Watcher
    ) -> Outcome:
        """Take up a remote task that an earlier process had started."""
        attempt = _Attempt(A2AClient(self._http, interface, retries=RETRIES), watcher)
        return await attempt.bounded(attempt.poll(remote_task_id), timeout_s)

    async def cancel(self, interface: AgentInterface, remote_task_id: str) -> CancelAnswer:
        """Ask the agent to cancel; what it said."""
        client = A2AClient(self._http, interface, retries=RETRIES)
        try:
            task = await client.cancel_task(CancelTaskRequest(id=remote_task_id), timeout_s=CANCEL_TIMEOUT_S)
        except TaskNotCancelable:
            return "refused"
        except A2AError:
            return "unknown"
        return "canceled" if task.status.state is TaskState.CANCELED else "refused"


class _Attempt:
    def __init__(self, client: A2AClient, watcher: Watcher) -> None:
        self._client = client
        self._watcher = watcher
        self._task: Task | None = None

    async def bounded(self, work: Awaitable[Outcome], timeout_s: float) -> Outcome:
        """The outcome of `work`, with every failure of the call turned into one. Past the time, the remote
        task is canceled: nobody will read its result."""
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except (TimeoutError, AgentTimeout):
            if self._task is not None:
                await self._cancel_quietly(self._task.id)
            problem = Problem("STEP_TIMEOUT", f"The agent did not finish within {timeout_s:.0f} s.")
            return AttemptFailed(problem, retryable=True, blames_agent=True, is_uncertain=True)
        except A2AError as exc:
            return failed_call(exc)

    async def send(self, message: Message, *, streaming: bool, timeout_s: float) -> Outcome:
        if streaming:
            answer = await self._stream(SendMessageRequest(message=message), timeout_s)
        else:
            request = SendMessageRequest(
                message=message, configuration=SendMessageConfiguration(return_immediately=True)
            )
            answer = await self._client.send_message(request, timeout_s=timeout_s)
        if isinstance(answer, Message):
            return Done((Artifact.of(*answer.parts, name="answer"),))
        await self._note(answer)
        return _outcome(answer) or await self.poll(answer.id)

    async def poll(self, remote_task_id: str) -> Outcome:
        """Ask for the task at growing intervals until it has ended or asks something. An agent that does not
        answer is asked again for a while: the work may well go on behind a short outage."""
        now = asyncio.get_running_loop().time
        pause_s, last_answer = FIRST_POLL_S, now()
        while True:
            try:
                task = await self._client.get_task(
                    GetTaskRequest(id=remote_task_id), timeout_s=CALL_TIMEOUT_S
                )
            except (TransportError, InternalError, InvalidAgentResponse):
                if now() - last_answer >= UNREACHABLE_S:
                    raise
            else:
                last_answer = now()
                await self._note(task)
                outcome = _outcome(task)
                if outcome is not None:
                    return outcome
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LAST_POLL_S)

    async def _stream(self, request: SendMessageRequest, timeout_s: float) -> Task | Message:
        """The message, or the task as far as the stream told it. A cut stream is no failure once the task is
        known: it is polled then."""
        fold: TaskFold | None = None
        try:
            async with aclosing(self._client.stream_message(request, timeout_s=timeout_s)) as events:
                async for event in events:
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
            await self._note(event.task)
        elif fold is None:
            # The task should have come first; what it is now includes this update.
            assert update is not None
            request = GetTaskRequest(id=update.task_id)
            task = await self._client.get_task(request, timeout_s=CALL_TIMEOUT_S)
            fold = TaskFold(task)
            await self._note(task)
        elif event.status_update is not None:
            fold.apply_status(event.status_update)
            await self._tell(fold.status)
        elif event.artifact_update is not None:
            fold.apply_artifact(event.artifact_update)
        return fold

    async def _note(self, task: Task) -> None:
        if self._task is None:
            self._task = task
            await self._watcher.seen(task)
        await self._tell(task.status)

    async def _tell(self, status: TaskStatus) -> None:
        said = status.message
        if status.state is TaskState.WORKING and said is not None:
            await self._watcher.progress(said.spoken_text()[:MAX_WORDS_CHARS])

    async def _cancel_quietly(self, remote_task_id: str) -> None:
        try:
            await self._client.cancel_task(CancelTaskRequest(id=remote_task_id), timeout_s=CANCEL_TIMEOUT_S)
        except A2AError:
            return


def _outcome(task: Task) -> Outcome | None:
    """What the task has come to; None while it works."""
    said = task.status.message
    words = said.spoken_text()[:MAX_WORDS_CHARS] if said is not None else ""
    match task.status.state:
        case TaskState.COMPLETED:
            return Done(tuple(task.artifacts or _spoken_result(said)))
        case TaskState.INPUT_REQUIRED | TaskState.AUTH_REQUIRED:
            return Asked(words or "The agent asks for input and does not say which.")
        case TaskState.REJECTED:
            return AttemptFailed(
                Problem("REJECTED_BY_AGENT", words or "The agent rejected the step."), retryable=False
            )
        case TaskState.CANCELED:
            return AttemptFailed(
                Problem("CANCELED_BY_AGENT", words or "The agent canceled the step."), retryable=True
            )
        case TaskState.FAILED:
            retryable = bool(((said.metadata if said else None) or {}).get("retryable", False))
            return AttemptFailed(Problem("AGENT_FAILED", words or "The agent failed."), retryable)
        case _:
            return None


def _spoken_result(said: Message | None) -> list[Artifact]:
    """Some agents put the answer into the last status message instead of an artifact."""
    return [Artifact.of(*said.parts, name="answer")] if said is not None else []


def failed_call(exc: A2AError) -> AttemptFailed:
    """A call that brought no outcome, as one."""
    match exc:
        case AgentBusy():
            problem = Problem("AGENT_BUSY", "The agent is busy.")
            return AttemptFailed(problem, retryable=True, retry_after_s=exc.retry_after_s)
        case TransportError():
            problem = Problem("AGENT_UNREACHABLE", f"The agent could not be reached: {exc.detail}.")
            # A gateway's 502 passes as a broken connection does; a 404 or an HTML page does not.
            retryable = exc.is_retryable or (isinstance(exc, AgentHttpError) and exc.status >= 500)
            return AttemptFailed(problem, retryable, blames_agent=True, is_uncertain=exc.may_have_arrived)
        case TaskNotFound():
            problem = Problem("REMOTE_TASK_LOST", "The agent no longer knows the task it had begun.")
            return AttemptFailed(problem, retryable=True, is_uncertain=True)
        case InternalError() | InvalidAgentResponse():
            problem = Problem("AGENT_FAILED", exc.detail)
            return AttemptFailed(problem, retryable=True, blames_agent=True, is_uncertain=True)
        case ProtocolError():
            problem = Problem("AGENT_REFUSED", f"The agent refused the message: {exc.detail}")
            return AttemptFailed(problem, retryable=False)
        case _:
            return AttemptFailed(Problem("AGENT_FAILED", str(exc)), retryable=False)
