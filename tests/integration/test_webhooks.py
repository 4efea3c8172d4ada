"""Webhooks with real receivers and both databases: what is told, when it is told again, and when no more."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import Connection, Row, select, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from a2a.background import background_loop
from a2a.database import Database
from a2a.guard import AddressPolicy, guarded_client
from coordinator.executor.webhook_rules import WebhookPolicy, signature
from coordinator.executor.webhooks import (
    CLAIM_MARGIN_S,
    LOOK_EVERY_S,
    MAX_AT_ONCE,
    MAX_DRAINED_BYTES,
    WebhookSender,
    insert_delivery,
)
from models.states import DeliveryStatus, TaskStatus
from models.tables import WebhookDelivery
from tests.conftest import Serve
from tests.support.logs import capture_logs
from tests.support.raw_server import Answer, answering, dribbles, says, says_and_hangs, says_nothing
from tests.support.rows import NOW, insert_task
from tests.support.server import serving
from tests.support.waiting import Gate, eventually

T = TypeVar("T")
LOCAL = AddressPolicy(allow_loopback=True, allow_private=False)
CLOSED = AddressPolicy(allow_loopback=False, allow_private=False)
POLICY = WebhookPolicy()
CLAIM_S = POLICY.timeout_s + CLAIM_MARGIN_S
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 the one of the specification's examples
OUTCOMES = ("webhook.delivered", "webhook.retrying", "webhook.gave_up", "webhook.crashed")


class FakeClock:
    def __init__(self) -> None:
        self.now = NOW + timedelta(minutes=5)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Receiver:
    """Answers with the statuses in turn, the last for ever, and keeps what it was sent. The first `held`
    requests wait for the gate."""

    def __init__(self, *statuses: int, headers: dict[str, str] | None = None, held: int = 0) -> None:
        self.gate = Gate()
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["GET", "POST"])])
        self._statuses = statuses or (204,)
        self._headers = headers
        self._held = held

    async def _take(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.body()))
        number = len(self.requests)
        if number <= self._held:
            await self.gate.wait()
        status = self._statuses[min(number, len(self._statuses)) - 1]
        return Response(status_code=status, headers=self._headers)

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


class Logged:
    """What was logged of deliveries: each is logged once its row is written."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries

    def outcomes(self, task_id: str) -> list[str]:
        found = [entry for entry in self.entries if entry.get("task_id") == task_id]
        return [entry["event"].removeprefix("webhook.") for entry in found if entry["event"] in OUTCOMES]

    async def becomes(self, task_id: str, *outcomes: str) -> None:
        await eventually(lambda: self.outcomes(task_id) == list(outcomes), within_s=10)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def logged() -> Iterator[Logged]:
    """And that no secret is in any of it."""
    with capture_logs() as entries:
        yield Logged(entries)
    assert SECRET.removeprefix("whsec_") not in repr(entries)


def sender_of(
    database: Database, http: httpx.AsyncClient, clock: FakeClock, policy: WebhookPolicy = POLICY
) -> WebhookSender:
    return WebhookSender(database, http, coordinator_url="http://coordinator.test/", now=clock, policy=policy)


@asynccontextmanager
async def sending(
    database: Database, clock: FakeClock, *, policy: WebhookPolicy = POLICY, addresses: AddressPolicy = LOCAL
) -> AsyncIterator[WebhookSender]:
    async with guarded_client(addresses, timeout_s=5) as http:
        sender = sender_of(database, http, clock, policy)
        async with background_loop(sender.loop(), name="webhooks"):
            yield sender


async def end_task(
    database: Database,
    url: str,
    clock: FakeClock,
    *,
    secret: str | None = SECRET,
    status: TaskStatus = TaskStatus.COMPLETED,
    **columns: object,
) -> str:
    """A task that has ended, with its delivery; its id."""

    def change(connection: Connection) -> str:
        task_id = insert_task(connection, status=status, completed_at=NOW, **columns)
        insert_delivery(connection, task_id, {"url": url, "secret": secret}, clock())
        return task_id

    return await database.write(change)


async def row_of(database: Database, task_id: str) -> Row[Any]:
    query = select(WebhookDelivery.__table__).where(WebhookDelivery.task_id == task_id)
    return await database.read(lambda connection: connection.execute(query).one())


def assert_signed(headers: dict[str, str], body: bytes) -> None:
    signed = signature(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == signed


async def test_the_end_of_a_task_is_told_once(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver()
    url = serve(receiver.app)
    gaps = [{"step_number": 2, "message": "Größe unbekannt"}]
    async with sending(database, clock) as sender:
        task_id = await end_task(database, f"{url}/hook?key=1", clock, gaps=gaps)
        sender.wake()
        await logged.becomes(task_id, "delivered")

        clock.advance(7_200)
        later = await end_task(database, url, clock)
        sender.wake()
        await logged.becomes(later, "delivered")

    row = await row_of(database, task_id)
    assert receiver.ids() == [row.id, (await row_of(database, later)).id]
    headers, body = receiver.requests[0]
    assert_signed(headers, body)
    assert headers["content-type"] == "application/json"
    assert int(headers["webhook-timestamp"]) == int((NOW + timedelta(minutes=5)).timestamp())
    payload = json.loads(body)
    session_id = payload["data"].pop("session_id")
    assert session_id.startswith("session_")
    assert payload == {
        "type": "task.completed",
        "timestamp": "2026-01-02T03:04:05Z",
        "data": {
            "task_id": task_id,
            "status": "completed",
            "error": None,
            "gaps": gaps,
            "completed_at": "2026-01-02T03:04:05Z",
            "url": f"http://coordinator.test/api/tasks/{task_id}",
        },
    }
    assert (row.status, row.attempts, row.last_error) == (DeliveryStatus.DELIVERED, 1, None)
    assert row.delivered_at == NOW + timedelta(minutes=5)


async def test_a_sender_that_is_woken_does_not_wait_for_its_next_look(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    url = serve(Receiver().app)
    async with sending(database, clock) as sender, asyncio.timeout(4 * LOOK_EVERY_S):
        for _ in range(6):
            task_id = await end_task(database, url, clock)
            sender.wake()
            await logged.becomes(task_id, "delivered")


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELED])
async def test_the_type_says_how_the_task_ended(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged, status: TaskStatus
) -> None:
    receiver = Receiver()
    error = {"code": "DEADLINE_EXCEEDED", "message": "Too late.", "details": {}}
    task_id = await end_task(database, serve(receiver.app), clock, status=status, error=error)
    async with sending(database, clock):
        await logged.becomes(task_id, "delivered")

    payload = json.loads(receiver.requests[0][1])
    assert payload["type"] == f"task.{status}"
    assert payload["data"]["error"] == error


async def test_without_a_secret_nothing_is_signed(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver()
    task_id = await end_task(database, serve(receiver.app), clock, secret=None)
    async with sending(database, clock):
        await logged.becomes(task_id, "delivered")

    headers, _ = receiver.requests[0]
    assert headers["webhook-id"]
    assert "webhook-signature" not in headers


async def test_a_secret_that_gives_no_key_sends_nothing_unsigned(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver()
    task_id = await end_task(database, serve(receiver.app), clock, secret="whsec_no base64")  # noqa: S106
    async with sending(database, clock):
        await logged.becomes(task_id, "gave_up")

    assert receiver.requests == []
    assert "no base64" not in repr(logged.entries)
    assert (
        await row_of(database, task_id)
    ).last_error == "The secret is empty, or is not base64 after whsec_."


async def test_a_failure_is_tried_again_after_the_pause_with_the_same_id(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver(500, 204)
    url = serve(receiver.app)
    task_id = await end_task(database, url, clock)
    async with sending(database, clock) as sender:
        await logged.becomes(task_id, "retrying")
        waiting = await row_of(database, task_id)

        clock.advance(2.4)
        other = await end_task(database, url, clock)
        sender.wake()
        await logged.becomes(other, "delivered")
        assert len(receiver.requests) == 2

        clock.advance(2.6)
        sender.wake()
        await logged.becomes(task_id, "retrying", "delivered")

    assert (waiting.status, waiting.attempts) == (DeliveryStatus.PENDING, 1)
    assert waiting.last_error == "The receiver answered HTTP 500."
    (first, first_body), _, (again, again_body) = receiver.requests
    assert first["webhook-id"] == again["webhook-id"]
    assert first_body == again_body
    assert int(again["webhook-timestamp"]) == int(first["webhook-timestamp"]) + 5
    assert_signed(first, first_body)
    assert_signed(again, again_body)
    row = await row_of(database, task_id)
    assert (row.status, row.attempts, row.last_error) == (DeliveryStatus.DELIVERED, 2, None)


async def test_a_receiver_that_comes_back_is_told_then(
    database: Database, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen: connections are refused
        task_id = await end_task(database, f"http://127.0.0.1:{bound.getsockname()[1]}", clock)
        async with sending(database, clock) as sender:
            await logged.becomes(task_id, "retrying")
            row = await row_of(database, task_id)
            bound.listen()
            with serving(receiver.app, listening=bound):
                clock.advance(5)
                sender.wake()
                await logged.becomes(task_id, "retrying", "delivered")

    assert row.last_error == "The receiver cannot be connected to: Connection refused."
    assert receiver.ids() == [row.id]


async def test_after_the_last_attempt_it_is_given_up(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver(500, 500, 404, 204)
    task_id = await end_task(database, serve(receiver.app), clock)
    async with sending(database, clock, policy=WebhookPolicy(max_attempts=3)) as sender:
        await logged.becomes(task_id, "retrying")
        for outcomes in (["retrying"] * 2, ["retrying", "retrying", "gave_up"]):
            clock.advance(10)
            sender.wake()
            await logged.becomes(task_id, *outcomes)

    row = await row_of(database, task_id)
    assert receiver.ids() == [row.id] * 3
    assert (row.status, row.attempts, row.delivered_at) == (DeliveryStatus.FAILED, 3, None)
    assert row.last_error == "The receiver answered HTTP 404."


async def test_a_receiver_that_is_gone_is_left_alone(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver(410)
    task_id = await end_task(database, serve(receiver.app), clock)
    async with sending(database, clock):
        await logged.becomes(task_id, "gave_up")

    row = await row_of(database, task_id)
    assert len(receiver.requests) == 1
    assert (row.status, row.last_error) == (
        DeliveryStatus.FAILED,
        "The receiver wants no more of this (HTTP 410).",
    )


@pytest.mark.parametrize(
    ("status", "wished", "pause_s"),
    [(429, "120", 120), (503, "Fri, 02 Jan 2026 03:19:05 GMT", 600), (503, "86400", 3_600)],
)
async def test_a_busy_receiver_is_left_the_time_that_it_asks_for(
    database: Database,
    serve: Serve,
    clock: FakeClock,
    logged: Logged,
    status: int,
    wished: str,
    pause_s: float,
) -> None:
    receiver = Receiver(status, headers={"Retry-After": wished})
    task_id = await end_task(database, serve(receiver.app), clock)
    async with sending(database, clock):
        await logged.becomes(task_id, "retrying")

    row = await row_of(database, task_id)
    assert row.next_try_at == clock() + timedelta(seconds=pause_s)
    assert row.last_error == f"The receiver is busy (HTTP {status})."


async def test_a_redirect_is_not_followed(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    elsewhere = Receiver()
    receiver = Receiver(307, headers={"Location": f"{serve(elsewhere.app)}/hook"})
    task_id = await end_task(database, serve(receiver.app), clock)
    async with sending(database, clock):
        await logged.becomes(task_id, "retrying")

    assert elsewhere.requests == []
    row = await row_of(database, task_id)
    assert row.last_error == "The receiver redirects elsewhere (HTTP 307), which is not followed."


async def test_a_forbidden_address_is_not_connected_to(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver()
    task_id = await end_task(database, serve(receiver.app), clock)
    async with sending(database, clock, addresses=CLOSED):
        await logged.becomes(task_id, "gave_up")

    row = await row_of(database, task_id)
    assert receiver.requests == []
    assert (row.status, row.attempts) == (DeliveryStatus.FAILED, 1)
    assert row.last_error == "The URL leads to an address that we may not connect to."


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "no URL", "http://127.0.0.1:99999/", ""])
async def test_what_is_no_url_is_given_up(
    database: Database, clock: FakeClock, logged: Logged, url: str
) -> None:
    task_id = await end_task(database, url, clock)
    async with sending(database, clock):
        await logged.becomes(task_id, "gave_up")

    assert (await row_of(database, task_id)).last_error == "The URL cannot be used."


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 10_000)
        await writer.drain()


@pytest.mark.parametrize(
    "taken",
    [endless, says_and_hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")],
    ids=["endless", "hangs"],
)
async def test_an_answer_counts_whatever_its_body_does(
    database: Database, clock: FakeClock, logged: Logged, taken: Answer
) -> None:
    async with answering(taken) as url, sending(database, clock):
        task_id = await end_task(database, url, clock)
        await logged.becomes(task_id, "delivered")


class Endless(httpx.AsyncByteStream):
    read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            self.read += 1_024
            yield b"x" * 1_024


async def test_no_more_of_an_answer_is_read_than_it_takes_to_be_done_with_it(
    database: Database, clock: FakeClock, logged: Logged
) -> None:
    body = Endless()
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=body))
    task_id = await end_task(database, "http://receiver.test/", clock)
    async with (
        httpx.AsyncClient(transport=transport) as http,
        background_loop(sender_of(database, http, clock).loop(), name="webhooks"),
    ):
        await logged.becomes(task_id, "delivered")

    assert body.read == MAX_DRAINED_BYTES


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (says_nothing, "The receiver did not answer within 0.2 s."),
        (dribbles(), "The receiver did not answer within 0.2 s."),
        (says(b""), "The connection broke before the receiver had answered."),
        (says_and_hangs(b"no HTTP\r\n\r\n"), "The connection broke before the receiver had answered."),
    ],
    ids=["nothing", "dribbles", "closes", "nonsense"],
)
async def test_a_receiver_that_gives_no_answer_is_tried_again(
    database: Database, clock: FakeClock, logged: Logged, broken: Answer, error: str
) -> None:
    async with answering(broken) as url, sending(database, clock, policy=WebhookPolicy(timeout_s=0.2)):
        task_id = await end_task(database, url, clock)
        await logged.becomes(task_id, "retrying")

    assert (await row_of(database, task_id)).last_error == error


async def test_a_receiver_that_hangs_holds_up_no_other(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver()
    async with answering(says_nothing) as slow, sending(database, clock) as sender:
        held_up = await end_task(database, slow, clock)
        quick = await end_task(database, serve(receiver.app), clock)
        sender.wake()
        await logged.becomes(quick, "delivered")

    assert logged.outcomes(held_up) == []


async def test_no_more_are_sent_at_once_than_allowed(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver(held=MAX_AT_ONCE)
    url = serve(receiver.app)
    task_ids = [await end_task(database, url, clock) for _ in range(2 * MAX_AT_ONCE + 5)]
    async with sending(database, clock) as sender:
        await eventually(lambda: len(receiver.requests) == MAX_AT_ONCE, within_s=10)
        sender.wake()
        claimed = select(WebhookDelivery.id).where(WebhookDelivery.attempts > 0)
        ids = await database.read(lambda connection: connection.execute(claimed).scalars().all())
        assert sorted(ids) == sorted(receiver.ids())

        receiver.gate.open()
        for task_id in task_ids:
            await logged.becomes(task_id, "delivered")

    assert set(Counter(receiver.ids()).values()) == {1}


async def test_two_coordinators_on_one_database_deliver_once(
    database: Database, database_url: str, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver, other_database = Receiver(), Database(database_url)
    url = serve(receiver.app)
    async with sending(database, clock) as one, sending(other_database, clock) as other:
        task_ids = []
        for _ in range(10):
            task_ids += await asyncio.gather(*(end_task(database, url, clock) for _ in range(15)))
            one.wake()
            other.wake()
        for task_id in task_ids:
            await logged.becomes(task_id, "delivered")
    await other_database.close()

    assert len(receiver.requests) == len(task_ids)
    assert set(Counter(receiver.ids()).values()) == {1}


async def test_what_a_dead_sender_had_claimed_is_taken_up_after_the_claim(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver(held=1)
    url = serve(receiver.app)
    task_id = await end_task(database, url, clock)
    async with sending(database, clock):
        await eventually(lambda: receiver.requests, within_s=10)

    async with sending(database, clock) as sender:
        clock.advance(CLAIM_S - 1)
        other = await end_task(database, url, clock)
        sender.wake()
        await logged.becomes(other, "delivered")
        assert len(receiver.requests) == 2

        clock.advance(1)
        sender.wake()
        await logged.becomes(task_id, "delivered")
    receiver.gate.open()

    row = await row_of(database, task_id)
    assert receiver.ids() == [row.id, (await row_of(database, other)).id, row.id]
    assert (row.status, row.attempts) == (DeliveryStatus.DELIVERED, 2)


async def test_a_late_answer_after_the_claim_is_lost_changes_nothing(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver(410, 500, held=1)
    task_id = await end_task(database, serve(receiver.app), clock)
    async with sending(database, clock) as sender:
        await eventually(lambda: receiver.requests, within_s=10)
        clock.advance(CLAIM_S)
        sender.wake()
        await logged.becomes(task_id, "retrying")

        receiver.gate.open()
        await eventually(lambda: sender._free == MAX_AT_ONCE, within_s=10)

    assert logged.outcomes(task_id) == ["retrying"]
    row = await row_of(database, task_id)
    assert (row.status, row.attempts) == (DeliveryStatus.PENDING, 2)
    assert row.last_error == "The receiver answered HTTP 500."


class UnsteadyDatabase(Database):
    is_away = False

    async def write(self, change: Callable[[Connection], T]) -> T:
        if self.is_away:
            raise OSError("the database is away")
        return await super().write(change)


async def test_a_database_that_is_away_for_a_moment_costs_no_delivery(
    database: Database, database_url: str, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver, unsteady = Receiver(held=1), UnsteadyDatabase(database_url)
    task_id = await end_task(database, serve(receiver.app), clock)
    async with sending(unsteady, clock) as sender:
        await eventually(lambda: receiver.requests, within_s=10)
        unsteady.is_away = True
        receiver.gate.open()
        await logged.becomes(task_id, "crashed")
        await eventually(lambda: "webhook.look_failed" in [entry["event"] for entry in logged.entries])

        unsteady.is_away = False
        clock.advance(CLAIM_S)
        sender.wake()
        await logged.becomes(task_id, "crashed", "delivered")
    await unsteady.close()

    assert len(set(receiver.ids())) == 1


async def test_what_never_came_to_an_outcome_is_not_tried_for_ever(
    database: Database, serve: Serve, clock: FakeClock, logged: Logged
) -> None:
    receiver = Receiver()
    task_id = await end_task(database, serve(receiver.app), clock)
    claimed_again = update(WebhookDelivery).values(attempts=POLICY.max_attempts)
    await database.write(lambda connection: connection.execute(claimed_again))
    async with sending(database, clock):
        await logged.becomes(task_id, "gave_up")

    assert receiver.requests == []
    row = await row_of(database, task_id)
    assert row.last_error == "It is not known how the last attempt ended."
