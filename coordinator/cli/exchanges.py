"""A2A requests and answers as one line of text each, for `parley dev`. Pure, and total: what comes from a
caller may be anything, and half of it, for only the beginning of a long body is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core

from a2a.errors import error_from_code
from a2a.server.rest import find_target
from coordinator.cli.plain import one_line

JSON_RPC: Final = "JSON-RPC"
WORDS_CHARS: Final = 80
SHORT_ID_CHARS: Final = 8
# 0.3 says by `kind` what 1.0 says by the key around it.
_KINDS: Final = {
    "task": "task",
    "message": "message",
    "status-update": "statusUpdate",
    "artifact-update": "artifactUpdate",
}


@dataclass(frozen=True, slots=True)
class Called:
    """What a caller asks for. `task_id` is the task that it names, `words` what it says."""

    binding: str
    operation: str
    task_id: str = ""
    skill_id: str = ""
    text: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer or event. `state` is the task's, or "error"; `chunk_of` names the artifact where it only
    adds to one."""

    line: str
    task_id: str = ""
    state: str = ""
    chunk_of: str = ""


def read_call(method: str, path: str, body: bytes) -> Called | None:
    """None where the request is none of the protocol's."""
    target = find_target(method, [segment for segment in path.split("/") if segment])
    json = _parsed(body)
    if target is not None:
        return _called("HTTP+JSON", target.operation or "?", {**_dict(json), **target.fields})
    if method != "POST":
        return None
    envelope = _dict(json)
    operation = envelope.get("method")
    return _called(
        JSON_RPC, one_line(operation) if isinstance(operation, str) else "?", _dict(envelope.get("params"))
    )


def _called(binding: str, operation: str, params: Mapping[str, Any]) -> Called:
    message = _dict(params.get("message"))
    parts = _list(message.get("parts"))
    metadata = _dict(message.get("metadata"))
    text = "\n".join(
        part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("filename")
    )
    return Called(
        binding=binding,
        operation=operation,
        task_id=_first_text(message.get("taskId"), params.get("taskId"), params.get("id")),
        skill_id=_first_text(metadata.get("skillId")),
        text=text,
        words=parts_line(parts),
    )


def read_answer(body: bytes) -> Said | None:
    """An answer's body, or one event of a stream; None where there is nothing to say about it."""
    answer = _dict(_parsed(body))
    if isinstance(answer.get("error"), dict):
        return Said(_error_line(answer["error"]), state="error")
    result = _dict(answer.get("result")) if "jsonrpc" in answer else answer
    for key in _KINDS.values():
        if isinstance(result.get(key), dict):
            return _said(key, result[key])
    kind = _KINDS.get(_first_text(result.get("kind")), "task" if "status" in result else "")
    if kind:
        return _said(kind, result)
    if isinstance(result.get("tasks"), list):
        return Said(f"{len(result['tasks'])} tasks")
    return None


def frame_data(frame: bytes) -> bytes:
    """The data of a server-sent event; empty for a comment."""
    return b"\n".join(
        line[5:].strip() for line in frame.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data:")
    )


def _said(kind: str, body: Mapping[str, Any]) -> Said:
    state = _state(_dict(body.get("status")))
    if kind == "task":
        task_id = _first_text(body.get("id"))
        artifacts = [_artifact_line(artifact) for artifact in _list(body.get("artifacts"))]
        line = " ".join([f"task {short_id(task_id)}", _status_line(_dict(body.get("status")))])
        return Said("; ".join([line, *artifacts[:5]]), task_id, state)
    task_id = _first_text(body.get("taskId"))
    if kind == "statusUpdate":
        return Said(_status_line(_dict(body.get("status"))), task_id, state)
    if kind == "artifactUpdate":
        artifact = _dict(body.get("artifact"))
        name = _first_text(artifact.get("name"), artifact.get("artifactId")) or "artifact"
        return Said(_artifact_line(artifact), task_id, chunk_of=name if body.get("append") is True else "")
    return Said(f"reply {parts_line(_list(body.get('parts')))}", task_id)


def _state(status: Mapping[str, Any]) -> str:
    """In words, such as "input required"."""
    state = _first_text(status.get("state")).removeprefix("TASK_STATE_").lower()
    return one_line(state.replace("_", " ").replace("-", " "), max_chars=40)


def _status_line(status: Mapping[str, Any]) -> str:
    words = parts_line(_list(_dict(status.get("message")).get("parts")))
    return f"{_state(status)} {words}".strip()


def _artifact_line(artifact: Mapping[str, Any]) -> str:
    name = _first_text(artifact.get("name"), artifact.get("artifactId")) or "artifact"
    return f"{one_line(name, max_chars=40)} {parts_line(_list(artifact.get('parts')))}"


def _error_line(error: Mapping[str, Any]) -> str:
    """The code as the binding has it, the error's name, what it says, and the fields at fault."""
    code = error.get("code")
    details = _list(error.get("data")) + _list(error.get("details"))
    name = _first_text(*(detail.get("reason") for detail in details))
    if not name and isinstance(code, int):
        name = type(error_from_code(code, "")).__name__ if code < 0 else _first_text(error.get("status"))
    fields = [
        f"{one_line(str(field.get('field')), max_chars=60)}: {one_line(str(field.get('description')))}"
        for detail in details
        for field in _list(detail.get("fieldViolations"))
    ]
    said = one_line(_first_text(error.get("message")), max_chars=300)
    return " ".join([f"error {one_line(str(code), max_chars=20)} {one_line(name)}: {said}", *fields[:3]])


def parts_line(parts: Sequence[Mapping[str, Any]]) -> str:
    """The first words of a message or artifact, files by their names."""
    shown = [_part_line(part) for part in parts[:4]]
    if len(parts) > 4:
        shown.append(f"and {len(parts) - 4} more parts")
    return ", ".join(shown)


def _part_line(part: Mapping[str, Any]) -> str:
    file = _dict(part.get("file"))
    name = one_line(_first_text(part.get("filename"), file.get("name")), max_chars=60)
    encoded = _first_text(part.get("raw"), file.get("bytes"))
    if encoded:
        size = f"about {len(encoded) * 3 // 4:,} bytes"
        return f"file {name} ({size})" if name else f"file ({size})"
    link = _first_text(part.get("url"), file.get("uri"))
    if link:
        return f"link {one_line(link, max_chars=WORDS_CHARS)}"
    if isinstance(part.get("text"), str):
        words = one_line(part["text"], max_chars=WORDS_CHARS)
        return f'file {name} "{words}"' if name else f'"{words}"'
    data = pydantic_core.to_json(part.get("data"), fallback=str)[: WORDS_CHARS * 4]
    return one_line(data.decode(errors="replace"), max_chars=WORDS_CHARS)


def short_id(task_id: str) -> str:
    return one_line(task_id[:SHORT_ID_CHARS])


def _parsed(body: bytes) -> Any:
    try:
        return pydantic_core.from_json(body, allow_partial="trailing-strings")
    except ValueError:
        return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _first_text(*values: Any) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")
