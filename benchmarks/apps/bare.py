"""What the frameworks beneath can do: a FastAPI app that answers, a Starlette stream of ready-made frames."""

from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

EVENTS = 103
FRAME = (
    b'data: {"jsonrpc":"2.0","id":1,"result":{"artifactUpdate":{"taskId":"%(id)b","contextId":"%(id)b",'
    b'"artifact":{"artifactId":"%(id)b","parts":[{"text":"chunk 42 "}],"name":"result"},"append":true}}}\n\n'
) % {b"id": b"0b9a6a5e-6f8d-4d3b-9c39-0a6a2f5d7f11"}


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {}

    return app


def stream_app() -> Starlette:
    async def frames() -> AsyncIterator[bytes]:
        for _ in range(EVENTS):
            yield FRAME

    async def stream(request: Request) -> StreamingResponse:
        await request.body()
        return StreamingResponse(frames(), media_type="text/event-stream")

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({})

    return Starlette(routes=[Route("/", stream, methods=["POST"]), Route("/health", health)])
