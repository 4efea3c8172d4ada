"""Idle memory and start-up time of each process, ours and the peers': the resident memory two seconds after
the first answer, and the time from exec to that answer, as the median of several starts."""

import statistics
import time
from pathlib import Path

from benchmarks.report import Outcome, Row
from benchmarks.scenarios import FASTA2A, SDK, Plan
from benchmarks.servers import App, serving

SETTLE_S = 2.0
EXAMPLE = "example agent"
BARE = "bare FastAPI"
GOAL_MIB = {EXAMPLE: 60.0, "coordinator": 110.0}


def apps(folder: Path) -> list[App]:
    database = {"DATABASE_URL": f"sqlite:///{folder}/coordinator.db"}
    return [
        App(EXAMPLE, "examples.word_count_agent:app", probe="/health"),
        App("research agent", "agent_servers.research:app", probe="/health"),
        App("API agent", "agent_servers.api:app", probe="/health"),
        App("coordinator", "coordinator.app:app", probe="/health", environment=database),
        App(BARE, "benchmarks.apps.bare:fastapi_app", probe="/health"),
        App(SDK, "sdk:echo_app", peer="sdk"),
        App(FASTA2A, "fasta2a_agent:echo_app", peer="fasta2a"),
    ]


def footprint(plan: Plan) -> Outcome:
    runs: dict[str, list[dict[str, float | str]]] = {}
    memory: dict[str, float] = {}
    ready: dict[str, float] = {}
    for app in apps(plan.folder):
        measure(app, plan.folder)  # byte code and file cache
        starts = [measure(app, plan.folder) for _ in range(plan.rounds)]
        memory[app.name] = statistics.median(start[0] for start in starts)
        ready[app.name] = statistics.median(start[1] for start in starts)
        runs[app.name] = [{"idle_mib": round(mib, 1), "ready_s": round(s, 3)} for mib, s in starts]
    rows = [
        Row(
            f"{what} of the {EXAMPLE}",
            unit,
            values[EXAMPLE],
            peer,
            values[peer],
            is_cost=True,
            goal_value=goal if peer == BARE else None,  # it is for ours alone: said once
        )
        for what, unit, values, goal in (
            ("idle memory", "MiB", memory, GOAL_MIB[EXAMPLE]),
            ("start to first answer", "s", ready, None),
        )
        for peer in (BARE, SDK, FASTA2A)
    ]
    rows += [
        Row(f"{what} of the {name}", unit, values[name], BARE, values[BARE], is_cost=True, goal_value=goal)
        for name in ("research agent", "API agent", "coordinator")
        for what, unit, values, goal in (
            ("idle memory", "MiB", memory, GOAL_MIB.get(name)),
            ("start to first answer", "s", ready, None),
        )
    ]
    return Outcome(rows, runs)


def measure(app: App, folder: Path) -> tuple[float, float]:
    """One start: MiB resident and seconds to the first answer."""
    with serving(app, folder) as server:
        time.sleep(SETTLE_S)
        return resident_mib(server.pid), server.ready_s


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kib) / 1024
