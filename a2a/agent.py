"""The author's side: an agent is a name and skills; `app()` makes a server of it."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI

from a2a.card_types import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentProvider,
    AgentSkill,
)
from a2a.deduplication import deduplication
from a2a.logs import configure_logging
from a2a.server.app import Blueprint, Lifespan, build_app
from a2a.server.security import Requirement, Scheme, card_requirements, card_schemes, checked_requirements
from a2a.settings import AgentSettings, read_settings
from a2a.skill import CancelHook, Skill, SkillFunction
from a2a.types import PROTOCOL_VERSION

if TYPE_CHECKING:
    # An agent that stands alone needs no client.
    from a2a.mailbox import MailboxBridge

log = structlog.get_logger(__name__)

FunctionT = TypeVar("FunctionT", bound=SkillFunction)
DEFAULT_MODES = ("text/plain",)


@contextlib.asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


class Agent:
    """An A2A agent. `url` is where its callers reach it, unless AGENT_URL says otherwise; `lifespan` is
    entered before the first request and left after the last.

    `security` are the ways to say who one is, and `requirements` which of them are asked for: None asks for
    any one. With `serves_v03` callers that speak A2A 0.3 are answered too."""

    def __init__(  # noqa: PLR0913 keywords of a declaration, most of them left out
        self,
        *,
        name: str,
        description: str,
        version: str,
        url: str = "http://127.0.0.1:8100",
        provider: AgentProvider | None = None,
        extensions: Sequence[AgentExtension] = (),
        security: Sequence[Scheme] = (),
        requirements: Sequence[Requirement] | None = None,
        serves_v03: bool = False,
        lifespan: Lifespan = _nothing,
    ) -> None:
        self.name = name
        self.description = description
        self.version = version
        self.url = url
        self.provider = provider
        self.extensions = tuple(extensions)
        self.security = tuple(security)
        self.requirements = checked_requirements(self.security, requirements) if self.security else ()
        self.serves_v03 = serves_v03
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
        requirements: Sequence[Requirement] = (),
        is_private: bool = False,
    ) -> Callable[[FunctionT], FunctionT]:
        """Make the decorated function a skill. It takes a Request; it returns, or yields, text, a dict,
        Parts or Artifacts; a generator may also yield Progress.

        With `replies` it may answer with a Reply; a stream of such a skill begins with its first output.
        `on_cancel` is awaited with the task id, for a few seconds, when a task is canceled that waits for
        input; a function that runs is told of its end by CancelledError. `requirements` are the skill's own,
        beside the agent's; a skill that `is_private` is on the extended card alone.

        Raises ValueError for an id that is taken, TypeError for a function that is not async."""

        def register(function: FunctionT) -> FunctionT:
            if id in self._skills:
                raise ValueError(f"the agent has a skill {id!r} already")
            if isfunction(function) and not (iscoroutinefunction(function) or isasyncgenfunction(function)):
                raise TypeError(f"the skill {id!r} has to be an `async def`")
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
                security=tuple(requirements),
                is_private=is_private,
            )
            return function

        return register

    def card(
        self,
        url: str | None = None,
        *,
        grpc_address: str | None = None,
        extensions: Sequence[AgentExtension] = (),
    ) -> AgentCard:
        """The public card, its interfaces at `url` or at the agent's own; `grpc_address` is host:port,
        `extensions` are the server's beside the agent's own."""
        listed = [skill for skill in self._skills.values() if not skill.is_private]
        has_more = len(listed) < len(self._skills)
        return AgentCard(
            name=self.name,
            description=self.description,
            version=self.version,
            supported_interfaces=self._interfaces(url or self.url, grpc_address),
            capabilities=AgentCapabilities(
                streaming=True,
                push_notifications=True,
                extended_agent_card=True if has_more else None,
                extensions=[*self.extensions, *extensions] or None,
            ),
            default_input_modes=list(DEFAULT_MODES),
            default_output_modes=list(DEFAULT_MODES),
            skills=[_card_skill(skill) for skill in listed],
            provider=self.provider,
            security_schemes=card_schemes(self.security) or None,
            security_requirements=card_requirements(self.requirements) or None,
        )

    def _interfaces(self, url: str, grpc_address: str | None) -> list[AgentInterface]:
        interfaces = [_interface(url, "JSONRPC"), _interface(url, "HTTP+JSON")]
        if grpc_address is not None:
            interfaces.append(_interface(grpc_address, "GRPC"))
        if self.serves_v03:
            interfaces.append(_interface(url, "JSONRPC", version="0.3"))
        return interfaces

    def app(self, settings: AgentSettings | None = None) -> FastAPI:
        """The server: card, every operation on each binding, OpenAPI docs at /docs. Settings come from the
        environment. Raises ValueError where the declaration contradicts itself."""
        settings = settings or read_settings(AgentSettings)
        url = str(settings.agent_url or self.url).rstrip("/")
        grpc_address = None
        if settings.agent_grpc_port is not None:
            grpc_address = f"{urlsplit(url).hostname}:{settings.agent_grpc_port}"
        extensions = [deduplication(settings.task_store_url)]
        card = _signed(self.card(url, grpc_address=grpc_address, extensions=extensions), settings)
        extended = None
        if card.capabilities.extended_agent_card:
            if not self.requirements:
                raise ValueError("private skills need `security`: their card is for callers that are known")
            skills = [_card_skill(skill) for skill in self._skills.values()]
            extended = _signed(card.model_copy(update={"skills": skills, "signatures": None}), settings)
        plan = Blueprint(
            card=card,
            extended_card=extended,
            skills=self._skills,
            lifespan=self.lifespan,
            schemes=self.security,
            requirements=self.requirements,
            serves_v03=self.serves_v03,
        )
        return build_app(plan, settings)

    @contextlib.asynccontextmanager
    async def awake(self, settings: AgentSettings | None = None) -> AsyncIterator["MailboxBridge"]:
        """Its mailbox at the coordinator (COORDINATOR_URL), while it runs in this process and listens
        nowhere: for an agent that is there now and then. `work_off` does what waits for it."""
        from a2a.mailbox import in_process_bridge

        settings = settings or read_settings(AgentSettings)
        url = str(settings.agent_url or self.url).rstrip("/")
        app = self.app(settings.model_copy(update={"coordinator_url": None}))
        async with (
            app.router.lifespan_context(app),
            in_process_bridge(app, self.card(url), settings) as mailbox,
        ):
            yield mailbox

    def run(self, *, host: str = "127.0.0.1", port: int) -> None:
        """Serve until interrupted; for agents started as a script."""
        from a2a.server.serving import serve_until_interrupted

        self.url = f"http://{host}:{port}"
        settings = read_settings(AgentSettings)
        app = self.app(settings)
        configure_logging(settings.log_level, settings.log_format)
        log.info("agent.starting", agent=self.name, url=self.url, docs=f"{self.url}/docs")
        serve_until_interrupted(app, host=host, port=port, grace_s=settings.agent_grace_s)


def _card_skill(skill: Skill) -> AgentSkill:
    return AgentSkill(
        id=skill.id,
        name=skill.name,
        description=skill.description,
        tags=list(skill.tags),
        examples=list(skill.examples) or None,
        input_modes=list(skill.input_modes),
        output_modes=list(skill.output_modes),
        security_requirements=card_requirements(skill.security) or None,
    )


def _interface(url: str, binding: str, *, version: str = PROTOCOL_VERSION) -> AgentInterface:
    return AgentInterface(url=url, protocol_binding=binding, protocol_version=version)


def _signed(card: AgentCard, settings: AgentSettings) -> AgentCard:
    """Once at the start: a signature is another one each time, and so would be the card's ETag."""
    if settings.agent_signing_key_file is None:
        return card
    from a2a.signing import sign_card

    try:
        key = settings.agent_signing_key_file.read_text()
        return sign_card(card, key, kid=settings.agent_signing_key_id, alg=settings.agent_signing_algorithm)
    except (OSError, ValueError) as exc:
        raise SystemExit(f"AGENT_SIGNING_KEY_FILE: {exc}") from exc
