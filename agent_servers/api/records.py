"""Delimited text to rows of equal width. Keeps what can be kept and tallies every bad line.

Owns delimiter, header and quoting; knows nothing of types and of the database.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from agent_servers.api.budget import Budget
from agent_servers.api.errors import TableRefused
from agent_servers.api.wording import counted

MAX_COLUMNS = 200
MAX_ROWS = 2_000_000
MAX_CELL_CHARS = 2_000
# A line in a list costs some 50 bytes more than its text.
_MAX_LINES = 2_500_000
_MAX_NAME_CHARS = 60
_MAX_QUOTED_LINES = 1_000
_SNIFFED_LINES = 400
_NAMED_LINES = 5
_DELIMITERS = (",", ";", "\t", "|")
# In a table of one column commas are text; this character occurs in none.
_NO_DELIMITER = "\x1f"
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?%?")

Row = list[str]


@dataclass(slots=True)
class Tally:
    """How often one kind of damage was met, and at which lines first."""

    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        self.count += 1
        if len(self.lines) < _NAMED_LINES:
            self.lines.append(line)

    def where(self) -> str:
        listed = ", ".join(f"{line:,}" for line in self.lines)
        more = ", ..." if self.count > len(self.lines) else ""
        return f"line{'' if self.count == 1 else 's'} {listed}{more}"

    def rows(self) -> str:
        return counted(self.count, "row")


class RecordSet:
    """A header and the rows below it; `repairs` is complete once `rows` was read to its end."""

    def __init__(self, header: Sequence[str], records: Iterator[tuple[int, Row]], notes: list[str]) -> None:
        self._notes = notes
        self._given_width = len(header)
        self.header = self._named(list(header))
        self._records = records
        self._short, self._long, self._empty, self._cut = Tally(), Tally(), Tally(), Tally()
        self._truncated = False

    def _named(self, header: list[str]) -> list[str]:
        if len(header) > MAX_COLUMNS:
            self._notes.append(f"only the first {MAX_COLUMNS} of {len(header):,} columns were read")
            header = header[:MAX_COLUMNS]
        names, renamed = unique_names(header)
        if renamed:
            listed = ", ".join(f"`{name}`" for name in renamed[:_NAMED_LINES])
            self._notes.append(f"empty or repeated column names were replaced: {listed}")
        return names

    def rows(self, budget: Budget) -> Iterator[Row]:
        """Every row that holds a value, cut or filled to the width of the header."""
        width = len(self.header)
        kept = 0
        for line, record in self._records:
            if kept % 4096 == 0:
                budget.check()
            if not any(cell.strip() for cell in record):
                if record:
                    self._empty.add(line)
                continue
            if kept == MAX_ROWS:
                self._truncated = True
                return
            kept += 1
            fitted = record if len(record) == width else self._fitted(record, width, line)
            yield self._shortened(fitted, line) if sum(map(len, fitted)) > MAX_CELL_CHARS else fitted

    def _fitted(self, record: Row, width: int, line: int) -> Row:
        if len(record) < self._given_width:
            self._short.add(line)
        if len(record) < width:
            return record + [""] * (width - len(record))
        if any(cell.strip() for cell in record[self._given_width :]):
            self._long.add(line)
        return record[:width]

    def _shortened(self, record: Row, line: int) -> Row:
        if any(len(cell) > MAX_CELL_CHARS for cell in record):
            self._cut.add(line)
        return [cell[:MAX_CELL_CHARS] for cell in record]

    def note(self, text: str) -> None:
        self._notes.append(text)

    @property
    def repairs(self) -> list[str]:
        short, extra, empty, cut = self._short, self._long, self._empty, self._cut
        width = self._given_width
        notes = list(self._notes)
        if short.count:
            notes.append(
                f"{short.rows()} had fewer than {width} fields; the rest counts as missing ({short.where()})"
            )
        if extra.count:
            notes.append(
                f"{extra.rows()} had more than {width} fields; the surplus was left out ({extra.where()})"
            )
        if empty.count:
            notes.append(f"{empty.rows()} without any value left out ({empty.where()})")
        if cut.count:
            notes.append(f"cells over {MAX_CELL_CHARS:,} characters were cut ({cut.where()})")
        if self._truncated:
            notes.append(f"only the first {MAX_ROWS:,} rows were read")
        return notes


def unique_names(header: Sequence[str]) -> tuple[list[str], list[str]]:
    """Column names without line breaks, blanks or repeats, and those that had to be invented."""
    names: list[str] = []
    taken: set[str] = set()
    invented: list[str] = []
    for position, given in enumerate(header, start=1):
        printable = "".join(char if char.isprintable() else " " for char in given)
        name = " ".join(printable.replace("`", "'").split())[:_MAX_NAME_CHARS].strip()
        base = name or f"column_{position}"
        unique, number = base, 2
        # DuckDB compares names without case.
        while unique.casefold() in taken:
            unique, number = f"{base}_{number}", number + 1
        taken.add(unique.casefold())
        names.append(unique)
        if unique != name:
            invented.append(unique)
    return names, invented


def read_delimited(text: str, *, tabs: bool) -> RecordSet:
    """The records of a CSV or TSV text. `tabs`: its name or media type promises tabs.

    Raises TableRefused when there is no header.
    """
    stream = io.StringIO(text, newline="")
    lines = list(islice(stream, _MAX_LINES))
    if not any(line.strip() for line in lines):
        raise TableRefused("it is empty; send a file with a header line and rows")
    delimiter = "\t" if tabs and "\t" in text else _sniff(lines[:_SNIFFED_LINES])
    notes = [f"only the first {_MAX_LINES:,} lines were read"] if stream.readline() else []
    if delimiter not in {"\t" if tabs else ",", _NO_DELIMITER}:
        notes.append(f"the delimiter is {_spoken(delimiter)}")
    width = _modal_width(lines[:_SNIFFED_LINES], delimiter)
    unclosed = Tally()
    records = _records(lines, delimiter, unclosed)
    skipped, header = _header(records, width)
    if skipped:
        notes.append(f"{counted(skipped, 'line')} above the header left out")
    header, data = _headed(header, width, records, notes)
    return RecordSet(header, _until_end(data, unclosed, notes), notes)


def _headed(
    header: Row, width: int, records: Iterator[tuple[int, Row]], notes: list[str]
) -> tuple[Row, Iterator[tuple[int, Row]]]:
    """The names, and the rows with the first record given back where it is no header."""
    filled = [cell for cell in header if cell.strip()]
    if filled and all(_NUMBER.fullmatch(cell.strip()) for cell in filled):
        first = next(records, None)
        rest = [(1, header)] + ([first] if first else [])
        if first and len(first[1]) == len(header):
            notes.append("the file has no header line; columns were named by position")
            names = [f"column_{number}" for number in range(1, len(header) + 1)]
            return names, _chained(rest, records)
        return header, _chained(rest[1:], records)
    return header + [""] * (width - len(header)), records


def _chained(first: list[tuple[int, Row]], rest: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    yield from first
    yield from rest


def _until_end(
    records: Iterator[tuple[int, Row]], unclosed: Tally, notes: list[str]
) -> Iterator[tuple[int, Row]]:
    yield from records
    if unclosed.count:
        notes.append(
            f"a quotation mark is not closed or a field is too long ({unclosed.where()}); "
            "those lines were split as they stand"
        )


def _spoken(delimiter: str) -> str:
    return {"\t": "a tab", ";": "a semicolon", "|": "a vertical bar", ",": "a comma"}[delimiter]


def _sniff(lines: list[str]) -> str:
    """The delimiter that cuts the most lines into the same number of fields, more than one."""

    def fit(delimiter: str) -> tuple[float, int]:
        found = [len(row) for _, row in _records(lines, delimiter, Tally()) if row]
        # Lines that it does not cut are titles above the table, or the lone column is prose: only
        # a table has the same width throughout.
        cut = next((index for index, width in enumerate(found) if width > 1), len(found))
        widths = Counter(found[cut:])
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        share = count / max(1, widths.total())
        return (count / len(found), width) if cut == 0 or share >= 0.9 else (0.0, 0)

    best = max(_DELIMITERS, key=fit)
    return best if fit(best)[0] > 0 else _NO_DELIMITER


def _widths(lines: list[str], delimiter: str) -> Counter[int]:
    return Counter(len(row) for _, row in _records(lines, delimiter, Tally()) if row)


def _modal_width(lines: list[str], delimiter: str) -> int:
    widths = _widths(lines, delimiter)
    return max(widths, key=lambda width: (widths[width], width), default=1)


def _header(records: Iterator[tuple[int, Row]], width: int) -> tuple[int, Row]:
    """The first record with at least two names (one in a table of one column)."""
    needed = min(2, width)
    skipped = 0
    for _, record in records:
        if sum(1 for cell in record if cell.strip()) >= needed:
            return skipped, record
        skipped += any(cell.strip() for cell in record)
    raise TableRefused("it has no header line; send a file with a header line and rows")


class _RunawayQuote(Exception):
    pass


def _records(lines: list[str], delimiter: str, unclosed: Tally) -> Iterator[tuple[int, Row]]:
    """(line number, fields) of each record. After an unclosed quote it goes on with the next line."""
    start = 0
    while start < len(lines):
        position = start
        try:
            for begin, end, record in _quoted(lines, start, delimiter):
                if end - begin > 1 and end == len(lines) and _is_open(lines[begin:end]):
                    raise _RunawayQuote
                yield begin + 1, record
                position = end
        except (csv.Error, _RunawayQuote):
            unclosed.add(position + 1)
            yield position + 1, lines[position].rstrip("\r\n").replace('"', "").split(delimiter)
            start = position + 1
        else:
            return


def _quoted(lines: list[str], start: int, delimiter: str) -> Iterator[tuple[int, int, Row]]:
    position = start

    def feed() -> Iterator[str]:
        for index in range(start, len(lines)):
            if index - position > _MAX_QUOTED_LINES:
                raise _RunawayQuote
            yield lines[index]

    reader = csv.reader(feed(), delimiter=delimiter, skipinitialspace=True)
    for record in reader:
        end = start + reader.line_num
        yield position, end, record
        position = end


def _is_open(lines: list[str]) -> bool:
    return sum(line.count('"') for line in lines) % 2 == 1
