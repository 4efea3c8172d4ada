"""Tasks in memory: bounded in number and bytes, the settled one that was written longest ago goes first."""

import sys
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from a2a.requests import TaskPushNotificationConfig
from a2a.stores.base import MessageKey, Position, StoredTask, TaskPage, TaskQuery, status_us

# Rounded up from CPython's: a model with its fields; a value within data, or a key, beside its own text.
MODEL_BYTES = 1_000
VALUE_BYTES = 64


def kept_bytes(value: object) -> int:
    """About the memory that a model takes, with all that hangs on it; rather too much than too little."""
    match value:
        case str() | bytes():
            return sys.getsizeof(value)
        case BaseModel():
            fields = vars(value).values()
            return MODEL_BYTES + sum(kept_bytes(field) for field in fields if field is not None)
        case [BaseModel(), *_]:
            return sum(map(kept_bytes, value))
        case _:
            # Walking large data would hold up the process; printing it is quick.
            text = str(value)
            return sys.getsizeof(text) + VALUE_BYTES * sum(map(text.count, ",:[{"))


@dataclass(slots=True)
class _Push:
    config: TaskPushNotificationConfig
    is_notified: bool


@dataclass(slots=True)
class _Kept:
    stored: StoredTask
    made_by: list[MessageKey]
    pushes: dict[str, _Push] = field(default_factory=dict)


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
        # By owner, ascending: lists are read from the end.
        self._places: dict[str, list[Position]] = {}

    async def open(self) -> None:
        """Nothing was kept."""

    async def close(self) -> None:
        """Nothing is kept."""

    async def create(self, stored: StoredTask, made_by: MessageKey) -> StoredTask:
        known = await self.made_by(made_by)
        if known is not None:
            return known
        task_id = stored.task.id
        self._kept[task_id] = _Kept(stored, [made_by])
        self._by_message[made_by] = task_id
        insort(self._places.setdefault(stored.owner, []), _position(stored))
        self._weigh(stored)
        return stored

    async def get(self, task_id: str, owner: str) -> StoredTask | None:
        kept = self._kept.get(task_id)
        return kept.stored if kept is not None and kept.stored.owner == owner else None

    async def made_by(self, key: MessageKey) -> StoredTask | None:
        task_id = self._by_message.get(key)
        return self._kept[task_id].stored if task_id is not None else None

    async def save(
        self, stored: StoredTask, *, expected_version: int, continued_by: MessageKey | None = None
    ) -> bool:
        task_id = stored.task.id
        kept = self._kept.get(task_id)
        if kept is None or kept.stored.version != expected_version:
            return False
        self._displace(kept.stored)
        insort(self._places.setdefault(stored.owner, []), _position(stored))
        kept.stored = stored
        if continued_by is not None and continued_by not in self._by_message:
            kept.made_by.append(continued_by)
            self._by_message[continued_by] = task_id
        self._weigh(stored)
        return True

    async def forget(self, task_id: str) -> None:
        self._drop(task_id)

    async def list(self, query: TaskQuery) -> TaskPage:
        places = self._places.get(query.owner, [])
        is_filtered = query.context_id is not None or query.state is not None or query.since is not None
        fitting = [place for place in places if self._fits(place, query)] if is_filtered else places
        end = len(fitting) if query.after is None else bisect_left(fitting, query.after)
        begin = max(0, end - query.page_size)
        page = fitting[begin:end][::-1]
        tasks = [self._kept[place.task_id].stored.task for place in page]
        return TaskPage(tasks, len(fitting), page[-1] if begin > 0 else None)

    async def unfinished(self) -> Sequence[StoredTask]:
        return [kept.stored for kept in self._kept.values() if not _is_settled(kept.stored)]

    async def put_push_config(
        self, task_id: str, config: TaskPushNotificationConfig, *, is_notified: bool
    ) -> None:
        assert config.id is not None
        if task_id in self._kept:
            self._kept[task_id].pushes[config.id] = _Push(config, is_notified)

    async def push_configs(self, task_id: str) -> Sequence[TaskPushNotificationConfig]:
        kept = self._kept.get(task_id)
        return [push.config for _, push in sorted(kept.pushes.items())] if kept is not None else []

    async def delete_push_config(self, task_id: str, config_id: str) -> None:
        if task_id in self._kept:
            self._kept[task_id].pushes.pop(config_id, None)

    async def mark_notified(self, task_id: str, config_id: str) -> None:
        kept = self._kept.get(task_id)
        if kept is not None and config_id in kept.pushes:
            kept.pushes[config_id].is_notified = True

    async def unnotified(self) -> Sequence[tuple[StoredTask, TaskPushNotificationConfig]]:
        return [
            (kept.stored, push.config)
            for kept in self._kept.values()
            if kept.stored.task.status.state.is_terminal
            for _, push in sorted(kept.pushes.items())
            if not push.is_notified
        ]

    def _fits(self, place: Position, query: TaskQuery) -> bool:
        task = self._kept[place.task_id].stored.task
        if query.context_id is not None and task.context_id != query.context_id:
            return False
        if query.state is not None and task.status.state is not query.state:
            return False
        changed_at = task.status.timestamp
        return query.since is None or (changed_at is not None and changed_at >= query.since)

    def _displace(self, stored: StoredTask) -> None:
        places = self._places[stored.owner]
        del places[bisect_left(places, _position(stored))]
        if not places:
            del self._places[stored.owner]

    def _weigh(self, stored: StoredTask) -> None:
        """Count the task where it is settled, and forget the oldest ones beyond the bounds."""
        task_id = stored.task.id
        self._settled_bytes -= self._settled.pop(task_id, 0)
        if not _is_settled(stored):
            return
        self._settled[task_id] = size = kept_bytes(stored.task)
        self._settled_bytes += size
        while len(self._settled) > self._max_tasks or (
            self._settled_bytes > self._max_bytes and len(self._settled) > 1
        ):
            self._drop(next(iter(self._settled)))

    def _drop(self, task_id: str) -> None:
        kept = self._kept.pop(task_id, None)
        if kept is None:
            return
        self._settled_bytes -= self._settled.pop(task_id, 0)
        self._displace(kept.stored)
        for key in kept.made_by:
            del self._by_message[key]


def _position(stored: StoredTask) -> Position:
    return Position(status_us(stored.task), stored.task.id)


def _is_settled(stored: StoredTask) -> bool:
    state = stored.task.status.state
    return state.is_terminal or state.is_interrupted
