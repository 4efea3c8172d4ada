"""A task while it lives: the fold of events into its state, and the ordered fan-out to whoever follows it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Self

import pydantic_core
from pydantic.main import IncEx

from a2a.errors import InternalError, InvalidAgentResponse
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

_RAW_BYTES: IncEx = {"parts": {"__all__": {"raw"}}}
# An artifact is encoded as it comes in, to know its size; its event is written around that.
_APPENDED = {False: b'"append":false}}', True: b'"append":true}}'}


def _nothing() -> None:
    pass


def _no_event() -> StreamResponse:
    raise AssertionError("what stands before the first event is not read")


class Event:
    """An event in a task's log, encoded once for all who read it. Followers hold on to the event they have
    read last and the task to the newest, so that nothing is kept that nobody will read. `make` gives what it
    says, and is called where somebody reads it: most events of most tasks have no reader."""

    __slots__ = ("_json", "_make", "_response", "awaits_auth", "ends_task", "ends_turn", "next")

    def __init__(
        self, make: Callable[[], StreamResponse], *, json: bytes | None = None, state: TaskState | None = None
    ) -> None:
        self.next: Event | None = None
        self.ends_task = state is not None and state.is_terminal
        self.ends_turn = self.ends_task or (state is not None and state.is_interrupted)
        self.awaits_auth = state is TaskState.AUTH_REQUIRED
        self._make = make
        self._response: StreamResponse | None = None
        self._json = json

    @classmethod
    def of(cls, response: StreamResponse) -> Self:
        return cls(lambda: response)

    @property
    def response(self) -> StreamResponse:
        if self._response is None:
            self._response = self._make()
        return self._response

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
    is announced. `version` is that of the store; `is_beginning` and `is_ending` are set while the beginning
    or the end of the turn is being stored, `kept` is what was stored last at an end, and `is_doubtful` says
    that nobody knows which version the store has.
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
        self.is_beginning = False
        self.is_ending = False
        self.is_abandoned = False
        self.is_cancel_requested = False
        self.is_unsaved = False
        self.is_doubtful = False
        self.turn_key: MessageKey | None = None
        self.kept: StoredTask | None = None
        self.followers = 0
        self.saving = asyncio.Lock()
        self._fold = TaskFold(task)
        self._newest = Event(_no_event)
        ids = pydantic_core.to_json({"taskId": self.id, "contextId": self.context_id})
        self._before_artifact = b'{"artifactUpdate":' + ids[:-1] + b',"artifact":'
        self._waiting: list[asyncio.Future[None]] = []
        self._turn_events = self._turn_bytes = 0

    @property
    def state(self) -> TaskState:
        return self._fold.status.state

    @property
    def history(self) -> Sequence[Message]:
        return self._fold.history or ()

    @property
    def is_settled(self) -> bool:
        """Ended, or waiting for the client: nothing more comes in this turn."""
        return self.reply is not None or self.state.is_settled

    def snapshot(self, status: TaskStatus | None = None) -> Task:
        """The task as it is now, or would be with `status`; later events do not change it."""
        return self._fold.task_with(status or self._fold.status)

    def begin_turn(self, message: Message, key: MessageKey) -> None:
        """Take the caller's next message into the history; a question asked before it goes there first."""
        self.turn_key = key
        asked = self._fold.status.message
        self._fold.history = [*self.history, *([asked] if asked else []), message]
        self.kept = None
        self._turn_events = self._turn_bytes = 0
        self.is_announced = True
        self.set_status(status_now(TaskState.SUBMITTED))
        # Who begins the turn keeps it: with the message that did, and once.
        self.is_unsaved = False

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
        entry = Event(partial(_status_update, self.id, self.context_id, status), state=status.state)
        if not entry.ends_turn:
            said = status.message.spoken_text() if status.message is not None else ""
            self._charge(len(said.encode()))
        self._fold.set_status(status)
        self._publish(entry)

    def spoken(self, state: TaskState, text: str, *, retryable: bool | None = None) -> TaskStatus:
        """A status with a text for the caller."""
        # File names that are not UTF-8 come into error texts as lone surrogates, which JSON cannot carry.
        said = Part.from_text(text.encode(errors="replace").decode())
        message = Message.from_agent(said, context_id=self.context_id, task_id=self.id)
        if retryable is not None:
            message.metadata = {"retryable": retryable}
        return status_now(state, message)

    def add_artifact(self, artifact: Artifact, *, append: bool = False) -> None:
        """A new artifact, or a further chunk of one. Raises ValueError where it cannot be sent as JSON:
        once in the task, it would make every answer about the task fail. Raises SkillFailed past a bound."""
        if self.state.is_terminal:
            return
        size, encoded = _encoded(artifact)
        self._charge(size)
        try:
            self._fold.add_artifact(artifact, append=append)
        except InvalidAgentResponse as exc:
            raise SkillFailed(TOO_LARGE) from exc
        json = (
            b"%b%b,%b" % (self._before_artifact, encoded, _APPENDED[append]) if encoded is not None else None
        )
        make = partial(_artifact_update, self.id, self.context_id, artifact, append=append)
        self._publish(Event(make, json=json))

    def append_text(self, artifact_id: str, name: str, text: str) -> None:
        """A chunk of text for an artifact that is there: what add_artifact does for most of what streams, at
        a third of the time. Raises as that does."""
        if self.state.is_terminal:
            return
        encoded = pydantic_core.to_json(text)
        self._charge(len(encoded))
        self._fold.append_text(artifact_id, text)
        json = b'%b{"artifactId":"%b","parts":[{"text":%b}],"name":"%b"},%b' % (
            self._before_artifact,
            artifact_id.encode(),
            encoded,
            name.encode(),
            _APPENDED[True],
        )
        make = partial(_text_update, self.id, self.context_id, artifact_id, name, text)
        self._publish(Event(make, json=json))

    async def settled(self) -> None:
        """Until the turn has ended. Raises InternalError where it could not be begun."""
        while not self.is_settled:
            if self.is_abandoned:
                raise InternalError("The agent could not begin with this; send it again.")
            await self._change()

    @property
    def is_being_ended(self) -> bool:
        """The end of the turn is being kept, and not told yet."""
        return self.is_ending and not self.state.is_terminal

    async def ended(self) -> None:
        """Until the end of the turn is kept and told."""
        while self.is_being_ended:
            await self._change()

    async def begun(self) -> None:
        """Until the beginning of the turn is kept, or it is known that it cannot be."""
        while self.is_beginning and not self.is_abandoned:
            await self._change()

    async def announced(self) -> None:
        """Until it is known whether the caller gets the task or a reply."""
        while not (self.is_announced or self.is_settled):
            await self._change()

    def follow(
        self,
        *,
        until_terminal: bool = False,
        outlives_auth: bool = False,
        with_task: bool = True,
        on_close: Callable[[], None] = _nothing,
    ) -> "Follower":
        """The task as it is at this call, if wanted, and every later event: until the turn ends, otherwise
        than in AUTH_REQUIRED with `outlives_auth`, or the task itself. `on_close` is called once, when the
        follower is closed."""
        return Follower(
            self,
            until_terminal=until_terminal,
            outlives_auth=outlives_auth,
            with_task=with_task,
            on_close=on_close,
        )

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
        self,
        live: LiveTask,
        *,
        until_terminal: bool,
        outlives_auth: bool,
        with_task: bool,
        on_close: Callable[[], None],
    ) -> None:
        self._live = live
        self._on_close = on_close
        self._until_terminal = until_terminal
        self._outlives_auth = outlives_auth
        self._entry = live._newest  # noqa: SLF001 the two are one mechanism
        first = live.snapshot() if with_task else None
        self._first = Event.of(StreamResponse(task=first)) if first is not None else None
        self._is_over = live.state.is_terminal or (live.is_settled and not until_terminal)
        self._is_closed = False
        live.followers += 1

    async def batch(self) -> Sequence[Event]:
        """The next events, at least one; none once the stream is over."""
        if self._first is not None:
            await self._told_which()
            first, self._first = self._first, None
            if self._live.reply is not None:
                self._is_over = True
                return [Event.of(StreamResponse(message=self._live.reply))]
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

    async def _told_which(self) -> None:
        """Until it is known whether this is a stream of a task or of a reply. May be canceled and called
        again: nothing is taken before."""
        live = self._live
        while not (live.is_announced or live.is_settled or live.is_abandoned or self._is_closed):
            await live._change()  # noqa: SLF001 the two are one mechanism

    def close(self) -> None:
        """Also wakes a `batch` that waits."""
        if not self._is_closed:
            self._is_closed = True
            self._entry = Event(_no_event)
            self._live.followers -= 1
            self._live.wake()
            self._on_close()

    def _ends(self, event: Event) -> bool:
        if self._until_terminal:
            return event.ends_task
        return event.ends_turn and not (self._outlives_auth and event.awaits_auth)


# Of the ids alone: an event that held its task would keep it, and with it all that it has grown to.
def _status_update(task_id: str, context_id: str, status: TaskStatus) -> StreamResponse:
    event = TaskStatusUpdateEvent(task_id=task_id, context_id=context_id, status=status)
    return StreamResponse(status_update=event)


def _artifact_update(task_id: str, context_id: str, artifact: Artifact, *, append: bool) -> StreamResponse:
    event = TaskArtifactUpdateEvent(task_id=task_id, context_id=context_id, artifact=artifact, append=append)
    return StreamResponse(artifact_update=event)


def _text_update(task_id: str, context_id: str, artifact_id: str, name: str, text: str) -> StreamResponse:
    artifact = Artifact(artifact_id=artifact_id, name=name, parts=[Part(text=text)])
    return _artifact_update(task_id, context_id, artifact, append=True)


def status_now(state: TaskState, message: Message | None = None) -> TaskStatus:
    """To the millisecond, as it goes out: what a client saw can be compared with what is kept."""
    now = datetime.now(UTC)
    at = now.replace(microsecond=now.microsecond // 1_000 * 1_000)
    return TaskStatus(state=state, message=message, timestamp=at)


def _encoded(artifact: Artifact) -> tuple[int, bytes | None]:
    """How much it takes as JSON, and the JSON where that was needed to know. Raises ValueError where it
    cannot be sent."""
    raw = sum(len(part.raw) for part in artifact.parts if part.raw is not None)
    if raw:
        rest = pydantic_core.to_json(artifact, exclude_none=True, exclude=_RAW_BYTES)
        return len(rest) + raw * 4 // 3, None
    json = pydantic_core.to_json(artifact, exclude_none=True)
    return len(json), json
