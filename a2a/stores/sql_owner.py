"""One process at a time owns a SQL task store: two would run the same tasks."""

import asyncio
from collections.abc import Callable
from typing import IO, Protocol

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from a2a.database import sole_owner_lock
from a2a.errors import A2AError

# One lock for each schema that holds the tables.
_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtext('a2a_tasks'), hashtext(current_schema()))")


class TaskStoreInUse(A2AError):
    """Another process has the store open."""

    is_retryable = True

    def __init__(self) -> None:
        super().__init__(
            "Another process uses this task store: stop that one first, or name a database of its own."
        )


class Ownership(Protocol):
    """However the process dies, its ownership ends with it."""

    @property
    def is_lost(self) -> bool:
        """It was taken and is no longer ours."""
        ...

    async def take(self) -> None:
        """Also again, where it was lost. Raises TaskStoreInUse."""
        ...

    async def release(self) -> None: ...


def ownership(url: str) -> Ownership:
    parsed = make_url(url)
    return _FileLock(url) if parsed.get_backend_name() == "sqlite" else _AdvisoryLock(parsed)


class _FileLock:
    """On a file beside the SQLite database; nobody can take it away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock: IO[bytes] | None = None

    @property
    def is_lost(self) -> bool:
        return False

    async def take(self) -> None:
        self._lock = sole_owner_lock(self._url)
        if self._lock is None:
            raise TaskStoreInUse

    async def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class _AdvisoryLock:
    """PostgreSQL's, held by a connection of its own and lost with it: the server may restart."""

    def __init__(self, url: URL) -> None:
        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        self._connection: AsyncConnection | None = None
        self._is_closed: Callable[[], bool] | None = None
        self._taking = asyncio.Lock()

    @property
    def is_lost(self) -> bool:
        return self._is_closed is not None and self._is_closed()

    async def take(self) -> None:
        async with self._taking:
            if self._is_closed is not None and not self._is_closed():
                return
            await self._disconnect()
            self._connection = connection = await self._engine.connect()
            if not (await connection.execute(_TRY_LOCK)).scalar():
                raise TaskStoreInUse
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            self._is_closed = driver.is_closed

    async def release(self) -> None:
        self._is_closed = None
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.invalidate()
            await connection.close()
