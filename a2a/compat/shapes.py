"""Parts, messages, tasks and events: their 0.3 JSON-RPC shape (with `kind`) and their 1.0 shape.

What 0.3 has no place for travels in the metadata of the part and comes back from there:
- `data` that is no object is `{"value": data}` with `data_part_compat: true`, the official SDK's form;
- text with a file name is a file with `text_part_compat: true`, so that a 0.3 agent sees a file;
- the media type of text, and media type and file name of data, are `media_type_compat`, `filename_compat`.

A state that 0.3 calls `unknown` is refused: 1.0 has no state for it, and taking it for working or failed
would be a guess. A message or artifact without parts, legal in 0.3 answers, has one empty text part in 1.0.
"""

import base64

from a2a.compat.reading import JsonObject, ShapeError, field, list_at, object_at, picked, text_at
from a2a.types import Json, TaskState

_STATE_TO_V03 = {
    state.value: state.value.removeprefix("TASK_STATE_").lower().replace("_", "-") for state in TaskState
}
_STATE_FROM_V03 = {word: state for state, word in _STATE_TO_V03.items()} | {
    "cancelled": TaskState.CANCELED.value,
}
_ROLE_TO_V03 = {"ROLE_USER": "user", "ROLE_AGENT": "agent"}
_ROLE_FROM_V03 = {word: role for role, word in _ROLE_TO_V03.items()}

_MESSAGE = ("messageId", "contextId", "taskId", "metadata", "extensions", "referenceTaskIds")
_ARTIFACT = ("artifactId", "name", "description", "metadata", "extensions")
_ARTIFACT_EVENT = ("taskId", "contextId", "append", "lastChunk", "metadata")
_STATUS_EVENT = ("taskId", "contextId", "metadata")

DATA_NOTE = "data_part_compat"
TEXT_NOTE = "text_part_compat"
MEDIA_TYPE_NOTE = "media_type_compat"
FILENAME_NOTE = "filename_compat"
NOTES = (DATA_NOTE, TEXT_NOTE, MEDIA_TYPE_NOTE, FILENAME_NOTE)
_PART_KINDS = ("text", "file", "data")


def state_from_v03(value: Json, at: str) -> str:
    """Reads the words of JSON-RPC and the proto's names, with either spelling of canceled."""
    if isinstance(value, str):
        word = value.lower().replace("_", "-").removeprefix("task-state-")
        if word in _STATE_FROM_V03:
            return _STATE_FROM_V03[word]
    raise ShapeError(at, "is no task state that A2A 1.0 has")


def state_to_v03(state: str) -> str:
    return _STATE_TO_V03[state]


def role_from_v03(value: Json, at: str) -> str:
    word = value.lower().removeprefix("role_") if isinstance(value, str) else ""
    if word not in _ROLE_FROM_V03:
        raise ShapeError(at, "has to be user or agent")
    return _ROLE_FROM_V03[word]


def part_to_v03(part: JsonObject) -> JsonObject:
    notes: JsonObject = {}
    content: JsonObject
    if part.get("raw") is not None or part.get("url") is not None:
        content = _file_to_v03(part)
    elif part.get("text") is not None and part.get("filename") is not None:
        raw = base64.b64encode(part["text"].encode()).decode("ascii")
        content = _file_to_v03({**part, "raw": raw})
        notes[TEXT_NOTE] = True
    elif part.get("text") is not None:
        content = {"kind": "text", "text": part["text"]}
        notes |= _noted(part, {"mediaType": MEDIA_TYPE_NOTE})
    else:
        is_object = isinstance(part["data"], dict)
        content = {"kind": "data", "data": part["data"] if is_object else {"value": part["data"]}}
        notes |= _noted(part, {"mediaType": MEDIA_TYPE_NOTE, "filename": FILENAME_NOTE})
        notes |= {} if is_object else {DATA_NOTE: True}
    metadata = part.get("metadata")
    if metadata is not None or notes:
        content["metadata"] = {**(metadata or {}), **notes}
    return content


def _noted(part: JsonObject, notes: dict[str, str]) -> JsonObject:
    return {note: part[name] for name, note in notes.items() if part.get(name) is not None}


def _file_to_v03(part: JsonObject) -> JsonObject:
    file: JsonObject = {}
    if part.get("raw") is not None:
        file["bytes"] = part["raw"]
    else:
        file["uri"] = part["url"]
    if part.get("mediaType") is not None:
        file["mimeType"] = part["mediaType"]
    if part.get("filename") is not None:
        file["name"] = part["filename"]
    return {"kind": "file", "file": file}


def part_from_v03(value: Json, at: str) -> JsonObject:
    part = object_at(value, at)
    kind = _part_kind(part, at)
    metadata = part.get("metadata")
    notes: JsonObject = {}
    if isinstance(metadata, dict):
        notes = {note: metadata[note] for note in NOTES if note in metadata}
        own = {key: item for key, item in metadata.items() if key not in NOTES}
        metadata = None if notes and not own else own
    match kind:
        case "text":
            content: JsonObject = {"text": part.get("text"), "mediaType": notes.get(MEDIA_TYPE_NOTE)}
        case "file":
            content = _file_from_v03(object_at(part.get("file"), f"{at}.file"), at, notes)
        case _:
            content = {
                "data": _data_from_v03(part.get("data"), notes),
                "mediaType": notes.get(MEDIA_TYPE_NOTE),
                "filename": notes.get(FILENAME_NOTE),
            }
    return {key: item for key, item in (content | {"metadata": metadata}).items() if item is not None}


def _part_kind(part: JsonObject, at: str) -> str:
    """By `kind`, or by the content where it is missing; the first drafts called it `type`."""
    kind = part.get("kind", part.get("type"))
    if isinstance(kind, str) and kind in _PART_KINDS:
        return kind
    present = [name for name in _PART_KINDS if part.get(name) is not None]
    if len(present) != 1:
        raise ShapeError(at, "has to be a text, file or data part")
    return present[0]


def _data_from_v03(data: Json, notes: JsonObject) -> Json:
    if notes.get(DATA_NOTE) is True and isinstance(data, dict) and data.get("value") is not None:
        return data["value"]
    return data


def _file_from_v03(file: JsonObject, at: str, notes: JsonObject) -> JsonObject:
    content: JsonObject = {"mediaType": field(file, "mimeType"), "filename": file.get("name")}
    if file.get("bytes") is not None:
        # Line breaks are usual in base64 of mail tools, and no 1.0 parser has to take them.
        raw = "".join(text_at(file["bytes"], f"{at}.file.bytes").split())
        text = _text_in(raw) if notes.get(TEXT_NOTE) is True else None
        return content | ({"raw": raw} if text is None else {"text": text})
    if file.get("uri") is None:
        raise ShapeError(f"{at}.file", "needs bytes or uri")
    return content | {"url": file["uri"]}


def _text_in(raw: str) -> str | None:
    try:
        return base64.b64decode(raw, validate=True).decode()
    except ValueError:
        return None


def message_to_v03(message: JsonObject) -> JsonObject:
    return {
        "kind": "message",
        **picked(message, _MESSAGE),
        "role": _ROLE_TO_V03[message["role"]],
        "parts": [part_to_v03(part) for part in message["parts"]],
    }


def message_from_v03(value: Json, at: str) -> JsonObject:
    message = object_at(value, at)
    return {
        **_without_empty_ids(picked(message, _MESSAGE)),
        "role": role_from_v03(message.get("role"), f"{at}.role"),
        "parts": _parts_from_v03(message, at),
    }


def _parts_from_v03(value: JsonObject, at: str) -> list[JsonObject]:
    parts = list_at(value.get("parts"), f"{at}.parts")
    translated = [part_from_v03(part, f"{at}.parts.{index}") for index, part in enumerate(parts)]
    return translated or [{"text": ""}]


def _without_empty_ids(value: JsonObject) -> JsonObject:
    """An empty id is how peers that speak protobuf inside write that there is none."""
    return {key: item for key, item in value.items() if item != "" or key not in ("contextId", "taskId")}


def _artifact_to_v03(artifact: JsonObject) -> JsonObject:
    return {**picked(artifact, _ARTIFACT), "parts": [part_to_v03(part) for part in artifact["parts"]]}


def _artifact_from_v03(value: Json, at: str) -> JsonObject:
    artifact = object_at(value, at)
    return {**picked(artifact, _ARTIFACT), "parts": _parts_from_v03(artifact, at)}


def _status_to_v03(status: JsonObject) -> JsonObject:
    translated = {**picked(status, ("timestamp",)), "state": state_to_v03(status["state"])}
    if status.get("message") is not None:
        translated["message"] = message_to_v03(status["message"])
    return translated


def _status_from_v03(value: Json, at: str) -> JsonObject:
    status = object_at(value, at)
    translated = {
        **picked(status, ("timestamp",)),
        "state": state_from_v03(status.get("state"), f"{at}.state"),
    }
    if status.get("message") is not None:
        translated["message"] = message_from_v03(status["message"], f"{at}.message")
    return translated


def task_to_v03(task: JsonObject) -> JsonObject:
    """0.3 requires a contextId: it is empty where the task has none."""
    translated = {
        "kind": "task",
        **picked(task, ("id", "metadata")),
        "contextId": task.get("contextId") or "",
        "status": _status_to_v03(task["status"]),
    }
    if task.get("artifacts") is not None:
        translated["artifacts"] = [_artifact_to_v03(artifact) for artifact in task["artifacts"]]
    if task.get("history") is not None:
        translated["history"] = [message_to_v03(message) for message in task["history"]]
    return translated


def task_from_v03(value: Json, at: str) -> JsonObject:
    task = object_at(value, at)
    translated = _without_empty_ids(picked(task, ("id", "contextId", "metadata")))
    translated["status"] = _status_from_v03(task.get("status"), f"{at}.status")
    if task.get("artifacts") is not None:
        translated["artifacts"] = [
            _artifact_from_v03(item, f"{at}.artifacts.{index}")
            for index, item in enumerate(list_at(task["artifacts"], f"{at}.artifacts"))
        ]
    if task.get("history") is not None:
        translated["history"] = [
            message_from_v03(item, f"{at}.history.{index}")
            for index, item in enumerate(list_at(task["history"], f"{at}.history"))
        ]
    return translated


def event_to_v03(event: JsonObject) -> JsonObject:
    """A StreamResponse as the 0.3 object itself; `final` where the turn ends, at interrupted states too.

    The same JSON of a task is what a 0.3 webhook is sent.
    """
    if event.get("task") is not None:
        return task_to_v03(event["task"])
    if event.get("message") is not None:
        return message_to_v03(event["message"])
    if event.get("statusUpdate") is not None:
        update = event["statusUpdate"]
        state = TaskState(update["status"]["state"])
        return {
            "kind": "status-update",
            **picked(update, _STATUS_EVENT),
            "status": _status_to_v03(update["status"]),
            "final": state.is_settled,
        }
    update = event["artifactUpdate"]
    return {
        "kind": "artifact-update",
        **picked(update, _ARTIFACT_EVENT),
        "artifact": _artifact_to_v03(update["artifact"]),
    }


def event_from_v03(value: Json, at: str = "result") -> JsonObject:
    """A StreamResponse from an event of a stream, or from what came to a webhook. is_final reads `final`."""
    event = object_at(value, at)
    match _event_kind(event):
        case "task":
            return {"task": task_from_v03(event, at)}
        case "message":
            return {"message": message_from_v03(event, at)}
        case "status-update":
            status = _status_from_v03(event.get("status"), f"{at}.status")
            return {"statusUpdate": {"contextId": "", **picked(event, _STATUS_EVENT), "status": status}}
        case "artifact-update":
            artifact = _artifact_from_v03(event.get("artifact"), f"{at}.artifact")
            return {
                "artifactUpdate": {"contextId": "", **picked(event, _ARTIFACT_EVENT), "artifact": artifact}
            }
        case _:
            raise ShapeError(f"{at}.kind", "has to be task, message, status-update or artifact-update")


def _event_kind(event: JsonObject) -> Json:
    kind = event.get("kind")
    if kind is not None:
        return kind
    if "artifact" in event:
        return "artifact-update"
    if "status" in event:
        return "task" if "id" in event else "status-update"
    return "message" if "parts" in event else None


def is_final(event: Json) -> bool:
    """Whether a 0.3 event says that the turn is over: 1.0 says it by closing the stream."""
    return isinstance(event, dict) and event.get("final") is True
