"""Whatever two callers do, in turn or at once, tasks live a legal life and everybody sees the same of it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from a2a.errors import ProtocolError, TaskNotCancelable, TaskNotFound, UnsupportedOperation
from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a.server.context import CallContext
from a2a.server.handler import RequestHandler
from a2a.server.security import Caller
from a2a.stores.base import TaskStore
from a2a.stores.memory import MemoryTaskStore
from a2a.stores.sql import SqlTaskStore
from a2a.types import Message, Part, StreamResponse, Task, TaskState
from tests.support.local_client import LocalClient, events_of
from tests.support.scripted_agent import ScriptedAgent
from tests.support.waiting import eventually

ENDS = {"echo": TaskState.COMPLETED, "fail": TaskState.FAILED, "reject": TaskState.REJECTED}
CALLS = {name: CallContext(Caller(name, "key")) for name in ("ann", "bob")}
CALLERS = st.sampled_from(sorted(CALLS))
NUMBERS = st.integers(0, 7)
# From each state, where a task may go next.
NEXT = {
    TaskState.SUBMITTED: set(TaskState) - {TaskState.SUBMITTED},
    TaskState.WORKING: set(TaskState) - {TaskState.SUBMITTED},
    TaskState.INPUT_REQUIRED: {TaskState.SUBMITTED, TaskState.CANCELED},
}


def request(
    text: str, skill: str, task_id: str | None = None, *, at_once: bool = False
) -> SendMessageRequest:
    message = Message.from_user(Part.from_text(text), task_id=task_id, metadata={"skillId": skill})
    return SendMessageRequest(
        message=message, configuration=SendMessageConfiguration(return_immediately=at_once)
    )


def texts(task: Task) -> dict[str, str]:
    """What each artifact says, over however many chunks."""
    return {
        artifact.artifact_id: "".join(part.text or "" for part in artifact.parts)
        for artifact in task.artifacts or ()
    }


@dataclass(slots=True)
class Reader:
    """One who follows a task: what was seen so far, folded as a client would."""

    task_id: str
    events: list[StreamResponse] = field(default_factory=list)
    worker: asyncio.Task[None] | None = None

    async def read(self, events: AsyncIterator[StreamResponse]) -> None:
        async for event in events:
            self.events.append(event)

    def states(self) -> list[TaskState]:
        told = [event.task or event.status_update for event in self.events]
        return [at.status.state for at in told if at is not None]

    def fold(self) -> tuple[TaskState, dict[str, str]]:
        """The last status and the artifacts."""
        first = self.events[0].task
        assert first is not None
        said = texts(first)
        for event in self.events[1:]:
            update = event.artifact_update
            if update is not None:
                before = said.get(update.artifact.artifact_id, "") if update.append else ""
                said[update.artifact.artifact_id] = before + "".join(
                    part.text or "" for part in update.artifact.parts
                )
        return self.states()[-1], said

    def check_order(self) -> None:
        """The task comes first and alone, no step is illegal, and time does not run backwards."""
        assert [event.task is not None for event in self.events] == [True] + [False] * (len(self.events) - 1)
        seen = self.states()
        for state, later in pairwise(seen):
            assert later in NEXT.get(state, set()), seen
        told = [event.task or event.status_update for event in self.events]
        times = [at.status.timestamp for at in told if at is not None and at.status.timestamp is not None]
        assert times == sorted(times)


@dataclass(slots=True)
class Made:
    """A task as the model has it. `gate` is what it waits for."""

    id: str
    owner: str
    state: TaskState
    gate: str = ""
    readers: list[Reader] = field(default_factory=list)


class TwoCallers(RuleBasedStateMachine):
    """One operation after the other, on a memory store."""

    def make_store(self) -> TaskStore:
        return MemoryTaskStore()

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.script = ScriptedAgent()
        self.made: list[Made] = []
        self.numbers = count()
        self.client = LocalClient(self.script.agent.skills, self.make_store())
        self.handler: RequestHandler = self.client.handler
        self.runner.run(self.handler.open())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self._close())
            self.runner.close()

    async def _close(self) -> None:
        for reader in self._readers():
            if reader.worker is not None:
                reader.worker.cancel()
                with suppress(asyncio.CancelledError):
                    await reader.worker
        await self.client.close(grace_s=0)

    def _readers(self) -> list[Reader]:
        return [reader for made in self.made for reader in made.readers]

    def _one(self, number: int) -> Made:
        return self.made[number % len(self.made)]

    async def _refused(self, operation: Any, *refusals: type[ProtocolError]) -> None:
        with pytest.raises(refusals):
            await operation

    @rule(caller=CALLERS, skill=st.sampled_from([*ENDS, "ask"]))
    def send(self, caller: str, skill: str) -> None:
        """3.1.1"""
        sent = self.runner.run(self.handler.send_message(request("hi", skill), CALLS[caller]))
        assert isinstance(sent, Task)
        assert sent.status.state is ENDS.get(skill, TaskState.INPUT_REQUIRED)
        self.made.append(Made(sent.id, caller, sent.status.state))

    @precondition(lambda self: sum(made.state is TaskState.WORKING for made in self.made) < 6)
    @rule(caller=CALLERS)
    def begin(self, caller: str) -> None:
        """3.2.2: a task that runs until it is let go"""

        async def begin() -> Task | Message:
            task = await self.handler.send_message(request(gate, "wait", at_once=True), CALLS[caller])
            await self.script.started[gate].wait()
            return task

        gate = f"gate {next(self.numbers)}"
        sent = self.runner.run(begin())
        assert isinstance(sent, Task)
        self.made.append(Made(sent.id, caller, TaskState.WORKING, gate))

    @precondition(lambda self: self.made)
    @rule(number=NUMBERS)
    def let_go(self, number: int) -> None:
        made = self._one(number)
        if made.state is TaskState.WORKING:
            self.runner.run(self._let_go(made))
            made.state = TaskState.COMPLETED

    async def _let_go(self, made: Made) -> None:
        following = await self.handler.subscribe(SubscribeToTaskRequest(id=made.id), CALLS[made.owner])
        self.script.go[made.gate].open()
        async for _ in events_of(following):
            pass

    @precondition(lambda self: self.made)
    @rule(caller=CALLERS, number=NUMBERS)
    def answer(self, caller: str, number: int) -> None:
        """3.1.1, 3.4.2: only the owner, only a task that asks"""
        made = self._one(number)
        answering = self.handler.send_message(request("Oslo", "ask", made.id), CALLS[caller])
        if caller != made.owner:
            self.runner.run(self._refused(answering, TaskNotFound))
        elif made.state is not TaskState.INPUT_REQUIRED:
            self.runner.run(self._refused(answering, UnsupportedOperation))
        else:
            task = self.runner.run(answering)
            assert isinstance(task, Task)
            made.state = task.status.state
            assert made.state is TaskState.COMPLETED

    @precondition(lambda self: self.made)
    @rule(caller=CALLERS, number=NUMBERS)
    def cancel(self, caller: str, number: int) -> None:
        """3.1.5"""
        made = self._one(number)
        canceling = self.handler.cancel_task(CancelTaskRequest(id=made.id), CALLS[caller])
        if caller != made.owner:
            self.runner.run(self._refused(canceling, TaskNotFound))
        elif made.state.is_terminal:
            self.runner.run(self._refused(canceling, TaskNotCancelable))
        else:
            assert self.runner.run(canceling).status.state is TaskState.CANCELED
            made.state = TaskState.CANCELED

    @precondition(lambda self: self.made)
    @rule(caller=CALLERS, number=NUMBERS)
    def subscribe(self, caller: str, number: int) -> None:
        """3.1.6"""
        made = self._one(number)
        subscribing = self.handler.subscribe(SubscribeToTaskRequest(id=made.id), CALLS[caller])
        if caller != made.owner:
            self.runner.run(self._refused(subscribing, TaskNotFound))
        elif made.state.is_terminal:
            self.runner.run(self._refused(subscribing, UnsupportedOperation))
        else:
            self.runner.run(self._read(made, subscribing))

    async def _read(self, made: Made, subscribing: Any) -> None:
        reader = Reader(made.id)
        reader.worker = asyncio.create_task(reader.read(events_of(await subscribing)))
        made.readers.append(reader)

    @precondition(lambda self: self.made)
    @rule(number=NUMBERS, which=NUMBERS)
    def leave(self, number: int, which: int) -> None:
        """3.5.2: and nobody else is touched"""
        made = self._one(number)
        if made.readers:
            reader = made.readers.pop(which % len(made.readers))
            self.runner.run(self._leave(reader))

    async def _leave(self, reader: Reader) -> None:
        assert reader.worker is not None
        reader.worker.cancel()
        await asyncio.gather(reader.worker, return_exceptions=True)

    @rule(caller=CALLERS, state=st.none() | st.sampled_from(TaskState), size=st.integers(1, 3))
    def walk_the_list(self, caller: str, state: TaskState | None, size: int) -> None:
        """3.1.4, 13.1"""
        listed, totals = self.runner.run(self._walk(caller, state, size))
        own = {
            made.id: made.state
            for made in self.made
            if made.owner == caller and (state is None or made.state is state)
        }
        assert {task.id: task.status.state for task in listed} == own
        assert len(listed) == len(own)
        assert totals == {len(own)}

    async def _walk(self, caller: str, state: TaskState | None, size: int) -> tuple[list[Task], set[int]]:
        listed: list[Task] = []
        totals: set[int] = set()
        token: str | None = None
        while token != "":
            page = await self.handler.list_tasks(
                ListTasksRequest(status=state, page_size=size, page_token=token), CALLS[caller]
            )
            listed += page.tasks
            totals.add(page.total_size)
            token = page.next_page_token
        return listed, totals

    @invariant()
    def everybody_sees_the_model(self) -> None:
        """3.1.3, 3.5.2, 13.1"""
        if hasattr(self, "runner"):
            self.runner.run(self._compare())

    async def _compare(self) -> None:
        for made in self.made:
            asking = GetTaskRequest(id=made.id)
            task = await self.handler.get_task(asking, CALLS[made.owner])
            assert task.status.state is made.state
            other = next(name for name in CALLS if name != made.owner)
            await self._refused(self.handler.get_task(asking, CALLS[other]), TaskNotFound)
            for reader in made.readers:
                seen = partial(_has_seen, reader, task)
                await eventually(seen)
                reader.check_order()
                assert reader.worker is not None
                assert not made.state.is_terminal or await _is_over(reader)


def _has_seen(reader: Reader, task: Task) -> bool:
    return bool(reader.events) and reader.fold() == (task.status.state, texts(task))


async def _is_over(reader: Reader) -> bool:
    assert reader.worker is not None
    await asyncio.wait([reader.worker], timeout=2)
    return reader.worker.done()


class TwoCallersOfADatabase(TwoCallers):
    """The same on SQLite."""

    def make_store(self) -> TaskStore:
        self.folder = tempfile.TemporaryDirectory()
        return SqlTaskStore(f"sqlite:///{Path(self.folder.name)}/tasks.db", keep_s=None)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestTwoCallers = TwoCallers.TestCase
TestTwoCallers.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestTwoCallersOfADatabase = TwoCallersOfADatabase.TestCase
TestTwoCallersOfADatabase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


# At once

OPERATIONS = ["answer", "other answer", "cancel", "get", "list", "subscribe", "stream"]
LEGAL = (UnsupportedOperation, TaskNotCancelable)


async def _at_once(store: TaskStore, operations: Sequence[str]) -> None:
    client = LocalClient(ScriptedAgent().agent.skills, store)
    handler, call = client.handler, CALLS["ann"]
    await handler.open()
    asked = await handler.send_message(request("weather", "ask"), call)
    assert isinstance(asked, Task)
    answer = request("Oslo", "ask", asked.id)
    doing: dict[str, Any] = {
        "answer": lambda: handler.send_message(answer, call),
        "other answer": lambda: handler.send_message(request("Bergen", "ask", asked.id), call),
        "cancel": lambda: handler.cancel_task(CancelTaskRequest(id=asked.id), call),
        "get": lambda: handler.get_task(GetTaskRequest(id=asked.id), call),
        "list": lambda: handler.list_tasks(ListTasksRequest(), call),
        "subscribe": lambda: _followed(handler.subscribe(SubscribeToTaskRequest(id=asked.id), call)),
        "stream": lambda: _followed(handler.stream_message(answer, call)),
    }
    async with asyncio.timeout(10):
        working = [asyncio.create_task(doing[name]()) for name in operations]
        ended = await asyncio.gather(doing["cancel"](), *working, return_exceptions=True)
    task = await handler.get_task(GetTaskRequest(id=asked.id), call)
    assert task.status.state in (TaskState.COMPLETED, TaskState.CANCELED)
    for outcome in ended:
        assert not isinstance(outcome, BaseException) or isinstance(outcome, LEGAL), repr(outcome)
        if isinstance(outcome, Reader):
            outcome.check_order()
            assert outcome.fold() == (task.status.state, texts(task))
    assert handler._streams == 0
    await client.close(grace_s=0)


async def _followed(opening: Any) -> Reader:
    reader = Reader("")
    await reader.read(events_of(await opening))
    return reader


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(OPERATIONS), min_size=2, max_size=8))
def test_what_comes_at_once_ends_as_if_it_had_come_in_turn(operations: list[str]) -> None:
    """3.1.5, 3.3.1, 3.5.2: on a store in memory"""
    asyncio.run(_at_once(MemoryTaskStore(), operations))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(OPERATIONS), min_size=2, max_size=8))
def test_what_comes_at_once_ends_as_if_it_had_come_in_turn_in_a_database(operations: list[str]) -> None:
    """3.1.5, 3.3.1, 3.5.2: where keeping takes its time"""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_at_once(SqlTaskStore(f"sqlite:///{folder}/tasks.db", keep_s=None), operations))
