"""The HTTP+JSON binding (section 11), of A2A 1.0 and of 0.3."""

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import httpx
import pydantic_core

from a2a.card_types import AgentInterface
from a2a.client.binding import Extras, Operation, RequestT, ResultT
from a2a.client.http_binding import Encoded, HttpBinding, json_or_none, parsed_json
from a2a.client.remote_errors import status_error
from a2a.compat import rest as v03
from a2a.errors import A2AError, AgentHttpError, FieldViolation, InvalidParams
from a2a.types import PROTOCOL_VERSION, Json, StreamResponse

# Verb and path of each operation (11.3); the fields in braces stand in the path and nowhere else.
ROUTES = {
    "SendMessage": ("POST", "/message:send"),
    "SendStreamingMessage": ("POST", "/message:stream"),
    "GetTask": ("GET", "/tasks/{id}"),
    "ListTasks": ("GET", "/tasks"),
    "CancelTask": ("POST", "/tasks/{id}:cancel"),
    "SubscribeToTask": ("GET", "/tasks/{id}:subscribe"),
    "CreateTaskPushNotificationConfig": ("POST", "/tasks/{task_id}/pushNotificationConfigs"),
    "GetTaskPushNotificationConfig": ("GET", "/tasks/{task_id}/pushNotificationConfigs/{id}"),
    "ListTaskPushNotificationConfigs": ("GET", "/tasks/{task_id}/pushNotificationConfigs"),
    "DeleteTaskPushNotificationConfig": ("DELETE", "/tasks/{task_id}/pushNotificationConfigs/{id}"),
    "GetExtendedAgentCard": ("GET", "/extendedAgentCard"),
}
SUBSCRIBE = "SubscribeToTask"
# The prose says POST and the proto GET, and agents have one of them or both.
NO_SUCH_ROUTE = (404, 405)
_FIELD = re.compile(r"{(\w+)}")


class _RestBinding(HttpBinding):
    accept = "application/a2a+json, application/json, text/event-stream"

    def __init__(
        self, http: httpx.AsyncClient, interface: AgentInterface, *, extensions: Sequence[str] = ()
    ) -> None:
        super().__init__(http, interface, extensions=extensions)
        self._base = self.url.rstrip("/")


class RestBinding(_RestBinding):
    """Requests are sent as application/json, which every server reads, not as application/a2a+json."""

    version_header = PROTOCOL_VERSION
    extensions_header = "A2A-Extensions"

    def __init__(
        self, http: httpx.AsyncClient, interface: AgentInterface, *, extensions: Sequence[str] = ()
    ) -> None:
        super().__init__(http, interface, extensions=extensions)
        if self._tenant is not None:
            self._base += "/" + quote(self._tenant, safe="")
        self._subscribe_verb = "POST"

    async def _open(
        self, operation: Operation[RequestT, ResultT], sent: Encoded, extras: Extras
    ) -> httpx.Response:
        try:
            return await super()._open(operation, sent, extras)
        except AgentHttpError as exc:
            if operation.name != SUBSCRIBE or exc.status not in NO_SUCH_ROUTE:
                raise
        other = "GET" if sent.verb == "POST" else "POST"
        response = await super()._open(operation, Encoded(other, sent.url), extras)
        self._subscribe_verb = other
        return response

    def _encoded(self, operation: Operation[RequestT, ResultT], request: RequestT) -> Encoded:
        verb, template = ROUTES[operation.name]
        in_path = set(_FIELD.findall(template))
        url = self._base + template.format(**{name: _segment(request, name) for name in in_path})
        left_out = in_path if self._tenant is None else {*in_path, "tenant"}
        if operation.name == SUBSCRIBE:
            return Encoded(self._subscribe_verb, url)
        if verb == "POST":
            body = request.model_dump_json(exclude_none=True, exclude=left_out).encode()
            return Encoded(verb, url, body)
        query = request.model_dump(mode="json", exclude_none=True, exclude=left_out)
        if query:
            url += "?" + urlencode({name: _query_value(value) for name, value in query.items()})
        return Encoded(verb, url)

    def _result(self, operation: Operation[RequestT, ResultT], sent: Encoded, body: bytes) -> Json:  # noqa: ARG002 0.3 needs it
        # Delete may answer with nothing.
        return parsed_json(body) if body or sent.verb != "DELETE" else {}

    def _event(self, sent: Encoded, data: bytes) -> tuple[Json, bool]:  # noqa: ARG002 JSON-RPC needs it
        event = parsed_json(data)
        error = status_error(self.url, 500, event)
        if error is not None:
            raise error
        return event, False

    def _error(
        self,
        operation: Operation[RequestT, ResultT],  # noqa: ARG002 0.3 needs it
        sent: Encoded,  # noqa: ARG002 the bindings' signature
        status: int,
        body: bytes,
    ) -> A2AError | None:
        return status_error(self.url, status, json_or_none(body))


class RestV03Binding(_RestBinding):
    """No A2A-Version means 0.3."""

    sends_task_first = False
    version_header = None
    extensions_header = "X-A2A-Extensions"

    def _encoded(self, operation: Operation[RequestT, ResultT], request: RequestT) -> Encoded:
        sent = v03.request_to_v03(operation.name, request.to_json())
        url = self._base + sent.path + ("?" + urlencode(sent.query) if sent.query else "")
        body = None if sent.body is None else pydantic_core.to_json(sent.body)
        return Encoded(sent.verb, url, body)

    def _result(self, operation: Operation[RequestT, ResultT], sent: Encoded, body: bytes) -> Json:
        if sent.verb == "DELETE" and not body:
            return {}
        answer = parsed_json(body)
        return (
            v03.result_from_v03(operation.name, answer) if operation.result is not StreamResponse else answer
        )

    def _event(self, sent: Encoded, data: bytes) -> tuple[Json, bool]:  # noqa: ARG002 JSON-RPC needs it
        event = parsed_json(data)
        return v03.stream_event_from_v03(event), v03.is_final(event)

    def _error(
        self,
        operation: Operation[RequestT, ResultT],
        sent: Encoded,  # noqa: ARG002 the bindings' signature
        status: int,
        body: bytes,
    ) -> A2AError | None:
        answer = json_or_none(body)
        # Some carry the body of 1.0, with a reason.
        return status_error(self.url, status, answer) or v03.error_from_v03(operation.name, status, answer)


def _segment(request: RequestT, name: str) -> str:
    value = getattr(request, name)
    if not value:
        raise InvalidParams(violations=[FieldViolation(name, "is needed")])
    return quote(value, safe="")


def _query_value(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
