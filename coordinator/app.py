"""The coordinator process, put together: `uvicorn coordinator.app:app`."""

import gc
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from a2a.database import Database, sole_owner_lock
from a2a.guard import AddressPolicy, guarded_client
from a2a.logs import configure_logging
from a2a.server.gate import Gate
from a2a.server.handler import Limits, RequestHandler
from a2a.server.operations import Operations
from a2a.server.routes import ProtocolRoute, add_protocol
from a2a.settings import read_settings
from a2a.stores.memory import MemoryTaskStore
from coordinator.api import (
    agents,
    discovery,
    inbox,
    loader,
    notifications,
    problems,
    sessions,
    system,
    tasks,
)
from coordinator.api.catalog import Catalog
from coordinator.api.limits import BodyLimit
from coordinator.api.openapi import with_hidden_shapes
from coordinator.api.services import Services
from coordinator.clock import Now, utc_now
from coordinator.executor.faults import Fault, no_fault
from coordinator.executor.store import release_all_leases
from coordinator.face import Face
from coordinator.loader.running import running_loader
from coordinator.registry.wiring import start_registry
from coordinator.settings import Settings, TaskSettings
from coordinator.version import VERSION
from coordinator.wiring import start_executor
from models.migrate import migrate

log = structlog.get_logger(__name__)

DESCRIPTION = """Give it a task in plain words; it plans steps, sends each to an agent that can do it, and
returns the result with its sources, its gaps and its history. Errors are RFC 9457 problem+json with a
stable `code`.

It is an A2A agent itself: card at `/.well-known/agent-card.json`, JSON-RPC at `POST /`."""

# Base64 in JSON is a third larger than the file; the rest of a request is small.
BODY_OVERHEAD_BYTES = 2**20
MAX_FACE_TASKS = 1_000
MAX_STEP_CONNECTIONS = 4_096
# Beside the stream that a step may hold: cancels, and looks at a remote task.
SPARE_CONNECTIONS = 100


def create_app(settings: Settings | None = None, *, now: Now = utc_now, fault: Fault = no_fault) -> FastAPI:
    settings = settings or read_settings(Settings)
    max_body_bytes = settings.tasks.max_upload_bytes * 4 // 3 + BODY_OVERHEAD_BYTES
    face = Face(str(settings.coordinator_url).rstrip("/"))
    handler = RequestHandler(face.agent.skills, MemoryTaskStore(), limits=Limits(max_running=MAX_FACE_TASKS))

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings.log_level, settings.log_format)
        async with AsyncExitStack() as stack:
            services = await _start(stack, settings, now, fault)
            app.state.services = face.services = services
            await handler.open()
            gc.freeze()
            log.info("coordinator.ready", version=VERSION)
            yield
            face.is_closing = True
            await handler.close(grace_s=0)

    app = FastAPIOffline(
        redoc_url=None, title="Parley coordinator", version=VERSION, description=DESCRIPTION, lifespan=life
    )
    problems.install(app)
    _limit_bodies(app, max_body_bytes)
    for api in (tasks, agents, inbox, sessions, notifications, loader, discovery, system):
        app.include_router(api.router)
    card = face.agent.card()
    app.add_api_route("/", _to_docs, methods=["GET"], include_in_schema=False)
    app.openapi = with_hidden_shapes(app)  # type: ignore[method-assign]  # FastAPI's documented way
    gate = Gate(card.capabilities.extensions or ())
    route = ProtocolRoute(card, Operations(handler), gate, base_path="", max_body_bytes=max_body_bytes)
    # After the API's own: a tenant named "api" could otherwise be read into their paths.
    add_protocol(app, route, card)
    return app


def _limit_bodies(app: FastAPI, max_bytes: int) -> None:
    def is_api(path: str) -> bool:
        return path.startswith("/api/")

    advice = "send less, or raise TASKS_MAX_UPLOAD_BYTES"
    app.add_middleware(BodyLimit, max_bytes=max_bytes, covers=is_api, advice=advice)
    app.add_middleware(
        BodyLimit, max_bytes=discovery.MAX_QUERY_BYTES, covers=discovery.QUERY_PATHS.__contains__
    )


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")


async def _start(stack: AsyncExitStack, settings: Settings, now: Now, fault: Fault) -> Services:
    """Everything the process needs, in the order in which it is stopped again from the end."""
    await migrate(settings.database_url)
    database = Database(settings.database_url)
    stack.push_async_callback(database.close)
    await _take_over(stack, settings, database)
    policy = AddressPolicy(
        allow_loopback=settings.agents.allow_loopback, allow_private=settings.agents.allow_private
    )
    # Steps and the registry have connections of their own: neither keeps the other from its agents.
    enter, connections = stack.enter_async_context, step_connections(settings.tasks)
    steps_http = await enter(
        guarded_client(policy, timeout_s=settings.steps.timeout_s, max_connections=connections)
    )
    # The agents of the folder are the operator's own, whatever is asked of others.
    folder_token = secrets.token_urlsafe()
    # Before the executor, so that the agents end after the steps that they work on.
    served = await enter(running_loader(settings, database, now, join_token=folder_token))
    executor = await start_executor(stack, settings, database, steps_http, fault=fault, now=now)
    registry, prover = await start_registry(
        stack, settings, database, policy, executor.pushes, own_tokens=[folder_token], now=now
    )
    return Services(
        database=database,
        registry=registry,
        prover=prover,
        executor=executor,
        catalog=Catalog(executor.network, str(settings.coordinator_url)),
        settings=settings,
        now=now,
        loader=served,
    )


def step_connections(tasks: TaskSettings) -> int:
    """One for every step that may run at once, within what a process can hold open."""
    return min(tasks.max_running * tasks.max_parallel_steps + SPARE_CONNECTIONS, MAX_STEP_CONNECTIONS)


async def _take_over(stack: AsyncExitStack, settings: Settings, database: Database) -> None:
    """The only process on a SQLite file need not wait for the leases of the one that died before it."""
    lock = sole_owner_lock(settings.database_url)
    if lock is None:
        return
    stack.callback(lock.close)
    orphans = await database.write(release_all_leases)
    if orphans:
        log.info("tasks.taken_over", count=orphans)


app = create_app()
