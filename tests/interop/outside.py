"""Peers as processes of their own, each in an environment that `make interop` made for it under PEERS_DIR."""

import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import HttpUrl

from a2a.settings import AgentSettings
from tests.interop.agent import interop_agent
from tests.support.network import free_port, until
from tests.support.server import serving

SCRIPTS = Path(__file__).parent / "peers"
START_S = 30.0
CHECKS_S = 100.0


def peer_command(environment: str, script: str, *arguments: str) -> Sequence[str]:
    """The script in a peer's environment. Skips the test where PEERS_DIR is not set."""
    folder = os.environ.get("PEERS_DIR")
    if folder is None:
        pytest.skip("PEERS_DIR names no folder with the peers' environments; `make interop` does")
    python = Path(folder).absolute() / environment / "bin" / "python"
    return (str(python), str(SCRIPTS / script), *arguments)


def peer_environment() -> dict[str, str]:
    """Nothing of ours: a PYTHONPATH would give the peers our package for theirs."""
    return {"PATH": os.environ["PATH"]}


@contextmanager
def peer_agent(command: Sequence[str], port: int) -> Iterator[str]:
    """The agent's base URL once its card can be read."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, env=peer_environment()) as process:
        try:
            until(lambda: _ended(process) or _has_card(url), within_s=START_S, what=f"a card at {url}")
            assert not _ended(process), f"{command[1]} did not start"
            yield url
        finally:
            process.kill()


@contextmanager
def our_agent(*, serves_v03: bool = False) -> Iterator[str]:
    """The base URL of our agent, on every binding that it has."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        # The grace is for receivers of notifications that nobody runs.
        settings = AgentSettings(agent_url=HttpUrl(url), agent_grpc_port=free_port(), agent_grace_s=0.5)
        with serving(interop_agent(serves_v03=serves_v03).app(settings), listening=listening) as served:
            yield served.url


def checked_by(command: Sequence[str]) -> dict[str, str]:
    """What a peer's client says of each of its checks."""
    ended = subprocess.run(
        command, env=peer_environment(), capture_output=True, check=False, timeout=CHECKS_S
    )
    assert ended.returncode == 0, ended.stderr.decode()
    report: dict[str, str] = json.loads(ended.stdout)
    return report


def _ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def _has_card(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/.well-known/agent-card.json", timeout=1) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:
        return False
