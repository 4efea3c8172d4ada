"""What skills give and raise, and which one a message goes to, over every binding and store."""

from typing import Any

import pytest

from tests.support.bindings import Caller, message, parts, said_last, state
from tests.support.scripted_agent import SECRET

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
async def test_what_a_skill_returns_becomes_artifacts(agent: Caller, output: str, given: object) -> None:
    """3.7"""
    task = await agent.send(output, "output")

    assert (state(task), parts(task)) == ("COMPLETED", given)


@pytest.mark.parametrize("output", ["unsendable", "no unicode", "number"])
async def test_what_cannot_be_sent_fails_the_task_and_not_every_look_at_it(
    agent: Caller, output: str
) -> None:
    task = await agent.send(output, "output")

    assert state(task) == "FAILED"
    assert await agent.get(task) == task


async def test_a_crash_fails_the_task_and_says_nothing_of_its_cause(agent: Caller) -> None:
    task = await agent.send("go", "crash")
    *_, last = await agent.events("SendStreamingMessage", message("go", "crash"))

    for status in (task["status"], last["statusUpdate"]["status"]):
        assert status["state"] == "TASK_STATE_FAILED"
        assert "its log has error" in str(status)
        assert SECRET not in str(status)
        assert "RuntimeError" not in str(status)


async def test_a_failure_says_why_and_whether_to_try_again(agent: Caller) -> None:
    task = await agent.send("go", "fail")

    assert (state(task), said_last(task)) == ("FAILED", "The source is down; try later.")
    assert task["status"]["message"]["metadata"] == {"retryable": True}


async def test_a_rejection_says_why(agent: Caller) -> None:
    task = await agent.send("go", "reject")

    assert (state(task), said_last(task)) == ("REJECTED", "Not on Sundays; try tomorrow.")


# Which skill


async def test_words_lead_to_the_skill_that_knows_them(agent: Caller) -> None:
    params = message("please report on the weather", None)
    task = (await agent.call("SendMessage", params))["task"]

    assert parts(task)[1] == [{"text": "<svg/>"}]


@pytest.mark.parametrize("skill", ["no such", 7, {"a": 1}])
async def test_an_unknown_skill_is_rejected_with_those_there_are(agent: Caller, skill: Any) -> None:
    task = await agent.send("hello", skill)

    assert state(task) == "REJECTED"
    assert "echo" in said_last(task)


async def test_words_that_fit_no_skill_are_rejected(agent: Caller) -> None:
    params = message("xyzzy plugh", None)
    task = (await agent.call("SendMessage", params))["task"]

    assert state(task) == "REJECTED"
