"""The life of a task inside an agent: cancellation and the end of the process."""

import asyncio

from a2a.handler import RequestHandler
from a2a.store import MemoryTaskStore
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    SendMessageConfiguration,
    SendMessageRequest,
    TaskState,
)
from tests.support.scripted_agent import ScriptedAgent

GO_ON_AT_ONCE = SendMessageConfiguration(return_immediately=True)


def new_handler(script: ScriptedAgent, *, max_running: int = 8) -> RequestHandler:
    return RequestHandler(script.agent.skills, MemoryTaskStore(), max_running=max_running)


async def start(handler: RequestHandler, text: str) -> str:
    """The id of a task whose skill waits at its gate."""
    message = Message.from_user(Part.from_text(text), metadata={"skillId": "wait"})
    return (await handler.send_message(SendMessageRequest(message=message, configuration=GO_ON_AT_ONCE))).id


async def state_of(handler: RequestHandler, task_id: str) -> TaskState:
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


async def test_closing_cancels_what_outlasts_the_grace() -> None:
    script = ScriptedAgent()
    handler = new_handler(script)
    task_id = await start(handler, "for ever")
    await script.started["for ever"].wait()
    await handler.close(grace_s=0)

    assert await state_of(handler, task_id) is TaskState.CANCELED
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


async def test_a_task_can_be_canceled_before_its_skill_has_begun() -> None:
    script = ScriptedAgent()
    handler = new_handler(script)
    task_id = await start(handler, "not yet")
    canceled = await handler.cancel_task(CancelTaskRequest(id=task_id))

    assert canceled.status.state is TaskState.CANCELED
    assert not script.started["not yet"].is_open


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
