# mypy: ignore-errors
"""aiohttp with nothing of A2A on it: the same JSON out and in."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    async with aiohttp.ClientSession() as http:

        async def call() -> str:
            parts = [{"text": "hello, agent"}]
            message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": parts}
            body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
            async with http.post(url, json=body, headers={"A2A-Version": "1.0"}) as response:
                return json.loads(await response.read())["result"]["task"]["status"]["state"]

        yield call
