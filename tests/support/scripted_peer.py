"""An agent that is spoken to over each binding of each version, and answers as a test says in 1.0 terms.

What it writes follows the specifications, not the client's code: JSON-RPC and REST of 1.0 as they are, the
JSON-RPC of 0.3 through the server's half of the translation, and the proto JSON of 0.3's REST by hand.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx

from a2a.card_types import AgentInterface
from a2a.compat.json_rpc import METHOD_TO_V03, error_to_v03, request_from_v03, result_to_v03
from a2a.compat.shapes import event_to_v03
from a2a.errors import WIRE, ProtocolError, error_details
from tests.support.scripted_wire import Wire, event_stream

Json = dict[str, Any]
URL = "http://agent.test/a2a"
BINDINGS = (("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "0.3"))

ROUTES = [
    ("POST", r"/message:send", "SendMessage"),
    ("POST", r"/message:stream", "SendStreamingMessage"),
    ("GET", r"/tasks/(?P<id>[^/:]+)", "GetTask"),
    ("GET", r"/tasks", "ListTasks"),
    ("POST", r"/tasks/(?P<id>[^/:]+):cancel", "CancelTask"),
    ("GET", r"/tasks/(?P<id>[^/:]+):subscribe", "SubscribeToTask"),
    ("POST", r"/tasks/(?P<id>[^/:]+):subscribe", "SubscribeToTask"),
    ("POST", r"/tasks/(?P<taskId>[^/:]+)/pushNotificationConfigs", "CreateTaskPushNotificationConfig"),
    ("GET", r"/tasks/(?P<taskId>[^/:]+)/pushNotificationConfigs", "ListTaskPushNotificationConfigs"),
    ("GET", r"/tasks/(?P<taskId>[^/:]+)/pushNotificationConfigs/(?P<id>.+)", "GetTaskPushNotificationConfig"),
    (
        "DELETE",
        r"/tasks/(?P<taskId>[^/:]+)/pushNotificationConfigs/(?P<id>.+)",
        "DeleteTaskPushNotificationConfig",
    ),
    ("GET", r"/extendedAgentCard|/card", "GetExtendedAgentCard"),
]
V03_STATUS = {
    "TASK_NOT_FOUND": 404,
    "TASK_NOT_CANCELABLE": 409,
    "PUSH_NOTIFICATION_NOT_SUPPORTED": 501,
    "UNSUPPORTED_OPERATION": 501,
    "CONTENT_TYPE_NOT_SUPPORTED": 415,
    "INVALID_AGENT_RESPONSE": 502,
    "EXTENDED_AGENT_CARD_NOT_CONFIGURED": 404,
}


@dataclass(frozen=True, slots=True)
class Events:
    """A stream of 1.0 events, and how it ends."""

    events: Sequence[Json]
    is_cut: bool = False
    hangs: bool = False


Answer = Json | ProtocolError | Events | httpx.Response | Exception
Script = Callable[[Json], Answer]


@dataclass
class Peer:
    """`script` has an answer, or a function of the params, for each operation; `asked` is what came."""

    binding: str
    version: str
    tenant: str | None = None
    script: dict[str, Answer | Script] = field(default_factory=dict)
    asked: list[tuple[str, Json]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire = Wire(self._handle)
        self.http = self.wire.client()

    @property
    def interface(self) -> AgentInterface:
        return AgentInterface(
            url=URL, protocol_binding=self.binding, protocol_version=self.version, tenant=self.tenant
        )

    @property
    def is_v03(self) -> bool:
        return self.version == "0.3"

    def count(self, operation: str) -> int:
        return sum(1 for name, _ in self.asked if name == operation)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        operation, params, request_id = self._read(request)
        self.asked.append((operation, params))
        answer = self.script[operation]
        if callable(answer):
            answer = answer(params)
        match answer:
            case httpx.Response():
                return answer
            case ProtocolError():
                return self._error(answer, request_id)
            case Exception():
                raise answer
            case Events():
                data = [self._event(event, request_id) for event in answer.events]
                return event_stream(data, is_cut=answer.is_cut, hangs=answer.hangs)
            case _:
                return self._result(operation, answer, request_id)

    def _read(self, request: httpx.Request) -> tuple[str, Json, Any]:
        if self.binding == "JSONRPC":
            assert (request.method, str(request.url).partition("?")[0]) == ("POST", URL)
            body = json.loads(request.content)
            assert body["jsonrpc"] == "2.0"
            method, params = body["method"], body["params"]
            if self.is_v03:
                method, params = request_from_v03(method, params)
            return method, params, body["id"]
        path = request.url.raw_path.decode().partition("?")[0].removeprefix("/a2a")
        params = {}
        if self.is_v03:
            path = path.removeprefix("/v1")
        elif self.tenant is not None:
            assert path.startswith(f"/{self.tenant}/"), path
            path, params = path.removeprefix(f"/{self.tenant}"), {"tenant": self.tenant}
        for verb, pattern, operation in ROUTES:
            found = re.fullmatch(pattern, path)
            if request.method == verb and found is not None:
                in_path = {name: unquote(value) for name, value in found.groupdict().items()}
                body = json.loads(request.content) if request.content else {}
                return operation, {**params, **dict(request.url.params), **body, **in_path}, None
        raise AssertionError(f"no such route: {request.method} {path}")

    def _result(self, operation: str, result: Json, request_id: Any) -> httpx.Response:
        if self.binding == "JSONRPC":
            content = result_to_v03(METHOD_TO_V03[operation], result) if self.is_v03 else result
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": request_id, "result": content})
        return httpx.Response(200, json=_proto(result) if self.is_v03 else result)

    def _event(self, event: Json, request_id: Any) -> bytes:
        if self.binding == "JSONRPC":
            content = event_to_v03(event) if self.is_v03 else event
            return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": content}).encode()
        # The reference server of 0.3 prints it over many lines.
        return json.dumps(_proto(event), indent=2).encode() if self.is_v03 else json.dumps(event).encode()

    def _error(self, error: ProtocolError, request_id: Any) -> httpx.Response:
        wire = WIRE[type(error)]
        if self.binding == "JSONRPC":
            content = {"code": wire.rpc_code, "message": error.detail, "data": error_details(error)}
            if self.is_v03:
                content = error_to_v03(error)
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": request_id, "error": content})
        if self.is_v03:
            status = V03_STATUS.get(wire.reason or "", wire.http_status)
            return httpx.Response(status, json={"message": error.detail})
        status_body = {
            "code": wire.http_status,
            "status": wire.grpc_status,
            "message": error.detail,
            "details": error_details(error),
        }
        return httpx.Response(wire.http_status, json={"error": status_body})


def _proto(value: Any) -> Any:
    """1.0 JSON as the proto JSON of 0.3: a message's parts are its content, data is wrapped once more, a
    status update says whether it is the last, push configs are named resources."""
    if isinstance(value, list):
        return [_proto(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "url" in value and "supportedInterfaces" not in value and "taskId" in value:
        name = f"tasks/{value['taskId']}/pushNotificationConfigs/{value['id']}"
        inner = {key: item for key, item in value.items() if key in ("id", "url", "token")}
        return {"name": name, "pushNotificationConfig": inner}
    made = {key: item if key == "metadata" else _proto(item) for key, item in value.items()}
    if "messageId" in made:
        made["content"] = made.pop("parts")
    elif "data" in made and "parts" not in made:
        made["data"] = {"data": made["data"]}
    if made.get("state") == "TASK_STATE_CANCELED":
        made["state"] = "TASK_STATE_CANCELLED"
    if "statusUpdate" in made:
        ends = ("COMPLETED", "FAILED", "CANCELLED", "REJECTED", "INPUT_REQUIRED", "AUTH_REQUIRED")
        state = made["statusUpdate"]["status"]["state"].removeprefix("TASK_STATE_")
        made["statusUpdate"]["final"] = state in ends
    return made


def task(state: str = "WORKING", task_id: str = "t", **more: Any) -> Json:
    return {"id": task_id, "contextId": "c", "status": {"state": f"TASK_STATE_{state}"}, **more}


def artifact(*texts: str, artifact_id: str = "a") -> Json:
    return {"artifactId": artifact_id, "parts": [{"text": text} for text in texts]}


def status_update(state: str, task_id: str = "t") -> Json:
    status = {"state": f"TASK_STATE_{state}"}
    return {"statusUpdate": {"taskId": task_id, "contextId": "c", "status": status}}


def artifact_update(text: str, *, append: bool = True, artifact_id: str = "a") -> Json:
    update = {"taskId": "t", "contextId": "c", "artifact": artifact(text, artifact_id=artifact_id)}
    return {"artifactUpdate": {**update, "append": append}}


def card(**more: Any) -> Json:
    """Of 1.0, with one JSON-RPC interface."""
    return {
        "name": "Peer",
        "description": "Answers as scripted.",
        "version": "1",
        "supportedInterfaces": [{"url": URL, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "s", "name": "S", "description": "s", "tags": ["s"]}],
        **more,
    }
