"""Health sweeps: how long it takes to look at a thousand agents on one core, and what fifty slow ones cost
the others. The peer fetches the cards one after the other, and keeps nothing of what it sees."""

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from sqlalchemy import Connection, func, insert, select

from a2a.addresses import AddressPolicy
from a2a.client import FetchedCard
from a2a.database import Database
from a2a.guard import guarded_client
from benchmarks.report import Outcome, Row
from benchmarks.scenarios import OURS, Plan
from benchmarks.servers import CARD_PATH, App, BenchmarkFailed, serving
from coordinator.clock import utc_now
from coordinator.health.probes import Probed, Prober
from models.ids import new_id
from models.migrate import migrate
from models.states import HealthState
from models.tables import Agent

AGENTS = 1_000
SLOW = 50
GOAL_S = 10.0
TIMEOUT_S = 5.0
LOOP = "a loop with httpx"


def sweep(plan: Plan) -> Outcome:
    """Each round begins with agents that were never looked at; CPU is of this process, on one core."""
    runs: dict[str, list[dict[str, float | str]]] = {OURS: [], LOOP: []}
    for number in range(plan.rounds):
        folder = plan.folder / f"round-{number}"
        folder.mkdir()
        with serving(cards(0), folder) as server:
            url = f"http://127.0.0.1:{server.port}"
            runs[OURS].append({"slow": 0, **asyncio.run(swept(folder / "quick.db", url))})
            runs[LOOP].append(asyncio.run(fetched_one_by_one(url)))
        with serving(cards(SLOW), folder) as server:
            url = f"http://127.0.0.1:{server.port}"
            runs[OURS].append({"slow": SLOW, **asyncio.run(swept(folder / "slow.db", url))})

    def median(of: str, name: str, where: Callable[[dict[str, float | str]], bool]) -> float:
        return statistics.median(float(run[name]) for run in runs[of] if where(run))

    theirs = median(LOOP, "took_s", lambda _: True)
    what = f"sweep of {AGENTS:,} agents"
    quick, slow = (lambda run: run["slow"] == 0), (lambda run: run["slow"] == SLOW)
    rows = [
        Row(what, "s", median(OURS, "took_s", quick), LOOP, theirs, is_cost=True, goal_value=GOAL_S),
        Row(f"{what}, CPU", "s", median(OURS, "cpu_s", quick), is_cost=True),
        Row(f"{what}, {SLOW} of them slow, until the others are done", "s", median(OURS, "others_s", slow),
            is_cost=True, goal_value=GOAL_S),
    ]  # fmt: skip
    return Outcome(rows, runs)


def cards(slow: int) -> App:
    return App(
        "cards", "benchmarks.apps.cards:app", environment={"SLOW": str(slow)}, probe=f"/{AGENTS}{CARD_PATH}"
    )


async def swept(path: Path, url: str) -> dict[str, float | str]:
    """Sweeps as the coordinator begins them, one a second, until every agent was looked at."""
    database = Database(f"sqlite:///{path}")
    await migrate(f"sqlite:///{path}")
    await database.write(lambda connection: add_agents(connection, url))
    policy = AddressPolicy(allow_loopback=True, allow_private=False)
    async with guarded_client(policy, timeout_s=TIMEOUT_S) as http:
        prober = Prober(database, http, nothing, interval_s=3600, timeout_s=TIMEOUT_S, now=utc_now)
        started, cpu = time.perf_counter(), time.process_time()
        sweeps = []
        while not await database.read(all_claimed):
            sweeps.append(asyncio.create_task(prober.sweep()))
            await asyncio.sleep(1.0)
        others_s = await until(database, AGENTS - SLOW, started)
        await asyncio.gather(*sweeps)
    took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    good = await database.read(count_up)
    await database.close()
    if good != AGENTS:
        raise BenchmarkFailed(f"{good} of {AGENTS} agents are up after a sweep")
    return {"took_s": took_s, "cpu_s": cpu_s, "others_s": others_s}


async def until(database: Database, count: int, started: float) -> float:
    while await database.read(count_up) < count:  # noqa: ASYNC110 rows give no event
        await asyncio.sleep(0.05)
    return time.perf_counter() - started


async def fetched_one_by_one(url: str) -> dict[str, float | str]:
    started = time.perf_counter()
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http:
        for number in range(AGENTS):
            (await http.get(f"{url}/{number}{CARD_PATH}")).raise_for_status()
    return {"took_s": time.perf_counter() - started}


def add_agents(connection: Connection, url: str) -> None:
    """Degraded, with one good look behind them: one more brings each up, which is the dearest outcome."""
    now = utc_now()
    same = {
        "url": url,
        "name": "Agent",
        "description": "",
        "version": "1",
        "card": {},
        "streaming": True,
        "health": HealthState.DEGRADED,
        "health_reason": "",
        "health_since": now,
        "failures": 0,
        "successes": 1,
        "registered_at": now,
        "updated_at": now,
        "etag": '"1"',
    }
    rows = [
        {"id": new_id("agent"), "card_url": f"{url}/{number}{CARD_PATH}", **same} for number in range(AGENTS)
    ]
    connection.execute(insert(Agent), rows)


def all_claimed(connection: Connection) -> bool:
    query = select(func.count()).select_from(Agent).where(Agent.last_checked_at.is_(None))
    return connection.execute(query).scalar_one() == 0


def count_up(connection: Connection) -> int:
    query = select(func.count()).select_from(Agent).where(Agent.health == HealthState.UP)
    return int(connection.execute(query).scalar_one())


async def nothing(_probed: Probed, _fetched: FetchedCard) -> str | None:
    """The cards here never change."""
    return None
