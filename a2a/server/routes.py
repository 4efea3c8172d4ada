"""The protocol's paths as one route of a FastAPI app: the card, JSON-RPC and HTTP+JSON."""

from collections.abc import Sequence
from typing import Any

import pydantic_core
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.requests import Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from a2a.card_types import WELL_KNOWN_PATH, AgentCard
from a2a.server.docs import with_protocol
from a2a.server.gate import Gate
from a2a.server.http import (
    CARD_MAX_AGE_S,
    Answer,
    Disconnected,
    HttpRequest,
    Stream,
    cacheable,
    etag_of,
    send_answer,
    send_stream,
)
from a2a.server.jsonrpc import JsonRpc
from a2a.server.operations import Operations
from a2a.server.rest import Rest, Target, find_target

_STATIC_PATH = "/static-offline-docs"
_WELL_KNOWN = WELL_KNOWN_PATH.strip("/").split("/")
# Where 0.2 clients look.
_OLD_WELL_KNOWN = [".well-known", "agent.json"]
_JSON_RPC = "json-rpc"
_CARD = "card"


class ProtocolRoute(BaseRoute):
    """Serves `operations` and `card` below `base_path`, which is the path of the card's URL, and at
    the root of the origin."""

    def __init__(
        self,
        card: AgentCard,
        operations: Operations,
        gate: Gate,
        *,
        base_path: str,
        max_body_bytes: int,
        serves_v03: bool = False,
    ) -> None:
        self._serves_v03 = serves_v03
        self._base = [segment for segment in base_path.split("/") if segment]
        self._rpc = JsonRpc(operations, gate, max_body_bytes=max_body_bytes, serves_v03=serves_v03)
        self._rest = Rest(operations, gate, max_body_bytes=max_body_bytes)
        self._card_answer = Answer(_card_body(card, is_dual=serves_v03))
        self._etag = etag_of(self._card_answer.body)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        target = self.target(scope)
        return (Match.FULL, {"a2a_target": target}) if target is not None else (Match.NONE, {})

    def url_path_for(self, name: str, /, **path_params: object) -> NoMatchFound:  # type: ignore[override]
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope["a2a_target"], scope, receive, send)

    def target(self, scope: Scope) -> Target | str | None:
        """What of the protocol the request is for, if anything."""
        return self._target(scope["method"], _segments(scope["path"])) if scope["type"] == "http" else None

    async def serve(self, target: Target | str, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        try:
            if target == _CARD:
                await send_answer(send, self._card(request))
                return
            if isinstance(target, Target):
                answer = await self._rest.answer(request, target)
            else:
                answer = await self._rpc.answer(request)
        except Disconnected:
            answer = Answer(b"", 400)  # for the access log: nobody is there to read it
        if isinstance(answer, Stream):
            await send_stream(request, send, answer)
        else:
            await send_answer(send, answer)

    def _target(self, method: str, segments: Sequence[str]) -> Target | str | None:
        if self._base and list(segments[: len(self._base)]) == self._base:
            segments = segments[len(self._base) :]
        if not segments:
            return _JSON_RPC if method == "POST" else None
        if list(segments) == _WELL_KNOWN or (self._serves_v03 and list(segments) == _OLD_WELL_KNOWN):
            return _CARD if method in ("GET", "HEAD") else None
        return find_target(method, segments)

    def _card(self, request: HttpRequest) -> Answer:
        """The agent card (8.1), cacheable by its ETag."""
        return cacheable(request, self._card_answer, self._etag, f"public, max-age={CARD_MAX_AGE_S}")


class ProtocolApp(FastAPI):
    """An app that is an agent first: as long as its author has added no middleware, what is the protocol's
    goes straight to its route. FastAPI's own middleware takes about a tenth of the time of a short call."""

    def __init__(self, protocol: ProtocolRoute, **options: Any) -> None:
        super().__init__(docs_url=None, redoc_url=None, **options)
        self._protocol = protocol
        self.router.routes.append(protocol)
        self.mount(_STATIC_PATH, StaticFiles(packages=[("fastapi_offline", "static")]))
        self.add_api_route("/docs", self._docs, methods=["GET"], include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.user_middleware:
            target = self._protocol.target(scope)
            if target is not None:
                await self._protocol.serve(target, scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _docs(self, request: Request) -> HTMLResponse:
        """Swagger UI with the files of an installed package, so that it needs no other host."""
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}{self.openapi_url}",
            title=self.title,
            swagger_js_url=f"{root}{_STATIC_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_STATIC_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_STATIC_PATH}/favicon.png",
        )


def add_protocol(app: FastAPI, route: ProtocolRoute, card: AgentCard) -> None:
    """Serve the protocol beside an app's own routes and after them, its operations in the app's OpenAPI
    document."""
    app.router.routes.append(route)
    app.openapi = with_protocol(app.openapi, card)  # type: ignore[method-assign]  # FastAPI's documented way


def _card_body(card: AgentCard, *, is_dual: bool) -> bytes:
    """A dual card has the keys of 0.3 beside those of 1.0."""
    if not is_dual:
        return card.model_dump_json(exclude_none=True).encode()
    from a2a.compat.card import dual_card

    return pydantic_core.to_json(dual_card(card.to_json()))


def _segments(path: str) -> list[str]:
    """A path that ends with a slash means the same as without."""
    plain = path.removeprefix("/").removesuffix("/")
    return plain.split("/") if plain else []
