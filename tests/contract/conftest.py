"""One scripted agent behind a real server for each contract suite."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.support.scripted_agent import Rpc, ScriptedAgent
from tests.support.server import serving


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
