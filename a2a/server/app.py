"""One agent as an HTTP server: the card, the JSON-RPC endpoint, health, docs, and life with a coordinator."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from fastapi_offline import FastAPIOffline
from starlette.requests import ClientDisconnect

from a2a.background import background_loop
from a2a.card_types import WELL_KNOWN_PATH, AgentCard
from a2a.errors import InvalidRequest, VersionNotSupported
from a2a.logs import configure_logging
from a2a.registration import Load, Registrar
from a2a.server.docs import agent_description, rpc_operation
from a2a.server.handler import RequestHandler
from a2a.server.jsonrpc import JsonRpc, error_body, request_id_in
from a2a.settings import AgentSettings
from a2a.skill import Skill
from a2a.stores.memory import MemoryTaskStore
from a2a.types import PROTOCOL_VERSION

CARD_MAX_AGE_S = 60
JSON_TYPES = ("application/json", "application/a2a+json")
SSE_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class A2AEndpoint:
    """The two routes every A2A server has; also mounted by a server that is more than an agent."""

    def __init__(self, card: AgentCard, rpc: JsonRpc, *, max_body_bytes: int) -> None:
        self._card_body = card.model_dump_json(exclude_none=True).encode()
        self._etag = f'"{hashlib.sha256(self._card_body).hexdigest()[:32]}"'
        self._rpc = rpc
        self._max_body_bytes = max_body_bytes

    async def card(self, request: Request) -> Response:
        """The agent card (specification 8.1), cacheable by its ETag."""
        headers = {"ETag": self._etag, "Cache-Control": f"public, max-age={CARD_MAX_AGE_S}"}
        known = request.headers.get("if-none-match", "")
        if self._etag in known or known.strip() == "*":
            return Response(status_code=304, headers=headers)
        return Response(self._card_body, media_type="application/json", headers=headers)

    async def call(self, request: Request) -> Response:
        """One JSON-RPC 2.0 call (specification 9)."""
        try:
            body = await _read_body(request, self._max_body_bytes)
        except ClientDisconnect:
            return Response(status_code=400)  # for the access log: nobody is there to read it
        if body is None:
            refusal = InvalidRequest(f"The request is over {self._max_body_bytes:,} bytes.")
            return _rpc_response(error_body(None, refusal), status_code=413)
        version = request.headers.get("a2a-version") or request.query_params.get("A2A-Version")
        if _major_minor(version) != PROTOCOL_VERSION:
            return _rpc_response(error_body(request_id_in(body), VersionNotSupported()))
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in JSON_TYPES:
            refusal = InvalidRequest("Send the request with Content-Type: application/json.")
            return _rpc_response(error_body(request_id_in(body), refusal), status_code=415)
        answer = await self._rpc.answer(body)
        if isinstance(answer, bytes):
            return _rpc_response(answer)
        return StreamingResponse(answer, media_type="text/event-stream", headers=SSE_HEADERS)


def build_app(
    card: AgentCard,
    skills: Mapping[str, Skill],
    lifespan: Callable[[], AbstractAsyncContextManager[None]],
    settings: AgentSettings,
) -> FastAPI:
    handler = RequestHandler(skills, MemoryTaskStore(), max_running=settings.agent_max_running)
    endpoint = A2AEndpoint(card, JsonRpc(handler), max_body_bytes=settings.agent_max_body_bytes)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings.log_level, settings.log_format)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(lifespan())
            stack.push_async_callback(handler.close, grace_s=settings.agent_grace_s)
            if settings.coordinator_url is not None:
                await stack.enter_async_context(_registered(card, handler, settings))
            yield

    app = FastAPIOffline(
        redoc_url=None,
        title=card.name,
        version=card.version,
        description=agent_description(card),
        lifespan=life,
    )
    add_a2a_routes(app, endpoint, card)
    app.add_api_route("/health", _health, methods=["GET"], tags=["operation"], summary="Liveness")
    app.add_api_route("/health", _health, methods=["HEAD"], include_in_schema=False)
    return app


def add_a2a_routes(app: FastAPI, endpoint: A2AEndpoint, card: AgentCard) -> None:
    """The card at its well-known path and the JSON-RPC endpoint at the root."""
    app.add_api_route(
        WELL_KNOWN_PATH,
        endpoint.card,
        methods=["GET"],
        response_model=AgentCard,
        tags=["A2A"],
        summary="Agent card",
    )
    app.add_api_route(WELL_KNOWN_PATH, endpoint.card, methods=["HEAD"], include_in_schema=False)
    app.add_api_route(
        "/",
        endpoint.call,
        methods=["POST"],
        tags=["A2A"],
        summary="JSON-RPC endpoint",
        openapi_extra=rpc_operation(card),
    )
    # For a person who opens the server's address in a browser.
    app.add_api_route("/", _to_docs, methods=["GET"], include_in_schema=False)


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
    interface = card.supported_interfaces[0]
    async with httpx.AsyncClient(trust_env=False) as http:
        registrar = Registrar(
            http,
            coordinator_url=str(settings.coordinator_url).rstrip("/"),
            card_url=interface.url + WELL_KNOWN_PATH,
            load=lambda: Load(running=handler.running, capacity=settings.agent_max_running),
        )
        async with background_loop(registrar.run(), name="registration"):
            yield
        await registrar.leave()


def _major_minor(version: str | None) -> str:
    """An absent version means 0.3 (3.6.2); the patch number does not count."""
    return ".".join((version or "0.3").strip().split(".")[:2])


async def _read_body(request: Request, max_bytes: int) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)


def _rpc_response(body: bytes, status_code: int = 200) -> Response:
    return Response(body, status_code=status_code, media_type="application/json")
