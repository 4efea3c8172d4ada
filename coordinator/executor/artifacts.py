"""Parts at rest and on their way: a task's files, a step's artifacts, and the message made of them."""

import mimetypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

import pydantic_core
from sqlalchemy import Connection, Row, or_, select

from a2a.types import Artifact as A2AArtifact
from a2a.types import Json, Part
from coordinator.executor.errors import ArtifactNotFound
from models.ids import new_id
from models.tables import Artifact

MAX_FILENAME_CHARS = 120
_KNOWN_TYPES = {".ndjson": "application/x-ndjson", ".jsonl": "application/x-ndjson", ".md": "text/markdown"}


def media_type_of(part: Part) -> str:
    """What the part says, else what its file name says, else what its kind of content is."""
    if part.media_type:
        return part.media_type.partition(";")[0].strip().lower()
    if part.filename:
        suffix = PurePath(part.filename).suffix.lower()
        guessed = _KNOWN_TYPES.get(suffix) or mimetypes.guess_type(part.filename)[0]
        if guessed:
            return guessed
    if part.text is not None:
        return "text/plain"
    return "application/json" if part.data is not None else "application/octet-stream"


def safe_filename(name: str) -> str:
    """The last component without control characters; never a path, never hidden, never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(character for character in last if character.isprintable()).strip().lstrip(".")
    return clean[-MAX_FILENAME_CHARS:] or "file"


def named_inputs(parts: Sequence[Part]) -> list[Part]:
    """The task's input parts with a media type and a file name each, no two names alike."""
    taken: set[str] = set()
    named = []
    for place, part in enumerate(parts, start=1):
        media_type = media_type_of(part)
        extension = mimetypes.guess_extension(media_type) or ""
        wanted = safe_filename(part.filename) if part.filename else f"input-{place}{extension}"
        name = _unused(wanted, taken)
        taken.add(name)
        named.append(part.model_copy(update={"filename": name, "media_type": media_type}))
    return named


def _unused(name: str, taken: set[str]) -> str:
    path = PurePath(name)
    candidates = (f"{path.stem}-{count}{path.suffix}" for count in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in candidates if other not in taken)


def store_parts(step_number: int | None, artifacts: Iterable[A2AArtifact]) -> "list[Stored]":
    """The artifacts as they will be kept: one entry for each part."""
    return [
        Stored(
            id=new_id("artifact"),
            step_number=step_number,
            name=(artifact.name or "result")[:MAX_FILENAME_CHARS],
            filename=_filename(artifact, part),
            media_type=media_type_of(part),
            size_bytes=len(_content(part)),
            part=part,
        )
        for artifact in artifacts
        for part in artifact.parts
    ]


def artifact_rows(task_id: str, stored: "Iterable[Stored]", now: datetime) -> list[dict[str, Json]]:
    return [
        {
            "id": item.id,
            "task_id": task_id,
            "step_number": item.step_number,
            "name": item.name,
            "filename": item.filename,
            "media_type": item.media_type,
            "size_bytes": item.size_bytes,
            "part": item.part.to_json(),
            "created_at": now,
        }
        for item in stored
    ]


def _filename(artifact: A2AArtifact, part: Part) -> str:
    if part.filename:
        return safe_filename(part.filename)
    extension = mimetypes.guess_extension(media_type_of(part)) or ""
    return safe_filename((artifact.name or "result") + extension)


def _content(part: Part) -> bytes:
    if part.data is not None:
        return pydantic_core.to_json(part.data)
    return part.url.encode() if part.url is not None else part.content()


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact row as the rest of the coordinator sees it."""

    id: str
    step_number: int | None
    name: str
    filename: str
    media_type: str
    size_bytes: int
    part: Part

    def content(self) -> bytes:
        """What a download gives: the bytes of a file or text, the JSON of data, the URL of a link."""
        return _content(self.part)


def _stored(row: Row[tuple[Artifact]]) -> Stored:
    return Stored(
        id=row.id,
        step_number=row.step_number,
        name=row.name,
        filename=row.filename,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        part=Part.model_validate(row.part),
    )


def read_artifacts(
    connection: Connection, task_id: str, *, steps: Sequence[int | None] | None = None
) -> list[Stored]:
    """The parts of the task's inputs (None) and of the steps named, in the order they came."""
    query = select(Artifact.__table__).where(Artifact.task_id == task_id).order_by(Artifact.id)
    if steps is not None:
        numbers = [step for step in steps if step is not None]
        is_wanted = Artifact.step_number.in_(numbers)
        query = query.where(or_(is_wanted, Artifact.step_number.is_(None)) if None in steps else is_wanted)
    return [_stored(row) for row in connection.execute(query)]


def read_artifact(connection: Connection, task_id: str, artifact_id: str) -> Stored:
    """Raises ArtifactNotFound."""
    query = select(Artifact.__table__).where(Artifact.task_id == task_id, Artifact.id == artifact_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ArtifactNotFound(artifact_id)
    return _stored(row)


def for_modes(stored: Stored, input_modes: Sequence[str]) -> Part | None:
    """The part as an agent gets it; None where it takes no such media type."""
    part = stored.part
    named = part.model_copy(update={"filename": stored.filename, "metadata": _origin(stored)})
    if takes(stored.media_type, input_modes):
        return named
    if part.text is not None and takes("text/plain", input_modes):
        return named.model_copy(update={"media_type": "text/plain"})
    return None


def link_to(stored: Stored, url: str) -> Part:
    """In place of content that is too large to travel."""
    return Part(url=url, filename=stored.filename, media_type=stored.media_type, metadata=_origin(stored))


def _origin(stored: Stored) -> dict[str, Json]:
    metadata = {**(stored.part.metadata or {}), "artifact": stored.name}
    if stored.step_number is not None:
        metadata["step"] = stored.step_number
    return metadata


def takes(media_type: str, input_modes: Sequence[str]) -> bool:
    return any(_accepts(mode, media_type) for mode in input_modes)


def _accepts(mode: str, media_type: str) -> bool:
    kind, _, subtype = mode.partition(";")[0].strip().lower().partition("/")
    wanted_kind, _, wanted_subtype = media_type.partition("/")
    return kind in ("*", wanted_kind) and subtype in ("*", wanted_subtype)
