"""An analysis as people and programs read it: the markdown report and the data part."""

import re
from collections.abc import Sequence

from agent_servers.api.analysis import Analysis
from agent_servers.api.study import Study
from agent_servers.api.tables import Column, Record, Table, literal, profile_sql
from agent_servers.api.typing_rules import Kind
from agent_servers.api.wording import STEP_ADJECTIVES, counted, listing, name, number, value

_MAX_COLUMNS_SHOWN = 40
_MAX_ROWS_KEPT = 50


def markdown(analysis: Analysis, quality: dict[str, object], notes: Sequence[str] = ()) -> str:
    """The report: what the data is, numbered findings, quality, columns."""
    about = analysis.study
    lines = [f"# Analysis of {value(about.table.name)}", "", _opening(about), ""]
    if about.question.columns or about.question.values:
        lines += [f"The question names {_named(about)}; findings about it come first.", ""]
    lines += ["## Key findings", ""]
    lines += [f"{n}. {finding.text} [E{n}]" for n, finding in enumerate(analysis.findings, 1)] or [
        "There is nothing to compare: the table has no measures, groups or times that vary."
    ]
    lines += ["", "## Data quality", ""]
    lines += [f"- {sentence}" for sentence in _quality_lines(about, quality)]
    lines += [f"- Repaired: {note}." for note in about.table.repairs]
    lines += [f"- {note}" for note in notes]
    lines += ["", "## Columns", "", *_column_table(about.table.columns)]
    if analysis.findings:
        lines += ["", "The SQL behind each finding, E1 and on, is in the evidence file that came along."]
    return "\n".join(lines).rstrip() + "\n"


def evidence(analysis: Analysis) -> str:
    """The queries behind the findings as a SQL script; each runs against the table as read, named `data`."""
    queries = [
        f"-- E{n}: {' '.join(finding.text.split())}\n{finding.sql};"
        for n, finding in enumerate(analysis.findings, 1)
    ]
    return "\n\n".join([_how_to_run(analysis.study.table), *queries]) if queries else ""


def _how_to_run(table: Table) -> str:
    """Where the table `data` comes from. A file that was repaired is not what DuckDB would read."""
    safe = re.sub(r"[^\w. -]", "_", table.name)
    if safe.lower().endswith((".csv", ".tsv")) and not table.repairs:
        return f"-- In DuckDB: CREATE TABLE data AS SELECT * FROM read_csv({literal(safe)});"  # noqa: S608 - a comment, sanitised
    return (
        f"-- The table data is {safe} as the report describes it, its columns named and typed as there\n"
        "-- and its repairs made. Load it so before you run these queries in DuckDB."
    )


def _opening(about: Study) -> str:
    table = about.table
    text = f"{counted(table.rows, 'row')} and {counted(len(table.columns), 'column')}"
    if about.time:
        axis = about.time
        shape = (
            f"{STEP_ADJECTIVES[axis.native]} data"
            if not axis.repeats
            else f"{STEP_ADJECTIVES[axis.native]} data with several rows per date"
        )
        text += f"; {shape} from {axis.first} to {axis.last} (`{axis.label}`)"
    shown = [name(c.name) for c in about.measures[:6]]
    more = f" and {len(about.measures) - 6} more" if len(about.measures) > 6 else ""
    if shown:
        text += f". Measures: {', '.join(shown)}{more}"
    if about.groups:
        text += f". Groups: {', '.join(name(c.name) for c in about.groups[:6])}"
    return text + "."


def _named(about: Study) -> str:
    parts = [name(column) for column in about.question.columns]
    parts += [f"{value(v)} in {name(column)}" for column, v in about.question.values]
    return listing(parts)


def quality(about: Study) -> dict[str, object]:
    """Missing values per column, repeated rows, constant columns, and holes in the series of dates."""
    table = about.table
    listed = ", ".join(column.sql for column in table.columns)
    distinct = table.one(f"SELECT count(*) AS n FROM (SELECT DISTINCT {listed} FROM data)")["n"]  # noqa: S608 - names are quoted
    found: dict[str, object] = {
        "missing": {c.name: c.missing for c in table.columns if c.missing},
        "duplicate_rows": table.rows - int(distinct or 0),
        "constant_columns": [c.name for c in table.columns if c.distinct < 2],
    }
    if about.time and about.time.native != "hour":
        steps = table.one(
            f"SELECT date_diff('{about.time.native}', min({about.time.sql}), max({about.time.sql})) + 1 "  # noqa: S608 - names are quoted
            "AS expected FROM data"
        )
        found["missing_periods"] = max(0, int(steps["expected"] or 0) - about.time.points)
    return found


def _quality_lines(about: Study, found: dict[str, object]) -> list[str]:
    table = about.table
    missing = sum(column.missing for column in table.columns)
    lines = [
        f"{counted(missing, 'missing value')} in {number(table.rows * len(table.columns))} cells."
        if missing
        else "No missing values."
    ]
    repeated = int(str(found["duplicate_rows"]))
    lines.append(f"{counted(repeated, 'row')} repeating another." if repeated else "No repeated rows.")
    if constant := found["constant_columns"]:
        listed = listing([name(str(c)) for c in constant]) if isinstance(constant, list) else ""
        lines.append(f"The same value everywhere, or none: {listed}.")
    if about.time and "missing_periods" in found:
        holes = int(str(found["missing_periods"]))
        unit = about.time.native
        lines.append(
            f"{counted(holes, unit)} without a row between the first and the last date."
            if holes
            else f"Every {unit} between the first and the last date has a row."
        )
    return lines


def _column_table(columns: Sequence[Column]) -> list[str]:
    lines = ["| column | type | missing | distinct | min | mean | median | max | std |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for column in columns[:_MAX_COLUMNS_SHOWN]:
        figures = (column.low, column.mean, column.median, column.high, column.std)
        cells = [number(f) if f is not None else "" for f in figures]
        shown = name(column.name.replace("|", "\\|"))
        lines.append(
            f"| {shown} | {column.kind} | {column.missing:,} | {column.distinct:,} | {' | '.join(cells)} |"
        )
    if len(columns) > _MAX_COLUMNS_SHOWN:
        lines.append("")
        lines.append(f"{len(columns) - _MAX_COLUMNS_SHOWN} more columns are in the data part.")
    return lines


def data(analysis: Analysis, quality: dict[str, object]) -> dict[str, object]:
    """The same for programs: rows, columns, findings with SQL and its rows, quality, repairs."""
    table = analysis.study.table
    return {
        "source": table.name,
        "rows": table.rows,
        "columns": [_column_data(column) for column in table.columns],
        "findings": [
            {"kind": str(f.kind), "text": f.text, "sql": f.sql, "rows": _capped(f.rows)}
            for f in analysis.findings
        ],
        "quality": quality,
        "repairs": list(table.repairs),
    }


def _capped(rows: list[Record]) -> list[Record]:
    return rows[:_MAX_ROWS_KEPT]


def _column_data(column: Column) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": column.name,
        "type": str(column.kind),
        "missing": column.missing,
        "distinct": column.distinct,
    }
    if column.kind not in {Kind.TEXT, Kind.BOOLEAN}:
        entry |= {"min": column.low, "max": column.high}
    if column.is_number:
        entry |= {"mean": column.mean, "median": column.median, "std": column.std}
    return entry | {"sql": profile_sql(column.name, column.kind)}
