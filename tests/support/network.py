"""A network of real processes on free loopback ports, for tests that kill some of them."""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.support import executions
from tests.support.executions import Execution
from tests.support.nursery import ROOT, Nursery, Server

SLOW_AGENT = "tests.support.slow_agent:app"
START_S = 30.0
# What is waited for in life is not worth waiting for in a test.
QUICK = {
    "TASKS_LEASE_S": "2",
    "AGENTS_PROBE_INTERVAL_S": "1",
    "AGENTS_HEARTBEAT_INTERVAL_S": "1",
    "STEPS_BACKOFF_S": "0.1",
    # Skills are called by steps only, so that their executions can be counted.
    "AGENTS_PROVE": "false",
}
TERMINAL = ("completed", "failed", "canceled")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until(condition: Callable[[], object], *, within_s: float, what: str) -> None:
    """Poll until the condition holds; fails with `what` and the time that was allowed."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        if condition():
            return
        time.sleep(0.05)  # polling real processes from outside
    raise AssertionError(f"{what}: not within {within_s:g} s")


def plain_client(url: str, *, timeout_s: float = 60) -> httpx.Client:
    """There is no TLS here, and a client that loads no certificates is made in no time."""
    return httpx.Client(base_url=url, timeout=timeout_s, trust_env=False, verify=False)  # noqa: S501


def step(number: int, skill_id: str, *depends_on: int, **more: Any) -> dict[str, Any]:
    """Of a plan that comes with a task."""
    instruction = f"{skill_id} {number}"
    return {
        "number": number,
        "instruction": instruction,
        "skill_id": skill_id,
        "depends_on": list(depends_on),
        **more,
    }


class Network:
    """Processes by name. `settings` go into every process's environment. What is asked of the network without
    a name is asked of the coordinator called "coordinator"; `clients` are for the API of each by its name."""

    def __init__(self, folder: Path, database_url: str, nursery: Nursery, **settings: str) -> None:
        self._folder = folder
        self._nursery = nursery
        self._servers: dict[str, Server] = {}
        self._ports: dict[str, int] = {}
        self._stack = ExitStack()
        self._executions = folder / "executions.log"
        self._settings = {
            "DATABASE_URL": database_url,
            "SLOW_AGENT_LOG": str(self._executions),
            **QUICK,
            **settings,
        }
        self.url = self.url_of("coordinator")
        self.clients: dict[str, httpx.Client] = {}
        self._anybody = self._stack.enter_context(plain_client("", timeout_s=2))
        self.http = self._client("coordinator")

    def port_of(self, name: str) -> int:
        return self._ports.setdefault(name, free_port())

    def url_of(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port_of(name)}"

    def server(self, name: str) -> Server:
        return self._servers[name]

    def begin_coordinator(
        self, name: str = "coordinator", app: str = "coordinator.app:app", **settings: str
    ) -> Server:
        """Does not wait until it is ready."""
        self._client(name)
        return self._start(name, app, COORDINATOR_URL=self.url_of(name), **settings)

    def start_coordinator(
        self, name: str = "coordinator", app: str = "coordinator.app:app", **settings: str
    ) -> None:
        """Returns once it is ready, or dead again."""
        self.begin_coordinator(name, app, **settings)
        self.until_ready(name)

    def until_ready(self, name: str) -> None:
        """Or dead."""
        ready, server = f"{self.url_of(name)}/ready", self._servers[name]
        until(lambda: self._answers(ready) or not server.is_alive, within_s=START_S, what=f"{name} is ready")

    def begin_agent(self, name: str, app: str, **settings: str) -> str:
        """Does not wait until it is registered; its URL."""
        environment = {"AGENT_URL": self.url_of(name), "COORDINATOR_URL": self.url, **settings}
        self._start(name, app, **environment)
        return environment["AGENT_URL"]

    def start_agent(self, name: str, app: str, **settings: str) -> None:
        """Returns once the coordinator knows the agent and it is up."""
        self.until_up(self.begin_agent(name, app, **settings))

    def start_stranger(self, name: str, app: str, **settings: str) -> str:
        """An agent that does not register itself; its URL, once it answers."""
        url = self.url_of(name)
        self._start(name, app, **{"AGENT_URL": url, **settings})
        until(lambda: self._answers(f"{url}/health"), within_s=START_S, what=f"{name} answers")
        return url

    def register(self, url: str) -> str:
        """Bring in the agent at this URL; its id."""
        response = self.http.post("/api/agents", json={"card_url": url})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def until_up(self, url: str) -> None:
        until(lambda: self.health_of(url) == "up", within_s=START_S, what=f"{url} registered")

    def health_of(self, url: str) -> str | None:
        agents = self.http.get("/api/agents").json()["agents"]
        states = {agent["url"]: agent["health"]["state"] for agent in agents}
        return states.get(url)

    def kill(self, name: str) -> None:
        """kill -9: no good-bye, no clean-up."""
        self._servers.pop(name).kill()

    def terminate(self, name: str) -> None:
        server = self._servers.pop(name)
        server.terminate()
        server.wait(within_s=30)

    def create(self, **body: Any) -> str:
        response = self.http.post("/api/tasks", json=body)
        assert response.status_code == 202, response.text
        return str(response.json()["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/tasks/{task_id}").json()
        return found

    def ended(self, task_id: str, *, within_s: float = 30.0) -> dict[str, Any]:
        """The task once it is in a terminal state."""
        until(
            lambda: self.task(task_id)["status"] in TERMINAL,
            within_s=within_s,
            what=f"{task_id} ended ({self.http.get(f'/api/tasks/{task_id}/why').json()})",
        )
        return self.task(task_id)

    def events(self, task_id: str, *, of: str = "coordinator") -> list[str]:
        """The kinds of the task's events, which has to have ended; asserts that their numbers have no gap."""
        text = self.clients[of].get(f"/api/tasks/{task_id}/events").text
        numbers = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
        assert numbers == list(range(1, len(numbers) + 1))
        return [line[7:] for line in text.splitlines() if line.startswith("event: ")]

    def executions(self, kind: str = "began") -> list[Execution]:
        """What the slow agents of this network did, by their own account."""
        return [execution for execution in executions.read(self._executions) if execution.kind == kind]

    def log_of(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_exc: object) -> None:
        """The processes die."""
        self._stack.close()
        for server in self._servers.values():
            server.kill()

    def _start(self, name: str, app: str, **settings: str) -> Server:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self._settings, **settings}
        server = self._servers[name] = self._nursery.start(
            app, port=self.port_of(name), environment=environment, log=self._folder / f"{name}.log"
        )
        return server

    def _client(self, name: str) -> httpx.Client:
        if name not in self.clients:
            self.clients[name] = self._stack.enter_context(plain_client(self.url_of(name)))
        return self.clients[name]

    def _answers(self, url: str) -> bool:
        try:
            return self._anybody.get(url).status_code == 200
        except httpx.TransportError:
            return False


def twice(done: list[Execution]) -> list[str]:
    """The messages that were worked on more than once."""
    uses = Counter(execution.message_id for execution in done)
    return [message_id for message_id, count in uses.items() if count > 1]
