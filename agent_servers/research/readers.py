"""Turns a file, whatever its format and condition, into text whose passages can be located.

Bytes come from strangers: every loop is bounded, a bad file raises Unreadable with a plain reason.
"""

import bisect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from agent_servers.markup import MOJIBAKE, Kind, blocks
from agent_servers.pdf import PdfRefused, read_pdf

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_MAX_CHARS = 2_000_000
_HTML_DEPTH = 200
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SKIPPED_TAGS = frozenset(
    {"script", "style", "noscript", "template", "head", "nav", "svg", "iframe", "object", "form"}
)
_BLOCK_TAGS = """
    address article aside blockquote body dd div dl dt figcaption figure footer header hr html
    main ol p section summary table ul"""
_AROUND = dict.fromkeys(_BLOCK_TAGS.split(), ("\n\n", "\n\n")) | {
    "li": ("\n- ", ""),
    "tr": ("\n", "|"),
    "br": ("\n", ""),
}
_DATA_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".ndjson", ".jsonl", ".xlsx", ".parquet"})
_DATA_TYPES = frozenset({"text/csv", "text/tab-separated-values", "application/json", "application/x-ndjson"})


class Unreadable(Exception):
    """A file that gives no text; `reason` completes "was skipped: ..."."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Document:
    """`pages` holds the offset at which each page of `text` starts; `has_lines` says whether lines
    of `text` are lines of the file."""

    name: str
    title: str
    text: str
    has_lines: bool = True
    pages: tuple[int, ...] = ()

    def page(self, at: int) -> int:
        """The page of an offset, counted from 1; 0 where the document has no pages."""
        return bisect.bisect_right(self.pages, at)

    def locator(self, start: int, end: int, headings: tuple[str, ...] = ()) -> str:
        """Where `text[start:end]` stands: lines of a text file, pages of a PDF, else the section."""
        if self.pages:
            first, last = self.page(start), self.page(end - 1)
            return f"page {first}" if first == last else f"pages {first}-{last}"
        if not self.has_lines:
            return f'section "{headings[-1]}"' if headings else "opening text"
        first = self.text.count("\n", 0, start) + 1
        last = first + self.text.count("\n", start, end)
        return f"line {first}" if first == last else f"lines {first}-{last}"


def read(name: str, raw: bytes, media_type: str | None = None) -> Document:
    """Read one file. The format follows the media type, else the end of the name, else the bytes.

    Raises Unreadable for empty, encrypted, scanned, broken and binary files.
    """
    if not raw.strip(b"\x00 \t\r\n"):
        raise Unreadable("it is empty")
    document = _reader(name, raw, media_type)(name, raw)
    if not document.text.strip():
        raise Unreadable("it holds no text")
    return document


def safe_name(name: str, *, limit: int = 160) -> str:
    """A file name fit to be printed: no control or direction characters, no surrogates, bounded."""
    clean = name.encode("utf-8", "replace").decode("utf-8")
    clean = " ".join(_CONTROL.sub(" ", clean).split())
    return clean if len(clean) <= limit else "..." + clean[3 - limit :]


def _reader(name: str, raw: bytes, media_type: str | None) -> Callable[[str, bytes], Document]:
    kind = (media_type or "").partition(";")[0].strip().lower()
    suffix = PurePosixPath(name).suffix.lower()
    if kind in _DATA_TYPES or suffix in _DATA_SUFFIXES:
        raise Unreadable("it holds data, not prose")
    if kind == "application/pdf" or suffix == ".pdf" or raw[:1024].lstrip().startswith(b"%PDF-"):
        return _read_pdf
    if kind in {"text/html", "application/xhtml+xml"} or suffix in {".html", ".htm", ".xhtml"}:
        return _read_html
    return _read_text


def decode(raw: bytes) -> str:
    """Text of any bytes: by byte order mark, UTF-8, else Windows-1252; no control characters."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = raw.decode("utf-16", "replace")
    else:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)[:_MAX_CHARS]


def _read_text(name: str, raw: bytes) -> Document:
    is_utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not is_utf16 and raw[:8192].count(0) > len(raw[:8192]) // 20:
        raise Unreadable("it is a binary file, not text")
    text = decode(raw)
    return Document(name, _title(text) or _stem(name), text)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.replace("_", " ").replace("-", " ").strip() or name


def _title(text: str) -> str | None:
    for count, block in enumerate(blocks(text[:20_000])):
        if block.kind is Kind.HEADING:
            return plain(text[block.start : block.end])
        if count >= 5:
            break
    return None


def plain(heading: str) -> str:
    """A heading without its markup, on one line, at most 120 characters."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text)
    text = re.sub(r"^[^\w(\"'\[/<]+", "", MOJIBAKE.sub("", text))
    return " ".join(text.split())[:120].strip()


def _read_pdf(name: str, raw: bytes) -> Document:
    try:
        found = read_pdf(raw)
    except PdfRefused as refused:
        raise Unreadable(refused.reason) from refused
    return _paged(name, found.pages, found.title)


def _paged(name: str, pages: list[str], title: str) -> Document:
    starts, position = [], 0
    for page in pages:
        starts.append(position)
        position += len(page) + 2
    heading = plain(decode(title.encode("utf-8", "replace"))) if title else ""
    return Document(name, heading or _stem(name), "\n\n".join(pages), has_lines=False, pages=tuple(starts))


def _read_html(name: str, raw: bytes) -> Document:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(decode(raw))
    head = tree.css_first("title")
    title = plain(head.text()) if head else ""
    body = tree.body
    pieces = list(_markdown_of(body, 0)) if body else []
    text = re.sub(r"\n[ \t]*\n\s*", "\n\n", "".join(pieces)).strip()
    return Document(name, title or _title(text) or _stem(name), text, has_lines=False)


def _markdown_of(node: "LexborNode", depth: int) -> Iterator[str]:
    """The visible text below a node, with just enough markdown to find headings and lists again."""
    if depth > _HTML_DEPTH:
        return
    for child in node.iter(include_text=True):
        tag = child.tag or ""
        if tag == "-text":
            yield re.sub(r"\s+", " ", child.text(deep=False))
        elif tag in _SKIPPED_TAGS:
            continue
        elif tag == "pre":
            yield "\n\n```\n" + child.text().replace("```", "") + "\n```\n\n"
        elif tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            yield f"\n\n{'#' * int(tag[1])} {' '.join(child.text().split())}\n\n"
        elif tag in {"td", "th"}:
            yield f"| {' '.join(child.text().split())} "
        else:
            before, after = _AROUND.get(tag, ("", ""))
            yield before
            yield from _markdown_of(child, depth + 1)
            yield after
