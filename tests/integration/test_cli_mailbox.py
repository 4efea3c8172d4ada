"""`parley mailbox`: an agent of another make takes part that only this machine can reach."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import HttpUrl

from a2a.settings import AgentSettings
from coordinator.app import create_app
from tests.support.coordinator import Coordinator, echo_agent, settings_for
from tests.support.network import free_port
from tests.support.nursery import ROOT
from tests.support.server import serving
from tests.support.task_api import begin, ended, step
from tests.support.waiting import eventually_now


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Coordinator]:
    bound = socket.create_server(("127.0.0.1", 0))
    url = HttpUrl(f"http://127.0.0.1:{bound.getsockname()[1]}")
    settings = settings_for(f"sqlite:///{tmp_path}/parley.db").model_copy(update={"coordinator_url": url})
    with ExitStack() as stack:
        served = stack.enter_context(serving(create_app(settings), listening=bound))
        yield Coordinator(served.url, stack)


def parley(*arguments: str) -> "subprocess.Popen[str]":
    code = "from coordinator.cli.main import app; app()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "mailbox", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def states(coordinator: Coordinator) -> list[str]:
    return [agent["health"]["state"] for agent in coordinator.http.get("/api/agents").json()["agents"]]


def test_an_agent_on_this_machine_takes_part_until_the_bridge_is_stopped(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    file = tmp_path / "mailbox.json"
    bound = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    app = echo_agent(url).app(AgentSettings(_env_file=None))
    with serving(app, listening=bound):
        bridge = parley(url, "--coordinator", coordinator.url, "--state", str(file))
        eventually_now(lambda: states(coordinator) == ["up"] or bridge.poll() is not None, within_s=20)
        done = ended(coordinator, begin(coordinator, step(1, "echo"))["id"])
        bridge.send_signal(signal.SIGTERM)
        output, _ = bridge.communicate(timeout=20)

    assert done["result"]["text"] == "heard: do it"
    assert bridge.returncode == 0
    assert "Bridging Echo Agent" in output
    assert states(coordinator) == ["draining"]
    assert file.exists()


def test_where_there_is_no_agent_it_says_so(tmp_path: Path) -> None:
    bridge = parley(f"http://127.0.0.1:{free_port()}", "--coordinator", "http://127.0.0.1:1")
    output, _ = bridge.communicate(timeout=20)
    assert bridge.returncode == 1
    assert "no agent that can be bridged" in output
    assert "Traceback" not in output
