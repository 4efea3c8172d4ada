"""An agent on the official SDK registers itself with the snippet of docs/extensions/registration.md."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.outside import peer_agent, peer_command
from tests.support.databases import copy_sqlite
from tests.support.network import Network, free_port, step, until
from tests.support.nursery import ROOT, Nursery

PAGE = ROOT / "docs" / "extensions" / "registration.md"
TOKEN = "a-long-random-word"  # noqa: S105 of a test


@pytest.fixture
def network(tmp_path: Path, sqlite_template: Path) -> Iterator[Network]:
    nursery = Nursery()
    try:
        with Network(tmp_path, copy_sqlite(sqlite_template, tmp_path), nursery) as network:
            yield network
    finally:
        nursery.close()


def write_snippet(folder: Path) -> None:
    snippet = re.search(r"^```python\n# join\.py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert snippet is not None
    (folder / "join.py").write_text(snippet[1])


def test_an_agent_on_the_sdk_joins_with_the_pages_snippet_is_proven_and_works(
    network: Network, tmp_path: Path
) -> None:
    port, grpc_port = free_port(), free_port()
    arguments = (str(port), str(grpc_port), str(tmp_path), network.url, TOKEN)
    command = peer_command("sdk-all", "sdk_joining_agent.py", *arguments)
    write_snippet(tmp_path)
    network.start_coordinator(AGENTS_ADMISSION="token", AGENTS_JOIN_TOKENS=TOKEN, AGENTS_PROVE="true")
    with peer_agent(command, port) as url:
        until(lambda: agents(network) == [("SDK 1.3", "proven", "up")], within_s=30, what="it is proven")
        plan = {"steps": [step(1, "obey") | {"instruction": "echo hello"}]}
        task = network.ended(network.create(description="echo hello", plan=plan))
        assert task["result"]["text"] == "hello"
        until(lambda: has_beaten(network), within_s=10, what=f"a heartbeat of {url}")


def agents(network: Network) -> list[tuple[str, str, str]]:
    listed = network.http.get("/api/agents").json()["agents"]
    return [(agent["name"], agent["proof"], agent["health"]["state"]) for agent in listed]


def has_beaten(network: Network) -> bool:
    [agent] = network.http.get("/api/agents").json()["agents"]
    return bool(agent["load"] == {"running": 0, "capacity": 8})
