"""What a skill gives beside results: replies without a task, too much, and a hook for cancellation."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from a2a.agent import Agent
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageConfiguration, SendMessageRequest
from a2a.server.live import MAX_TURN_EVENTS
from a2a.skill import InputRequired, Produced, Progress, Rejected, Reply, Request
from a2a.stores.base import TaskQuery
from a2a.stores.memory import MemoryTaskStore
from a2a.types import Message, Part, StreamResponse, Task, TaskState
from tests.support.local_client import LocalClient
from tests.support.waiting import Gate


async def let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def sent_at_once(handler: LocalClient, message: Message) -> Task:
    at_once = SendMessageConfiguration(return_immediately=True)
    answer = await handler.send_message(SendMessageRequest(message=message, configuration=at_once))
    assert isinstance(answer, Task)
    return answer


def handler_of(
    function: Any, *, max_running: int = 8, store: MemoryTaskStore | None = None, **options: Any
) -> LocalClient:
    agent = Agent(name="One", description="One skill.", version="1", url="http://127.0.0.1:9")
    agent.skill(id="only", description="The only skill.", tags=["only"], **options)(function)
    return LocalClient(agent.skills, store, max_running=max_running)


async def send(handler: LocalClient, text: str) -> Task | Message:
    message = Message.from_user(Part.from_text(text), context_id="c")
    return await handler.send_message(SendMessageRequest(message=message))


async def stream(handler: LocalClient, text: str) -> list[StreamResponse]:
    message = Message.from_user(Part.from_text(text), context_id="c")
    return [event async for event in await handler.stream_message(SendMessageRequest(message=message))]


async def test_a_skill_that_never_ends_its_words_fails_with_the_reason() -> None:
    async def talk(_request: Request) -> AsyncGenerator[Produced]:
        for number in range(MAX_TURN_EVENTS + 1):
            yield Progress(str(number))

    task = await send(handler_of(talk), "go")

    assert isinstance(task, Task)
    assert task.status.message is not None
    assert task.status.state is TaskState.FAILED
    assert "too large" in task.status.message.spoken_text()


# Replies


async def greet(request: Request) -> AsyncGenerator[Produced]:
    """A reply to a greeting; to anything else a task."""
    if request.text == "no":
        raise Rejected("Say hello.")
    if request.text != "hello":
        yield Progress("thinking")
    yield Reply(Part.from_text("hi"), Part.from_data({"a": 1}))
    raise AssertionError("a reply is the end")


async def test_a_reply_is_a_message_and_no_task_is_kept() -> None:
    store = MemoryTaskStore()
    handler = handler_of(greet, store=store, replies=True)
    answer = await send(handler, "hello")

    assert isinstance(answer, Message)
    assert [part.to_json() for part in answer.parts] == [{"text": "hi"}, {"data": {"a": 1}}]
    assert (answer.context_id, answer.task_id) == ("c", None)
    page = await store.list(TaskQuery(owner="\n", page_size=1))
    assert page.total == 0


async def test_a_stream_of_a_reply_is_one_message() -> None:
    (event,) = await stream(handler_of(greet, replies=True), "hello")

    assert event.message is not None
    assert event.message.spoken_text() == "hi"


async def test_one_message_sent_twice_at_once_is_answered_twice_and_run_once() -> None:
    gate, runs = Gate(), []

    async def slow(request: Request) -> Reply:
        runs.append(request.task_id)
        await gate.wait()
        return Reply(Part.from_text("hi"))

    handler = handler_of(slow, replies=True)
    request = SendMessageRequest(message=Message.from_user(Part.from_text("hello")))
    both = [asyncio.create_task(handler.send_message(request)) for _ in range(2)]
    await let_others_run()
    gate.open()
    first, second = await asyncio.gather(*both)

    assert first == second
    assert len(runs) == 1


async def test_a_refusal_by_a_skill_that_replies_is_a_task() -> None:
    handler = handler_of(greet, replies=True)
    task = await send(handler, "no")
    first, *_, last = await stream(handler, "no")

    assert isinstance(task, Task)
    assert task.status.state is TaskState.REJECTED
    assert first.task is not None
    assert last.status_update is not None
    assert last.status_update.status.state is TaskState.REJECTED


async def hello(_request: Request) -> Reply:
    return Reply(Part.from_text("hi"))


async def think(_request: Request) -> AsyncGenerator[Produced]:
    yield Progress("thinking")
    yield Reply(Part.from_text("hi"))


async def ask(request: Request) -> Reply:
    if not request.history:
        raise InputRequired("Who are you?")
    return Reply(Part.from_text("hi"))


def result_of(task: Task | Message) -> list[str | None]:
    assert isinstance(task, Task)
    assert task.status.state is TaskState.COMPLETED
    return [part.text for artifact in task.artifacts or [] for part in artifact.parts]


async def test_a_reply_to_who_did_not_wait_for_it_is_the_result_of_the_task() -> None:
    handler = handler_of(hello, replies=True)
    task = await sent_at_once(handler, Message.from_user(Part.from_text("hello")))
    await handler.close(grace_s=10)

    assert result_of(await handler.get_task(GetTaskRequest(id=task.id))) == ["hi"]


async def test_a_reply_after_other_output_is_the_result_of_the_task() -> None:
    handler = handler_of(think, replies=True)

    assert result_of(await send(handler, "hello")) == ["hi"]
    assert (await stream(handler, "hello"))[0].task is not None


async def test_a_reply_in_a_later_turn_is_the_result_of_the_task() -> None:
    handler = handler_of(ask, replies=True)
    asked = await send(handler, "hello")
    assert isinstance(asked, Task)
    answer = Message.from_user(Part.from_text("Anna"), task_id=asked.id)

    assert result_of(await handler.send_message(SendMessageRequest(message=answer))) == ["hi"]


async def test_a_reply_of_a_skill_that_did_not_say_so_is_the_result_of_the_task() -> None:
    assert result_of(await send(handler_of(hello), "hello")) == ["hi"]


async def test_a_stream_begins_at_once_where_the_skill_has_to_wait_for_its_turn() -> None:
    gate = Gate()

    async def slow(_request: Request) -> Reply:
        await gate.wait()
        return Reply(Part.from_text("hi"))

    handler = handler_of(slow, replies=True, max_running=1)
    running = asyncio.create_task(send(handler, "first"))
    await let_others_run()
    message = Message.from_user(Part.from_text("second"))
    events = await handler.stream_message(SendMessageRequest(message=message))
    async with asyncio.timeout(5):
        first = await anext(events)
    gate.open()
    rest = [event async for event in events]

    assert isinstance(await running, Message)
    assert first.task is not None
    assert rest[-1].status_update is not None
    assert rest[-1].status_update.status.state is TaskState.COMPLETED


# Cancellation of a task that asks


async def canceled_while_asking(on_cancel: Any) -> tuple[str, Task]:
    handler = handler_of(ask, on_cancel=on_cancel)
    asked = await send(handler, "hello")
    assert isinstance(asked, Task)
    return asked.id, await handler.cancel_task(CancelTaskRequest(id=asked.id))


async def test_a_skill_learns_that_its_question_will_not_be_answered() -> None:
    told: list[str] = []

    async def on_cancel(task_id: str) -> None:
        told.append(task_id)

    task_id, canceled = await canceled_while_asking(on_cancel)

    assert told == [task_id]
    assert canceled.status.state is TaskState.CANCELED


async def test_a_skill_that_fails_to_take_the_cancellation_is_canceled_all_the_same() -> None:
    async def on_cancel(_task_id: str) -> None:
        raise RuntimeError("no")

    _, canceled = await canceled_while_asking(on_cancel)

    assert canceled.status.state is TaskState.CANCELED


async def test_a_skill_that_runs_is_told_by_its_cancellation_alone() -> None:
    told: list[str] = []
    gate = Gate()

    async def wait(_request: Request) -> str:
        await gate.wait()
        return ""

    async def on_cancel(task_id: str) -> None:
        told.append(task_id)

    handler = handler_of(wait, on_cancel=on_cancel)
    task = await sent_at_once(handler, Message.from_user(Part.from_text("go")))
    await let_others_run()
    await handler.cancel_task(CancelTaskRequest(id=task.id))

    assert told == []
