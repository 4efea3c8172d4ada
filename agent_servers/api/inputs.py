"""What came along in a message, sorted: tables to analyse, texts to summarise, and notes on the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from a2a import Part
from agent_servers.api.decoding import decode
from agent_servers.api.errors import TableRefused
from agent_servers.api.json_rows import find_table
from agent_servers.api.records import RecordSet
from agent_servers.api.tables import read_records
from agent_servers.api.wording import value

MAX_TABLES = 3
_MAX_FILES = 20
_PROSE_TYPES = {"text/markdown", "text/html", "application/pdf", "application/xhtml+xml"}
_PROSE_SUFFIXES = {".md", ".markdown", ".html", ".htm", ".pdf", ".svg", ".png", ".jpg", ".docx"}
_TEXT_SUFFIXES = {".md", ".markdown", ".html", ".htm", ".txt", ".text", ".rst", ".log", ""}


@dataclass(slots=True)
class Tables:
    """Tables by file name, in order, and a sentence for each file that is not among them."""

    found: list[tuple[str, RecordSet]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Document:
    """A text to summarise and where it is from."""

    name: str
    text: str
    is_html: bool = False


def file_name(part: Part, number: int) -> str:
    """The last component of the given name, printable and short; what a stranger says is no path."""
    name = PurePosixPath((part.filename or "").replace("\\", "/")).name
    printable = "".join(char for char in name if char.isprintable())[:120].strip()
    return printable or f"attachment {number}"


def media_type(part: Part) -> str:
    return (part.media_type or "").partition(";")[0].strip().lower()


def tables(parts: Sequence[Part], data: Sequence[Any], max_file_bytes: int) -> Tables:
    """The tables among attachments; where there are none, those among the data parts."""
    result = Tables()
    for number, part in enumerate(parts[:_MAX_FILES], start=1):
        name = file_name(part, number)
        try:
            records = _table(part, name, max_file_bytes)
        except TableRefused as exc:
            result.notes.append(f"{value(name)} was not analysed: {exc.reason}.")
            continue
        if len(result.found) == MAX_TABLES:
            result.notes.append(
                f"{value(name)} was not analysed: {MAX_TABLES} tables are analysed at a time."
            )
            continue
        result.found.append((name, records))
    if not result.found:
        for number, item in enumerate(data[:_MAX_FILES], start=1):
            if len(result.found) < MAX_TABLES and (records_found := find_table(item)):
                result.found.append((f"data part {number}", records_found))
    return result


def _table(part: Part, name: str, max_file_bytes: int) -> RecordSet:
    if part.url is not None:
        raise TableRefused("links are not followed here; attach the file itself")
    kind, suffix = media_type(part), PurePosixPath(name.lower()).suffix
    if kind in _PROSE_TYPES or kind.startswith("image/") or suffix in _PROSE_SUFFIXES:
        raise TableRefused("it is a document and not a table")
    raw = part.content()
    if len(raw) > max_file_bytes:
        raise TableRefused(f"it is over {max_file_bytes // 2**20} MiB; send fewer rows or fewer columns")
    records = read_records(raw, name=name, media_type=kind)
    is_plain = kind == "text/plain" or suffix in {".txt", ".log"}
    if is_plain and len(records.header) == 1:
        raise TableRefused("it is plain text without columns")
    return records


def documents(
    parts: Sequence[Part], spoken: Sequence[str], max_file_bytes: int
) -> tuple[list[Document], list[str]]:
    """The texts to summarise: attached ones, and what was said beyond the instruction."""
    found = [Document("message", text) for text in spoken if text.strip()]
    notes = []
    for number, part in enumerate(parts[:_MAX_FILES], start=1):
        name = file_name(part, number)
        reason = _no_text(part, name, max_file_bytes)
        if reason is None:
            try:
                text, _ = decode(part.content())
            except TableRefused:
                reason = "it is not a text"
            else:
                is_html = media_type(part) == "text/html" or name.lower().endswith((".html", ".htm"))
                found.append(Document(name, text, is_html))
        if reason:
            notes.append(f"{value(name)} was not summarised: {reason}.")
    return found, notes


def _no_text(part: Part, name: str, max_file_bytes: int) -> str | None:
    kind, suffix = media_type(part), PurePosixPath(name.lower()).suffix
    if part.url is not None:
        return "links are not followed here; attach the text itself"
    if kind.startswith("image/") or (suffix not in _TEXT_SUFFIXES and not kind.startswith("text/")):
        return "it is not a text"
    if kind in {"text/csv", "text/tab-separated-values"} or suffix in {".csv", ".tsv"}:
        return "it is a table; ask to analyse it"
    if len(part.content()) > max_file_bytes:
        return f"it is over {max_file_bytes // 2**20} MiB"
    return None
