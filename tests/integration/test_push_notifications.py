"""The sender of push notifications against real receivers: good, slow, broken and hostile ones."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from a2a.guard import AddressPolicy, guarded_client
from a2a.requests import AuthenticationInfo, TaskPushNotificationConfig
from a2a.server.live import LiveTask, status_now
from a2a.server.push import PushSender
from a2a.stores.base import StoredTask
from a2a.types import Artifact, Part, Task, TaskState
from tests.conftest import Serve
from tests.support.logs import capture_logs
from tests.support.raw_server import (
    Answer,
    answering,
    dribbles,
    response,
    says,
    says_and_hangs,
    says_nothing,
)
from tests.support.server import serving
from tests.support.waiting import eventually

CLOSED = AddressPolicy(allow_loopback=False, allow_private=False)
LOCAL = AddressPolicy(allow_loopback=True, allow_private=False)
ONCE = "Connection: close\r\n"
OK = says_and_hangs(response(b"", headers=ONCE))


class Receiver:
    """Takes everything and keeps it."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), json.loads(await request.body())))
        return Response(status_code=204)

    def kinds(self) -> list[str]:
        return [next(iter(body)) for _, body in self.requests]


class Counted:
    """An answer, and how often it was asked for."""

    def __init__(self, *answers: Answer) -> None:
        self.times = 0
        self._answers = answers

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        self.times += 1
        await self._answers[min(self.times, len(self._answers)) - 1](writer)


class Told:
    """What is called at the end of a task."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


async def at_once(_seconds: float) -> None:
    pass


def endless(status: str) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 999999999999\r\n\r\n".encode())
        while not writer.is_closing():
            writer.write(b"x" * 10_000)
            await writer.drain()

    return answer


@asynccontextmanager
async def sending(policy: AddressPolicy = LOCAL, **options: Any) -> AsyncIterator[PushSender]:
    async with guarded_client(policy, timeout_s=5) as http:
        sender = PushSender(http, **{"sleep": at_once, **options})
        yield sender
        await sender.close(grace_s=0)


def config_of(url: str, config_id: str = "c", **more: Any) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(id=config_id, task_id="t", url=url, **more)


def new_live() -> LiveTask:
    task = Task(id="t", context_id="c", status=status_now(TaskState.SUBMITTED))
    live = LiveTask(StoredTask(task, "somebody", 1))
    live.announce()
    return live


def ended_task() -> Task:
    return Task(id="t", context_id="c", status=status_now(TaskState.COMPLETED))


async def told_the_end(sender: PushSender, url: str) -> Told:
    """One notification, delivered or given up."""
    told = Told()
    sender.notify_end("t", config_of(url), ended_task(), told)
    await eventually(lambda: told.times, within_s=10)
    return told


async def test_a_receiver_gets_a_task_from_its_first_event_to_its_last(serve: Serve) -> None:
    """4.3.3"""
    receiver, told = Receiver(), Told()
    config = config_of(
        f"{serve(receiver.app)}/hook",
        token="the client's",  # noqa: S106 no password
        authentication=AuthenticationInfo(scheme="Bearer", credentials="secret"),
    )
    async with sending() as sender:
        live = new_live()
        sender.follow("t", config, live.follow(), told)
        live.set_status(status_now(TaskState.WORKING))
        live.add_artifact(Artifact(artifact_id="a", parts=[Part.from_text("Grüße")]))
        live.set_status(status_now(TaskState.COMPLETED))
        await eventually(lambda: told.times)

    assert receiver.kinds() == ["task", "statusUpdate", "artifactUpdate", "statusUpdate"]
    headers, body = receiver.requests[2]
    assert body["artifactUpdate"]["artifact"]["parts"] == [{"text": "Grüße"}]
    assert headers["content-type"] == "application/a2a+json"
    assert headers["a2a-version"] == "1.0"
    assert headers["authorization"] == "Bearer secret"
    assert headers["x-a2a-notification-token"] == "the client's"


async def test_a_large_artifact_arrives_whole(serve: Serve) -> None:
    receiver, told = Receiver(), Told()
    async with sending() as sender:
        live = new_live()
        sender.follow("t", config_of(f"{serve(receiver.app)}/hook"), live.follow(), told)
        live.add_artifact(Artifact(artifact_id="a", parts=[Part.from_bytes(b"\0" * 3_000_000, "image/png")]))
        live.set_status(status_now(TaskState.COMPLETED))
        await eventually(lambda: told.times, within_s=10)

    (part,) = receiver.requests[1][1]["artifactUpdate"]["artifact"]["parts"]
    assert len(part["raw"]) == 4_000_000


async def test_a_receiver_that_comes_back_is_told_then() -> None:
    """Nothing listens at first; it is started in the pause before the third try."""
    receiver, pauses = Receiver(), 0
    with ExitStack() as stack, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/hook"

        async def comes_back(_seconds: float) -> None:
            nonlocal pauses
            pauses += 1
            if pauses == 2:
                bound.listen()
                stack.enter_context(serving(receiver.app, listening=bound))

        async with sending(sleep=comes_back) as sender:
            await told_the_end(sender, url)
        assert (pauses, receiver.kinds()) == (2, ["task"])


@pytest.mark.parametrize(
    "broken",
    [
        says(b""),
        says(b"HTTP/1.1 20"),
        says_and_hangs(b"no HTTP at all\r\n\r\n"),
        says_and_hangs(response(b"", status="503 Service Unavailable", headers=ONCE)),
    ],
)
async def test_what_breaks_is_tried_again(broken: Answer) -> None:
    answer = Counted(broken, broken, OK)
    async with answering(answer) as url, sending() as sender:
        await told_the_end(sender, url)
    assert answer.times == 3


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_a_redirect_leads_nowhere(status: str) -> None:
    """13.2: not even to an address that may be connected to."""
    inside = Counted(OK)
    async with answering(inside) as target, sending() as sender:
        moved = response(b"", status=status, headers=f"Location: {target}/\r\n{ONCE}")
        answer = Counted(says_and_hangs(moved))
        async with answering(answer) as url:
            await told_the_end(sender, url)
    assert (answer.times, inside.times) == (1, 0)


@pytest.mark.parametrize("location", ["http://[bad", "file:///etc/passwd", "http://x:port/", "//", "\x80"])
async def test_a_redirect_to_nonsense_is_no_more_than_a_failure(location: str) -> None:
    moved = response(b"", status="302 Found", headers=f"Location: {location}\r\n{ONCE}")
    with capture_logs() as logs:
        async with answering(says_and_hangs(moved)) as url, sending() as sender:
            await told_the_end(sender, url)
    assert "push.crashed" not in {entry["event"] for entry in logs}


async def test_an_endless_answer_is_left_and_counts_as_taken() -> None:
    answer = Counted(endless("200 OK"))
    async with answering(answer) as url, sending() as sender:
        await told_the_end(sender, url)
    assert answer.times == 1


async def test_an_answer_whose_body_never_comes_is_left_and_counts_as_taken() -> None:
    answer = Counted(says_and_hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"))
    async with answering(answer) as url, sending(timeout_s=600) as sender:
        await told_the_end(sender, url)
    assert answer.times == 1


async def test_an_endless_error_is_an_error() -> None:
    answer = Counted(endless("500 Internal Server Error"))
    async with answering(answer) as url, sending(attempts=2) as sender:
        await told_the_end(sender, url)
    assert answer.times == 2


async def test_an_answer_that_cannot_be_decompressed_is_not() -> None:
    garbage = response(b"no gzip", headers=f"Content-Encoding: gzip\r\n{ONCE}")
    answer = Counted(says_and_hangs(garbage))
    async with answering(answer) as url, sending() as sender:
        await told_the_end(sender, url)
    assert answer.times == 1


@pytest.mark.parametrize("slow", [dribbles(), says_nothing, says_and_hangs(b"HTTP/1.1 100 Continue\r\n\r\n")])
async def test_a_receiver_that_never_comes_to_the_end_of_its_headers_is_given_up(slow: Answer) -> None:
    answer = Counted(slow)
    async with answering(answer) as url, sending(attempts=2, timeout_s=0.2) as sender:
        await told_the_end(sender, url)
    assert answer.times == 2


async def test_a_receiver_that_hangs_does_not_delay_another(serve: Serve) -> None:
    receiver, told, held_up = Receiver(), Told(), Told()
    async with answering(says_nothing) as slow, sending() as sender:
        live = new_live()
        sender.follow("t", config_of(slow, "slow"), live.follow(), held_up)
        sender.follow("t", config_of(f"{serve(receiver.app)}/hook", "quick"), live.follow(), told)
        live.set_status(status_now(TaskState.COMPLETED))
        await eventually(lambda: told.times)

    assert receiver.kinds() == ["task", "statusUpdate"]
    assert held_up.times == 0


async def test_deleting_ends_a_delivery_that_hangs() -> None:
    gone = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        try:
            await dribbles()(writer)
        finally:
            gone.set()

    answer = Counted(slow)
    async with answering(answer) as url, sending() as sender:
        live = new_live()
        sender.follow("t", config_of(url), live.follow(), Told())
        await eventually(lambda: answer.times)
        sender.stop("t", "c")
        live.set_status(status_now(TaskState.COMPLETED))
        async with asyncio.timeout(5):
            await gone.wait()
    assert answer.times == 1


async def test_closing_waits_for_what_is_being_delivered(serve: Serve) -> None:
    receiver, told = Receiver(), Told()
    url = f"{serve(receiver.app)}/hook"
    async with sending() as sender:
        sender.notify_end("t", config_of(url), ended_task(), told)
        await sender.close(grace_s=10)

    assert (receiver.kinds(), told.times) == (["task"], 1)


async def test_closing_leaves_a_receiver_that_hangs_to_the_next_start() -> None:
    answer, told = Counted(says_nothing), Told()
    async with answering(answer) as url, sending() as sender:
        sender.notify_end("t", config_of(url), ended_task(), told)
        await eventually(lambda: answer.times)
        await sender.close(grace_s=0.01)
    assert told.times == 0


async def test_a_forbidden_address_is_not_connected_to() -> None:
    """13.2"""
    answer = Counted(OK)
    with capture_logs() as logs:
        async with answering(answer) as url, sending(CLOSED) as sender:
            await told_the_end(sender, url)

    assert answer.times == 0
    dropped = next(entry for entry in logs if entry["event"] == "push.dropped")
    assert (dropped["outcome"], dropped["attempt"]) == ("AddressRefused", 1)


async def test_a_name_that_comes_to_mean_an_address_in_here_is_refused_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """13.2. The name was fine when the configuration was made."""
    addresses = ["127.0.0.1", "10.0.0.1"]

    async def getaddrinfo(_host: str, port: int, **_options: Any) -> list[Any]:
        address = addresses.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    # The event loop's resolver is the world outside; nothing of ours is replaced.
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    answer = Counted(OK)
    async with answering(answer) as url, sending() as sender:
        named = f"http://hook.example:{urlsplit(url).port}/"
        for _ in range(2):
            await told_the_end(sender, named)
    assert (answer.times, addresses) == (1, [])
