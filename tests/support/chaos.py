"""Coordinators in one virtual time with their agents: each can be killed, frozen and started again, and every
write to the database is watched."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from sqlalchemy import Connection, insert, select

from a2a import Agent, InputRequired, Part, Rejected, Request, SkillFailed
from a2a.background import background_loop, every
from a2a.client import FetchedCard, fetch_card
from a2a.database import Database
from a2a.settings import AgentSettings as AgentProcessSettings
from coordinator.executor.history import FOREIGN_KINDS
from coordinator.health.probes import Probed, Prober
from coordinator.registry.store import Arrival, change_agent
from coordinator.settings import AgentSettings, Settings, StepSettings, TaskSettings
from coordinator.wiring import Executor, start_executor
from models.tables import AgentSkill, TaskEvent
from tests.support.faulty_transport import AgentHost, FaultyTransport
from tests.support.rows import insert_agent
from tests.support.virtual_time import START, Process, VirtualLoop

T = TypeVar("T")
LEASE_S = 15.0
PROBE_S = 5.0


class Killed(BaseException):
    """The process died here."""


class ProcessDead(OSError):
    """What a dead process still tries comes to nothing."""


@dataclass
class Audit:
    """What was written that should not have been."""

    violations: list[str] = field(default_factory=list)

    def watched(self, change: Callable[[Connection], T], connection: Connection, owner: str) -> T:
        """A task is changed by its owner alone, but for what people may do; one that has ended by nobody."""
        before = _tasks(connection)
        result = change(connection)
        for task_id, now in _tasks(connection).items():
            old = before.get(task_id)
            if old is None or (old["last_event"], old["steps"]) == (now["last_event"], now["steps"]):
                continue
            query = select(TaskEvent.kind).where(
                TaskEvent.task_id == task_id, TaskEvent.number > old["last_event"]
            )
            kinds = set(connection.execute(query).scalars())
            if old["completed_at"] is not None:
                self.violations.append(f"{owner} wrote {kinds} to {task_id}, which had ended")
            is_foreign = kinds and kinds <= set(FOREIGN_KINDS) and old["steps"] == now["steps"]
            if not is_foreign and old["lease_owner"] != owner:
                self.violations.append(f"{owner} wrote {kinds} to {task_id}, which {old['lease_owner']} had")
        return result


_STEP = "number || status || attempt || coalesce(message_id, '') || coalesce(remote_task_id, '')"
_TASKS = f"""SELECT id, lease_owner, last_event, completed_at,
    (SELECT group_concat({_STEP}) FROM task_steps WHERE task_id = tasks.id) AS steps FROM tasks"""  # noqa: S608 no input


def _tasks(connection: Connection) -> dict[str, Any]:
    return {row["id"]: row for row in connection.exec_driver_sql(_TASKS).mappings()}


class ProcessDatabase(Database):
    """The database as one process reaches it: not at all once it is dead, and not while it is frozen."""

    def __init__(self, url: str, process: Process, audit: Audit) -> None:
        super().__init__(url)
        self._process = process
        self._audit = audit
        self.owner = ""
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def read(self, query: Callable[[Connection], T]) -> T:
        await self.thawed.wait()
        return await super().read(lambda connection: self._alive(query, connection))

    async def write(self, change: Callable[[Connection], T]) -> T:
        await self.thawed.wait()

        def watched(connection: Connection) -> T:
            return self._audit.watched(lambda inner: self._alive(change, inner), connection, self.owner)

        return await super().write(watched)

    def _alive(self, query: Callable[[Connection], T], connection: Connection) -> T:
        if self._process.is_dead:
            raise ProcessDead
        return query(connection)


class Coordinator:
    """A coordinator process without its API. `deaths` are fault points and how often each is passed until the
    process dies there; `death_rate` is how likely it dies at any."""

    def __init__(self, number: int, url: str, hosts: dict[str, AgentHost], audit: Audit) -> None:
        self.process = Process(f"coordinator {number}")
        self.database = ProcessDatabase(url, self.process, audit)
        self.deaths: Counter[str] = Counter()
        self.death_rate = 0.0
        self._hosts = hosts
        self._executor: asyncio.Future[Executor] = asyncio.get_running_loop().create_future()
        self._main = self.process.run(self._live())

    @property
    def is_alive(self) -> bool:
        return not self.process.is_dead

    @property
    def is_frozen(self) -> bool:
        return not self.database.thawed.is_set()

    async def started(self) -> Executor:
        return await asyncio.shield(self._executor)

    def kill(self) -> None:
        self.process.kill()
        self.database.thawed.set()

    async def stop(self) -> None:
        """As on SIGTERM."""
        self._main.cancel()
        await asyncio.wait([self._main])
        self.process.is_dead = True

    def freeze(self) -> None:
        """As if its machine hung: it reaches the database no more, and does not notice."""
        self.database.thawed.clear()

    def thaw(self) -> None:
        self.database.thawed.set()

    def _fault(self, point: str) -> None:
        if self.process.is_dead:
            raise Killed
        is_doomed = self.deaths[point] == 1 or _chance().random() < self.death_rate
        self.deaths[point] = max(0, self.deaths[point] - 1)
        if is_doomed:
            self.kill()
            raise Killed

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                httpx.AsyncClient(transport=FaultyTransport(self._hosts), trust_env=False)
            )
            settings = chaos_settings()
            executor = await start_executor(
                stack, settings, self.database, http, fault=self._fault, now=loop.now
            )
            self.database.owner = executor.worker._policy.owner
            prober = Prober(self.database, http, ignored, interval_s=PROBE_S, timeout_s=5.0, now=loop.now)
            await stack.enter_async_context(
                background_loop(every(PROBE_S, prober.sweep, name="probes"), name="probes")
            )
            self._executor.set_result(executor)
            await loop.create_future()


async def ignored(_probed: Probed, _fetched: FetchedCard) -> str | None:
    """The cards here never change."""
    return None


def chaos_settings() -> Settings:
    return Settings(
        _env_file=None,
        database_url="sqlite://",
        log_level="error",
        tasks=TaskSettings(grace_s=1.0, lease_s=LEASE_S, max_parallel_steps=3),
        steps=StepSettings(backoff_s=0.2, timeout_s=20.0, max_running=6),
        agents=AgentSettings(probe_interval_s=PROBE_S, probe_timeout_s=2.0),
    )


def _chance() -> random.Random:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.random


# Agents.


@dataclass(frozen=True)
class Behaviour:
    """What an agent does with its next turn: `end` is done, fail, fail for good, reject, ask, crash or hang,
    after `seconds`."""

    end: str
    seconds: float = 0.1
    data: Any = None


ENDS = ("done", "ask", "fail", "fail for good", "reject", "crash", "hang")
USUAL = Behaviour("done", 0.3, data={"total": 2, "items": [0, 1]})


@dataclass
class Execution:
    """One turn of a skill. `end` is what it came to, None while it runs; "killed" with its agent."""

    agent: str
    start: int
    message_id: str
    text: str
    end: str | None = None


class Worker:
    """An agent with the skill `work`; what it does next is told by the test, and what it did is kept.
    `trouble_rate` is how likely it does something else than usual."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.executions: list[Execution] = []
        self.behaviours: deque[Behaviour] = deque()
        self.trouble_rate = 0.0
        self._starts = 0

    def make(self, process: Process) -> FastAPI:
        for execution in self.executions:
            execution.end = execution.end or "killed"
        self._starts += 1
        agent = Agent(
            name=self.name.title(), description="Works.", version="1.0.0", url=f"http://{self.name}.test"
        )
        skill = agent.skill(id="work", description="Do some work", tags=["work"], input_modes=["*/*"])
        skill(self._work)
        return agent.app(AgentProcessSettings(_env_file=None, agent_max_running=3))

    async def _work(self, request: Request) -> list[Part]:
        asked = request.history[0] if request.history else request.message
        execution = Execution(self.name, self._starts, request.message.message_id, asked.spoken_text())
        self.executions.append(execution)
        behaviour = self._next()
        try:
            await asyncio.sleep(behaviour.seconds)
            execution.end = behaviour.end
            return await _turned(execution.text, behaviour)
        except asyncio.CancelledError:
            execution.end = execution.end or "canceled"
            raise

    def _next(self) -> Behaviour:
        if self.behaviours:
            return self.behaviours.popleft()
        chance = _chance()
        if chance.random() >= self.trouble_rate:
            return USUAL
        seconds = chance.choice([0.0, 0.1, 3.0, 12.0])
        return Behaviour(chance.choice(ENDS), seconds, USUAL.data)


async def _turned(text: str, behaviour: Behaviour) -> list[Part]:
    match behaviour.end:
        case "fail" | "fail for good":
            raise SkillFailed("It did not work.", retryable=behaviour.end == "fail")
        case "reject":
            raise Rejected("Not on Sundays.")
        case "ask":
            raise InputRequired("Which?")
        case "crash":
            raise RuntimeError("a bug")
        case "hang":
            await asyncio.get_running_loop().create_future()
    data = [] if behaviour.data is None else [Part.from_data(behaviour.data)]
    return [Part.from_text(f"did {text}"), *data]


async def register(
    database: Database, http: httpx.AsyncClient, host: AgentHost, *, streaming: bool, binding: int
) -> None:
    """As the agent's own registration does, once its card was read: under an id that is its name."""
    card = await fetch_card(http, host.url, timeout_s=5)
    capabilities = card.capabilities.model_copy(update={"streaming": streaming, "push_notifications": False})
    card = card.model_copy(update={"capabilities": capabilities})
    interface = card.supported_interfaces[binding]
    now = START + timedelta(seconds=asyncio.get_running_loop().time())

    def save(connection: Connection) -> None:
        change_agent(connection, f"agent_{host.name}", Arrival(host.url, card, None, interface, None), now)

    await database.write(save)


def insert_rows(connection: Connection, hosts: Iterable[AgentHost]) -> None:
    """Agents that are known and up; `register` gives them their cards."""
    for host in hosts:
        insert_agent(connection, id=f"agent_{host.name}", card_url=host.url, url=host.url, name=host.name)
        skill: dict[str, list[str]] = {"tags": [], "examples": [], "input_modes": [], "output_modes": []}
        connection.execute(
            insert(AgentSkill).values(
                agent_id=f"agent_{host.name}", skill_id="work", name="Work", description="", **skill
            )
        )
