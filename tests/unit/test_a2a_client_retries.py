"""What the client sends again, and what never."""

import asyncio

import httpx
import pytest

from a2a.client import A2AClient, Retries
from a2a.errors import A2AError, AgentBusy, AgentHttpError, AgentUnreachable, InternalError, TransportError
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageRequest
from a2a.types import Message, Part
from tests.support.scripted_peer import Answer, Events, Json, Peer, task

AT_ONCE = Retries(first_pause_s=0, last_pause_s=0)
SENT = SendMessageRequest(message=Message.from_user(Part.from_text("hi")))
REFUSED = httpx.ConnectError("refused")
CUT = httpx.ReadError("cut")
DONE = {"task": task("COMPLETED")}


def peer_that(operation: str, *answers: Answer) -> Peer:
    """Gives one after the other."""
    left = list(answers)
    return Peer("JSONRPC", "1.0", script={operation: lambda _params: left.pop(0)})


def busy(seconds: str | None = None, status: int = 503) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": seconds} if seconds else {})


def client_of(peer: Peer, retries: Retries = AT_ONCE) -> A2AClient:
    return A2AClient(peer.http, peer.interface, retries=retries)


@pytest.mark.parametrize("failure", [REFUSED, CUT, busy(), busy(status=429), httpx.Response(502)], ids=repr)
async def test_a_read_is_repeated(failure: Answer) -> None:
    peer = peer_that("GetTask", failure, failure, task())

    assert (await client_of(peer).get_task(GetTaskRequest(id="t"), timeout_s=5)).id == "t"


@pytest.mark.parametrize("failure", [REFUSED, busy(), busy(status=429)], ids=repr)
async def test_a_send_that_cannot_have_arrived_is_repeated_under_its_id(failure: Answer) -> None:
    peer = peer_that("SendMessage", failure, failure, DONE)
    await client_of(peer).send_message(SENT, timeout_s=5)

    assert len({params["message"]["messageId"] for _, params in peer.asked}) == 1


@pytest.mark.parametrize(
    ("failure", "error"),
    [(CUT, AgentUnreachable), (httpx.Response(502), AgentHttpError), (httpx.Response(500), AgentHttpError)],
    ids=repr,
)
async def test_a_send_that_may_have_arrived_is_never_repeated(
    failure: Answer, error: type[TransportError]
) -> None:
    peer = peer_that("SendMessage", failure)

    with pytest.raises(error) as raised:
        await client_of(peer).send_message(SENT, timeout_s=5)
    assert raised.value.may_have_arrived
    assert len(peer.asked) == 1


async def test_a_cancel_that_may_have_arrived_is_not_repeated() -> None:
    peer = peer_that("CancelTask", CUT)

    with pytest.raises(AgentUnreachable):
        await client_of(peer).cancel_task(CancelTaskRequest(id="t"), timeout_s=5)


async def test_a_stream_is_opened_again_while_it_cannot_have_arrived() -> None:
    peer = peer_that("SendStreamingMessage", REFUSED, busy(), Events([{"task": task("COMPLETED")}]))
    events = [event async for event in client_of(peer).stream_message(SENT, timeout_s=5)]

    assert len(events) == 1


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_an_agent_is_asked_as_often_as_is_set(attempts: int) -> None:
    peer = peer_that("GetTask", *[busy()] * 5)
    client = client_of(peer, Retries(attempts=attempts, first_pause_s=0, last_pause_s=0))

    with pytest.raises(AgentBusy):
        await client.get_task(GetTaskRequest(id="t"), timeout_s=5)
    assert len(peer.asked) == attempts


async def test_what_the_agent_says_is_not_asked_again() -> None:
    peer = peer_that("GetTask", InternalError("broken"))

    with pytest.raises(InternalError):
        await client_of(peer).get_task(GetTaskRequest(id="t"), timeout_s=5)


async def test_a_wait_that_the_deadline_does_not_leave_is_not_begun() -> None:
    peer = peer_that("GetTask", busy("30"))

    with pytest.raises(AgentBusy) as raised:
        await client_of(peer).get_task(GetTaskRequest(id="t"), timeout_s=5)
    assert raised.value.retry_after_s == 30


async def test_a_wait_that_is_asked_for_is_kept() -> None:
    times: list[float] = []
    left: list[Answer] = [busy("0.05"), task()]

    def answer(_params: Json) -> Answer:
        times.append(asyncio.get_running_loop().time())
        return left.pop(0)

    peer = Peer("JSONRPC", "1.0", script={"GetTask": answer})
    await client_of(peer).get_task(GetTaskRequest(id="t"), timeout_s=5)

    assert times[1] - times[0] >= 0.05


async def test_the_deadline_is_over_all_attempts() -> None:
    peer = peer_that("GetTask", *[busy()] * 100)
    client = client_of(peer, Retries(attempts=100, first_pause_s=0.05, last_pause_s=0.05))

    with pytest.raises(A2AError):
        await client.get_task(GetTaskRequest(id="t"), timeout_s=0.2)
    assert len(peer.asked) < 15


def test_pauses_double_up_to_their_longest_and_are_never_the_same_for_all() -> None:
    retries = Retries(first_pause_s=1, last_pause_s=8)
    for failures, longest_s in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10_000, 8)]:
        pauses = {retries.pause_s(failures) for _ in range(20)}
        assert longest_s / 2 <= min(pauses) <= max(pauses) <= longest_s
        assert len(pauses) > 1
