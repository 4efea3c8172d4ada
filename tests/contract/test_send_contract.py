"""SendMessage, clause by clause, over every binding and store."""

import asyncio
from typing import Any

import pytest

from tests.support.bindings import Caller, World, message, parts, said_last, state, word


async def test_a_send_blocks_until_the_task_has_ended(world: World, agent: Caller) -> None:
    """3.1.1, 3.2.2"""
    text = word()
    sending = asyncio.create_task(agent.send(text, "wait"))
    await world.script.started[text].wait()
    still_waiting = not sending.done()
    world.script.go[text].open()
    task = await sending

    assert still_waiting
    assert (state(task), parts(task)) == ("COMPLETED", [[{"text": "waited"}]])


@pytest.mark.parametrize(("skill", "ends"), [("ask", "INPUT_REQUIRED"), ("authorise", "AUTH_REQUIRED")])
async def test_a_send_returns_where_the_task_waits_for_its_caller(
    agent: Caller, skill: str, ends: str
) -> None:
    """3.2.2, 7.6.1"""
    task = await agent.send("private", skill)

    assert state(task) == ends
    assert said_last(task)


async def test_a_send_that_returns_immediately_gives_the_task_as_it_begins(
    world: World, agent: Caller
) -> None:
    """3.2.2"""
    text = word()
    task = await agent.begin(text)
    world.script.go[text].open()

    assert state(task) in ("SUBMITTED", "WORKING")
    assert "artifacts" not in task


async def test_a_task_carries_ids_a_state_a_time_and_the_message_that_made_it(agent: Caller) -> None:
    """4.1.1, 4.1.2, 4.1.4, 5.6.1"""
    task = await agent.send("hello")
    (said,) = task["history"]

    assert task["status"]["timestamp"].endswith("Z")
    assert (said["taskId"], said["contextId"]) == (task["id"], task["contextId"])
    assert set(task) == {"id", "contextId", "status", "artifacts", "history"}
    assert set(task["artifacts"][0]) == {"artifactId", "name", "parts"}


async def test_what_an_agent_says_carries_its_task_and_context(agent: Caller) -> None:
    """4.1.4"""
    task = await agent.send("weather", "ask")
    said = task["status"]["message"]

    assert (said["role"], said["taskId"], said["contextId"]) == ("ROLE_AGENT", task["id"], task["contextId"])
    assert said["messageId"]


# The context and the task


async def test_a_context_that_the_client_names_is_kept(agent: Caller) -> None:
    """3.4.1"""
    assert (await agent.send(contextId="my context"))["contextId"] == "my context"


async def test_a_context_that_nobody_names_is_made_for_each_task(agent: Caller) -> None:
    """3.4.1"""
    first, second = await agent.send(), await agent.send()

    assert first["contextId"]
    assert first["contextId"] != second["contextId"]


async def test_a_context_groups_several_tasks(agent: Caller) -> None:
    """3.4.1"""
    context = word()
    made = {(await agent.send(contextId=context))["id"] for _ in range(2)}
    page = await agent.call("ListTasks", {"contextId": context})

    assert len(made) == 2
    assert {task["id"] for task in page["tasks"]} == made


async def test_a_context_that_is_none_is_refused_by_name(agent: Caller) -> None:
    """3.4.1: never silently another one"""
    for context in ("x" * 201, "a\nb"):
        refused = await agent.refusal("SendMessage", message(contextId=context))
        assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", ("message.contextId",))


async def test_a_client_never_names_a_task(agent: Caller) -> None:
    """3.4.2"""
    for operation in ("SendMessage", "SendStreamingMessage"):
        refused = await agent.refusal(operation, message(taskId="my task"))
        assert refused.name == "TASK_NOT_FOUND"


async def test_a_question_is_answered_by_the_task_id_alone(agent: Caller) -> None:
    """3.4.3: the context is inferred."""
    asked = await agent.send("weather", "ask")
    task = await agent.send("Oslo", "ask", taskId=asked["id"])

    assert (state(asked), said_last(asked)) == ("INPUT_REQUIRED", "Which city?")
    assert (task["id"], task["contextId"]) == (asked["id"], asked["contextId"])
    assert (state(task), parts(task)) == ("COMPLETED", [[{"text": "['weather', 'Which city?'] Oslo"}]])


async def test_an_answer_needs_not_name_its_skill(agent: Caller) -> None:
    asked = await agent.send("weather", "ask")
    task = await agent.send("Oslo", metadata={}, taskId=asked["id"])

    assert parts(task) == [[{"text": "['weather', 'Which city?'] Oslo"}]]


async def test_an_answer_in_another_context_is_refused_and_changes_nothing(agent: Caller) -> None:
    """3.4.3"""
    asked = await agent.send("weather", "ask")
    refused = await agent.refusal("SendMessage", message("Oslo", taskId=asked["id"], contextId="another"))

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", ("message.contextId",))
    assert await agent.get(asked) == asked


@pytest.mark.parametrize("skill", ["echo", "fail", "reject"])
@pytest.mark.parametrize("operation", ["SendMessage", "SendStreamingMessage"])
async def test_a_message_to_an_ended_task_is_refused_and_changes_nothing(
    agent: Caller, operation: str, skill: str
) -> None:
    """3.1.1"""
    ended = await agent.send("hello", skill)
    refused = await agent.refusal(operation, message("more", taskId=ended["id"]))

    assert refused.name == "UNSUPPORTED_OPERATION"
    assert await agent.get(ended) == ended


async def test_a_message_to_a_task_that_asked_nothing_is_refused(world: World, agent: Caller) -> None:
    text = word()
    running = await agent.begin(text)
    refused = await agent.refusal("SendMessage", message("more", taskId=running["id"]))
    world.script.go[text].open()

    assert refused.name == "UNSUPPORTED_OPERATION"


# The history


@pytest.mark.parametrize(("length", "kept"), [(None, 3), (0, None), (1, 1), (2, 2), (50, 3)])
async def test_a_history_length_is_kept_to_by_send_get_and_list(
    agent: Caller, length: int | None, kept: int | None
) -> None:
    """3.2.4: unset is all of it here, 0 leaves the key out, n keeps the n newest."""
    wanted = {} if length is None else {"historyLength": length}
    asked = await agent.send("weather", "ask")
    sent = await agent.send("Oslo", "ask", taskId=asked["id"], configuration=wanted)
    got = await agent.call("GetTask", {"id": sent["id"], **wanted})
    (listed,) = (await agent.call("ListTasks", {"contextId": sent["contextId"], **wanted}))["tasks"]

    for answer in (sent, got, listed):
        assert (len(answer["history"]) if "history" in answer else None) == kept
    if kept == 1:
        assert got["history"][0]["parts"] == [{"text": "Oslo"}]


@pytest.mark.parametrize("operation", ["SendMessage", "SendStreamingMessage", "GetTask", "ListTasks"])
async def test_a_negative_history_length_is_refused_by_name(agent: Caller, operation: str) -> None:
    """3.2.4, 5.7"""
    params: dict[str, Any] = {"historyLength": -1}
    field = "historyLength"
    if operation == "GetTask":
        params["id"] = "t"
    if operation.startswith("Send"):
        params, field = message(configuration=params), "configuration.historyLength"
    refused = await agent.refusal(operation, params)

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", (field,))


# A message that comes again


async def test_the_same_message_sent_twice_is_one_task(world: World, agent: Caller) -> None:
    """3.3.1"""
    params = message("once")
    before = world.script.runs
    first, second = [(await agent.call("SendMessage", params))["task"] for _ in range(2)]

    assert first == second
    assert world.script.runs == before + 1


async def test_the_same_message_while_its_task_runs_waits_for_that_task(world: World, agent: Caller) -> None:
    """3.3.1"""
    text = word()
    params = message(text, "wait")
    first = asyncio.create_task(agent.call("SendMessage", params))
    await world.script.started[text].wait()
    second = asyncio.create_task(agent.call("SendMessage", params))
    world.script.go[text].open()

    assert (await first)["task"] == (await second)["task"]


async def test_the_same_message_many_times_at_once_is_one_task(world: World, agent: Caller) -> None:
    """3.3.1"""
    params = message("at once")
    before = world.script.runs
    answers = await asyncio.gather(*(agent.call("SendMessage", params) for _ in range(8)))

    assert len({answer["task"]["id"] for answer in answers}) == 1
    assert world.script.runs == before + 1


async def test_the_same_answer_sent_twice_is_one_turn(agent: Caller) -> None:
    """3.3.1"""
    asked = await agent.send("weather", "ask")
    params = message("Oslo", "ask", taskId=asked["id"])
    first, second = [(await agent.call("SendMessage", params))["task"] for _ in range(2)]

    assert first == second


async def test_the_same_message_over_a_stream_gives_its_task(agent: Caller) -> None:
    """3.3.1"""
    params = message("once")
    sent = (await agent.call("SendMessage", params))["task"]
    (only,) = await agent.events("SendStreamingMessage", params)

    assert only == {"task": sent}


async def test_one_message_id_with_other_content_is_another_task(agent: Caller) -> None:
    """Real clients reuse ids within a session."""
    message_id = word()
    first = await agent.send("one", messageId=message_id)
    second = await agent.send("two", messageId=message_id)

    assert first["id"] != second["id"]
    assert parts(second) == [[{"text": "two"}]]


async def test_an_answer_and_a_list_at_once_do_not_hinder_each_other(agent: Caller) -> None:
    for _ in range(10):
        asked = await agent.send("weather", "ask")
        task, *_ = await asyncio.gather(
            agent.send("Oslo", "ask", taskId=asked["id"]),
            *(agent.call("ListTasks", {"pageSize": 1}) for _ in range(3)),
        )
        assert state(task) == "COMPLETED"
