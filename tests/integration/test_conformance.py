"""The conformance run against agents that work: ours on every binding, and some that others' checks fail."""

import json
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from a2a import Agent, InputRequired, Request
from a2a.card_types import AgentCard
from a2a.client import fetch_card
from a2a.guard import guarded_client
from coordinator.cli.push_receiver import push_receiver
from coordinator.clock import utc_now
from coordinator.conformance.report import Check, Outcome, Report, Verdict, best_interface
from coordinator.conformance.run import check_agent
from tests.support.conformance import HERE, checked, facts, outcomes, served, the
from tests.support.scripted_agent import ScriptedAgent
from tests.support.server import AsgiApp, serving
from tests.support.wire_agent import Answer, Call, Failure, Result, Stream, WireAgent

ALL_PASSED = {
    Check.ADVERTISED_URL: Outcome.PASSED,
    Check.SEND: Outcome.PASSED,
    Check.GET: Outcome.PASSED,
    Check.UNKNOWN_TASK: Outcome.PASSED,
    Check.LIST: Outcome.PASSED,
    Check.STREAM: Outcome.PASSED,
    Check.CANCEL: Outcome.PASSED,
    Check.PUSH: Outcome.PASSED,
    Check.INVALID_REQUEST: Outcome.PASSED,
}


def agent_with(
    function: Callable[[Request], Awaitable[Any]], *, serves_v03: bool = False, **skill: Any
) -> Agent:
    agent = Agent(name="Tried", description="Is tried.", version="2.0", serves_v03=serves_v03)
    agent.skill(**({"id": "do", "description": "Do it", "tags": ["do"], "examples": ["do it"]} | skill))(
        function
    )
    return agent


async def say(request: Request) -> str:
    return f"you said {request.text}"


async def test_our_agent_passes_on_both_bindings_and_on_0_3() -> None:
    with served(agent_with(say, serves_v03=True)) as url, push_receiver() as push:
        report = await checked(url, push=push)
    assert report.verdict is Verdict.PROVEN
    assert [one.label for one in report.interfaces] == ["JSONRPC 1.0", "HTTP+JSON 1.0", "JSONRPC 0.3"]
    # It is done at once, so that there is nothing left to cancel.
    quick = ALL_PASSED | {Check.CANCEL: Outcome.NOTED}
    assert outcomes(report, "JSONRPC 1.0") == quick
    assert outcomes(report, "HTTP+JSON 1.0") == quick
    assert outcomes(report, "JSONRPC 0.3") == quick | {Check.LIST: Outcome.NOTED}
    best = best_interface(report)
    assert best is not None
    assert (best.label, best.streams, best.pushes, best.lists) == ("JSONRPC 1.0", True, True, True)


async def test_three_sends_begin_on_each_interface_and_no_more() -> None:
    scripted = ScriptedAgent()
    with served(scripted.agent) as url:
        report = await checked(url)
    assert report.verdict is Verdict.PROVEN
    assert scripted.runs == 3 * len(report.interfaces)


async def test_an_agent_that_takes_json_alone_gets_the_json_of_its_example() -> None:
    seen = []

    async def add(request: Request) -> dict[str, Any]:
        seen.append((request.text, request.data))
        return {"sum": sum(request.data[0]["numbers"])}

    example = json.dumps({"numbers": [1, 2]})
    with served(agent_with(add, input_modes=["application/json"], examples=["add up", example])) as url:
        report = await checked(url)
    assert report.verdict is Verdict.PROVEN
    assert all(one == ("", [{"numbers": [1, 2]}]) for one in seen)


async def test_an_agent_on_http_json_alone_is_never_called_by_json_rpc() -> None:
    called: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        agent = ScriptedAgent()
        with serving(noting(agent.app(url=url), called), listening=listening):
            card = await card_at(url)
            rest = [one for one in card.supported_interfaces if one.protocol_binding == "HTTP+JSON"]
            report = await tried(card.model_copy(update={"supported_interfaces": rest}), url)
    assert report.verdict is Verdict.PROVEN
    assert facts(report, "HTTP+JSON 1.0").streams
    assert "/message:send" in called
    assert "/" not in called


async def test_every_call_names_the_tenant_of_the_interface() -> None:
    done = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}

    def answer(call: Call) -> Answer:
        match call.method:
            case "SendMessage":
                return Result({"task": done})
            case "SendStreamingMessage":
                return Stream([{"task": done}])
            case _:
                return Failure(-32001)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        agent = WireAgent(url, "do", answer, streaming=True)
        with serving(agent.app(), listening=listening):
            card = await card_at(url)
            of_tenant = [one.model_copy(update={"tenant": "acme"}) for one in card.supported_interfaces]
            report = await tried(card.model_copy(update={"supported_interfaces": of_tenant}), url)
    assert facts(report).tenant == "acme"
    assert len(agent.asked("SendStreamingMessage")) == 1
    assert [call.method for call in agent.calls if call.params.get("tenant") != "acme"] == []


async def test_an_interface_that_hangs_leaves_the_next_its_time() -> None:
    scripted = ScriptedAgent()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with serving(without_json_rpc(scripted.app(url=url)), listening=listening):
            report = await checked(url, time_box_s=3.0)
    assert report.verdict is Verdict.PROVEN
    assert [one.is_usable for one in report.interfaces] == [False, True]
    waited = re.search(r"within ([\d.]+) s", the(report, Check.SEND).detail)
    assert waited is not None
    assert float(waited[1]) <= 3.0 / 2 * 16 / 28, "its send's share of its half of the time"


async def test_an_honest_question_is_proof_and_is_not_left_open() -> None:
    canceled = []

    async def ask(request: Request) -> str:
        raise InputRequired("Which city?")

    async def gone(task_id: str) -> None:
        canceled.append(task_id)

    with served(agent_with(ask, on_cancel=gone)) as url:
        report = await checked(url)
    assert report.verdict is Verdict.PROVEN
    assert "INPUT_REQUIRED (Which city?)" in the(report, Check.SEND).detail
    assert len(canceled) == 3 * len(report.interfaces)


async def test_slow_work_is_proven_and_noted_and_canceled() -> None:
    scripted = ScriptedAgent()

    with served(agent_with(scripted.wait, examples=["wait"])) as url:
        report = await checked(url, time_box_s=4.0)
    assert report.verdict is Verdict.PROVEN
    assert "did not finish" in report.reason
    assert the(report, Check.SEND).outcome is Outcome.NOTED
    assert the(report, Check.STREAM).outcome is Outcome.NOTED
    assert the(report, Check.CANCEL).outcome is Outcome.PASSED
    assert facts(report).is_usable


async def test_a_skill_that_changes_something_is_never_run() -> None:
    ran = []

    async def delete(request: Request) -> str:
        ran.append(request.text)
        return "deleted"

    with served(agent_with(delete, tags=["files", "Side Effects"], serves_v03=True)) as url:
        report = await checked(url)
    assert ran == []
    assert report.verdict is Verdict.UNPROVEN
    assert "its tags say that it changes something" in report.reason
    assert all(one.is_usable for one in report.interfaces)
    assert the(report, Check.SEND).outcome is Outcome.SKIPPED
    assert the(report, Check.INVALID_REQUEST).outcome is Outcome.PASSED


async def test_json_without_an_example_leaves_an_agent_unproven() -> None:
    with served(agent_with(say, input_modes=["application/json"], examples=["forecast for Oslo"])) as url:
        report = await checked(url)
    assert report.verdict is Verdict.UNPROVEN
    assert "no example on its card is JSON" in report.reason


async def test_the_second_skill_has_its_turn_where_the_first_fails() -> None:
    scripted = ScriptedAgent()
    agent = agent_with(scripted.fail)
    agent.skill(id="echo", description="Say it again", tags=["echo"], examples=["hello"])(scripted.echo)
    with served(agent) as url:
        report = await checked(url)
    assert report.verdict is Verdict.PROVEN
    assert 'The skill "echo"' in the(report, Check.SEND).detail


async def test_an_agent_that_is_not_there_has_failed() -> None:
    with served(agent_with(say)) as url:
        card = await card_at(url)
    report = await tried(card, url)
    assert report.verdict is Verdict.FAILED
    assert "refused" in the(report, Check.SEND).detail.lower()


@pytest.mark.parametrize("url", ["grpc.example.org:443", "ftp://example.org/", "http://0.0.0.0:80"])
async def test_an_address_that_cannot_be_called_is_not_called(url: str) -> None:
    with served(agent_with(say)) as real:
        card = await card_at(real)
        wrong = [one.model_copy(update={"url": url}) for one in card.supported_interfaces]
        report = await tried(card.model_copy(update={"supported_interfaces": wrong}), real)
    assert report.verdict is Verdict.FAILED
    assert report.interfaces == ()
    assert url in report.reason


async def test_a_card_from_elsewhere_does_not_lead_to_this_machine() -> None:
    with served(agent_with(say)) as url:
        report = await tried(await card_at(url), "https://agents.example.org/.well-known/agent-card.json")
    assert report.interfaces == ()
    assert "only the agent's own machine can" in report.reason


async def test_what_nobody_thought_of_is_a_finding_too() -> None:
    def crash(_: httpx.Request) -> httpx.Response:
        raise RuntimeError("a bug of ours")

    with served(agent_with(say)) as url:
        card = await card_at(url)
    async with httpx.AsyncClient(transport=httpx.MockTransport(crash)) as http:
        report = await check_agent(http, card, url, time_box_s=5, now=utc_now, push=None)
    assert report.verdict is Verdict.FAILED
    assert the(report, Check.INTERFACE).outcome is Outcome.FAILED
    assert "a bug of ours" not in json.dumps(report.to_json())


async def test_the_report_survives_json() -> None:
    with served(agent_with(say)) as url:
        report = await checked(url)
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


async def card_at(url: str) -> AgentCard:
    async with guarded_client(HERE, timeout_s=5) as http:
        return await fetch_card(http, url, timeout_s=5)


async def tried(card: AgentCard, card_url: str) -> Report:
    async with guarded_client(HERE, timeout_s=5) as http:
        return await check_agent(http, card, card_url, time_box_s=10, now=utc_now, push=None)


def noting(app: AsgiApp, called: list[str]) -> AsgiApp:
    """The app; the paths that were called go into `called`."""

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            called.append(scope["path"])
        await app(scope, receive, send)

    return noted


def without_json_rpc(app: AsgiApp) -> AsgiApp:
    """The app, but that a call by JSON-RPC is never answered."""

    async def hung(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/"):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await app(scope, receive, send)

    return hung
