"""What the specification says of the operations, clause by clause, over HTTP with nothing of ours between."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.scripted_agent import SECRET, Rpc, ScriptedAgent
from tests.support.server import serving

TASK_NOT_FOUND = -32001
TASK_NOT_CANCELABLE = -32002
UNSUPPORTED_OPERATION = -32004
INVALID_PARAMS = -32602


def state(task: dict[str, Any]) -> str:
    name: str = task["status"]["state"]
    return name.removeprefix("TASK_STATE_")


def said(task: dict[str, Any]) -> str:
    text: str = task["status"]["message"]["parts"][0]["text"]
    return text


def parts(task: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return [artifact["parts"] for artifact in task.get("artifacts", [])]


def reason(error: dict[str, Any]) -> str:
    (info,) = [item for item in error["data"] if item["@type"].endswith("ErrorInfo")]
    assert info["domain"] == "a2a-protocol.org"
    name: str = info["reason"]
    return name


# SendMessage


async def test_a_send_blocks_until_the_task_has_ended(rpc: Rpc, script: ScriptedAgent) -> None:
    """3.1.1, 3.2.2"""
    sending = asyncio.create_task(rpc.send("blocks", "wait"))
    await script.started["blocks"].wait()
    still_waiting = not sending.done()
    script.go["blocks"].open()
    task = await sending

    assert still_waiting
    assert (state(task), parts(task)) == ("COMPLETED", [[{"text": "waited"}]])


async def test_a_send_that_returns_immediately_gives_the_task_as_it_begins(
    rpc: Rpc, script: ScriptedAgent
) -> None:
    """3.2.2"""
    task = await rpc.send("at once", "wait", configuration={"returnImmediately": True})
    script.go["at once"].open()

    assert state(task) in ("SUBMITTED", "WORKING")
    assert "artifacts" not in task


async def test_a_task_carries_ids_a_state_a_time_and_the_message_that_made_it(rpc: Rpc) -> None:
    """4.1.1, 4.1.2, 4.1.4"""
    task = await rpc.send("hello")
    (message,) = task["history"]

    assert task["status"]["timestamp"].endswith("Z")
    assert (message["taskId"], message["contextId"]) == (task["id"], task["contextId"])
    assert set(task) == {"id", "contextId", "status", "artifacts", "history"}
    assert set(task["artifacts"][0]) == {"artifactId", "name", "parts"}


async def test_a_client_may_name_the_context_but_never_the_task(rpc: Rpc) -> None:
    """3.4.1, 3.4.2"""
    task = await rpc.send("hello", contextId="my context")
    error = await rpc.error("SendMessage", rpc.message("hello", taskId="my task"))

    assert task["contextId"] == "my context"
    assert error["code"] == TASK_NOT_FOUND


@pytest.mark.parametrize(("length", "kept"), [(None, 3), (0, None), (1, 1), (2, 2), (50, 3)])
async def test_a_history_length_is_kept_to_by_send_and_get(
    rpc: Rpc, length: int | None, kept: int | None
) -> None:
    """3.2.4: unset is all of it here, 0 leaves the key out, n keeps the n newest."""
    wanted = {} if length is None else {"historyLength": length}
    asked = await rpc.send("weather", "ask")
    task = await rpc.send("Oslo", "ask", taskId=asked["id"], configuration=wanted)
    got = await rpc.result("GetTask", {"id": task["id"], **wanted})

    for answer in (task, got):
        assert (len(answer["history"]) if "history" in answer else None) == kept
    if kept == 1:
        assert got["history"][0]["parts"] == [{"text": "Oslo"}]


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage", "GetTask"])
async def test_a_negative_history_length_is_refused_by_name(rpc: Rpc, method: str) -> None:
    """3.2.4, 9.5"""
    params: dict[str, Any] = {"id": "t", "historyLength": -1}
    if method != "GetTask":
        params = rpc.message("hello", configuration={"historyLength": -1})
    error = await rpc.error(method, params)
    (bad,) = error["data"][0]["fieldViolations"]

    assert error["code"] == INVALID_PARAMS
    assert bad["field"].endswith("historyLength")


async def test_the_same_message_sent_twice_is_one_task(rpc: Rpc, script: ScriptedAgent) -> None:
    """3.3.1"""
    params = rpc.message("once")
    before = script.runs
    first, second = [(await rpc.result("SendMessage", params))["task"] for _ in range(2)]

    assert first == second
    assert script.runs == before + 1


async def test_the_same_message_while_its_task_runs_waits_for_that_task(
    rpc: Rpc, script: ScriptedAgent
) -> None:
    """3.3.1"""
    params = rpc.message("twice at once", "wait")
    first = asyncio.create_task(rpc.result("SendMessage", params))
    await script.started["twice at once"].wait()
    second = asyncio.create_task(rpc.result("SendMessage", params))
    script.go["twice at once"].open()

    assert (await first)["task"]["id"] == (await second)["task"]["id"]


async def test_one_message_id_with_other_content_is_another_task(rpc: Rpc) -> None:
    """Real clients reuse ids within a session."""
    first = await rpc.send("one", messageId="reused")
    second = await rpc.send("two", messageId="reused")

    assert first["id"] != second["id"]
    assert parts(second) == [[{"text": "two"}]]


# Turns


async def test_a_question_is_answered_by_the_task_id_alone(rpc: Rpc) -> None:
    """3.4.3: the context is inferred."""
    asked = await rpc.send("weather", "ask")
    task = await rpc.send("Oslo", "ask", taskId=asked["id"])

    assert (state(asked), said(asked)) == ("INPUT_REQUIRED", "Which city?")
    assert (task["id"], task["contextId"]) == (asked["id"], asked["contextId"])
    assert (state(task), parts(task)) == ("COMPLETED", [[{"text": "['weather', 'Which city?'] Oslo"}]])


async def test_a_question_is_answered_over_a_stream_too(rpc: Rpc) -> None:
    """3.1.2, 3.4.3"""
    asked = await rpc.send("weather", "ask")
    first, *_, last = await rpc.stream("Oslo", "ask", taskId=asked["id"])

    assert first["task"]["id"] == asked["id"]
    assert state(last["statusUpdate"]) == "COMPLETED"


async def test_an_answer_in_another_context_is_refused(rpc: Rpc) -> None:
    """3.4.3"""
    asked = await rpc.send("weather", "ask")
    error = await rpc.error(
        "SendMessage", rpc.message("Oslo", "ask", taskId=asked["id"], contextId="another")
    )

    assert error["code"] == INVALID_PARAMS


async def test_a_message_to_an_ended_task_is_refused(rpc: Rpc) -> None:
    """3.1.1"""
    ended = await rpc.send("hello")
    error = await rpc.error("SendMessage", rpc.message("more", taskId=ended["id"]))

    assert (error["code"], reason(error)) == (UNSUPPORTED_OPERATION, "UNSUPPORTED_OPERATION")


async def test_a_message_to_a_task_that_asked_nothing_is_refused(rpc: Rpc, script: ScriptedAgent) -> None:
    running = await rpc.send("busy", "wait", configuration={"returnImmediately": True})
    error = await rpc.error("SendMessage", rpc.message("more", taskId=running["id"]))
    script.go["busy"].open()

    assert error["code"] == UNSUPPORTED_OPERATION


async def test_what_needs_authorisation_says_so_and_waits(rpc: Rpc) -> None:
    """7.6.1"""
    task = await rpc.send("private", "authorise")

    assert (state(task), said(task)) == ("AUTH_REQUIRED", "Sign in first.")


# GetTask and CancelTask


async def test_a_task_that_is_asked_for_is_the_task_that_was_sent(rpc: Rpc) -> None:
    """3.1.3"""
    task = await rpc.send("hello")

    assert await rpc.result("GetTask", {"id": task["id"]}) == task


@pytest.mark.parametrize("method", ["GetTask", "CancelTask"])
async def test_an_unknown_task_is_not_found(rpc: Rpc, method: str) -> None:
    """3.1.3, 3.1.5, 5.4"""
    error = await rpc.error(method, {"id": "nobody's"})

    assert (error["code"], reason(error)) == (TASK_NOT_FOUND, "TASK_NOT_FOUND")


async def test_a_running_task_is_canceled_and_its_waiting_caller_told(
    rpc: Rpc, script: ScriptedAgent
) -> None:
    """3.1.5"""
    params = rpc.message("cancel me", "wait")
    sending = asyncio.create_task(rpc.result("SendMessage", params))
    await script.started["cancel me"].wait()
    at_once = {**params, "configuration": {"returnImmediately": True}}
    running = (await rpc.result("SendMessage", at_once))["task"]
    canceled = await rpc.result("CancelTask", {"id": running["id"]})

    assert (state(running), state(canceled)) == ("WORKING", "CANCELED")
    assert (await sending)["task"] == canceled
    assert not script.finished["cancel me"].is_open


async def test_a_task_that_waits_for_its_caller_can_be_canceled(rpc: Rpc) -> None:
    """3.1.5"""
    asked = await rpc.send("weather", "ask")
    canceled = await rpc.result("CancelTask", {"id": asked["id"]})
    error = await rpc.error("SendMessage", rpc.message("Oslo", "ask", taskId=asked["id"]))

    assert state(canceled) == "CANCELED"
    assert error["code"] == UNSUPPORTED_OPERATION


@pytest.mark.parametrize("skill", ["echo", "crash", "reject"])
async def test_an_ended_task_cannot_be_canceled(rpc: Rpc, skill: str) -> None:
    """3.1.5"""
    ended = await rpc.send("hello", skill)
    error = await rpc.error("CancelTask", {"id": ended["id"]})

    assert (error["code"], reason(error)) == (TASK_NOT_CANCELABLE, "TASK_NOT_CANCELABLE")


# SendStreamingMessage


async def test_a_stream_is_the_task_then_its_events_and_closes_at_the_end(rpc: Rpc) -> None:
    """3.1.2, 4.2, 9.4.2"""
    first, *updates = await rpc.stream("go", "report")
    told = [
        state(event["statusUpdate"])
        if "statusUpdate" in event
        else event["artifactUpdate"]["artifact"]["parts"][0].get("text", "data")
        for event in updates
    ]

    assert state(first["task"]) == "SUBMITTED"
    assert told == ["WORKING", "WORKING", "one ", "two", "data", "<svg/>", "COMPLETED"]
    ids = {(event["taskId"], event["contextId"]) for update in updates for event in update.values()}
    assert ids == {(first["task"]["id"], first["task"]["contextId"])}


async def test_chunks_of_one_artifact_are_appended_and_events_have_no_keys_of_old(rpc: Rpc) -> None:
    """4.2"""
    events = await rpc.stream("go", "report")
    chunks = [event["artifactUpdate"] for event in events if "artifactUpdate" in event]

    assert [chunk["append"] for chunk in chunks] == [False, True, True, False]
    assert len({chunk["artifact"]["artifactId"] for chunk in chunks[:3]}) == 1
    assert not {"kind", "final"} & {key for event in events for inner in event.values() for key in inner}


async def test_a_stream_tells_what_get_task_says_afterwards(rpc: Rpc) -> None:
    """3.5.2"""
    events = await rpc.stream("go", "report")
    task = await rpc.result("GetTask", {"id": events[0]["task"]["id"]})

    assert parts(task) == [[{"text": "one two"}, {"data": {"rows": 2}}], [{"text": "<svg/>"}]]
    assert task["status"] == events[-1]["statusUpdate"]["status"]


async def test_a_stream_closes_at_a_question(rpc: Rpc) -> None:
    """3.1.2, 11.7"""
    *_, last = await rpc.stream("weather", "ask")

    assert state(last["statusUpdate"]) == "INPUT_REQUIRED"


async def test_an_error_before_the_first_event_is_an_ordinary_answer(rpc: Rpc) -> None:
    """9.4.2"""
    error = await rpc.error("SendStreamingMessage", rpc.message("hello", taskId="nobody's"))

    assert error["code"] == TASK_NOT_FOUND


# What skills give and raise


@pytest.mark.parametrize(
    ("output", "given"),
    [
        ("text", [[{"text": "plain"}]]),
        ("nothing", []),
        ("part", [[{"raw": "iVBOR/8A", "mediaType": "image/png", "filename": "a.png"}]]),
        ("artifact", [[{"text": "# R"}]]),
        ("dict", [[{"data": {"a": None, "b": [1, 2.5, "ü"]}}]]),
        ("list", [[{"text": "one"}, {"data": [1]}]]),
    ],
)
async def test_what_a_skill_returns_becomes_artifacts(rpc: Rpc, output: str, given: object) -> None:
    """3.7"""
    task = await rpc.send(output, "output")

    assert (state(task), parts(task)) == ("COMPLETED", given)


@pytest.mark.parametrize("output", ["unsendable", "no unicode", "number"])
async def test_what_cannot_be_sent_fails_the_task_and_not_every_look_at_it(rpc: Rpc, output: str) -> None:
    task = await rpc.send(output, "output")

    assert state(task) == "FAILED"
    assert await rpc.result("GetTask", {"id": task["id"]}) == task


async def test_a_crash_fails_the_task_and_says_nothing_of_its_cause(rpc: Rpc) -> None:
    task = await rpc.send("go", "crash")
    *_, last = await rpc.stream("go", "crash")

    for status in (task["status"], last["statusUpdate"]["status"]):
        assert status["state"] == "TASK_STATE_FAILED"
        assert "its log has error" in str(status)
        assert SECRET not in str(status)
        assert "RuntimeError" not in str(status)


async def test_a_failure_says_why_and_whether_to_try_again(rpc: Rpc) -> None:
    task = await rpc.send("go", "fail")

    assert (state(task), said(task)) == ("FAILED", "The source is down; try later.")
    assert task["status"]["message"]["metadata"] == {"retryable": True}


async def test_a_rejection_says_why(rpc: Rpc) -> None:
    task = await rpc.send("go", "reject")

    assert (state(task), said(task)) == ("REJECTED", "Not on Sundays; try tomorrow.")


# Which skill


async def test_words_lead_to_the_skill_that_knows_them(rpc: Rpc) -> None:
    params = rpc.message("please report on the weather", None)
    task = (await rpc.result("SendMessage", params))["task"]

    assert parts(task)[1] == [{"text": "<svg/>"}]


@pytest.mark.parametrize("skill", ["no such", 7, {"a": 1}])
async def test_an_unknown_skill_is_rejected_with_those_there_are(rpc: Rpc, skill: Any) -> None:
    task = await rpc.send("hello", skill)

    assert state(task) == "REJECTED"
    assert "echo" in said(task)


async def test_words_that_fit_no_skill_are_rejected(rpc: Rpc) -> None:
    params = rpc.message("xyzzy plugh", None)
    task = (await rpc.result("SendMessage", params))["task"]

    assert state(task) == "REJECTED"


# The server's life


async def test_no_more_skills_run_at_once_than_were_set(http: httpx.AsyncClient) -> None:
    script = ScriptedAgent()
    with serving(script.app(max_running=1)) as served:
        rpc = Rpc(http, served.url)
        first = await rpc.send("first", "wait", configuration={"returnImmediately": True})
        await script.started["first"].wait()
        second = await rpc.send("second", "wait", configuration={"returnImmediately": True})
        waiting = await rpc.result("GetTask", {"id": second["id"]})
        for text in ("first", "second"):
            script.go[text].open()
        await script.finished["second"].wait()

    assert (state(first), state(waiting)) == ("WORKING", "SUBMITTED")


async def test_a_running_skill_may_finish_while_the_server_stops(http: httpx.AsyncClient) -> None:
    script = ScriptedAgent()
    with serving(script.app(grace_s=10)) as served:
        await Rpc(http, served.url).send("last", "wait", configuration={"returnImmediately": True})
        await script.started["last"].wait()
        stopping = asyncio.create_task(asyncio.to_thread(served.stop))
        script.go["last"].open()
        await stopping

    assert script.finished["last"].is_open


async def test_a_skill_that_outlasts_the_grace_is_canceled(http: httpx.AsyncClient) -> None:
    script = ScriptedAgent()
    with serving(script.app(grace_s=0.05)) as served:
        await Rpc(http, served.url).send("for ever", "wait", configuration={"returnImmediately": True})
        await script.started["for ever"].wait()
        async with asyncio.timeout(5):
            await asyncio.to_thread(served.stop)

    assert not script.finished["for ever"].is_open
