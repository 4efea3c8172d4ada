# mypy: ignore-errors
"""httpx with nothing of A2A on it: the same JSON out and in."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    async with httpx.AsyncClient(trust_env=False) as http:

        async def call() -> str:
            parts = [{"text": "hello, agent"}]
            message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": parts}
            body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
            response = await http.post(url, json=body, headers={"A2A-Version": "1.0"})
            return json.loads(response.content)["result"]["task"]["status"]["state"]

        yield call
