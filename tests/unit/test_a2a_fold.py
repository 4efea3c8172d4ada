"""A stream folded into its task."""

import pytest
from pydantic import ValidationError

from a2a.errors import InvalidAgentResponse
from a2a.fold import TaskFold
from a2a.types import (
    MAX_LISTED,
    Artifact,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)


def new_fold(state: TaskState = TaskState.WORKING) -> TaskFold:
    return TaskFold(Task(id="t", context_id="c", status=TaskStatus(state=state)))


def status(state: TaskState) -> TaskStatusUpdateEvent:
    return TaskStatusUpdateEvent(task_id="t", context_id="c", status=TaskStatus(state=state))


def chunk(artifact_id: str, *parts: Part, append: bool | None = None) -> TaskArtifactUpdateEvent:
    artifact = Artifact(artifact_id=artifact_id, parts=list(parts))
    return TaskArtifactUpdateEvent(task_id="t", context_id="c", artifact=artifact, append=append)


def contents(task: Task) -> dict[str, list[object]]:
    return {item.artifact_id: [part.to_json() for part in item.parts] for item in task.artifacts or []}


@pytest.mark.parametrize("ended", [state for state in TaskState if state.is_terminal])
def test_a_terminal_state_never_changes(ended: TaskState) -> None:
    fold = new_fold(ended)

    for state in TaskState:
        fold.apply_status(status(state))
    assert fold.status.state is ended


def test_an_open_state_follows_the_stream() -> None:
    fold = new_fold()
    fold.apply_status(status(TaskState.INPUT_REQUIRED))

    assert fold.status.state is TaskState.INPUT_REQUIRED


def test_artifacts_keep_the_order_they_came_in() -> None:
    fold = new_fold()
    for artifact_id in "bac":
        fold.apply_artifact(chunk(artifact_id, Part.from_text(artifact_id)))

    assert list(contents(fold.task)) == ["b", "a", "c"]


def test_text_chunks_become_one_part() -> None:
    fold = new_fold()
    fold.apply_artifact(chunk("a", Part.from_text("one ")))
    fold.apply_artifact(chunk("a", Part.from_text("two "), append=True))
    fold.apply_artifact(chunk("a", Part.from_text("three"), append=True))

    assert contents(fold.task) == {"a": [{"text": "one two three"}]}


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
    fold = new_fold()
    fold.apply_artifact(chunk("a", first))
    fold.apply_artifact(chunk("a", second, append=True))

    assert contents(fold.task) == {"a": [first.to_json(), second.to_json()]}


def test_an_artifact_that_comes_again_without_append_is_replaced_in_its_place() -> None:
    fold = new_fold()
    for event in (chunk("a", Part.from_text("old")), chunk("b", Part.from_text("b"))):
        fold.apply_artifact(event)
    fold.apply_artifact(chunk("a", Part.from_text("new")))

    assert contents(fold.task) == {"a": [{"text": "new"}], "b": [{"text": "b"}]}


def test_an_append_to_nothing_begins_the_artifact() -> None:
    """A follower that came late sees it so."""
    fold = new_fold()
    fold.apply_artifact(chunk("a", Part.from_text("tail"), append=True))

    assert contents(fold.task) == {"a": [{"text": "tail"}]}


def test_later_chunks_leave_the_events_they_were_folded_from_alone() -> None:
    fold = new_fold()
    first, second = chunk("a", Part.from_text("one")), chunk("a", Part.from_data(1), append=True)
    third = chunk("a", Part.from_text("two"), append=True)
    for event in (first, second, third, chunk("a", Part.from_text("three"), append=True)):
        fold.apply_artifact(event)

    assert [part.to_json() for part in first.artifact.parts] == [{"text": "one"}]
    assert [part.to_json() for part in third.artifact.parts] == [{"text": "two"}]


def test_reading_the_task_between_two_chunks_changes_nothing() -> None:
    fold = new_fold()
    seen = []
    for text in ("one ", "two ", "three"):
        fold.apply_artifact(chunk("a", Part.from_text(text), append=True))
        seen.append(contents(fold.task)["a"])

    assert seen == [[{"text": "one "}], [{"text": "one two "}], [{"text": "one two three"}]]


def test_an_artifact_that_is_replaced_loses_the_chunks_it_had() -> None:
    fold = new_fold()
    for text in ("old ", "chunks"):
        fold.apply_artifact(chunk("a", Part.from_text(text), append=True))
    fold.apply_artifact(chunk("a", Part.from_text("new ")))
    fold.apply_artifact(chunk("a", Part.from_text("chunk"), append=True))

    assert contents(fold.task) == {"a": [{"text": "new chunk"}]}


def test_chunks_go_on_where_the_task_had_come_to() -> None:
    begun = Artifact(artifact_id="a", parts=[Part.from_text("one ")])
    task = Task(id="t", status=TaskStatus(state=TaskState.WORKING), artifacts=[begun])
    fold = TaskFold(task)
    fold.apply_artifact(chunk("a", Part.from_text("two"), append=True))

    assert contents(fold.task) == {"a": [{"text": "one two"}]}


def test_too_many_artifacts_are_refused() -> None:
    fold = new_fold()
    for number in range(MAX_LISTED):
        fold.apply_artifact(chunk(str(number), Part.from_text("x")))
    fold.apply_artifact(chunk("0", Part.from_text("y")))

    with pytest.raises(InvalidAgentResponse, match="too large"):
        fold.apply_artifact(chunk("one more", Part.from_text("x")))
    assert len(contents(fold.task)) == MAX_LISTED


def test_too_many_parts_are_refused() -> None:
    fold = new_fold()
    data = Part.from_data(1)
    fold.apply_artifact(chunk("a", *[data] * MAX_LISTED))

    with pytest.raises(InvalidAgentResponse, match="too large"):
        fold.apply_artifact(chunk("a", data, append=True))


def test_a_task_that_is_too_large_from_the_start_is_no_task() -> None:
    artifacts = [Artifact(artifact_id="a", parts=[Part.from_data(1)])]
    with pytest.raises(ValidationError, match="at most 10000"):
        Task(id="t", status=TaskStatus(state=TaskState.WORKING), artifacts=artifacts * (MAX_LISTED + 1))
