"""A coordinator that is killed while a thousand steps run: how soon it follows all of them again, and whether
anything was lost or done twice."""

import contextlib
import os
import resource
import signal
import sqlite3
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.coordinator import agent_app, coordinator_app, post, register, task_of
from benchmarks.report import Outcome, Row
from benchmarks.scenarios import CALLERS, OURS, Plan
from benchmarks.servers import BenchmarkFailed, Server, serving

TASKS = 1_000
GOAL_S = 2.0
# For each of: all run, all are followed again, all have ended.
WITHIN_S = 120.0
LOOK_EVERY_S = 0.02
COORDINATOR_ROOM = {"TASKS_MAX_RUNNING": "1500", "STEPS_TIMEOUT_S": "600"}
AGENT_ROOM = {"AGENT_MAX_RUNNING": "2000", "AGENT_MAX_STREAMS": "3000"}
RUNNING = "SELECT count(*) FROM task_steps WHERE remote_task_id IS NOT NULL"
FOLLOWED = "SELECT count(DISTINCT task_id) FROM task_events WHERE kind = 'step.reattached'"
COMPLETED = "SELECT count(*) FROM tasks WHERE status = 'completed'"
ENDED = "SELECT count(*) FROM tasks WHERE completed_at IS NOT NULL"
DOUBTFUL = "SELECT count(*) FROM task_steps WHERE may_have_run_twice"


def recovery(plan: Plan) -> Outcome:
    """Each round has a database and an agent of its own; seconds are as the work takes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket for each step at both ends
    runs = [killed_and_back(plan.folder / f"round-{number}") for number in range(plan.rounds)]
    what = f"kill -9 with {TASKS:,} steps running, all followed again"
    rows = [
        Row(f"{what}, from ready", "s", median(runs, "from_ready_s"), goal_value=GOAL_S, is_cost=True),
        Row(f"{what}, from the new process's start", "s", median(runs, "from_start_s"), is_cost=True),
    ]
    return Outcome(rows, {OURS: runs})


def median(runs: list[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def killed_and_back(folder: Path) -> dict[str, float]:
    folder.mkdir()
    database, log = folder / "coordinator.db", folder / "executions.log"
    held = agent_app("held", HELD_AGENT_LOG=str(log), **AGENT_ROOM)
    app = coordinator_app(database, **COORDINATOR_ROOM)
    with serving(held, folder) as agent:
        with serving(app, folder) as first:
            register(first, agent)
            accepted_s = accept(first)
            until_all(database, RUNNING, "steps at work")
            os.kill(first.pid, signal.SIGKILL)
        with serving(app, folder) as second:
            ready_at = time.perf_counter()
            until_all(database, FOLLOWED, "steps followed again")
            from_ready_s = time.perf_counter() - ready_at
            post(agent, "/", RELEASE)
            until_all(database, ENDED, "tasks ended")
            ended_s = time.perf_counter() - ready_at
            check(database, log)
    return {
        "accepted_s": round(accepted_s, 3),
        "ready_s": round(second.ready_s, 3),
        "from_ready_s": round(from_ready_s, 3),
        "from_start_s": round(second.ready_s + from_ready_s, 3),
        "ended_s": round(ended_s, 3),
    }


def accept(coordinator: Server) -> float:
    """How long the tasks took to be accepted."""
    started = time.perf_counter()

    def create(number: int) -> dict[str, Any]:
        return post(coordinator, "/api/tasks", task_of(f"hold {number}", "hold", steps=1))

    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(create, range(TASKS)))
    return time.perf_counter() - started


RELEASE: Mapping[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "SendMessage",
    "params": {
        "message": {
            "messageId": "release",
            "role": "ROLE_USER",
            "parts": [{"text": "go on"}],
            "metadata": {"skillId": "release"},
        }
    },
}


def until_all(database: Path, query: str, what: str) -> None:
    ends_at = time.perf_counter() + WITHIN_S
    while (number := count(database, query)) < TASKS:
        if time.perf_counter() > ends_at:
            raise BenchmarkFailed(f"{number} of {TASKS} {what} within {WITHIN_S:g} s")
        time.sleep(LOOK_EVERY_S)


def count(database: Path, query: str) -> int:
    """Read from beside the coordinator, which is not asked: that would be work for it."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute(query).fetchone()[0])


def check(database: Path, log: Path) -> None:
    """Nothing lost, nothing sent twice, no doubt about either."""
    executions = log.read_text().split()
    found = {
        "lost": TASKS - count(database, COMPLETED),
        "executed twice": len(executions) - len(set(executions)),
        "executed too often": len(executions) - TASKS,
        "that may have run twice": count(database, DOUBTFUL),
    }
    if any(found.values()):
        raise BenchmarkFailed(", ".join(f"{number} {what}" for what, number in found.items() if number))
