"""The one way to the database: reads and changes are plain functions of a connection.

A function that cannot await cannot hold a transaction open over a network call. Changes that arrive while
a transaction is being committed go together into the next one (group commit); where one of them fails,
each is run again in a transaction of its own, so that it fails alone.
"""

import asyncio
import fcntl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")
Query = Callable[[Connection], T]

MAX_GROUP = 256
MAX_TRIES = 5
READERS = 4


@dataclass(frozen=True, slots=True)
class _Pending:
    change: Query[Any]
    done: asyncio.Future[Any]


class _Backend(Protocol):
    async def read(self, query: Query[T]) -> T: ...

    async def commit(self, changes: Sequence[Query[Any]]) -> list[Any]:
        """All changes in one transaction: all results, or an exception and no change."""
        ...

    async def close(self) -> None: ...


class Database:
    """`url` is `sqlite:///path` or `postgresql://...`; the driver is chosen here."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._backend: _Backend = (
            _Sqlite(url) if make_url(url).get_backend_name() == "sqlite" else _Postgres(url)
        )
        self._pending: list[_Pending] = []
        self._committer: asyncio.Task[None] | None = None

    async def read(self, query: Query[T]) -> T:
        """The query's result in one read transaction."""
        return await self._backend.read(query)

    async def write(self, change: Query[T]) -> T:
        """The change's result once it is committed. The change may run more than once; its exception
        undoes it and is raised here. A canceled caller does not cancel the change."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append(_Pending(change, done))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_pending(), name="group commit")
        return await done

    async def close(self) -> None:
        if self._committer is not None:
            await asyncio.wait([self._committer])
        await self._backend.close()

    async def _commit_pending(self) -> None:
        while self._pending:
            group, self._pending = self._pending[:MAX_GROUP], self._pending[MAX_GROUP:]
            try:
                results = await self._backend.commit([item.change for item in group])
            except Exception:  # noqa: BLE001 whose fault it is shows when each runs alone
                for item in group:
                    await self._commit_alone(item)
            else:
                for item, result in zip(group, results, strict=True):
                    if not item.done.done():
                        item.done.set_result(result)

    async def _commit_alone(self, item: _Pending) -> None:
        for attempt in range(1, MAX_TRIES + 1):
            try:
                [result] = await self._backend.commit([item.change])
            except Exception as exc:  # noqa: BLE001 handed to the caller of write
                if attempt < MAX_TRIES and _is_conflict(exc):
                    continue
                if not item.done.done():
                    item.done.set_exception(exc)
            else:
                if not item.done.done():
                    item.done.set_result(result)
            return


def _is_conflict(exc: Exception) -> bool:
    """A deadlock or serialization failure of PostgreSQL: the same change may go through at once."""
    state = getattr(getattr(exc, "orig", None), "sqlstate", None)
    return isinstance(exc, DBAPIError) and state in ("40001", "40P01")


def _run_all(connection: Connection, changes: Sequence[Query[Any]]) -> list[Any]:
    return [change(connection) for change in changes]


class _Sqlite:
    """One writer thread and a few readers; WAL lets them go on side by side."""

    def __init__(self, url: str) -> None:
        path = make_url(url).database
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._write_engine = _sqlite_engine(url, begin="BEGIN IMMEDIATE")
        self._read_engine = _sqlite_engine(url, begin="BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")

    async def read(self, query: Query[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    async def commit(self, changes: Sequence[Query[Any]]) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._commit, changes)

    async def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _read(self, query: Query[T]) -> T:
        with self._read_engine.connect() as connection:
            return query(connection)

    def _commit(self, changes: Sequence[Query[Any]]) -> list[Any]:
        with self._write_engine.begin() as connection:
            return _run_all(connection, changes)


def _sqlite_engine(url: str, *, begin: str) -> Engine:
    engine = create_engine(url, pool_size=READERS, max_overflow=0)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver's own idea of when a transaction begins is switched off; `begin` below says it.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class _Postgres:
    def __init__(self, url: str) -> None:
        self._engine: AsyncEngine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"), pool_size=8, pool_pre_ping=True
        )

    async def read(self, query: Query[T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(query)

    async def commit(self, changes: Sequence[Query[Any]]) -> list[Any]:
        async with self._engine.begin() as connection:
            return await connection.run_sync(_run_all, changes)

    async def close(self) -> None:
        await self._engine.dispose()


def sole_owner_lock(url: str) -> IO[bytes] | None:
    """A lock that the first process on a SQLite database holds until it dies, however it dies; None where
    another living process holds it, or the database is not SQLite. Keep the file open to keep the lock."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    path = Path(parsed.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
