"""The rows of inboxes on both databases: what is given, kept, forgotten, and whose time is over."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, insert, select

from a2a.database import Database
from coordinator.health.absence import take_absent_down
from coordinator.registry import inbox
from coordinator.registry.inbox import (
    KEPT_FOR,
    InboxFull,
    InboxGone,
    InboxItem,
    forget_requests,
    give_requests,
    put_request,
    take_answers,
    withdraw_request,
)
from models.states import HealthState
from models.tables import Agent, HealthCheck, InboxRequest
from tests.support.rows import NOW, insert_agent

HOUR = timedelta(hours=1)


def item(agent_id: str, request_id: str = "request_1", *, size: int = 0) -> InboxItem:
    content = {"request": {"id": request_id, "params": "x" * size}, "headers": {}}
    return InboxItem(request_id, agent_id, content, NOW + HOUR)


def put(connection: Connection, agent_id: str, *request_ids: str, size: int = 0) -> None:
    for request_id in request_ids:
        put_request(connection, item(agent_id, request_id, size=size), NOW)


def ids_given(connection: Connection, agent_id: str, *, limit: int = 10) -> list[str]:
    return [given.id for given in give_requests(connection, agent_id, holding=None, limit=limit, now=NOW)]


@pytest.fixture
async def agent_id(database: Database) -> str:
    return await database.write(partial(insert_agent, inbox_digest="d", lease_expires_at=NOW + HOUR))


async def test_a_request_that_is_put_again_has_its_response(database: Database, agent_id: str) -> None:
    def change(connection: Connection) -> object:
        put(connection, agent_id, "request_1")
        take_answers(connection, agent_id, {"request_1": {"result": 1}}, NOW)
        return put_request(connection, item(agent_id), NOW)

    assert await database.write(change) == {"result": 1}


async def test_requests_are_given_in_order_and_as_many_as_fit(database: Database, agent_id: str) -> None:
    def change(connection: Connection) -> list[list[str]]:
        size = inbox.MAX_GIVEN_BYTES // 2
        put(connection, agent_id, "request_1", "request_2", "request_3", size=size)
        return [ids_given(connection, agent_id) for _ in range(4)]

    assert await database.write(change) == [["request_1"], ["request_2"], ["request_3"], []]


async def test_what_has_expired_is_not_given(database: Database, agent_id: str) -> None:
    def change(connection: Connection) -> list[InboxItem]:
        put(connection, agent_id, "request_1")
        return give_requests(connection, agent_id, holding=[], limit=1, now=NOW + HOUR)

    assert await database.write(change) == []


async def test_what_is_withdrawn_tells_whether_it_was_taken(database: Database, agent_id: str) -> None:
    def change(connection: Connection) -> list[bool | None]:
        put(connection, agent_id, "request_1", "request_2")
        ids_given(connection, agent_id, limit=1)
        states = [withdraw_request(connection, name) for name in ("request_1", "request_2", "request_3")]
        return [state.is_taken if state is not None else None for state in states]

    assert await database.write(change) == [True, False, None]


async def test_an_inbox_takes_only_so_much(database: Database, agent_id: str) -> None:
    row = {"agent_id": agent_id, "request": {}, "created_at": NOW, "expires_at": NOW + HOUR}
    rows = [{"id": f"request_{number}", **row} for number in range(inbox.MAX_OPEN)]
    await database.write(lambda connection: connection.execute(insert(InboxRequest), rows) and None)

    with pytest.raises(InboxFull):
        await database.write(lambda connection: put(connection, agent_id, "one more"))


async def test_an_agent_that_was_removed_gets_nothing(database: Database) -> None:
    removed = await database.write(partial(insert_agent, inbox_digest="d", removed_at=NOW))
    with pytest.raises(InboxGone):
        await database.write(lambda connection: put(connection, removed, "request_1"))


async def test_requests_are_forgotten_a_day_after_they_expired(database: Database, agent_id: str) -> None:
    def left(connection: Connection) -> list[int]:
        put(connection, agent_id, "request_1")
        counts = []
        for now in (NOW + HOUR + KEPT_FOR, NOW + HOUR + KEPT_FOR + timedelta(seconds=1)):
            forget_requests(connection, now)
            counts.append(len(connection.execute(select(InboxRequest.id)).all()))
        return counts

    assert await database.write(left) == [1, 0]


async def test_an_agent_whose_visit_counts_no_more_is_taken_down_once(
    database: Database, agent_id: str
) -> None:
    def sweep(connection: Connection) -> list[list[str]]:
        insert_agent(connection, lease_expires_at=NOW)  # it is called, so others look after it
        moments = (NOW + HOUR, NOW + HOUR + timedelta(seconds=1), NOW + 2 * HOUR)
        return [take_absent_down(connection, now) for now in moments]

    assert await database.write(sweep) == [[], [agent_id], []]
    row = (
        await database.read(lambda c: c.execute(select(Agent.__table__).where(Agent.id == agent_id)).all())
    )[0]
    assert (row.health, row.health_reason) == (HealthState.DOWN, "it has not looked into its inbox yet")
    checks = await database.read(lambda c: c.execute(select(HealthCheck.evidence)).scalars().all())
    assert checks == ["visit"]
