"""Whatever is done to a task store, it answers alike in memory and in SQLite, reopened in between or not."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from a2a.requests import TaskPushNotificationConfig
from a2a.stores.base import StoredTask, TaskPage, TaskQuery, TaskStore
from a2a.stores.memory import MemoryTaskStore
from a2a.stores.sql import SqlTaskStore
from a2a.types import Message, Part, Task, TaskState, TaskStatus

T = TypeVar("T")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

IDS = st.sampled_from(["a", "B", "b", "é", "\x00", "b\x00", "🙂"])
OWNERS = st.sampled_from(["\n", "\nx", "x\n"])
CONTEXTS = st.sampled_from([None, "c", "C", "c\x00"])
KEYS = st.binary(min_size=1, max_size=1).map(lambda key: bytes([key[0] % 12]))
STATES = st.sampled_from(TaskState)
TIMES = st.builds(lambda us: NOON + timedelta(microseconds=us), st.integers(0, 3))
VERSIONS = st.integers(1, 3)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def _statuses() -> st.SearchStrategy[TaskStatus]:
    said = st.none() | TEXTS.map(lambda text: Message.from_agent(Part.from_text(text)))
    return st.builds(TaskStatus, state=STATES, message=said, timestamp=TIMES)


class TwoStores(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.memory: TaskStore = MemoryTaskStore()
        self._open_sql()

    def _open_sql(self) -> None:
        self.sql = SqlTaskStore(f"sqlite:///{Path(self.folder.name)}/tasks.db", keep_s=None)
        self.runner.run(self.sql.open())

    def teardown(self) -> None:
        if hasattr(self, "sql"):
            self.runner.run(self.sql.close())
            self.runner.close()
            self.folder.cleanup()

    def _both(self, call: Callable[[TaskStore], Awaitable[T]]) -> T:
        """The answer of both."""

        async def answers() -> tuple[T, T]:
            return await call(self.memory), await call(self.sql)

        in_memory, in_sql = self.runner.run(answers())
        assert in_memory == in_sql
        return in_memory

    def _owner_of(self, task_id: str) -> str | None:
        owners = ("\n", "\nx", "x\n")
        return next((owner for owner in owners if self._get(task_id, owner) is not None), None)

    def _get(self, task_id: str, owner: str) -> StoredTask | None:
        return self._both(lambda store: store.get(task_id, owner))

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.sql.close())
        self._open_sql()

    @rule(task_id=IDS, owner=OWNERS, context_id=CONTEXTS, status=_statuses(), key=KEYS)
    def create(
        self, task_id: str, owner: str, context_id: str | None, status: TaskStatus, key: bytes
    ) -> None:
        is_known = self._both(lambda store: store.made_by(key)) is not None
        assume(is_known or self._owner_of(task_id) is None)
        stored = StoredTask(Task(id=task_id, context_id=context_id, status=status), owner, 1)
        self._both(lambda store: store.create(stored, key))

    @rule(
        task_id=IDS,
        status=_statuses(),
        metadata=st.none() | st.dictionaries(TEXTS, TEXTS | st.none(), max_size=2),
        expected=VERSIONS,
        version=VERSIONS,
        key=st.none() | KEYS,
    )
    def save(
        self,
        task_id: str,
        status: TaskStatus,
        metadata: dict[str, str | None] | None,
        expected: int,
        version: int,
        key: bytes | None,
    ) -> None:
        task = Task(id=task_id, context_id="c", status=status, metadata=metadata)
        stored = StoredTask(task, self._owner_of(task_id) or "\n", version, "echo")
        self._both(lambda store: store.save(stored, expected_version=expected, continued_by=key))

    @rule(task_id=IDS)
    def forget(self, task_id: str) -> None:
        self._both(lambda store: store.forget(task_id))

    @rule(key=KEYS)
    def made_by(self, key: bytes) -> None:
        self._both(lambda store: store.made_by(key))

    @rule(
        owner=OWNERS,
        size=st.integers(1, 3),
        context_id=CONTEXTS,
        state=st.none() | STATES,
        since=st.none() | TIMES,
    )
    def walk_the_list(
        self,
        owner: str,
        size: int,
        context_id: str | None,
        state: TaskState | None,
        since: datetime | None,
    ) -> None:
        query: TaskQuery | None = TaskQuery(owner, size, None, context_id, state, since)
        while query is not None:
            page = self._both(partial(_list, query=query))
            query = replace(query, after=page.next_after) if page.next_after is not None else None

    @rule(task_id=IDS, config_id=IDS, token=TEXTS, is_notified=st.booleans())
    def put_push_config(self, task_id: str, config_id: str, token: str, is_notified: bool) -> None:
        config = TaskPushNotificationConfig(id=config_id, task_id=task_id, url="http://x", token=token)
        self._both(lambda store: store.put_push_config(task_id, config, is_notified=is_notified))

    @rule(task_id=IDS, config_id=IDS)
    def delete_push_config(self, task_id: str, config_id: str) -> None:
        self._both(lambda store: store.delete_push_config(task_id, config_id))

    @rule(task_id=IDS, config_id=IDS)
    def mark_notified(self, task_id: str, config_id: str) -> None:
        self._both(lambda store: store.mark_notified(task_id, config_id))

    @rule(task_id=IDS)
    def push_configs(self, task_id: str) -> None:
        self._both(lambda store: store.push_configs(task_id))

    @rule()
    def look_at_what_a_restart_takes_up(self) -> None:
        async def unfinished(store: TaskStore) -> list[StoredTask]:
            return sorted(await store.unfinished(), key=lambda stored: stored.task.id)

        async def unnotified(store: TaskStore) -> list[tuple[StoredTask, TaskPushNotificationConfig]]:
            return sorted(await store.unnotified(), key=lambda pair: (pair[0].task.id, pair[1].id or ""))

        self._both(unfinished)
        self._both(unnotified)


async def _list(store: TaskStore, query: TaskQuery) -> TaskPage:
    return await store.list(query)


TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
