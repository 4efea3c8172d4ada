"""Bytes from outside to text: which encoding, and whether it is text at all."""

import codecs

from agent_servers.api.errors import TableRefused

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_FORMATS = (
    (b"PK\x03\x04", "a spreadsheet workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet workbook"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"SQLite format 3", "a SQLite database"),
)
_SAMPLE_BYTES = 4096
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13} | {127})


def decode(raw: bytes) -> tuple[str, list[str]]:
    """The text of a file and a sentence for each thing that was not plain UTF-8.

    Raises TableRefused for formats that are not text.
    """
    for magic, what in _FORMATS:
        if raw.startswith(magic):
            raise TableRefused(f"it is {what}; save the table as CSV or JSON and send that")
    text, repairs = _decode_marked(raw) or _decode_plain(raw)
    if "\x00" in text:
        repairs.append(f"{text.count(chr(0)):,} NUL characters were removed")
        text = text.replace("\x00", "")
    return text, repairs


def _decode_marked(raw: bytes) -> tuple[str, list[str]] | None:
    for mark, encoding, label in _MARKS:
        if raw.startswith(mark):
            text = raw.decode(encoding, errors="replace")
            return text, [f"the file starts with a byte order mark and was read as {label}"]
    return None


def _decode_plain(raw: bytes) -> tuple[str, list[str]]:
    sample = raw[:_SAMPLE_BYTES]
    if encoding := _unmarked_utf16(sample):
        return raw.decode(encoding, errors="replace"), ["the file was read as UTF-16"]
    if len(sample.translate(None, _CONTROL)) < 0.9 * len(sample):
        raise TableRefused("it is a binary file; save the table as CSV or JSON and send that")
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        note = f"the file is not valid UTF-8 (first at line {line:,}) and was read as Windows-1252"
        return raw.decode("cp1252", errors="replace"), [note]


def _unmarked_utf16(sample: bytes) -> str | None:
    """ASCII text in UTF-16 has a zero in every other byte."""
    half = len(sample) // 2
    if half < 2:
        return None
    if sample[1::2].count(0) > 0.7 * half and sample[0::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if sample[0::2].count(0) > 0.7 * half and sample[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None
