"""A task while it lives: the fold of events into its state, and the ordered fan-out to whoever follows it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from pydantic.main import IncEx

from a2a.fold import apply_artifact, apply_status
from a2a.types import (
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

_RAW_BYTES: IncEx = {"parts": {"__all__": {"raw"}}}


class LiveTask:
    """One task, its event log and its followers. Every follower reads the same log in the same order,
    at its own pace, so a slow one holds up nobody and none can miss an event (3.5.2)."""

    def __init__(self, task: Task, context_id: str) -> None:
        self.task = task
        self.context_id = context_id
        self.worker: asyncio.Task[None] | None = None
        self._log: list[StreamResponse] = []
        self._changed = asyncio.Event()

    @property
    def is_settled(self) -> bool:
        """Ended, or waiting for the client: nothing more comes in this turn."""
        state = self.task.status.state
        return state.is_terminal or state.is_interrupted

    def begin_turn(self, message: Message) -> None:
        """Take the caller's next message into the history; a question asked before it goes there first."""
        asked = self.task.status.message
        self.task.history = [*(self.task.history or []), *([asked] if asked else []), message]
        self._log = []
        self.set_state(TaskState.SUBMITTED)

    def set_state(self, state: TaskState, message: Message | None = None) -> None:
        if self.task.status.state.is_terminal:
            return
        event = TaskStatusUpdateEvent.model_construct(
            task_id=self.task.id,
            context_id=self.context_id,
            status=TaskStatus(state=state, message=message, timestamp=datetime.now(UTC)),
        )
        apply_status(self.task, event)
        self._publish(StreamResponse.model_construct(status_update=event))

    def say(self, state: TaskState, text: str, *, retryable: bool | None = None) -> None:
        """Set the state with a text for the caller."""
        # File names that are not UTF-8 come into error texts as lone surrogates, which JSON cannot carry.
        said = Part.from_text(text.encode(errors="replace").decode())
        message = Message.from_agent(said, context_id=self.context_id, task_id=self.task.id)
        if retryable is not None:
            message.metadata = {"retryable": retryable}
        self.set_state(state, message)

    def add_artifact(self, artifact: Artifact, *, append: bool = False) -> None:
        """A new artifact, or a further chunk of one. Raises ValueError where it cannot be sent as JSON:
        once in the task, it would make every answer about the task fail."""
        if self.task.status.state.is_terminal:
            return
        artifact.model_dump_json(exclude=_RAW_BYTES)
        event = TaskArtifactUpdateEvent.model_construct(
            task_id=self.task.id, context_id=self.context_id, artifact=artifact, append=append
        )
        apply_artifact(self.task, event)
        self._publish(StreamResponse.model_construct(artifact_update=event))

    async def settled(self) -> None:
        while not self.is_settled:
            await self._changed.wait()

    def follow(self) -> AsyncIterator[StreamResponse]:
        """The task as it is at this call, then every later event until the turn ends."""
        now = StreamResponse(task=self.task.model_copy(deep=True))
        return self._follow(now, self._log, len(self._log), ended=self.is_settled)

    async def _follow(
        self, now: StreamResponse, log: list[StreamResponse], position: int, *, ended: bool
    ) -> AsyncIterator[StreamResponse]:
        yield now
        while True:
            while position < len(log):
                yield log[position]
                position += 1
            if ended:
                return
            # A later turn has a log of its own: then this one is complete.
            ended = log is not self._log or self.is_settled
            if not ended:
                await self._changed.wait()

    def _publish(self, event: StreamResponse) -> None:
        self._log.append(event)
        self._changed.set()
        self._changed = asyncio.Event()
