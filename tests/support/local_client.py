"""A handler called in the same process, by one caller, with no binding between."""

from collections.abc import AsyncIterator, Mapping
from contextlib import closing

from a2a.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a.server.context import CallContext
from a2a.server.handler import Limits, RequestHandler
from a2a.server.live import Follower
from a2a.skill import Skill
from a2a.stores.base import TaskStore
from a2a.stores.memory import MemoryTaskStore
from a2a.types import Message, StreamResponse, Task

CALL = CallContext()


class LocalClient:
    def __init__(
        self,
        skills: Mapping[str, Skill],
        store: TaskStore | None = None,
        *,
        max_running: int = 8,
        max_waiting: int = 8,
    ) -> None:
        limits = Limits(max_running=max_running, max_waiting=max_waiting)
        self.handler = RequestHandler(skills, store or MemoryTaskStore(), limits=limits)

    @property
    def running(self) -> int:
        return self.handler.running

    async def send_message(self, request: SendMessageRequest) -> Task | Message:
        return await self.handler.send_message(request, CALL)

    async def stream_message(self, request: SendMessageRequest) -> AsyncIterator[StreamResponse]:
        return events_of(await self.handler.stream_message(request, CALL))

    async def subscribe(self, task_id: str) -> AsyncIterator[StreamResponse]:
        return events_of(await self.handler.subscribe(SubscribeToTaskRequest(id=task_id), CALL))

    async def get_task(self, request: GetTaskRequest) -> Task:
        return await self.handler.get_task(request, CALL)

    async def cancel_task(self, request: CancelTaskRequest) -> Task:
        return await self.handler.cancel_task(request, CALL)

    async def close(self, *, grace_s: float) -> None:
        await self.handler.close(grace_s=grace_s)


async def events_of(follower: Follower) -> AsyncIterator[StreamResponse]:
    """Each event of the stream, which is closed at its end."""
    with closing(follower):
        while batch := await follower.batch():
            for event in batch:
                assert event.response is not None
                yield event.response
