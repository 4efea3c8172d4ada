"""What an agent remembers of its tasks, and when it forgets."""

import pytest

from a2a.server.live import LiveTask
from a2a.stores.memory import MODEL_BYTES, MemoryTaskStore, kept_bytes
from a2a.types import Artifact, Message, Part, Task, TaskState, TaskStatus

UNIT = 20 * MODEL_BYTES


def add_task(store: MemoryTaskStore, task_id: str, state: TaskState, *, size: int = 1) -> LiveTask:
    message = Message.from_user(Part.from_text("x" * size), task_id=task_id)
    live = LiveTask(Task(id=task_id, status=TaskStatus(state=state), history=[message]), "c")
    store.add(live)
    store.remember_message(("", task_id.encode()), task_id)
    return live


def end_task(store: MemoryTaskStore, task_id: str, *, size: int = 1) -> None:
    store.mark_settled(add_task(store, task_id, TaskState.COMPLETED, size=size))


def remembered(store: MemoryTaskStore) -> list[str]:
    return [live.task.id for live in store]


def test_the_oldest_ended_task_is_forgotten_first() -> None:
    store = MemoryTaskStore(max_tasks=2)
    for task_id in ("a", "b", "c"):
        end_task(store, task_id)

    assert remembered(store) == ["b", "c"]
    assert store.get("a") is None


def test_a_forgotten_task_takes_its_messages_along() -> None:
    store = MemoryTaskStore(max_tasks=1)
    end_task(store, "a")
    end_task(store, "b")

    assert store.made_by(("", b"a")) is None
    made = store.made_by(("", b"b"))
    assert made is not None
    assert made.task.id == "b"


def test_bytes_count_as_well_as_numbers() -> None:
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    for task_id in ("a", "b", "c"):
        end_task(store, task_id, size=45 * UNIT)

    assert remembered(store) == ["b", "c"]


def test_the_newest_task_stays_even_where_it_is_over_the_bound_alone() -> None:
    """Its caller is about to read it."""
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    end_task(store, "small")
    end_task(store, "big", size=1_000 * UNIT)

    assert remembered(store) == ["big"]


def test_forgetting_a_big_task_makes_room_again() -> None:
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    end_task(store, "big", size=1_000 * UNIT)
    for task_id in ("a", "b"):
        end_task(store, task_id, size=40 * UNIT)

    assert remembered(store) == ["a", "b"]


def test_a_running_task_is_never_forgotten() -> None:
    store = MemoryTaskStore(max_tasks=1)
    add_task(store, "running", TaskState.WORKING, size=1_000)
    for number in range(5):
        end_task(store, f"ended {number}")

    assert remembered(store) == ["running", "ended 4"]


def test_a_task_that_waits_for_its_caller_is_forgotten_in_its_turn() -> None:
    """Callers who never answer may not fill the memory."""
    store = MemoryTaskStore(max_tasks=2)
    store.mark_settled(add_task(store, "asked", TaskState.INPUT_REQUIRED))
    for task_id in ("a", "b"):
        end_task(store, task_id)

    assert remembered(store) == ["a", "b"]


def test_a_task_that_goes_on_is_running_again() -> None:
    store = MemoryTaskStore(max_tasks=1)
    asked = add_task(store, "asked", TaskState.INPUT_REQUIRED)
    store.mark_settled(asked)
    store.mark_running(asked)
    for task_id in ("a", "b"):
        end_task(store, task_id)

    assert remembered(store) == ["asked", "b"]


def test_a_task_that_ends_twice_is_counted_once() -> None:
    """A skill that outlives its cancellation ends after its task did."""
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    twice = add_task(store, "twice", TaskState.CANCELED, size=40 * UNIT)
    for _ in range(3):
        store.mark_settled(twice)
    end_task(store, "other", size=40 * UNIT)

    assert remembered(store) == ["twice", "other"]


def test_a_task_that_ends_after_it_was_forgotten_stays_forgotten() -> None:
    store = MemoryTaskStore(max_tasks=1)
    late = add_task(store, "late", TaskState.CANCELED)
    store.mark_settled(late)
    end_task(store, "other")
    store.mark_settled(late)
    end_task(store, "last")

    assert remembered(store) == ["last"]


def test_a_message_of_another_caller_is_another_message() -> None:
    store = MemoryTaskStore()
    end_task(store, "a")
    store.remember_message(("anna", b"m"), "a")

    assert store.made_by(("anna", b"m")) is store.get("a")
    assert store.made_by(("bob", b"m")) is None


def test_a_task_that_is_forgotten_by_name_frees_its_room() -> None:
    store = MemoryTaskStore(max_bytes=100 * UNIT)
    end_task(store, "a", size=60 * UNIT)
    store.forget("a")
    for task_id in ("b", "c"):
        end_task(store, task_id, size=40 * UNIT)

    assert remembered(store) == ["b", "c"]
    assert store.made_by(("", b"a")) is None


def task_with(message: Message | None = None, artifact: Artifact | None = None) -> Task:
    artifacts = [artifact] if artifact is not None else None
    return Task(id="t", status=TaskStatus(state=TaskState.COMPLETED, message=message), artifacts=artifacts)


LONG = "x" * 100_000
SAID = Part.from_text("x")


@pytest.mark.parametrize(
    "task",
    [
        task_with(Message.from_agent(Part.from_text(LONG))),
        task_with(Message.from_user(SAID, metadata={"a": LONG})),
        task_with(Message.from_user(SAID, message_id=LONG)),
        task_with(Message.from_user(SAID, context_id=LONG)),
        task_with(artifact=Artifact.of(Part.from_bytes(LONG.encode(), "a/b"), name="a")),
        task_with(artifact=Artifact.of(Part.from_data({"a": [LONG]}), name="a")),
        task_with(artifact=Artifact.of(Part.from_text("x", filename=LONG), name="a")),
        task_with(artifact=Artifact.of(SAID, name="a", metadata={LONG: 1})),
        task_with(artifact=Artifact.of(SAID, name=LONG)),
    ],
    ids=["status", "metadata", "message id", "context", "bytes", "data", "file name", "artifact", "name"],
)
def test_whatever_a_task_holds_counts(task: Task) -> None:
    assert len(LONG) <= kept_bytes(task) < len(LONG) + 20 * MODEL_BYTES


def test_data_counts_for_what_it_takes_and_not_for_what_it_is_written_in() -> None:
    """An empty list is two characters of JSON and 56 bytes of memory."""
    task = task_with(artifact=Artifact.of(Part.from_data([[] for _ in range(10_000)]), name="a"))

    assert kept_bytes(task) > 10_000 * (56 + 8)
