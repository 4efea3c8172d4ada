"""How turns end: canceled, on a store that is slow or breaks, with a reply, and what is left of them."""

import asyncio
import functools
import gc
import selectors
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from a2a import Agent, AuthRequired, InputRequired, Progress, Request
from a2a.errors import TaskNotCancelable, UnsupportedOperation
from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a.server.live import LiveTask, status_now
from a2a.skill import Produced, Skill
from a2a.stores.base import StoredTask
from a2a.types import Artifact, Message, Part, StreamResponse, Task, TaskState
from tests.support.faulty_store import FaultyStore, Moment
from tests.support.local_client import CALL, LocalClient, events_of

OWNER = CALL.owner(ListTasksRequest())
GO_ON_AT_ONCE = SendMessageConfiguration(return_immediately=True)
MOMENTS: tuple[Moment, Moment] = ("before", "after")


class _JumpingSelector(selectors.SelectSelector):
    """Does not wait: where nothing is ready, the time has passed."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and for nothing that will come"
            self.now_s += max(timeout, 0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when there is nothing else to do."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """For what takes its time: pauses and deadlines pass at once."""

    @functools.wraps(test)
    def run(*args: Any, **options: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **options))

    return run


@contextmanager
def without_the_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Skills:
    """Skills of one test. `wait` and the second turn of `ask` end when `go` is set, `stubborn` then alone,
    however often it is canceled."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def wait(self, _request: Request) -> str:
        await self.go.wait()
        return "the result"

    async def ask(self, request: Request) -> str:
        if not request.history:
            raise InputRequired("Which city?")
        return await self.wait(request)

    async def stubborn(self, _request: Request) -> str:
        while not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                continue
        return "finished after all"

    async def grow(self, request: Request) -> AsyncGenerator[Produced]:
        yield Progress("reading")
        yield "one "
        yield "two"
        yield Artifact(artifact_id="own", parts=[Part(text="three")])
        yield await self.wait(request)


def only(function: Any, **options: Any) -> Mapping[str, Skill]:
    agent = Agent(name="One", description="One skill.", version="1")
    agent.skill(id="only", description="The only skill.", tags=["only"], **options)(function)
    return agent.skills


def said(text: str = "hello", task_id: str | None = None) -> SendMessageRequest:
    return SendMessageRequest(message=Message.from_user(Part(text=text), task_id=task_id))


async def begun(client: LocalClient) -> Task:
    """A task whose skill has just begun."""
    request = said().model_copy(update={"configuration": GO_ON_AT_ONCE})
    task = await client.send_message(request)
    assert isinstance(task, Task)
    await let_others_run()
    return task


async def asked(client: LocalClient) -> Task:
    task = await client.send_message(said())
    assert isinstance(task, Task)
    assert task.status.state.is_interrupted
    return task


def found(client: LocalClient, task_id: str) -> LiveTask:
    live = client.handler._turns.find(task_id, OWNER)
    assert live is not None
    return live


async def let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def task_id_of(task: Task | Message) -> str:
    assert isinstance(task, Task)
    return task.id


def state(task: Task | Message) -> str:
    assert isinstance(task, Task)
    return task.status.state.name


async def states(client: LocalClient, store: FaultyStore, task_id: str) -> set[str]:
    """What the agent says, and what it has kept."""
    kept = await store.get(task_id, OWNER)
    assert kept is not None
    return {state(await client.get_task(GetTaskRequest(id=task_id))), state(kept.task)}


def is_retryable(task: Task | Message) -> bool:
    assert isinstance(task, Task)
    assert task.status.message is not None
    return task.status.message.metadata == {"retryable": True}


# Cancellation


@in_virtual_time
async def test_a_skill_that_swallows_its_cancellation_changes_nothing_after_canceled() -> None:
    skills, store = Skills(), FaultyStore()
    client = LocalClient(only(skills.stubborn), store)
    task = await begun(client)
    canceled = await client.cancel_task(CancelTaskRequest(id=task.id))
    kept = await store.get(task.id, OWNER)
    skills.go.set()
    await client.close(grace_s=10)

    assert state(canceled) == "CANCELED"
    assert kept is not None
    assert kept.task == canceled
    assert await store.get(task.id, OWNER) == kept
    assert await client.get_task(GetTaskRequest(id=task.id)) == canceled


@in_virtual_time
async def test_an_agent_closes_though_a_skill_swallows_its_cancellation() -> None:
    skills = Skills()
    client = LocalClient(only(skills.stubborn))
    await begun(client)
    await client.close(grace_s=0)
    still_running = client.running
    skills.go.set()
    await let_others_run()

    assert (still_running, client.running) == (1, 0)


@pytest.mark.parametrize("outcome", [InputRequired, AuthRequired])
async def test_a_task_that_waits_for_its_caller_is_canceled_while_it_is_followed(
    outcome: type[InputRequired | AuthRequired],
) -> None:
    skills = Skills()

    async def interrupt(request: Request) -> str:
        await skills.wait(request)
        raise outcome("Say more.")

    client = LocalClient(only(interrupt))
    task = await begun(client)
    follower = await client.handler.subscribe(SubscribeToTaskRequest(id=task.id), CALL)
    skills.go.set()
    await let_others_run()
    async with asyncio.timeout(5):
        canceled = await client.cancel_task(CancelTaskRequest(id=task.id))
        told = [event async for event in events_of(follower)]

    assert state(canceled) == "CANCELED"
    assert told[-1].status_update is not None
    assert told[-1].status_update.status == canceled.status
    with pytest.raises(TaskNotCancelable):
        await client.cancel_task(CancelTaskRequest(id=task.id))


async def test_a_cancellation_from_inside_a_skill_is_a_failure_of_it() -> None:
    async def inner(_request: Request) -> str:
        ended = asyncio.create_task(asyncio.Event().wait())
        ended.cancel()
        return str(await ended)

    async with asyncio.timeout(5):
        task = await LocalClient(only(inner)).send_message(said())

    assert (state(task), is_retryable(task)) == ("FAILED", False)


async def test_a_task_of_an_agent_that_closes_has_failed_and_may_be_sent_again() -> None:
    client = LocalClient(only(Skills().wait))
    waiting = asyncio.create_task(client.send_message(said()))
    await let_others_run()
    await client.close(grace_s=0)
    task = await waiting

    assert (state(task), is_retryable(task)) == ("FAILED", True)


async def test_who_waits_for_a_task_that_is_canceled_is_told_so() -> None:
    client = LocalClient(only(Skills().wait))
    request = said()
    waiting = asyncio.create_task(client.send_message(request))
    await let_others_run()
    (running,) = (await client.handler.list_tasks(ListTasksRequest(), CALL)).tasks
    canceled = await client.cancel_task(CancelTaskRequest(id=running.id))

    assert {state(canceled), state(await waiting)} == {"CANCELED"}


# Saves that are cut off, or whose answer is lost


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_save_that_is_canceled_in_the_middle_does_not_lose_the_result(moment: Moment) -> None:
    """As at SIGTERM: the loop that saves is canceled, then the skills have their grace."""
    skills, store = Skills(), FaultyStore()
    client = LocalClient(only(skills.wait), store)
    working = asyncio.create_task(client.send_message(said()))
    await let_others_run()
    hold = store.hold("save", moment)
    saving = asyncio.create_task(client.handler.save_running())
    await hold.reached.wait()
    saving.cancel()
    await asyncio.wait([saving])
    skills.go.set()
    task = await working

    assert {state(task)} | await states(client, store, task_id_of(task)) == {"COMPLETED"}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_save_on_the_way_that_breaks_does_not_lose_the_result(moment: Moment) -> None:
    skills, store = Skills(), FaultyStore()
    client = LocalClient(only(skills.wait), store)
    working = asyncio.create_task(client.send_message(said()))
    await let_others_run()
    store.fail("save", moment)
    with pytest.raises(OSError, match="broke"):
        await client.handler.save_running()
    skills.go.set()
    task = await working

    assert {state(task)} | await states(client, store, task_id_of(task)) == {"COMPLETED"}


@pytest.mark.parametrize("moment", MOMENTS)
@in_virtual_time
async def test_a_last_save_that_breaks_once_does_not_lose_the_result(moment: Moment) -> None:
    skills, store = Skills(), FaultyStore()
    skills.go.set()
    store.fail("save", moment)
    client = LocalClient(only(skills.wait), store)
    task = await client.send_message(said())

    assert {state(task)} | await states(client, store, task_id_of(task)) == {"COMPLETED"}


@in_virtual_time
async def test_where_the_store_stays_broken_the_task_has_failed_and_may_be_sent_again() -> None:
    skills, store = Skills(), FaultyStore()
    skills.go.set()
    store.fail("save", "before", always=True)
    task = await LocalClient(only(skills.wait), store).send_message(said())

    assert (state(task), is_retryable(task)) == ("FAILED", True)


# What is left of a task


async def test_a_slow_read_brings_no_ended_task_back() -> None:
    skills, store = Skills(), FaultyStore()
    skills.go.set()
    client = LocalClient(only(skills.ask), store)
    task = await asked(client)
    hold = store.hold("get", "after")
    subscribing = asyncio.create_task(client.handler.subscribe(SubscribeToTaskRequest(id=task.id), CALL))
    async with asyncio.timeout(5):
        await hold.reached.wait()
        answered = await client.send_message(said("Oslo", task.id))
    hold.go.set()
    with pytest.raises(UnsupportedOperation, match="has ended"):
        await subscribing

    assert {state(answered)} | await states(client, store, task.id) == {"COMPLETED"}


async def test_an_ended_task_is_freed_at_once() -> None:
    skills = Skills()
    client = LocalClient(only(skills.grow))
    task = await begun(client)
    live = weakref.ref(found(client, task.id))
    with without_the_collector():
        skills.go.set()
        await client.close(grace_s=10)
        await let_others_run()
        is_freed = live() is None

    assert is_freed
    assert state(await client.get_task(GetTaskRequest(id=task.id))) == "COMPLETED"


async def test_an_event_does_not_hold_its_task() -> None:
    first = Message.from_user(Part(text="first"))
    task = Task(id="t", context_id="c", status=status_now(TaskState.SUBMITTED), history=[first])
    live = LiveTask(StoredTask(task, OWNER, 1))
    follower = live.follow(with_task=False)
    live.announce()
    live.set_status(status_now(TaskState.WORKING))
    live.add_artifact(Artifact(artifact_id="a", name="result", parts=[Part(text="one")]))
    live.append_text("a", "result", "two")
    live.set_status(status_now(TaskState.COMPLETED))
    events = await follower.batch()
    follower.close()
    task_of_the_events = weakref.ref(live)
    with without_the_collector():
        del live, follower
        is_freed = task_of_the_events() is None

    assert is_freed
    assert [ids(event.response) for event in events] == [("t", "c")] * 4


def ids(response: StreamResponse) -> tuple[str, str]:
    update = response.status_update or response.artifact_update
    assert update is not None
    return update.task_id, update.context_id


async def test_a_message_that_no_skill_takes_leaves_nothing_behind() -> None:
    """Each may be as large as a body may be."""
    client = LocalClient(only(Skills().wait))
    message = Message.from_user(Part.from_text("x"), metadata={"skillId": "none"})
    with without_the_collector():
        before = living_tasks()
        refused = await client.send_message(SendMessageRequest(message=message))
        await let_others_run()
        after = living_tasks()

    assert isinstance(refused, Task)
    assert (refused.status.state, after) == (TaskState.REJECTED, before)


def living_tasks() -> int:
    return sum(isinstance(item, LiveTask) for item in gc.get_objects())
