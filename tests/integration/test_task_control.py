"""What people do to a task over REST: approve, cancel, answer, give a deadline, try again, follow."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from a2a.settings import AgentSettings
from coordinator.executor.remote import DEADLINE_KEY
from coordinator.executor.webhook_rules import signature
from tests.conftest import Serve
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.raw_agent import RESULT
from tests.support.raw_agent import task as remote_task
from tests.support.server import serving
from tests.support.task_api import (
    Json,
    act,
    answer,
    becomes,
    begin,
    codes,
    ended,
    events,
    problem,
    read_frame,
    register,
    run,
    statuses,
    step,
    why,
)
from tests.support.waiting import eventually_now
from tests.support.wire_agent import Answer, Call, Failure, Result, Stream, WireAgent
from tests.support.workshop import Workshop

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 the one of the specification's examples
TASK_NOT_CANCELABLE = -32002
CANCELED = "step.canceled"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


@pytest.fixture(scope="module")
def workshop(coordinator: Coordinator) -> Workshop:
    made = Workshop()
    coordinator.add_agent(made.agent)
    return made


# Cancel


def working(call: Call) -> Answer:
    """It works for ever and cannot stop."""
    if call.method == "CancelTask":
        return Failure(TASK_NOT_CANCELABLE)
    if call.method == "GetTask":
        return Result(remote_task("WORKING"))
    return Stream([{"task": remote_task("WORKING")}], stays_open=True)


@contextmanager
def wire_agent(
    coordinator: Coordinator, skill_id: str, answer: Callable[[Call], Answer]
) -> Iterator[WireAgent]:
    """Registered, and gone after the context."""
    bound = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    agent = WireAgent(url, skill_id, answer, streaming=True)
    with serving(agent.app(), graceful_s=0, listening=bound):
        register(coordinator, url)
        yield agent


def test_each_agent_confirms_that_its_step_is_canceled(coordinator: Coordinator, workshop: Workshop) -> None:
    task = begin(coordinator, step(1, "hold"), step(2, "hold"), step(3, "say", 1))
    workshop.holds(task, 2)
    assert act(coordinator, task["id"], "cancel").status_code == 202
    done = ended(coordinator, task["id"])
    assert (done["status"], statuses(done)) == ("canceled", ["canceled"] * 3)
    assert [shown["remote_cancel"] for shown in done["steps"]] == ["canceled", "canceled", None]
    told = {event["step_number"]: event["remote_task"] for event in events(coordinator, task["id"], CANCELED)}
    assert told == {1: "canceled", 2: "canceled", 3: None}
    workshop.holds(task, 0)


def test_an_agent_that_will_not_stop_has_refused(coordinator: Coordinator) -> None:
    with wire_agent(coordinator, "stubborn", working) as agent:
        task = begin(coordinator, step(1, "stubborn"))
        eventually_now(lambda: coordinator.task(task["id"])["steps"][0]["remote_task_id"], within_s=10)
        act(coordinator, task["id"], "cancel")
        done = ended(coordinator, task["id"])
    assert (done["status"], done["steps"][0]["remote_cancel"]) == ("canceled", "refused")
    assert events(coordinator, task["id"], CANCELED) == [{"step_number": 1, "remote_task": "refused"}]
    assert [call.params["id"] for call in agent.asked("CancelTask")] == ["remote-1"]


def test_of_an_agent_that_is_gone_nothing_is_known(coordinator: Coordinator) -> None:
    with wire_agent(coordinator, "mortal", working):
        task = begin(coordinator, step(1, "mortal"))
        eventually_now(lambda: coordinator.task(task["id"])["steps"][0]["remote_task_id"], within_s=10)
    act(coordinator, task["id"], "cancel")
    done = ended(coordinator, task["id"])
    assert (done["status"], done["steps"][0]["remote_cancel"]) == ("canceled", "unknown")
    assert events(coordinator, task["id"], CANCELED) == [{"step_number": 1, "remote_task": "unknown"}]


def test_a_canceled_task_cannot_be_changed_any_more(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "ask"))
    act(coordinator, task["id"], "cancel")
    done = ended(coordinator, task["id"])
    assert done["steps"][0]["remote_cancel"] == "canceled"
    assert problem(answer(coordinator, task["id"], "Oslo")) == (409, "WRONG_STATE")
    assert act(coordinator, task["id"], "cancel").status_code == 202, "a second cancel changes nothing"
    assert events(coordinator, task["id"])[-1]["kind"] == "task.canceled"


def test_a_task_that_has_ended_cannot_be_canceled(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "say"))
    assert problem(act(coordinator, task["id"], "cancel")) == (409, "WRONG_STATE")


# Questions


def test_a_second_question_gets_its_own_answer(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "ask"), step(2, "say", 1, instruction="{{steps.1.text}}"))
    assert why(coordinator, task["id"]) == "Step 1 asks: Which city?"
    assert answer(coordinator, task["id"], "Oslo").status_code == 202
    eventually_now(
        lambda: coordinator.task(task["id"])["steps"][0]["question"] == "Which country?", within_s=10
    )
    asked = becomes(coordinator, task["id"], "input_required")
    assert asked["steps"][0]["remote_task_id"] == task["steps"][0]["remote_task_id"]
    assert answer(coordinator, task["id"], "Norway", step_number=1).status_code == 202
    done = ended(coordinator, task["id"])
    assert done["result"]["text"] == "heard: at last: Norway"
    assert workshop.texts(task, "ask") == ["do it", "Oslo", "Norway"]
    assert (done["steps"][0]["question"], done["steps"][0]["attempt"]) == (None, 1)


def test_a_step_that_needs_authorisation_asks_for_it(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "authorise"))
    assert (task["status"], task["steps"][0]["question"]) == ("input_required", "Sign in at the desk.")
    answer(coordinator, task["id"], "badge 7")
    assert ended(coordinator, task["id"])["result"]["text"] == "let in with badge 7"


def test_of_two_questions_the_answer_names_its_step(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "authorise"), step(2, "authorise"))
    asked = becomes(coordinator, task["id"], "input_required")
    assert statuses(asked) == ["input_required", "input_required"]
    response = answer(coordinator, task["id"], "badge 7")
    assert problem(response) == (409, "WRONG_STATE")
    assert "steps 1, 2 wait for input; name one" in response.json()["detail"]
    assert answer(coordinator, task["id"], "badge 2", step_number=2).status_code == 202
    assert answer(coordinator, task["id"], "badge 1", step_number=1).status_code == 202
    done = ended(coordinator, task["id"])
    assert [shown["output_data"]["text"] for shown in done["steps"]] == [
        "let in with badge 1",
        "let in with badge 2",
    ]


def test_a_step_that_asks_nothing_takes_no_answer(coordinator: Coordinator, workshop: Workshop) -> None:
    task = begin(coordinator, step(1, "hold"))
    workshop.holds(task, 1)
    assert problem(answer(coordinator, task["id"], "Oslo")) == (409, "WRONG_STATE")
    assert problem(answer(coordinator, task["id"], "Oslo", step_number=1)) == (409, "WRONG_STATE")
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"


# Deadline


def test_past_the_deadline_the_remote_task_is_canceled(coordinator: Coordinator, workshop: Workshop) -> None:
    task = begin(coordinator, step(1, "hold"), step(2, "say", 1), deadline_s=1)
    workshop.holds(task, 1)
    done = ended(coordinator, task["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "DEADLINE_EXCEEDED")
    assert (statuses(done), codes(done)) == (["failed", "failed"], ["DEADLINE_EXCEEDED"] * 2)
    assert [shown["remote_cancel"] for shown in done["steps"]] == ["canceled", None]
    workshop.holds(task, 0)


def test_a_task_that_waits_for_a_person_has_its_deadline_too(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "ask"), deadline_s=1)
    assert task["status"] == "input_required"
    done = ended(coordinator, task["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "DEADLINE_EXCEEDED")
    assert done["steps"][0]["remote_cancel"] == "canceled"


def sent(agent: WireAgent) -> Call:
    [call] = agent.asked("SendStreamingMessage")
    return call


def at_once(_call: Call) -> Answer:
    return Stream([{"task": remote_task("COMPLETED", **RESULT)}])


def test_the_agent_is_told_by_when_it_has_to_be_done(coordinator: Coordinator) -> None:
    with wire_agent(coordinator, "punctual", at_once) as agent:
        task = run(coordinator, step(1, "punctual"), deadline_s=30)
    assert sent(agent).params["metadata"] == {DEADLINE_KEY: task["deadline_at"]}


def test_a_steps_own_timeout_is_its_deadline_where_it_is_sooner(coordinator: Coordinator) -> None:
    with wire_agent(coordinator, "hasty", at_once) as agent:
        task = run(coordinator, step(1, "hasty", timeout_s=5))
    told = datetime.fromisoformat(sent(agent).params["metadata"][DEADLINE_KEY])
    began = datetime.fromisoformat(task["steps"][0]["started_at"])
    assert (told - began).total_seconds() == pytest.approx(5, abs=0.01)


# Which comes first


def test_the_more_urgent_of_two_waiting_tasks_runs_first(database_url: str) -> None:
    with running_coordinator(settings_for(database_url, max_running=1)) as coordinator:
        workshop = Workshop()
        coordinator.add_agent(workshop.agent)
        first = begin(coordinator, step(1, "hold"))
        workshop.holds(first, 1)
        later = [
            begin(coordinator, step(1, "say", instruction=name), priority=priority)
            for name, priority in (("lazy", -5), ("usual", 0), ("urgent", 5))
        ]
        assert [task["priority"] for task in later] == [-5, 0, 5]
        workshop.release(first)
        for task in later:
            ended(coordinator, task["id"])
        assert [request.text for request in workshop.requests if request.skill_id == "say"] == [
            "urgent",
            "usual",
            "lazy",
        ]


# Who is told


@dataclass
class Receiver:
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.body()))
        return Response(status_code=204)


def test_a_webhook_is_told_once_of_the_end_and_signed(
    coordinator: Coordinator, workshop: Workshop, serve: Serve
) -> None:
    receiver = Receiver()
    webhook = {"url": f"{serve(receiver.app())}/hook", "secret": SECRET}
    task = run(coordinator, step(1, "fail"), webhook=webhook)
    eventually_now(lambda: coordinator.task(task["id"])["webhook"]["status"] == "delivered", within_s=10)
    [(headers, body)] = receiver.requests
    timestamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature(SECRET, headers["webhook-id"], timestamp, body)
    told = json.loads(body)
    assert told["type"] == "task.failed"
    assert told["data"]["task_id"] == task["id"]
    assert told["data"]["error"] == task["error"]
    shown = coordinator.task(task["id"])["webhook"]
    assert shown == {"url": webhook["url"], "status": "delivered", "attempts": 1, "last_error": None}


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_no base64!"])
def test_a_webhook_secret_that_cannot_sign_is_refused(coordinator: Coordinator, secret: str) -> None:
    webhook = {"url": "http://127.0.0.1:9/hook", "secret": secret}
    response = coordinator.http.post("/api/tasks", json={"description": "do it", "webhook": webhook})
    assert problem(response) == (422, "VALIDATION_FAILED")
    assert response.json()["errors"][0]["field"] == "webhook.secret"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/hook", "/hook", ""])
def test_a_webhook_url_that_is_none_is_refused(coordinator: Coordinator, url: str) -> None:
    response = coordinator.http.post("/api/tasks", json={"description": "do it", "webhook": {"url": url}})
    assert problem(response) == (422, "VALIDATION_FAILED")


# Traces


def traced(coordinator: Coordinator, skill_id: str, traceparent: str) -> tuple[Json, str]:
    """A task made within this trace, and the traceparent of the message to its agent."""
    with wire_agent(coordinator, skill_id, at_once) as agent:
        coordinator.http.headers["traceparent"] = traceparent
        try:
            task = run(coordinator, step(1, skill_id))
        finally:
            del coordinator.http.headers["traceparent"]
    return task, sent(agent).headers["traceparent"]


def test_the_agent_is_called_within_the_trace_of_the_request(coordinator: Coordinator) -> None:
    given = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
    _, told = traced(coordinator, "traced", given)
    assert re.fullmatch(rf"00-{TRACE_ID}-(?!0{{16}})[0-9a-f]{{16}}-01", told)
    assert told != given, "the span is the message's own"


NO_TRACES = {
    "zeros": f"00-{'0' * 32}-00f067aa0ba902b7-01",
    "another version": f"ff-{TRACE_ID}-00f067aa0ba902b7-01",
    "nonsense": "nonsense",
}


@pytest.mark.parametrize(("what", "broken"), NO_TRACES.items(), ids=NO_TRACES.keys())
def test_a_trace_that_is_none_is_replaced_by_the_tasks_own(
    coordinator: Coordinator, what: str, broken: str
) -> None:
    task, told = traced(coordinator, f"untraced by {what}", broken)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", told)
    assert told.split("-")[1] == task["id"].removeprefix("task_")


# Asked more than once


def test_ten_requests_under_one_key_at_once_make_one_task(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    headers = {"Idempotency-Key": "ten at once"}
    body = {"description": "do it", "plan": {"steps": [step(1, "say")]}}

    def create(_: int) -> httpx.Response:
        return coordinator.http.post("/api/tasks", json=body, headers=headers)

    with ThreadPoolExecutor(10) as threads:
        responses = list(threads.map(create, range(10)))
    assert {response.status_code for response in responses} == {202}
    [task_id] = {response.json()["task_id"] for response in responses}
    assert len(workshop.heard(ended(coordinator, task_id))) == 1


# Following


def frames_until_cut(response: httpx.Response, *, wanted: str, then: Callable[[], None]) -> list[Json]:
    """What a stream tells until its server goes away, which it does by `then` after the `wanted` event."""
    frames, lines = [], []
    try:
        for line in response.iter_lines():
            lines.append(line)
            if line:
                continue
            frames.append(read_frame("\n".join(lines[:-1])))
            lines.clear()
            if frames[-1]["kind"] == wanted:
                then()
    except httpx.TransportError:
        pass
    return frames


def test_a_follower_resumes_across_a_restart_without_hole_or_repetition(
    database_url: str,
) -> None:
    workshop, bound = Workshop(), socket.create_server(("127.0.0.1", 0))
    agent_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    agent = workshop.agent(agent_url).app(AgentSettings(_env_file=None))
    settings = settings_for(database_url)
    with ExitStack() as stack, ExitStack() as life:
        stack.enter_context(serving(agent, listening=bound))
        follower = stack.enter_context(httpx.Client(trust_env=False, timeout=30))
        first = life.enter_context(running_coordinator(settings))
        register(first, agent_url)
        task = begin(first, step(1, "say"), step(2, "hold", 1), step(3, "say", 2))
        workshop.holds(task, 1)
        with follower.stream("GET", f"{first.url}/api/tasks/{task['id']}/events") as response:
            before = frames_until_cut(response, wanted="step.accepted", then=life.close)
        second = stack.enter_context(running_coordinator(settings))
        workshop.release(task)
        last = {"Last-Event-ID": str(before[-1]["number"])}
        text = second.http.get(f"/api/tasks/{task['id']}/events", headers=last).text
        after = [read_frame(frame) for frame in text.split("\n\n") if frame]
        whole = events(second, task["id"])
    assert before + after == whole
    assert [frame["number"] for frame in whole] == list(range(1, len(whole) + 1))
    assert whole[-1]["kind"] == "task.completed"
    assert len(workshop.heard(task)) == 3, "no step was sent twice"
