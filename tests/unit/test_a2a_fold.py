"""A stream folded into its task."""

import pytest

from a2a.fold import apply_artifact, apply_status
from a2a.types import (
    Artifact,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)


def new_task(state: TaskState = TaskState.WORKING) -> Task:
    return Task(id="t", context_id="c", status=TaskStatus(state=state))


def status(state: TaskState) -> TaskStatusUpdateEvent:
    return TaskStatusUpdateEvent(task_id="t", context_id="c", status=TaskStatus(state=state))


def chunk(artifact_id: str, *parts: Part, append: bool | None = None) -> TaskArtifactUpdateEvent:
    artifact = Artifact(artifact_id=artifact_id, parts=list(parts))
    return TaskArtifactUpdateEvent(task_id="t", context_id="c", artifact=artifact, append=append)


def contents(task: Task) -> dict[str, list[object]]:
    return {item.artifact_id: [part.to_json() for part in item.parts] for item in task.artifacts or []}


@pytest.mark.parametrize("ended", [state for state in TaskState if state.is_terminal])
def test_a_terminal_state_never_changes(ended: TaskState) -> None:
    task = new_task(ended)

    for state in TaskState:
        apply_status(task, status(state))
    assert task.status.state is ended


def test_an_open_state_follows_the_stream() -> None:
    task = new_task()
    apply_status(task, status(TaskState.INPUT_REQUIRED))

    assert task.status.state is TaskState.INPUT_REQUIRED


def test_artifacts_keep_the_order_they_came_in() -> None:
    task = new_task()
    for artifact_id in "bac":
        apply_artifact(task, chunk(artifact_id, Part.from_text(artifact_id)))

    assert list(contents(task)) == ["b", "a", "c"]


def test_text_chunks_become_one_part() -> None:
    task = new_task()
    apply_artifact(task, chunk("a", Part.from_text("one ")))
    apply_artifact(task, chunk("a", Part.from_text("two "), append=True))
    apply_artifact(task, chunk("a", Part.from_text("three"), append=True))

    assert contents(task) == {"a": [{"text": "one two three"}]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Part.from_text("a"), Part.from_data({"b": 1})),
        (Part.from_text("a"), Part.from_text("b", filename="b.txt")),
        (Part.from_text("a"), Part.from_text("b", metadata={"k": 1})),
        (Part.from_text("a", media_type="text/csv"), Part.from_text("{}", media_type="application/json")),
        (Part.from_text("a"), Part.from_text("<b>", media_type="text/html")),
        (Part.from_bytes(b"a", "a/b"), Part.from_bytes(b"b", "a/b")),
    ],
    ids=["data", "a file", "metadata", "media types", "a media type and none", "bytes"],
)
def test_what_is_more_than_text_stays_a_part_of_its_own(first: Part, second: Part) -> None:
    task = new_task()
    apply_artifact(task, chunk("a", first))
    apply_artifact(task, chunk("a", second, append=True))

    assert contents(task) == {"a": [first.to_json(), second.to_json()]}


def test_an_artifact_that_comes_again_without_append_is_replaced_in_its_place() -> None:
    task = new_task()
    for event in (chunk("a", Part.from_text("old")), chunk("b", Part.from_text("b"))):
        apply_artifact(task, event)
    apply_artifact(task, chunk("a", Part.from_text("new")))

    assert contents(task) == {"a": [{"text": "new"}], "b": [{"text": "b"}]}


def test_an_append_to_nothing_begins_the_artifact() -> None:
    """A follower that came late sees it so."""
    task = new_task()
    apply_artifact(task, chunk("a", Part.from_text("tail"), append=True))

    assert contents(task) == {"a": [{"text": "tail"}]}


def test_later_chunks_leave_the_events_they_were_folded_from_alone() -> None:
    task = new_task()
    first, second = chunk("a", Part.from_text("one")), chunk("a", Part.from_data(1), append=True)
    third = chunk("a", Part.from_text("two"), append=True)
    for event in (first, second, third, chunk("a", Part.from_text("three"), append=True)):
        apply_artifact(task, event)

    assert [part.to_json() for part in first.artifact.parts] == [{"text": "one"}]
    assert [part.to_json() for part in third.artifact.parts] == [{"text": "two"}]
