"""Networks of real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import copy_sqlite
from tests.support.network import Network
from tests.support.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def network(tmp_path: Path, database_url: str, nursery: Nursery) -> Iterator[Network]:
    """A coordinator on each kind of database."""
    with Network(tmp_path, database_url, nursery) as network:
        network.start_coordinator()
        yield network


@pytest.fixture
def bare_network(tmp_path: Path, sqlite_template: Path, nursery: Nursery) -> Iterator[Network]:
    """No process yet, on SQLite: for what does not depend on the database."""
    with Network(tmp_path, copy_sqlite(sqlite_template, tmp_path), nursery) as network:
        yield network
