"""The history of a task as it is read, and wake-ups for whoever watches."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Row, insert, select

from coordinator.executor.history import Event
from models.tables import TaskEvent


def insert_events(
    connection: Connection, task_id: str, last_number: int, events: Sequence[Event], now: datetime
) -> None:
    """`last_number` is the task's counter after these events, taken in the same transaction."""
    first = last_number - len(events) + 1
    rows = [
        {"task_id": task_id, "number": number, "kind": event.kind, "data": event.data, "created_at": now}
        for number, event in enumerate(events, start=first)
    ]
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


def latest_step_event(connection: Connection, task_id: str) -> Row[tuple[TaskEvent]] | None:
    query = (
        select(TaskEvent.__table__)
        .where(TaskEvent.task_id == task_id, TaskEvent.kind.startswith("step."))
        .order_by(TaskEvent.number.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


class Wakeups:
    """Lets code in this process hear of news of a key. A hint only: the rows are the truth."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)

    def keys(self) -> tuple[str, ...]:
        """What somebody listens to."""
        return tuple(self._listeners)

    def wake(self, key: str) -> None:
        for listener in tuple(self._listeners.get(key, ())):
            listener()

    @contextmanager
    def calling(self, key: str, listener: Callable[[], None]) -> Iterator[None]:
        """`listener` is called at each wake; it must not wait."""
        self._listeners[key].add(listener)
        try:
            yield
        finally:
            self._listeners[key].discard(listener)
            if not self._listeners[key]:
                del self._listeners[key]

    @contextmanager
    def listening(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set by each wake; the listener clears it before it looks."""
        event = asyncio.Event()
        with self.calling(key, event.set):
            yield event
