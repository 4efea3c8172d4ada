"""A task while it lives: the fold of events into its state, and the ordered fan-out to whoever follows it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pydantic_core
from pydantic.main import IncEx

from a2a.errors import InvalidAgentResponse
from a2a.fold import TaskFold
from a2a.skill import Reply, SkillFailed
from a2a.stores.base import MessageKey, StoredTask
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
# A follower that is far behind gets this many events at a time.
MAX_BATCH = 256

_RAW_BYTES: IncEx = {"artifact_update": {"artifact": {"parts": {"__all__": {"raw"}}}}}


def _nothing() -> None:
    pass


class Event:
    """An event in a task's log, encoded once for all who read it. Followers hold on to the event they have
    read last and the task to the newest, so that nothing is kept that nobody will read."""

    __slots__ = ("_json", "ends_turn", "next", "response")

    def __init__(self, response: StreamResponse | None, *, json: bytes | None = None) -> None:
        self.response = response
        self.ends_turn = False
        self.next: Event | None = None
        self._json = json

    @property
    def json(self) -> bytes:
        """The StreamResponse as it goes out on the JSON bindings."""
        if self._json is None:
            self._json = pydantic_core.to_json(self.response, exclude_none=True)
        return self._json


class LiveTask:
    """One task, its event log and its followers. Every follower reads the same log in the same order,
    at its own pace, so a slow one holds up nobody and none can miss an event (3.5.2).

    A task that ends in a `reply` was never one for its caller: it is the answer's way through here, until it
    is announced. `version` is that of the store; `is_ending` is set once the end of the turn is being stored.
    """

    def __init__(self, stored: StoredTask) -> None:
        task = stored.task
        assert task.context_id is not None
        self.id = task.id
        self.context_id = task.context_id
        self.owner = stored.owner
        self.version = stored.version
        self.skill_id = stored.skill_id
        self.worker: asyncio.Task[None] | None = None
        self.reply: Message | None = None
        self.is_announced = False
        self.is_ending = False
        self.is_abandoned = False
        self.is_unsaved = False
        self.turn_key: MessageKey | None = None
        self.followers = 0
        self.saving = asyncio.Lock()
        self._fold = TaskFold(_detached(task))
        self._newest = Event(None)
        self._waiting: list[asyncio.Future[None]] = []
        self._turn_events = self._turn_bytes = 0

    @property
    def state(self) -> TaskState:
        return self._fold.status.state

    @property
    def is_settled(self) -> bool:
        """Ended, or waiting for the client: nothing more comes in this turn."""
        state = self.state
        return self.reply is not None or state.is_terminal or state.is_interrupted

    def snapshot(self, status: TaskStatus | None = None) -> Task:
        """The task as it is now, or would be with `status`; later events do not change it."""
        task = _detached(self._fold.task)
        if status is not None:
            task.status = status
        return task

    def begin_turn(self, message: Message, key: MessageKey) -> None:
        """Take the caller's next message into the history; a question asked before it goes there first."""
        self.turn_key = key
        task = self._fold.task
        asked = task.status.message
        task.history = [*(task.history or []), *([asked] if asked else []), message]
        self._turn_events = self._turn_bytes = 0
        self.is_announced = True
        self.is_ending = False
        self.set_status(status_now(TaskState.SUBMITTED))

    def announce(self) -> None:
        """The caller learns of the task from now on, so a later reply has to become its artifact."""
        if not self.is_announced:
            self.is_announced = True
            self._wake()

    def abandon(self) -> None:
        """Nothing more comes: the turn could not be begun."""
        self.is_abandoned = True
        self._wake()

    def answer(self, reply: Reply) -> None:
        """Answer with a message instead of a task. Raises ValueError where it cannot be sent as JSON."""
        message = Message.from_agent(*reply.parts, context_id=self.context_id)
        message.model_dump_json()
        self.reply = message
        self._wake()

    def set_status(self, status: TaskStatus) -> None:
        """Terminal states never change. Raises SkillFailed past a bound, while it works."""
        if self.state.is_terminal:
            return
        event = TaskStatusUpdateEvent(task_id=self.id, context_id=self.context_id, status=status)
        entry = Event(StreamResponse(status_update=event))
        entry.ends_turn = status.state.is_terminal or status.state.is_interrupted
        if not entry.ends_turn:
            self._charge(len(entry.json))
        self._fold.apply_status(event)
        self._publish(entry)

    def spoken(self, state: TaskState, text: str, *, retryable: bool | None = None) -> TaskStatus:
        """A status with a text for the caller."""
        # File names that are not UTF-8 come into error texts as lone surrogates, which JSON cannot carry.
        said = Part.from_text(text.encode(errors="replace").decode())
        message = Message.from_agent(said, context_id=self.context_id, task_id=self.id)
        if retryable is not None:
            message.metadata = {"retryable": retryable}
        return status_now(state, message)

    def add_artifact(self, artifact: Artifact, *, append: bool = False, last_chunk: bool = False) -> None:
        """A new artifact, or a further chunk of one. Raises ValueError where it cannot be sent as JSON:
        once in the task, it would make every answer about the task fail. Raises SkillFailed past a bound."""
        if self.state.is_terminal:
            return
        event = TaskArtifactUpdateEvent(
            task_id=self.id,
            context_id=self.context_id,
            artifact=artifact,
            append=append,
            last_chunk=last_chunk or None,
        )
        response = StreamResponse(artifact_update=event)
        size, json = _encoded(response, artifact)
        self._charge(size)
        try:
            self._fold.apply_artifact(event)
        except InvalidAgentResponse as exc:
            raise SkillFailed(TOO_LARGE) from exc
        self._publish(Event(response, json=json))

    async def settled(self) -> None:
        while not self.is_settled:
            await self._change()

    async def announced(self) -> None:
        """Until it is known whether the caller gets the task or a reply."""
        while not (self.is_announced or self.is_settled):
            await self._change()

    def follow(
        self, *, until_terminal: bool = False, with_task: bool = True, on_close: Callable[[], None] = _nothing
    ) -> "Follower":
        """The task as it is at this call, if wanted, and every later event: until the turn ends, or the task
        itself. `on_close` is called once, when the follower is closed."""
        return Follower(self, until_terminal=until_terminal, with_task=with_task, on_close=on_close)

    def wake(self) -> None:
        self._wake()

    async def _change(self) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _charge(self, size: int) -> None:
        self._turn_events += 1
        self._turn_bytes += size
        if self._turn_events > MAX_TURN_EVENTS or self._turn_bytes > MAX_TURN_BYTES:
            raise SkillFailed(TOO_LARGE)

    def _publish(self, entry: Event) -> None:
        self._newest.next = entry
        self._newest = entry
        self.is_unsaved = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)


class Follower:
    """One reader of a task's log; `batch` gives what there is. Close it when done."""

    def __init__(
        self, live: LiveTask, *, until_terminal: bool, with_task: bool, on_close: Callable[[], None]
    ) -> None:
        self._live = live
        self._on_close = on_close
        self._until_terminal = until_terminal
        self._entry = live._newest  # noqa: SLF001 the two are one mechanism
        self._first = Event(StreamResponse(task=live.snapshot())) if with_task else None
        self._is_over = live.state.is_terminal or (live.is_settled and not until_terminal)
        self._is_closed = False
        live.followers += 1

    async def batch(self) -> Sequence[Event]:
        """The next events, at least one; none once the stream is over."""
        if self._first is not None:
            first, self._first = self._first, None
            await self._live.announced()
            if self._live.reply is not None:
                self._is_over = True
                return [Event(StreamResponse(message=self._live.reply))]
            return [first]
        events: list[Event] = []
        while not (self._is_over or self._is_closed or self._live.is_abandoned):
            while self._entry.next is not None and len(events) < MAX_BATCH and not self._is_over:
                self._entry = self._entry.next
                events.append(self._entry)
                self._is_over = self._ends(self._entry)
            if events:
                break
            await self._live._change()  # noqa: SLF001 the two are one mechanism
        return events

    def close(self) -> None:
        """Also wakes a `batch` that waits."""
        if not self._is_closed:
            self._is_closed = True
            self._entry = Event(None)
            self._live.followers -= 1
            self._live.wake()
            self._on_close()

    def _ends(self, event: Event) -> bool:
        if not self._until_terminal:
            return event.ends_turn
        update = event.response.status_update if event.response is not None else None
        return update is not None and update.status.state.is_terminal


def status_now(state: TaskState, message: Message | None = None) -> TaskStatus:
    """To the millisecond, as it goes out: what a client saw can be compared with what is kept."""
    now = datetime.now(UTC)
    at = now.replace(microsecond=now.microsecond // 1_000 * 1_000)
    return TaskStatus(state=state, message=message, timestamp=at)


def _detached(task: Task) -> Task:
    """A copy whose lists are its own; messages and parts never change."""
    artifacts = task.artifacts
    if artifacts is not None:
        artifacts = [artifact.model_copy(update={"parts": list(artifact.parts)}) for artifact in artifacts]
    history = list(task.history) if task.history is not None else None
    return task.model_copy(update={"artifacts": artifacts, "history": history})


def _encoded(response: StreamResponse, artifact: Artifact) -> tuple[int, bytes | None]:
    """How much it takes as JSON, and the JSON where that was needed to know. Raises ValueError where it
    cannot be sent."""
    raw = sum(len(part.raw) for part in artifact.parts if part.raw is not None)
    if raw:
        rest = pydantic_core.to_json(response, exclude_none=True, exclude=_RAW_BYTES)
        return len(rest) + raw * 4 // 3, None
    json = pydantic_core.to_json(response, exclude_none=True)
    return len(json), json
