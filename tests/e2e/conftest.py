"""Networks of real processes."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import copy_sqlite
from tests.support.foreign_agent import ForeignAgent
from tests.support.network import Network
from tests.support.nursery import Nursery
from tests.support.server import serving


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


@pytest.fixture
def serve_foreign() -> Iterator[Callable[..., ForeignAgent]]:
    """Serves an agent that knows these methods, to be registered by hand."""
    with ExitStack() as stack:

        def serve(**how: Any) -> ForeignAgent:
            bound = socket.create_server(("127.0.0.1", 0))
            agent = ForeignAgent(f"http://127.0.0.1:{bound.getsockname()[1]}", **how)
            stack.enter_context(serving(agent.app(), listening=bound))
            return agent

        yield serve
