"""A coordinator in this process, behind a real server, with agents beside it."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from a2a import Agent, Request
from a2a.settings import AgentSettings as AgentProcessSettings
from coordinator.app import create_app
from coordinator.settings import AgentSettings, Settings, StepSettings, TaskSettings
from tests.support.server import AsgiApp, serving


def settings_for(database_url: str, *, agents: Mapping[str, Any] | None = None, **tasks: Any) -> Settings:
    """Quick retries and frequent looks; nothing from a .env file. Agents are used unproven, so that their
    skills are called by steps only."""
    return Settings(
        _env_file=None,
        database_url=database_url,
        log_level="error",
        tasks=TaskSettings(grace_s=0.1, **tasks),
        steps=StepSettings(backoff_s=0.05),
        agents=AgentSettings.model_validate(
            {"prove": False, "probe_interval_s": 0.5, "probe_timeout_s": 1.0} | dict(agents or {})
        ),
    )


class Coordinator:
    """The REST API as a test uses it."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url = url
        self.http = stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))
        self._stack = stack

    def add_agent(self, make: Callable[[str], Agent]) -> str:
        """Serve the agent that `make` builds for its URL, and register it; its id."""
        return self.add_app(lambda url: make(url).app(AgentProcessSettings(_env_file=None)))

    def add_app(self, make: Callable[[str], AsgiApp]) -> str:
        """The same for any server that has a card."""
        url = self.serve_app(make)
        response = self.http.post("/api/agents", json={"card_url": url})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def serve_app(self, make: Callable[[str], AsgiApp]) -> str:
        """Serve what `make` builds for its URL; the URL."""
        bound = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        self._stack.enter_context(serving(make(url), listening=bound))
        return url

    def run(self, **body: Any) -> dict[str, Any]:
        """Create a task, wait for it to end or to ask, return it whole."""
        created = self.http.post("/api/tasks", json=body, headers={"Prefer": "wait=20"})
        assert created.status_code == 202, created.text
        return self.task(created.json()["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/tasks/{task_id}").json()
        return found


@contextmanager
def running_coordinator(settings: Settings) -> Iterator[Coordinator]:
    with ExitStack() as stack:
        # Agents are stopped before the coordinator: the stack unwinds from its end.
        served = stack.enter_context(serving(create_app(settings)))
        yield Coordinator(served.url, stack)


def echo_agent(url: str) -> Agent:
    agent = Agent(name="Echo Agent", description="Says it again.", version="1.0.0", url=url)

    @agent.skill(
        id="echo",
        description="Echo a sentence back",
        tags=["echo", "repeat"],
        examples=["echo good morning"],
        input_modes=["text/plain", "text/csv"],
    )
    async def echo(request: Request) -> str:
        heard = "".join(f" [{part.filename}]" for part in request.attachments)
        return f"heard: {request.text}{heard}"

    return agent
