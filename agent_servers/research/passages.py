"""Cuts a document into passages: a few sentences under one heading, small enough to quote."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent_servers.extract import Sentence, split_sentences
from agent_servers.markup import Block, Kind, blocks
from agent_servers.research.readers import Document, plain

_PASSAGE_CHARS = 700
_PASSAGE_SENTENCES = 5


@dataclass(frozen=True, slots=True)
class Passage:
    """Neighbouring sentences of `document`; `headings` is the path from the outermost heading.

    Where the sentences are rows of a table, `columns` are the cells of its first row.
    """

    document: Document
    headings: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    columns: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        return self.sentences[0].start

    @property
    def end(self) -> int:
        return self.sentences[-1].start + len(self.sentences[-1].text)

    @property
    def text(self) -> str:
        return self.document.text[self.start : self.end]

    @property
    def context(self) -> str:
        """What the passage stands under: the document's title, the headings, a table's columns."""
        return " ".join((self.document.title, *self.headings, *self.columns))


def cut(document: Document) -> Iterator[Passage]:
    """The passages of a document in reading order."""
    marked = [block for block in blocks(document.text) if block.kind in {Kind.HEADING, Kind.ROW}]
    headings = [block for block in marked if block.kind is Kind.HEADING]
    table_rows = [block for block in marked if block.kind is Kind.ROW]
    path: list[tuple[int, str]] = []
    position = 0
    group: list[Sentence] = []
    columns: tuple[str, ...] = ()
    for sentence, its_columns in _pieces(document, table_rows):
        before = position
        while position < len(headings) and headings[position].start <= sentence.start:
            position += 1
        is_apart = position > before or its_columns != columns
        if group and (is_apart or _is_full(document, group, sentence)):
            yield Passage(document, tuple(title for _, title in path), tuple(group), columns)
            group = []
        for heading in headings[before:position]:
            _enter(path, heading, document.text)
        columns = its_columns
        group.append(sentence)
    if group:
        yield Passage(document, tuple(title for _, title in path), tuple(group), columns)


def _is_full(document: Document, group: list[Sentence], sentence: Sentence) -> bool:
    return (
        len(group) >= _PASSAGE_SENTENCES
        or sentence.start + len(sentence.text) - group[0].start > _PASSAGE_CHARS
        or document.page(sentence.start) != document.page(group[0].start)
    )


def _enter(path: list[tuple[int, str]], heading: Block, text: str) -> None:
    while path and path[-1][0] >= heading.level:
        path.pop()
    if title := plain(text[heading.start : heading.end]):
        path.append((heading.level, title))


def _pieces(document: Document, table_rows: list[Block]) -> list[tuple[Sentence, tuple[str, ...]]]:
    """Sentences and table rows in reading order: facts often stand in a table alone."""
    found: list[tuple[Sentence, tuple[str, ...]]] = [
        (sentence, ()) for sentence in split_sentences(document.text, document.name)
    ]
    found.extend(_rows(document, table_rows))
    return sorted(found, key=lambda piece: piece[0].start)


def _rows(document: Document, table_rows: list[Block]) -> Iterator[tuple[Sentence, tuple[str, ...]]]:
    text = document.text
    columns: tuple[str, ...] = ()
    previous: Block | None = None
    for block in table_rows:
        body = text[block.start : block.end]
        if previous is None or not _same_table(text[previous.end : block.start]):
            columns = tuple(plain(cell) for cell in cells(body))
        elif len(body) <= _PASSAGE_CHARS:
            yield Sentence(body, document.name, block.start, block.line), columns
        previous = block


def _same_table(between: str) -> bool:
    """Whether nothing but the rule below the first row stands between two rows."""
    return "\n\n" not in between and not between.strip("|:-+ \t\n")


def cells(row: str) -> list[str]:
    """The cells of a markdown table row."""
    return [cell.strip() for cell in row.strip().strip("|").split("|")]
