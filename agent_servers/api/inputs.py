"""What came along in a message: tables to analyse, and a sentence for each file that is none.

A part whose metadata has `"note": true` is a receipt ("GET ... answered 200"): it is there to be read by
people, and neither analyse nor summarise takes it for the content.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from a2a import Part
from a2a.attachments import AttachmentUnreadable
from agent_servers.api.errors import TableRefused
from agent_servers.api.json_rows import find_table
from agent_servers.api.records import RecordSet
from agent_servers.api.tables import read_records
from agent_servers.api.wording import value

NOTE = "note"
MAX_TABLES = 3
MAX_FILES = 20
_PROSE_TYPES = {"text/markdown", "text/html", "application/xhtml+xml"}
_FOREIGN = {
    ".xlsx": "an Excel file; save it as CSV and attach that",
    ".xls": "an Excel file; save it as CSV and attach that",
    ".xlsm": "an Excel file; save it as CSV and attach that",
    ".ods": "a spreadsheet; save it as CSV and attach that",
    ".pdf": "a PDF document and no table; ask to summarise or research it, or attach its table as CSV",
}
_FOREIGN_TYPES = {
    "application/pdf": ".pdf",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
}
_PROSE_SUFFIXES = {".md", ".markdown", ".html", ".htm", ".svg", ".png", ".jpg", ".docx"}

# A file, or a link that gave none.
Attached: TypeAlias = Part | AttachmentUnreadable


@dataclass(slots=True)
class Tables:
    """Tables by file name, in order, and a sentence for each file that is not among them."""

    found: list[tuple[str, RecordSet]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_note(part: Part) -> bool:
    """Whether a part only says what another part of its artifact is."""
    return bool((part.metadata or {}).get(NOTE))


def part_of(attached: Attached) -> Part:
    return attached.part if isinstance(attached, AttachmentUnreadable) else attached


def file_name(part: Part, number: int) -> str:
    """The last component of the given name, printable and short; what a stranger says is no path."""
    name = PurePosixPath((part.filename or "").replace("\\", "/")).name
    printable = "".join(char for char in name if char.isprintable())[:120].strip()
    return printable or f"attachment {number}"


def media_type(part: Part) -> str:
    return (part.media_type or "").partition(";")[0].strip().lower()


def tables(attached: Sequence[Attached], data: Sequence[Any], max_file_bytes: int) -> Tables:
    """The tables among attachments; where there are none, those among the data parts."""
    result = Tables()
    for number, item in enumerate(attached[:MAX_FILES], start=1):
        part = part_of(item)
        name = file_name(part, number)
        if what := _foreign(part, name):
            result.notes.append(f"{value(name)} is {what}.")
            continue
        try:
            records = _table(item, name, max_file_bytes)
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
        for number, value_found in enumerate(data[:MAX_FILES], start=1):
            if len(result.found) < MAX_TABLES and (records_found := find_table(value_found)):
                result.found.append((f"data part {number}", records_found))
        if data and not result.found and not result.notes:
            result.notes.append("The JSON holds no table; send an array of objects.")
    return result


def _foreign(part: Part, name: str) -> str:
    """What a file of a format that is not read is, and what to do about it; '' for the others."""
    kind, suffix = media_type(part), PurePosixPath(name.lower()).suffix
    # Windows calls a CSV file by the media type of Excel.
    told = suffix if suffix in _FOREIGN or suffix in {".csv", ".tsv"} else _FOREIGN_TYPES.get(kind, "")
    return _FOREIGN.get(told, "")


def _table(part: Attached, name: str, max_file_bytes: int) -> RecordSet:
    if isinstance(part, AttachmentUnreadable):
        raise TableRefused(part.reason)
    kind, suffix = media_type(part), PurePosixPath(name.lower()).suffix
    if kind in _PROSE_TYPES or kind.startswith("image/") or suffix in _PROSE_SUFFIXES:
        raise TableRefused("it is a document and not a table; attach a CSV, TSV, JSON or NDJSON file")
    raw = part.content()
    if len(raw) > max_file_bytes:
        raise TableRefused(f"it is over {max_file_bytes // 2**20} MiB; send fewer rows or fewer columns")
    records = read_records(raw, name=name, media_type=kind)
    is_plain = kind == "text/plain" or suffix in {".txt", ".log"}
    if is_plain and len(records.header) == 1:
        raise TableRefused("it is plain text without columns; attach a CSV, TSV, JSON or NDJSON file")
    return records
