# mypy: ignore-errors
"""What each of the coordinator's peers works with: the three steps of a task, and a call to the echo agent
through one shared httpx client. No client itself: those beside it import it."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

STEPS = ("say one", "say two", "say three")
COMPLETED = "TASK_STATE_COMPLETED"


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """A call that gives the text of the agent's artifact. It ends the run where the remote task did not
    complete."""
    async with httpx.AsyncClient(trust_env=False) as http:

        async def call(instruction: str) -> str:
            message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": instruction}]}
            body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
            response = await http.post(url, json=body, headers={"A2A-Version": "1.0"})
            task = json.loads(response.content)["result"]["task"]
            if task["status"]["state"] != COMPLETED:
                raise SystemExit(f"a call gave {task['status']['state']}")
            return task["artifacts"][0]["parts"][0]["text"]

        yield call


def state_of(results: list[str]) -> str:
    """Of a whole task, as run.py asks for it: completed where each step has its echo."""
    return COMPLETED if tuple(results) == STEPS else f"only {results}"
