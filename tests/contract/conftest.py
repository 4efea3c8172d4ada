"""Agents behind real servers, one for each contract suite: over each binding, on each kind of store."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.contract.receivers import Receiver, receiving
from tests.support.bindings import BINDINGS, Caller, World, served
from tests.support.databases import postgres_database
from tests.support.scripted_agent import Rpc, ScriptedAgent
from tests.support.server import serving

STORES = ("memory", "sqlite", "postgresql")
StoreUrl = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class ServedAgent:
    script: ScriptedAgent
    url: str


@pytest.fixture(scope="module")
def served_agent() -> Iterator[ServedAgent]:
    script = ScriptedAgent()
    with serving(script.app()) as served:
        yield ServedAgent(script, served.url)


@pytest.fixture
def script(served_agent: ServedAgent) -> ScriptedAgent:
    return served_agent.script


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def rpc(served_agent: ServedAgent, http: httpx.AsyncClient) -> Rpc:
    return Rpc(http, served_agent.url + "/")


@pytest.fixture(scope="module", params=STORES)
def store_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str | None]:
    """An empty task store of each kind; PostgreSQL where TEST_DATABASE_URL names a server."""
    if request.param == "postgresql":
        with postgres_database(request.getfixturevalue("postgres_server")) as url:
            yield url
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('store')}/tasks.db"
    else:
        yield None


@pytest.fixture(scope="module")
def world(store_url: str | None) -> Iterator[World]:
    with served(store_url) as world:
        yield world


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(params=BINDINGS)
async def agent(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    """The world's agent as it is called over each binding."""
    async with world.caller(request.param) as caller:
        yield caller
