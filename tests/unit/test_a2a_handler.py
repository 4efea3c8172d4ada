"""The life of a task inside an agent: cancellation, waiting and the end of the process."""

import asyncio

import pytest

from a2a import Agent, Request
from a2a.errors import InvalidParams, ResourceExhausted
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageConfiguration, SendMessageRequest
from a2a.server.context import CallContext
from a2a.server.security import Caller
from a2a.types import Message, Part, Task, TaskState
from tests.support.local_client import LocalClient
from tests.support.scripted_agent import ScriptedAgent

GO_ON_AT_ONCE = SendMessageConfiguration(return_immediately=True)


def new_handler(script: ScriptedAgent, *, max_running: int = 8, max_waiting: int = 8) -> LocalClient:
    return LocalClient(script.agent.skills, max_running=max_running, max_waiting=max_waiting)


async def start(handler: LocalClient, text: str) -> str:
    """The id of a task whose skill waits at its gate."""
    return (await sent_at_once(handler, waiting_message(text))).id


def waiting_message(text: str) -> Message:
    return Message.from_user(Part.from_text(text), metadata={"skillId": "wait"})


async def sent_at_once(handler: LocalClient, message: Message) -> Task:
    answer = await handler.send_message(SendMessageRequest(message=message, configuration=GO_ON_AT_ONCE))
    assert isinstance(answer, Task)
    return answer


async def state_of(handler: LocalClient, task_id: str) -> TaskState:
    return (await handler.get_task(GetTaskRequest(id=task_id))).status.state


async def let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_closing_lets_a_running_skill_finish() -> None:
    script = ScriptedAgent()
    handler = new_handler(script)
    task_id = await start(handler, "last")
    await script.started["last"].wait()
    closing = asyncio.create_task(handler.close(grace_s=10))
    await let_others_run()
    still_waiting = not closing.done()
    script.go["last"].open()
    await closing

    assert still_waiting
    assert await state_of(handler, task_id) is TaskState.COMPLETED


async def test_what_outlasts_the_grace_has_failed_and_may_be_sent_again() -> None:
    script = ScriptedAgent()
    handler = new_handler(script)
    task_id = await start(handler, "for ever")
    await script.started["for ever"].wait()
    await handler.close(grace_s=0)
    status = (await handler.get_task(GetTaskRequest(id=task_id))).status

    assert status.message is not None
    assert (status.state, status.message.metadata) == (TaskState.FAILED, {"retryable": True})
    assert handler.running == 0


async def test_a_task_that_waits_for_a_slot_can_be_canceled() -> None:
    script = ScriptedAgent()
    handler = new_handler(script, max_running=1)
    await start(handler, "first")
    await script.started["first"].wait()
    queued = await start(handler, "queued")
    await let_others_run()
    canceled = await handler.cancel_task(CancelTaskRequest(id=queued))
    script.go["first"].open()
    await handler.close(grace_s=10)

    assert canceled.status.state is TaskState.CANCELED
    assert not script.started["queued"].is_open


async def test_what_runs_is_counted() -> None:
    script = ScriptedAgent()
    handler = new_handler(script)
    for text in ("a", "b"):
        await start(handler, text)
        await script.started[text].wait()
    while_running = handler.running
    for text in ("a", "b"):
        script.go[text].open()
    await handler.close(grace_s=10)

    assert (while_running, handler.running) == (2, 0)


# Tasks that wait


async def test_past_the_bound_of_waiting_tasks_a_new_one_is_refused_and_may_be_sent_again() -> None:
    script = ScriptedAgent()
    handler = new_handler(script, max_running=1, max_waiting=1)
    await start(handler, "first")
    await script.started["first"].wait()
    await start(handler, "second")
    message = waiting_message("third")
    with pytest.raises(ResourceExhausted, match="too many waiting tasks"):
        await sent_at_once(handler, message)
    for text in ("first", "second", "third"):
        script.go[text].open()
    await script.finished["second"].wait()
    again = await handler.send_message(SendMessageRequest(message=message))

    assert isinstance(again, Task)
    assert again.status.state is TaskState.COMPLETED


async def test_a_question_may_be_answered_however_many_wait() -> None:
    script = ScriptedAgent()
    handler = new_handler(script, max_running=1, max_waiting=1)
    question = Message.from_user(Part.from_text("weather"), metadata={"skillId": "ask"})
    asked = await handler.send_message(SendMessageRequest(message=question))
    assert isinstance(asked, Task)
    await start(handler, "busy")
    await script.started["busy"].wait()
    await start(handler, "waiting")
    answer = Message.from_user(Part.from_text("Oslo"), task_id=asked.id, metadata={"skillId": "ask"})
    taken = await sent_at_once(handler, answer)
    for text in ("busy", "waiting"):
        script.go[text].open()
    await handler.close(grace_s=10)

    assert taken.id == asked.id
    assert await state_of(handler, asked.id) is TaskState.COMPLETED


# The context


@pytest.mark.parametrize("context_id", ["x" * 201, "a\nb", "a\x00", "\x7f", "\x85"])
@pytest.mark.parametrize("method", ["send_message", "stream_message"])
async def test_a_context_id_that_is_none_is_refused_by_name(method: str, context_id: str) -> None:
    handler = new_handler(ScriptedAgent())
    message = Message.from_user(Part.from_text("hi"), context_id=context_id)

    with pytest.raises(InvalidParams) as raised:
        await getattr(handler, method)(SendMessageRequest(message=message))
    assert [violation.field for violation in raised.value.violations] == ["message.contextId"]


@pytest.mark.parametrize("context_id", ["x" * 200, "my context", "\u00fc/\u2603"])
async def test_a_client_names_its_context_as_it_likes(context_id: str) -> None:
    message = Message.from_user(Part.from_text("hi"), context_id=context_id, metadata={"skillId": "echo"})
    task = await new_handler(ScriptedAgent()).send_message(SendMessageRequest(message=message))

    assert task.context_id == context_id


# What the caller would like


async def test_a_skill_learns_which_media_types_its_caller_would_like() -> None:
    """3.2.2"""
    seen: list[tuple[str, ...]] = []
    agent = Agent(name="One", description="One skill.", version="1")

    @agent.skill(id="only", description="The only skill.", tags=["only"])
    async def only(request: Request) -> str:
        seen.append(request.accepted_output_modes)
        return ""

    configuration = SendMessageConfiguration(accepted_output_modes=["text/markdown", "image/png"])
    message = Message.from_user(Part.from_text("go"))
    await LocalClient(agent.skills).send_message(
        SendMessageRequest(message=message, configuration=configuration)
    )

    assert seen == [("text/markdown", "image/png")]


async def test_a_skill_learns_who_asks() -> None:
    seen: list[str] = []
    agent = Agent(name="One", description="One skill.", version="1")

    @agent.skill(id="only", description="The only skill.", tags=["only"])
    async def only(request: Request) -> str:
        seen.append(request.caller)
        return ""

    client = LocalClient(agent.skills)
    request = SendMessageRequest(message=Message.from_user(Part.from_text("go")))
    await client.handler.send_message(request, CallContext(caller=Caller("anna", "apiKey")))
    await client.send_message(request)

    assert seen == ["anna", ""]
