"""The HTTP+JSON binding of 0.3, from the client's side: requests out, answers and events in.

0.3 servers speak ProtoJSON of the 0.3 proto there: `content` for parts, the proto's enum names, wrapped
results. It is translated to the JSON-RPC shapes of 0.3 and goes on from there. File bytes are base64 of
base64, as the reference server (a2a-sdk 0.3.26) reads and writes them; base64 once is read too. Bytes that
are themselves base64 text cannot be told from the doubled form and are decoded twice.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from a2a.compat.card import card_from_v03
from a2a.compat.json_rpc import push_to_v03, send_params_to_v03, task_push_from_v03
from a2a.compat.reading import JsonObject, ShapeError, field, list_at, object_at, picked, text_at
from a2a.compat.shapes import event_from_v03, task_from_v03
from a2a.errors import (
    ContentTypeNotSupported,
    ExtendedAgentCardNotConfigured,
    InternalError,
    InvalidAgentResponse,
    InvalidParams,
    InvalidRequest,
    ProtocolError,
    PushNotificationNotSupported,
    TaskNotCancelable,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a.types import Json

MAX_DETAIL_CHARS = 2_000
_CONFIG_NAME = re.compile(r"tasks/([^/]+)/pushNotificationConfigs/([^/]*)")
_MESSAGE = ("messageId", "contextId", "taskId", "metadata", "extensions")
_ARTIFACT = ("artifactId", "name", "description", "metadata", "extensions")
_EVENT = ("taskId", "contextId", "append", "lastChunk", "metadata", "final")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`path` comes after the interface's url and is quoted; `body` is None where the verb has none."""

    verb: Literal["GET", "POST", "DELETE"]
    path: str
    query: dict[str, str]
    body: JsonObject | None = None


def request_to_v03(method: str, params: JsonObject) -> HttpRequest:
    """Raises UnsupportedOperation for ListTasks. Where SubscribeToTask gets 404 or 405, try POST."""
    build = _REQUESTS.get(method)
    if build is None:
        raise UnsupportedOperation(f"A2A 0.3 has no {method} that agents serve.")
    return build(params)


def _send(path: str) -> Callable[[JsonObject], HttpRequest]:
    def build(params: JsonObject) -> HttpRequest:
        sent = send_params_to_v03(params)
        configuration = sent["configuration"]
        push = configuration.pop("pushNotificationConfig", None)
        if push is not None:
            configuration["pushNotification"] = push
        body = {**sent, "message": _message_to_proto(sent["message"])}
        return HttpRequest("POST", path, {}, body)

    return build


def _message_to_proto(message: JsonObject) -> JsonObject:
    """The 0.3 proto has no referenceTaskIds: they stay behind."""
    role = "ROLE_USER" if message["role"] == "user" else "ROLE_AGENT"
    content = [_part_to_proto(part) for part in message["parts"]]
    return {**picked(message, _MESSAGE), "role": role, "content": content}


def _part_to_proto(part: JsonObject) -> JsonObject:
    translated = picked(part, ("metadata",))
    match part["kind"]:
        case "text":
            translated["text"] = part["text"]
        case "data":
            translated["data"] = {"data": part["data"]}
        case _:
            file = part["file"]
            content = picked(file, ("mimeType", "name"))
            if "bytes" in file:
                content["fileWithBytes"] = base64.b64encode(file["bytes"].encode()).decode("ascii")
            else:
                content["fileWithUri"] = file["uri"]
            translated["file"] = content
    return translated


def _get_task(params: JsonObject) -> HttpRequest:
    length = params.get("historyLength")
    query = {} if length is None else {"historyLength": str(length)}
    return HttpRequest("GET", _task_path(params["id"]), query)


def _create_push(params: JsonObject) -> HttpRequest:
    """A config needs an id here, it is part of its resource name: the task's where the caller gave none."""
    task_id = params.get("taskId") or ""
    config_id = params.get("id") or task_id
    name = f"tasks/{task_id}/pushNotificationConfigs/{config_id}"
    config = {"name": name, "pushNotificationConfig": {**push_to_v03(params), "id": config_id}}
    body = {"parent": f"tasks/{task_id}", "configId": config_id, "config": config}
    return HttpRequest("POST", _push_path(task_id), {}, body)


def _task_path(task_id: str, verb: str = "") -> str:
    return f"/v1/tasks/{quote(task_id, safe='')}{verb}"


def _push_path(task_id: str, config_id: str | None = None) -> str:
    path = _task_path(task_id, "/pushNotificationConfigs")
    return path if config_id is None else f"{path}/{quote(config_id, safe='')}"


_REQUESTS: dict[str, Callable[[JsonObject], HttpRequest]] = {
    "SendMessage": _send("/v1/message:send"),
    "SendStreamingMessage": _send("/v1/message:stream"),
    "GetTask": _get_task,
    "CancelTask": lambda params: HttpRequest("POST", _task_path(params["id"], ":cancel"), {}, {}),
    "SubscribeToTask": lambda params: HttpRequest("GET", _task_path(params["id"], ":subscribe"), {}),
    "CreateTaskPushNotificationConfig": _create_push,
    "GetTaskPushNotificationConfig": lambda params: HttpRequest(
        "GET", _push_path(params["taskId"], params["id"]), {}
    ),
    "ListTaskPushNotificationConfigs": lambda params: HttpRequest("GET", _push_path(params["taskId"]), {}),
    "DeleteTaskPushNotificationConfig": lambda params: HttpRequest(
        "DELETE", _push_path(params["taskId"], params["id"]), {}
    ),
    "GetExtendedAgentCard": lambda params: HttpRequest("GET", "/v1/card", {}),  # noqa: ARG005 the table's
}


def result_from_v03(method: str, body: Json) -> JsonObject:
    """The 1.0 result of a 1.0 `method` from the body of a good answer; events have stream_event_from_v03."""
    match method:
        case "SendMessage":
            return _send_result(body)
        case "GetTask" | "CancelTask":
            return task_from_v03(_task(body, "body"), "body")
        case "CreateTaskPushNotificationConfig" | "GetTaskPushNotificationConfig":
            return _push_config(body, "body")
        case "ListTaskPushNotificationConfigs":
            configs = list_at(object_at(body, "body").get("configs"), "configs")
            return {"configs": [_push_config(item, f"configs.{index}") for index, item in enumerate(configs)]}
        case "DeleteTaskPushNotificationConfig":
            return {}
        case "GetExtendedAgentCard":
            return card_from_v03(body)
        case _:
            raise UnsupportedOperation(f"A2A 0.3 has no {method} that agents serve.")


def _send_result(body: Json) -> JsonObject:
    response = stream_event_from_v03(body)
    if "task" not in response and "message" not in response:
        raise ShapeError("body", "needs a task or a message")
    return response


def stream_event_from_v03(value: Json) -> JsonObject:
    """A 1.0 StreamResponse from the data of one server-sent event."""
    event = object_at(value, "event")
    if event.get("task") is not None:
        return event_from_v03({"kind": "task", **_task(event["task"], "task")}, "task")
    message = event.get("message") if event.get("message") is not None else event.get("msg")
    if message is not None:
        return event_from_v03({"kind": "message", **_message(message, "message")}, "message")
    update = field(event, "statusUpdate")
    if update is not None:
        status = {"status": _status(object_at(update, "statusUpdate").get("status"), "statusUpdate.status")}
        translated = {"kind": "status-update", **_proto(update, _EVENT), **status}
        return event_from_v03(translated, "statusUpdate")
    update = object_at(field(event, "artifactUpdate"), "event.artifactUpdate")
    artifact = {"artifact": _artifact(update.get("artifact"), "artifactUpdate.artifact")}
    translated = {"kind": "artifact-update", **_proto(update, _EVENT), **artifact}
    return event_from_v03(translated, "artifactUpdate")


def is_final(value: Json) -> bool:
    """Whether the data of an event says that the turn is over."""
    update = field(value, "statusUpdate") if isinstance(value, dict) else None
    return isinstance(update, dict) and update.get("final") is True


def _proto(value: JsonObject, names: tuple[str, ...]) -> JsonObject:
    """The named fields that are set: in ProtoJSON an empty string is one that is not."""
    return {name: item for name, item in picked(value, names).items() if item != ""}


def _task(value: Json, at: str) -> JsonObject:
    task = object_at(value, at)
    artifacts = list_at(task.get("artifacts"), f"{at}.artifacts")
    history = list_at(task.get("history"), f"{at}.history")
    translated = _proto(task, ("id", "contextId", "metadata"))
    translated["status"] = _status(task.get("status"), f"{at}.status")
    if artifacts:
        translated["artifacts"] = [
            _artifact(item, f"{at}.artifacts.{index}") for index, item in enumerate(artifacts)
        ]
    if history:
        translated["history"] = [
            _message(item, f"{at}.history.{index}") for index, item in enumerate(history)
        ]
    return translated


def _status(value: Json, at: str) -> JsonObject:
    status = object_at(value, at)
    translated = _proto(status, ("state", "timestamp"))
    update = status.get("message") if status.get("message") is not None else status.get("update")
    # A peer that keeps protobuf inside may send the empty message for none.
    if update is not None and field(object_at(update, f"{at}.message"), "messageId"):
        translated["message"] = _message(update, f"{at}.message")
    return translated


def _artifact(value: Json, at: str) -> JsonObject:
    artifact = object_at(value, at)
    return {**_proto(artifact, _ARTIFACT), "parts": _parts(artifact.get("parts"), f"{at}.parts")}


def _message(value: Json, at: str) -> JsonObject:
    """A role that is not said is the agent's, as the reference client has it."""
    message = object_at(value, at)
    role = message.get("role")
    return {
        **_proto(message, _MESSAGE),
        "role": "agent" if role in (None, "ROLE_UNSPECIFIED") else role,
        "parts": _parts(message.get("content"), f"{at}.content"),
    }


def _parts(value: Json, at: str) -> list[JsonObject]:
    return [_part(item, f"{at}.{index}") for index, item in enumerate(list_at(value, at))]


def _part(value: Json, at: str) -> JsonObject:
    part = object_at(value, at)
    translated = picked(part, ("metadata",))
    if part.get("text") is not None:
        return {**translated, "kind": "text", "text": part["text"]}
    if part.get("data") is not None:
        data = object_at(part["data"], f"{at}.data").get("data")
        return {**translated, "kind": "data", "data": {} if data is None else data}
    file = object_at(part.get("file"), f"{at}.file")
    content = _proto(file, ("mimeType", "name"))
    if field(file, "fileWithUri") is not None:
        content["uri"] = field(file, "fileWithUri")
    else:
        raw = field(file, "fileWithBytes")
        content["bytes"] = _base64_once("" if raw is None else text_at(raw, f"{at}.file.fileWithBytes"))
    return {**translated, "kind": "file", "file": content}


def _base64_once(value: str) -> str:
    try:
        inner = base64.b64decode(value, validate=True)
        is_doubled = inner != b"" and base64.b64encode(base64.b64decode(inner, validate=True)) == inner
    except ValueError:
        return value
    return inner.decode("ascii") if is_doubled else value


def _push_config(value: Json, at: str) -> JsonObject:
    """The task's id stands in the resource name only."""
    config = object_at(value, at)
    named = _CONFIG_NAME.fullmatch(text_at(config.get("name"), f"{at}.name"))
    if named is None:
        raise ShapeError(f"{at}.name", "is no name of a push notification config")
    translated = task_push_from_v03(config, at)
    return {
        "id": named[2],
        **{key: item for key, item in translated.items() if item != ""},
        "taskId": named[1],
    }


_ERROR_OF_STATUS: dict[int, type[ProtocolError]] = {
    400: InvalidRequest,
    404: TaskNotFound,
    409: TaskNotCancelable,
    415: ContentTypeNotSupported,
    422: InvalidParams,
    500: InternalError,
    501: UnsupportedOperation,
    502: InvalidAgentResponse,
}


def error_from_v03(method: str, status: int, body: Json) -> ProtocolError | None:
    """The error meant by an HTTP status and `{"message": ...}`; None where the answer is no such thing."""
    message = body.get("message") if isinstance(body, dict) else None
    known = _ERROR_OF_STATUS.get(status)
    if not isinstance(message, str) or known is None:
        return None
    if status == 404 and method == "GetExtendedAgentCard":
        known = ExtendedAgentCardNotConfigured
    if status == 501 and "PushNotification" in method:
        known = PushNotificationNotSupported
    return known(message[:MAX_DETAIL_CHARS])
