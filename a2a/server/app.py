"""One agent as an HTTP server, put together: the protocol's route, health, docs, life with a coordinator."""

import gc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from a2a.addresses import AddressPolicy
from a2a.background import background_loop, every
from a2a.card_types import WELL_KNOWN_PATH, AgentCard
from a2a.logs import configure_logging
from a2a.server.docs import agent_description, with_protocol
from a2a.server.gate import Gate
from a2a.server.handler import Limits, RequestHandler
from a2a.server.operations import Operations
from a2a.server.pushes import Pushes
from a2a.server.routes import ProtocolApp, ProtocolRoute
from a2a.server.security import Authenticator, OAuth2ClientCredentials, Requirement, Scheme
from a2a.settings import AgentSettings
from a2a.skill import Skill
from a2a.stores.base import TaskStore
from a2a.stores.memory import MemoryTaskStore

SAVE_RUNNING_EVERY_S = 1.0
DAY_S = 86_400.0
KEYS_TIMEOUT_S = 5.0
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What an author has declared, as the server needs it. `extended_card` is None where it is the card."""

    card: AgentCard
    extended_card: AgentCard | None
    skills: Mapping[str, Skill]
    lifespan: Lifespan
    schemes: Sequence[Scheme]
    requirements: Sequence[Requirement] | None
    serves_v03: bool


def build_app(plan: Blueprint, settings: AgentSettings) -> FastAPI:
    card = plan.card
    stack = AsyncExitStack()
    authenticator = _authenticator(plan, stack)
    handler = _handler(plan, settings, authenticator)
    gate = Gate(card.capabilities.extensions or (), authenticator)
    operations = Operations(handler)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings.log_level, settings.log_format)
        if handler.is_closed:
            raise RuntimeError("this app has been served once; make a new one with agent.app()")
        async with stack:
            await stack.enter_async_context(plan.lifespan())
            await handler.open()
            stack.push_async_callback(handler.close, grace_s=settings.agent_grace_s)
            await _enter_loops(stack, plan, settings, handler, operations, gate)
            if settings.coordinator_url is not None:
                joined = _with_mailbox(app, card, settings) if settings.agent_mailbox else None
                await stack.enter_async_context(joined or _registered(card, handler, settings))
            _spare_the_collector()
            yield

    route = ProtocolRoute(
        card,
        operations,
        gate,
        base_path=urlsplit(card.supported_interfaces[0].url).path,
        max_body_bytes=settings.agent_max_body_bytes,
        serves_v03=plan.serves_v03,
    )
    app = ProtocolApp(
        route,
        title=card.name,
        version=card.version,
        description=agent_description(card),
        lifespan=life,
    )
    app.state.drain = partial(handler.drain, grace_s=settings.agent_grace_s)
    app.openapi = with_protocol(app.openapi, card)  # type: ignore[method-assign]  # FastAPI's documented way
    # For a person who opens the server's address in a browser.
    app.add_api_route("/", _to_docs, methods=["GET"], include_in_schema=False)
    app.add_api_route("/health", _health, methods=["GET"], tags=["operation"], summary="Liveness")
    app.add_api_route("/health", _health, methods=["HEAD"], include_in_schema=False)
    return app


def _handler(plan: Blueprint, settings: AgentSettings, authenticator: Authenticator | None) -> RequestHandler:
    store = _store(settings)
    limits = Limits(max_running=settings.agent_max_running, max_streams=settings.agent_max_streams)
    pushes = Pushes(store, _push_policy(plan.card, settings), grace_s=settings.agent_grace_s)
    return RequestHandler(
        plan.skills,
        store,
        limits=limits,
        pushes=pushes,
        extended_card=plan.extended_card,
        authenticator=authenticator,
    )


def _store(settings: AgentSettings) -> TaskStore:
    if settings.task_store_url is None:
        return MemoryTaskStore()
    from a2a.stores.sql import SqlTaskStore

    return SqlTaskStore(settings.task_store_url, keep_s=settings.task_store_keep_days * DAY_S)


def _push_policy(card: AgentCard, settings: AgentSettings) -> AddressPolicy:
    """An agent that is reached by loopback itself may tell its neighbours, unless a setting says no."""
    allow_loopback = settings.agent_push_allow_loopback
    if allow_loopback is None:
        allow_loopback = urlsplit(card.supported_interfaces[0].url).hostname in _LOOPBACK_HOSTS
    return AddressPolicy(allow_loopback=allow_loopback, allow_private=settings.agent_push_allow_private)


def _authenticator(plan: Blueprint, stack: AsyncExitStack) -> Authenticator | None:
    if not plan.schemes:
        return None
    http = None
    if any(isinstance(scheme, OAuth2ClientCredentials) for scheme in plan.schemes):
        import httpx

        http = httpx.AsyncClient(trust_env=False, timeout=KEYS_TIMEOUT_S)
        stack.push_async_callback(http.aclose)
    return Authenticator(plan.schemes, plan.requirements, realm=plan.card.name, http=http)


async def _enter_loops(
    stack: AsyncExitStack,
    plan: Blueprint,
    settings: AgentSettings,
    handler: RequestHandler,
    operations: Operations,
    gate: Gate,
) -> None:
    if settings.task_store_url is not None:
        saving = every(SAVE_RUNNING_EVERY_S, handler.save_running, name="save running tasks")
        await stack.enter_async_context(background_loop(saving, name="save running tasks"))
    if settings.agent_grpc_port is not None:
        from a2a.grpc.service import serve_grpc

        # The host of the HTTP server is not known here, and gRPC has one of its own to bind.
        host = urlsplit(plan.card.supported_interfaces[0].url).hostname
        bind = "127.0.0.1" if host in _LOOPBACK_HOSTS else "0.0.0.0"  # noqa: S104 reached from elsewhere
        served = serve_grpc(
            operations,
            gate,
            host=bind,
            port=settings.agent_grpc_port,
            grace_s=settings.agent_grace_s,
            max_request_bytes=settings.agent_max_body_bytes,
        )
        await stack.enter_async_context(served)


def _spare_the_collector() -> None:
    """What is there at the start stays; looking through it again and again shows in the slowest answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")


async def _health() -> dict[str, str]:
    """Says that the process answers."""
    return {"status": "ok"}


@asynccontextmanager
async def _registered(
    card: AgentCard, handler: RequestHandler, settings: AgentSettings
) -> AsyncIterator[None]:
    """Registered with the coordinator for as long as the context lasts."""
    # An agent that stands alone needs no client.
    import httpx

    from a2a.registration import Load, Registrar

    interface, token = card.supported_interfaces[0], settings.coordinator_join_token
    async with httpx.AsyncClient(trust_env=False) as http:
        registrar = Registrar(
            http,
            coordinator_url=str(settings.coordinator_url).rstrip("/"),
            card_url=interface.url + WELL_KNOWN_PATH,
            load=lambda: Load(running=handler.running, capacity=settings.agent_max_running),
            join_token=token.get_secret_value() if token is not None else None,
        )
        async with background_loop(registrar.run(), name="registration"):
            yield
        await registrar.leave()


@asynccontextmanager
async def _with_mailbox(app: FastAPI, card: AgentCard, settings: AgentSettings) -> AsyncIterator[None]:
    """The same for an agent that the coordinator cannot call: it fetches its requests."""
    from a2a.mailbox import in_process_bridge

    async with in_process_bridge(app, card, settings) as bridge:
        async with background_loop(bridge.run(), name="mailbox"):
            yield
        await bridge.leave(grace_s=settings.agent_grace_s)
