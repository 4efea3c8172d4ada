"""Anything dies or freezes at any time, by a seed, while tasks come in; then it is calm. Promises 1 to 4:
each accepted task ends, each history is whole, nothing was done twice unless its step says so, and what is to
stay with one agent has.

CHAOS_SECONDS and CHAOS_SEEDS make it longer (`make chaos`). On PostgreSQL two coordinators share a database.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic_settings import BaseSettings

from tests.support.network import SLOW_AGENT, TERMINAL, Network, step, until
from tests.support.nursery import Nursery

TASKS_PER_S = 12
BETWEEN_BLOWS_S = (0.2, 1.0)
LONGEST_FREEZE_S = 3.0
POST_WITHIN_S = 1.0
CALM_WITHIN_S = 90.0
# What an agent is told to do that may break on the way; how often each is asked for.
SKILLS = {"ponder": 5, "note": 4, "stumble": 2, "sow": 3}
HONEST_CODES = {"AGENT_UNREACHABLE", "AGENT_STOPPED", "REMOTE_TASK_LOST", "MAY_HAVE_RUN", "AGENT_BUSY"}


class ChaosSettings(BaseSettings):
    chaos_seconds: float = 8.0
    chaos_seeds: str = "1"


settings = ChaosSettings()


class Chaos:
    """Blows and tasks, all drawn from one generator."""

    def __init__(self, network: Network, draw: random.Random, coordinators: list[str], folder: Path) -> None:
        self._network = network
        self._draw = draw
        self._coordinators = coordinators
        self._agents = {
            "Alpha": {},
            "Beta": {},
            "Gamma": {"TASK_STORE_URL": f"sqlite:///{folder}/gamma.db"},
        }
        self._frozen: dict[str, float] = {}
        self._unanswered: dict[str, dict[str, Any]] = {}
        self._made = 0
        self.blows: list[str] = []
        self.accepted: list[str] = []

    def start(self) -> None:
        for name in self._coordinators:
            self._network.start_coordinator(name)
        for name in self._agents:
            self._start_agent(name)
        for name in self._agents:
            self._network.until_up(self._network.url_of(name))

    def rage(self, seconds: float) -> None:
        now = started_at = time.monotonic()
        next_blow_at = now + 0.5
        while now < started_at + seconds:
            if self._made < (now - started_at) * TASKS_PER_S:
                self._want_another()
            self._ask_again()
            self._thaw(before=now)
            if now >= next_blow_at:
                self._strike(now)
                next_blow_at = now + self._draw.uniform(*BETWEEN_BLOWS_S)
            now = time.monotonic()

    def calm(self) -> list[dict[str, Any]]:
        """Everything lives; the tasks that were accepted, once all have ended."""
        self._thaw(before=float("inf"))
        for name in self._coordinators:
            self._network.until_ready(name)
        until(self._all_accepted, within_s=CALM_WITHIN_S, what="every task accepted")
        until(self._all_ended, within_s=CALM_WITHIN_S, what="every task ended")
        return [self._network.task(task_id) for task_id in self.accepted]

    def _start_agent(self, name: str) -> None:
        settings = {"SLOW_AGENT_NAME": name, "SLOW_AGENT_SECONDS": "0.4", **self._agents[name]}
        self._network.begin_agent(name, SLOW_AGENT, **settings)

    def _strike(self, now: float) -> None:
        name = self._draw.choice([*self._coordinators, *self._agents])
        if name in self._frozen:
            return
        if self._draw.random() < 0.5:
            self.blows.append(f"kill {name}")
            self._network.kill(name)
            if name in self._agents:
                self._start_agent(name)
            else:
                self._network.begin_coordinator(name)
        else:
            self.blows.append(f"freeze {name}")
            self._network.server(name).stop()
            self._frozen[name] = now + self._draw.uniform(0.1, LONGEST_FREEZE_S)

    def _thaw(self, *, before: float) -> None:
        for name in [name for name, at in self._frozen.items() if at < before]:
            del self._frozen[name]
            self._network.server(name).go_on()

    def _want_another(self) -> None:
        self._made += 1
        skills = self._draw.choices(list(SKILLS), weights=list(SKILLS.values()), k=self._draw.randint(1, 3))
        steps = [
            step(number, skill, *range(1, number)[-1:], instruction=f"{skill} {self._made}.{number}")
            for number, skill in enumerate(skills, 1)
        ]
        self._unanswered[f"task {self._made}"] = {"description": "chaos", "plan": {"steps": steps}}

    def _ask_again(self) -> None:
        """For what has no answer yet, at a coordinator that is not known to be frozen."""
        awake = [name for name in self._coordinators if name not in self._frozen]
        if not awake or not self._unanswered:
            time.sleep(0.01)  # nothing to do for the moment
            return
        key = self._draw.choice(list(self._unanswered))
        client = self._network.clients[self._draw.choice(awake)]
        headers = {"Idempotency-Key": key, "Connection": "close"}
        try:
            answer = client.post(
                "/api/tasks", json=self._unanswered[key], headers=headers, timeout=POST_WITHIN_S
            )
        except httpx.TransportError:
            return
        if answer.status_code == 202:
            del self._unanswered[key]
            self.accepted.append(answer.json()["task_id"])
        else:
            assert answer.status_code >= 500, answer.text

    def _all_accepted(self) -> bool:
        self._ask_again()
        return not self._unanswered

    def _all_ended(self) -> bool:
        is_open = [status for status in self._statuses().values() if status not in TERMINAL]
        return not is_open

    def _statuses(self) -> dict[str, str]:
        statuses: dict[str, str] = {}
        cursor: dict[str, str] = {}
        while True:
            page = self._network.http.get("/api/tasks", params={"limit": "200", **cursor}).json()
            statuses |= {task["id"]: task["status"] for task in page["tasks"]}
            if page["next_cursor"] is None:
                return statuses
            cursor = {"cursor": page["next_cursor"]}


@pytest.fixture
def network(tmp_path: Path, database_url: str, nursery: Nursery) -> Iterator[Network]:
    with Network(tmp_path, database_url, nursery, STEPS_MAX_ATTEMPTS="10") as network:
        yield network


@pytest.mark.parametrize("seed", [int(seed) for seed in settings.chaos_seeds.split()])
def test_whatever_dies_every_accepted_task_ends_and_nothing_is_done_twice_in_silence(
    network: Network, database_url: str, tmp_path: Path, seed: int
) -> None:
    coordinators = ["coordinator", "other"] if database_url.startswith("postgresql") else ["coordinator"]
    chaos = Chaos(network, random.Random(seed), coordinators, tmp_path)  # noqa: S311 no secret is made of it
    chaos.start()
    chaos.rage(settings.chaos_seconds)
    tasks = chaos.calm()

    outcomes = Counter(task["error"]["code"] if task["error"] else task["status"] for task in tasks)
    print(f"seed {seed}: {len(chaos.blows)} blows, {len(tasks)} tasks: {dict(outcomes)}")  # noqa: T201
    assert len({task["id"] for task in tasks}) == len(tasks) > 0, "each was made once"
    assert outcomes.keys() <= {"completed", *HONEST_CODES}
    for task in tasks:
        assert network.events(task["id"])[-1] == f"task.{task['status']}"
    assert unsaid_repetitions(network, tasks) == []
    assert strays(network) == []
    for name in coordinators:
        for trouble in ("loop.died", "loop.ended", "task.run_crashed"):
            assert trouble not in network.log_of(name)


def unsaid_repetitions(network: Network, tasks: list[dict[str, Any]]) -> list[str]:
    """The steps that were begun more than once and do not say so. Only who stumbles is known to have done
    nothing, and its next message is another."""
    says_so = {step["instruction"]: step["may_have_run_twice"] for task in tasks for step in task["steps"]}
    begun = defaultdict(list)
    for execution in network.executions():
        begun[execution.text].append(execution.message_id)
    return [
        text
        for text, messages in begun.items()
        if not says_so[text] and len(messages) > (len(set(messages)) if text.startswith("stumble") else 1)
    ]


def strays(network: Network) -> list[str]:
    """The steps of the no-failover skill that more than one agent began."""
    agents = defaultdict(set)
    for execution in network.executions("began"):
        agents[execution.text].add(execution.agent)
    return [text for text, names in agents.items() if text.startswith("sow") and len(names) > 1]
