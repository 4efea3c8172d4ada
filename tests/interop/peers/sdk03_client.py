# mypy: ignore-errors
"""The official SDK 0.3.26's client against an agent that behaves as sdk03_agent.py's: `sdk03_client.py URL`.

Runs in the environment sdk03, where `a2a` is the SDK. Prints one JSON object, check -> what came of it: "ok"
or "failed: what".
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
from a2a.client.errors import A2AClientJSONRPCError

from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import (
    AgentCard,
    GetTaskPushNotificationConfigParams,
    Message,
    MessageSendConfiguration,
    Part,
    PushNotificationConfig,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TaskState,
    TextPart,
    TransportProtocol,
)

CHECK_S = 15.0


class Checks:
    """Each public method is a check; what it raises is its failure."""

    def __init__(self, card: AgentCard) -> None:
        self._card = card
        self._plain = self._client(streaming=False)
        self._streaming = self._client(streaming=True)

    def _client(self, *, streaming: bool) -> Client:
        config = ClientConfig(
            streaming=streaming,
            supported_transports=[TransportProtocol.jsonrpc],
            httpx_client=httpx.AsyncClient(trust_env=False, timeout=CHECK_S),
        )
        return ClientFactory(config).create(self._card)

    async def card_names_the_skill(self) -> None:
        assert [skill.id for skill in self._card.skills] == ["obey"], self._card.skills
        assert self._card.protocol_version.startswith("0.3"), self._card.protocol_version

    async def blocking_send_completes(self) -> None:
        task = await self._send("echo hello")
        assert task.status.state is TaskState.completed, task
        assert text_of(task) == "hello", task

    async def failed_task_says_why(self) -> None:
        task = await self._send("fail")
        assert task.status.state is TaskState.failed, task
        assert "as told" in task.status.message.parts[0].root.text, task

    async def question_is_answered_in_the_same_task(self) -> None:
        asked = await self._send("ask")
        assert asked.status.state is TaskState.input_required, asked
        task = await self._send("Oslo", task_id=asked.id, context_id=asked.context_id)
        assert (task.id, text_of(task)) == (asked.id, "you said Oslo"), task

    async def stream_gives_task_then_chunks_then_the_end(self) -> None:
        events = [event async for event in self._streaming.send_message(said("chunks"))]
        chunks = [update for _, update in events if isinstance(update, TaskArtifactUpdateEvent)]
        assert events[0][1] is None, events[0]
        assert [chunk.artifact.parts[0].root.text for chunk in chunks] == ["chunk 0 ", "chunk 1 ", "chunk 2 "]
        task, last = events[-1]
        assert last.final, last
        assert task.status.state is TaskState.completed, task

    async def get_gives_the_task(self) -> None:
        sent = await self._send("echo hello")
        task = await self._plain.get_task(TaskQueryParams(id=sent.id))
        assert (task.id, text_of(task)) == (sent.id, "hello"), task

    async def unknown_task_is_not_found(self) -> None:
        await raises(-32001, self._plain.get_task(TaskQueryParams(id="no-such-task")))

    async def message_to_an_ended_task_is_refused(self) -> None:
        sent = await self._send("echo hello")
        await raises(-32004, self._send("more", task_id=sent.id, context_id=sent.context_id))

    async def cancel_ends_a_running_task(self) -> None:
        async with self._waiting_task() as waiting:
            task = await self._plain.cancel_task(TaskIdParams(id=waiting.id))
            assert task.status.state is TaskState.canceled, task

    async def cancel_of_an_ended_task_is_refused(self) -> None:
        sent = await self._send("echo hello")
        await raises(-32002, self._plain.cancel_task(TaskIdParams(id=sent.id)))

    async def resubscriber_sees_the_task_and_its_end(self) -> None:
        async with self._waiting_task() as waiting:
            events = self._streaming.resubscribe(TaskIdParams(id=waiting.id))
            first, _ = await anext(events)
            assert first.id == waiting.id, first
            await self._plain.cancel_task(TaskIdParams(id=waiting.id))
            states = [task.status.state async for task, _ in events]
            assert states[-1] is TaskState.canceled, states

    async def push_config_is_set_and_got(self) -> None:
        async with self._waiting_task() as waiting:
            config = PushNotificationConfig(id="mine", url="http://127.0.0.1:9/hook", token="word")  # noqa: S106
            created = await self._plain.set_task_callback(
                TaskPushNotificationConfig(task_id=waiting.id, push_notification_config=config)
            )
            assert created.push_notification_config.url == config.url, created
            asked = GetTaskPushNotificationConfigParams(id=waiting.id, push_notification_config_id="mine")
            found = await self._plain.get_task_callback(asked)
            assert (found.task_id, found.push_notification_config.id) == (waiting.id, "mine"), found

    async def _send(self, text: str, *, blocking: bool = True, **ids: str) -> Task:
        configuration = MessageSendConfiguration(blocking=blocking)
        sending = self._plain.send_message(said(text, **ids), configuration=configuration)
        ((task, _),) = [event async for event in sending]
        return task

    @asynccontextmanager
    async def _waiting_task(self) -> AsyncIterator[Task]:
        task = await self._send("wait", blocking=False)
        try:
            yield task
        finally:
            current = await self._plain.get_task(TaskQueryParams(id=task.id))
            if current.status.state is not TaskState.canceled:
                await self._plain.cancel_task(TaskIdParams(id=task.id))


def said(text: str, **ids: str) -> Message:
    return Message(role=Role.user, parts=[Part(TextPart(text=text))], message_id=uuid4().hex, **ids)


def text_of(task: Task) -> str:
    return "".join(part.root.text for part in task.artifacts[-1].parts)


async def raises(code: int, call: Awaitable[object]) -> None:
    try:
        answer = await call
    except A2AClientJSONRPCError as failure:
        if failure.error.code == code:
            return
        raise
    raise AssertionError(f"error {code} was due, {answer} came")


async def outcome(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except Exception as failure:  # noqa: BLE001 whatever it is, it is what the check found
        return f"failed: {type(failure).__name__}: {failure}"
    return "ok"


async def main(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
    checks = Checks(card)
    names = [name for name in vars(Checks) if not name.startswith("_")]
    json.dump({name: await outcome(getattr(checks, name)) for name in names}, sys.stdout, indent=1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
