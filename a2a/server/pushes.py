"""Push configurations: checked, kept with their task, and handed to the sender turn by turn."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from a2a.addresses import AddressPolicy
from a2a.errors import FieldViolation, InvalidParams
from a2a.requests import TaskPushNotificationConfig
from a2a.server.live import LiveTask
from a2a.stores.base import TaskStore
from a2a.types import Task, new_id

if TYPE_CHECKING:
    import httpx

    from a2a.server.push import PushSender

TIMEOUT_S = 15.0
MAX_CONFIGS = 20


class Pushes:
    """What the operations need of push notifications. `policy` says which addresses may be told. The sender
    is made when it is first needed: few tasks have receivers, and its HTTP client is not small."""

    def __init__(self, store: TaskStore, policy: AddressPolicy, *, grace_s: float) -> None:
        self._store = store
        self._policy = policy
        self._grace_s = grace_s
        self._made: PushSender | None = None
        self._http: httpx.AsyncClient | None = None

    @property
    def _sender(self) -> "PushSender":
        if self._made is None:
            from a2a.guard import guarded_client
            from a2a.server.push import PushSender

            self._http = guarded_client(self._policy, timeout_s=TIMEOUT_S, max_redirects=0)
            self._made = PushSender(self._http)
        return self._made

    def checked(self, config: TaskPushNotificationConfig) -> TaskPushNotificationConfig:
        """With an id, if the client gave none. Raises InvalidParams where it cannot be used."""
        from a2a.server.push import check_push_config

        check_push_config(config, self._policy)
        return config.model_copy(update={"id": config.id or new_id()})

    async def keep(self, task_id: str, config: TaskPushNotificationConfig, *, has_ended: bool) -> None:
        """In place of an older one of its id. Raises InvalidParams where the task has too many."""
        others = [known for known in await self._store.push_configs(task_id) if known.id != config.id]
        if len(others) >= MAX_CONFIGS:
            rule = f"a task has at most {MAX_CONFIGS} push configurations; delete one first"
            raise InvalidParams(violations=[FieldViolation("taskId", rule)])
        kept = config.model_copy(update={"task_id": task_id})
        await self._store.put_push_config(task_id, kept, is_notified=has_ended)
        self._sender.stop(task_id, config.id or "")

    async def follow(self, live: LiveTask, release: Callable[[LiveTask], None]) -> None:
        """Tell every receiver of the task how this turn goes, those who are being told already excepted.
        `release` is called with the task when a receiver has heard all of the turn."""
        if live.is_settled:
            return
        for config in await self._store.push_configs(live.id):
            assert config.id is not None
            if not self._sender.is_following(live.id, config.id):
                told = partial(self._store.mark_notified, live.id, config.id)
                self._sender.follow(live.id, config, live.follow(on_close=partial(release, live)), told)

    async def tell_end(self, task: Task, config: TaskPushNotificationConfig) -> None:
        """Of a task that has ended before its receiver could follow it."""
        told = partial(self._store.mark_notified, task.id, config.id or "")
        self._sender.notify_end(task.id, config, task, told)

    async def list(self, task_id: str) -> Sequence[TaskPushNotificationConfig]:
        return await self._store.push_configs(task_id)

    async def remove(self, task_id: str, config_id: str) -> None:
        await self._store.delete_push_config(task_id, config_id)
        self._sender.stop(task_id, config_id)

    async def resume(self) -> None:
        """Tell of the tasks that ended when nobody could be told any more."""
        for stored, config in await self._store.unnotified():
            await self.tell_end(stored.task, config)

    async def close(self) -> None:
        if self._made is not None and self._http is not None:
            await self._made.close(grace_s=self._grace_s)
            await self._http.aclose()
