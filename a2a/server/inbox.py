"""Where messages come in: the task each makes or continues, found and begun."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from a2a.errors import (
    FieldViolation,
    InternalError,
    InvalidParams,
    ProtocolError,
    ResourceExhausted,
    UnsupportedOperation,
)
from a2a.requests import SendMessageRequest, TaskPushNotificationConfig
from a2a.server.context import CallContext
from a2a.server.live import LiveTask, status_now
from a2a.server.modes import check_modes
from a2a.server.pushes import Pushes
from a2a.server.security import Authenticator, Caller
from a2a.server.turns import Turns, Work, lost
from a2a.skill import Rejected, Request, Skill, best_skill
from a2a.stores.base import MessageKey, StoredTask, TaskStore
from a2a.types import MAX_LISTED, Message, Task, TaskState, new_id

log = structlog.get_logger(__name__)

MAX_CONTEXT_ID_CHARS = 200
# Which skill fits is said at the beginning; words beyond would only take time.
MAX_MATCHED_CHARS = 20_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message, who sent it, and what it is known by."""

    message: Message
    caller: Caller
    owner: str
    key: MessageKey
    push: TaskPushNotificationConfig | None
    accepted_output_modes: tuple[str, ...]


def nothing(_live: LiveTask) -> None:
    pass


class Inbox:
    """Gives each message its skill and its task. Without an `authenticator` nobody is asked who they are."""

    def __init__(
        self,
        skills: Mapping[str, Skill],
        store: TaskStore,
        turns: Turns,
        pushes: Pushes | None,
        authenticator: Authenticator | None,
    ) -> None:
        self._skills = skills
        self._store = store
        self._turns = turns
        self._pushes = pushes
        self._authenticator = authenticator

    async def accept(
        self,
        request: SendMessageRequest,
        push: TaskPushNotificationConfig | None,
        call: CallContext,
        attach: Callable[[LiveTask], None] = nothing,
    ) -> LiveTask:
        """The task this message makes or continues, its skill started. A repeated one gets its old task.
        `push` is a checked one, for the task; `attach` is called with a task that goes on, before its skill
        does."""
        message, owner = request.message, call.owner(request)
        _check_context_id(message.context_id)
        configuration = request.configuration
        modes = tuple((configuration.accepted_output_modes if configuration else None) or ())
        incoming = Incoming(message, call.caller, owner, _message_key(owner, message), push, modes)
        begin = self._continue if message.task_id else self._begin
        return await begin(incoming, attach)

    async def _begin(self, incoming: Incoming, attach: Callable[[LiveTask], None]) -> LiveTask:
        skill = self._route(incoming.message)
        self._admit(skill, incoming)
        reply = self._turns.reply_to(incoming.key)
        if reply is not None:
            return _answered(_new_task(incoming, skill), reply)
        if self._turns.is_full:
            raise ResourceExhausted("The agent has too many waiting tasks; try again later.")
        first = _new_task(incoming, skill)
        live = self._turns.add(first)
        live.turn_key = incoming.key

        async def begin() -> None:
            kept = await self._store.create(first, incoming.key)
            if kept is not first:
                raise _AlreadyMade(kept)
            if incoming.push is not None:
                await self._keep_first_push(live, incoming.push)
                await self._tell_receivers(live)
            attach(live)

        try:
            await self._turns.start(live, _work(live, skill, incoming), begin)
        except _AlreadyMade as made:
            # A task that was answered without one is forgotten: this message is a new one then.
            return await self._known(made.stored) or await self._begin(incoming, attach)
        return live

    async def _continue(self, incoming: Incoming, attach: Callable[[LiveTask], None]) -> LiveTask:
        message, key = incoming.message, incoming.key
        made = await self._store.made_by(key)
        if made is not None and made.task.id == message.task_id:
            known = await self._known(made)
            if known is not None:
                return known
        # No await from here until the turn has begun: the state that is checked is the one that changes.
        live = await self._turns.load(message.task_id or "", incoming.owner)
        if live.turn_key == key:
            return live
        try:
            _check_continues(live, message)
            skill = self._skills.get(live.skill_id or "") or self._route(message)
            self._admit(skill, incoming)
        except ProtocolError:
            self._turns.release(live)
            raise
        live.begin_turn(message.model_copy(update={"context_id": live.context_id}), key)

        async def begin() -> None:
            # Before the turn is kept: a receiver too many is refused, and then nothing has begun.
            await self._keep_push(live, incoming.push)
            stored = StoredTask(live.snapshot(), live.owner, live.version + 1, live.skill_id)
            if not await self._store.save(stored, expected_version=live.version, continued_by=key):
                raise InternalError("The task has changed meanwhile; get it and try again.")
            live.version = stored.version
            await self._tell_receivers(live)
            attach(live)

        await self._turns.start(live, _work(live, skill, incoming), begin)
        return live

    async def _known(self, stored: StoredTask) -> LiveTask | None:
        """A task that need not be made live: it runs, or nothing more comes. None where it is gone."""
        found: StoredTask | None = stored
        live = self._turns.find(stored.task.id, stored.owner)
        if live is None and not stored.task.status.state.is_settled:
            # Its turn has ended since it was read.
            found = await self._store.get(stored.task.id, stored.owner)
            live = self._turns.find(stored.task.id, stored.owner)
        if live is None and found is not None and not found.task.status.state.is_settled:
            # Kept, and nobody works on it: the store broke just when it was to begin.
            ended = lost(found)
            await self._store.save(ended, expected_version=found.version)
            found = ended
        return live or (LiveTask(found) if found is not None else None)

    async def _keep_push(self, live: LiveTask, config: TaskPushNotificationConfig | None) -> None:
        if self._pushes is not None and config is not None:
            await self._pushes.keep(live.id, config, has_ended=False)

    async def _keep_first_push(self, live: LiveTask, config: TaskPushNotificationConfig) -> None:
        """The task is kept by then; a task that cannot begin is not."""
        try:
            await self._keep_push(live, config)
        except Exception:
            await self._store.forget(live.id)
            raise

    async def _tell_receivers(self, live: LiveTask) -> None:
        """Of how this turn goes. It is kept by then, so it goes on without them."""
        if self._pushes is None:
            return
        try:
            await self._pushes.follow(live, self._turns.release)
        except Exception:
            log.exception("push.not_followed", task_id=live.id)

    def _admit(self, skill: Skill | Rejected, incoming: Incoming) -> None:
        """Raises ContentTypeNotSupported, Unauthenticated or PermissionDenied."""
        if isinstance(skill, Rejected):
            return
        if self._authenticator is not None:
            if skill.is_private:
                self._authenticator.check_known(incoming.caller)
            self._authenticator.check(incoming.caller, skill.security)
        check_modes(incoming.message, skill.input_modes)

    def _route(self, message: Message) -> Skill | Rejected:
        wanted = (message.metadata or {}).get("skillId")
        known = ", ".join(sorted(skill.id for skill in self._skills.values() if not skill.is_private))
        if wanted is not None:
            skill = self._skills.get(wanted) if isinstance(wanted, str) else None
            return skill or Rejected(f"There is no such skill here. Skills: {known}.")
        skill = best_skill(self._skills, message.spoken_text()[:MAX_MATCHED_CHARS])
        return skill or Rejected(f"No skill fits this. Name one in metadata.skillId: {known}.")


class _AlreadyMade(Exception):
    def __init__(self, stored: StoredTask) -> None:
        self.stored = stored
        super().__init__()


def _answered(stored: StoredTask, reply: Message) -> LiveTask:
    """A message that was answered without a task before, and is again."""
    live = LiveTask(stored)
    live.reply = reply
    return live


def _work(live: LiveTask, skill: Skill | Rejected, incoming: Incoming) -> Work:
    if isinstance(skill, Rejected):
        return skill
    live.skill_id = skill.id
    history = tuple(live.history[:-1])
    request = Request(
        message=incoming.message,
        task_id=live.id,
        context_id=live.context_id,
        skill_id=skill.id,
        history=history,
        accepted_output_modes=incoming.accepted_output_modes,
        caller=incoming.caller.name,
    )
    return skill, request


def _new_task(incoming: Incoming, skill: Skill | Rejected) -> StoredTask:
    task_id, context_id = new_id(), incoming.message.context_id or new_id()
    taken = incoming.message.model_copy(update={"task_id": task_id, "context_id": context_id})
    task = Task(id=task_id, context_id=context_id, status=status_now(TaskState.SUBMITTED), history=[taken])
    return StoredTask(task, incoming.owner, 1, skill.id if isinstance(skill, Skill) else None)


def _check_continues(live: LiveTask, message: Message) -> None:
    if message.context_id is not None and message.context_id != live.context_id:
        rule = "the task belongs to another context; send its own or none"
        raise InvalidParams(violations=[FieldViolation("message.contextId", rule)])
    if live.state.is_terminal:
        raise UnsupportedOperation("The task has ended; send a new message without taskId.")
    if live.is_ending:
        raise UnsupportedOperation("The task is being canceled.")
    if not live.state.is_interrupted:
        raise UnsupportedOperation("The task is still working and has not asked for input.")
    if len(live.history) + 2 > MAX_LISTED:
        raise UnsupportedOperation("The task has had too many turns; send a new message without taskId.")


def _check_context_id(context_id: str | None) -> None:
    """A context is the client's to name (3.4.1), within what an id can be."""
    if context_id is None:
        return
    if len(context_id) > MAX_CONTEXT_ID_CHARS or _CONTROL.search(context_id):
        rule = f"at most {MAX_CONTEXT_ID_CHARS} characters, none of them a control character"
        raise InvalidParams(violations=[FieldViolation("message.contextId", rule)])


def _message_key(owner: str, message: Message) -> MessageKey:
    """Same caller, same id and same content: a client may use one id for different messages of a session."""
    is_free = message.metadata or any(p.data is not None or p.metadata for p in message.parts)
    # A caller that sends again what it has kept may give the keys of its own JSON in another order.
    body = json.dumps(message.to_json(), sort_keys=True) if is_free else message.model_dump_json()
    content = f"{owner}\n{body}".encode()
    return hashlib.blake2b(content, digest_size=16).digest()
