"""The operations of an A2A server (specification section 3), the same beneath every binding."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from a2a.card_types import AgentCard
from a2a.errors import (
    FieldViolation,
    InvalidParams,
    PushNotificationNotSupported,
    ResourceExhausted,
    TaskNotCancelable,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a.requests import (
    DEFAULT_PAGE_SIZE,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    Empty,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.server.context import CallContext
from a2a.server.inbox import Inbox, nothing
from a2a.server.live import Follower, LiveTask
from a2a.server.paging import page_token, position_of
from a2a.server.pushes import Pushes
from a2a.server.security import Authenticator
from a2a.server.turns import Turns, lost, tell_canceled
from a2a.skill import Skill
from a2a.stores.base import StoredTask, TaskQuery, TaskStore
from a2a.types import PROTOCOL_VERSION, Message, Task

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once: skills that run, tasks that wait for one to end, streams that are open."""

    max_running: int = 32
    max_waiting: int = 10_000
    max_streams: int = 1_000


class RequestHandler:
    """Answers for an agent's tasks. `pushes` is None where the agent sends no notifications, `extended_card`
    where it has no other card than the public one, `authenticator` where nobody is asked who they are. Every
    method may raise a ProtocolError."""

    def __init__(
        self,
        skills: Mapping[str, Skill],
        store: TaskStore,
        *,
        limits: Limits = Limits(),
        pushes: Pushes | None = None,
        extended_card: AgentCard | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._skills = skills
        self._store = store
        self._turns = Turns(store, max_running=limits.max_running, max_waiting=limits.max_waiting)
        self._max_streams = limits.max_streams
        self._streams = 0
        self.is_closed = False
        self._pushes = pushes
        self._extended_card = extended_card
        self._authenticator = authenticator
        self._inbox = Inbox(skills, store, self._turns, pushes, authenticator)

    @property
    def running(self) -> int:
        return self._turns.running

    async def open(self) -> None:
        """Take over the store. What ran when the last process died has failed, and its receivers learn so."""
        await self._store.open()
        for stored in await self._store.unfinished():
            await self._store.save(lost(stored), expected_version=stored.version)
            log.warning("task.lost", task_id=stored.task.id)
        if self._pushes is not None:
            await self._pushes.resume()

    async def save_running(self) -> None:
        await self._turns.save_running()

    async def drain(self, *, grace_s: float) -> None:
        """Let running skills finish for `grace_s` seconds, then fail what is left; callers learn of both."""
        await self._turns.close(grace_s=grace_s)

    async def close(self, *, grace_s: float) -> None:
        """Drain, and take no more."""
        self.is_closed = True
        await self.drain(grace_s=grace_s)
        if self._pushes is not None:
            await self._pushes.close()
        await self._store.close()

    async def send_message(self, request: SendMessageRequest, call: CallContext) -> Task | Message:
        """Blocking unless `returnImmediately` is set: returns at a terminal or interrupted state (3.2.2), or
        with the skill's reply."""
        sent = await self.send(request, call)
        return sent.task if isinstance(sent, StoredTask) else sent

    async def send(self, request: SendMessageRequest, call: CallContext) -> StoredTask | Task | Message:
        """As send_message; a task that was kept whole comes with its JSON."""
        configuration = request.configuration
        at_once = configuration is not None and configuration.return_immediately
        attach = LiveTask.announce if at_once else nothing
        live = await self._inbox.accept(request, self._push_config(request), call, attach)
        if at_once:
            live.announce()
        else:
            await live.settled()
        if live.reply is not None:
            return live.reply
        length = configuration.history_length if configuration is not None else None
        if live.kept is not None and live.is_settled and length is None:
            return live.kept
        return live.snapshot().with_history(length)

    async def stream_message(self, request: SendMessageRequest, call: CallContext) -> Follower:
        """The task first, then its events until it ends or asks for input (3.1.2); or a skill's reply alone.
        A stream of 1.0 stays open while somebody has to authorise something (7.6.1)."""
        self._take_stream()
        follow = partial(self._follow, outlives_auth=call.version == PROTOCOL_VERSION)
        followers: list[Follower] = []
        has_left = False

        def attach(live: LiveTask) -> None:
            if not has_left:
                followers.append(follow(live))

        try:
            # It follows before the skill runs: what a quick one does would else be over already.
            live = await self._inbox.accept(request, self._push_config(request), call, attach)
        except BaseException:
            # The turn may begin all the same, and must not wait for a caller who has left.
            has_left = True
            if followers:
                followers[0].close()
            else:
                self._streams -= 1
            raise
        return followers[0] if followers else follow(live)

    async def subscribe(self, request: SubscribeToTaskRequest, call: CallContext) -> Follower:
        """The task as it is, then its events until it ends, over as many turns as it takes (3.1.6)."""
        self._take_stream()
        try:
            live = await self._turns.load(request.id, call.owner(request))
            if live.state.is_terminal:
                self._turns.release(live)
                raise UnsupportedOperation("The task has ended; get it instead.")
            return self._follow(live, until_terminal=True)
        except BaseException:
            self._streams -= 1
            raise

    async def get_task(self, request: GetTaskRequest, call: CallContext) -> Task:
        return (await self._turns.look_up(request.id, call.owner(request))).with_history(
            request.history_length
        )

    async def list_tasks(self, request: ListTasksRequest, call: CallContext) -> ListTasksResponse:
        """The caller's tasks, newest status first (3.1.4)."""
        owner = call.owner(request)
        after = position_of(request.page_token)
        await self._turns.save_running(owner)
        query = TaskQuery(
            owner=owner,
            page_size=request.page_size or DEFAULT_PAGE_SIZE,
            after=after,
            context_id=request.context_id or None,
            state=request.status,
            since=request.status_timestamp_after,
        )
        page = await self._store.list(query)
        tasks = [task.with_history(request.history_length) for task in page.tasks]
        if not request.include_artifacts:
            tasks = [task.model_copy(update={"artifacts": None}) for task in tasks]
        return ListTasksResponse(
            tasks=tasks,
            next_page_token=page_token(page.next_after),
            page_size=query.page_size,
            total_size=page.total,
        )

    async def cancel_task(self, request: CancelTaskRequest, call: CallContext) -> Task:
        live = await self._turns.load(request.id, call.owner(request))
        canceled_in = None if live.state.is_terminal else await self._turns.cancel(live)
        self._turns.release(live)
        if canceled_in is None:
            raise TaskNotCancelable
        if canceled_in.is_interrupted:
            await tell_canceled(self._skills.get(live.skill_id or ""), live.id)
            await self._tell_receivers(live.snapshot())
        return live.snapshot()

    async def create_push_config(
        self, request: TaskPushNotificationConfig, call: CallContext
    ) -> TaskPushNotificationConfig:
        pushes = self._pushes_or_error()
        owner = call.owner(request)
        if not request.task_id:
            raise InvalidParams(violations=[FieldViolation("taskId", "say which task")])
        task = await self._turns.look_up(request.task_id, owner)
        config = pushes.checked(request).model_copy(update={"task_id": task.id})
        had_ended = task.status.state.is_terminal
        await pushes.keep(task.id, config, has_ended=had_ended)
        live = self._turns.find(task.id, owner)
        if live is not None and not live.is_settled:
            await pushes.follow(live, self._turns.release)
            return config
        task = await self._turns.look_up(task.id, owner)
        if task.status.state.is_terminal and not had_ended:
            await pushes.tell_end(task, config)  # it ended while the configuration was being kept
        return config

    async def get_push_config(
        self, request: GetTaskPushNotificationConfigRequest, call: CallContext
    ) -> TaskPushNotificationConfig:
        configs = await self._push_configs(request.task_id, call.owner(request))
        config = next((config for config in configs if config.id == request.id), None)
        if config is None:
            raise TaskNotFound("There is no such task or push configuration, or it is not yours.")
        return config

    async def list_push_configs(
        self, request: ListTaskPushNotificationConfigsRequest, call: CallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        configs = await self._push_configs(request.task_id, call.owner(request))
        return ListTaskPushNotificationConfigsResponse(configs=list(configs))

    async def delete_push_config(
        self, request: DeleteTaskPushNotificationConfigRequest, call: CallContext
    ) -> Empty:
        """The same answer where it was deleted before (3.1.10)."""
        pushes = self._pushes_or_error()
        await self._turns.look_up(request.task_id, call.owner(request))
        await pushes.remove(request.task_id, request.id)
        return Empty()

    async def extended_card(self, _request: GetExtendedAgentCardRequest, call: CallContext) -> AgentCard:
        """For callers that are known, also where others may call as well (3.1.11)."""
        if self._extended_card is None:
            raise UnsupportedOperation("This agent has no extended card.")
        if self._authenticator is not None:
            self._authenticator.check_known(call.caller)
        return self._extended_card

    async def _push_configs(self, task_id: str, owner: str) -> list[TaskPushNotificationConfig]:
        pushes = self._pushes_or_error()
        await self._turns.look_up(task_id, owner)
        return list(await pushes.list(task_id))

    async def _tell_receivers(self, task: Task) -> None:
        """Of an end that came between two turns, when nobody followed the task for them."""
        if self._pushes is not None:
            for config in await self._pushes.list(task.id):
                await self._pushes.tell_end(task, config)

    def _pushes_or_error(self) -> Pushes:
        if self._pushes is None:
            raise PushNotificationNotSupported
        return self._pushes

    def _take_stream(self) -> None:
        """Counted before anything is awaited: many who come at once keep to the limit, too."""
        if self._streams >= self._max_streams:
            raise ResourceExhausted("The agent has too many open streams; poll with GetTask, or try later.")
        self._streams += 1

    def _follow(
        self, live: LiveTask, *, until_terminal: bool = False, outlives_auth: bool = False
    ) -> Follower:
        return live.follow(
            until_terminal=until_terminal,
            outlives_auth=outlives_auth,
            on_close=partial(self._unfollow, live),
        )

    def _unfollow(self, live: LiveTask) -> None:
        self._streams -= 1
        self._turns.release(live)

    def _push_config(self, request: SendMessageRequest) -> TaskPushNotificationConfig | None:
        config = request.configuration.task_push_notification_config if request.configuration else None
        return self._pushes_or_error().checked(config) if config is not None else None
