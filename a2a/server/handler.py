"""The operations of an A2A server (specification section 3), the same beneath every binding."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import assert_never

import structlog

from a2a.errors import (
    FieldViolation,
    InvalidParams,
    TaskNotCancelable,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageRequest
from a2a.server.live import LiveTask
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
    best_skill,
)
from a2a.stores.memory import MemoryTaskStore, MessageKey
from a2a.types import Artifact, Message, Part, StreamResponse, Task, TaskState, TaskStatus, new_id

log = structlog.get_logger(__name__)

RESULT_NAME = "result"
CANCEL_WAIT_S = 5.0
MAX_CONTEXT_ID_CHARS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Until there are callers to tell apart.
ANYBODY = ""


class RequestHandler:
    """Runs skills as tasks and answers for them.

    At most `max_running` skills run at once; up to `max_waiting` further tasks wait as SUBMITTED.
    """

    def __init__(
        self,
        skills: Mapping[str, Skill],
        store: MemoryTaskStore,
        *,
        max_running: int,
        max_waiting: int = 10_000,
    ) -> None:
        self._skills = skills
        self._store = store
        self._slots = asyncio.Semaphore(max_running)
        self._max_unfinished = max_running + max_waiting
        self._workers: set[asyncio.Task[None]] = set()
        self.running = 0

    async def send_message(self, request: SendMessageRequest) -> Task | Message:
        """Blocking unless `returnImmediately` is set: returns at a terminal or interrupted state (3.2.2), or
        with the skill's reply."""
        live = self._accept(request.message)
        configuration = request.configuration
        if configuration is not None and configuration.return_immediately:
            live.announce()
        else:
            await live.settled()
        if live.reply is not None:
            return live.reply
        return live.task.with_history(configuration.history_length if configuration is not None else None)

    async def stream_message(self, request: SendMessageRequest) -> AsyncIterator[StreamResponse]:
        """The task first, then its events until the turn ends (3.1.2); or a skill's reply alone.
        Errors come before the first event."""
        live = self._accept(request.message)
        return _task_or_reply(live, live.follow())

    async def get_task(self, request: GetTaskRequest) -> Task:
        return self._find(request.id).task.with_history(request.history_length)

    async def cancel_task(self, request: CancelTaskRequest) -> Task:
        live = self._find(request.id)
        if live.state.is_terminal:
            raise TaskNotCancelable
        if live.worker is not None:
            live.worker.cancel()
            await asyncio.wait([live.worker], timeout=CANCEL_WAIT_S)
        if not live.state.is_terminal:
            was_asking = live.state.is_interrupted
            live.set_state(TaskState.CANCELED)
            self._store.mark_settled(live)
            if was_asking:
                await _tell_skill(live)
        return live.task

    async def close(self, *, grace_s: float) -> None:
        """Let running skills finish for `grace_s` seconds, then cancel what is left."""
        if not self._workers:
            return
        _, late = await asyncio.wait(self._workers, timeout=grace_s)
        for worker in late:
            worker.cancel()
        if late:
            await asyncio.wait(late)

    def _find(self, task_id: str) -> LiveTask:
        live = self._store.get(task_id)
        if live is None:
            raise TaskNotFound
        return live

    def _accept(self, message: Message, caller: str = ANYBODY) -> LiveTask:
        """The task this message makes or continues, its skill started. A repeated one gets its old task."""
        _check_context_id(message.context_id)
        key = _message_key(caller, message)
        made = self._store.made_by(key)
        if made is not None:
            return made
        if message.task_id:
            live = self._continue(message)
        else:
            live = _new_task(message)
            if len(self._workers) >= self._max_unfinished:
                # Neither the task nor its message is remembered: the same message may be sent again.
                busy = "The agent has too many waiting tasks; try again later."
                live.say(TaskState.FAILED, busy, retryable=True)
                return live
            self._store.add(live)
        self._store.remember_message(key, live.id)
        live.worker = asyncio.create_task(self._run(live, message), name=f"task {live.id}")
        self._workers.add(live.worker)
        live.worker.add_done_callback(self._workers.discard)
        return live

    def _continue(self, message: Message) -> LiveTask:
        live = self._find(message.task_id or "")
        if message.context_id is not None and message.context_id != live.context_id:
            raise InvalidParams("The task belongs to another context; send its own or none.")
        state = live.state
        if state.is_terminal:
            raise UnsupportedOperation("The task has ended; send a new message without taskId.")
        if not state.is_interrupted:
            raise UnsupportedOperation("The task is still working and has not asked for input.")
        self._store.mark_running(live)
        live.begin_turn(message.model_copy(update={"context_id": live.context_id}))
        return live

    def _route(self, message: Message) -> Skill:
        wanted = (message.metadata or {}).get("skillId")
        known = ", ".join(sorted(self._skills))
        if wanted is not None:
            skill = self._skills.get(wanted) if isinstance(wanted, str) else None
            if skill is None:
                raise Rejected(f"There is no such skill here. Skills: {known}.")
            return skill
        skill = best_skill(self._skills, message.spoken_text())
        if skill is None:
            raise Rejected(f"No skill fits this. Name one in metadata.skillId: {known}.")
        return skill

    async def _run(self, live: LiveTask, message: Message) -> None:
        if self._slots.locked():
            live.announce()  # nobody knows how long it will wait
        try:
            async with self._slots:
                self.running += 1
                try:
                    await self._run_skill(live, message)
                finally:
                    self.running -= 1
        except asyncio.CancelledError:
            live.set_state(TaskState.CANCELED)
            raise
        except SkillOutcome as outcome:
            _end_turn(live, outcome)
        except Exception:
            error_id = new_id()
            # Said first: a log that cannot be written must not leave the caller waiting.
            live.say(TaskState.FAILED, f"The agent failed; its log has error {error_id}.")
            log.exception("skill.crashed", task_id=live.id, error_id=error_id)
        finally:
            if live.reply is not None:
                self._store.forget(live.id)
            elif live.is_settled:
                self._store.mark_settled(live)

    async def _run_skill(self, live: LiveTask, message: Message) -> None:
        live.skill = skill = self._route(message)
        if not skill.replies:
            live.announce()
        live.set_state(TaskState.WORKING)
        request = Request(
            message=message,
            task_id=live.id,
            context_id=live.context_id,
            skill_id=skill.id,
            history=tuple((live.task.history or [])[:-1]),
        )
        chunks = _Chunks(live)
        async with aclosing(skill.produce(request)) as items:
            async for item in items:
                if isinstance(item, Reply) and not live.is_announced:
                    live.answer(item)
                    return
                live.announce()
                chunks.take(item)
        live.set_state(TaskState.COMPLETED)


class _Chunks:
    """What a skill yields, written to its task: loose text, parts and dicts make up one artifact."""

    def __init__(self, live: LiveTask) -> None:
        self._live = live
        self._artifact_id: str | None = None

    def take(self, item: Produced) -> None:
        match item:
            case Progress(text):
                self._live.say(TaskState.WORKING, text)
            case Artifact():
                self._live.add_artifact(item)
            case Part():
                self._append(item)
            case str():
                self._append(Part.from_text(item))
            case dict():
                self._append(Part.from_data(item))
            case Reply():
                for part in item.parts:
                    self._append(part)
            case _:
                assert_never(item)

    def _append(self, part: Part) -> None:
        is_first = self._artifact_id is None
        self._artifact_id = self._artifact_id or new_id()
        chunk = Artifact(artifact_id=self._artifact_id, name=RESULT_NAME, parts=[part])
        self._live.add_artifact(chunk, append=not is_first)


def _end_turn(live: LiveTask, outcome: SkillOutcome) -> None:
    match outcome:
        case InputRequired():
            live.say(TaskState.INPUT_REQUIRED, outcome.text)
        case AuthRequired():
            live.say(TaskState.AUTH_REQUIRED, outcome.text)
        case Rejected():
            live.say(TaskState.REJECTED, outcome.text)
        case SkillFailed():
            live.say(TaskState.FAILED, outcome.text, retryable=outcome.retryable)
        case _:
            live.say(TaskState.FAILED, outcome.text)


def _new_task(message: Message) -> LiveTask:
    task_id, context_id = new_id(), message.context_id or new_id()
    taken = message.model_copy(update={"task_id": task_id, "context_id": context_id})
    status = TaskStatus(state=TaskState.SUBMITTED, timestamp=datetime.now(UTC))
    return LiveTask(Task(id=task_id, context_id=context_id, status=status, history=[taken]), context_id)


async def _task_or_reply(
    live: LiveTask, events: AsyncGenerator[StreamResponse]
) -> AsyncGenerator[StreamResponse]:
    await live.announced()
    if live.reply is not None:
        yield StreamResponse(message=live.reply)
        return
    async with aclosing(events):
        async for event in events:
            yield event


async def _tell_skill(live: LiveTask) -> None:
    """That a task which waited for input is canceled. Its failure is the agent's own affair."""
    if live.skill is None or live.skill.on_cancel is None:
        return
    try:
        async with asyncio.timeout(CANCEL_WAIT_S):
            await live.skill.on_cancel(live.id)
    except Exception:
        log.exception("skill.on_cancel_failed", task_id=live.id, skill_id=live.skill.id)


def _check_context_id(context_id: str | None) -> None:
    """A context is the client's to name (3.4.1), within what an id can be."""
    if context_id is None:
        return
    if len(context_id) > MAX_CONTEXT_ID_CHARS or _CONTROL.search(context_id):
        rule = f"at most {MAX_CONTEXT_ID_CHARS} characters, none of them a control character"
        raise InvalidParams(violations=[FieldViolation("message.contextId", rule)])


def _message_key(caller: str, message: Message) -> MessageKey:
    """Same caller, same id and same content: a client may use one id for different messages of a session."""
    return caller, hashlib.blake2b(message.model_dump_json().encode(), digest_size=16).digest()
