"""What is particular to tasks in a database: they survive, they have one owner process, they grow old."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import ClauseElement, Connection, text
from sqlalchemy.exc import IntegrityError

from a2a.database import Database
from a2a.requests import TaskPushNotificationConfig
from a2a.stores.base import Position, StoredTask, TaskQuery
from a2a.stores.sql import (
    CREATES_PER_REMOVAL,
    MAX_REMOVED,
    SqlTaskStore,
    count_statement,
    page_statement,
)
from a2a.stores.sql_owner import TaskStoreInUse
from a2a.stores.sql_tables import SCHEMA_VERSION, TaskStoreVersionUnknown
from a2a.types import Task, TaskState, TaskStatus
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
OWNER = "\n"
AN_HOUR = 3600.0


@asynccontextmanager
async def opened(url: str, *, keep_s: float | None = None) -> AsyncIterator[SqlTaskStore]:
    store = SqlTaskStore(url, keep_s=keep_s)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def new(task_id: str, state: TaskState = TaskState.COMPLETED, *, age_s: float = 0) -> StoredTask:
    status = TaskStatus(state=state, timestamp=datetime.now(UTC) - timedelta(seconds=age_s))
    return StoredTask(Task(id=task_id, context_id="c", status=status), OWNER, 1, "echo")


async def kept(store: SqlTaskStore, *tasks: StoredTask) -> None:
    await asyncio.gather(*(store.create(stored, stored.task.id.encode()) for stored in tasks))


async def remembered(store: SqlTaskStore) -> set[str]:
    return {task.id for task in (await store.list(TaskQuery(OWNER, 10_000))).tasks}


async def execute(url: str, statement: str) -> list[object]:
    """What another program does to the database, and what it sees."""

    def change(connection: Connection) -> list[object]:
        result = connection.execute(text(statement))
        return list(result.scalars()) if result.returns_rows else []

    database = Database(url)
    try:
        return await database.write(change)
    finally:
        await database.close()


# Reopening


async def test_everything_is_there_after_reopening(empty_database_url: str) -> None:
    stored = new("t")
    config = TaskPushNotificationConfig(id="p", task_id="t", url="https://example.org", token="\x00")  # noqa: S106
    async with opened(empty_database_url) as store:
        await kept(store, stored)
        await store.put_push_config("t", config, is_notified=False)

    async with opened(empty_database_url) as store:
        assert await store.get("t", OWNER) == stored
        assert await store.made_by(b"t") == stored
        assert await store.unnotified() == [(stored, config)]


async def test_the_tables_of_another_version_are_refused_and_left_alone(empty_database_url: str) -> None:
    async with opened(empty_database_url) as store:
        await kept(store, new("t"))
    await execute(empty_database_url, "UPDATE a2a_schema SET version = 7")

    with pytest.raises(TaskStoreVersionUnknown, match="version 7") as caught:
        await SqlTaskStore(empty_database_url, keep_s=0).open()

    assert caught.value.found == 7
    assert await execute(empty_database_url, "SELECT version FROM a2a_schema") == [7]
    assert await execute(empty_database_url, "SELECT count(*) FROM a2a_tasks") == [1]


async def test_a_refused_store_can_be_opened_once_its_version_fits(empty_database_url: str) -> None:
    """The lock was given back."""
    async with opened(empty_database_url):
        pass
    await execute(empty_database_url, "UPDATE a2a_schema SET version = 7")
    with pytest.raises(TaskStoreVersionUnknown):
        await SqlTaskStore(empty_database_url, keep_s=None).open()
    await execute(empty_database_url, f"UPDATE a2a_schema SET version = {SCHEMA_VERSION}")  # noqa: S608 a number

    async with opened(empty_database_url) as store:
        assert await remembered(store) == set()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/tasks"])
def test_a_database_that_cannot_be_a_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a task store"):
        SqlTaskStore(url, keep_s=None)


# One owner

HOLDER = """
import asyncio, sys
from a2a.stores.sql import SqlTaskStore

async def main():
    store = SqlTaskStore(sys.argv[1], keep_s=None)
    await store.open()
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def start_holder(url: str) -> subprocess.Popen[str]:
    """Another process that has the store open."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "open"
    return holder


async def test_a_second_process_is_refused_until_the_first_is_killed(empty_database_url: str) -> None:
    with start_holder(empty_database_url) as holder:
        with pytest.raises(TaskStoreInUse):
            await SqlTaskStore(empty_database_url, keep_s=None).open()
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=5)

    async with asyncio.timeout(5):
        while not await _opens(empty_database_url):
            """PostgreSQL sees a moment later that its client is gone."""


async def _opens(url: str) -> bool:
    try:
        async with opened(url):
            return True
    except TaskStoreInUse:
        return False


async def test_a_closed_store_is_free_for_the_next(empty_database_url: str) -> None:
    async with opened(empty_database_url):
        assert not await _opens(empty_database_url)

    assert await _opens(empty_database_url)


TERMINATE_HOLDER = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.mark.parametrize("empty_database_url", ["postgresql"], indirect=True)
async def test_a_lock_that_was_lost_with_its_connection_is_taken_again(empty_database_url: str) -> None:
    async with opened(empty_database_url) as store:
        assert await execute(empty_database_url, TERMINATE_HOLDER) == [True]
        await eventually(lambda: store._ownership.is_lost)
        await kept(store, *(new(f"t{n}") for n in range(20)))

        assert not await _opens(empty_database_url)
        assert len(await remembered(store)) == 20


@pytest.mark.parametrize("empty_database_url", ["postgresql"], indirect=True)
async def test_nothing_is_written_once_another_process_has_the_lock(empty_database_url: str) -> None:
    async with opened(empty_database_url) as store:
        await execute(empty_database_url, TERMINATE_HOLDER)
        await eventually(lambda: store._ownership.is_lost)
        async with opened(empty_database_url) as other:
            with pytest.raises(TaskStoreInUse):
                await kept(store, new("t"))

            assert await remembered(other) == set()


# Growing old


async def test_old_settled_tasks_are_removed_at_the_start(empty_database_url: str) -> None:
    states = {state: new(state.value, state, age_s=AN_HOUR) for state in TaskState}
    async with opened(empty_database_url) as store:
        await kept(store, *states.values(), new("young", age_s=AN_HOUR / 2))

    async with opened(empty_database_url, keep_s=AN_HOUR - 60) as store:
        assert await remembered(store) == {"young", "TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"}
        assert await store.made_by(b"TASK_STATE_COMPLETED") is None


async def test_more_old_tasks_than_one_batch_are_removed_at_the_start(empty_database_url: str) -> None:
    async with opened(empty_database_url) as store:
        await kept(store, *(new(f"t{n}", age_s=AN_HOUR) for n in range(MAX_REMOVED + 1)))

    async with opened(empty_database_url, keep_s=60) as store:
        assert await remembered(store) == set()


async def test_old_tasks_are_removed_while_new_ones_are_made(empty_database_url: str) -> None:
    async with opened(empty_database_url, keep_s=60) as store:
        await kept(store, new("old", age_s=AN_HOUR))
        await kept(store, *(new(f"t{n}") for n in range(CREATES_PER_REMOVAL - 2)))
        assert "old" in await remembered(store)
        await kept(store, new("last"))

        assert "old" not in await remembered(store)
        assert len(await remembered(store)) == CREATES_PER_REMOVAL - 1


async def test_without_an_age_nothing_is_removed(empty_database_url: str) -> None:
    for _ in range(2):
        async with opened(empty_database_url) as store:
            await kept(store, new("t", age_s=1_000_000))

    async with opened(empty_database_url) as store:
        assert await remembered(store) == {"t"}


# The schema holds what the code promises


async def test_a_task_id_is_there_once(empty_database_url: str) -> None:
    first = new("t")
    async with opened(empty_database_url) as store:
        await store.create(first, b"one")
        with pytest.raises(IntegrityError):
            await store.create(new("t"), b"two")

        assert await store.get("t", OWNER) == first
        assert await store.made_by(b"two") is None


async def test_a_state_of_no_name_is_refused_by_the_schema(empty_database_url: str) -> None:
    async with opened(empty_database_url) as store:
        await kept(store, new("t"))
    with pytest.raises(IntegrityError):
        await execute(empty_database_url, "UPDATE a2a_tasks SET state = 'DONE'")


async def test_text_of_any_kind_is_kept_apart(empty_database_url: str) -> None:
    names = ["t", "t\x00", "T", "é", "e\u0301", "\ud800", "'; DROP TABLE a2a_tasks; --", "🙂" * 200]
    async with opened(empty_database_url) as store:
        for name in names:
            status = TaskStatus(state=TaskState.COMPLETED, timestamp=datetime.now(UTC))
            task = Task(id=f"of {names.index(name)}", context_id="c", status=status)
            await store.create(StoredTask(task, name, 1, name), name.encode("utf-8", "surrogatepass"))

        for name in names:
            page = await store.list(TaskQuery(name, 10))
            assert [task.id for task in page.tasks] == [f"of {names.index(name)}"]


async def test_text_that_no_json_can_carry_is_refused_and_leaves_nothing(empty_database_url: str) -> None:
    """No such text comes in over a binding, and none could go out."""
    async with opened(empty_database_url) as store:
        stored = new("t")
        stored.task.metadata = {"x": "\ud800"}
        with pytest.raises(ValueError, match="surrogates"):
            await kept(store, stored)

        assert await remembered(store) == set()


QUERY = TaskQuery(OWNER, 10)
DONE = TaskState.COMPLETED
LISTS = {
    "all": (QUERY, "ix_a2a_tasks_owner"),
    "a later page": (replace(QUERY, after=Position(1, "t")), "ix_a2a_tasks_owner"),
    "of a state": (replace(QUERY, state=DONE), "ix_a2a_tasks_owner"),
    "of a context": (replace(QUERY, context_id="c"), "ix_a2a_tasks_context"),
    "a later page of a context": (
        replace(QUERY, context_id="c", state=DONE, after=Position(1, "t")),
        "ix_a2a_tasks_context",
    ),
}


@pytest.mark.parametrize(("query", "index"), LISTS.values(), ids=LISTS)
async def test_a_list_is_read_in_the_order_of_an_index_and_counted_in_one(
    tmp_path: Path, query: TaskQuery, index: str
) -> None:
    async with opened(f"sqlite:///{tmp_path}/tasks.db") as store:
        page = await store._database.read(partial(query_plan, statement=page_statement(query)))
        count = await store._database.read(partial(query_plan, statement=count_statement(query)))

    assert index in page
    assert "TEMP B-TREE" not in page
    assert "COVERING INDEX" in count


def query_plan(connection: Connection, *, statement: ClauseElement) -> str:
    compiled = statement.compile(dialect=connection.dialect)
    nothing = (None,) * len(compiled.params)
    return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", nothing).all())
