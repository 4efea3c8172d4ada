"""The operations of an A2A server (specification section 3), the same beneath every binding."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import assert_never

import structlog

from a2a.errors import (
    InvalidParams,
    TaskNotCancelable,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a.live import LiveTask
from a2a.skill import (
    AuthRequired,
    InputRequired,
    Produced,
    Progress,
    Rejected,
    Request,
    Skill,
    SkillFailed,
    SkillOutcome,
    best_skill,
)
from a2a.store import MemoryTaskStore
from a2a.types import (
    Artifact,
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
    TaskStatus,
    new_id,
)

log = structlog.get_logger(__name__)

RESULT_NAME = "result"
CANCEL_WAIT_S = 5.0


class RequestHandler:
    """Runs skills as tasks and answers for them.

    At most `max_running` skills run at once; further tasks wait as SUBMITTED.
    """

    def __init__(self, skills: Mapping[str, Skill], store: MemoryTaskStore, *, max_running: int) -> None:
        self._skills = skills
        self._store = store
        self._slots = asyncio.Semaphore(max_running)
        self.running = 0

    async def send_message(self, request: SendMessageRequest) -> Task:
        """Blocking unless `returnImmediately` is set: returns at a terminal or interrupted state (3.2.2)."""
        live = self._accept(request.message)
        configuration = request.configuration
        if configuration is None:
            await live.settled()
            return live.task
        if not configuration.return_immediately:
            await live.settled()
        return live.task.with_history(configuration.history_length)

    async def stream_message(self, request: SendMessageRequest) -> AsyncIterator[StreamResponse]:
        """The task first, then its events until the turn ends (3.1.2). Errors come before the first event."""
        return self._accept(request.message).follow()

    async def get_task(self, request: GetTaskRequest) -> Task:
        return self._find(request.id).task.with_history(request.history_length)

    async def cancel_task(self, request: CancelTaskRequest) -> Task:
        live = self._find(request.id)
        if live.task.status.state.is_terminal:
            raise TaskNotCancelable
        if live.worker is not None:
            live.worker.cancel()
            await asyncio.wait([live.worker], timeout=CANCEL_WAIT_S)
        if not live.task.status.state.is_terminal:
            live.set_state(TaskState.CANCELED)
            self._store.mark_settled(live)
        return live.task

    async def close(self, *, grace_s: float) -> None:
        """Let running skills finish for `grace_s` seconds, then cancel what is left."""
        workers = [live.worker for live in self._store if live.worker and not live.worker.done()]
        if not workers:
            return
        _, late = await asyncio.wait(workers, timeout=grace_s)
        for worker in late:
            worker.cancel()
        if late:
            await asyncio.wait(late)

    def _find(self, task_id: str) -> LiveTask:
        live = self._store.get(task_id)
        if live is None:
            raise TaskNotFound
        return live

    def _accept(self, message: Message) -> LiveTask:
        """The task this message makes or continues, its skill started. A repeated one gets its old task."""
        key = _message_key(message)
        made = self._store.made_by(key)
        if made is not None:
            return made
        live = self._continue(message) if message.task_id else self._create(message)
        self._store.remember_message(key, live.task.id)
        live.worker = asyncio.create_task(self._run(live, message), name=f"task {live.task.id}")
        return live

    def _create(self, message: Message) -> LiveTask:
        task_id, context_id = new_id(), message.context_id or new_id()
        taken = message.model_copy(update={"task_id": task_id, "context_id": context_id})
        task = Task(
            id=task_id,
            context_id=context_id,
            status=TaskStatus(state=TaskState.SUBMITTED, timestamp=datetime.now(UTC)),
            history=[taken],
        )
        live = LiveTask(task, context_id)
        self._store.add(live)
        return live

    def _continue(self, message: Message) -> LiveTask:
        live = self._find(message.task_id or "")
        if message.context_id is not None and message.context_id != live.context_id:
            raise InvalidParams("The task belongs to another context; send its own or none.")
        state = live.task.status.state
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
            log.exception("skill.crashed", task_id=live.task.id, error_id=error_id)
        finally:
            if live.is_settled:
                self._store.mark_settled(live)

    async def _run_skill(self, live: LiveTask, message: Message) -> None:
        skill = self._route(message)
        live.set_state(TaskState.WORKING)
        request = Request(
            message=message,
            task_id=live.task.id,
            context_id=live.context_id,
            skill_id=skill.id,
            history=tuple((live.task.history or [])[:-1]),
        )
        chunks = _Chunks(live)
        async for item in skill.produce(request):
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


def _message_key(message: Message) -> bytes:
    """Same id and same content: a client may use one id for different messages of a session."""
    return hashlib.blake2b(message.model_dump_json().encode(), digest_size=16).digest()
