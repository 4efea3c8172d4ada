"""A tiny valid file of each common media type, for skills that work on files. Pure."""

import io
import struct
import wave
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SampleFile:
    media_type: str
    filename: str
    content: bytes


def sample_file(mode: str) -> SampleFile | None:
    """Of an input mode, such as text/csv or image/*; None for what we cannot make."""
    media_type = _OF_RANGE.get(mode, mode)
    known = _KNOWN.get(media_type)
    if known is None:
        return None
    suffix, content = known
    return SampleFile(media_type, f"sample.{suffix}", content())


def _png() -> bytes:
    """One grey pixel."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\x00\x80")
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", pixels) + _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pdf() -> bytes:
    """One page with a line of text."""
    said = b"BT /F1 12 Tf 20 100 Td (A sample page: Oslo had 4 degrees on Monday.) Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(said), said),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    )
    file = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(file))
    return file + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + end


def _wav() -> bytes:
    """A tenth of a second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8_000, 0, "NONE", ""))
        sound.writeframes(b"\x00\x00" * 800)
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sample.csv", _CSV)
    return file.getvalue()


_CSV: Final = b"day,city,degrees\nMonday,Oslo,4\nTuesday,Oslo,6\nWednesday,Oslo,5\n"
_HTML: Final = (
    b"<!doctype html><html lang=en><title>Sample</title><p>Oslo had 4 degrees on Monday.</p></html>\n"
)
_XML: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<sample><city>Oslo</city><degrees>4</degrees></sample>\n'
)
_YAML: Final = b"city: Oslo\ndegrees: 4\n"
_SVG: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>\n'
)
_GIF: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    b"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)

# Suffix and content by media type.
_KNOWN: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "text/csv": ("csv", lambda: _CSV),
    "text/tab-separated-values": ("tsv", lambda: _CSV.replace(b",", b"\t")),
    "text/html": ("html", lambda: _HTML),
    "text/xml": ("xml", lambda: _XML),
    "application/xml": ("xml", lambda: _XML),
    "application/yaml": ("yaml", lambda: _YAML),
    "application/pdf": ("pdf", _pdf),
    "application/zip": ("zip", _zip),
    "image/png": ("png", _png),
    "image/gif": ("gif", lambda: _GIF),
    "image/svg+xml": ("svg", lambda: _SVG),
    "audio/wav": ("wav", _wav),
    "audio/x-wav": ("wav", _wav),
}
_OF_RANGE: Final = {"image/*": "image/png", "audio/*": "audio/wav"}
