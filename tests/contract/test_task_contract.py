"""GetTask and CancelTask, clause by clause, over every binding and store."""

import asyncio

import pytest

from tests.support.bindings import Caller, World, message, state, told, word

ENDING = ["echo", "fail", "crash", "reject"]


async def test_a_task_that_is_asked_for_is_the_task_that_was_sent(agent: Caller) -> None:
    """3.1.3: the bare task"""
    task = await agent.send()

    assert await agent.get(task) == task


async def test_a_running_task_is_got_as_it_is_now(world: World, agent: Caller) -> None:
    """3.1.3"""
    text = word()
    task = await agent.begin(text)
    await world.script.started[text].wait()
    got = await agent.get(task)
    world.script.go[text].open()

    assert (got["id"], state(got)) == (task["id"], "WORKING")


@pytest.mark.parametrize("operation", ["GetTask", "CancelTask", "SubscribeToTask"])
@pytest.mark.parametrize("task_id", ["nobody's", "ü", "a:b", "%", "x" * 1_000])
async def test_an_unknown_task_is_not_found(agent: Caller, operation: str, task_id: str) -> None:
    """3.1.3, 3.1.5, 3.1.6, 5.4"""
    assert (await agent.refusal(operation, {"id": task_id})).name == "TASK_NOT_FOUND"


@pytest.mark.parametrize("operation", ["GetTask", "CancelTask", "SubscribeToTask"])
async def test_a_task_id_that_is_over_a_thousand_characters_is_refused_by_name(
    agent: Caller, operation: str
) -> None:
    """5.7, 13.4"""
    refused = await agent.refusal(operation, {"id": "x" * 1_001})

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", ("id",))


async def test_a_running_task_is_canceled_and_its_waiting_caller_told(world: World, agent: Caller) -> None:
    """3.1.5"""
    text = word()
    params = message(text, "wait")
    sending = asyncio.create_task(agent.call("SendMessage", params))
    await world.script.started[text].wait()
    at_once = {**params, "configuration": {"returnImmediately": True}}
    running = (await agent.call("SendMessage", at_once))["task"]
    canceled = await agent.call("CancelTask", {"id": running["id"]})

    assert (state(running), state(canceled)) == ("WORKING", "CANCELED")
    assert (await sending)["task"] == canceled
    assert not world.script.finished[text].is_open


async def test_a_task_that_waits_for_a_slot_can_be_canceled(agent: Caller, world: World) -> None:
    """3.1.5"""
    texts = [word() for _ in range(32)]
    running = [await agent.begin(text) for text in texts]
    waiting = await agent.begin(word())
    canceled = await agent.call("CancelTask", {"id": waiting["id"]})
    for text in texts:
        world.script.go[text].open()

    assert (state(waiting), state(canceled)) == ("SUBMITTED", "CANCELED")
    assert {state(await agent.get(task)) for task in running} <= {"WORKING", "COMPLETED"}


@pytest.mark.parametrize("skill", ["ask", "authorise"])
async def test_a_task_that_waits_for_its_caller_can_be_canceled(agent: Caller, skill: str) -> None:
    """3.1.5"""
    asked = await agent.send("weather", skill)
    canceled = await agent.call("CancelTask", {"id": asked["id"]})
    refused = await agent.refusal("SendMessage", message("Oslo", taskId=asked["id"]))

    assert state(canceled) == "CANCELED"
    assert refused.name == "UNSUPPORTED_OPERATION"
    assert await agent.get(asked) == canceled


async def test_a_task_that_asks_and_is_followed_can_be_canceled(agent: Caller) -> None:
    """3.1.5, 3.1.6: the follower sees the end."""
    asked = await agent.send("weather", "ask")
    async with agent.stream("SubscribeToTask", {"id": asked["id"]}) as events:
        await anext(events)
        canceled = await agent.call("CancelTask", {"id": asked["id"]})
        seen = [told(event) async for event in events]

    assert state(canceled) == "CANCELED"
    assert seen == ["CANCELED"]


@pytest.mark.parametrize("skill", ENDING)
async def test_an_ended_task_cannot_be_canceled_and_stays_as_it_was(agent: Caller, skill: str) -> None:
    """3.1.5"""
    ended = await agent.send("hello", skill)
    refused = await agent.refusal("CancelTask", {"id": ended["id"]})

    assert refused.name == "TASK_NOT_CANCELABLE"
    assert await agent.get(ended) == ended


@pytest.mark.parametrize("skill", ["ask", "wait"])
async def test_a_second_cancel_finds_the_task_ended(agent: Caller, skill: str) -> None:
    """3.1.5"""
    task = await agent.begin(word(), skill)
    first = await agent.call("CancelTask", {"id": task["id"]})
    second = await agent.refusal("CancelTask", {"id": task["id"]})

    assert second.name == "TASK_NOT_CANCELABLE"
    assert await agent.get(task) == first


async def test_an_answer_and_a_cancel_at_once_leave_the_task_in_one_of_their_ends(agent: Caller) -> None:
    """3.1.5: whichever came first, nobody gets an error of the agent's own."""
    for _ in range(10):
        asked = await agent.send("weather", "ask")
        answered, canceled = await asyncio.gather(
            agent.call("SendMessage", message("Oslo", "ask", taskId=asked["id"])),
            agent.call("CancelTask", {"id": asked["id"]}),
            return_exceptions=True,
        )
        ended = await agent.get(asked)

        assert state(ended) in ("COMPLETED", "CANCELED")
        for answer, refusal in ((answered, "UNSUPPORTED_OPERATION"), (canceled, "TASK_NOT_CANCELABLE")):
            if isinstance(answer, BaseException):
                assert getattr(answer, "name", answer) == refusal
            else:
                assert answer.get("task", answer) == ended


async def test_many_cancels_at_once_end_the_task_once(agent: Caller) -> None:
    """3.1.5"""
    for skill in ("ask", "wait"):
        task = await agent.begin(word(), skill)
        answers = await asyncio.gather(
            *(agent.call("CancelTask", {"id": task["id"]}) for _ in range(5)), return_exceptions=True
        )
        canceled = [answer for answer in answers if not isinstance(answer, BaseException)]
        refused = [getattr(answer, "name", answer) for answer in answers if isinstance(answer, BaseException)]

        assert {state(answer) for answer in canceled} == {"CANCELED"}
        assert set(refused) <= {"TASK_NOT_CANCELABLE"}


# GetExtendedAgentCard


async def test_an_extended_card_that_is_not_declared_is_not_supported(agent: Caller) -> None:
    """3.3.4"""
    assert (await agent.refusal("GetExtendedAgentCard")).name == "UNSUPPORTED_OPERATION"
