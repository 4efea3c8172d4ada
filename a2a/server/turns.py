"""The turns of tasks: a skill runs, its output becomes events, and the end is kept before it is told."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import assert_never

import pydantic_core
import structlog

from a2a.errors import TaskNotFound
from a2a.server.live import LiveTask, status_now
from a2a.skill import (
    AuthRequired,
    InputRequired,
    Produced,
    Progress,
    Rejected,
    Reply,
    Request,
    Skill,
    SkillFailed,
    SkillOutcome,
)
from a2a.stores.base import MessageKey, StoredTask, TaskStore
from a2a.types import Artifact, Message, Part, Task, TaskState, TaskStatus, new_id

log = structlog.get_logger(__name__)

RESULT_NAME = "result"
CANCEL_WAIT_S = 5.0
MAX_REPLIES = 1_000
NOT_KEPT = "The agent could not keep the result; send it again with a new messageId."
STOPPED = "The agent stopped while it worked on this; send it again with a new messageId."
SAVE_PAUSES_S = (0.1, 0.5, 2.0)

# What a turn is to do, or how it ends without doing anything.
Work = tuple[Skill, Request] | SkillOutcome
# Keeps the beginning of a turn; the skill runs once it is kept.
Begin = Callable[[], Awaitable[None]]


class Turns:
    """Runs skills for live tasks. At most `max_running` at once; up to `max_waiting` further ones wait."""

    def __init__(self, store: TaskStore, *, max_running: int, max_waiting: int) -> None:
        self._store = store
        self._slots = asyncio.Semaphore(max_running)
        self._max_unfinished = max_running + max_waiting
        self._workers: set[asyncio.Task[None]] = set()
        self._live: dict[str, LiveTask] = {}
        self._is_closing = False
        # How many read a task from the store just now; it stays live for them once it is.
        self._loading: Counter[str] = Counter()
        self._replies: OrderedDict[MessageKey, Message] = OrderedDict()
        self.running = 0

    @property
    def is_full(self) -> bool:
        return len(self._workers) >= self._max_unfinished

    def find(self, task_id: str, owner: str) -> LiveTask | None:
        live = self._live.get(task_id)
        return live if live is not None and live.owner == owner else None

    async def look_up(self, task_id: str, owner: str) -> Task:
        """The task as it is. Raises TaskNotFound, also where it is another owner's."""
        live = self.find(task_id, owner)
        if live is not None:
            return live.snapshot()
        stored = await self._store.get(task_id, owner)
        if stored is None:
            raise TaskNotFound
        return stored.task

    async def load(self, task_id: str, owner: str) -> LiveTask:
        """The task in its live form. Release it where nothing comes of that. Raises TaskNotFound."""
        live = self.find(task_id, owner)
        if live is not None:
            return live
        self._loading[task_id] += 1
        try:
            stored = await self._store.get(task_id, owner)
        finally:
            self._loading[task_id] -= 1
            if not self._loading[task_id]:
                del self._loading[task_id]
        if stored is None:
            raise TaskNotFound
        return self.add(stored)

    def add(self, stored: StoredTask) -> LiveTask:
        """The task's live form; the one there is, where somebody else was quicker."""
        return self._live.setdefault(stored.task.id, LiveTask(stored))

    def release(self, live: LiveTask) -> None:
        """Live no more, where nobody follows it and nothing runs."""
        if live.id in self._loading or live.is_being_ended:
            return  # what is read, now or then, may be older than this
        has_ended = live.state.is_terminal or live.reply is not None
        if live.worker is None and (has_ended or live.followers == 0) and self._live.get(live.id) is live:
            del self._live[live.id]

    async def start(self, live: LiveTask, work: Work, begin: Begin) -> None:
        """Begin a turn; returns once it is kept. Raises what `begin` raises: then nothing has run.

        The worker does the keeping, so that a caller who leaves in the middle changes nothing."""
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        worker = asyncio.create_task(self._turn(live, work, begin, begun), name=f"task {live.id}")
        live.worker = worker
        live.is_beginning = True
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)
        await begun

    def reply_to(self, key: MessageKey) -> Message | None:
        """What a message was answered that made no task, if that is not long ago."""
        return self._replies.get(key)

    async def cancel(self, live: LiveTask) -> TaskState | None:
        """Stop the turn, or end a task that waits for its caller. The state it was canceled in; None where it
        had ended otherwise."""
        await live.begun()
        if live.is_abandoned:
            return None
        canceled_in = live.state
        if live.worker is not None:
            if not live.is_ending:
                live.is_cancel_requested = True
                live.worker.cancel()
            await asyncio.wait([live.worker], timeout=CANCEL_WAIT_S)
        if live.is_being_ended and live.worker is None:
            await live.ended()
            return None  # somebody else cancels it
        if not live.state.is_terminal and live.reply is None:
            # Its turn may have ended in a question while this waited.
            canceled_in = live.state
            await self._end(live, status_now(TaskState.CANCELED))
        is_canceled = live.state is TaskState.CANCELED and live.reply is None
        return canceled_in if is_canceled else None

    async def save_running(self, owner: str | None = None) -> None:
        """Keep how far running tasks have come; the end of a turn is kept without this."""
        for live in list(self._live.values()):
            if live.is_unsaved and not live.is_settled and (owner is None or live.owner == owner):
                await self._save(live, None)

    async def close(self, *, grace_s: float) -> None:
        """Let running skills finish for `grace_s` seconds, then cancel what is left; it has failed."""
        if not self._workers:
            return
        _, late = await asyncio.wait(self._workers, timeout=grace_s)
        self._is_closing = True
        ending = {live.worker for live in self._live.values() if live.is_ending}
        for worker in late - ending:
            worker.cancel()
        if late:
            _, stuck = await asyncio.wait(late, timeout=CANCEL_WAIT_S)
            for worker in stuck:
                log.error("skill.does_not_stop", worker=worker.get_name())

    async def _turn(self, live: LiveTask, work: Work, begin: Begin, begun: asyncio.Future[None]) -> None:
        try:
            await begin()
        except asyncio.CancelledError:
            begun.cancel()
            raise
        except Exception as exc:  # noqa: BLE001 handed to who called
            self._live.pop(live.id, None)
            live.abandon()
            if not begun.done():  # else the caller has left
                begun.set_exception(exc)
            return
        live.is_beginning = False
        live.wake()
        if not begun.done():
            begun.set_result(None)
        try:
            status = await self._outcome(live, work)
        except asyncio.CancelledError:
            status = self._stopped(live)
        await self._end(live, status)

    def _stopped(self, live: LiveTask) -> TaskStatus:
        """How a turn ends whose skill was canceled: by its caller, by the end of the process, or by something
        of the skill's own, which is a failure of it."""
        if live.is_cancel_requested:
            return status_now(TaskState.CANCELED)
        if self._is_closing:
            return live.spoken(TaskState.FAILED, STOPPED, retryable=True)
        log.error("skill.canceled_itself", task_id=live.id)
        return live.spoken(TaskState.FAILED, "The agent failed: what it waited for was canceled.")

    async def _outcome(self, live: LiveTask, work: Work) -> TaskStatus:
        """How the turn ends. Raises CancelledError alone."""
        if isinstance(work, SkillOutcome):
            # Not raised: its traceback would hold this frame, which holds it, and the task with both.
            return _status_of(live, work)
        if self._slots.locked():
            live.announce()  # nobody knows how long it will wait
        try:
            async with self._slots:
                self.running += 1
                try:
                    await _run(live, *work)
                finally:
                    self.running -= 1
        except SkillOutcome as outcome:
            return _status_of(live, outcome)
        except Exception:
            error_id = new_id()
            # A log that cannot be written must not leave the caller waiting.
            with suppress(Exception):
                log.exception("skill.crashed", task_id=live.id, error_id=error_id)
            return live.spoken(TaskState.FAILED, f"The agent failed; its log has error {error_id}.")
        return status_now(TaskState.COMPLETED)

    async def _end(self, live: LiveTask, status: TaskStatus) -> None:
        """Keep the end of the turn, then tell it. Once: whoever comes second finds it done."""
        if live.is_ending:
            await live.ended()
            return
        # At once, so that nobody begins a turn meanwhile; and in a task of its own where it can be left in
        # the middle, as by a caller who cancels.
        live.is_ending = True
        if asyncio.current_task() is live.worker:
            await self._finish(live, status)
        else:
            await asyncio.shield(asyncio.create_task(self._finish(live, status)))

    async def _finish(self, live: LiveTask, status: TaskStatus) -> None:
        if live.reply is not None:
            await self._forget(live)
        elif not await self._save_surely(live, status):
            status = live.spoken(TaskState.FAILED, NOT_KEPT, retryable=True)
        live.set_status(status)
        live.is_unsaved = False
        # A skill that outlives its cancellation comes here again, and finds the task ended.
        live.is_ending = live.state.is_terminal
        live.worker = None
        self.release(live)

    async def _forget(self, live: LiveTask) -> None:
        """A task that was answered without one. Its caller has the answer, whatever the store says."""
        assert live.reply is not None
        if live.turn_key is not None:
            self._replies[live.turn_key] = live.reply
            while len(self._replies) > MAX_REPLIES:
                self._replies.popitem(last=False)
        try:
            await self._store.forget(live.id)
        except Exception:
            log.exception("store.forget_failed", task_id=live.id)

    async def _save_surely(self, live: LiveTask, status: TaskStatus) -> bool:
        for pause_s in (*SAVE_PAUSES_S, None):
            try:
                if await self._save(live, status):
                    return True
                live.is_doubtful = True
            except Exception:
                log.exception("store.save_failed", task_id=live.id)
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        return False

    async def _save(self, live: LiveTask, status: TaskStatus | None) -> bool:
        async with live.saving:
            if status is None and (live.is_ending or not live.is_unsaved):
                return True  # the end of the turn is kept, or was while this waited
            if live.is_doubtful:
                await self._find_version(live)
            task = live.snapshot(status)
            # The JSON of a settled task is what its caller gets, too.
            body = pydantic_core.to_json(task, exclude_none=True) if status is not None else None
            stored = StoredTask(task, live.owner, live.version + 1, live.skill_id, body)
            live.is_unsaved = False
            # Until the store answers nobody knows which version it has: it may break, or this be canceled.
            live.is_doubtful = True
            is_saved = await self._store.save(stored, expected_version=live.version)
            live.is_doubtful = False
            if not is_saved:
                return False
            live.version = stored.version
            live.kept = stored if status is not None else None
        return True

    async def _find_version(self, live: LiveTask) -> None:
        """Take up the version that the store has, after a save whose outcome was lost. One process writes."""
        found = await self._store.get(live.id, live.owner)
        if found is not None:
            live.version = found.version
        live.is_doubtful = False


async def _run(live: LiveTask, skill: Skill, request: Request) -> None:
    """The skill's function from its first to its last output."""
    if not skill.replies:
        live.announce()
    live.set_status(status_now(TaskState.WORKING))
    await skill.run(request, _Output(live, may_reply=skill.replies).take)


class _Output:
    """Turns what a skill yields into events. Bare text, dicts and parts are chunks of one result artifact."""

    def __init__(self, live: LiveTask, *, may_reply: bool) -> None:
        self._live = live
        self._may_reply = may_reply
        self._artifact_id: str | None = None

    def take(self, item: Produced) -> bool:
        """Whether more is wanted: not after a reply."""
        if isinstance(item, Reply) and self._may_reply and not self._live.is_announced:
            self._live.answer(item)
            return False
        self._live.announce()
        match item:
            case str():
                self._append_text(item)
            case Progress(text):
                self._live.set_status(self._live.spoken(TaskState.WORKING, text))
            case Artifact():
                self._live.add_artifact(item)
            case Part():
                self._append([item])
            case dict():
                self._append([Part.from_data(item)])
            case Reply():
                self._append(item.parts)
            case _:
                assert_never(item)
        return True

    def _append_text(self, text: str) -> None:
        if self._artifact_id is None:
            self._append([Part(text=text)])
        else:
            self._live.append_text(self._artifact_id, RESULT_NAME, text)

    def _append(self, parts: Sequence[Part]) -> None:
        is_first = self._artifact_id is None
        self._artifact_id = self._artifact_id or new_id()
        chunk = Artifact(artifact_id=self._artifact_id, name=RESULT_NAME, parts=list(parts))
        self._live.add_artifact(chunk, append=not is_first)


def _status_of(live: LiveTask, outcome: SkillOutcome) -> TaskStatus:
    match outcome:
        case InputRequired():
            return live.spoken(TaskState.INPUT_REQUIRED, outcome.text)
        case AuthRequired():
            return live.spoken(TaskState.AUTH_REQUIRED, outcome.text)
        case Rejected():
            return live.spoken(TaskState.REJECTED, outcome.text)
        case SkillFailed():
            return live.spoken(TaskState.FAILED, outcome.text, retryable=outcome.retryable)
        case _:
            return live.spoken(TaskState.FAILED, outcome.text)


def lost(stored: StoredTask) -> StoredTask:
    """A task that worked when its process died, as it ends: the next version."""
    said = Message.from_agent(
        Part.from_text(STOPPED),
        context_id=stored.task.context_id,
        task_id=stored.task.id,
    )
    said.metadata = {"retryable": True, "mayHaveRun": True}
    task = stored.task.model_copy(update={"status": status_now(TaskState.FAILED, said)})
    return StoredTask(task, stored.owner, stored.version + 1, stored.skill_id)


async def tell_canceled(skill: Skill | None, task_id: str) -> None:
    """That a task which waited for input is canceled. Its failure is the agent's own affair."""
    if skill is None or skill.on_cancel is None:
        return
    try:
        async with asyncio.timeout(CANCEL_WAIT_S):
            await skill.on_cancel(task_id)
    except Exception:
        log.exception("skill.on_cancel_failed", task_id=task_id, skill_id=skill.id)
