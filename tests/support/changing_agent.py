"""An agent whose card can be changed, and whose skill can be made to fail, while it is served."""

import json
from typing import Any

from a2a import Agent, Request, SkillFailed
from a2a.card_types import WELL_KNOWN_PATH
from a2a.settings import AgentSettings

ECHO = {"id": "echo", "description": "Echo a sentence back", "tags": ["echo"], "examples": ["echo hello"]}


class ChangingAgent:
    """An ASGI app. `card` is what is served, without an ETag; `fails` is what the skill does."""

    def __init__(self, url: str, *, name: str = "Changing", capacity: int = 8) -> None:
        self.fails = False
        self.runs = 0
        agent = Agent(name=name, description="Says it again.", version="1.0.0", url=url)
        agent.skill(**ECHO)(self.echo)  # type: ignore[arg-type]  # keywords from a mapping
        self._app = agent.app(AgentSettings(_env_file=None, agent_max_running=capacity))
        self.card: dict[str, Any] = agent.card().to_json()

    async def echo(self, request: Request) -> str:
        self.runs += 1
        if self.fails:
            raise SkillFailed("it is broken")
        return f"heard: {request.text}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != WELL_KNOWN_PATH:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(self.card).encode()})
