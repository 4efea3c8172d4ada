"""An agent made of bare HTTP answers, for what no agent built with our package would do."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

Json = dict[str, Any]


def task(state: str, task_id: str = "remote-1", **more: Any) -> Json:
    return {"id": task_id, "contextId": "c", "status": {"state": f"TASK_STATE_{state}"}} | more


RESULT: Json = {"artifacts": [{"artifactId": "a", "parts": [{"text": "done"}]}]}


class RawAgent:
    """`skill` says how it behaves; `calls` lists the methods it was asked for, with their params."""

    def __init__(self, url: str, skill: str, *, streaming: bool = True) -> None:
        self._url = url
        self._skill = skill
        self._streaming = streaming
        self.calls: list[tuple[str, Json]] = []

    def count(self, method: str) -> int:
        return sum(1 for name, _ in self.calls if name == method)

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/.well-known/agent-card.json", self._card, methods=["GET"])
        app.add_api_route("/", self._rpc, methods=["POST"], response_model=None)
        return app

    async def _card(self) -> Json:
        skill = {"id": self._skill, "name": self._skill, "description": self._skill, "tags": ["raw"]}
        return {
            "name": "Raw Agent",
            "description": "Answers by hand.",
            "version": "1",
            "supportedInterfaces": [
                {"url": self._url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            ],
            "capabilities": {"streaming": self._streaming},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [skill],
        }

    async def _rpc(self, request: Request) -> Response:
        call = json.loads(await request.body())
        self.calls.append((call["method"], call["params"]))
        answer = await getattr(self, f"_{self._skill}")(call["method"], call["params"])
        if isinstance(answer, int):
            return Response("unavailable", status_code=answer)
        if isinstance(answer, list):
            return StreamingResponse(_sse(call["id"], answer), media_type="text/event-stream")
        body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": answer})
        return Response(body, media_type="application/json")

    async def _stays_open(self, method: str, _params: Json) -> Any:
        """The stream goes on after the task has ended."""
        return [{"task": task("COMPLETED", **RESULT)}, None] if method != "CancelTask" else task("CANCELED")

    async def _authorised_elsewhere(self, method: str, _params: Json) -> Any:
        """Asks for an authorisation, gets it by other ways, and goes on without a message."""
        if self.count("GetTask") > 2:
            ended = task("COMPLETED", **RESULT)
            return ended if method == "GetTask" else [{"task": ended}]
        words = {"role": "ROLE_AGENT", "messageId": "m", "parts": [{"text": "Log in at example.org."}]}
        asking = task("AUTH_REQUIRED")
        asking["status"]["message"] = words
        return asking if method == "GetTask" else [{"task": asking}]

    async def _status_first(self, method: str, _params: Json) -> Any:
        if method == "GetTask":
            return task("COMPLETED", **RESULT)
        return [
            {
                "statusUpdate": {
                    "taskId": "remote-1",
                    "contextId": "c",
                    "status": {"state": "TASK_STATE_WORKING"},
                }
            }
        ]

    async def _flaky_polls(self, method: str, _params: Json) -> Any:
        """The stream is cut, then the agent is away for six polls."""
        if method == "SendStreamingMessage":
            return [{"task": task("WORKING")}]
        return 503 if self.count("GetTask") <= 6 else task("COMPLETED", **RESULT)

    async def _refused_answer(self, method: str, params: Json) -> Any:
        """It asks; the first delivery of the answer fails."""
        if "taskId" not in params.get("message", {}):
            return [{"task": task("INPUT_REQUIRED")}]
        return 503 if self.count(method) == 2 else [{"task": task("COMPLETED", **RESULT)}]

    async def _lost_answer(self, method: str, params: Json) -> Any:
        """The first send is worked on, but its answer is lost."""
        return 502 if self.count(method) == 1 else [{"task": task("COMPLETED", **RESULT)}]

    async def _only_message(self, _method: str, _params: Json) -> Any:
        return {"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "done"}]}}

    async def _odd_characters(self, method: str, _params: Json) -> Any:
        parts = [{"text": "nul \x00 and \\u0000"}, {"data": {"k\x00": "v\x00"}}]
        return [{"task": task("COMPLETED", artifacts=[{"artifactId": "a", "parts": parts}])}]

    async def _hostile_numbers(self, method: str, _params: Json) -> Any:
        artifact = {"artifactId": "a", "parts": [{"data": float("inf")}]}
        return [{"task": task("COMPLETED", artifacts=[artifact])}]


async def _sse(request_id: Any, events: list[Json | None]) -> AsyncIterator[str]:
    for event in events:
        if event is None:
            await asyncio.sleep(3_600)
        else:
            yield f"data: {json.dumps({'jsonrpc': '2.0', 'id': request_id, 'result': event})}\n\n"
