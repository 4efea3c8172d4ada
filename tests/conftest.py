"""Fixtures that more than one suite uses: served apps, and databases of both kinds."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from a2a.database import Database
from tests.support.databases import (
    SKIP_REASON,
    copy_sqlite,
    migrated_postgres_template,
    migrated_sqlite_template,
    postgres_database,
    postgres_url,
)
from tests.support.server import AsgiApp, serving

BOTH_DATABASES = ("sqlite", "postgresql")
Serve = Callable[[AsgiApp], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(app)` puts the app behind a real HTTP server until the test ends; its base URL."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(serving(app)).url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_sqlite_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of the server where databases may be made."""
    url = postgres_url()
    if url is None:
        pytest.skip(SKIP_REASON)
    return url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    with migrated_postgres_template(postgres_server) as name:
        yield name


@pytest.fixture(params=BOTH_DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh migrated database: SQLite, and PostgreSQL where TEST_DATABASE_URL names a server."""
    yield from _migrated(request, tmp_path)


@pytest.fixture(scope="module", params=BOTH_DATABASES)
def shared_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The same for all tests of a module, which then must not mind each other's rows."""
    yield from _migrated(request, tmp_path_factory.mktemp("shared"))


def _migrated(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield copy_sqlite(request.getfixturevalue("sqlite_template"), folder)
        return
    server = request.getfixturevalue("postgres_server")
    with postgres_database(server, template=request.getfixturevalue("postgres_template")) as url:
        yield url


@pytest.fixture(params=BOTH_DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    with postgres_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, closed when the test ends."""
    opened = Database(database_url)
    yield opened
    await opened.close()
