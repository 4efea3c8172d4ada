"""The plainest caller there can be for each binding, all with one interface.

Every refusal is checked against the specification's table of errors (5.4) on its way to the test.
"""

import json
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import grpc
import httpx
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from pydantic import HttpUrl

from a2a.grpc.generated import a2a_pb2
from a2a.settings import AgentSettings
from tests.support.grpc_agent import Refusal
from tests.support.scripted_agent import ScriptedAgent
from tests.support.server import serving

Params = Mapping[str, Any]
Result = dict[str, Any]
JSON_RPC, HTTP_JSON, GRPC = BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
VERSION = {"A2A-Version": "1.0"}
TIMEOUT_S = 20.0
SERVICE = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"]

# By ErrorInfo.reason, or by the gRPC status where the protocol has no reason: 5.4 and 9.5.
ERRORS: dict[str, tuple[int, int, str]] = {
    "TASK_NOT_FOUND": (-32001, 404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": (-32002, 400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": (-32003, 400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": (-32004, 400, "FAILED_PRECONDITION"),
    "CONTENT_TYPE_NOT_SUPPORTED": (-32005, 400, "INVALID_ARGUMENT"),
    "EXTENDED_AGENT_CARD_NOT_CONFIGURED": (-32007, 400, "FAILED_PRECONDITION"),
    "EXTENSION_SUPPORT_REQUIRED": (-32008, 400, "FAILED_PRECONDITION"),
    "VERSION_NOT_SUPPORTED": (-32009, 400, "FAILED_PRECONDITION"),
    "UNAUTHENTICATED": (-32051, 401, "UNAUTHENTICATED"),
    "RESOURCE_EXHAUSTED": (-32053, 429, "RESOURCE_EXHAUSTED"),
    "INVALID_ARGUMENT": (-32602, 400, "INVALID_ARGUMENT"),
    "INTERNAL": (-32603, 500, "INTERNAL"),
}
_HTTP_SAYS_IT = (401, 403, 429, 503)

# Method and path of each operation on HTTP+JSON (11.3); what is not in the path is the query or the body.
_PATHS: dict[str, tuple[str, str]] = {
    "SendMessage": ("POST", "/message:send"),
    "SendStreamingMessage": ("POST", "/message:stream"),
    "GetTask": ("GET", "/tasks/{id}"),
    "ListTasks": ("GET", "/tasks"),
    "CancelTask": ("POST", "/tasks/{id}:cancel"),
    "SubscribeToTask": ("POST", "/tasks/{id}:subscribe"),
    "CreateTaskPushNotificationConfig": ("POST", "/tasks/{taskId}/pushNotificationConfigs"),
    "ListTaskPushNotificationConfigs": ("GET", "/tasks/{taskId}/pushNotificationConfigs"),
    "GetTaskPushNotificationConfig": ("GET", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "DeleteTaskPushNotificationConfig": ("DELETE", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "GetExtendedAgentCard": ("GET", "/extendedAgentCard"),
}
# What an answer holds even where it is empty, which protobuf's JSON leaves out.
_ALWAYS = {"ListTasks": {"tasks": [], "nextPageToken": "", "totalSize": 0}}


@dataclass(slots=True)
class Refused(Exception):
    """An error of the protocol. `name` is a key of ERRORS, `fields` those that its violations name, and
    `headers` what came with it, lower-case: HTTP headers, or gRPC's trailing metadata."""

    name: str
    message: str
    fields: tuple[str, ...]
    headers: Mapping[str, str]


class Caller(ABC):
    """Calls operations with JSON parameters. `answered` are the headers of the newest answer."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = {name: value for name, value in {**VERSION, **headers}.items() if value}
        self.answered: Mapping[str, str] = {}

    @abstractmethod
    async def call(self, operation: str, params: Params | None = None) -> Result:
        """Raises Refused."""

    @abstractmethod
    def stream(self, operation: str, params: Params) -> AbstractAsyncContextManager[AsyncIterator[Result]]:
        """The events as they come. Raises Refused where there is an error in place of them."""

    async def refusal(self, operation: str, params: Params | None = None) -> Refused:
        try:
            if operation in ("SendStreamingMessage", "SubscribeToTask"):
                answer: object = await self.events(operation, params or {})
            else:
                answer = await self.call(operation, params)
        except Refused as refused:
            return refused
        raise AssertionError(f"no error but {answer}")

    async def events(self, operation: str, params: Params) -> list[Result]:
        """All of a stream's, to its end."""
        async with self.stream(operation, params) as events:
            return [event async for event in events]

    async def send(self, text: str = "hello", skill: str = "echo", **more: Any) -> Result:
        """The task of a SendMessage; `more` as `message` has it."""
        answer = await self.call("SendMessage", message(text, skill, **more))
        assert list(answer) == ["task"]
        task: Result = answer["task"]
        return task

    async def begin(self, text: str, skill: str = "wait", **more: Any) -> Result:
        """The task of a send that does not wait for its end."""
        return await self.send(text, skill, configuration={"returnImmediately": True}, **more)

    async def get(self, task: Result) -> Result:
        return await self.call("GetTask", {"id": task["id"]})


class JsonRpcCaller(Caller):
    def __init__(self, http: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> None:
        super().__init__({"Content-Type": "application/json", **headers})
        self._http = http
        self._url = url

    async def call(self, operation: str, params: Params | None = None) -> Result:
        body = _envelope(operation, params)
        answer = await self._http.post(self._url, content=_dumped(body), headers=self.headers)
        self.answered = answer.headers
        return self._result(answer, body["id"])

    @asynccontextmanager
    async def stream(self, operation: str, params: Params) -> AsyncIterator[AsyncIterator[Result]]:
        body = _envelope(operation, params)
        async with self._http.stream(
            "POST", self._url, content=_dumped(body), headers=self.headers
        ) as answer:
            self.answered = answer.headers
            if not answer.headers["content-type"].startswith("text/event-stream"):
                await answer.aread()
                self._result(answer, body["id"])
                raise AssertionError("an answer in place of a stream")
            yield self._events(answer, body["id"])

    async def _events(self, answer: httpx.Response, request_id: str) -> AsyncIterator[Result]:
        async for event in _sse(answer):
            assert (event["jsonrpc"], event["id"]) == ("2.0", request_id)
            yield event["result"]

    def _result(self, answer: httpx.Response, request_id: str) -> Result:
        assert answer.headers["content-type"] == "application/json", answer.text
        body = answer.json()
        assert (body["jsonrpc"], body["id"]) == ("2.0", request_id)
        if "error" in body:
            code, details = body["error"]["code"], body["error"].get("data", [])
            name = _reason(details) or next(name for name, row in ERRORS.items() if row[0] == code)
            status = ERRORS[name][1]
            assert code == ERRORS[name][0], body
            assert answer.status_code == (status if status in _HTTP_SAYS_IT else 200), body
            raise Refused(name, body["error"]["message"], _fields(details), answer.headers)
        assert answer.status_code == 200
        result: Result = body["result"]
        return result


class HttpJsonCaller(Caller):
    def __init__(self, http: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> None:
        super().__init__({"Content-Type": "application/a2a+json", **headers})
        self._http = http
        self._url = url

    async def call(self, operation: str, params: Params | None = None) -> Result:
        answer = await self._http.send(self._request(operation, params or {}))
        self.answered = answer.headers
        return self._result(answer)

    @asynccontextmanager
    async def stream(self, operation: str, params: Params) -> AsyncIterator[AsyncIterator[Result]]:
        answer = await self._http.send(self._request(operation, params), stream=True)
        try:
            self.answered = answer.headers
            if not answer.headers["content-type"].startswith("text/event-stream"):
                await answer.aread()
                self._result(answer)
                raise AssertionError("an answer in place of a stream")
            yield _sse(answer)
        finally:
            await answer.aclose()

    def _request(self, operation: str, params: Params) -> httpx.Request:
        method, template = _PATHS[operation]
        rest = dict(params)
        path = template
        for name in ("taskId", "id"):
            if "{" + name + "}" in template:
                path = path.replace("{" + name + "}", quote(str(rest.pop(name, "")), safe=""))
        tenant = rest.pop("tenant", "")
        url = self._url + (f"/{quote(tenant, safe='')}" if tenant else "") + path
        if method == "POST":
            return self._http.build_request(method, url, content=_dumped(rest), headers=self.headers)
        query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in rest.items()}
        headers = {name: value for name, value in self.headers.items() if name != "Content-Type"}
        return self._http.build_request(method, url, params=query, headers=headers)

    def _result(self, answer: httpx.Response) -> Result:
        assert answer.headers["content-type"] == "application/a2a+json", answer.text
        body: Result = answer.json()
        if answer.status_code == 200:
            return body
        assert list(body) == ["error"]
        error = body["error"]
        name = _reason(error["details"]) or error["status"]
        assert (answer.status_code, error["code"]) == (ERRORS[name][1],) * 2, body
        assert error["status"] == ERRORS[name][2]
        raise Refused(name, error["message"], _fields(error["details"]), answer.headers)


class GrpcCaller(Caller):
    """Generated messages over a channel; parameters and results by protobuf's own JSON mapping."""

    def __init__(self, channel: grpc.aio.Channel, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self._channel = channel

    async def call(self, operation: str, params: Params | None = None) -> Result:
        call: Any = self._method(self._channel.unary_unary, operation)(
            _message(operation, params or {}), metadata=self._metadata(), timeout=TIMEOUT_S
        )
        try:
            answer = await call
            self.answered = dict(await call.initial_metadata())
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from None
        return {**_ALWAYS.get(operation, {}), **MessageToDict(answer)}

    @asynccontextmanager
    async def stream(self, operation: str, params: Params) -> AsyncIterator[AsyncIterator[Result]]:
        call: Any = self._method(self._channel.unary_stream, operation)(
            _message(operation, params), metadata=self._metadata(), timeout=TIMEOUT_S
        )
        try:
            first = await call.read()
            self.answered = dict(await call.initial_metadata())
            yield self._events(call, first)
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from None
        finally:
            call.cancel()

    async def _events(self, call: Any, event: Any) -> AsyncIterator[Result]:
        while event is not grpc.aio.EOF:
            yield MessageToDict(event)
            event = await call.read()

    def _method(self, kind: Any, operation: str) -> Any:
        answer_type = GetMessageClass(SERVICE.methods_by_name[operation].output_type)
        return kind(
            f"/{SERVICE.full_name}/{operation}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=answer_type.FromString,
        )

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple((name.lower(), value) for name, value in self.headers.items())


@dataclass(frozen=True, slots=True)
class World:
    """An agent that is served over every binding."""

    script: ScriptedAgent
    url: str
    grpc_target: str

    @asynccontextmanager
    async def caller(self, binding: str, **headers: str) -> AsyncIterator[Caller]:
        """`headers` by their names with underscores; an empty value leaves a usual one out."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if binding == GRPC:
            async with grpc.aio.insecure_channel(self.grpc_target) as channel:
                yield GrpcCaller(channel, sent)
            return
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=False) as http:  # noqa: S501 loopback
            kind = JsonRpcCaller if binding == JSON_RPC else HttpJsonCaller
            yield kind(http, self.url, sent)


@contextmanager
def served(store_url: str | None = None, script: ScriptedAgent | None = None, **more: Any) -> Iterator[World]:
    """The agent over HTTP and gRPC for as long as the context lasts; `more` are settings of it."""
    script = script or ScriptedAgent()
    port = free_port()
    settings = AgentSettings(
        coordinator_url=None,
        task_store_url=store_url,
        agent_grpc_port=port,
        **{"agent_url": HttpUrl("http://127.0.0.1:9"), "agent_grace_s": 2.0, **more},
    )
    with serving(script.agent.app(settings)) as server:
        yield World(script, server.url, f"127.0.0.1:{port}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def word() -> str:
    """A text that no other test says: tasks of one server stay apart by it."""
    return f"w{uuid4().hex}"


def message(
    text: str = "hello",
    skill: str | None = "echo",
    *,
    configuration: Params | None = None,
    tenant: str | None = None,
    **fields: Any,
) -> Result:
    """The parameters of a send; `fields` are more of the message's own."""
    said = {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": text}], **fields}
    if skill is not None:
        said.setdefault("metadata", {"skillId": skill})
    more = {"configuration": configuration, "tenant": tenant}
    return {"message": said, **{name: value for name, value in more.items() if value is not None}}


def state(holder: Params) -> str:
    """Of a task or a status update."""
    name: str = holder["status"]["state"]
    return name.removeprefix("TASK_STATE_")


def told(event: Params) -> str:
    """A word for an event of a stream: its state, or the text of its artifact."""
    if "artifactUpdate" in event:
        part = event["artifactUpdate"]["artifact"]["parts"][0]
        return str(part.get("text", "data"))
    return state(event["task"] if "task" in event else event["statusUpdate"])


def said_last(task: Params) -> str:
    text: str = task["status"]["message"]["parts"][0]["text"]
    return text


def parts(task: Params) -> list[list[Result]]:
    return [artifact["parts"] for artifact in task.get("artifacts", [])]


def _envelope(operation: str, params: Params | None) -> Result:
    envelope: Result = {"jsonrpc": "2.0", "id": uuid4().hex, "method": operation}
    return envelope if params is None else {**envelope, "params": params}


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()


async def _sse(answer: httpx.Response) -> AsyncIterator[Result]:
    async for line in answer.aiter_lines():
        if line and not line.startswith(":"):
            assert line.startswith("data: "), line
            yield json.loads(line.removeprefix("data: "))


def _reason(details: list[Result]) -> str:
    assert all("@type" in detail for detail in details)
    infos = [detail for detail in details if detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"]
    assert all(info["domain"] == "a2a-protocol.org" for info in infos)
    return infos[0]["reason"] if infos else ""


def _fields(details: list[Result]) -> tuple[str, ...]:
    violations = [violation for detail in details for violation in detail.get("fieldViolations", [])]
    return tuple(violation["field"] for violation in violations)


def _message(operation: str, params: Params) -> Any:
    return ParseDict(dict(params), GetMessageClass(SERVICE.methods_by_name[operation].input_type)())


def _refused(error: grpc.aio.AioRpcError) -> Refused:
    refusal = Refusal.of(error)
    name = refusal.reason or refusal.code.name
    assert refusal.code.name == ERRORS[name][2], refusal
    assert refusal.domain == ("a2a-protocol.org" if refusal.reason else "")
    headers = {key: value for key, value in refusal.trailing.items() if isinstance(value, str)}
    return Refused(name, refusal.message, tuple(refusal.violations), headers)
