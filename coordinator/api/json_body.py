"""JSON bodies read strictly: NaN, half a surrogate pair and bottomless nesting are refused on every route."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from a2a.types import Json
from coordinator.api.problems import BadRequest


def strict_json(body: bytes) -> Json:
    """Raises BadRequest."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise BadRequest(400, "BAD_JSON", f"The body is not valid JSON: {exc}.") from exc


class _StrictRequest(Request):
    async def json(self) -> Json:
        return strict_json(await self.body())


class StrictJsonRoute(APIRoute):
    """FastAPI itself reads bodies with Python's parser, which takes more than JSON is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict
