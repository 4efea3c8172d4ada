"""Agents on the official SDKs. The first word of a message says what they do: see tests/interop/agent.py."""

from collections.abc import Iterator

import pytest

from tests.interop.outside import peer_agent, peer_command
from tests.support.network import free_port


@pytest.fixture(scope="session")
def sdk_agent() -> Iterator[str]:
    """The base URL of an agent on SDK 1.3 with all three bindings."""
    port, grpc_port = free_port(), free_port()
    with peer_agent(peer_command("sdk-all", "sdk_agent.py", str(port), str(grpc_port)), port) as url:
        yield url


@pytest.fixture(scope="session")
def sdk03_agent() -> Iterator[str]:
    """The base URL of an agent of protocol 0.3 on SDK 0.3.26, with JSON-RPC and REST (under /rest)."""
    port = free_port()
    with peer_agent(peer_command("sdk03", "sdk03_agent.py", str(port)), port) as url:
        yield url
