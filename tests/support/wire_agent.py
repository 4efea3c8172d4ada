"""An agent whose every answer a test writes by hand, and that notes when and how it was asked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """`at` is in seconds of the monotonic clock."""

    method: str
    params: Json
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Result:
    value: Json


@dataclass(frozen=True, slots=True)
class Stream:
    """`stays_open`: it goes on without a word."""

    events: list[Json]
    stays_open: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the protocol."""

    code: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of HTTP."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


Answer = Result | Stream | Failure | Refusal


class WireAgent:
    """`answer` says what each call gets; `calls` has them all, the newest last."""

    def __init__(
        self,
        url: str,
        skill_id: str,
        answer: Callable[[Call], Answer],
        *,
        name: str = "Wire Agent",
        streaming: bool = False,
        pushes: bool = False,
    ) -> None:
        self._url = url
        self._skill_id = skill_id
        self._answer = answer
        self._name = name
        self._capabilities = {"streaming": streaming, "pushNotifications": pushes}
        self.calls: list[Call] = []

    def asked(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/.well-known/agent-card.json", self._card, methods=["GET"])
        app.add_api_route("/", self._rpc, methods=["POST"], response_model=None)
        return app

    async def _card(self) -> Json:
        skill = {"id": self._skill_id, "name": "Wire", "description": "By hand", "tags": ["wire"]}
        return {
            "name": self._name,
            "description": "Answers by hand.",
            "version": "1",
            "supportedInterfaces": [
                {"url": self._url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            ],
            "capabilities": self._capabilities,
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [skill],
        }

    async def _rpc(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        call = Call(asked["method"], asked["params"], dict(request.headers))
        self.calls.append(call)
        match self._answer(call):
            case Refusal(status, headers):
                return Response("not now", status_code=status, headers=headers)
            case Stream() as stream:
                return StreamingResponse(_frames(asked["id"], stream), media_type="text/event-stream")
            case Failure(code):
                return _envelope(asked["id"], error={"code": code, "message": "By hand."})
            case Result(value):
                return _envelope(asked["id"], result=value)


def _envelope(request_id: Any, **said: Json) -> Response:
    return Response(json.dumps({"jsonrpc": "2.0", "id": request_id, **said}), media_type="application/json")


async def _frames(request_id: Any, stream: Stream) -> AsyncIterator[str]:
    for event in stream.events:
        yield f"data: {json.dumps({'jsonrpc': '2.0', 'id': request_id, 'result': event})}\n\n"
    if stream.stays_open:
        await asyncio.Event().wait()
