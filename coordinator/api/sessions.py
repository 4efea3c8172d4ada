"""Sessions and their messages."""

from functools import partial

from fastapi import APIRouter
from sqlalchemy import Connection

from coordinator.api import schemas, views
from coordinator.api.json_body import StrictJsonRoute
from coordinator.api.openapi import PROBLEMS, problems
from coordinator.api.paging import Limit, MessageCursor, SessionCursor, next_cursor
from coordinator.api.params import PathId, QueryId
from coordinator.api.services import Use
from coordinator.executor.queries import AnyRow
from coordinator.memory.store import (
    Said,
    add_messages,
    create_session,
    find_message,
    find_session,
    list_messages,
    list_sessions,
)
from models.states import Speaker

router = APIRouter(prefix="/api/sessions", tags=["sessions"], responses=PROBLEMS, route_class=StrictJsonRoute)


@router.post("", status_code=201, summary="Start a session", responses=problems(400, 413))
async def post_session(body: schemas.SessionIn, use: Use) -> schemas.SessionOut:
    def change(connection: Connection) -> AnyRow:
        return find_session(connection, create_session(connection, body.user_id, use.now()))

    return views.session(await use.database.write(change))


@router.get("", summary="List sessions, newest first")
async def get_sessions(
    use: Use, user_id: QueryId = None, limit: Limit = 50, cursor: SessionCursor = None
) -> schemas.SessionPage:
    rows = await use.database.read(partial(list_sessions, user_id=user_id, before=cursor, limit=limit + 1))
    return schemas.SessionPage(
        sessions=[views.session(row) for row in rows[:limit]], next_cursor=next_cursor(rows, limit)
    )


@router.get("/{session_id}", summary="One session", responses=problems(404))
async def get_session(session_id: PathId, use: Use) -> schemas.SessionOut:
    return views.session(await use.database.read(partial(find_session, session_id=session_id)))


@router.get("/{session_id}/messages", summary="What was said, oldest first", responses=problems(404))
async def get_messages(
    session_id: PathId, use: Use, limit: Limit = 50, cursor: MessageCursor = None
) -> schemas.MessagePage:
    rows = await use.database.read(
        partial(list_messages, session_id=session_id, after=cursor, limit=limit + 1)
    )
    return schemas.MessagePage(
        messages=[views.message(row) for row in rows[:limit]], next_cursor=next_cursor(rows, limit)
    )


@router.post(
    "/{session_id}/messages",
    status_code=201,
    summary="Add a message",
    responses=problems(400, 404, 413),
)
async def post_message(session_id: PathId, body: schemas.MessageIn, use: Use) -> schemas.MessageOut:
    """Kept as context; it starts no task."""

    def change(connection: Connection) -> AnyRow:
        find_session(connection, session_id)
        said = Said(session_id, None, Speaker.USER, [part.to_json() for part in body.parts], use.now())
        [message_id] = add_messages(connection, [said])
        return find_message(connection, message_id)

    return views.message(await use.database.write(change))
