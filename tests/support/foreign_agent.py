"""An agent of somebody else: A2A by hand, in memory, with as much of it as a test says.

It does not deduplicate. It runs in the test's own process and so outlives every coordinator.
"""

import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from a2a.types import format_timestamp
from coordinator.clock import utc_now
from tests.support.waiting import Gate

Json = dict[str, Any]
ALL = ("SendMessage", "SendStreamingMessage", "SubscribeToTask", "GetTask", "ListTasks", "CancelTask")
METHOD_NOT_FOUND, TASK_NOT_FOUND = -32601, -32001
PATIENCE_S = 60.0


@dataclass(slots=True)
class _Task:
    id: str
    message: Json
    state: str = "TASK_STATE_WORKING"
    ended: Gate = field(default_factory=Gate)
    changed_at: str = field(default_factory=lambda: format_timestamp(utc_now()))

    def json(self) -> Json:
        shown: Json = {
            "id": self.id,
            "contextId": self.message["contextId"],
            "status": {"state": self.state, "timestamp": self.changed_at},
            "history": [self.message],
        }
        if self.state == "TASK_STATE_COMPLETED":
            shown["artifacts"] = [{"artifactId": "a", "parts": [{"text": "done"}]}]
        return shown


class ForeignAgent:
    """Works on a message until `finish`, or with `is_quick` no time at all. With `is_locked` it first wants
    somebody to log in, of which it learns elsewhere. Where it pushes, it does not stream. `calls` are the
    methods it was asked for, `executions` the ids of the messages it worked on, `told` the answers to its
    notifications."""

    def __init__(
        self, url: str, *, methods: Collection[str] = ALL, streams: bool = False, pushes: bool = False
    ) -> None:
        self.url = url
        self._methods = methods
        self._streams = streams
        self._pushes = pushes
        self._tasks: dict[str, _Task] = {}
        self._receivers: dict[str, list[Json]] = {}
        self.is_quick = False
        self.is_locked = False
        self.calls: list[str] = []
        self.executions: list[str] = []
        self.told: list[int] = []

    def finish(self) -> None:
        """What it works on is done, and who wanted to know is told."""
        for task in self._tasks.values():
            self._end(task, "TASK_STATE_COMPLETED")
        for task_id, receivers in self._receivers.items():
            for receiver in receivers:
                self._notify(self._tasks[task_id], receiver)

    def forget(self) -> None:
        """All it knew, as in a restart without a store."""
        self._tasks.clear()
        self._receivers.clear()

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/.well-known/agent-card.json", self._card, methods=["GET"])
        app.add_api_route("/", self._rpc, methods=["POST"], response_model=None)
        return app

    async def _card(self) -> Json:
        interface = {"url": self.url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        skill = {"id": "toil", "name": "Toil", "description": "Toil over a sentence", "tags": ["toil"]}
        return {
            "name": "Foreign Agent",
            "description": "Made by somebody else.",
            "version": "1",
            "supportedInterfaces": [interface],
            "capabilities": {"streaming": self._streams, "pushNotifications": self._pushes},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [skill],
        }

    async def _rpc(self, request: Request) -> Response:
        call = json.loads(await request.body())
        self.calls.append(call["method"])
        answer = self._answer(call["method"], call["params"])
        if isinstance(answer, _Task):
            return StreamingResponse(_events(call["id"], answer), media_type="text/event-stream")
        said = {"error": {"code": answer, "message": "no"}} if isinstance(answer, int) else {"result": answer}
        body = json.dumps({"jsonrpc": "2.0", "id": call["id"], **said})
        return Response(body, media_type="application/json")

    def _answer(self, method: str, params: Json) -> Json | _Task | int:
        """A result, a task to stream, or the code of an error."""
        if method not in self._methods:
            return METHOD_NOT_FOUND
        if method in ("SendMessage", "SendStreamingMessage"):
            task = self._begin(params)
            return task if method == "SendStreamingMessage" else {"task": task.json()}
        if method == "ListTasks":
            known = [task.json() for task in self._tasks.values()]
            found = [task for task in known if task["contextId"] == params["contextId"]]
            return {"tasks": found, "nextPageToken": "", "pageSize": 100, "totalSize": len(found)}
        known_task = self._tasks.get(params.get("taskId") or params["id"])
        if known_task is None:
            return TASK_NOT_FOUND
        match method:
            case "SubscribeToTask":
                return known_task
            case "CreateTaskPushNotificationConfig":
                self._receivers[known_task.id].append(params)
                return params
            case "CancelTask":
                self._end(known_task, "TASK_STATE_CANCELED")
        return known_task.json()

    def _begin(self, params: Json) -> _Task:
        message = params["message"]
        self.executions.append(message["messageId"])
        task = _Task(f"foreign-{len(self.executions)}", message)
        self._tasks[task.id] = task
        receiver = params.get("configuration", {}).get("taskPushNotificationConfig")
        self._receivers[task.id] = [receiver] if receiver else []
        if self.is_locked:
            task.state = "TASK_STATE_AUTH_REQUIRED"
        if self.is_quick:
            self._end(task, "TASK_STATE_COMPLETED")
        return task

    def _end(self, task: _Task, state: str) -> None:
        if not task.ended.is_open:
            task.state, task.changed_at = state, format_timestamp(utc_now())
            task.ended.open()

    def _notify(self, task: _Task, receiver: Json) -> None:
        headers = {"X-A2A-Notification-Token": receiver["token"]}
        answer = httpx.post(receiver["url"], json={"task": task.json()}, headers=headers, trust_env=False)
        self.told.append(answer.status_code)


async def _events(call_id: Json, task: _Task) -> AsyncIterator[str]:
    """The task as it is, and once more when it has ended."""
    while True:
        is_last = task.ended.is_open
        body = {"jsonrpc": "2.0", "id": call_id, "result": {"task": task.json()}}
        yield f"data: {json.dumps(body)}\n\n"
        if is_last:
            return
        await task.ended.wait(within_s=PATIENCE_S)
