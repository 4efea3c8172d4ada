"""Cursor pages: the cursor is the last id of a page, so new rows never shift a page that is being read."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from coordinator.api.params import NAME
from coordinator.executor.queries import AnyRow

_CURSOR = "next_cursor of the page before"

Limit = Annotated[int, Query(ge=1, le=200, description="Rows on a page")]
TaskCursor = Annotated[str | None, Query(pattern="^task_[0-9a-f]{32}$", description=_CURSOR)]
MessageCursor = Annotated[str | None, Query(pattern="^message_[0-9a-f]{32}$", description=_CURSOR)]
# A session's id may be the contextId that an A2A client chose.
SessionCursor = Annotated[str | None, Query(pattern=NAME, description=_CURSOR)]


def next_cursor(rows: Sequence[AnyRow], limit: int) -> str | None:
    """For rows that were asked for with one more than `limit`."""
    return rows[limit - 1].id if len(rows) > limit else None
