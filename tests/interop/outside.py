"""Peers as processes of their own, each in an environment that `make interop` made for it under PEERS_DIR."""

import os
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.network import until

SCRIPTS = Path(__file__).parent / "peers"
START_S = 30.0


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


def _ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def _has_card(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/.well-known/agent-card.json", timeout=1) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:
        return False
