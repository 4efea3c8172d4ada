"""Callers of 0.3 get their own shapes from an agent that opted in, and a refusal from one that did not."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.contract.receivers import Receiver
from tests.support.bindings import World, served, word
from tests.support.scripted_agent import Rpc, ScriptedAgent
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def old() -> Iterator[World]:
    script = ScriptedAgent()
    script.agent.serves_v03 = True
    with served(script=script) as world:
        yield world


class OldRpc(Rpc):
    """The shapes of 0.3 and no version, as older clients send them."""

    async def ask(self, method: str, params: Any) -> dict[str, Any]:
        """The whole answer."""
        body: dict[str, Any] = (await self.post(self.envelope(method, params), A2A_Version="")).json()
        return body

    async def of(self, method: str, params: Any) -> Any:
        body = await self.ask(method, params)
        assert "error" not in body, body
        return body["result"]


@pytest.fixture
async def v03(old: World) -> AsyncIterator[OldRpc]:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        yield OldRpc(http, old.url + "/")


def said(text: str, skill: str = "echo", configuration: Any = None, **fields: Any) -> dict[str, Any]:
    message = {
        "kind": "message",
        "messageId": word(),
        "role": "user",
        "parts": [{"kind": "text", "text": text}],
        "metadata": {"skillId": skill},
        **fields,
    }
    return {"message": message, **({"configuration": configuration} if configuration else {})}


async def test_a_send_gives_the_task_itself(v03: OldRpc) -> None:
    task = await v03.of("message/send", said("hello", configuration={"blocking": True}))

    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    assert task["artifacts"][0]["parts"] == [{"kind": "text", "text": "hello"}]
    assert task["history"][0]["role"] == "user"


async def test_a_send_that_does_not_block_gives_the_task_as_it_begins(old: World, v03: OldRpc) -> None:
    text = word()
    task = await v03.of("message/send", said(text, "wait", {"blocking": False}))
    old.script.go[text].open()

    assert task["status"]["state"] in ("submitted", "working")


async def test_a_stream_says_which_event_is_final(v03: OldRpc) -> None:
    sent = v03.envelope("message/stream", said("go", "report"))
    async with v03.http.stream("POST", v03.url, json=sent) as answer:
        events = [json.loads(line[6:])["result"] async for line in answer.aiter_lines() if line]

    assert [event["kind"] for event in events][:2] == ["task", "status-update"]
    assert {event["kind"] for event in events} == {"task", "status-update", "artifact-update"}
    assert [event["final"] for event in events if "final" in event] == [False, False, True]


async def test_a_question_is_final_too(v03: OldRpc) -> None:
    sent = v03.envelope("message/stream", said("weather", "ask"))
    async with v03.http.stream("POST", v03.url, json=sent) as answer:
        events = [json.loads(line[6:])["result"] async for line in answer.aiter_lines() if line]

    assert (events[-1]["status"]["state"], events[-1]["final"]) == ("input-required", True)


async def test_a_task_can_be_got_answered_and_canceled(v03: OldRpc) -> None:
    asked = await v03.of("message/send", said("weather", "ask"))
    got = await v03.of("tasks/get", {"id": asked["id"], "historyLength": 1})
    answered = await v03.of("message/send", said("Oslo", "ask", taskId=asked["id"]))
    other = await v03.of("message/send", said("weather", "ask"))
    canceled = await v03.of("tasks/cancel", {"id": other["id"]})

    assert (got["id"], got["status"]["state"], len(got["history"])) == (asked["id"], "input-required", 1)
    assert (answered["status"]["state"], canceled["status"]["state"]) == ("completed", "canceled")


async def test_a_running_task_can_be_followed_again(old: World, v03: OldRpc) -> None:
    text = word()
    task = await v03.of("message/send", said(text, "wait", {"blocking": False}))
    sent = v03.envelope("tasks/resubscribe", {"id": task["id"]})
    async with v03.http.stream("POST", v03.url, json=sent) as answer:
        old.script.go[text].open()
        events = [json.loads(line[6:])["result"] async for line in answer.aiter_lines() if line]

    assert events[-1]["final"]


async def test_push_configurations_are_kept_in_the_old_shapes(v03: OldRpc) -> None:
    task = await v03.of("message/send", said("weather", "ask"))
    config = {"id": "c", "url": "http://127.0.0.1:9/hook", "token": "t"}
    name = {"id": task["id"], "pushNotificationConfigId": "c"}
    kept = {"taskId": task["id"], "pushNotificationConfig": config}

    assert await v03.of("tasks/pushNotificationConfig/set", kept) == kept
    assert await v03.of("tasks/pushNotificationConfig/get", name) == kept
    assert await v03.of("tasks/pushNotificationConfig/list", {"id": task["id"]}) == [kept]
    assert await v03.of("tasks/pushNotificationConfig/delete", name) is None
    assert await v03.of("tasks/pushNotificationConfig/list", {"id": task["id"]}) == []


async def test_a_receiver_of_a_task_is_told_its_end(v03: OldRpc, receiver: Receiver) -> None:
    path = word()
    push = {"url": f"{receiver.url}/{path}", "token": "t-1"}
    await v03.of("message/send", said("hello", configuration={"pushNotificationConfig": push}))
    await eventually(lambda: [headers for at, headers, _ in receiver.posted if at == path], within_s=5)
    headers = next(headers for at, headers, _ in receiver.posted if at == path)

    assert headers["x-a2a-notification-token"] == "t-1"


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tasks/get", {"id": "none"}, -32001),
        ("tasks/cancel", {"id": "none"}, -32001),
        ("tasks/list", {}, -32601),
        ("SendMessage", {}, -32601),
        ("message/send", {}, -32602),
        ("message/send", [], -32602),
        ("message/send", {"message": {"kind": "message", "parts": [{"kind": "film"}]}}, -32602),
    ],
)
async def test_an_error_has_its_code(v03: OldRpc, method: str, params: Any, code: int) -> None:
    assert (await v03.ask(method, params))["error"]["code"] == code


async def test_callers_of_1_0_are_answered_as_ever(old: World, v03: OldRpc) -> None:
    assert (await v03.send("hello"))["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_the_card_reads_in_both_versions(old: World, v03: OldRpc) -> None:
    for path in ("agent-card.json", "agent.json"):
        card = (await v03.http.get(f"{old.url}/.well-known/{path}")).json()
        assert (card["url"], card["protocolVersion"][:3]) == ("http://127.0.0.1:9", "0.3")
        assert "0.3" in {interface["protocolVersion"] for interface in card["supportedInterfaces"]}


async def test_who_has_not_opted_in_refuses_them(rpc: Rpc) -> None:
    """3.6.2"""
    for version in ("", "0.3"):
        answer = await rpc.post(rpc.envelope("message/send", said("hello")), A2A_Version=version)
        assert answer.json()["error"]["code"] == -32009
    assert (await rpc.http.get(rpc.url + ".well-known/agent.json")).status_code == 404
