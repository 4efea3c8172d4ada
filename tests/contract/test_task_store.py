"""What every task store does: in memory, in SQLite and, where TEST_DATABASE_URL is set, in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from a2a.requests import AuthenticationInfo, TaskPushNotificationConfig
from a2a.stores.base import Position, StoredTask, TaskQuery, TaskStore, status_us
from a2a.stores.memory import MemoryTaskStore
from a2a.stores.sql import SqlTaskStore
from a2a.types import Artifact, Message, Part, Task, TaskState, TaskStatus
from tests.support.databases import postgres_database

OWNER = "\nsomebody"
NOON = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TaskStore]:
    match request.param:
        case "memory":
            yield MemoryTaskStore()
        case "sqlite":
            async for opened in _opened(f"sqlite:///{tmp_path}/tasks.db"):
                yield opened
        case _:
            with postgres_database(request.getfixturevalue("postgres_server")) as url:
                async for opened in _opened(url):
                    yield opened


async def _opened(url: str) -> AsyncIterator[TaskStore]:
    store = SqlTaskStore(url, keep_s=None)
    await store.open()
    yield store
    await store.close()


def new(
    task_id: str,
    state: TaskState = TaskState.SUBMITTED,
    *,
    owner: str = OWNER,
    context_id: str = "c",
    after_s: float = 0,
) -> StoredTask:
    status = TaskStatus(state=state, timestamp=NOON + timedelta(seconds=after_s))
    return StoredTask(Task(id=task_id, context_id=context_id, status=status), owner, 1)


def next_of(stored: StoredTask, state: TaskState = TaskState.COMPLETED, *, after_s: float = 0) -> StoredTask:
    status = TaskStatus(state=state, timestamp=NOON + timedelta(seconds=after_s))
    task = stored.task.model_copy(update={"status": status})
    return StoredTask(task, stored.owner, stored.version + 1, "echo")


def key_of(stored: StoredTask) -> bytes:
    return b"made " + stored.task.id.encode()


async def kept(store: TaskStore, stored: StoredTask) -> StoredTask:
    return await store.create(stored, key_of(stored))


def push(config_id: str, url: str = "https://example.org/hook") -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(id=config_id, task_id="t", url=url)


# One task


async def test_a_task_comes_back_as_it_went_in(store: TaskStore) -> None:
    """Microseconds, bytes, nulls within data, and a NUL character included."""
    message = Message.from_user(
        Part.from_text("nul \x00, é, 🙂"),
        Part.from_bytes(bytes(range(256)), "application/x", "a.bin"),
        Part.from_data({"a": None, "b": [1, 1.5, 10**30, None], "\x00": "\x00"}),
        metadata={"x": None},
    )
    artifact = Artifact.of(Part.from_text("done"), name="result", metadata={"n": {"m": []}})
    status = TaskStatus(state=TaskState.INPUT_REQUIRED, message=message, timestamp=NOON)
    task = Task(
        id="t", context_id="c", status=status, artifacts=[artifact], history=[message], metadata={"k": [{}]}
    )
    stored = StoredTask(task, OWNER, 1, "echo")

    assert await kept(store, stored) == stored
    assert await store.get("t", OWNER) == stored


async def test_a_task_without_context_and_skill_comes_back_so(store: TaskStore) -> None:
    status = TaskStatus(state=TaskState.SUBMITTED, timestamp=NOON)
    stored = await kept(store, StoredTask(Task(id="t", status=status), OWNER, 1))

    assert await store.get("t", OWNER) == stored


async def test_a_foreign_task_is_not_found(store: TaskStore) -> None:
    await kept(store, new("t"))

    assert await store.get("t", "tenant\nsomebody") is None
    assert await store.get("T", OWNER) is None


@pytest.mark.parametrize("task_id", ["", "\x00", "t\x00", "\ud800", "' OR 1=1 --", "%", "x" * 100_000])
async def test_no_text_asked_for_finds_another_task(store: TaskStore, task_id: str) -> None:
    await kept(store, new("t"))

    assert await store.get(task_id, OWNER) is None
    assert await store.get("t", task_id) is None
    assert (await store.list(TaskQuery(OWNER, 10, context_id=task_id))).total == 0


# Messages


async def test_a_message_makes_one_task(store: TaskStore) -> None:
    first, second = new("first"), new("second")
    await store.create(first, b"message")

    assert await store.create(second, b"message") == first
    assert await store.get("second", OWNER) is None
    assert await store.made_by(b"message") == first


async def test_a_message_that_comes_many_times_at_once_makes_one_task(store: TaskStore) -> None:
    made = await asyncio.gather(*(store.create(new(f"t{n}"), b"message") for n in range(40)))

    assert len({stored.task.id for stored in made}) == 1
    assert (await store.list(TaskQuery(OWNER, 100))).total == 1


async def test_an_unknown_message_made_nothing(store: TaskStore) -> None:
    assert await store.made_by(b"message") is None


async def test_a_message_that_continued_a_task_leads_to_it_as_it_is_now(store: TaskStore) -> None:
    stored = await kept(store, new("t", TaskState.INPUT_REQUIRED))
    later = next_of(stored, TaskState.WORKING)
    assert await store.save(later, expected_version=1, continued_by=b"answer")

    assert await store.made_by(b"answer") == later
    assert await store.made_by(key_of(stored)) == later
    assert await store.create(new("other"), b"answer") == later


async def test_a_message_that_was_not_taken_leads_nowhere(store: TaskStore) -> None:
    stored = await kept(store, new("t"))
    assert not await store.save(next_of(stored), expected_version=7, continued_by=b"answer")

    assert await store.made_by(b"answer") is None


async def test_a_message_may_continue_the_task_it_made(store: TaskStore) -> None:
    stored = await kept(store, new("t"))
    await store.save(next_of(stored), expected_version=1, continued_by=key_of(stored))
    await store.forget("t")

    assert await store.made_by(key_of(stored)) is None


# Compare and set


async def test_a_save_replaces_the_whole_task(store: TaskStore) -> None:
    stored = await kept(store, new("t"))
    later = next_of(stored, after_s=1)

    assert await store.save(later, expected_version=1)
    assert await store.get("t", OWNER) == later


async def test_a_save_upon_another_version_changes_nothing(store: TaskStore) -> None:
    stored = await kept(store, new("t"))
    later = next_of(stored)
    await store.save(later, expected_version=1)

    assert not await store.save(next_of(stored, TaskState.CANCELED), expected_version=1)
    assert await store.get("t", OWNER) == later


async def test_one_of_many_saves_at_once_wins(store: TaskStore) -> None:
    stored = await kept(store, new("t"))
    saves = [store.save(replace(next_of(stored), skill_id=f"s{n}"), expected_version=1) for n in range(20)]
    won = await asyncio.gather(*saves)

    after = await store.get("t", OWNER)
    assert won.count(True) == 1
    assert after is not None
    assert after.skill_id == f"s{won.index(True)}"


async def test_a_task_that_is_gone_cannot_be_saved(store: TaskStore) -> None:
    stored = await kept(store, new("t"))
    await store.forget("t")

    assert not await store.save(next_of(stored), expected_version=1, continued_by=b"answer")
    assert await store.get("t", OWNER) is None
    assert await store.made_by(b"answer") is None


# Forgetting


async def test_a_forgotten_task_takes_its_messages_and_configurations_along(store: TaskStore) -> None:
    stored = await kept(store, new("t", TaskState.COMPLETED))
    await store.put_push_config("t", push("a"), is_notified=False)
    await store.forget("t")

    assert await store.made_by(key_of(stored)) is None
    assert await store.push_configs("t") == []
    assert await store.unnotified() == []
    assert await kept(store, stored) == stored
    assert await store.push_configs("t") == []


async def test_forgetting_what_is_not_there_is_nothing(store: TaskStore) -> None:
    await store.forget("t")


# Lists


async def ids(store: TaskStore, query: TaskQuery) -> list[str]:
    return [task.id for task in (await store.list(query)).tasks]


async def test_the_newest_status_comes_first_and_ids_descend_within_one_time(store: TaskStore) -> None:
    for task_id, after_s in (("a", 0), ("B", 5), ("b", 5), ("é", 5), ("Z", 1), ("c", 0)):
        await kept(store, new(task_id, after_s=after_s))

    assert await ids(store, TaskQuery(OWNER, 10)) == ["é", "b", "B", "Z", "c", "a"]


async def test_a_microsecond_orders(store: TaskStore) -> None:
    await kept(store, new("b"))
    await kept(store, new("a", after_s=0.000_001))

    assert await ids(store, TaskQuery(OWNER, 10)) == ["a", "b"]


async def test_pages_follow_one_another_without_gap_or_repetition(store: TaskStore) -> None:
    for n in range(10):
        await kept(store, new(f"t{n}", after_s=n // 3))
    seen: list[str] = []
    after: Position | None = None
    for size in (3, 3, 3, 1):
        page = await store.list(TaskQuery(OWNER, 3, after=after))
        assert (len(page.tasks), page.total) == (size, 10)
        seen += [task.id for task in page.tasks]
        after = page.next_after

    assert seen == [f"t{n}" for n in reversed(range(10))]
    assert after is None


async def test_a_full_last_page_says_that_it_is_the_last(store: TaskStore) -> None:
    for task_id in ("a", "b"):
        await kept(store, new(task_id))

    page = await store.list(TaskQuery(OWNER, 2))
    assert (len(page.tasks), page.next_after) == (2, None)


async def test_a_page_begins_behind_a_task_that_is_gone_since(store: TaskStore) -> None:
    tasks = [await kept(store, new(task_id)) for task_id in ("a", "b", "c", "d")]
    page = await store.list(TaskQuery(OWNER, 2))
    assert page.next_after == Position(status_us(tasks[1].task), "c")
    await store.forget("c")

    assert await ids(store, TaskQuery(OWNER, 2, after=page.next_after)) == ["b", "a"]


async def test_a_saved_task_moves_to_its_new_time(store: TaskStore) -> None:
    old = await kept(store, new("old"))
    await kept(store, new("young", after_s=1))
    await store.save(next_of(old, after_s=2), expected_version=1)

    assert await ids(store, TaskQuery(OWNER, 10)) == ["old", "young"]


async def test_a_list_shows_one_owner_only(store: TaskStore) -> None:
    await kept(store, new("mine"))
    await kept(store, new("theirs", owner="tenant\nsomebody"))

    page = await store.list(TaskQuery(OWNER, 10))
    assert ([task.id for task in page.tasks], page.total) == (["mine"], 1)


async def test_filters_go_together_and_count(store: TaskStore) -> None:
    done = TaskState.COMPLETED
    await kept(store, new("wanted1", done, context_id="x", after_s=5))
    await kept(store, new("wanted2", done, context_id="x", after_s=6))
    await kept(store, new("early", done, context_id="x", after_s=4))
    await kept(store, new("state", TaskState.FAILED, context_id="x", after_s=5))
    await kept(store, new("context", done, context_id="X", after_s=5))
    query = TaskQuery(OWNER, 1, context_id="x", state=done, since=NOON + timedelta(seconds=5))

    page = await store.list(query)
    assert ([task.id for task in page.tasks], page.total) == (["wanted2"], 2)
    page = await store.list(replace(query, after=page.next_after))
    assert ([task.id for task in page.tasks], page.total, page.next_after) == (["wanted1"], 2, None)


async def test_an_empty_list_is_a_page(store: TaskStore) -> None:
    page = await store.list(TaskQuery(OWNER, 10))
    assert (list(page.tasks), page.total, page.next_after) == ([], 0, None)


# What a restart takes up


async def test_unfinished_tasks_are_neither_ended_nor_waiting(store: TaskStore) -> None:
    for state in TaskState:
        await kept(store, new(state.value, state, owner=f"\n{state.value}"))

    unfinished = {stored.task.status.state for stored in await store.unfinished()}
    assert unfinished == {TaskState.SUBMITTED, TaskState.WORKING}


# Push configurations


async def test_configurations_come_back_as_given_in_the_order_of_their_ids(store: TaskStore) -> None:
    await kept(store, new("t"))
    secret = TaskPushNotificationConfig(
        id="B",
        tenant="x",
        task_id="t",
        url="https://example.org",
        token="t\x00",  # noqa: S106 no secret of anybody
        authentication=AuthenticationInfo(scheme="Bearer", credentials="secret"),
    )
    for config in (push("b"), push("a"), secret):
        await store.put_push_config("t", config, is_notified=False)

    assert await store.push_configs("t") == [secret, push("a"), push("b")]


async def test_a_configuration_takes_the_place_of_the_one_with_its_id(store: TaskStore) -> None:
    await kept(store, new("t", TaskState.COMPLETED))
    await store.put_push_config("t", push("a"), is_notified=True)
    other = push("a", "https://example.org/other")
    await store.put_push_config("t", other, is_notified=False)

    assert await store.push_configs("t") == [other]
    assert [config for _, config in await store.unnotified()] == [other]


async def test_a_configuration_for_a_task_that_is_gone_is_not_kept(store: TaskStore) -> None:
    """Between the look at the task and this, it may have been forgotten."""
    await store.put_push_config("t", push("a"), is_notified=False)

    assert await store.push_configs("t") == []


async def test_a_deleted_configuration_is_gone_and_may_be_deleted_again(store: TaskStore) -> None:
    await kept(store, new("t"))
    for config_id in ("a", "b"):
        await store.put_push_config("t", push(config_id), is_notified=False)
    for _ in range(2):
        await store.delete_push_config("t", "a")

    assert await store.push_configs("t") == [push("b")]


async def test_only_ended_tasks_whose_receivers_were_not_told_are_unnotified(store: TaskStore) -> None:
    ended = await kept(store, new("ended", TaskState.FAILED))
    await kept(store, new("waiting", TaskState.INPUT_REQUIRED))
    for task_id in ("ended", "waiting"):
        for config_id in ("told", "untold"):
            await store.put_push_config(task_id, push(config_id), is_notified=False)
    await store.put_push_config("ended", push("late"), is_notified=True)
    await store.mark_notified("ended", "told")
    await store.mark_notified("gone", "told")

    assert await store.unnotified() == [(ended, push("untold"))]
