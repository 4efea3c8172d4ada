"""Random plans and random faults, with real coordinators, agents, client and database in one virtual time.

Whatever dies, hangs, lies or loses its memory: every task ends, no step is run under two leases, what has
ended stays as it is, nothing is done twice in silence, and the history says all of it. CHAOS_EXAMPLES sets
how many examples are tried.
"""

import asyncio
import logging
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import create_engine, select

from a2a.database import Database
from a2a.types import Part
from coordinator.executor.creation import NewTask
from coordinator.executor.errors import WrongState
from coordinator.executor.history import Event, evolve
from coordinator.executor.state import StepState, TaskState
from coordinator.executor.store import task_state
from coordinator.planner.plan import Strategy
from models.states import StepStatus, TaskStatus
from models.tables import Task, TaskEvent, TaskStep
from tests.support.chaos import (
    LEASE_S,
    Audit,
    Behaviour,
    Coordinator,
    Execution,
    Killed,
    Worker,
    insert_rows,
    register,
)
from tests.support.databases import copy_sqlite, migrated_sqlite_template
from tests.support.faulty_transport import AgentHost, FaultyTransport, NetworkFault
from tests.support.random_plans import DATA, plans
from tests.support.virtual_time import START, Process, VirtualLoop, current_process

T = TypeVar("T")
EXAMPLES = int(os.environ.get("CHAOS_EXAMPLES", "25"))
NAMES = ("alpha", "beta", "gamma")
STREAMING = {"alpha": True, "beta": False, "gamma": True}
DEADLINES_S = (5.0, 40.0, 90.0)
SETTLE_S = 0.05
RESTART_S = 1.0
# What a lease, a step and its retries can take beyond a deadline.
REPLAYED_OF_TASK = ("status", "waiting_for", "cancel_requested")
REPLAYED_OF_STEP = (
    "status",
    "attempt",
    "agent_id",
    "message_id",
    "memory_id",
    "remote_task_id",
    "remote_context_id",
    "failed_agents",
    "may_have_run_twice",
    "cancel_answer",
    "question",
    "has_answer",
    "is_approved",
    "waiting_for",
    "error",
    "parent",
    "item_index",
    "item",
)
POINTS = st.sampled_from(
    [
        "after_claim",
        "before_commit",
        "before_send",
        "after_send",
        "before_cancel",
        "after_cancel",
        "after_commit:task.created",
        "after_commit:task.input_given",
        "after_commit:task.input_required",
        "after_commit:task.completed",
        "after_commit:step.started",
        "after_commit:step.accepted",
        "after_commit:step.answered",
        "after_commit:step.resent",
        "after_commit:step.retrying",
        "after_commit:step.expanded",
        "after_commit:step.completed",
    ]
)


DEATHS = st.tuples(POINTS, st.integers(1, 4))
BEHAVIOURS = st.builds(
    Behaviour,
    end=st.sampled_from(
        ["done", "done", "ask", "fail", "done", "done", "ask", "hang", "fail for good", "reject", "crash"]
    ),
    seconds=st.sampled_from([0.0, 0.1, 0.1, 3.0, 12.0]),
    data=DATA,
)
FAULTS = st.lists(st.none() | st.none() | st.sampled_from(NetworkFault), max_size=6)
HOSTS = st.sampled_from(NAMES)


@dataclass(frozen=True)
class Trouble:
    """What one agent does next, and what becomes of its next requests."""

    name: str
    behaviours: Sequence[Behaviour]
    faults: Sequence[NetworkFault | None]


@dataclass(frozen=True)
class Storm:
    """How likely anything goes wrong: a request, a turn of an agent, a coordinator at each of its points."""

    faults: float = 0.0
    turns: float = 0.0
    deaths: float = 0.0


STORMS = st.builds(
    Storm,
    faults=st.sampled_from([0.0, 0.05, 0.2, 0.4]),
    turns=st.sampled_from([0.0, 0.1, 0.3]),
    deaths=st.sampled_from([0.0, 0.0, 0.01, 0.03]),
)
TROUBLES = st.builds(Trouble, name=HOSTS, behaviours=st.lists(BEHAVIOURS, max_size=4), faults=FAULTS)


@st.composite
def requests(draw: st.DrawFn) -> NewTask:
    strategies = st.sampled_from(list(Strategy))
    plan = draw(plans(skills=["work"], agents=["agent_alpha", "agent_beta"], strategies=strategies))
    return NewTask(
        "do it",
        strategy=plan.strategy,
        plan=plan,
        deadline_s=draw(st.sampled_from(DEADLINES_S)),
        approval=draw(st.sampled_from(["none"] * 7 + ["plan"])),
    )


@cache
def template() -> Path:
    return migrated_sqlite_template(Path(tempfile.mkdtemp(prefix="parley-chaos-")))


@dataclass
class Made:
    """A task that was accepted; `marker` stands at the beginning of each of its instructions."""

    id: str
    marker: str


class World:
    """Everything that lives in the loop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.audit = Audit()
        self.workers = {name: Worker(name) for name in NAMES}
        self.hosts: dict[str, AgentHost] = {}
        self.coordinators: list[Coordinator] = []
        self.registry = Database(url)
        self.outside = Process("outside")
        self.storm = Storm()
        for name, worker in self.workers.items():
            self.hosts[f"{name}.test"] = AgentHost(name, worker.make, partial(self._is_back, name))
        self.http = httpx.AsyncClient(transport=FaultyTransport(self.hosts), trust_env=False)

    async def begin(self) -> None:
        await self.registry.write(lambda connection: insert_rows(connection, self.hosts.values()))
        for name in NAMES:
            await self._register(name)
        await self.start()
        self.outside.run(self._supervise())

    def rage(self, storm: Storm) -> None:
        self.storm = storm
        for host in self.hosts.values():
            host.fault_rate = storm.faults
        for worker in self.workers.values():
            worker.trouble_rate = storm.turns
        for coordinator in self.alive():
            coordinator.death_rate = storm.deaths

    async def _supervise(self) -> None:
        """In a storm there is always one that comes back."""
        while True:
            await asyncio.sleep(RESTART_S)
            if not self.alive() and self.storm.deaths:
                await self.start()

    async def start(self) -> Coordinator:
        coordinator = Coordinator(len(self.coordinators) + 1, self.url, self.hosts, self.audit)
        self.coordinators.append(coordinator)
        await coordinator.started()
        coordinator.death_rate = self.storm.deaths
        return coordinator

    def alive(self) -> list[Coordinator]:
        return [each for each in self.coordinators if each.is_alive]

    def _is_back(self, name: str) -> None:
        self.outside.run(self._register(name))

    async def _register(self, name: str) -> None:
        host = self.hosts[f"{name}.test"]
        while True:
            try:
                await register(
                    self.registry, self.http, host, streaming=STREAMING[name], binding=NAMES.index(name) % 2
                )
            except Exception:  # noqa: BLE001 whatever the network does
                await asyncio.sleep(1.0)
            else:
                return


class ExecutorMachine(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 2**16),
        tasks=st.lists(requests(), min_size=1, max_size=2),
        troubles=st.lists(TROUBLES, max_size=3),
        deaths=st.lists(DEATHS, max_size=2),
        has_two=st.booleans(),
        storm=STORMS,
    )
    def open(
        self,
        seed: int,
        tasks: Sequence[NewTask],
        troubles: Sequence[Trouble],
        deaths: Sequence[tuple[str, int]],
        has_two: bool,
        storm: Storm,
    ) -> None:
        self.logged: list[str] = []
        self._quiet()
        self.folder = tempfile.TemporaryDirectory()
        url = copy_sqlite(template(), Path(self.folder.name))
        self.engine = create_engine(url)
        self.runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(seed))
        self.loop = self.runner.get_loop()
        self.loop.set_exception_handler(self._unexpected)
        self.made: list[Made] = []
        self.ended: dict[str, Any] = {}
        self.requests = 0
        self.world = self.runner.run(self._opened(url))
        for trouble in troubles:
            self.trouble(trouble)
        self.doom(0, deaths)
        if has_two:
            self.start()
        self.storm(storm)
        for request in tasks:
            self.create(request, at=0)

    async def _opened(self, url: str) -> World:
        world = World(url)
        await world.begin()
        return world

    def _quiet(self) -> None:
        """What is logged is kept here; an error that a living coordinator logs is a failure."""

        def keep(_logger: Any, level: str, event: Any) -> Any:
            process = current_process()
            is_ours = process is not None and process.name.startswith("coordinator") and not process.is_dead
            if level in ("error", "exception", "critical") and is_ours:
                self.logged.append(f"{event} {sys.exc_info()[1]!r}")
            raise structlog.DropEvent

        structlog.configure(processors=[keep], cache_logger_on_first_use=False)
        logging.disable(logging.CRITICAL)

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Killed | OSError):
            self.logged.append(f"{context['message']}: {error!r}")

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def _pass(self, seconds: float) -> None:
        self._run(asyncio.sleep(seconds))

    def _ask(self, number: int, request: Callable[[Any], Coroutine[Any, Any, T]]) -> T | None:
        """A request to one of the living coordinators; None where it was refused, or the process died."""
        coordinator = self._alive(number)

        async def asked() -> T | None:
            executor = await coordinator.started()
            work = coordinator.process.run(request(executor.intake))
            try:
                return await work
            except (WrongState, Killed, asyncio.CancelledError):
                return None

        found = self._run(asked())
        self._pass(SETTLE_S)
        return found

    # What people do.

    @rule(request=requests(), at=st.integers(0, 1))
    def create(self, request: NewTask, at: int) -> None:
        self.requests += 1
        marker = f"task{self.requests}"
        assert request.plan is not None
        steps = tuple(_marked(step, marker) for step in request.plan.steps)
        marked = replace(request, description=marker, plan=replace(request.plan, steps=steps))
        creation = self._ask(at, lambda intake: intake.create(marked))
        if creation is not None:
            self.made.append(Made(creation.state.id, marker))

    @precondition(lambda self: self.made)
    @rule(which=st.integers(0, 9), at=st.integers(0, 1))
    def cancel(self, which: int, at: int) -> None:
        task_id = self.made[which % len(self.made)].id
        self._ask(at, lambda intake: intake.cancel(task_id))

    @precondition(lambda self: self.made)
    @rule(at=st.integers(0, 1))
    def serve(self, at: int) -> None:
        """Approve and answer whatever waits for it."""
        for made in self.made:
            self._serve(made.id, at)

    def _serve(self, task_id: str, at: int) -> None:
        row, steps, _ = self._rows(task_id)
        if row.status == TaskStatus.AWAITING_APPROVAL or any(_is_gate(step) for step in steps):
            self._ask(at, lambda intake: intake.approve(task_id))
        for step in steps:
            if step.status == StepStatus.INPUT_REQUIRED and step.answer is None:
                parts = [Part.from_text("that one")]
                self._ask(at, partial(_answer, task_id=task_id, number=step.number, parts=parts))

    # What happens.

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0, 6.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self._pass(seconds)

    @rule(trouble=TROUBLES)
    def trouble(self, trouble: Trouble) -> None:
        self.world.workers[trouble.name].behaviours.extend(trouble.behaviours)
        self.world.hosts[f"{trouble.name}.test"].faults.extend(trouble.faults)

    @rule(storm=STORMS)
    def storm(self, storm: Storm) -> None:
        self.world.rage(storm)

    @rule(name=HOSTS)
    def restart_agent(self, name: str) -> None:
        async def restart() -> None:
            self.world.hosts[f"{name}.test"].restart()

        self._run(restart())
        self._pass(SETTLE_S)

    @rule(which=st.integers(0, 1), replaced=st.booleans())
    def kill(self, which: int, replaced: bool) -> None:
        coordinator = self._alive(which)
        self._run(_now(coordinator.kill))
        if replaced:
            self._run(self.world.start())
        self._pass(SETTLE_S)

    @rule(which=st.integers(0, 1), deaths=st.lists(DEATHS, min_size=1, max_size=3))
    def doom(self, which: int, deaths: Sequence[tuple[str, int]]) -> None:
        """It will die at the first of these points."""
        self._alive(which).deaths.update(dict(deaths))

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([2.0, LEASE_S + 3.0]))
    def freeze(self, which: int, seconds: float) -> None:
        """Its leases may run out meanwhile; another one is there."""
        coordinator = self._alive(which)
        coordinator.freeze()
        if len(self.world.alive()) < 2:
            self._run(self.world.start())
        self._pass(seconds)
        coordinator.thaw()
        self._pass(SETTLE_S)

    @rule(which=st.integers(0, 1))
    def stop(self, which: int) -> None:
        self._run(self._alive(which).stop())

    @rule()
    def start(self) -> None:
        if len(self.world.alive()) < 2:
            self._run(self.world.start())

    def _alive(self, which: int) -> Coordinator:
        """One of the living; a new one where there is none."""
        if not self.world.alive():
            self._run(self.world.start())
        alive = self.world.alive()
        return alive[which % len(alive)]

    # What has to hold.

    @invariant()
    def holds(self) -> None:
        try:
            self._hold()
        except AssertionError as exc:
            exc.add_note(self._story())
            raise

    def _story(self) -> str:
        """What happened, for whoever has to find out why it did."""
        lines = []
        for made in self._accepted():
            row, steps, events = self._rows(made.id)
            lines.append(f"{made.marker} is {row.status}, deadline {_seconds(row.deadline_at)}, {row.error}")
            lines += [f"  {step.number}: {step.status} {step.error}" for step in steps]
            lines += [f"  {_seconds(e.created_at)} {e.kind} {_brief(e.data)}" for e in events]
        for worker in self.world.workers.values():
            lines += [str(execution) for execution in worker.executions]
        return "\n".join(lines)

    def _hold(self) -> None:
        assert self.world.audit.violations == [], self.world.audit.violations
        assert self.logged == [], self.logged
        for made in self._accepted():
            row, steps, events = self._rows(made.id)
            assert [event.number for event in events] == list(range(1, row.last_event + 1))
            _check_replay(row, steps, events)
            self._check_end(row, steps)
        self._check_executions()

    def _check_end(self, row: Any, steps: Sequence[Any]) -> None:
        """What has ended stays as it is, and leaves nothing open."""
        now = (row, tuple(steps))
        if row.id in self.ended:
            assert now == self.ended[row.id]
        elif TaskStatus(row.status).is_terminal:
            assert row.lease_token is None
            assert all(StepStatus(step.status).is_terminal for step in steps)
            self.ended[row.id] = now
        for step in steps:
            key = f"{row.id}/{step.number}"
            if key in self.ended:
                assert step.status == self.ended[key]
            elif StepStatus(step.status).is_terminal:
                self.ended[key] = step.status

    def _check_executions(self) -> None:
        """Nothing is done that was not written down before, and nothing twice in silence."""
        executions = [each for worker in self.world.workers.values() for each in worker.executions]
        assert {each.message_id for each in executions} <= self._intended()
        once = Counter((each.agent, each.start, each.message_id) for each in executions)
        assert not [key for key, count in once.items() if count > 1], "a message was executed twice"
        done: defaultdict[str, list[Execution]] = defaultdict(list)
        for each in executions:
            if each.end == "done":
                done[each.text].append(each)
        for text, several in done.items():
            if len(several) > 1:
                step = self._step_of(text)
                assert step.may_have_run_twice, (text, several)

    def _intended(self) -> set[str]:
        kinds = ("step.started", "step.answered")
        with self.engine.connect() as connection:
            found = connection.execute(select(TaskEvent.data).where(TaskEvent.kind.in_(kinds))).scalars()
            return {data["message_id"] for data in found}

    def _check_results(self) -> None:
        """What a step completed with is what its agent did for the message that the step names."""
        executions = [each for worker in self.world.workers.values() for each in worker.executions]
        done = {each.message_id: each for each in executions if each.end == "done"}
        for made in self._accepted():
            _, steps, _ = self._rows(made.id)
            for step in steps:
                if step.status == StepStatus.COMPLETED and step.message_id is not None:
                    assert step.message_id in done, step
                    assert step.output["text"] == f"did {done[step.message_id].text}"

    def _check_orphans(self) -> None:
        """No agent works on for nobody, unless the task says that this may be."""
        for worker in self.world.workers.values():
            for each in worker.executions:
                if each.end is None:
                    step = self._step_of(each.text)
                    is_told = step.may_have_run_twice or step.cancel_answer in ("unknown", "refused")
                    assert is_told or step.error["details"].get("may_have_run"), each

    def _step_of(self, text: str) -> Any:
        """By the instruction: "task1 step 2", and "item 0" for one of a list."""
        words = text.split()
        [task_id] = [made.id for made in self._accepted() if made.marker == words[0]]
        _, steps, _ = self._rows(task_id)
        if len(words) == 3:
            return next(step for step in steps if step.number == int(words[2]))
        number, index = int(words[2]), int(words[4])
        return next(step for step in steps if step.parent == number and step.item_index == index)

    def _accepted(self) -> list[Made]:
        """Also those whose maker died before it could answer."""
        with self.engine.connect() as connection:
            return [
                Made(row.id, row.description) for row in connection.execute(select(Task.id, Task.description))
            ]

    def _rows(self, task_id: str) -> tuple[Any, Sequence[Any], Sequence[Any]]:
        steps = select(TaskStep.__table__).where(TaskStep.task_id == task_id).order_by(TaskStep.number)
        events = select(TaskEvent.__table__).where(TaskEvent.task_id == task_id).order_by(TaskEvent.number)
        with self.engine.connect() as connection:
            row = connection.execute(select(Task.__table__).where(Task.id == task_id)).one()
            return row, connection.execute(steps).all(), connection.execute(events).all()

    # The end of a run.

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if sys.exc_info()[0] is None:
                self._until_all_have_ended()
        except AssertionError as exc:
            exc.add_note(self._story())
            raise
        finally:
            self._close()

    def _until_all_have_ended(self) -> None:
        """Nothing fails any more; half of what waits for somebody is served, the rest is left to its
        deadline."""
        self.world.rage(Storm())
        for host in self.world.hosts.values():
            host.faults.clear()
        for worker in self.world.workers.values():
            worker.behaviours.clear()
        for coordinator in self.world.alive():
            coordinator.deaths.clear()
        if not self.world.alive():
            self._run(self.world.start())
        ends_at = self.loop.time() + max(DEADLINES_S) + 2 * LEASE_S
        while self._open() and self.loop.time() < ends_at:
            for place, task_id in enumerate(self._open()):
                if place % 2 == 0:
                    self._serve(task_id, 0)
            self._pass(3.0)
        self.holds()
        assert self._open() == [], "not every task has ended"
        self._pass(LEASE_S)
        self.holds()
        self._check_results()
        self._check_orphans()
        for coordinator in self.world.alive():
            self._check_idle(coordinator)

    def _open(self) -> list[str]:
        with self.engine.connect() as connection:
            query = select(Task.id).where(Task.completed_at.is_(None)).order_by(Task.id)
            return list(connection.execute(query).scalars())

    def _check_idle(self, coordinator: Coordinator) -> None:
        worker = self._run(coordinator.started()).worker
        assert worker.running == 0
        slots = worker._tools.attempts.slots
        assert slots._total == 0
        assert slots._running == {}

    async def _all_killed(self) -> None:
        for coordinator in self.world.alive():
            coordinator.kill()
        for host in self.world.hosts.values():
            host.process.kill()

    def _close(self) -> None:
        self._run(self._all_killed())
        self._pass(1.0)
        self._run(self.world.registry.close())
        for coordinator in self.world.coordinators:
            self._run(coordinator.database.close())
        self.runner.close()
        self.engine.dispose()
        self.folder.cleanup()
        structlog.reset_defaults()
        logging.disable(logging.NOTSET)


def _seconds(at: datetime) -> str:
    return f"{(at - START).total_seconds():.3f} s"


def _brief(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in ("plan", "description", "message")}


def _marked(step: Any, marker: str) -> Any:
    item = " item {{item_index}}" if step.for_each is not None else ""
    return replace(step, instruction=f"{marker} step {step.number}{item}")


def _is_gate(step: Any) -> bool:
    return (
        step.status == StepStatus.PENDING
        and not step.is_approved
        and bool(step.waiting_for)
        and step.attempt == 0
    )


async def _answer(intake: Any, task_id: str, number: int, parts: list[Part]) -> None:
    await intake.answer(task_id, number, parts)


async def _now(action: Callable[[], object]) -> None:
    """In the loop."""
    action()


def _check_replay(row: Any, steps: Sequence[Any], events: Sequence[Any]) -> None:
    """The rows are what the events come to."""
    rows = task_state(row, steps)
    replayed = TaskState(
        id=row.id,
        session_id=row.session_id,
        description=row.description,
        strategy=Strategy(row.strategy),
        deadline_at=row.deadline_at,
        needs_approval=row.approval == "plan",
    )
    for event in events:
        if event.kind == "step.started" and event.data["attempt"] == 1:
            needs = replayed.steps[event.data["step_number"]].depends_on
            assert all(replayed.steps[number].status.is_terminal for number in needs)
        evolve(replayed, Event(event.kind, event.data), event.created_at)
    assert _picked(replayed, REPLAYED_OF_TASK) == _picked(rows, REPLAYED_OF_TASK)
    assert _of_steps(replayed) == _of_steps(rows)


def _of_steps(task: TaskState) -> dict[int, dict[str, Any]]:
    return {number: _picked(step, REPLAYED_OF_STEP) for number, step in sorted(task.steps.items())}


def _picked(state: TaskState | StepState, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(state, name) for name in names}


TestExecutorMachine = ExecutorMachine.TestCase
TestExecutorMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
