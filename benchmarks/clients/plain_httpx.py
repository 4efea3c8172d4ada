# mypy: ignore-errors
"""httpx with nothing of A2A on it: the same JSON out and in."""

import json
import uuid
from collections.abc import Awaitable, Callable

import httpx


async def connect(url: str) -> Callable[[], Awaitable[str]]:
    http = httpx.AsyncClient(trust_env=False)

    async def call() -> str:
        message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": "hello, agent"}]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        response = await http.post(url, json=body, headers={"A2A-Version": "1.0"})
        return json.loads(response.content)["result"]["task"]["status"]["state"]

    return call
