"""The requests in agents' inboxes, and their answers: rows, as functions of a connection.

A row is put once, given to its agent, answered once, and stays for a day after it has expired: it is the
memory by which a message that is sent again is not given again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Text, and_, cast, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from a2a.types import Json
from models.states import HealthState
from models.tables import Agent, InboxRequest

MAX_OPEN = 1_000
# Of the requests that one visit gets; the first is given whatever it has.
MAX_GIVEN_BYTES = 16 * 2**20
KEPT_FOR = timedelta(days=1)
MAX_IN_ONE_QUERY = 5_000


class InboxFull(Exception):
    """The agent has fetched or answered nothing for long: it has MAX_OPEN requests."""


class InboxGone(Exception):
    """The agent was removed."""


class InboxAway(Exception):
    """The agent is away, and the request is only for one that is there."""


@dataclass(frozen=True, slots=True)
class InboxItem:
    """`content` is {"request": a JSON-RPC request, "headers": {...}}. `only_if_there`: it would wait better
    elsewhere than in the inbox of an agent that has gone to sleep."""

    id: str
    agent_id: str
    content: dict[str, Json]
    expires_at: datetime
    only_if_there: bool = False


@dataclass(frozen=True, slots=True)
class RequestState:
    """`response` is None where there is none (yet); `has_result`: it is one, and no error."""

    is_taken: bool
    response: dict[str, Json] | None

    @property
    def has_result(self) -> bool:
        return self.response is not None and "result" in self.response


def put_request(connection: Connection, item: InboxItem, now: datetime) -> dict[str, Json] | None:
    """The response, where it is there already. One that brought no result is asked for again.

    Raises InboxFull, InboxGone and InboxAway."""
    known = request_state(connection, item.id)
    if known is not None and known.has_result:
        return known.response
    if known is None:
        _check_room(connection, item, now)
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {"id": item.id, "agent_id": item.agent_id, "request": item.content}
    statement = insert(InboxRequest).values(values | {"created_at": now, "expires_at": item.expires_at})
    again: dict[str, Json] = {"expires_at": item.expires_at}
    if known is not None and known.response is not None:
        again |= {"request": item.content, "response": None, "taken_at": None, "answered_at": None}
    connection.execute(statement.on_conflict_do_update(index_elements=[InboxRequest.id], set_=again))
    return None


def request_state(connection: Connection, request_id: str) -> RequestState | None:
    query = select(InboxRequest.taken_at, InboxRequest.response).where(InboxRequest.id == request_id)
    row = connection.execute(query).one_or_none()
    return RequestState(row.taken_at is not None, row.response) if row is not None else None


def take_answers(
    connection: Connection, agent_id: str, answers: dict[str, dict[str, Json]], now: datetime
) -> list[str]:
    """The ids of those that are news. What is not this agent's, was answered before, or is not wanted any
    more changes nothing."""
    taken: list[str] = []
    for request_id, response in answers.items():
        answered = connection.execute(
            update(InboxRequest)
            .where(InboxRequest.id == request_id, InboxRequest.agent_id == agent_id)
            .where(InboxRequest.answered_at.is_(None))
            # Nobody will be given it again.
            .values(response=response, answered_at=now, taken_at=func.coalesce(InboxRequest.taken_at, now))
            .returning(InboxRequest.id)
        )
        taken += answered.scalars().all()
    return taken


def give_requests(
    connection: Connection, agent_id: str, *, holding: Collection[str] | None, limit: int, now: datetime
) -> list[InboxItem]:
    """The oldest that the agent has not got, or does not hold although it should; they count as given."""
    is_new = InboxRequest.taken_at.is_(None)
    is_lost = and_(InboxRequest.taken_at.is_not(None), InboxRequest.id.not_in(holding or ()))
    size = func.length(cast(InboxRequest.request, Text)).label("size")
    query = (
        select(InboxRequest.id, size)
        .where(InboxRequest.agent_id == agent_id, InboxRequest.answered_at.is_(None))
        .where(InboxRequest.expires_at > now, is_new if holding is None else or_(is_new, is_lost))
        .order_by(InboxRequest.created_at, InboxRequest.id)
        .limit(limit)
    )
    # Two visits at once, to two coordinators, do not get the same.
    found = connection.execute(query.with_for_update(skip_locked=True)).all()
    ids = _within(MAX_GIVEN_BYTES, [(row.id, row.size) for row in found])
    if not ids:
        return []
    given = connection.execute(
        update(InboxRequest)
        .where(InboxRequest.id.in_(ids))
        .values(taken_at=now)
        .returning(InboxRequest.id, InboxRequest.agent_id, InboxRequest.request, InboxRequest.expires_at)
    )
    items = {row.id: InboxItem(row.id, row.agent_id, row.request, row.expires_at) for row in given}
    return [items[request_id] for request_id in ids if request_id in items]


def not_wanted(connection: Connection, agent_id: str, holding: Collection[str], now: datetime) -> list[str]:
    """Those of `holding` that nobody waits for any more."""
    query = select(InboxRequest.id).where(
        InboxRequest.id.in_(holding),
        InboxRequest.agent_id == agent_id,
        InboxRequest.answered_at.is_(None),
        InboxRequest.expires_at > now,
    )
    wanted = set(connection.execute(query).scalars())
    return [request_id for request_id in holding if request_id not in wanted]


def withdraw_request(connection: Connection, request_id: str) -> RequestState | None:
    """Nobody waits for it any more; what it had come to, None where it was not there."""
    gone = delete(InboxRequest).where(InboxRequest.id == request_id)
    row = connection.execute(gone.returning(InboxRequest.taken_at, InboxRequest.response)).one_or_none()
    return RequestState(row.taken_at is not None, row.response) if row is not None else None


def agents_with_requests(connection: Connection, agent_ids: Sequence[str]) -> list[str]:
    """Those of the agents that have something to fetch."""
    query = select(InboxRequest.agent_id).distinct().where(InboxRequest.taken_at.is_(None))
    return _among(connection, query, InboxRequest.agent_id, agent_ids)


def requests_with_answers(connection: Connection, request_ids: Sequence[str]) -> list[str]:
    query = select(InboxRequest.id).where(InboxRequest.answered_at.is_not(None))
    return _among(connection, query, InboxRequest.id, request_ids)


def forget_requests(connection: Connection, now: datetime) -> None:
    connection.execute(delete(InboxRequest).where(InboxRequest.expires_at < now - KEPT_FOR))


def _check_room(connection: Connection, item: InboxItem, now: datetime) -> None:
    query = select(Agent.health).where(Agent.id == item.agent_id, Agent.removed_at.is_(None))
    health = connection.execute(query).scalar_one_or_none()
    if health is None:
        raise InboxGone
    if item.only_if_there and health == HealthState.DOWN:
        raise InboxAway
    if _count_open(connection, item.agent_id, now) >= MAX_OPEN:
        raise InboxFull


def _count_open(connection: Connection, agent_id: str, now: datetime) -> int:
    query = select(func.count()).select_from(InboxRequest)
    query = query.where(InboxRequest.agent_id == agent_id, InboxRequest.answered_at.is_(None))
    return int(connection.execute(query.where(InboxRequest.expires_at > now)).scalar_one())


def _within(max_bytes: int, sizes: Sequence[tuple[str, int]]) -> list[str]:
    ids: list[str] = []
    total = 0
    for request_id, size in sizes:
        total += size
        if ids and total > max_bytes:
            break
        ids.append(request_id)
    return ids


def _among(connection: Connection, query: Json, column: Json, values: Sequence[str]) -> list[str]:
    """A database takes only so many values in one query."""
    found: list[str] = []
    for start in range(0, len(values), MAX_IN_ONE_QUERY):
        part = query.where(column.in_(values[start : start + MAX_IN_ONE_QUERY]))
        found += connection.execute(part).scalars()
    return found
