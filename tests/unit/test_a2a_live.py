"""A living task and whoever follows it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from a2a.live import LiveTask
from a2a.types import (
    Artifact,
    Message,
    Part,
    StreamResponse,
    Task,
    TaskState,
    TaskStatus,
)


def new_live() -> LiveTask:
    first = Message.from_user(Part.from_text("first"))
    return LiveTask(
        Task(id="t", context_id="c", status=TaskStatus(state=TaskState.SUBMITTED), history=[first]), "c"
    )


async def collect(events: AsyncIterator[StreamResponse]) -> list[str]:
    return [describe(event) async for event in events]


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
    live.set_state(TaskState.WORKING)
    for number in range(5):
        await asyncio.sleep(0)
        live.add_artifact(artifact(str(number)), append=number > 0)
    live.set_state(TaskState.COMPLETED)


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
    await anext(stuck)
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
    live.set_state(TaskState.WORKING)
    leaving.cancel()
    await asyncio.wait([leaving])
    live.set_state(TaskState.COMPLETED)

    async with asyncio.timeout(5):
        assert await staying == ["task SUBMITTED", "WORKING", "COMPLETED"]
    assert live.task.status.state is TaskState.COMPLETED


async def test_a_late_follower_gets_the_task_as_it_is_and_then_what_comes() -> None:
    """3.1.6"""
    live = new_live()
    live.set_state(TaskState.WORKING)
    live.add_artifact(artifact("early "))
    events = live.follow()
    live.add_artifact(artifact("late"), append=True)
    live.set_state(TaskState.COMPLETED)
    first = await anext(events)

    assert first.task is not None
    assert [part.text for item in first.task.artifacts or [] for part in item.parts] == ["early "]
    assert await collect(events) == ["late+", "COMPLETED"]


async def test_a_follower_of_an_ended_task_gets_the_task_alone() -> None:
    live = new_live()
    live.set_state(TaskState.COMPLETED)

    async with asyncio.timeout(5):
        assert await collect(live.follow()) == ["task COMPLETED"]


async def test_a_turn_ends_at_a_question_and_the_next_turn_has_events_of_its_own() -> None:
    live = new_live()
    first_turn = live.follow()
    live.set_state(TaskState.WORKING)
    live.say(TaskState.INPUT_REQUIRED, "Which city?")
    live.begin_turn(Message.from_user(Part.from_text("Oslo")))
    second_turn = live.follow()

    async with asyncio.timeout(5):
        assert await collect(first_turn) == ["task SUBMITTED", "WORKING", "INPUT_REQUIRED Which city?"]
        live.set_state(TaskState.COMPLETED)
        assert await collect(second_turn) == ["task SUBMITTED", "COMPLETED"]


async def test_the_history_of_a_turn_holds_the_question_before_its_answer() -> None:
    live = new_live()
    live.say(TaskState.INPUT_REQUIRED, "Which city?")
    live.begin_turn(Message.from_user(Part.from_text("Oslo")))

    said = [message.spoken_text() for message in live.task.history or []]
    assert said == ["first", "Which city?", "Oslo"]


async def test_nothing_is_added_to_a_task_that_has_ended() -> None:
    live = new_live()
    live.set_state(TaskState.CANCELED)
    live.set_state(TaskState.COMPLETED)
    live.add_artifact(artifact("late"))

    assert live.task.status.state is TaskState.CANCELED
    assert live.task.artifacts is None


async def test_what_cannot_be_sent_is_refused_when_it_is_added() -> None:
    """Else every later look at the task would fail."""
    live = new_live()
    for bad in (Part.from_data({"a": object()}), Part.from_text("\ud800"), Part.from_data("\ud800")):
        with pytest.raises(ValueError, match="serializ"):
            live.add_artifact(Artifact(artifact_id="a", parts=[bad]))

    assert live.task.artifacts is None


async def test_words_that_are_no_unicode_are_said_as_well_as_they_can_be() -> None:
    """A file name that is not UTF-8 gets into error texts."""
    live = new_live()
    live.say(TaskState.FAILED, "cannot read caf\udce9.txt")

    assert live.task.status.to_json()["message"]["parts"] == [{"text": "cannot read caf?.txt"}]
    assert live.task.model_dump_json()


async def test_a_waiter_wakes_when_the_task_asks_or_ends() -> None:
    for state in (TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED, TaskState.FAILED):
        live = new_live()
        waiting = asyncio.create_task(live.settled())
        await asyncio.sleep(0)
        live.set_state(TaskState.WORKING)
        await asyncio.sleep(0)
        assert not waiting.done()
        live.set_state(state)
        async with asyncio.timeout(5):
            await waiting
