"""SendStreamingMessage and SubscribeToTask, clause by clause, over every binding and store."""

import asyncio

import pytest

from tests.support.bindings import Caller, World, message, parts, state, told, word


async def test_a_stream_is_the_task_then_its_events_and_closes_at_the_end(agent: Caller) -> None:
    """3.1.2, 4.2"""
    first, *updates = await agent.events("SendStreamingMessage", message("go", "report"))

    assert state(first["task"]) == "SUBMITTED"
    assert [told(event) for event in updates] == [
        "WORKING", "WORKING", "one ", "two", "data", "<svg/>", "COMPLETED",
    ]  # fmt: skip
    ids = {(event["taskId"], event["contextId"]) for update in updates for event in update.values()}
    assert ids == {(first["task"]["id"], first["task"]["contextId"])}


async def test_each_event_has_one_key_and_none_of_old(agent: Caller) -> None:
    """3.2.3, 4.2"""
    events = await agent.events("SendStreamingMessage", message("go", "report"))

    assert {len(event) for event in events} == {1}
    assert not {"kind", "final"} & {key for event in events for inner in event.values() for key in inner}


async def test_chunks_of_one_artifact_are_appended(agent: Caller) -> None:
    """4.2"""
    events = await agent.events("SendStreamingMessage", message("go", "report"))
    chunks = [event["artifactUpdate"] for event in events if "artifactUpdate" in event]

    assert [chunk.get("append", False) for chunk in chunks] == [False, True, True, False]
    assert len({chunk["artifact"]["artifactId"] for chunk in chunks[:3]}) == 1


async def test_a_stream_tells_what_get_task_says_afterwards(agent: Caller) -> None:
    """3.5.2"""
    events = await agent.events("SendStreamingMessage", message("go", "report"))
    task = await agent.get(events[0]["task"])

    assert parts(task) == [[{"text": "one two"}, {"data": {"rows": 2}}], [{"text": "<svg/>"}]]
    assert task["status"] == events[-1]["statusUpdate"]["status"]


@pytest.mark.parametrize(("skill", "ends"), [("fail", "FAILED"), ("reject", "REJECTED"), ("crash", "FAILED")])
async def test_a_stream_closes_however_the_task_ends(agent: Caller, skill: str, ends: str) -> None:
    """3.1.2"""
    *_, last = await agent.events("SendStreamingMessage", message("go", skill))

    assert told(last) == ends


async def test_a_stream_closes_at_a_question(agent: Caller) -> None:
    """11.7"""
    *_, last = await agent.events("SendStreamingMessage", message("weather", "ask"))

    assert told(last) == "INPUT_REQUIRED"


async def test_a_stream_stays_open_while_somebody_has_to_authorise_something(agent: Caller) -> None:
    """7.6.1"""
    async with agent.stream("SendStreamingMessage", message("private", "authorise")) as events:
        first = await anext(events)
        while told(await anext(events)) != "AUTH_REQUIRED":
            pass
        await agent.call("CancelTask", {"id": first["task"]["id"]})
        assert [told(event) async for event in events] == ["CANCELED"]


async def test_a_question_is_answered_over_a_stream_too(agent: Caller) -> None:
    """3.1.2, 3.4.3"""
    asked = await agent.send("weather", "ask")
    first, *_, last = await agent.events("SendStreamingMessage", message("Oslo", taskId=asked["id"]))

    assert first["task"]["id"] == asked["id"]
    assert told(last) == "COMPLETED"


async def test_a_canceled_task_ends_its_stream(world: World, agent: Caller) -> None:
    """3.1.5"""
    text = word()
    async with agent.stream("SendStreamingMessage", message(text, "wait")) as events:
        first = await anext(events)
        await world.script.started[text].wait()
        await agent.call("CancelTask", {"id": first["task"]["id"]})
        seen = [told(event) async for event in events]

    assert seen == ["WORKING", "CANCELED"]


async def test_a_stream_that_nobody_reads_on_leaves_the_task_to_itself(world: World, agent: Caller) -> None:
    """3.5.2"""
    text = word()
    params = message(text, "wait")
    async with agent.stream("SendStreamingMessage", params) as events:
        await anext(events)
    world.script.go[text].open()
    again = await agent.call("SendMessage", params)

    assert state(again["task"]) == "COMPLETED"


# SubscribeToTask


async def test_a_subscriber_gets_the_task_as_it_is_and_then_its_events(world: World, agent: Caller) -> None:
    """3.1.6"""
    text = word()
    task = await agent.begin(text)
    await world.script.started[text].wait()
    async with agent.stream("SubscribeToTask", {"id": task["id"]}) as events:
        first = await anext(events)
        world.script.go[text].open()
        rest = [told(event) async for event in events]

    assert (list(first), told(first)) == (["task"], "WORKING")
    assert first["task"]["id"] == task["id"]
    assert rest == ["waited", "COMPLETED"]


async def test_a_subscriber_stays_over_a_question_to_the_end(agent: Caller) -> None:
    """3.1.6"""
    asked = await agent.send("weather", "ask")
    async with agent.stream("SubscribeToTask", {"id": asked["id"]}) as events:
        first = await anext(events)
        task = await agent.send("Oslo", taskId=asked["id"])
        rest = [event async for event in events]

    assert first == {"task": asked}
    assert [told(event) for event in rest] == [
        "SUBMITTED", "WORKING", "['weather', 'Which city?'] Oslo", "COMPLETED",
    ]  # fmt: skip
    assert rest[-1]["statusUpdate"]["status"] == task["status"]


@pytest.mark.parametrize("skill", ["echo", "fail", "reject", "crash"])
async def test_an_ended_task_cannot_be_subscribed_to(agent: Caller, skill: str) -> None:
    """3.1.6"""
    ended = await agent.send("hello", skill)

    assert (await agent.refusal("SubscribeToTask", {"id": ended["id"]})).name == "UNSUPPORTED_OPERATION"


async def test_all_subscribers_see_the_same_events_in_the_same_order(world: World, agent: Caller) -> None:
    """3.5.2"""
    asked = await agent.send("weather", "ask")

    async def follow(binding: str, is_ready: asyncio.Event) -> list[str]:
        async with (
            world.caller(binding) as other,
            other.stream("SubscribeToTask", {"id": asked["id"]}) as events,
        ):
            seen = [told(await anext(events))]
            is_ready.set()
            return seen + [told(event) async for event in events]

    bindings = ["JSONRPC", "HTTP+JSON", "GRPC", "JSONRPC"]
    ready = [asyncio.Event() for _ in bindings]
    following = [
        asyncio.create_task(follow(binding, is_ready))
        for binding, is_ready in zip(bindings, ready, strict=True)
    ]
    for is_ready in ready:
        await is_ready.wait()
    await agent.send("Oslo", taskId=asked["id"])
    first, *others = await asyncio.gather(*following)

    assert first[0] == "INPUT_REQUIRED"
    assert first[-1] == "COMPLETED"
    assert all(other == first for other in others)


async def test_a_subscriber_that_leaves_takes_nothing_from_the_others(agent: Caller) -> None:
    """3.5.2"""
    asked = await agent.send("weather", "ask")
    async with agent.stream("SubscribeToTask", {"id": asked["id"]}) as staying:
        await anext(staying)
        async with agent.stream("SubscribeToTask", {"id": asked["id"]}) as leaving:
            await anext(leaving)
        await agent.send("Oslo", taskId=asked["id"])
        seen = [told(event) async for event in staying]

    assert seen[-1] == "COMPLETED"


async def test_an_answer_after_all_subscribers_left_finds_the_task(agent: Caller) -> None:
    asked = await agent.send("weather", "ask")
    for _ in range(2):
        async with agent.stream("SubscribeToTask", {"id": asked["id"]}) as events:
            await anext(events)

    assert state(await agent.send("Oslo", taskId=asked["id"])) == "COMPLETED"
