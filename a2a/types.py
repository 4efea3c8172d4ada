"""The A2A 1.0 data model (specification sections 4 and 5) as pydantic models.

Out: camelCase, enums by their proto names, no unset keys. In: camelCase or the proto's snake_case names,
unknown fields ignored. Owns shapes and their own rules only; what an operation does with them is elsewhere.
"""

import base64
import binascii
import math
import os
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

PROTOCOL_VERSION = "1.0"


class WireModel(BaseModel):
    """Base of everything that crosses the wire."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="ignore",
    )

    def to_json(self) -> dict[str, Any]:
        """The object as plain JSON values, unset keys left out."""
        return self.model_dump(mode="json", exclude_none=True)


def _decode_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    standard = value.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error as exc:
        raise ValueError("raw must be base64") from exc


def _encode_base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


Base64 = Annotated[
    bytes,
    BeforeValidator(_decode_base64),
    PlainSerializer(_encode_base64, return_type=str, when_used="json-unless-none"),
]


def _to_utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def format_timestamp(value: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z (section 5.6.1)."""
    return _to_utc(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _checked_utc(value: datetime) -> datetime:
    try:
        return _to_utc(value)
    except OverflowError as exc:
        raise ValueError("the time has no UTC date") from exc


Timestamp = Annotated[
    datetime,
    AfterValidator(_checked_utc),
    PlainSerializer(format_timestamp, return_type=str, when_used="json-unless-none"),
]
MAX_JSON_DEPTH = 100


def _sendable(value: Any) -> Any:
    """JSON that every peer can read: finite numbers, and no deeper than parsers go."""
    level: list[Any] = [value]
    for _ in range(MAX_JSON_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("numbers have to be finite")
        if not below:
            return value
        level = below
    raise ValueError(f"JSON may be {MAX_JSON_DEPTH} levels deep")


Json = Any
SendableJson = Annotated[Any, AfterValidator(_sendable)]
Metadata = Annotated[dict[str, Json], AfterValidator(_sendable)]


def new_id() -> str:
    """A random UUID (RFC 9562, version 4). uuid4() makes an object of it first, in twice the time."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Role(StrEnum):
    USER = "ROLE_USER"
    AGENT = "ROLE_AGENT"


class TaskState(StrEnum):
    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"
    COMPLETED = "TASK_STATE_COMPLETED"
    FAILED = "TASK_STATE_FAILED"
    CANCELED = "TASK_STATE_CANCELED"
    REJECTED = "TASK_STATE_REJECTED"
    INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
    AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def is_interrupted(self) -> bool:
        """Waiting for the client: a blocking send returns here too (3.2.2)."""
        return self in (TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED)

    @property
    def is_settled(self) -> bool:
        """Ended, or waiting for the client: nothing more comes by itself."""
        return self.is_terminal or self.is_interrupted


_TERMINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED})


class Part(WireModel):
    """Exactly one of text, raw, url and data (4.1.6)."""

    text: str | None = None
    raw: Base64 | None = None
    url: str | None = None
    data: SendableJson = None
    media_type: str | None = None
    filename: str | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _exactly_one_content(self) -> Self:
        is_text, is_raw, is_url = self.text is not None, self.raw is not None, self.url is not None
        if is_text + is_raw + is_url + (self.data is not None) != 1:
            raise ValueError("a part has exactly one of text, raw, url and data, and it is not null")
        return self

    @classmethod
    def from_text(
        cls,
        text: str,
        media_type: str | None = None,
        filename: str | None = None,
        metadata: Metadata | None = None,
    ) -> Self:
        return cls(text=text, media_type=media_type, filename=filename, metadata=metadata)

    @classmethod
    def from_bytes(
        cls,
        raw: bytes,
        media_type: str,
        filename: str | None = None,
        metadata: Metadata | None = None,
    ) -> Self:
        return cls(raw=raw, media_type=media_type, filename=filename, metadata=metadata)

    @classmethod
    def from_data(cls, value: Json, metadata: Metadata | None = None) -> Self:
        return cls(data=value, metadata=metadata)

    def content(self) -> bytes:
        """The bytes of a text or raw part; empty for url and data parts."""
        if self.raw is not None:
            return self.raw
        return (self.text or "").encode()

    @property
    def is_attachment(self) -> bool:
        """A file rather than something said: raw bytes, a link, or text that has a file name."""
        return (
            self.raw is not None
            or self.url is not None
            or (self.text is not None and self.filename is not None)
        )


# What is over it is no message any more but a flood.
MAX_LISTED = 10_000
Parts = Annotated[list[Part], Field(min_length=1, max_length=MAX_LISTED)]


class Message(WireModel):
    message_id: Annotated[str, Field(min_length=1)]
    role: Role
    parts: Parts
    context_id: str | None = None
    task_id: str | None = None
    metadata: Metadata | None = None
    extensions: list[str] | None = None
    reference_task_ids: list[str] | None = None

    @classmethod
    def from_agent(cls, *parts: Part, context_id: str | None = None, task_id: str | None = None) -> Self:
        return cls(
            message_id=new_id(),
            role=Role.AGENT,
            parts=list(parts),
            context_id=context_id,
            task_id=task_id,
        )

    @classmethod
    def from_user(
        cls,
        *parts: Part,
        context_id: str | None = None,
        task_id: str | None = None,
        metadata: Metadata | None = None,
        message_id: str | None = None,
    ) -> Self:
        return cls(
            message_id=message_id or new_id(),
            role=Role.USER,
            parts=list(parts),
            context_id=context_id,
            task_id=task_id,
            metadata=metadata,
        )

    def spoken_text(self) -> str:
        """What is said in this message: its text parts that are not files."""
        return "\n".join(part.text for part in self.parts if part.text is not None and not part.is_attachment)


class Artifact(WireModel):
    artifact_id: Annotated[str, Field(min_length=1)]
    parts: Parts
    name: str | None = None
    description: str | None = None
    metadata: Metadata | None = None
    extensions: list[str] | None = None

    @classmethod
    def of(
        cls,
        *parts: Part,
        name: str,
        description: str | None = None,
        metadata: Metadata | None = None,
    ) -> Self:
        return cls(
            artifact_id=new_id(),
            parts=list(parts),
            name=name,
            description=description,
            metadata=metadata,
        )


class TaskStatus(WireModel):
    state: TaskState
    message: Message | None = None
    timestamp: Timestamp | None = None


class Task(WireModel):
    id: Annotated[str, Field(min_length=1)]
    context_id: str | None = None
    status: TaskStatus
    artifacts: Annotated[list[Artifact], Field(max_length=MAX_LISTED)] | None = None
    history: Annotated[list[Message], Field(max_length=MAX_LISTED)] | None = None
    metadata: Metadata | None = None

    def with_history(self, length: int | None) -> "Task":
        """A copy cut to the `length` newest messages; None keeps all, 0 leaves the key out (3.2.4)."""
        if length is None or self.history is None:
            return self
        history = self.history[-length:] if length > 0 else None
        return self.model_copy(update={"history": history})


class TaskStatusUpdateEvent(WireModel):
    task_id: str
    context_id: str
    status: TaskStatus
    metadata: Metadata | None = None


class TaskArtifactUpdateEvent(WireModel):
    task_id: str
    context_id: str
    artifact: Artifact
    append: bool | None = None
    last_chunk: bool | None = None
    metadata: Metadata | None = None


class StreamResponse(WireModel):
    """One event of a stream: exactly one key is set (3.2.3)."""

    task: Task | None = None
    message: Message | None = None
    status_update: TaskStatusUpdateEvent | None = None
    artifact_update: TaskArtifactUpdateEvent | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        contents = (self.task, self.message, self.status_update, self.artifact_update)
        if sum(value is not None for value in contents) != 1:
            raise ValueError("one of task, message, statusUpdate and artifactUpdate is needed")
        return self
