"""Cuts plain text or markdown into headings, paragraphs, list items and table rows by offset.

Owns what is prose and what is not (code, rules, drawing noise). Reads no files, judges no meaning.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_FENCE = re.compile(r"^\s{0,9}(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[^`]*)$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(?P<body>.*?)[ \t]*#*[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_LABEL = re.compile(r"^[ \t]*(\*\*|__)(?!.*\1.+\1)[^:]*[^:.!?]\1[ \t]*$")
_QUOTE = re.compile(r"^[ \t]*>[ \t>]*")
_RULE = re.compile(r"^[ \t]*([-*_=~+#.][ \t]*){3,}$")
_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$|^[^|\n]+\|[^|\n]+\|.*$|^[ \t|:+-]*-{3,}[ \t|:+-]*\|[ \t|:+-]*$")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:[ \t]+\S+")
_TAG_LINE = re.compile(r"^[ \t]*</?[A-Za-z!][^>]*>?[ \t]*$")
_BADGE = re.compile(r"!?\[(?:!\[[^\]]*\]\([^)]*\)|[^\]]*)\]\([^)]*\)")
# What UTF-8 turns into when it was read as Windows-1252, Mac Roman or DOS text: a lead character and
# then signs that no language puts behind it.
_TAIL = "[\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u2013-\u2122]"
MOJIBAKE = re.compile(
    f"[\u00e2\u00c3\u00c2\u00f0\u00ef]{_TAIL}{{1,3}}|\u011f\u0178{_TAIL}{{0,2}}"
    "|[\u201a\u221a\u00ac\u00d4\uf8ff][^\\x00-\\x7f]{1,3}|\u0393[\u00a0-\u00ff\u2500-\u25ff]{1,2}|\ufffd"
)
# Check marks, arrows and emoji serve as bullets too, decoded well or not.
_SIGN = "[\u2190-\u21ff\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?"
ITEM = re.compile(
    rf"^(?P<marker>[ \t]*(?:[-*+\u2022\u2023\u25aa\u25e6\u00b7]|\d{{1,3}}[.)]|{_SIGN}|{MOJIBAKE.pattern})"
    r"[ \t]+(?:\[[ xX]\][ \t]+)?)(?=\S)"
)
_DRAWING = re.compile(r"[\u2190-\u21ff\u2500-\u25ff\u2580-\u259f\u2800-\u28ff\ufffd]")
_WORD = re.compile(r"[^\W\d_]{2,}")


_MAX_NESTING = 3


class Kind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the text: `text[start:end]` is the content, markers of its first line left out.

    `outer` is the offset with the list marker, `line` and `last_line` count from 1, `level` is the
    heading depth, `indent` the column of a list marker.
    """

    kind: Kind
    outer: int
    start: int
    end: int
    line: int
    last_line: int
    level: int = 0
    indent: int = 0


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int
    number: int

    @property
    def blank(self) -> bool:
        return not self.text.strip()


def is_noise(text: str) -> bool:
    """True for what nobody reads aloud: drawings, badly decoded drawings, rules, code, badges."""
    stripped = text.strip()
    if not stripped:
        return True
    clean = _DRAWING.sub("", MOJIBAKE.sub("", stripped))
    if not _WORD.search(clean) or len(clean) < 0.6 * len(stripped):
        return True
    readable = sum(1 for character in clean if character.isalnum() or character in " \t\n`*_'\"-.,")
    return readable < 0.75 * len(clean)


def is_label(line: str) -> bool:
    """True for one line that is bold from end to end: a heading in all but name."""
    return bool(_LABEL.match(line))


def blocks(text: str) -> Iterator[Block]:
    """Walk the text once and yield its blocks in reading order. Linear in the size of the text."""
    lines = _without_code(list(_lines(text)))
    position = _after_front_matter(lines)
    while position < len(lines):
        block, position = _next_block(lines, position)
        if block is not None and block.start < block.end:
            yield block


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for number, raw in enumerate(text.split("\n"), start=1):
        yield _Line(raw.rstrip(), start, number)
        start += len(raw) + 1


def _after_front_matter(lines: list[_Line]) -> int:
    if not lines or lines[0].text != "---":
        return 0
    for index, line in enumerate(lines[1:60], start=1):
        if line.text in {"---", "..."}:
            return index + 1
        if line.text and not re.match(r"[\w -]+:|\s|#", line.text):
            return 0
    return 0


def _next_block(lines: list[_Line], position: int) -> tuple[Block | None, int]:
    line = lines[position]
    if heading := _HEADING.match(line.text):
        start = line.start + heading.start("body")
        block = Block(
            Kind.HEADING,
            start,
            start,
            line.start + heading.end("body"),
            line.number,
            line.number,
            level=len(heading[1]),
        )
        return block, position + 1
    if line.blank or _is_dropped(line.text):
        return None, position + 1
    if _ROW.match(line.text):
        return _row(line), position + 1
    return _flowing(lines, position)


def _is_dropped(text: str) -> bool:
    if _RULE.match(text) or _REFERENCE.match(text) or _TAG_LINE.match(text):
        return True
    return not _WORD.search(_BADGE.sub("", text)) and not ITEM.match(text)


def _without_code(lines: list[_Line], depth: int = 0) -> list[_Line]:
    """Blank what stands in code fences. A fence marked as markdown holds prose and is kept."""
    kept = list(lines)
    unclosed: set[str] = set()
    position = 0
    while position < len(lines):
        fence = _FENCE.match(lines[position].text)
        if not fence:
            position += 1
            continue
        mark = fence["mark"]
        is_prose = depth < _MAX_NESTING and fence["language"].strip().lower() in {"markdown", "md"}
        if is_prose and mark in unclosed:
            end = position
        else:
            end = _fence_end(lines, position, mark, unclosed_ok=is_prose)
        if is_prose and end == position:
            unclosed.add(mark)
        dropped = (position, end) if is_prose else range(position, min(end + 1, len(lines)))
        for index in dropped:
            kept[index] = _Line("", lines[index].start, lines[index].number)
        if is_prose:
            kept[position + 1 : end] = _without_code(lines[position + 1 : end], depth + 1)
        position = end + 1
    return kept


def _fence_end(lines: list[_Line], position: int, mark: str, *, unclosed_ok: bool) -> int:
    """Index of the closing line. Where nobody closed the fence: its own index with `unclosed_ok`, else
    that of the first blank line, so that it swallows no more than its paragraph."""
    blank = len(lines)
    for index in range(position + 1, len(lines)):
        if lines[index].blank:
            blank = min(blank, index)
        other = _FENCE.match(lines[index].text)
        if not other or not other["mark"].startswith(mark):
            continue
        if not other["language"]:
            return index
        if not unclosed_ok:
            break
    return position if unclosed_ok else blank


def _row(line: _Line) -> Block:
    lead = len(line.text) - len(line.text.lstrip())
    start = line.start + lead
    end = line.start + len(line.text)
    return Block(Kind.ROW, start, start, end, line.number, line.number)


def _flowing(lines: list[_Line], position: int) -> tuple[Block | None, int]:
    """A paragraph or list item with its continuation lines; or a heading underlined below."""
    first = lines[position]
    item = ITEM.match(first.text)
    skip = item.end() if item else len(first.text) - len(first.text.lstrip())
    if quote := _QUOTE.match(first.text):
        skip = quote.end()
    index = position + 1
    while index < len(lines) and not _breaks(lines[index], in_quote=quote is not None):
        index += 1
    last = lines[index - 1]
    if index == position + 1 and not item and _LABEL.match(first.text):
        start, end = first.start, first.start + len(first.text)
        return Block(Kind.HEADING, start, start, end, first.number, first.number, level=7), index
    is_title = (
        index == position + 1
        and not item
        and index < len(lines)
        and len(first.text.strip()) > 2
        and len(lines[index].text.strip()) > 2
        and (underline := _SETEXT.match(lines[index].text))
    )
    start, end = first.start + skip, last.start + len(last.text)
    if is_title and underline:
        level = 1 if underline[1][0] == "=" else 2
        block = Block(Kind.HEADING, start, start, end, first.number, first.number, level=level)
        return block, index + 1
    if is_noise("\n".join(line.text for line in lines[position:index])[skip:]):
        return None, index
    kind = Kind.ITEM if item else Kind.PARAGRAPH
    indent = len(first.text.expandtabs(4)) - len(first.text.expandtabs(4).lstrip())
    block = Block(kind, first.start, start, end, first.number, last.number, indent=indent)
    return block, index


def _breaks(line: _Line, *, in_quote: bool) -> bool:
    text = line.text
    if line.blank or _is_dropped(text):
        return True
    if in_quote != bool(_QUOTE.match(text)):
        return True
    pattern_hit = ITEM.match(text) or _HEADING.match(text)
    return bool(pattern_hit or _ROW.match(text) or is_noise(text))
