"""Ten thousand registrations a minute, for ten seconds, at a coordinator that has work to do."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import httpx

from a2a.guard import AddressPolicy, guarded_client
from tests.support.network import SLOW_AGENT, Network, step

A_MINUTE = 10_000
FLOOD_S = 10.0
REGISTRATIONS = int(A_MINUTE * FLOOD_S / 60)
MAX_AGENTS = 1_000
AT_ONCE = 600
# A thousand agents and the requests at work took 33 MB where this was written.
MAX_GROWTH_MB = 100
MAX_LEAK_MB = 40
PLAN = {"steps": [step(1, "ponder"), step(2, "note", 1)]}


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1_024


async def flood(network: Network, cards_url: str) -> Counter[str]:
    """The answers by their status and code. Each number is another agent."""
    answers: Counter[str] = Counter()

    async def register(http: httpx.AsyncClient, number: int) -> None:
        answer = await http.post(f"{network.url}/api/agents", json={"card_url": f"{cards_url}/{number}"})
        answers[f"{answer.status_code} {answer.json().get('code', '')}".strip()] += 1

    policy = AddressPolicy(allow_loopback=True, allow_private=False)
    async with (
        guarded_client(policy, timeout_s=60, max_connections=AT_ONCE) as http,
        asyncio.TaskGroup() as tasks,
    ):
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(REGISTRATIONS):
            # The rate is kept however slow the answers are.
            await asyncio.sleep(max(0.0, started + number * FLOOD_S / REGISTRATIONS - loop.time()))
            tasks.create_task(register(http, number))
    return answers


def looked_at(network: Network) -> datetime:
    """When the slow agent was last asked for its card."""
    agents = network.http.get("/api/agents").json()["agents"]
    [told] = [agent["health"]["last_checked_at"] for agent in agents if agent["name"] == "Slow Agent"]
    return datetime.fromisoformat(told)


def test_a_flood_of_registrations_disturbs_nobody(bare_network: Network) -> None:
    network = bare_network
    network.start_coordinator(AGENTS_MAX_AGENTS=str(MAX_AGENTS))
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="1")
    cards_url = network.start_stranger("cards", "tests.support.many_cards:app")
    pid = network.server("coordinator").pid
    before_mb, before = resident_mb(pid), datetime.now(UTC)
    task_id = network.create(description="ponder", plan=PLAN)

    started = time.monotonic()
    answers = asyncio.run(flood(network, cards_url))
    took_s = time.monotonic() - started
    assert network.ended(task_id)["status"] == "completed"
    assert answers.keys() <= {"201", "429 REGISTRY_BUSY", "503 REGISTRY_FULL"}, answers
    assert answers["201"] <= MAX_AGENTS
    assert answers["503 REGISTRY_FULL"] > 0
    assert (looked_at(network) - before).total_seconds() > took_s / 2, "probes go on"
    after_mb = resident_mb(pid)
    assert after_mb - before_mb < MAX_GROWTH_MB

    asyncio.run(flood(network, cards_url))
    assert resident_mb(pid) - after_mb < MAX_LEAK_MB, "the same again keeps nothing"
    assert network.ended(network.create(description="ponder", plan=PLAN))["status"] == "completed"
