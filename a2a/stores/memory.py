"""Tasks in memory: bounded in number and bytes, the settled one that was written longest ago goes first.

A task that is settled is kept as JSON: a tenth of the memory that its objects take, in one piece, so that the
garbage collector has nothing to walk through and its size is known.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from a2a.requests import TaskPushNotificationConfig
from a2a.stores.base import MessageKey, Position, StoredTask, TaskPage, TaskQuery, microseconds
from a2a.types import Task

# Beside its JSON: what finds it by id, by message and by time.
TASK_BYTES = 1_000


@dataclass(slots=True)
class _Push:
    config: TaskPushNotificationConfig
    is_notified: bool


class _Kept:
    """A task, as an object while it runs."""

    __slots__ = (
        "_body", "_running", "context_id", "is_settled", "made_by", "owner", "pushes", "skill_id", "state",
        "status_at", "version",
    )  # fmt: skip

    def __init__(self, stored: StoredTask, made_by: MessageKey) -> None:
        self.owner = stored.owner
        self.made_by: tuple[MessageKey, ...] = (made_by,)
        self.pushes: dict[str, _Push] | None = None
        self.replace(stored)

    def replace(self, stored: StoredTask) -> None:
        task = stored.task
        self.version = stored.version
        self.skill_id = stored.skill_id
        self.context_id = task.context_id
        self.state = task.status.state
        self.status_at = task.status.timestamp
        self.is_settled = self.state.is_settled
        self._running = None if self.is_settled else stored
        self._body = stored.to_body() if self.is_settled else b""

    @property
    def weight(self) -> int:
        return TASK_BYTES + len(self._body)

    def stored(self) -> StoredTask:
        if self._running is not None:
            return self._running
        task = Task.model_validate_json(self._body)
        task.status.timestamp = self.status_at  # JSON has milliseconds
        return StoredTask(task, self.owner, self.version, self.skill_id, self._body)


class MemoryTaskStore:
    """`max_tasks` and `max_bytes` bound the settled tasks that are kept: those that have ended or wait for
    their caller. Running ones are never dropped."""

    def __init__(self, *, max_tasks: int = 10_000, max_bytes: int = 256 * 2**20) -> None:
        self._max_tasks = max_tasks
        self._max_bytes = max_bytes
        self._kept: dict[str, _Kept] = {}
        self._by_message: dict[MessageKey, str] = {}
        self._settled: OrderedDict[str, int] = OrderedDict()
        self._settled_bytes = 0
        # Ids by owner; put into order when somebody asks for a list, which is rarer than a change.
        self._owned: dict[str, set[str]] = {}

    async def open(self) -> None:
        """Nothing was kept."""

    async def close(self) -> None:
        """Nothing is kept."""

    async def create(self, stored: StoredTask, made_by: MessageKey) -> StoredTask:
        known = await self.made_by(made_by)
        if known is not None:
            return known
        task_id = stored.task.id
        self._kept[task_id] = kept = _Kept(stored, made_by)
        self._by_message[made_by] = task_id
        self._owned.setdefault(stored.owner, set()).add(task_id)
        self._weigh(task_id, kept)
        return stored

    async def get(self, task_id: str, owner: str) -> StoredTask | None:
        kept = self._kept.get(task_id)
        return kept.stored() if kept is not None and kept.owner == owner else None

    async def made_by(self, key: MessageKey) -> StoredTask | None:
        task_id = self._by_message.get(key)
        return self._kept[task_id].stored() if task_id is not None else None

    async def save(
        self, stored: StoredTask, *, expected_version: int, continued_by: MessageKey | None = None
    ) -> bool:
        task_id = stored.task.id
        kept = self._kept.get(task_id)
        if kept is None or kept.version != expected_version:
            return False
        kept.replace(stored)
        if continued_by is not None and continued_by not in self._by_message:
            kept.made_by += (continued_by,)
            self._by_message[continued_by] = task_id
        self._weigh(task_id, kept)
        return True

    async def forget(self, task_id: str) -> None:
        self._drop(task_id)

    async def list(self, query: TaskQuery) -> TaskPage:
        owned = self._owned.get(query.owner, ())
        found = [(task_id, self._kept[task_id]) for task_id in owned]
        fitting = sorted(_place(task_id, kept) for task_id, kept in found if _fits(kept, query))
        end = len(fitting) if query.after is None else bisect_left(fitting, query.after)
        begin = max(0, end - query.page_size)
        page = fitting[begin:end][::-1]
        tasks = [self._kept[place.task_id].stored().task for place in page]
        return TaskPage(tasks, len(fitting), page[-1] if begin > 0 else None)

    async def unfinished(self) -> Sequence[StoredTask]:
        return [kept.stored() for kept in self._kept.values() if not kept.is_settled]

    async def put_push_config(
        self, task_id: str, config: TaskPushNotificationConfig, *, is_notified: bool
    ) -> None:
        assert config.id is not None
        kept = self._kept.get(task_id)
        if kept is not None:
            kept.pushes = {**(kept.pushes or {}), config.id: _Push(config, is_notified)}

    async def push_configs(self, task_id: str) -> Sequence[TaskPushNotificationConfig]:
        return [push.config for push in self._pushes(task_id)]

    async def delete_push_config(self, task_id: str, config_id: str) -> None:
        kept = self._kept.get(task_id)
        if kept is not None and kept.pushes is not None:
            kept.pushes.pop(config_id, None)

    async def mark_notified(self, task_id: str, config_id: str) -> None:
        kept = self._kept.get(task_id)
        if kept is not None and kept.pushes is not None and config_id in kept.pushes:
            kept.pushes[config_id].is_notified = True

    async def unnotified(self) -> Sequence[tuple[StoredTask, TaskPushNotificationConfig]]:
        return [
            (kept.stored(), push.config)
            for task_id, kept in self._kept.items()
            if kept.state.is_terminal
            for push in self._pushes(task_id)
            if not push.is_notified
        ]

    def _pushes(self, task_id: str) -> Sequence[_Push]:
        kept = self._kept.get(task_id)
        return [push for _, push in sorted((kept.pushes or {}).items())] if kept is not None else []

    def _weigh(self, task_id: str, kept: _Kept) -> None:
        """Count the task where it is settled, and forget the oldest ones beyond the bounds."""
        self._settled_bytes -= self._settled.pop(task_id, 0)
        if not kept.is_settled:
            return
        self._settled[task_id] = kept.weight
        self._settled_bytes += kept.weight
        while len(self._settled) > self._max_tasks or (
            self._settled_bytes > self._max_bytes and len(self._settled) > 1
        ):
            self._drop(next(iter(self._settled)))

    def _drop(self, task_id: str) -> None:
        kept = self._kept.pop(task_id, None)
        if kept is None:
            return
        self._settled_bytes -= self._settled.pop(task_id, 0)
        owned = self._owned[kept.owner]
        owned.discard(task_id)
        if not owned:
            del self._owned[kept.owner]
        for key in kept.made_by:
            del self._by_message[key]


def _place(task_id: str, kept: _Kept) -> Position:
    assert kept.status_at is not None
    return Position(microseconds(kept.status_at), task_id)


def _fits(kept: _Kept, query: TaskQuery) -> bool:
    if query.context_id is not None and kept.context_id != query.context_id:
        return False
    if query.state is not None and kept.state is not query.state:
        return False
    return query.since is None or (kept.status_at is not None and kept.status_at >= query.since)
