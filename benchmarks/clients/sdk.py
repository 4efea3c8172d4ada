# mypy: ignore-errors
"""The official SDK's client over JSON-RPC, made from the agent's card. Not streaming, one call is one POST.

Runs in the SDK's environment, where `a2a` is the SDK."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
from a2a.helpers import new_text_message

from a2a.client import ClientConfig, create_client
from a2a.types import Role, SendMessageRequest, TaskState


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    async with httpx.AsyncClient(trust_env=False) as http:
        client = await create_client(url, ClientConfig(streaming=False, httpx_client=http))

        async def call() -> str:
            request = SendMessageRequest(message=new_text_message("hello, agent", role=Role.ROLE_USER))
            states = [event.task.status.state async for event in client.send_message(request)]
            return TaskState.Name(states[-1])

        yield call
