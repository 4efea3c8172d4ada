"""Sessions and messages: queries and changes as functions of a connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, Row, Table, insert, select

from a2a.types import Json
from coordinator.memory.errors import SessionNotFound
from models.base import DEFAULT_TENANT
from models.batch import insert_batch, update_batch
from models.ids import new_id
from models.states import Speaker
from models.tables import Message, Session

_TOUCH = update_batch(cast("Table", Session.__table__), ["id"], ["updated_at"])
_ADD = insert_batch(
    cast("Table", Message.__table__), ["id", "session_id", "task_id", "speaker", "parts", "created_at"]
)


def create_session(connection: Connection, user_id: str | None, now: datetime) -> str:
    session_id = new_id("session")
    connection.execute(insert(Session).values(id=session_id, user_id=user_id, created_at=now, updated_at=now))
    return session_id


def ensure_session(connection: Connection, session_id: str, now: datetime) -> None:
    """Start the session under this id unless it is there: an A2A contextId is made by the client."""
    known = select(Session.id).where(Session.id == session_id)
    if connection.execute(known).scalar_one_or_none() is None:
        connection.execute(insert(Session).values(id=session_id, created_at=now, updated_at=now))


def find_session(connection: Connection, session_id: str) -> Row[tuple[Session]]:
    """Raises SessionNotFound."""
    query = select(Session.__table__).where(Session.id == session_id, Session.tenant_id == DEFAULT_TENANT)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise SessionNotFound(session_id)
    return row


def list_sessions(
    connection: Connection, *, user_id: str | None, before: str | None, limit: int
) -> list[Row[tuple[Session]]]:
    """Newest first; `before` is the last id of the page before."""
    query = select(Session.__table__).where(Session.tenant_id == DEFAULT_TENANT)
    if user_id is not None:
        query = query.where(Session.user_id == user_id)
    if before is not None:
        query = query.where(Session.id < before)
    return list(connection.execute(query.order_by(Session.id.desc()).limit(limit)).all())


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a session; `parts` as JSON."""

    session_id: str
    task_id: str | None
    speaker: Speaker
    parts: list[Json]
    at: datetime


def add_messages(connection: Connection, messages: Sequence[Said]) -> list[str]:
    """Their ids, in order. The sessions have to be there."""
    touched = {said.session_id: {"key_id": said.session_id, "updated_at": said.at} for said in messages}
    _TOUCH.run(connection, touched.values())
    rows = [
        {
            "id": new_id("message"),
            "session_id": said.session_id,
            "task_id": said.task_id,
            "speaker": said.speaker,
            "parts": said.parts,
            "created_at": said.at,
        }
        for said in messages
    ]
    _ADD.run(connection, rows)
    return [str(row["id"]) for row in rows]


def list_messages(
    connection: Connection, session_id: str, *, after: str | None, limit: int
) -> list[Row[tuple[Message]]]:
    """Oldest first; `after` is the last id of the page before. Raises SessionNotFound."""
    find_session(connection, session_id)
    query = select(Message.__table__).where(Message.session_id == session_id)
    if after is not None:
        query = query.where(Message.id > after)
    return list(connection.execute(query.order_by(Message.id).limit(limit)).all())


def find_message(connection: Connection, message_id: str) -> Row[tuple[Message]]:
    return connection.execute(select(Message.__table__).where(Message.id == message_id)).one()
