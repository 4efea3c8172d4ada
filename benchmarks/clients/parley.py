"""Our own client, with the guarded connections that the coordinator gives it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from a2a.client import A2AClient
from a2a.guard import AddressPolicy, guarded_client
from a2a.requests import SendMessageRequest
from a2a.types import Message, Part, Task


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    policy = AddressPolicy(allow_loopback=True, allow_private=False)
    async with guarded_client(policy, timeout_s=10) as http:
        client = A2AClient(http, url)

        async def call() -> str:
            message = Message.from_user(Part.from_text("hello, agent"))
            task = await client.send_message(SendMessageRequest(message=message), timeout_s=10)
            assert isinstance(task, Task)
            return task.status.state

        yield call
