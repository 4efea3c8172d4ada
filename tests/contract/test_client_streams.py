"""Streams whose connection is cut, over each binding of each version."""

from collections.abc import Iterator
from contextlib import aclosing

import httpx
import pytest

from a2a.client import A2AClient, Retries
from a2a.errors import (
    AgentBusy,
    AgentTimeout,
    AgentUnreachable,
    InvalidAgentResponse,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a.requests import SendMessageRequest, SubscribeToTaskRequest
from a2a.types import Message, Part, StreamResponse, TaskState
from tests.support.scripted_peer import (
    BINDINGS,
    Answer,
    Events,
    Json,
    Peer,
    artifact,
    artifact_update,
    status_update,
    task,
)
from tests.support.scripted_wire import Chunks

AT_ONCE = Retries(first_pause_s=0, last_pause_s=0)
BEGUN = [{"task": task("SUBMITTED")}, status_update("WORKING"), artifact_update("one ", append=False)]
HALF = task("WORKING", artifacts=[artifact("one two ")])
DONE = task("COMPLETED", artifacts=[artifact("one two three")])


@pytest.fixture(params=BINDINGS, ids="-".join)
def peer(request: pytest.FixtureRequest) -> Peer:
    binding, version = request.param
    return Peer(binding, version)


def client_of(peer: Peer, retries: Retries = AT_ONCE) -> A2AClient:
    return A2AClient(peer.http, peer.interface, retries=retries)


async def followed(client: A2AClient, *, timeout_s: float = 5) -> list[StreamResponse]:
    sent = SendMessageRequest(message=Message.from_user(Part.from_text("hi")))
    return [event async for event in client.stream_message(sent, timeout_s=timeout_s)]


def text(events: list[StreamResponse]) -> str:
    """As a consumer adds it up; nothing here replaces an artifact."""
    updates = [event.artifact_update for event in events if event.artifact_update is not None]
    assert [update.append for update in updates[1:]] == [True] * len(updates[1:])
    return "".join(part.text or "" for update in updates for part in update.artifact.parts)


def states(events: list[StreamResponse]) -> list[TaskState]:
    return [event.status_update.status.state for event in events if event.status_update is not None]


def turns(*answers: Answer) -> Iterator[Answer]:
    """Each once, the last one again and again."""
    yield from answers
    while True:
        yield answers[-1]


@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "ended too soon"])
async def test_a_stream_is_taken_up_where_it_was_cut(peer: Peer, is_cut: bool) -> None:
    """Two chunks were missed: one comes from the task as it is then, the other from the new stream, or from
    the task again where a new stream does not begin with it (0.3)."""
    rest = [artifact_update("three"), status_update("COMPLETED")]
    tasks = turns(HALF, DONE)
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=is_cut)
    peer.script["SubscribeToTask"] = Events(rest if peer.is_v03 else [{"task": HALF}, *rest])
    peer.script["GetTask"] = lambda _params: next(tasks)
    events = await followed(client_of(peer))

    assert text(events) == "one two three"
    assert states(events) == [TaskState.WORKING, TaskState.COMPLETED]
    assert sum(event.task is not None for event in events) == 1
    assert (peer.count("SendStreamingMessage"), peer.count("SubscribeToTask")) == (1, 0 if peer.is_v03 else 1)


async def test_a_task_that_has_ended_meanwhile_is_got(peer: Peer) -> None:
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    peer.script["SubscribeToTask"] = UnsupportedOperation()
    peer.script["GetTask"] = DONE
    events = await followed(client_of(peer))

    assert (text(events), states(events)[-1]) == ("one two three", TaskState.COMPLETED)


async def test_an_agent_without_subscriptions_is_polled(peer: Peer) -> None:
    tasks = turns(HALF, HALF, DONE)
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    peer.script["SubscribeToTask"] = UnsupportedOperation()
    peer.script["GetTask"] = lambda _params: next(tasks)

    assert text(await followed(client_of(peer))) == "one two three"
    assert peer.count("GetTask") == 3


async def test_a_task_that_is_lost_is_not_found(peer: Peer) -> None:
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    peer.script["SubscribeToTask"] = peer.script["GetTask"] = TaskNotFound("restarted")

    with pytest.raises(TaskNotFound):
        await followed(client_of(peer))


@pytest.mark.parametrize("failure", [httpx.ConnectError("down"), httpx.ReadError("cut"), httpx.Response(502)])
async def test_an_agent_that_is_away_for_a_while_is_waited_for(
    peer: Peer, failure: Exception | httpx.Response
) -> None:
    away: list[Answer] = [failure] * 7
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    done: Answer = DONE if peer.is_v03 else Events([{"task": DONE}])

    def subscribe(_params: Json) -> Answer:
        return away.pop() if away else UnsupportedOperation() if peer.is_v03 else done

    peer.script["SubscribeToTask"] = subscribe
    peer.script["GetTask"] = lambda _params: away.pop() if away else DONE

    assert text(await followed(client_of(peer))) == "one two three"


async def test_an_agent_that_stays_away_is_given_up(peer: Peer) -> None:
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    peer.script["SubscribeToTask"] = peer.script["GetTask"] = httpx.Response(503)
    retries = Retries(attempts=2, first_pause_s=0, last_pause_s=0, resume_within_s=0)

    with pytest.raises(AgentBusy):
        await followed(client_of(peer, retries))


@pytest.mark.parametrize("is_cut", [True, False])
async def test_a_stream_that_is_cut_before_its_task_is_known_is_not_sent_again(
    peer: Peer, is_cut: bool
) -> None:
    peer.script["SendStreamingMessage"] = Events([], is_cut=is_cut)

    with pytest.raises(AgentUnreachable) as raised:
        await followed(client_of(peer))
    assert raised.value.may_have_arrived
    assert len(peer.asked) == 1


async def test_a_stream_that_hangs_ends_at_the_deadline(peer: Peer) -> None:
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    peer.script["SubscribeToTask"] = Events([{"task": HALF}], hangs=True)
    peer.script["GetTask"] = HALF

    with pytest.raises(AgentTimeout) as raised:
        await followed(client_of(peer, Retries(first_pause_s=0.01)), timeout_s=0.2)
    assert raised.value.after_s == 0.2


async def test_the_snapshot_of_another_task_is_refused(peer: Peer) -> None:
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    other = task("COMPLETED", "another")
    peer.script |= {"SubscribeToTask": Events([{"task": other}]), "GetTask": other}

    with pytest.raises(InvalidAgentResponse, match="another task"):
        await followed(client_of(peer))


async def test_an_agent_of_1_0_that_does_not_begin_with_the_task_is_asked_for_it() -> None:
    """3.1.6 says it must; what it sends cannot be told from what the task holds."""
    tasks = turns(HALF, DONE)
    peer = Peer("JSONRPC", "1.0")
    peer.script["SendStreamingMessage"] = Events(BEGUN, is_cut=True)
    peer.script["SubscribeToTask"] = Events([artifact_update("two "), artifact_update("three")])
    peer.script["GetTask"] = lambda _params: next(tasks)

    assert text(await followed(client_of(peer))) == "one two three"


async def test_a_subscription_is_taken_up_too(peer: Peer) -> None:
    streams = turns(Events([{"task": HALF}], is_cut=True), Events([{"task": DONE}]))
    tasks = turns(HALF, DONE)
    peer.script["SubscribeToTask"] = lambda _params: next(streams)
    peer.script["GetTask"] = lambda _params: next(tasks)
    subscription = client_of(peer).subscribe(SubscribeToTaskRequest(id="t"), timeout_s=5)
    events = [event async for event in subscription]

    assert events[0].task is not None
    assert (text(events), states(events)) == ("three", [TaskState.COMPLETED])


async def test_a_subscription_to_a_task_that_has_ended_is_refused() -> None:
    """3.1.6"""
    peer = Peer("JSONRPC", "1.0")
    peer.script["SubscribeToTask"] = UnsupportedOperation("it has ended")

    with pytest.raises(UnsupportedOperation):
        await anext(client_of(peer).subscribe(SubscribeToTaskRequest(id="t"), timeout_s=5))


async def test_a_subscription_outlives_a_question(peer: Peer) -> None:
    answered = [status_update("WORKING"), status_update("COMPLETED")]
    asked = task("INPUT_REQUIRED")
    tasks = turns(asked, task("WORKING"), task("COMPLETED"))
    peer.script["SubscribeToTask"] = Events(answered if peer.is_v03 else [{"task": asked}, *answered])
    peer.script["GetTask"] = lambda _params: next(tasks)
    subscription = client_of(peer).subscribe(SubscribeToTaskRequest(id="t"), timeout_s=5)

    assert states([event async for event in subscription])[-1] is TaskState.COMPLETED


async def test_a_stream_that_is_left_lets_go_of_its_connection() -> None:
    peer = Peer("HTTP+JSON", "1.0")
    body = Chunks([b'data: {"task":{"id":"t","status":{"state":"TASK_STATE_WORKING"}}}\n\n'], hangs=True)
    headers = {"Content-Type": "text/event-stream"}
    peer.script["SendStreamingMessage"] = httpx.Response(200, headers=headers, stream=body)
    sent = SendMessageRequest(message=Message.from_user(Part.from_text("hi")))
    async with aclosing(client_of(peer).stream_message(sent, timeout_s=5)) as events:
        await anext(events)

    assert body.is_closed
