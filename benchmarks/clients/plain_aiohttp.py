# mypy: ignore-errors
"""aiohttp with nothing of A2A on it: the same JSON out and in."""

import json
import uuid
from collections.abc import Awaitable, Callable

import aiohttp


async def connect(url: str) -> Callable[[], Awaitable[str]]:
    http = aiohttp.ClientSession()

    async def call() -> str:
        message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": "hello, agent"}]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        async with http.post(url, json=body, headers={"A2A-Version": "1.0"}) as response:
            return json.loads(await response.read())["result"]["task"]["status"]["state"]

    return call
