"""What a task store is: tasks with a version, whose they are, and the messages that made them.

Tasks handed in and out are never changed afterwards, by neither side. One process uses a store at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import pydantic_core

from a2a.requests import TaskPushNotificationConfig
from a2a.types import Task, TaskState

# A digest of who sent a message and of all that was in it.
MessageKey = bytes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as of one version. `owner` is the tenant and caller it belongs to, in one string; `version`
    counts the writes, from 1; `skill_id` is the skill that runs it, once that is known. `body` is the task as
    JSON where that is there already."""

    task: Task
    owner: str
    version: int
    skill_id: str | None = None
    body: bytes | None = field(default=None, compare=False, repr=False)

    def to_body(self) -> bytes:
        return self.body if self.body is not None else pydantic_core.to_json(self.task, exclude_none=True)


class Position(NamedTuple):
    """A place in a list of tasks: the status time in UTC microseconds, and the task's id."""

    status_us: int
    task_id: str


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """The tasks of one owner, newest status first, ids descending within one time. `after` is the last task
    of the page before; `since` keeps those whose status is of that time or later."""

    owner: str
    page_size: int
    after: Position | None = None
    context_id: str | None = None
    state: TaskState | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """`total` counts all that fit the filters, on every page alike; `next_after` is None on the last page."""

    tasks: Sequence[Task]
    total: int
    next_after: Position | None


class TaskStore(Protocol):
    """Every write is durable, as far as the store is, when the call returns."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def create(self, stored: StoredTask, made_by: MessageKey) -> StoredTask:
        """Keep a new task. Where the message has made or continued one before, nothing is kept and that
        one is returned instead."""
        ...

    async def get(self, task_id: str, owner: str) -> StoredTask | None:
        """None also where the task is another owner's."""
        ...

    async def made_by(self, key: MessageKey) -> StoredTask | None:
        """The task that this message made or continued."""
        ...

    async def save(
        self, stored: StoredTask, *, expected_version: int, continued_by: MessageKey | None = None
    ) -> bool:
        """Compare and set: replace the task if its version is the expected one. False, and nothing is
        changed, where it is another or the task is gone."""
        ...

    async def forget(self, task_id: str) -> None:
        """The task, the messages that made it and its push configurations."""
        ...

    async def list(self, query: TaskQuery) -> TaskPage: ...

    async def unfinished(self) -> Sequence[StoredTask]:
        """Tasks, of any owner, that are neither ended nor waiting for their caller."""
        ...

    async def put_push_config(
        self, task_id: str, config: TaskPushNotificationConfig, *, is_notified: bool
    ) -> None:
        """Keep it under its id, in place of an older one of that id. `is_notified`: the task has ended, so
        there is nothing left to tell."""
        ...

    async def push_configs(self, task_id: str) -> Sequence[TaskPushNotificationConfig]:
        """In the order of their ids."""
        ...

    async def delete_push_config(self, task_id: str, config_id: str) -> None: ...

    async def mark_notified(self, task_id: str, config_id: str) -> None:
        """Its receiver was told of the task's end, or given up on."""
        ...

    async def unnotified(self) -> Sequence[tuple[StoredTask, TaskPushNotificationConfig]]:
        """Ended tasks with the configurations whose receivers were not told yet."""
        ...


def status_us(task: Task) -> int:
    """The task's place in time, in UTC microseconds."""
    at = task.status.timestamp
    assert at is not None
    return microseconds(at)


def microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
