"""Text of a PDF file from a stranger: bounded in pages, characters and seconds; no layout, no pictures."""

import io
import re
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pypdf import PdfReader

_MAX_CHARS = 2_000_000
_MAX_PAGES = 400
_MAX_SECONDS = 20.0
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_LIGATURES = str.maketrans({"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi"})
# Next to its own errors pypdf lets these through when a file is broken.
_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class PdfRefused(Exception):
    """A PDF that gives no text; `reason` completes "the file was left out: ..."."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Pdf:
    """The text of each page in order, and the title as its author gave it ('' where none)."""

    title: str
    pages: list[str]


def read_pdf(raw: bytes) -> Pdf:
    """Read a PDF; blocks for seconds, so call it off the event loop.

    Raises PdfRefused for encrypted, scanned and broken files.
    """
    import logging

    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(raw))
        if reader.is_encrypted and not reader.decrypt(""):
            raise PdfRefused("it is encrypted; save it without a password")
        title = reader.metadata.title if reader.metadata else None
        pages = list(_pages(reader))
    except PdfRefused:
        raise
    except (PyPdfError, *_FAULTS) as error:
        raise PdfRefused("it is not a readable PDF; save it again and retry") from error
    if not any(page.strip() for page in pages):
        raise PdfRefused("it is a PDF without text, probably scanned; run OCR on it first")
    return Pdf(str(title or ""), pages)


def _pages(reader: "PdfReader") -> Iterator[str]:
    deadline = time.monotonic() + _MAX_SECONDS
    left = _MAX_CHARS
    for number, page in enumerate(reader.pages):
        if number >= _MAX_PAGES or left <= 0 or time.monotonic() > deadline:
            return
        text = _CONTROL.sub("", page.extract_text()).translate(_LIGATURES)[:left]
        left -= len(text)
        # A word that the layout broke over two lines is one word.
        yield re.sub(r"([a-z])-\n([a-z])", r"\1\2", text)
