"""The one way to the database: reads and changes are plain functions of a connection.

A function that cannot await cannot hold a transaction open over a network call. Changes that arrive while
a transaction is being committed go together into the next one (group commit); where one of them fails,
all are run again, each in a savepoint of its own, so that it fails alone.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from pydantic_core import to_json
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")
Query = Callable[[Connection], T]
Run = Callable[[Connection, Sequence[Query[Any]]], list[Any]]

MAX_GROUP = 256
CONFLICT_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2)
READERS = 4
# No transaction waits for anything but the database: a session that leaves one open is that of a process that
# is frozen or cut off, and until PostgreSQL ends it everybody else waits for its locks.
IDLE_IN_TRANSACTION = "5s"


@dataclass(frozen=True, slots=True)
class _Pending:
    change: Query[Any]
    done: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    """In the place of a change's result."""

    error: Exception


class _Backend(Protocol):
    async def read(self, query: Query[T]) -> T: ...

    async def commit(self, changes: Sequence[Query[Any]], run: Run) -> list[Any]:
        """`run` the changes in one transaction and commit it, or raise and change nothing."""
        ...

    async def close(self) -> None: ...


class Database:
    """`url` is `sqlite:///path` or `postgresql://...`; the driver is chosen here."""

    def __init__(self, url: str) -> None:
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
            outcomes = await self._commit([item.change for item in group])
            for item, outcome in zip(group, outcomes, strict=True):
                if item.done.done():
                    continue
                if isinstance(outcome, _Failed):
                    item.done.set_exception(outcome.error)
                else:
                    item.done.set_result(outcome)

    async def _commit(self, changes: Sequence[Query[Any]]) -> list[Any]:
        """What became of each change: its result, or how it failed."""
        for pause_s in CONFLICT_PAUSES_S:
            try:
                return await self._backend.commit(changes, _run_all)
            except Exception as exc:  # noqa: BLE001 handed to the callers of write
                failed: list[Any] = [_Failed(exc)] * len(changes)
                if is_outcome_unknown(exc):
                    # The connection broke: nobody can tell whether the commit went through, so nothing
                    # is run again here.
                    return failed
                if not _is_conflict(exc):
                    break
            await asyncio.sleep(pause_s)
        else:
            return failed
        try:
            return await self._backend.commit(changes, _run_each)
        except Exception as exc:  # noqa: BLE001 handed to the callers of write
            return [_Failed(exc)] * len(changes)


def _is_conflict(exc: Exception) -> bool:
    """A deadlock or serialization failure, or a file that another process has locked."""
    cause = getattr(exc, "orig", None)
    state = getattr(cause, "sqlstate", None)
    code = getattr(cause, "sqlite_errorcode", None)
    return state in ("40001", "40P01") or code == sqlite3.SQLITE_BUSY


def is_outcome_unknown(exc: Exception) -> bool:
    """The connection broke: nobody can tell whether the transaction was committed."""
    return isinstance(exc, OSError) or (isinstance(exc, DBAPIError) and exc.connection_invalidated)


def _run_all(connection: Connection, changes: Sequence[Query[Any]]) -> list[Any]:
    return [change(connection) for change in changes]


def _run_each(connection: Connection, changes: Sequence[Query[Any]]) -> list[Any]:
    """Each change in a savepoint of its own, so that one that fails undoes itself alone."""
    outcomes: list[Any] = []
    for change in changes:
        try:
            with connection.begin_nested():
                outcomes.append(change(connection))
        except Exception as exc:
            if is_outcome_unknown(exc):
                raise
            outcomes.append(_Failed(exc))
    return outcomes


def _json(value: Any) -> str:
    return to_json(value).decode()


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

    async def commit(self, changes: Sequence[Query[Any]], run: Run) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._commit, changes, run)

    async def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _read(self, query: Query[T]) -> T:
        with self._read_engine.connect() as connection:
            return query(connection)

    def _commit(self, changes: Sequence[Query[Any]], run: Run) -> list[Any]:
        with self._write_engine.begin() as connection:
            return run(connection, changes)


def _sqlite_engine(url: str, *, begin: str) -> Engine:
    # What rows hold is nobody's business in an error or a log.
    engine = create_engine(
        url, pool_size=READERS, max_overflow=0, hide_parameters=True, json_serializer=_json
    )

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
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=8,
            pool_pre_ping=True,
            hide_parameters=True,
            json_serializer=_json,
            connect_args={"server_settings": {"idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION}},
        )

    async def read(self, query: Query[T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(query)

    async def commit(self, changes: Sequence[Query[Any]], run: Run) -> list[Any]:
        async with self._engine.begin() as connection:
            return await connection.run_sync(run, changes)

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
