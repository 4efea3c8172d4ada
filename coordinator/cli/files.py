"""Files on their way out and in: what may be sent, a plan among it, and names under which results are saved.

A file name that came over the network names a file in one folder, never a path.
"""

import codecs
import mimetypes
import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic_core import from_json

from coordinator.cli.errors import FileRefused

MAX_NAME_BYTES: Final = 150
MAX_SAME_NAME: Final = 1000
MAX_PLAN_BYTES: Final = 4 * 2**20
# Types that the standard table lacks or that differ between systems.
MEDIA_TYPES: Final = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".pdf": "application/pdf",
}


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    media_type: str
    content: bytes


def read_uploads(paths: Sequence[Path], *, max_bytes: int) -> list[Upload]:
    """The files' contents, under names that differ. Raises FileRefused with one sentence."""
    uploads: list[Upload] = []
    left = max_bytes
    for path in paths:
        content = _read(path, max_bytes=left)
        left -= len(content)
        if left < 0:
            raise FileRefused(
                f"{path} is too large: a task takes {max_bytes / 2**20:.4g} MB of files in all "
                "(setting TASKS_MAX_UPLOAD_BYTES)."
            )
        name = free_name(safe_name(path.name), {upload.name for upload in uploads})
        uploads.append(Upload(name, media_type(path), content))
    return uploads


def read_plan(path: Path) -> dict[str, Any]:
    """A plan as the API takes it, {"steps": [...]}; what is in its steps is for the coordinator to judge.

    Raises FileRefused with one sentence.
    """
    content = _read(path, max_bytes=MAX_PLAN_BYTES)
    if len(content) > MAX_PLAN_BYTES:
        raise FileRefused(f"{path} is too large for a plan: over {MAX_PLAN_BYTES // 2**20} MB.")
    try:
        plan = from_json(content.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError as exc:
        raise FileRefused(f"{path} is not valid JSON: {exc}.") from exc
    if not isinstance(plan, dict) or not isinstance(plan.get("steps"), list):
        raise FileRefused(f'{path} is no plan: a plan is an object with a list of steps, {{"steps": [...]}}.')
    return plan


def _read(path: Path, *, max_bytes: int) -> bytes:
    """The content, or its first `max_bytes` + 1 bytes."""
    try:
        if path.is_dir():
            raise FileRefused(f"{path} is a directory. Name a file in it.")
        if not path.exists():
            raise FileRefused(f"There is no file {path}.")
        if not path.is_file():
            raise FileRefused(f"{path} is not a regular file.")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as exc:
        raise FileRefused(f"{path} cannot be read: {exc.strerror or type(exc).__name__}.") from exc


def media_type(path: Path) -> str:
    known = MEDIA_TYPES.get(path.suffix.lower())
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def safe_name(name: str) -> str:
    """The last component of a foreign file name, printable, not hidden, of bounded length; never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(c if unicodedata.category(c)[0] in "LMNPS" else " " for c in last)
    words = " ".join("".join("_" if c in '<>:"|?*' else c for c in printable).split())
    stem, dot, suffix = words.strip(". ").rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    suffix = _cut(suffix, 20)
    stem = _cut(stem, MAX_NAME_BYTES - 21).strip(". ") or "file"
    return f"{stem}.{suffix}" if suffix else stem


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")


def _numbered(name: str, number: int) -> str:
    """`chart.svg`, `chart-2.svg`, ..."""
    if number == 1:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}.{suffix}" if dot else f"{suffix}-{number}"


def free_name(name: str, taken: set[str]) -> str:
    number = 1
    while _numbered(name, number) in taken:
        number += 1
    return _numbered(name, number)


async def save(folder: Path, filename: str, chunks: AsyncIterator[bytes]) -> Path:
    """Write the chunks under a new name in the folder; nothing that exists is overwritten or followed.

    Raises FileRefused. What was written of a download that breaks off is removed.
    """
    try:
        path, file = _open_new(folder, safe_name(filename))
        try:
            with file:
                async for chunk in chunks:
                    file.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise FileRefused(f"Cannot write to {folder}: {exc.strerror or type(exc).__name__}.") from exc
    return path


def _open_new(folder: Path, name: str) -> tuple[Path, BinaryIO]:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, MAX_SAME_NAME):
        path = folder / _numbered(name, number)
        with suppress(FileExistsError):
            return path, path.open("xb")
    raise FileRefused(f"{folder} holds too many files called {name}. Choose another --out.")
