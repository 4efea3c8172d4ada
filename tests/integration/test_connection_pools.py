"""Connections to agents: what is slow in one place takes none from another."""

import asyncio
import socket
import time
from functools import partial
from typing import Any

import httpx

from a2a import Agent, Request
from coordinator.app import step_connections
from coordinator.settings import TaskSettings
from tests.support.coordinator import Coordinator, echo_agent, running_coordinator, settings_for
from tests.support.waiting import Gate, eventually_now

MORE_THAN_A_POOL = 215


def health(coordinator: Coordinator, agent_id: str) -> dict[str, Any]:
    found: dict[str, Any] = coordinator.http.get(f"/api/agents/{agent_id}/health").json()
    return found


def was_probed_after(coordinator: Coordinator, agent_id: str, before: str) -> bool:
    return bool(health(coordinator, agent_id)["health"]["last_checked_at"] != before)


def assert_probed_well_from_now(coordinator: Coordinator, agent_id: str, *, times: int) -> None:
    """A probe that fails leaves a row in the history, a good one only its time."""
    known = len(health(coordinator, agent_id)["history"])
    for _ in range(times):
        before = health(coordinator, agent_id)["health"]["last_checked_at"]
        eventually_now(partial(was_probed_after, coordinator, agent_id, before), within_s=60)
    assert health(coordinator, agent_id)["health"]["state"] == "up"
    assert len(health(coordinator, agent_id)["history"]) == known


def test_a_step_that_may_run_has_a_connection_within_what_a_process_can_hold() -> None:
    assert step_connections(TaskSettings(max_running=256, max_parallel_steps=8)) >= 256 * 8
    assert step_connections(TaskSettings(max_running=10_000, max_parallel_steps=100)) == 4_096


def test_hundreds_of_slow_steps_keep_no_probe_from_an_idle_agent(database_url: str) -> None:
    gate = Gate()

    def slow_agent(url: str) -> Agent:
        agent = Agent(name="Slow", description="Holds on.", version="1.0.0", url=url)

        @agent.skill(id="hold", description="Hold on", tags=["hold"])
        async def hold(_request: Request) -> str:
            await gate.wait()
            return "held"

        return agent

    plan = {"steps": [{"number": 1, "instruction": "hold", "skill_id": "hold"}]}
    with running_coordinator(settings_for(database_url)) as coordinator:
        coordinator.add_agent(slow_agent)
        idle_id = coordinator.add_agent(echo_agent)
        for _ in range(MORE_THAN_A_POOL):
            coordinator.http.post("/api/tasks", json={"description": "hold", "plan": plan})
        eventually_now(
            lambda: coordinator.http.get("/ready").json()["running_tasks"] >= MORE_THAN_A_POOL, within_s=180
        )
        assert_probed_well_from_now(coordinator, idle_id, times=4)
        gate.open()


async def _register_nobody(url: str, silent: str) -> list[int]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits, trust_env=False) as http:
        calls = [http.post("/api/agents", json={"card_url": silent}) for _ in range(MORE_THAN_A_POOL)]
        return [answer.status_code for answer in await asyncio.gather(*calls)]


def test_hundreds_of_registrations_that_hang_keep_no_probe_from_an_agent(database_url: str) -> None:
    with (
        running_coordinator(settings_for(database_url)) as coordinator,
        socket.create_server(("127.0.0.1", 0), backlog=2 * MORE_THAN_A_POOL) as silent,
    ):
        idle_id = coordinator.add_agent(echo_agent)
        started = time.monotonic()
        answers = asyncio.run(
            _register_nobody(coordinator.url, f"http://127.0.0.1:{silent.getsockname()[1]}")
        )
        assert set(answers) == {422}
        assert time.monotonic() - started >= 5, "they hung for the time allowed, so probes fell due meanwhile"
        assert [check["ok"] for check in health(coordinator, idle_id)["history"]] == [True]
        assert_probed_well_from_now(coordinator, idle_id, times=1)
