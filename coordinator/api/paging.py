"""Cursor pages: the cursor is the last id of a page, so new rows never shift a page that is being read."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from coordinator.executor.queries import AnyRow

Limit = Annotated[int, Query(ge=1, le=200, description="Rows on a page")]
Cursor = Annotated[str | None, Query(max_length=200, description="next_cursor of the page before")]


def next_cursor(rows: Sequence[AnyRow], limit: int) -> str | None:
    """For rows that were asked for with one more than `limit`."""
    return rows[limit - 1].id if len(rows) > limit else None
