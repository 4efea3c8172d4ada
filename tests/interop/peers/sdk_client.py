# mypy: ignore-errors
"""The official SDK 1.3's client against an agent that behaves as sdk_agent.py's: `sdk_client.py URL BINDING`.

Runs in the environment sdk-all, where `a2a` is the SDK. Prints one JSON object, check -> what came of it:
"ok", "skipped: why" or "failed: what".
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import httpx
from a2a.helpers import get_artifact_text, new_text_message
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError

from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)

CHECK_S = 15.0
WEBHOOK_WORD = "for-the-webhook-only"
COMPLETED = TaskState.TASK_STATE_COMPLETED
CANCELED = TaskState.TASK_STATE_CANCELED


class Skipped(Exception):
    pass


class Checks:
    """Each public method is a check; what it raises is its failure."""

    def __init__(self, card: AgentCard, binding: str) -> None:
        self.card = card
        self.client = self._client(binding, streaming=False)
        self.streaming = self._client(binding, streaming=True)

    def _client(self, binding: str, *, streaming: bool) -> Client:
        config = ClientConfig(
            streaming=streaming,
            supported_protocol_bindings=[binding],
            httpx_client=httpx.AsyncClient(trust_env=False, timeout=CHECK_S),
            grpc_channel_factory=grpc.aio.insecure_channel,
        )
        return ClientFactory(config).create(self.card)

    async def card_names_the_skill(self) -> None:
        assert [skill.id for skill in self.card.skills] == ["obey"], self.card.skills

    async def blocking_send_completes(self) -> None:
        task = await self.send("echo hello")
        assert task.status.state == COMPLETED, task
        assert [get_artifact_text(artifact) for artifact in task.artifacts] == ["hello"], task
        assert task.context_id, task

    async def failed_task_says_why(self) -> None:
        task = await self.send("fail")
        assert task.status.state == TaskState.TASK_STATE_FAILED, task
        assert "as told" in str(task.status.message), task

    async def return_immediately_gives_an_unfinished_task(self) -> None:
        async with self.waiting_task() as task:
            assert task.status.state in (
                TaskState.TASK_STATE_SUBMITTED,
                TaskState.TASK_STATE_WORKING,
            ), task

    async def question_is_answered_in_the_same_task(self) -> None:
        asked = await self.send("ask")
        assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED, asked
        assert "Which city?" in str(asked.status.message), asked
        answer = new_text_message("Oslo", role=Role.ROLE_USER, context_id=asked.context_id, task_id=asked.id)
        task = await self.call(SendMessageRequest(message=answer))
        assert task.id == asked.id, task
        assert task.status.state == COMPLETED, task
        assert get_artifact_text(task.artifacts[-1]) == "you said Oslo", task

    async def stream_gives_task_then_chunks_then_the_end(self) -> None:
        message = new_text_message("chunks", role=Role.ROLE_USER)
        events = [event async for event in self.streaming.send_message(SendMessageRequest(message=message))]
        kinds = [event.WhichOneof("payload") for event in events]
        assert kinds[0] == "task", kinds
        chunks = [event.artifact_update for event in events if event.HasField("artifact_update")]
        assert [get_artifact_text(chunk.artifact) for chunk in chunks] == ["chunk 0 ", "chunk 1 ", "chunk 2 "]
        assert [chunk.append for chunk in chunks] == [False, True, True], chunks
        assert events[-1].status_update.status.state == COMPLETED, kinds

    async def get_gives_the_task(self) -> None:
        sent = await self.send("echo hello")
        task = await self.client.get_task(GetTaskRequest(id=sent.id))
        assert task.id == sent.id, task
        assert task.artifacts == sent.artifacts, task
        assert task.history, task

    async def get_without_history_gives_none(self) -> None:
        sent = await self.send("echo hello")
        task = await self.client.get_task(GetTaskRequest(id=sent.id, history_length=0))
        assert not task.history, task

    async def unknown_task_is_not_found(self) -> None:
        await raises(TaskNotFoundError, self.client.get_task(GetTaskRequest(id="no-such-task")))

    async def message_to_an_ended_task_is_refused(self) -> None:
        sent = await self.send("echo hello")
        more = new_text_message("more", role=Role.ROLE_USER, context_id=sent.context_id, task_id=sent.id)
        await raises(UnsupportedOperationError, self.call(SendMessageRequest(message=more)))

    async def list_filters_by_context(self) -> None:
        sent = await self.send("echo hello")
        await self.send("echo others")
        page = await self.client.list_tasks(ListTasksRequest(context_id=sent.context_id))
        assert [task.id for task in page.tasks] == [sent.id], page
        assert not page.tasks[0].artifacts, page
        assert page.total_size == 1, page
        full = ListTasksRequest(context_id=sent.context_id, include_artifacts=True)
        assert (await self.client.list_tasks(full)).tasks[0].artifacts == sent.artifacts

    async def list_pages_through_all(self) -> None:
        sent = {(await self.send("echo hello")).id for _ in range(3)}
        request = ListTasksRequest(page_size=2)
        found: list[str] = []
        while True:
            page = await self.client.list_tasks(request)
            found += [task.id for task in page.tasks]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert sent <= set(found), (sent, found)
        assert len(found) == len(set(found)), found

    async def cancel_ends_a_running_task(self) -> None:
        async with self.waiting_task() as waiting:
            task = await self.client.cancel_task(CancelTaskRequest(id=waiting.id))
            assert task.status.state == CANCELED, task

    async def cancel_of_an_ended_task_is_refused(self) -> None:
        sent = await self.send("echo hello")
        await raises(TaskNotCancelableError, self.client.cancel_task(CancelTaskRequest(id=sent.id)))

    async def subscriber_sees_the_task_and_its_end(self) -> None:
        async with self.waiting_task() as waiting:
            events = self.streaming.subscribe(SubscribeToTaskRequest(id=waiting.id))
            first: StreamResponse = await anext(events)
            assert first.task.id == waiting.id, first
            await self.client.cancel_task(CancelTaskRequest(id=waiting.id))
            states = [event.status_update.status.state async for event in events]
            assert states[-1] == CANCELED, states

    async def subscription_to_an_ended_task_is_refused(self) -> None:
        sent = await self.send("echo hello")
        events = self.streaming.subscribe(SubscribeToTaskRequest(id=sent.id))
        await raises(UnsupportedOperationError, anext(events))

    async def push_config_is_created_read_listed_and_deleted(self) -> None:
        self.need_push()
        async with self.waiting_task() as waiting:
            config = TaskPushNotificationConfig(
                task_id=waiting.id, id="mine", url="http://127.0.0.1:9/hook", token=WEBHOOK_WORD
            )
            created = await self.client.create_task_push_notification_config(config)
            assert (created.id, created.url) == ("mine", config.url), created
            key = {"task_id": waiting.id, "id": "mine"}
            found = await self.client.get_task_push_notification_config(
                GetTaskPushNotificationConfigRequest(**key)
            )
            assert (found.id, found.url) == ("mine", config.url), found
            assert await self.config_ids(waiting) == ["mine"]
            await self.client.delete_task_push_notification_config(
                DeleteTaskPushNotificationConfigRequest(**key)
            )
            assert await self.config_ids(waiting) == []

    async def push_reaches_the_webhook(self) -> None:
        self.need_push()
        posted: asyncio.Queue[bytes] = asyncio.Queue()
        async with webhook(posted) as url, self.waiting_task() as waiting:
            config = TaskPushNotificationConfig(task_id=waiting.id, url=url, token=WEBHOOK_WORD)
            await self.client.create_task_push_notification_config(config)
            await self.client.cancel_task(CancelTaskRequest(id=waiting.id))
            request = await posted.get()
            while b"TASK_STATE_CANCELED" not in request:
                request = await posted.get()
            assert f"x-a2a-notification-token: {WEBHOOK_WORD}".encode() in request.lower(), request

    def need_push(self) -> None:
        if not self.card.capabilities.push_notifications:
            raise Skipped("the card declares no push notifications")

    async def config_ids(self, task: Task) -> list[str]:
        request = ListTaskPushNotificationConfigsRequest(task_id=task.id)
        listed = await self.client.list_task_push_notification_configs(request)
        return [config.id for config in listed.configs]

    async def send(self, text: str) -> Task:
        return await self.call(SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER)))

    async def call(self, request: SendMessageRequest) -> Task:
        (event,) = [event async for event in self.client.send_message(request)]
        assert event.HasField("task"), event
        return event.task

    @asynccontextmanager
    async def waiting_task(self) -> AsyncIterator[Task]:
        message = new_text_message("wait", role=Role.ROLE_USER)
        now = SendMessageConfiguration(return_immediately=True)
        task = await self.call(SendMessageRequest(message=message, configuration=now))
        try:
            yield task
        finally:
            current = await self.client.get_task(GetTaskRequest(id=task.id))
            if current.status.state != CANCELED:
                await self.client.cancel_task(CancelTaskRequest(id=task.id))


async def raises(expected: type[Exception], call: Awaitable[object]) -> None:
    try:
        answer = await call
    except expected:
        return
    raise AssertionError(f"{expected.__name__} was due, {answer} came")


@asynccontextmanager
async def webhook(posted: asyncio.Queue[bytes]) -> AsyncIterator[str]:
    """A server that keeps each request, head and body."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        posted.put_nowait(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


async def outcome(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except Skipped as reason:
        return f"skipped: {reason}"
    except Exception as failure:  # noqa: BLE001 whatever it is, it is what the check found
        return f"failed: {type(failure).__name__}: {failure}"
    return "ok"


async def main(url: str, binding: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
    names = [name for name in vars(Checks) if not name.startswith("_") and name not in HELPERS]
    if binding not in [interface.protocol_binding for interface in card.supported_interfaces]:
        report = dict.fromkeys(names, f"skipped: the card has no {binding} interface")
    else:
        checks = Checks(card, binding)
        report = {name: await outcome(getattr(checks, name)) for name in names}
    json.dump(report, sys.stdout, indent=1)


HELPERS = ("need_push", "config_ids", "send", "call", "waiting_task")

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
