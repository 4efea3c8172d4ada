"""Our own client, with the guarded connections that the coordinator gives it."""

from collections.abc import Awaitable, Callable

from a2a.client import A2AClient
from a2a.guard import AddressPolicy, guarded_client
from a2a.requests import SendMessageRequest
from a2a.types import Message, Part, Task


async def connect(url: str) -> Callable[[], Awaitable[str]]:
    policy = AddressPolicy(allow_loopback=True, allow_private=False)
    client = A2AClient(guarded_client(policy, timeout_s=10), url)

    async def call() -> str:
        message = Message.from_user(Part.from_text("hello, agent"))
        task = await client.send_message(SendMessageRequest(message=message), timeout_s=10)
        assert isinstance(task, Task)
        return task.status.state

    return call
