"""The history of a task: rows written with their cause, and wake-ups for whoever watches."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, insert, select

from a2a.types import Json
from models.tables import TaskEvent


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    data: dict[str, Json]


def insert_events(
    connection: Connection, task_id: str, last_number: int, events: tuple[Event, ...], now: datetime
) -> None:
    """`last_number` is the task's counter after these events, taken in the same transaction."""
    first = last_number - len(events) + 1
    rows = [
        {
            "task_id": task_id,
            "number": first + place,
            "kind": event.kind,
            "data": event.data,
            "created_at": now,
        }
        for place, event in enumerate(events)
    ]
    if rows:
        connection.execute(insert(TaskEvent), rows)


def list_events(
    connection: Connection, task_id: str, *, after: int, limit: int
) -> list[Row[tuple[TaskEvent]]]:
    query = (
        select(TaskEvent.__table__)
        .where(TaskEvent.task_id == task_id, TaskEvent.number > after)
        .order_by(TaskEvent.number)
        .limit(limit)
    )
    return list(connection.execute(query).all())


class Wakeups:
    """Lets code in this process wait for news of a key. A hint only: the rows are the truth."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def wake(self, key: str) -> None:
        for event in self._waiting.get(key, ()):
            event.set()

    @contextmanager
    def listening(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set by each wake; the listener clears it before it looks."""
        event = asyncio.Event()
        self._waiting[key].add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]
