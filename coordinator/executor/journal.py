"""The way of the executor's changes to the database: whatever came while a transaction was written goes
together into the next one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from a2a.database import Database, is_outcome_unknown
from coordinator.executor.changes import Change, apply_changes
from coordinator.executor.creation import Creation, create_tasks
from coordinator.executor.faults import BEFORE_COMMIT, Fault, after_commit

T = TypeVar("T")
MAX_GROUP = 256


@dataclass(frozen=True, slots=True)
class _Entry:
    item: Change | Creation
    done: asyncio.Future[int]


class Journal:
    """Changes of one task are written in the order in which they came, or not at all."""

    def __init__(self, database: Database, fault: Fault) -> None:
        self._database = database
        self._fault = fault
        self._entries: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, change: Change) -> int:
        """The number of the task's last event, once the change is durable. A canceled caller does not cancel
        it. Raises LeaseLost and NewsCame, and then nothing was written."""
        number = await asyncio.shield(self.submit(change))
        for event in change.events:
            self._fault(after_commit(event.kind))
        return number

    def submit(self, item: Change | Creation) -> asyncio.Future[int]:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_taken_note_of)
        self._entries.append(_Entry(item, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="journal")
        return done

    async def close(self) -> None:
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        while self._entries:
            group, self._entries = self._entries[:MAX_GROUP], self._entries[MAX_GROUP:]
            self._fault(BEFORE_COMMIT)
            try:
                outcomes = await self._database.write(partial(_apply, items=[entry.item for entry in group]))
            except Exception as exc:  # noqa: BLE001 handed to the callers of write
                await self._apart(group, exc)
            else:
                _tell(group, outcomes)

    async def _apart(self, group: Sequence[_Entry], error: Exception) -> None:
        """One of them may have spoilt it for all: each by itself, so that it fails alone. Not where they may
        have been written after all: then nobody may write them again."""
        if len(group) == 1 or is_outcome_unknown(error):
            _tell(group, [error] * len(group))
            return
        for entry in group:
            try:
                outcomes = await self._database.write(partial(_apply, items=[entry.item]))
            except Exception as exc:  # noqa: BLE001 handed to the caller of write
                _tell([entry], [exc])
            else:
                _tell([entry], outcomes)


def _apply(connection: Connection, items: Sequence[Change | Creation]) -> list[int | Exception]:
    creations = [item for item in items if isinstance(item, Creation)]
    changes = [item for item in items if isinstance(item, Change)]
    created = iter(create_tasks(connection, creations) if creations else ())
    changed = iter(apply_changes(connection, changes) if changes else ())
    return [next(created) if isinstance(item, Creation) else next(changed) for item in items]


def _taken_note_of(done: asyncio.Future[int]) -> None:
    """Who was canceled meanwhile does not ask any more; that is no error to be logged."""
    if not done.cancelled():
        done.exception()


def _tell(group: Sequence[_Entry], outcomes: Sequence[int | Exception]) -> None:
    for entry, outcome in zip(group, outcomes, strict=True):
        if entry.done.done():
            continue
        if isinstance(outcome, Exception):
            entry.done.set_exception(outcome)
        else:
            entry.done.set_result(outcome)
