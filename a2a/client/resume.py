"""A stream that outlives its connection: taken up again where it was cut, no event lost and none twice.

What was heard is folded. After a cut the agent is asked for the task as it is now, and what that has more
than the fold is given as events; from there the new stream goes on. Where SubscribeToTask does not begin with
the task (0.3), its events cannot be told from those that the task already holds, and the reference server
(a2a-sdk 0.3.26) even doubles the task's artifacts while two streams follow it: there the task is polled.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing

from a2a.client.binding import Heard
from a2a.client.retries import GATEWAY_STATUSES, Retries
from a2a.errors import (
    AgentBusy,
    AgentHttpError,
    AgentUnreachable,
    InvalidAgentResponse,
    MethodNotFound,
    TransportError,
    UnsupportedOperation,
)
from a2a.fold import TaskFold
from a2a.types import (
    Artifact,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

Subscribe = Callable[[str], AsyncGenerator[Heard]]
GetTask = Callable[[str], Awaitable[Task]]


class Seen:
    """What the consumer of a stream knows of the task."""

    def __init__(self, task_id: str | None = None) -> None:
        self.task_id = task_id
        self.is_over = False
        self._fold: TaskFold | None = None

    @property
    def state(self) -> TaskState | None:
        return None if self._fold is None else self._fold.status.state

    def take(self, event: StreamResponse, *, is_last: bool = False) -> None:
        """An event that the consumer is given."""
        self.is_over = self.is_over or is_last
        update = event.status_update or event.artifact_update
        if event.message is not None:
            self.is_over = True
        elif event.task is not None:
            self.task_id = event.task.id
            self._fold = TaskFold(_own(event.task))
        elif update is not None:
            fold = self._folded(update.task_id, update.context_id)
            if event.status_update is not None:
                fold.apply_status(event.status_update)
            elif event.artifact_update is not None:
                fold.apply_artifact(event.artifact_update)
        if self._fold is not None and self._fold.status.state.is_terminal:
            self.is_over = True

    def news(self, task: Task) -> Iterator[StreamResponse]:
        """What the task has more than the consumer knows, as events that are then known."""
        if task.id != self.task_id:
            raise InvalidAgentResponse("The agent's answer is about another task.")
        if self._fold is None:
            news = [StreamResponse(task=task)]
        else:
            known = self._fold.task
            news = [*_new_parts(known, task), *_new_status(known, task)]
        for event in news:
            self.take(event)
            yield event

    def _folded(self, task_id: str, context_id: str) -> TaskFold:
        """The task should come first. Where it does not, an empty one stands for it."""
        if self._fold is None:
            self.task_id = task_id
            nothing = TaskStatus(state=TaskState.SUBMITTED)
            self._fold = TaskFold(Task(id=task_id, context_id=context_id or None, status=nothing))
        return self._fold


class ResumedStream:
    """Follows one task. `is_subscription`: a task that waits for input is followed on, as SubscribeToTask
    does; a stream of a message ends there."""

    def __init__(
        self,
        subscribe: Subscribe,
        get_task: GetTask,
        *,
        seen: Seen,
        retries: Retries,
        sends_task_first: bool,
        is_subscription: bool = False,
    ) -> None:
        self._subscribe = subscribe
        self._get_task = get_task
        self._seen = seen
        self._retries = retries
        self._sends_task_first = sends_task_first
        self._is_subscription = is_subscription
        self._failing_since: float | None = None

    async def follow(self, opened: AsyncGenerator[Heard], url: str) -> AsyncGenerator[StreamResponse]:
        """The events of a stream of a message, however often it is cut once the task is known. Before that,
        the message may have arrived or not, so it is not sent again: AgentUnreachable."""
        cut: AgentUnreachable | None = None
        try:
            async with aclosing(opened):
                async for event, is_last in opened:
                    self._seen.take(event, is_last=is_last)
                    yield event
                    if self._seen.is_over:
                        return
        except AgentUnreachable as exc:
            cut = exc
        if self._seen.task_id is None:
            raise cut or AgentUnreachable(url, "the stream ended before it said anything")
        if self._rests(was_cut=cut is not None):
            return
        async with aclosing(self.take_up()) as events:
            async for event in events:
                yield event

    async def take_up(self) -> AsyncGenerator[StreamResponse]:
        """From what is known of the task on."""
        if self._sends_task_first:
            async with aclosing(self._subscribed()) as events:
                async for event in events:
                    yield event
            if self._has_ended():
                return
        async with aclosing(self._polled()) as events:
            async for event in events:
                yield event

    async def _subscribed(self) -> AsyncGenerator[StreamResponse]:
        """Ends where the task has, and where the agent is no help: it refuses, or does not begin with it."""
        failures = 0
        while True:
            try:
                async with aclosing(self._joined()) as events:
                    async for event in events:
                        failures = 0
                        yield event
                if not self._sends_task_first or self._rests(was_cut=False):
                    return
            except (UnsupportedOperation, MethodNotFound):
                if self._seen.state is None:
                    raise
                return
            except TransportError as exc:
                self._note_failure(exc)
            failures += 1
            await asyncio.sleep(self._retries.pause_s(failures))

    async def _joined(self) -> AsyncGenerator[StreamResponse]:
        """One subscription: what its task has more than we know, then its events."""
        async with aclosing(self._subscribe(self._task_id)) as opened:
            async for event, _ in opened:
                self._failing_since = None
                if event.task is not None:
                    for news in self._seen.news(event.task):
                        yield news
                    break
                self._sends_task_first = False
                return
            if self._rests(was_cut=True):
                return
            async for event, is_last in opened:
                self._seen.take(event, is_last=is_last)
                yield event
                if self._seen.is_over:
                    return

    async def _polled(self) -> AsyncGenerator[StreamResponse]:
        """GetTask at growing intervals, shorter again while there is news."""
        pauses = 0
        while True:
            task = await self._snapshot()
            for event in self._seen.news(task) if task is not None else ():
                pauses = 0
                yield event
            if self._has_ended():
                return
            pauses += 1
            await asyncio.sleep(self._retries.pause_s(pauses))

    async def _snapshot(self) -> Task | None:
        """None where the agent is away for a while."""
        try:
            task = await self._get_task(self._task_id)
        except TransportError as exc:
            self._note_failure(exc)
            return None
        self._failing_since = None
        return task

    def _note_failure(self, error: TransportError) -> None:
        """Raises it where it is none that passes, or where it has lasted too long."""
        is_gateway = isinstance(error, AgentHttpError) and error.status in GATEWAY_STATUSES
        passes = is_gateway or isinstance(error, AgentUnreachable | AgentBusy)
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        if (
            not passes
            or self._seen.state is None
            or now - self._failing_since >= self._retries.resume_within_s
        ):
            raise error

    @property
    def _task_id(self) -> str:
        assert self._seen.task_id is not None
        return self._seen.task_id

    def _has_ended(self) -> bool:
        return self._seen.is_over or self._rests(was_cut=True)

    def _rests(self, *, was_cut: bool) -> bool:
        """Whether the end of a stream here is the end of the turn. A stream of a message ends at a question;
        one that waits for an authorisation may stay open (7.6.1), and may also end."""
        if self._seen.is_over:
            return True
        asks = self._seen.state is TaskState.INPUT_REQUIRED
        waits = self._seen.state is TaskState.AUTH_REQUIRED
        return (asks and not self._is_subscription) or ((asks or waits) and not was_cut)


def _own(task: Task) -> Task:
    """With lists of its own: the consumer has the event, and may fold it, too."""
    artifacts = [item.model_copy(update={"parts": list(item.parts)}) for item in task.artifacts or []]
    return task.model_copy(update={"artifacts": artifacts or None})


def _new_status(known: Task, task: Task) -> Iterator[StreamResponse]:
    if task.status != known.status:
        context_id = task.context_id or known.context_id or ""
        event = TaskStatusUpdateEvent(task_id=task.id, context_id=context_id, status=task.status)
        yield StreamResponse(status_update=event)


def _new_parts(known: Task, task: Task) -> Iterator[StreamResponse]:
    old = {artifact.artifact_id: artifact for artifact in known.artifacts or []}
    context_id = task.context_id or known.context_id or ""
    for artifact in task.artifacts or []:
        before = old.get(artifact.artifact_id)
        more = _grown(before, artifact) if before is not None else None
        if more == []:
            continue
        changed = artifact if more is None else artifact.model_copy(update={"parts": more})
        event = TaskArtifactUpdateEvent(
            task_id=task.id, context_id=context_id, artifact=changed, append=True if more else None
        )
        yield StreamResponse(artifact_update=event)


def _grown(before: Artifact, now: Artifact) -> list[Part] | None:
    """The parts that were appended; None where it is another artifact now."""
    if before.model_copy(update={"parts": now.parts}) != now:
        return None
    tail = _tail(before.parts, now.parts)
    # Whether adjoining texts are one part or many is the agent's own affair.
    return tail if tail is not None else _tail(_joined(before.parts), _joined(now.parts))


def _tail(before: list[Part], now: list[Part]) -> list[Part] | None:
    last = len(before) - 1
    if len(now) <= last or now[:last] != before[:last]:
        return None
    old, new = before[last], now[last]
    if old == new:
        return now[last + 1 :]
    is_longer = old.text is not None and new.text is not None and new.text.startswith(old.text)
    if not is_longer or not _is_bare(old) or old.model_copy(update={"text": new.text}) != new:
        return None
    return [new.model_copy(update={"text": (new.text or "")[len(old.text or "") :]}), *now[last + 1 :]]


def _joined(parts: list[Part]) -> list[Part]:
    """Adjoining bare text of one media type as one part, as a fold of chunks has it."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last is not None and _is_bare(last) and _is_bare(part) and last.media_type == part.media_type:
            joined[-1] = last.model_copy(update={"text": (last.text or "") + (part.text or "")})
        else:
            joined.append(part)
    return joined


def _is_bare(part: Part) -> bool:
    return part.text is not None and part.filename is None and part.metadata is None
