"""The texts to summarise that came along in a message: prose, HTML, PDF and JSON, and notes on the rest."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from a2a.attachments import AttachmentUnreadable
from agent_servers.api.decoding import decode
from agent_servers.api.errors import TableRefused
from agent_servers.api.inputs import MAX_FILES, Attached, file_name, media_type, part_of
from agent_servers.api.wording import counted, listing, value
from agent_servers.pdf import PdfRefused, read_pdf

_TEXT_SUFFIXES = {".md", ".markdown", ".html", ".htm", ".txt", ".text", ".rst", ".log", ""}
_JSON_TYPES = {"application/json", "text/json"}
_MAX_KEYS = 8
_MAX_DEPTH = 6
_MAX_VALUES = 2_000
_MIN_WORDS = 4


@dataclass(frozen=True, slots=True)
class Document:
    """A text to summarise and where it is from; `outline` says how it is built where that is telling."""

    name: str
    text: str
    is_html: bool = False
    outline: tuple[str, ...] = ()


class _NoText(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def documents(
    attached: Sequence[Attached], data: Sequence[Any], spoken: Sequence[str], max_file_bytes: int
) -> tuple[list[Document], list[str]]:
    """What was said beyond the instruction and the attached texts; where there are none, the JSON of
    the data parts. The second value has a sentence for each file left out."""
    found = [Document("message", text) for text in spoken if text.strip()]
    notes = []
    for number, item in enumerate(attached[:MAX_FILES], start=1):
        name = file_name(part_of(item), number)
        try:
            found.append(_document(item, name, max_file_bytes))
        except _NoText as exc:
            notes.append(f"{value(name)} was not summarised: {exc.reason}.")
    if not found:
        found = [_of_json(said, f"data part {n}") for n, said in enumerate(data[:MAX_FILES], start=1)]
    return found, notes


def _document(part: Attached, name: str, max_file_bytes: int) -> Document:
    if isinstance(part, AttachmentUnreadable):
        raise _NoText(part.reason)
    kind, suffix = media_type(part), PurePosixPath(name.lower()).suffix
    if kind in {"text/csv", "text/tab-separated-values"} or suffix in {".csv", ".tsv"}:
        raise _NoText("it is a table; ask to analyse it")
    raw = part.content()
    if len(raw) > max_file_bytes:
        raise _NoText(f"it is over {max_file_bytes // 2**20} MiB")
    if kind == "application/pdf" or suffix == ".pdf" or raw.startswith(b"%PDF-"):
        return _of_pdf(raw, name)
    is_json = kind in _JSON_TYPES or suffix == ".json"
    is_text = kind.startswith("text/") or suffix in _TEXT_SUFFIXES
    if kind.startswith("image/") or not (is_json or is_text):
        raise _NoText("it is not a text")
    try:
        text, _ = decode(raw)
    except TableRefused as exc:
        raise _NoText("it is not a text") from exc
    if is_json:
        return _of_json(_parsed(text), name)
    is_html = kind == "text/html" or suffix in {".html", ".htm"}
    return Document(name, text, is_html)


def _of_pdf(raw: bytes, name: str) -> Document:
    try:
        return Document(name, "\n\n".join(read_pdf(raw).pages))
    except PdfRefused as exc:
        raise _NoText(exc.reason) from exc


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _NoText("it is not valid JSON") from exc


def _of_json(item: Any, name: str) -> Document:
    """The sentences among the strings of a JSON value, each a paragraph, and how the value is built."""
    texts = dict.fromkeys(" ".join(text.split()) for text in _strings(item, 0))
    prose = [text for text in texts if len(text.split()) >= _MIN_WORDS]
    return Document(name, "\n\n".join(prose), outline=tuple(_outline(item)))


def _strings(item: Any, depth: int) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    elif isinstance(item, dict | list) and depth < _MAX_DEPTH:
        members = list(item.values()) if isinstance(item, dict) else item
        for member in members[:_MAX_VALUES]:
            yield from _strings(member, depth + 1)


def _outline(item: Any) -> Iterator[str]:
    """How a JSON object or array is built: a sentence for it, and one for each array in it."""
    if isinstance(item, list):
        yield f"The JSON is an array of {_items(item)}."
    elif isinstance(item, dict) and item:
        yield f"The JSON is an object with {_keys(item)}."
        arrays = [(str(key), member) for key, member in item.items() if isinstance(member, list)]
        for key, member in arrays[:_MAX_KEYS]:
            yield f"{value(key)} has {_items(member)}."


def _items(items: list[Any]) -> str:
    objects = [item for item in items if isinstance(item, dict)]
    text = counted(len(items), "item")
    if not objects:
        return text
    keys = dict.fromkeys(key for item in objects[:_MAX_VALUES] for key in item)
    return f"{text} with {_keys(keys)}"


def _keys(keys: Any) -> str:
    names = [value(str(key)) for key in keys]
    shown = names[:_MAX_KEYS]
    if len(names) > len(shown):
        shown.append(counted(len(names) - len(shown), "more key"))
    return listing(shown)
