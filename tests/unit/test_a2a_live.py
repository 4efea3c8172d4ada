"""A living task and whoever follows it."""

import asyncio
import weakref

import pytest

from a2a.server.live import MAX_TURN_BYTES, MAX_TURN_EVENTS, Follower, LiveTask, status_now
from a2a.skill import Reply, SkillFailed
from a2a.stores.base import StoredTask
from a2a.types import (
    MAX_LISTED,
    Artifact,
    Message,
    Part,
    StreamResponse,
    Task,
    TaskState,
)
from tests.support.local_client import events_of


def new_live(*, is_announced: bool = True) -> LiveTask:
    first = Message.from_user(Part.from_text("first"))
    task = Task(id="t", context_id="c", status=status_now(TaskState.SUBMITTED), history=[first])
    live = LiveTask(StoredTask(task, "somebody", 1))
    if is_announced:
        live.announce()
    return live


async def collect(follower: Follower) -> list[str]:
    return [describe(event) async for event in events_of(follower)]


async def first_of(follower: Follower) -> StreamResponse:
    (first,) = await follower.batch()
    assert first.response is not None
    return first.response


def describe(event: StreamResponse) -> str:
    """A word for the event: the state, or the artifact's text."""
    if event.task is not None:
        return f"task {event.task.status.state.name}"
    if event.status_update is not None:
        said = event.status_update.status.message
        return event.status_update.status.state.name + (f" {said.spoken_text()}" if said else "")
    assert event.artifact_update is not None
    return f"{event.artifact_update.artifact.parts[0].text}{'+' if event.artifact_update.append else ''}"


async def work(live: LiveTask) -> None:
    """Letting the followers run between any two events."""
    live.set_status(status_now(TaskState.WORKING))
    for number in range(5):
        await asyncio.sleep(0)
        live.add_artifact(artifact(str(number)), append=number > 0)
    live.set_status(status_now(TaskState.COMPLETED))


def artifact(text: str) -> Artifact:
    return Artifact(artifact_id="a", parts=[Part.from_text(text)])


EVENTS = ["WORKING", "0", "1+", "2+", "3+", "4+", "COMPLETED"]


async def test_all_followers_see_the_same_events_in_the_same_order() -> None:
    """3.5.2"""
    live = new_live()
    followers = [asyncio.create_task(collect(live.follow())) for _ in range(50)]
    await asyncio.sleep(0)
    await work(live)

    async with asyncio.timeout(5):
        seen = await asyncio.gather(*followers)
    assert seen == [["task SUBMITTED", *EVENTS]] * 50


async def test_a_follower_that_never_reads_holds_up_nobody() -> None:
    """3.5.2"""
    live = new_live()
    stuck = live.follow()
    await first_of(stuck)
    quick = asyncio.create_task(collect(live.follow()))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await work(live)
        seen = await quick

    assert seen == ["task SUBMITTED", *EVENTS]
    assert await collect(stuck) == EVENTS


async def test_a_follower_that_goes_away_leaves_the_task_and_the_others_alone() -> None:
    """3.5.2"""
    live = new_live()
    leaving = asyncio.create_task(collect(live.follow()))
    staying = asyncio.create_task(collect(live.follow()))
    await asyncio.sleep(0)
    live.set_status(status_now(TaskState.WORKING))
    leaving.cancel()
    await asyncio.wait([leaving])
    live.set_status(status_now(TaskState.COMPLETED))

    async with asyncio.timeout(5):
        assert await staying == ["task SUBMITTED", "WORKING", "COMPLETED"]
    assert live.snapshot().status.state is TaskState.COMPLETED


async def test_a_late_follower_gets_the_task_as_it_is_and_then_what_comes() -> None:
    """3.1.6"""
    live = new_live()
    live.set_status(status_now(TaskState.WORKING))
    live.add_artifact(artifact("early "))
    events = live.follow()
    live.add_artifact(artifact("late"), append=True)
    live.set_status(status_now(TaskState.COMPLETED))
    first = await first_of(events)

    assert first.task is not None
    assert [part.text for item in first.task.artifacts or [] for part in item.parts] == ["early "]
    assert await collect(events) == ["late+", "COMPLETED"]


async def test_a_follower_of_an_ended_task_gets_the_task_alone() -> None:
    live = new_live()
    live.set_status(status_now(TaskState.COMPLETED))

    async with asyncio.timeout(5):
        assert await collect(live.follow()) == ["task COMPLETED"]


async def test_a_turn_ends_at_a_question_and_the_next_turn_has_events_of_its_own() -> None:
    live = new_live()
    first_turn = live.follow()
    live.set_status(status_now(TaskState.WORKING))
    live.set_status(live.spoken(TaskState.INPUT_REQUIRED, "Which city?"))
    live.begin_turn(Message.from_user(Part.from_text("Oslo")), b"key")
    second_turn = live.follow()

    async with asyncio.timeout(5):
        assert await collect(first_turn) == ["task SUBMITTED", "WORKING", "INPUT_REQUIRED Which city?"]
        live.set_status(status_now(TaskState.COMPLETED))
        assert await collect(second_turn) == ["task SUBMITTED", "COMPLETED"]


async def test_the_history_of_a_turn_holds_the_question_before_its_answer() -> None:
    live = new_live()
    live.set_status(live.spoken(TaskState.INPUT_REQUIRED, "Which city?"))
    live.begin_turn(Message.from_user(Part.from_text("Oslo")), b"key")

    said = [message.spoken_text() for message in live.snapshot().history or []]
    assert said == ["first", "Which city?", "Oslo"]


async def test_nothing_is_added_to_a_task_that_has_ended() -> None:
    live = new_live()
    live.set_status(status_now(TaskState.CANCELED))
    live.set_status(status_now(TaskState.COMPLETED))
    live.add_artifact(artifact("late"))

    assert live.snapshot().status.state is TaskState.CANCELED
    assert live.snapshot().artifacts is None


async def test_what_cannot_be_sent_is_refused_when_it_is_added() -> None:
    """Else every later look at the task would fail."""
    live = new_live()
    circle: list[object] = []
    circle.append(circle)
    for bad in (
        {"data": {"a": object()}},
        {"data": circle},
        {"text": "\ud800"},
        {"data": "\ud800"},
        {"text": "a", "filename": "\ud800"},
        {"text": "a", "media_type": "\ud800"},
        {"url": "\ud800"},
        {"text": "a", "metadata": {"a": "\ud800"}},
    ):
        part = Part.model_construct(None, **bad)
        with pytest.raises(ValueError, match=r"serializ|Circular"):
            live.add_artifact(Artifact(artifact_id="a", parts=[part]))
    for fields in ({"name": "\ud800"}, {"description": "\ud800"}, {"extensions": ["\ud800"]}):
        with pytest.raises(ValueError, match="serializ"):
            live.add_artifact(
                Artifact(artifact_id="a", parts=[Part.from_text("a")]).model_copy(update=fields)
            )

    assert live.snapshot().artifacts is None


async def test_words_that_are_no_unicode_are_said_as_well_as_they_can_be() -> None:
    """A file name that is not UTF-8 gets into error texts."""
    live = new_live()
    live.set_status(live.spoken(TaskState.FAILED, "cannot read caf\udce9.txt"))

    assert live.snapshot().status.to_json()["message"]["parts"] == [{"text": "cannot read caf?.txt"}]
    assert live.snapshot().model_dump_json()


async def test_a_waiter_wakes_when_the_task_asks_or_ends() -> None:
    for state in (TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED, TaskState.FAILED):
        live = new_live()
        waiting = asyncio.create_task(live.settled())
        await asyncio.sleep(0)
        live.set_status(status_now(TaskState.WORKING))
        await asyncio.sleep(0)
        assert not waiting.done()
        live.set_status(status_now(state))
        async with asyncio.timeout(5):
            await waiting


def new_artifacts(live: LiveTask, count: int, *parts: Part) -> None:
    for number in range(count):
        live.add_artifact(Artifact(artifact_id=str(number), parts=list(parts)))


@pytest.mark.parametrize(
    "part",
    [
        Part.from_text("x" * 2**20),
        Part.from_text("\u00fc" * 2**19),
        Part.from_bytes(b"x" * (2**20 * 3 // 4), "a/b"),
        Part.from_data("x" * 2**20),
        Part.from_text("x", metadata={"a": "x" * 2**20}),
    ],
    ids=["text", "UTF-8", "bytes", "data", "metadata"],
)
async def test_a_turn_has_a_bound_in_bytes(part: Part) -> None:
    live = new_live()

    with pytest.raises(SkillFailed, match="too large"):
        new_artifacts(live, MAX_TURN_BYTES // 2**20 + 1, part)


async def test_a_turn_has_a_bound_in_artifacts() -> None:
    live = new_live()

    with pytest.raises(SkillFailed, match="too large"):
        new_artifacts(live, MAX_LISTED + 1, Part.from_text("x"))


async def test_a_turn_has_a_bound_in_words_and_chunks_together_and_can_end_then() -> None:
    live = new_live()
    for _ in range(MAX_TURN_EVENTS - 1):
        live.add_artifact(artifact("x"), append=True)
    live.set_status(live.spoken(TaskState.WORKING, "nearly there"))
    with pytest.raises(SkillFailed, match="too large"):
        live.set_status(live.spoken(TaskState.WORKING, "x"))
    with pytest.raises(SkillFailed, match="too large"):
        live.add_artifact(artifact("x"))
    live.set_status(live.spoken(TaskState.FAILED, "too much"))

    assert live.state is TaskState.FAILED


async def test_the_next_turn_has_the_whole_bound_again() -> None:
    live = new_live()
    big = artifact("x" * (MAX_TURN_BYTES * 3 // 4))
    live.add_artifact(big)
    live.set_status(live.spoken(TaskState.INPUT_REQUIRED, "More?"))
    live.begin_turn(Message.from_user(Part.from_text("Yes")), b"key")
    live.add_artifact(big)

    assert live.snapshot().artifacts is not None


async def test_events_that_nobody_follows_are_not_kept() -> None:
    live = new_live()
    live.set_status(live.spoken(TaskState.WORKING, "first"))
    first = weakref.ref(live.snapshot().status)
    follower = live.follow()
    await first_of(follower)
    live.set_status(live.spoken(TaskState.WORKING, "second"))
    second = weakref.ref(live.snapshot().status)
    live.set_status(live.spoken(TaskState.WORKING, "third"))
    kept_for_the_follower = second() is not None
    follower.close()

    assert first() is None
    assert kept_for_the_follower
    assert second() is None


async def test_who_waits_for_the_kind_of_answer_learns_of_each() -> None:
    for tell in (
        LiveTask.announce,
        lambda live: live.answer(Reply(Part.from_text("hi"))),
        lambda live: live.set_status(status_now(TaskState.FAILED)),
    ):
        live = new_live(is_announced=False)
        waiting = asyncio.create_task(live.announced())
        live.set_status(status_now(TaskState.WORKING))
        await asyncio.sleep(0)
        assert not waiting.done()
        tell(live)
        async with asyncio.timeout(5):
            await waiting


async def test_a_reply_that_cannot_be_sent_is_refused() -> None:
    live = new_live()

    with pytest.raises(ValueError, match="serializ"):
        live.answer(Reply(Part.from_text("\ud800")))
    assert live.reply is None
