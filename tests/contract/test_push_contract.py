"""Push notifications: their configurations and their delivery, over every binding and store."""

import asyncio
from typing import Any

import pytest

from tests.contract.receivers import Receiver
from tests.support.bindings import Caller, Result, World, message, state, word
from tests.support.waiting import eventually

HOOK = "http://127.0.0.1:9/hook"
CREATE, GET, LIST, DELETE = (
    "CreateTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
)


async def asking(agent: Caller) -> Result:
    return await agent.send("weather", "ask")


# The configurations


async def test_a_configuration_gets_an_id_where_the_client_gives_none(agent: Caller) -> None:
    """3.1.7"""
    task = await asking(agent)
    created = await agent.call(CREATE, {"taskId": task["id"], "url": HOOK})

    assert created["id"]
    assert created == {"id": created["id"], "taskId": task["id"], "url": HOOK}


async def test_the_client_s_own_id_is_kept_and_its_fields_come_back(agent: Caller) -> None:
    """3.1.7, 3.1.8"""
    task = await asking(agent)
    config = {
        "id": "mine",
        "taskId": task["id"],
        "url": HOOK,
        "token": "t-1",
        "authentication": {"scheme": "Bearer", "credentials": "c-1"},
    }

    assert await agent.call(CREATE, config) == config
    assert await agent.call(GET, {"taskId": task["id"], "id": "mine"}) == config


async def test_a_task_may_have_several_configurations(agent: Caller) -> None:
    """3.1.7, 3.1.9"""
    task = await asking(agent)
    made = [await agent.call(CREATE, {"taskId": task["id"], "url": HOOK, "id": name}) for name in ("a", "b")]

    assert (await agent.call(LIST, {"taskId": task["id"]}))["configs"] == made


async def test_one_id_is_one_configuration_and_the_newer_counts(agent: Caller) -> None:
    """3.1.7"""
    task = await asking(agent)
    for url in (HOOK, HOOK + "/2"):
        await agent.call(CREATE, {"taskId": task["id"], "url": url, "id": "a"})
    (config,) = (await agent.call(LIST, {"taskId": task["id"]}))["configs"]

    assert config["url"] == HOOK + "/2"


async def test_a_message_can_bring_a_configuration(agent: Caller) -> None:
    """3.1.7"""
    configuration = {"taskPushNotificationConfig": {"id": "with it", "url": HOOK}}
    task = await agent.send("weather", "ask", configuration=configuration)
    (config,) = (await agent.call(LIST, {"taskId": task["id"]}))["configs"]

    assert config == {"id": "with it", "taskId": task["id"], "url": HOOK}


async def test_a_deleted_configuration_is_gone_and_may_be_deleted_again(agent: Caller) -> None:
    """3.1.10"""
    task = await asking(agent)
    name = {"taskId": task["id"], "id": "a"}
    await agent.call(CREATE, {**name, "url": HOOK})
    answers = [await agent.call(DELETE, name) for _ in range(2)]

    assert answers == [{}, {}]
    assert (await agent.refusal(GET, name)).name == "TASK_NOT_FOUND"
    assert (await agent.call(LIST, {"taskId": task["id"]})).get("configs", []) == []


async def test_a_configuration_that_is_not_there_is_not_found(agent: Caller) -> None:
    """3.1.8"""
    task = await asking(agent)

    assert (await agent.refusal(GET, {"taskId": task["id"], "id": "none"})).name == "TASK_NOT_FOUND"


@pytest.mark.parametrize("operation", [CREATE, GET, LIST, DELETE])
async def test_a_configuration_of_no_task_is_not_found(agent: Caller, operation: str) -> None:
    """3.1.7 to 3.1.10"""
    params = {"taskId": "nobody's", **({"id": "a"} if operation in (GET, DELETE) else {})}
    if operation == CREATE:
        params["url"] = HOOK

    assert (await agent.refusal(operation, params)).name == "TASK_NOT_FOUND"


@pytest.mark.parametrize(
    ("config", "violated"),
    [
        ({"url": "ftp://example.org"}, "url"),
        ({"url": "nowhere"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "https://me:secret@example.org"}, "url"),
        ({"url": HOOK, "token": "a\r\nb"}, "token"),
        ({"url": HOOK, "authentication": {"scheme": "a b"}}, "authentication.scheme"),
        ({"url": HOOK, "id": "x" * 201}, "id"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_refused_by_name(
    agent: Caller, config: dict[str, Any], violated: str
) -> None:
    """5.7, 13.2"""
    task = await asking(agent)
    refused = await agent.refusal(CREATE, {"taskId": task["id"], **config})

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", (violated,))
    assert "secret" not in refused.message


# The delivery


async def test_a_receiver_is_told_what_a_stream_would_tell(agent: Caller, receiver: Receiver) -> None:
    """4.3.3: chunks may come as one"""
    path = word()
    configuration = {"taskPushNotificationConfig": {"url": f"{receiver.url}/{path}"}}
    await agent.send("go", "report", configuration=configuration)
    heard = await receiver.heard(path, "COMPLETED")

    assert heard[0] in ("SUBMITTED", "WORKING")
    assert {"one two", "<svg/>"} <= {"".join(heard), *heard} or "one " in heard
    assert {len(body) for at, _, body in receiver.posted if at == path} == {1}


async def test_a_receiver_gets_its_token_and_its_credentials(agent: Caller, receiver: Receiver) -> None:
    """4.3.3, 13.2"""
    path = word()
    config = {
        "url": f"{receiver.url}/{path}",
        "token": "token-1",
        "authentication": {"scheme": "Bearer", "credentials": "credentials-1"},
    }
    await agent.send(configuration={"taskPushNotificationConfig": config})
    await receiver.heard(path, "COMPLETED")
    headers = next(headers for at, headers, _ in receiver.posted if at == path)

    assert headers["content-type"] == "application/a2a+json"
    assert headers["authorization"] == "Bearer credentials-1"
    assert headers["x-a2a-notification-token"] == "token-1"


async def test_who_is_configured_in_the_middle_hears_the_rest(
    world: World, agent: Caller, receiver: Receiver
) -> None:
    """3.1.7"""
    path = text = word()
    task = await agent.begin(text)
    await world.script.started[text].wait()
    await agent.call(CREATE, {"taskId": task["id"], "url": f"{receiver.url}/{path}"})
    world.script.go[text].open()

    assert await receiver.heard(path, "COMPLETED") == ["WORKING", "waited", "COMPLETED"]


async def test_a_receiver_hears_of_every_turn(agent: Caller, receiver: Receiver) -> None:
    """3.1.7: until the task ends"""
    path = word()
    configuration = {"taskPushNotificationConfig": {"url": f"{receiver.url}/{path}"}}
    asked = await agent.send("weather", "ask", configuration=configuration)
    await receiver.heard(path, "INPUT_REQUIRED")
    await agent.send("Oslo", taskId=asked["id"])

    assert "INPUT_REQUIRED" in await receiver.heard(path, "COMPLETED")


@pytest.mark.parametrize("skill", ["ask", "wait"])
async def test_a_receiver_hears_that_the_task_was_canceled(
    agent: Caller, receiver: Receiver, skill: str
) -> None:
    """3.1.5, 3.1.7"""
    path = word()
    configuration = {
        "taskPushNotificationConfig": {"url": f"{receiver.url}/{path}"},
        "returnImmediately": True,
    }
    task = (await agent.call("SendMessage", message(path, skill, configuration=configuration)))["task"]
    await eventually(lambda: receiver.told(path)[-1:] in (["WORKING"], ["INPUT_REQUIRED"]), within_s=5)
    canceled = await agent.call("CancelTask", {"id": task["id"]})

    assert state(canceled) == "CANCELED"
    await receiver.heard(path, "CANCELED")


async def test_many_cancels_at_once_are_told_as_one(agent: Caller, receiver: Receiver) -> None:
    """3.1.5"""
    path = word()
    configuration = {"taskPushNotificationConfig": {"url": f"{receiver.url}/{path}"}}
    task = await agent.send("weather", "ask", configuration=configuration)
    await receiver.heard(path, "INPUT_REQUIRED")
    canceling = [agent.call("CancelTask", {"id": task["id"]}) for _ in range(5)]
    await asyncio.gather(*canceling, return_exceptions=True)
    await receiver.heard(path, "CANCELED")

    assert receiver.told(path).count("CANCELED") == 1


async def test_a_deleted_configuration_is_told_no_more(
    world: World, agent: Caller, receiver: Receiver
) -> None:
    """3.1.10"""
    gone, stays, text = word(), word(), word()
    task = await agent.begin(text)
    await world.script.started[text].wait()
    for path in (gone, stays):
        await agent.call(CREATE, {"taskId": task["id"], "id": path, "url": f"{receiver.url}/{path}"})
    await receiver.heard(gone, "WORKING")
    await agent.call(DELETE, {"taskId": task["id"], "id": gone})
    world.script.go[text].open()
    await receiver.heard(stays, "COMPLETED")

    assert receiver.told(gone) == ["WORKING"]
