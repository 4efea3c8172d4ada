"""Fresh databases for tests: copies of one that was migrated once, on SQLite and on PostgreSQL."""

import asyncio
import os
import secrets
import shutil
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import make_url

from models.migrate import migrate

T = TypeVar("T")
SKIP_REASON = "TEST_DATABASE_URL is not set: nothing says where PostgreSQL databases may be made"


def postgres_url() -> str | None:
    return os.environ.get("TEST_DATABASE_URL") or None


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in a thread, so that the test's own event loop is left alone."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def _execute(server_url: str, statement: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def postgres_database(server_url: str, *, template: str = "template1") -> Iterator[str]:
    """A new database on the server, a copy of `template`; its URL. Dropped afterwards in any case."""
    name = f"parley_test_{secrets.token_hex(6)}"
    create = f'CREATE DATABASE {name} TEMPLATE "{template}"'
    drop = f"DROP DATABASE {name} WITH (FORCE)"
    run_apart(_execute(server_url, create))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        run_apart(_execute(server_url, drop))


@contextmanager
def migrated_postgres_template(server_url: str) -> Iterator[str]:
    """The name of a database that has the newest schema and nobody connected to it."""
    with postgres_database(server_url) as url:
        run_apart(migrate(url))
        yield make_url(url).database or ""


def migrated_sqlite_template(folder: Path) -> Path:
    """A database file that has the newest schema."""
    path = folder / "template.db"
    run_apart(migrate(f"sqlite:///{path}"))
    return path


def copy_sqlite(template: Path, folder: Path) -> str:
    """The URL of a fresh copy. The template was closed, so its file is all there is."""
    path = folder / "parley.db"
    shutil.copy(template, path)
    return f"sqlite:///{path}"
