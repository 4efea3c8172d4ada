"""Whose tasks are whose: two callers of one agent, over every binding and store."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from a2a.server.security import ApiKey, Bearer
from tests.support.bindings import (
    BINDINGS,
    Caller,
    Result,
    World,
    message,
    served,
    state,
    told,
    word,
)
from tests.support.scripted_agent import ScriptedAgent

ANNS_KEY = "anns-key-0123456789"
BOBS_TOKEN = "bobs-token-0123456789"  # noqa: S105 of this test
HOOK = "http://127.0.0.1:9/hook"
MISSING = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def guarded(store_url: str | None) -> Iterator[World]:
    script = ScriptedAgent()
    script.agent.security = (
        ApiKey(keys={"ann": SecretStr(ANNS_KEY)}),
        Bearer(tokens={"bob": SecretStr(BOBS_TOKEN)}),
    )
    script.agent.requirements = ({"apiKey": ()}, {"bearer": ()})

    async def hidden(request: Any) -> str:
        return "for the known"

    script.agent.skill(id="hidden", description="For callers that are known.", tags=["x"], is_private=True)(
        hidden
    )
    with served(store_url, script) as world:
        yield world


@dataclass(frozen=True, slots=True)
class Two:
    ann: Caller
    bob: Caller
    nobody: Caller


@pytest.fixture(params=BINDINGS)
async def two(guarded: World, request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    async with (
        guarded.caller(request.param, X_API_Key=ANNS_KEY) as ann,
        guarded.caller(request.param, Authorization=f"Bearer {BOBS_TOKEN}") as bob,
        guarded.caller(request.param) as nobody,
    ):
        yield Two(ann, bob, nobody)


def on_a_task(operation: str, task_id: str) -> Result:
    """The operation's parameters, about the task."""
    if operation in ("SendMessage", "SendStreamingMessage"):
        return message("mine now", taskId=task_id, messageId="one")
    if operation.endswith(("Config", "Configs")):
        more = {"url": HOOK} if operation.startswith("Create") else {}
        return {"taskId": task_id, **more, **({} if operation.startswith("List") else {"id": "c"})}
    return {"id": task_id}


ON_TASKS = [
    "SendMessage", "SendStreamingMessage", "GetTask", "CancelTask", "SubscribeToTask",
    "CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs", "DeleteTaskPushNotificationConfig",
]  # fmt: skip


@pytest.mark.parametrize("operation", ON_TASKS)
@pytest.mark.parametrize("skill", ["echo", "ask"])
async def test_a_foreign_task_is_a_missing_one(two: Two, operation: str, skill: str) -> None:
    """3.3.2, 13.1: ended or waiting, the answer is the same to the letter."""
    task = await two.ann.send("mine", skill)
    await two.ann.call("CreateTaskPushNotificationConfig", {"taskId": task["id"], "id": "c", "url": HOOK})
    foreign = await two.bob.refusal(operation, on_a_task(operation, task["id"]))
    missing = await two.bob.refusal(operation, on_a_task(operation, MISSING))

    assert foreign.name == "TASK_NOT_FOUND"
    assert (foreign.name, foreign.message, foreign.fields) == (missing.name, missing.message, missing.fields)
    assert await two.ann.get(task) == task


@pytest.mark.parametrize("operation", ["GetTask", "CancelTask", "SubscribeToTask", "SendMessage"])
async def test_a_foreign_task_that_runs_is_a_missing_one(guarded: World, two: Two, operation: str) -> None:
    """13.1"""
    text = word()
    task = await two.ann.begin(text)
    await guarded.script.started[text].wait()
    foreign = await two.bob.refusal(operation, on_a_task(operation, task["id"]))
    still = await two.ann.get(task)
    guarded.script.go[text].open()

    assert (foreign.name, state(still)) == ("TASK_NOT_FOUND", "WORKING")


async def test_lists_and_their_totals_count_the_caller_s_own_tasks_alone(two: Two) -> None:
    """3.1.4, 13.1"""
    context = word()
    mine = [(await two.ann.send(contextId=context))["id"] for _ in range(3)]
    theirs = [(await two.bob.send(contextId=context))["id"]]
    for caller, own in ((two.ann, mine), (two.bob, theirs)):
        page = await caller.call("ListTasks", {"contextId": context})
        assert {task["id"] for task in page["tasks"]} == set(own)
        assert (page["totalSize"], page["nextPageToken"]) == (len(own), "")


async def test_a_foreign_page_token_shows_own_tasks_alone(two: Two) -> None:
    """13.1"""
    context = word()
    for caller in (two.bob, two.ann, two.ann, two.bob):
        await caller.send(contextId=context)
    first = await two.ann.call("ListTasks", {"contextId": context, "pageSize": 1})
    page = await two.bob.call("ListTasks", {"contextId": context, "pageToken": first["nextPageToken"]})

    assert page["totalSize"] == 2
    assert not {task["id"] for task in page["tasks"]} & {task["id"] for task in first["tasks"]}


async def test_the_same_message_of_two_callers_is_two_tasks(two: Two) -> None:
    """3.3.1, 13.1: what another has sent is never given away"""
    params = message("secret words")
    anns, bobs = [(await caller.call("SendMessage", params))["task"] for caller in (two.ann, two.bob)]

    assert anns["id"] != bobs["id"]


async def test_a_caller_is_the_same_over_every_binding(guarded: World, two: Two) -> None:
    """5.1"""
    task = await two.ann.send()
    for binding in BINDINGS:
        async with guarded.caller(binding, X_API_Key=ANNS_KEY) as ann:
            assert (await ann.get(task))["id"] == task["id"]
        async with guarded.caller(binding, Authorization=f"Bearer {BOBS_TOKEN}") as bob:
            assert (await bob.refusal("GetTask", {"id": task["id"]})).name == "TASK_NOT_FOUND"


async def test_an_event_stream_is_its_caller_s_own(two: Two) -> None:
    """13.1"""
    asked = await two.ann.send("weather", "ask")
    async with two.ann.stream("SubscribeToTask", {"id": asked["id"]}) as events:
        await anext(events)
        await two.bob.refusal("CancelTask", {"id": asked["id"]})
        await two.ann.call("CancelTask", {"id": asked["id"]})
        assert [told(event) async for event in events] == ["CANCELED"]


# Who calls


@pytest.mark.parametrize("operation", [*ON_TASKS, "ListTasks", "GetExtendedAgentCard"])
async def test_nobody_may_call_anything(two: Two, operation: str) -> None:
    """7.4, 3.3.2: and is told how to say who one is"""
    params = on_a_task(operation, MISSING) if operation in ON_TASKS else {}
    refused = await two.nobody.refusal(operation, params)

    assert refused.name == "UNAUTHENTICATED"
    assert "Bearer" in refused.headers["www-authenticate"]


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("header", ["X_API_Key", "Authorization"])
async def test_a_wrong_credential_is_refused(guarded: World, binding: str, header: str) -> None:
    """7.4"""
    wrong = "Bearer wrong" if header == "Authorization" else "wrong"
    async with guarded.caller(binding, **{header: wrong}) as caller:
        assert (await caller.refusal("ListTasks", {})).name == "UNAUTHENTICATED"


async def test_a_wrong_request_of_nobody_is_not_explained(two: Two) -> None:
    """13.1: who asks is looked at first"""
    refused = await two.nobody.refusal("ListTasks", {"pageSize": 0})

    assert (refused.name, refused.fields) == ("UNAUTHENTICATED", ())


async def test_the_extended_card_shows_more_to_whom_is_known(two: Two) -> None:
    """3.1.11, 13.3"""
    card = await two.ann.call("GetExtendedAgentCard")

    assert "hidden" in {skill["id"] for skill in card["skills"]}
    assert card["capabilities"]["extendedAgentCard"]
