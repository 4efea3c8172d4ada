"""The author's side: an agent is a name and skills; `app()` makes a server of it."""

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from fastapi import FastAPI

from a2a.card_types import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentProvider,
    AgentSkill,
)
from a2a.server.app import build_app
from a2a.settings import AgentSettings, read_settings
from a2a.skill import CancelHook, Skill, SkillFunction
from a2a.types import PROTOCOL_VERSION

Lifespan = Callable[[], contextlib.AbstractAsyncContextManager[None]]
FunctionT = TypeVar("FunctionT", bound=SkillFunction)
DEFAULT_MODES = ("text/plain",)


@contextlib.asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


class Agent:
    """An A2A agent. `url` is where its callers reach it, unless AGENT_URL says otherwise;
    `lifespan` is entered before the first request and left after the last."""

    def __init__(
        self,
        *,
        name: str,
        description: str,
        version: str,
        url: str,
        provider: AgentProvider | None = None,
        extensions: Sequence[AgentExtension] = (),
        lifespan: Lifespan = _nothing,
    ) -> None:
        self.name = name
        self.description = description
        self.version = version
        self.url = url
        self.provider = provider
        self.extensions = tuple(extensions)
        self.lifespan = lifespan
        self._skills: dict[str, Skill] = {}

    @property
    def skills(self) -> Mapping[str, Skill]:
        return self._skills

    def skill(  # noqa: PLR0913 keywords of a declaration, most of them left out
        self,
        *,
        id: str,  # noqa: A002 the card's own word
        description: str,
        tags: Sequence[str],
        name: str | None = None,
        examples: Sequence[str] = (),
        input_modes: Sequence[str] = DEFAULT_MODES,
        output_modes: Sequence[str] = DEFAULT_MODES,
        replies: bool = False,
        on_cancel: CancelHook | None = None,
    ) -> Callable[[FunctionT], FunctionT]:
        """Make the decorated function a skill. It takes a Request; it returns, or yields, text, a dict,
        Parts or Artifacts; a generator may also yield Progress.

        With `replies` it may answer with a Reply; a stream of such a skill begins with its first output.
        `on_cancel` is awaited with the task id, for a few seconds, when a task is canceled that waits for
        input; a function that runs is told of its end by CancelledError."""

        def register(function: FunctionT) -> FunctionT:
            self._skills[id] = Skill(
                id=id,
                name=name or id.replace("_", " ").capitalize(),
                description=description,
                tags=tuple(tags),
                examples=tuple(examples),
                input_modes=tuple(input_modes),
                output_modes=tuple(output_modes),
                function=function,
                replies=replies,
                on_cancel=on_cancel,
            )
            return function

        return register

    def card(self, url: str | None = None) -> AgentCard:
        """The agent card, its interface at `url` or at the agent's own."""
        skills = list(self._skills.values())
        return AgentCard(
            name=self.name,
            description=self.description,
            version=self.version,
            supported_interfaces=[
                AgentInterface(
                    url=url or self.url,
                    protocol_binding="JSONRPC",
                    protocol_version=PROTOCOL_VERSION,
                )
            ],
            capabilities=AgentCapabilities(
                streaming=True, push_notifications=False, extensions=list(self.extensions) or None
            ),
            default_input_modes=list(DEFAULT_MODES),
            default_output_modes=list(DEFAULT_MODES),
            skills=[_card_skill(skill) for skill in skills],
            provider=self.provider,
        )

    def app(self, settings: AgentSettings | None = None) -> FastAPI:
        """The server: card, JSON-RPC with SSE, OpenAPI docs at /docs. Settings come from the environment."""
        settings = settings or read_settings(AgentSettings)
        url = str(settings.agent_url or self.url).rstrip("/")
        return build_app(self.card(url), self._skills, self.lifespan, settings)

    def run(self, *, host: str = "127.0.0.1", port: int) -> None:
        """Serve until interrupted; for agents started as a script."""
        import uvicorn

        self.url = f"http://{host}:{port}"
        settings = read_settings(AgentSettings)
        # Without it a follower of a long task would hold up the end of the process for as long as it likes.
        graceful_s = math.ceil(settings.agent_grace_s)
        uvicorn.run(
            self.app(settings),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=graceful_s,
        )


def _card_skill(skill: Skill) -> AgentSkill:
    return AgentSkill(
        id=skill.id,
        name=skill.name,
        description=skill.description,
        tags=list(skill.tags),
        examples=list(skill.examples) or None,
        input_modes=list(skill.input_modes),
        output_modes=list(skill.output_modes),
    )
