"""What an agent remembers of its tasks in memory, and when it forgets."""

from a2a.server.live import status_now
from a2a.stores.base import StoredTask, TaskQuery
from a2a.stores.memory import TASK_BYTES, MemoryTaskStore
from a2a.types import Message, Part, Task, TaskState

UNIT = 20 * TASK_BYTES
OWNER = "somebody"


async def add_task(store: MemoryTaskStore, task_id: str, state: TaskState, *, size: int = 1) -> StoredTask:
    message = Message.from_user(Part.from_text("x" * size), task_id=task_id)
    task = Task(id=task_id, context_id="c", status=status_now(state), history=[message])
    return await store.create(StoredTask(task, OWNER, 1), task_id.encode())


async def change(store: MemoryTaskStore, stored: StoredTask, state: TaskState) -> StoredTask | None:
    """The task in another state; None where the store did not take it."""
    task = stored.task.model_copy(update={"status": status_now(state)})
    changed = StoredTask(task, OWNER, stored.version + 1)
    return changed if await store.save(changed, expected_version=stored.version) else None


async def end_task(store: MemoryTaskStore, task_id: str, *, size: int = 1) -> None:
    await add_task(store, task_id, TaskState.COMPLETED, size=size)


async def remembered(store: MemoryTaskStore) -> list[str]:
    page = await store.list(TaskQuery(owner=OWNER, page_size=100))
    return sorted(task.id for task in page.tasks)


async def test_the_oldest_ended_task_is_forgotten_first() -> None:
    store = MemoryTaskStore(max_tasks=2)
    for task_id in ("a", "b", "c"):
        await end_task(store, task_id)

    assert await remembered(store) == ["b", "c"]
    assert await store.get("a", OWNER) is None


async def test_a_forgotten_task_takes_its_messages_along() -> None:
    store = MemoryTaskStore(max_tasks=1)
    await end_task(store, "a")
    await end_task(store, "b")

    assert await store.made_by(b"a") is None
    made = await store.made_by(b"b")
    assert made is not None
    assert made.task.id == "b"


async def test_bytes_count_as_well_as_numbers() -> None:
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    for task_id in ("a", "b", "c"):
        await end_task(store, task_id, size=45 * UNIT)

    assert await remembered(store) == ["b", "c"]


async def test_the_newest_task_stays_even_where_it_is_over_the_bound_alone() -> None:
    """Its caller is about to read it."""
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    await end_task(store, "small")
    await end_task(store, "big", size=1_000 * UNIT)

    assert await remembered(store) == ["big"]


async def test_forgetting_a_big_task_makes_room_again() -> None:
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    await end_task(store, "big", size=1_000 * UNIT)
    for task_id in ("a", "b"):
        await end_task(store, task_id, size=40 * UNIT)

    assert await remembered(store) == ["a", "b"]


async def test_a_running_task_is_never_forgotten() -> None:
    store = MemoryTaskStore(max_tasks=1)
    await add_task(store, "running", TaskState.WORKING, size=1_000)
    for number in range(5):
        await end_task(store, f"ended {number}")

    assert await remembered(store) == ["ended 4", "running"]


async def test_a_task_that_waits_for_its_caller_is_forgotten_in_its_turn() -> None:
    """Callers who never answer may not fill the memory."""
    store = MemoryTaskStore(max_tasks=2)
    await add_task(store, "asked", TaskState.INPUT_REQUIRED)
    for task_id in ("a", "b"):
        await end_task(store, task_id)

    assert await remembered(store) == ["a", "b"]


async def test_a_task_that_goes_on_is_running_again() -> None:
    store = MemoryTaskStore(max_tasks=1)
    asked = await add_task(store, "asked", TaskState.INPUT_REQUIRED)
    await change(store, asked, TaskState.WORKING)
    for task_id in ("a", "b"):
        await end_task(store, task_id)

    assert await remembered(store) == ["asked", "b"]


async def test_a_task_that_ends_twice_is_counted_once() -> None:
    """A skill that outlives its cancellation ends after its task did."""
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    twice = await add_task(store, "twice", TaskState.CANCELED, size=40 * UNIT)
    again: StoredTask | None = twice
    for _ in range(3):
        assert again is not None
        again = await change(store, again, TaskState.CANCELED)
    await end_task(store, "other", size=40 * UNIT)

    assert await remembered(store) == ["other", "twice"]


async def test_a_task_that_ends_after_it_was_forgotten_stays_forgotten() -> None:
    store = MemoryTaskStore(max_tasks=1)
    late = await add_task(store, "late", TaskState.CANCELED)
    await end_task(store, "other")
    assert await change(store, late, TaskState.CANCELED) is None
    await end_task(store, "last")

    assert await remembered(store) == ["last"]


async def test_a_task_that_is_forgotten_by_name_frees_its_room() -> None:
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    await end_task(store, "a", size=60 * UNIT)
    await store.forget("a")
    for task_id in ("b", "c"):
        await end_task(store, task_id, size=40 * UNIT)

    assert await remembered(store) == ["b", "c"]
    assert await store.made_by(b"a") is None
