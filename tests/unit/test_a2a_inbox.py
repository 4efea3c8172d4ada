"""What becomes of messages: sent again, to a store that breaks, and from callers nobody knows."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from a2a import Agent, InputRequired, Request
from a2a.addresses import AddressPolicy
from a2a.errors import InternalError, TaskNotCancelable, Unauthenticated, UnsupportedOperation
from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    TaskPushNotificationConfig,
)
from a2a.server.context import CallContext
from a2a.server.handler import RequestHandler
from a2a.server.pushes import Pushes
from a2a.server.security import ANONYMOUS, ApiKey, Authenticator, Caller
from a2a.skill import Reply, Skill
from a2a.stores.base import TaskQuery
from a2a.types import Message, Part, Task
from tests.support.faulty_store import FaultyStore, Moment
from tests.support.local_client import CALL, LocalClient

OWNER = CALL.owner(ListTasksRequest())
MOMENTS: tuple[Moment, Moment] = ("before", "after")
KEY = "alices-key-0123456789"


class Skills:
    """Skills of one test, and how often they ran. `reply` and the second turn of `ask` wait for `go`."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = asyncio.Event()

    async def work(self, _request: Request) -> str:
        self.runs += 1
        return "done"

    async def ask(self, request: Request) -> str:
        if not request.history:
            raise InputRequired("Which city?")
        await self.go.wait()
        return await self.work(request)

    async def reply(self, request: Request) -> Reply:
        await self.go.wait()
        await self.work(request)
        return Reply(Part(text=f"run {self.runs}"))


def only(function: Any, **options: Any) -> Mapping[str, Skill]:
    agent = Agent(name="One", description="One skill.", version="1")
    agent.skill(id="only", description="The only skill.", tags=["only"], **options)(function)
    return agent.skills


def said(text: str = "hello", *, task_id: str | None = None, skill: object = None) -> SendMessageRequest:
    metadata = {"skillId": skill} if skill is not None else None
    return SendMessageRequest(message=Message.from_user(Part(text=text), task_id=task_id, metadata=metadata))


async def let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def states(client: LocalClient, store: FaultyStore, task_id: str) -> set[str]:
    """What the agent says, and what it has kept."""
    kept = await store.get(task_id, OWNER)
    assert kept is not None
    return {state(await client.get_task(GetTaskRequest(id=task_id))), state(kept.task)}


def state(task: object) -> str:
    assert isinstance(task, Task)
    return task.status.state.name


async def asked(client: LocalClient) -> Task:
    task = await client.send_message(said())
    assert state(task) == "INPUT_REQUIRED"
    assert isinstance(task, Task)
    return task


# Beginnings that are not kept, or whose answer is lost


async def test_a_task_whose_beginning_was_lost_has_failed_when_its_message_comes_again() -> None:
    """It is kept, and nobody works on it: the store broke in between."""
    skills, store = Skills(), FaultyStore()
    client = LocalClient(only(skills.work), store)
    request = said()
    store.fail("create", "after")
    with pytest.raises(OSError, match="broke after create"):
        await client.send_message(request)
    async with asyncio.timeout(5):
        task = await client.send_message(request)

    assert isinstance(task, Task)
    assert task.status.message is not None
    assert (state(task), task.status.message.metadata) == ("FAILED", {"retryable": True, "mayHaveRun": True})
    assert (await client.get_task(GetTaskRequest(id=task.id))).status == task.status
    assert skills.runs == 0


async def test_a_receiver_that_cannot_be_kept_leaves_no_task() -> None:
    skills, store = Skills(), FaultyStore()
    policy = AddressPolicy(allow_loopback=True, allow_private=False)
    handler = RequestHandler(only(skills.work), store, pushes=Pushes(store, policy, grace_s=0))
    config = TaskPushNotificationConfig(url="http://127.0.0.1:9/hook")
    with_receiver = SendMessageConfiguration(task_push_notification_config=config)
    request = said().model_copy(update={"configuration": with_receiver})
    store.fail("put_push_config", "before")
    with pytest.raises(OSError, match="broke before put_push_config"):
        await handler.send_message(request, CALL)
    page = await handler.list_tasks(ListTasksRequest(), CALL)

    assert (page.total_size, skills.runs) == (0, 0)


async def test_of_an_answer_that_cannot_be_kept_every_sender_learns_and_may_send_again() -> None:
    skills, store = Skills(), FaultyStore()
    skills.go.set()
    client = LocalClient(only(skills.ask), store)
    task = await asked(client)
    answer = said("Oslo", task_id=task.id)
    hold = store.hold("save", "before")
    store.fail("save", "before")
    both = [asyncio.create_task(client.send_message(answer)) for _ in range(2)]
    await hold.reached.wait()
    await let_others_run()
    hold.go.set()
    async with asyncio.timeout(5):
        first, second = await asyncio.gather(*both, return_exceptions=True)
        again = await client.send_message(answer)

    assert isinstance(first, OSError)
    assert isinstance(second, InternalError)
    assert (state(again), skills.runs) == ("COMPLETED", 1)


# Messages that come twice


async def test_a_message_that_was_answered_without_a_task_is_answered_alike_again() -> None:
    skills = Skills()
    skills.go.set()
    client = LocalClient(only(skills.reply, replies=True))
    request = said()
    first, second = await client.send_message(request), await client.send_message(request)

    assert isinstance(first, Message)
    assert first == second
    assert skills.runs == 1


async def test_an_answer_sent_again_while_its_turn_ends_gets_the_ended_task() -> None:
    """What the store says of it is older than the end."""
    skills, store = Skills(), FaultyStore()
    client = LocalClient(only(skills.ask), store)
    answer = said("Oslo", task_id=(await asked(client)).id)
    first = asyncio.create_task(client.send_message(answer))
    await let_others_run()
    hold = store.hold("made_by", "after")
    second = asyncio.create_task(client.send_message(answer))
    await hold.reached.wait()
    skills.go.set()
    ended = await first
    hold.go.set()
    async with asyncio.timeout(5):
        again = await second

    assert state(ended) == "COMPLETED"
    assert again == ended
    assert skills.runs == 1


# An answer and a cancellation at once, on a slow store


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancellation_waits_until_the_answer_before_it_is_kept(moment: Moment) -> None:
    store = FaultyStore()
    client = LocalClient(only(Skills().ask), store)
    task = await asked(client)
    hold = store.hold("save", moment)
    answering = asyncio.create_task(client.send_message(said("Oslo", task_id=task.id)))
    await hold.reached.wait()
    canceling = asyncio.create_task(client.cancel_task(CancelTaskRequest(id=task.id)))
    await let_others_run()
    hold.go.set()
    async with asyncio.timeout(5):
        told = {state(await canceling), state(await answering)}

    assert told | await states(client, store, task.id) == {"CANCELED"}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_answer_to_a_task_that_is_being_canceled_is_refused(moment: Moment) -> None:
    store = FaultyStore()
    client = LocalClient(only(Skills().ask), store)
    task = await asked(client)
    hold = store.hold("save", moment)
    canceling = asyncio.create_task(client.cancel_task(CancelTaskRequest(id=task.id)))
    await hold.reached.wait()
    for _ in range(2):  # the first must not make the agent forget that it cancels
        with pytest.raises(UnsupportedOperation, match="being canceled"):
            async with asyncio.timeout(5):
                await client.send_message(said("Oslo", task_id=task.id))
    hold.go.set()

    assert {state(await canceling)} | await states(client, store, task.id) == {"CANCELED"}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_cancellation_whose_caller_leaves_ends_in_one_state(moment: Moment) -> None:
    store = FaultyStore()
    client = LocalClient(only(Skills().ask), store)
    task = await asked(client)
    hold = store.hold("save", moment)
    canceling = asyncio.create_task(client.cancel_task(CancelTaskRequest(id=task.id)))
    await hold.reached.wait()
    canceling.cancel()
    await asyncio.wait([canceling])
    hold.go.set()
    await let_others_run()

    assert await states(client, store, task.id) == {"CANCELED"}


async def test_of_two_cancellations_at_once_one_is_told_it_canceled_and_none_before_that_is_kept() -> None:
    hooked: list[str] = []

    async def on_cancel(task_id: str) -> None:
        hooked.append(task_id)

    store = FaultyStore()
    client = LocalClient(only(Skills().ask, on_cancel=on_cancel), store)
    task = await asked(client)
    hold = store.hold("save", "before")
    both = [asyncio.create_task(client.cancel_task(CancelTaskRequest(id=task.id))) for _ in range(2)]
    await hold.reached.wait()
    await let_others_run()
    told_early = [canceling.done() for canceling in both]
    hold.go.set()
    async with asyncio.timeout(5):
        first, second = await asyncio.gather(*both, return_exceptions=True)

    assert told_early == [False, False]
    assert state(first) == "CANCELED"
    assert isinstance(second, TaskNotCancelable)
    assert hooked == [task.id]


# Replies that come late, or whose task stays


async def test_a_stream_gives_the_reply_though_a_wait_for_it_was_canceled() -> None:
    """A server cancels the wait to write a sign of life."""
    skills = Skills()
    client = LocalClient(only(skills.reply, replies=True))
    follower = await client.handler.stream_message(said(), CALL)
    waiting = asyncio.create_task(follower.batch())
    await let_others_run()
    waiting.cancel()
    await asyncio.wait([waiting])
    skills.go.set()
    async with asyncio.timeout(5):
        (event,) = await follower.batch()
        rest = await follower.batch()
    follower.close()

    assert event.response.message is not None
    assert event.response.message.spoken_text() == "run 1"
    assert rest == []


async def test_a_reply_is_given_though_the_store_cannot_forget_its_task() -> None:
    skills, store = Skills(), FaultyStore()
    skills.go.set()
    store.fail("forget", "before")
    client = LocalClient(only(skills.reply, replies=True), store)
    async with asyncio.timeout(5):
        answer = await client.send_message(said())
        await let_others_run()
        (left,) = (await store.list(TaskQuery(owner=OWNER, page_size=10))).tasks
        is_live = client.handler._turns.find(left.id, OWNER) is not None
        canceled = await client.cancel_task(CancelTaskRequest(id=left.id))

    assert isinstance(answer, Message)
    assert not is_live
    assert state(canceled) == "CANCELED"


# Private skills of an agent that anybody may call


class Open:
    """An agent that asks nobody who they are, with a skill for those who say it all the same."""

    def __init__(self) -> None:
        self.known, self.public = Skills(), Skills()
        agent = Agent(name="Two", description="Two skills.", version="1")
        agent.skill(id="greet", description="For all.", tags=["greeting"])(self.public.work)
        private = agent.skill(id="vault", description="For some.", tags=["treasure"], is_private=True)
        private(self.known.work)
        self.authenticator = Authenticator([ApiKey(keys={"alice": SecretStr(KEY)})], [{}])
        self.handler = RequestHandler(agent.skills, FaultyStore(), authenticator=self.authenticator)

    async def send(self, request: SendMessageRequest, caller: Caller = ANONYMOUS) -> Task | Message:
        return await self.handler.send_message(request, CallContext(caller))


@pytest.mark.parametrize(("text", "skill"), [("hello", "vault"), ("the treasure", None)])
async def test_a_private_skill_does_not_run_for_nobody(text: str, skill: str | None) -> None:
    """13.3"""
    agent = Open()
    with pytest.raises(Unauthenticated):
        await agent.send(said(text, skill=skill))

    assert (agent.known.runs, agent.public.runs) == (0, 0)


@pytest.mark.parametrize("skill", ["no such skill", None])
async def test_a_private_skill_is_not_named_to_nobody(skill: str | None) -> None:
    """13.3"""
    task = await Open().send(said("xyzzy", skill=skill))

    assert isinstance(task, Task)
    assert task.status.message is not None
    assert state(task) == "REJECTED"
    assert "greet" in task.status.message.spoken_text()
    assert "vault" not in task.status.message.spoken_text()


async def test_a_private_skill_runs_for_who_says_their_name() -> None:
    """13.3"""
    agent = Open()
    alice = await agent.authenticator.authenticate({"x-api-key": KEY}, {})
    task = await agent.send(said(skill="vault"), alice)

    assert (state(task), agent.known.runs) == ("COMPLETED", 1)
