"""A network of real processes on free loopback ports, for tests that kill some of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_S = 30.0


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


class Network:
    """Processes by name. `settings` go into every process's environment."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        self._settings = {"DATABASE_URL": database_url, **settings}
        self.url = f"http://127.0.0.1:{self._port('coordinator')}"
        self.http = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def _port(self, name: str) -> int:
        return self._ports.setdefault(name, free_port())

    def url_of(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port(name)}"

    def start_coordinator(self) -> None:
        self._start("coordinator", "coordinator.app:app", COORDINATOR_URL=self.url)
        until(lambda: self._answers(f"{self.url}/ready"), within_s=START_S, what="coordinator ready")

    def start_agent(self, name: str, app: str, **settings: str) -> None:
        """Returns once the coordinator knows the agent and it is up."""
        url = self.url_of(name)
        self._start(name, app, AGENT_URL=url, COORDINATOR_URL=self.url, **settings)
        until(lambda: self.health_of(url) == "up", within_s=START_S, what=f"{name} registered")

    def health_of(self, url: str) -> str | None:
        agents = self.http.get("/api/agents").json()["agents"]
        states = {agent["url"]: agent["health"]["state"] for agent in agents}
        return states.get(url)

    def kill(self, name: str) -> None:
        """kill -9: no good-bye, no clean-up."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def terminate(self, name: str) -> int:
        process = self._processes.pop(name)
        process.terminate()
        return process.wait(timeout=30)

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
            lambda: self.task(task_id)["status"] in ("completed", "failed", "canceled"),
            within_s=within_s,
            what=f"{task_id} ended ({self.http.get(f'/api/tasks/{task_id}/why').json()})",
        )
        return self.task(task_id)

    def events(self, task_id: str) -> list[str]:
        """The kinds of the task's events, which has to have ended; asserts that their numbers have no gap."""
        text = self.http.get(f"/api/tasks/{task_id}/events").text
        numbers = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
        assert numbers == list(range(1, len(numbers) + 1))
        return [line[7:] for line in text.splitlines() if line.startswith("event: ")]

    def log_of(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def close(self) -> None:
        self.http.close()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, app: str, **settings: str) -> None:
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(self._port(name))]
        command += ["--log-level", "warning", "--timeout-graceful-shutdown", "3"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self._settings, **settings}
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def _answers(self, url: str) -> bool:
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
