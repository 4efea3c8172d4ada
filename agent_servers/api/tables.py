"""One attached table in an in-memory DuckDB that can reach nothing: bytes in, the table `data` out.

Untrusted bytes meet the database only as a canonical CSV file of our own making; names from outside
become quoted identifiers, never SQL, and never a path.
"""

import csv
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_servers.api.budget import Budget
from agent_servers.api.decoding import decode
from agent_servers.api.errors import TableRefused, WorkStopped
from agent_servers.api.json_rows import read_json, read_ndjson
from agent_servers.api.records import RecordSet, Tally, read_delimited
from agent_servers.api.typing_rules import MIN_SHARE, MISSING, Kind, Rule, choose
from agent_servers.api.wording import counted

if TYPE_CHECKING:
    import duckdb

Cell = str | int | float | bool | None
Record = dict[str, Cell]

_SAMPLE_ROWS = 1_000
_MEMORY_LIMIT = "512MB"
_SPOILED_EXAMPLES = 3
_SPOILED_SAMPLE = 50
_COLUMNS_AT_ONCE = 25
_JSON_TYPES = {"application/json", "text/json"}
_NDJSON_TYPES = {"application/x-ndjson", "application/jsonl", "application/x-jsonlines"}


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its profile. Numbers carry mean, median and std; `low` and `high` are as in SQL."""

    name: str
    kind: Kind
    missing: int
    distinct: int
    low: Cell = None
    high: Cell = None
    mean: float | None = None
    median: float | None = None
    std: float | None = None

    @property
    def sql(self) -> str:
        return quoted(self.name)

    @property
    def is_number(self) -> bool:
        return self.kind in {Kind.INTEGER, Kind.NUMBER}

    @property
    def is_time(self) -> bool:
        return self.kind in {Kind.DATE, Kind.TIMESTAMP}


@dataclass(slots=True)
class Table:
    """The typed table `data` behind a locked connection, for one thread at a time."""

    name: str
    connection: "duckdb.DuckDBPyConnection"
    budget: Budget
    columns: tuple[Column, ...] = ()
    rows: int = 0
    repairs: list[str] = field(default_factory=list)

    def query(self, sql: str) -> list[Record]:
        """All rows of a query, as JSON values. Infinities and NaN become None."""
        self.budget.check()
        cursor = self.connection.execute(sql)
        names = [entry[0] for entry in cursor.description or ()]
        return [
            {name: _plain(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()
        ]

    def one(self, sql: str) -> Record:
        """The only row of a query."""
        return self.query(sql)[0]

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _plain(value: Any) -> Cell:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return float(value)
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def read_records(raw: bytes, *, name: str, media_type: str) -> RecordSet:
    """The records of an attached file, its format told by media type, name and first character.

    Raises TableRefused with a sentence about what is wrong.
    """
    text, notes = decode(raw)
    suffix = Path(name.lower()).suffix
    if media_type in _NDJSON_TYPES or suffix in {".ndjson", ".jsonl"}:
        records = read_ndjson(text)
    elif media_type in _JSON_TYPES or suffix == ".json" or text.lstrip()[:1] in {"{", "["}:
        records = read_json(text)
    else:
        tabs = suffix in {".tsv", ".tab"} or media_type == "text/tab-separated-values"
        records = read_delimited(text, tabs=tabs)
    for note in notes:
        records.note(note)
    return records


@contextmanager
def open_table(records: RecordSet, *, name: str, budget: Budget) -> Iterator[Table]:
    """The records as a typed and profiled table; closed at the end of the block.

    Raises TableRefused for a table without columns or rows, or one that does not fit in memory.
    """
    import duckdb

    connection = duckdb.connect(
        ":memory:", config={"threads": 2, "memory_limit": _MEMORY_LIMIT, "temp_directory": ""}
    )
    try:
        with budget.interrupting(connection):
            table = Table(name, connection, budget)
            _load(table, records)
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            _type_columns(table, records)
            table.columns = tuple(_profiled(table))
            yield table
    except duckdb.InterruptException as exc:
        raise WorkStopped from exc
    except duckdb.OutOfMemoryException as exc:
        raise TableRefused("it needs more memory than one table may use; send fewer rows") from exc
    finally:
        connection.close()


def _load(table: Table, records: RecordSet) -> None:
    with tempfile.TemporaryDirectory(prefix="parley-table-") as folder:
        path = Path(folder) / "data.csv"
        with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            marks = Tally()
            writer.writerows(_cleaned(records.rows(table.budget), marks))
        table.repairs = records.repairs
        if marks.count:
            table.repairs.append(f"{counted(marks.count, 'cell')} such as NA, NaN, null or - read as missing")
        columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(records.header)))
        # An empty cell is read as NULL, quoted or not.
        table.connection.execute(
            f"CREATE TABLE cells AS SELECT * FROM read_csv(?, columns = {{{columns}}}, "  # noqa: S608 - made of c0, c1, ...
            "header = false, auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
            "parallel = false, max_line_size = 4000000, buffer_size = 8000000)",
            [str(path)],
        )
    table.rows = int(table.one("SELECT count(*) AS n FROM cells")["n"] or 0)
    if not table.rows:
        raise TableRefused("it has a header line but no rows; send the rows too")


def _cleaned(rows: Iterator[list[str]], marks: Tally) -> Iterator[list[str]]:
    """The rows with trimmed cells, and the words for a missing value as nothing."""
    longest = max(map(len, MISSING))
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        for index, cell in enumerate(cells):
            if cell and len(cell) <= longest and cell.lower() in MISSING:
                marks.add(number)
                cells[index] = ""
        yield cells


def _type_columns(table: Table, records: RecordSet) -> None:
    typed = []
    for index, name in enumerate(records.header):
        table.budget.check()
        rule = _rule(table, index, name)
        typed.append(f"{rule.sql(f'c{index}') if rule else f'c{index}'} AS {quoted(name)}")
    # In pieces: one statement with a rule for each of many columns takes hundreds of megabytes.
    pieces = [typed[start : start + _COLUMNS_AT_ONCE] for start in range(0, len(typed), _COLUMNS_AT_ONCE)]
    for number, piece in enumerate(pieces):
        table.connection.execute(f"CREATE TABLE piece_{number} AS SELECT {', '.join(piece)} FROM cells")  # noqa: S608 - names are quoted
    table.connection.execute("DROP TABLE cells")
    joined = " POSITIONAL JOIN ".join(f"piece_{number}" for number in range(len(pieces)))
    table.connection.execute(f"CREATE TABLE data AS SELECT * FROM {joined}")  # noqa: S608 - our own names
    for number in range(len(pieces)):
        table.connection.execute(f"DROP TABLE piece_{number}")


def _rule(table: Table, index: int, name: str) -> Rule | None:
    """The rule chosen on a sample and confirmed on every value of the column."""
    cell = f"c{index}"
    sample = _texts(
        table,
        f"SELECT {cell} AS v FROM cells WHERE {cell} IS NOT NULL "  # noqa: S608 - our own names
        f"USING SAMPLE reservoir({_SAMPLE_ROWS} ROWS) REPEATABLE (1)",
    )
    rule, note = choose(name, sample)
    if rule is None:
        return None
    spoiled = _spoiled(table, cell, rule)
    if spoiled:
        # A few decimals among many integers are not in every sample: choose again with them.
        sql = f"SELECT {cell} AS v FROM cells WHERE {cell} IS NOT NULL AND ({rule.sql(cell)}) IS NULL"  # noqa: S608 - our own names
        strays = _texts(table, f"{sql} LIMIT {_SPOILED_SAMPLE}")
        rule, note = choose(name, [*sample, *strays])
        if rule is None:
            return None
        spoiled = _spoiled(table, cell, rule)
    given = int(table.one(f"SELECT count({cell}) AS n FROM cells")["n"] or 0)  # noqa: S608 - our own names
    if spoiled > (1 - MIN_SHARE) * given or _has_padding(table, cell):
        return None
    if note:
        table.repairs.append(f"`{name}`: {note}")
    if spoiled:
        table.repairs.append(_spoiled_note(table, cell, rule.sql(cell), name, spoiled))
    return rule


def _texts(table: Table, sql: str) -> list[str]:
    return [str(row["v"]) for row in table.query(sql)]


def _spoiled(table: Table, cell: str, rule: Rule) -> int:
    """How many values of the column do not fit the rule."""
    sql = f"SELECT count({cell}) - count({rule.sql(cell)}) AS n FROM cells"  # noqa: S608 - our own names
    return int(table.one(sql)["n"] or 0)


def _has_padding(table: Table, cell: str) -> bool:
    """Whether a value is digits behind a zero: an identifier, not a number."""
    sql = f"SELECT count_if(regexp_full_match({cell}, '[+-]?0[0-9]+')) AS n FROM cells"  # noqa: S608 - our own names
    return bool(table.one(sql)["n"])


def _spoiled_note(table: Table, cell: str, sql: str, name: str, count: int) -> str:
    rows = table.query(
        f"SELECT DISTINCT left({cell}, 30) AS v FROM cells "  # noqa: S608 - our own names
        f"WHERE {cell} IS NOT NULL AND ({sql}) IS NULL ORDER BY 1 LIMIT {_SPOILED_EXAMPLES}"
    )
    examples = ", ".join(repr(row["v"]) for row in rows)
    return f"`{name}`: {counted(count, 'value')} of another type read as missing ({examples})"


def _profiled(table: Table) -> Iterator[Column]:
    types = table.query(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'data' ORDER BY column_index"
    )
    kinds = {
        "BIGINT": Kind.INTEGER,
        "DOUBLE": Kind.NUMBER,
        "DATE": Kind.DATE,
        "TIMESTAMP": Kind.TIMESTAMP,
        "BOOLEAN": Kind.BOOLEAN,
    }
    for entry in types:
        name = str(entry["column_name"])
        kind = kinds.get(str(entry["data_type"]), Kind.TEXT)
        profile = table.one(profile_sql(name, kind))
        yield Column(name, kind, **profile)  # type: ignore[arg-type]  # one row of known columns


def profile_sql(name: str, kind: Kind) -> str:
    """The query behind a column's profile."""
    column = quoted(name)
    parts = [f"count(*) - count({column}) AS missing", f"count(DISTINCT {column}) AS distinct"]
    if kind in {Kind.INTEGER, Kind.NUMBER}:
        # stddev raises on overflow, so values beyond any measurement are left to min and max.
        sane = f"CASE WHEN abs({column}) < 1e100 THEN CAST({column} AS DOUBLE) END"
        parts += [
            f"min({column}) AS low",
            f"max({column}) AS high",
            f"avg({sane}) AS mean",
            f"median({sane}) AS median",
            f"stddev_samp({sane}) AS std",
        ]
    elif kind in {Kind.DATE, Kind.TIMESTAMP}:
        parts += [f"min({column}) AS low", f"max({column}) AS high"]
    return f"SELECT {', '.join(parts)} FROM data"  # noqa: S608 - the name is quoted
