"""The coordinator's throughput: durable tasks of three calls, beside the same calls without it."""

import json
import statistics
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.load import ID_MARK, Figures, Load
from benchmarks.report import Outcome, Row
from benchmarks.scenarios import (
    CALLERS,
    OURS,
    Measured,
    Plan,
    compared,
    disturbance,
    disturbed,
    in_turns,
    plain,
    requests,
    run_client,
)
from benchmarks.servers import LOAD_CORE, SERVER_CORE, App, Server, free_port, on_core, serving

STEPS = 3
GOAL_TASKS_PER_S = 300.0
GOAL_STEP_MS = 1.0
LANGGRAPH = "LangGraph 1.2.24"
# By name: the module in clients/ and its environment.
PEERS = {
    "raw httpx, not durable": ("raw_httpx", "httpx"),
    f"{LANGGRAPH} plan-execute, SQLite": ("langgraph_plan", "langgraph"),
    f"{LANGGRAPH} supervisor, SQLite": ("langgraph_supervised", "langgraph"),
}
# Of its core: who used less waited for the agent, or for other processes.
BUSY = 0.9


def coordinator_app(database: Path, **environment: str) -> App:
    # Agents are called by the tasks that are measured, and by nothing else.
    quiet = {"LOG_LEVEL": "error", "AGENTS_PROVE": "false"}
    settings = {"DATABASE_URL": f"sqlite:///{database}", **quiet, **environment}
    return App(OURS, "coordinator.app:app", environment=settings, probe="/ready")


def agent_app(name: str, **environment: str) -> App:
    """One of apps/ours.py, on the load's core; its card has to say where the coordinator reaches it."""
    port = free_port()
    settings = {"AGENT_URL": f"http://127.0.0.1:{port}", "LOG_LEVEL": "error", **environment}
    target = f"benchmarks.apps.ours:{name}_app"
    return App(f"{name} agent", target, environment=settings, port=port, core=LOAD_CORE)


def post(server: Server, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json", "A2A-Version": "1.0"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 our own loopback URL
        answer: dict[str, Any] = json.load(response)
    return answer


def register(coordinator: Server, agent: Server) -> None:
    post(coordinator, "/api/agents", {"card_url": f"http://127.0.0.1:{agent.port}"})


def task_of(description: str, skill_id: str, steps: int) -> dict[str, Any]:
    """With its plan: each step needs the one before."""
    plan = [
        {
            "number": number,
            "instruction": f"say {number}",
            "skill_id": skill_id,
            "depends_on": [number - 1] if number > 1 else [],
        }
        for number in range(1, steps + 1)
    ]
    return {"description": description, "plan": {"steps": plan}}


def tasks(plan: Plan) -> Outcome:
    """A task of three calls in sequence, from the request to its end in the same answer. The peers make the
    same calls to the same agent on the core that the coordinator has in its turn."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in PEERS}
    found: dict[str, list[Figures]] = {OURS: []}
    with ExitStack() as stack:
        agent = stack.enter_context(serving(agent_app("echo"), plan.folder))
        ours = stack.enter_context(serving(coordinator_app(plan.folder / "coordinator.db"), plan.folder))
        register(ours, agent)
        loads = {OURS: load_of(ours)}
        for _ in range(plan.rounds):
            found[OURS] += in_turns(replace(plan, rounds=1), [ours], loads)[OURS]
            for name, (module, peer) in PEERS.items():
                with on_core(SERVER_CORE):
                    runs[name].append(run_client(agent, module, peer, plan))
    measured = requests(found) | {name: [per_task(run) for run in by] for name, by in runs.items()}
    cores = {OURS: [run.server_cores for run in found[OURS]]}
    cores |= {name: [run["cpu_s"] / run["seconds"] for run in by] for name, by in runs.items()}
    remarks = [*held_up(cores), *disturbed("tasks", disturbance(found))]
    return Outcome(task_rows(measured), {**plain(found), **runs}, remarks)


def load_of(coordinator: Server) -> Load:
    return Load(
        coordinator.port,
        json.dumps(task_of(f"echo {ID_MARK}", "echo", STEPS)),
        b'"status":"completed"',
        CALLERS,
        path="/api/tasks",
        headers="Prefer: wait=30\r\n",
    )


def per_task(run: Mapping[str, float]) -> Measured:
    return run["calls"] / run["seconds"], run["cpu_s"] / run["calls"] * 1_000_000


def task_rows(measured: Mapping[str, Sequence[Measured]]) -> list[Row]:
    """Tasks per second, and what a step costs in CPU. The goals are for ours alone: said once each."""
    rates = compared(f"task of {STEPS} A2A calls, {CALLERS} at once", "tasks/s", measured, {})
    costs = [
        Row(
            "CPU of a step, everything included",
            "ms",
            step_ms(row.our_cpu_us),
            row.peer,
            step_ms(row.their_cpu_us),
            is_cost=True,
        )
        for row in rates
    ]
    rates[0] = replace(rates[0], goal_value=GOAL_TASKS_PER_S)
    costs[0] = replace(costs[0], goal_value=GOAL_STEP_MS)
    return rates + costs


def step_ms(task_us: float | None) -> float:
    return round((task_us or 0.0) / STEPS / 1_000, 3)


def held_up(cores: Mapping[str, Sequence[float]]) -> list[str]:
    medians = {name: statistics.median(runs) for name, runs in cores.items()}
    idle = ", ".join(f"{name} {busy:.0%}" for name, busy in medians.items() if busy < BUSY)
    if not idle:
        return []
    return [f"tasks: held up by the agent or by other processes ({idle} of its core); trust the CPU figures."]
