"""A task while it lives: the fold of events into its state, and the ordered fan-out to whoever follows it."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pydantic_core
from pydantic.main import IncEx

from a2a.errors import InvalidAgentResponse
from a2a.fold import TaskFold
from a2a.skill import Reply, Skill, SkillFailed
from a2a.types import (
    MAX_LISTED,
    Artifact,
    Message,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

MAX_TURN_EVENTS = 100_000
# What our own client takes as one answer.
MAX_TURN_BYTES = 64 * 2**20
TOO_LARGE = (
    f"The result is too large: a turn may give {MAX_LISTED:,} artifacts of {MAX_LISTED:,} parts,"
    f" {MAX_TURN_EVENTS:,} updates and {MAX_TURN_BYTES // 2**20} MiB; ask for less."
)


_RAW_BYTES: IncEx = {"parts": {"__all__": {"raw"}}}


class _Entry:
    """An event in the log. Followers hold on to the entry they have read last and the task to the newest, so
    that nothing is kept that nobody will read."""

    __slots__ = ("event", "is_end", "next")

    def __init__(self, event: StreamResponse | None, *, is_end: bool = False) -> None:
        self.event = event
        self.is_end = is_end
        self.next: _Entry | None = None


class LiveTask:
    """One task, its event log and its followers. Every follower reads the same log in the same order,
    at its own pace, so a slow one holds up nobody and none can miss an event (3.5.2).

    `skill` is the one that runs it, once that is known. A task that ends in a `reply` was never one for its
    caller: it is the answer's way through here, until it is announced.
    """

    def __init__(self, task: Task, context_id: str) -> None:
        self.id = task.id
        self.context_id = context_id
        self.worker: asyncio.Task[None] | None = None
        self.skill: Skill | None = None
        self.reply: Message | None = None
        self.is_announced = False
        self._fold = TaskFold(task)
        self._newest = _Entry(None)
        self._changed = asyncio.Event()
        self._turn_events = self._turn_bytes = 0

    @property
    def task(self) -> Task:
        """Joins up the text that has come in: for who reads it all. `state` is cheap."""
        return self._fold.task

    @property
    def state(self) -> TaskState:
        return self._fold.status.state

    @property
    def is_settled(self) -> bool:
        """Ended, or waiting for the client: nothing more comes in this turn."""
        return self.reply is not None or _settles(self.state)

    def begin_turn(self, message: Message) -> None:
        """Take the caller's next message into the history; a question asked before it goes there first."""
        task = self.task
        asked = task.status.message
        task.history = [*(task.history or []), *([asked] if asked else []), message]
        self._turn_events = self._turn_bytes = 0
        self.is_announced = True
        self.set_state(TaskState.SUBMITTED)

    def announce(self) -> None:
        """The caller learns of the task from now on, so a later reply has to become its artifact."""
        if not self.is_announced:
            self.is_announced = True
            self._wake()

    def answer(self, reply: Reply) -> None:
        """Answer with a message instead of a task. Raises ValueError where it cannot be sent as JSON."""
        message = Message.from_agent(*reply.parts, context_id=self.context_id)
        message.model_dump_json()
        self.reply = message
        self._wake()

    def set_state(self, state: TaskState, message: Message | None = None) -> None:
        if self.state.is_terminal:
            return
        event = TaskStatusUpdateEvent(
            task_id=self.id,
            context_id=self.context_id,
            status=TaskStatus(state=state, message=message, timestamp=datetime.now(UTC)),
        )
        self._fold.apply_status(event)
        self._publish(StreamResponse(status_update=event), is_end=_settles(state))

    def say(self, state: TaskState, text: str, *, retryable: bool | None = None) -> None:
        """Set the state with a text for the caller. Raises SkillFailed past a bound, while it works."""
        # File names that are not UTF-8 come into error texts as lone surrogates, which JSON cannot carry.
        encoded = text.encode(errors="replace")
        if not _settles(state):
            self._charge(len(encoded))
        said = Part.from_text(encoded.decode())
        message = Message.from_agent(said, context_id=self.context_id, task_id=self.id)
        if retryable is not None:
            message.metadata = {"retryable": retryable}
        self.set_state(state, message)

    def add_artifact(self, artifact: Artifact, *, append: bool = False) -> None:
        """A new artifact, or a further chunk of one. Raises ValueError where it cannot be sent as JSON:
        once in the task, it would make every answer about the task fail. Raises SkillFailed past a bound."""
        if self.state.is_terminal:
            return
        self._charge(_wire_bytes(artifact))
        event = TaskArtifactUpdateEvent(
            task_id=self.id, context_id=self.context_id, artifact=artifact, append=append
        )
        try:
            self._fold.apply_artifact(event)
        except InvalidAgentResponse as exc:
            raise SkillFailed(TOO_LARGE) from exc
        self._publish(StreamResponse(artifact_update=event))

    async def settled(self) -> None:
        while not self.is_settled:
            await self._changed.wait()

    async def announced(self) -> None:
        """Until it is known whether the caller gets the task or a reply."""
        while not (self.is_announced or self.is_settled):
            await self._changed.wait()

    def follow(self) -> AsyncGenerator[StreamResponse]:
        """The task as it is at this call, then every later event until the turn ends."""
        now = StreamResponse(task=self.task.model_copy(deep=True))
        return self._follow(now, self._newest, ended=self.is_settled)

    async def _follow(
        self, now: StreamResponse, entry: _Entry, *, ended: bool
    ) -> AsyncGenerator[StreamResponse]:
        yield now
        while not ended:
            if entry.next is None:
                await self._changed.wait()
                continue
            entry = entry.next
            assert entry.event is not None
            yield entry.event
            ended = entry.is_end

    def _charge(self, size: int) -> None:
        self._turn_events += 1
        self._turn_bytes += size
        if self._turn_events > MAX_TURN_EVENTS or self._turn_bytes > MAX_TURN_BYTES:
            raise SkillFailed(TOO_LARGE)

    def _publish(self, event: StreamResponse, *, is_end: bool = False) -> None:
        entry = _Entry(event, is_end=is_end)
        self._newest.next = entry
        self._newest = entry
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _settles(state: TaskState) -> bool:
    return state.is_terminal or state.is_interrupted


def _wire_bytes(artifact: Artifact) -> int:
    """About what it takes as JSON. Raises ValueError where it cannot be sent."""
    raw = sum(len(part.raw) for part in artifact.parts if part.raw is not None)
    if not raw:
        return len(pydantic_core.to_json(artifact, exclude_none=True))
    return len(pydantic_core.to_json(artifact, exclude_none=True, exclude=_RAW_BYTES)) + raw * 4 // 3
