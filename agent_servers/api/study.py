"""What a table is about: which column is time, which are measures, which are groups, and what adds up.

Everything an analysis needs to choose from; findings are made elsewhere.
"""

import re
from dataclasses import dataclass, field, replace

from agent_servers.api.question import Question, Want, read_question
from agent_servers.api.structure import Sum, find_sums, leaves
from agent_servers.api.tables import Cell, Column, Record, Table
from agent_servers.api.typing_rules import Kind

_MAX_MEASURES = 30
_MAX_GROUPS = 30
_CATEGORY_VALUES = 60
GRAINS = ("hour", "day", "week", "month", "quarter", "year")
_ID = re.compile(r"(?i)(?:^|[_\s])(?:id|uuid|key|code|zip|zipcode|postcode|phone|index|row|no|nr)$|^unnamed")
_PLACE = re.compile(r"(?i)^(?:lat|lon|lng|latitude|longitude|x_?coord|y_?coord)$")
_YEAR = re.compile(r"(?i)^(?:.*[_\s])?(?:year|yr|jahr|annee|anno)$")
_ADDITIVE = re.compile(
    r"(?i)(?:^|[_\s])(?:sales|revenue|turnover|amount|quantity|qty|count|counts|total|generation|production|"
    r"output|consumption|emissions?|costs?|spend(?:ing)?|units|orders|visits|visitors|births|deaths|"
    r"cases|volume|profit|income|population|passengers|clicks|views|sold|employ(?:ees|ment))(?:$|[_\s])"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, the SQL it was read from, and the rows that SQL gave.

    `weight` in 0..1 is how much it says; `columns` are what it is about.
    """

    kind: Want
    text: str
    sql: str
    rows: list[Record]
    weight: float
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The time of a row: `sql` gives a DATE or TIMESTAMP, `native` is the step between rows.

    `grain` is the period that trends are told in; `repeats`: several rows share a time.
    """

    columns: tuple[str, ...]
    sql: str
    native: str
    grain: str
    days: float
    points: int
    repeats: bool
    first: Cell
    last: Cell

    @property
    def label(self) -> str:
        return self.columns[0]

    @property
    def years(self) -> float:
        return self.days / 365.25

    def by(self, grain: str) -> "TimeAxis":
        return replace(self, grain=grain)

    @property
    def period(self) -> str:
        """The SQL of the period that a row falls in."""
        kind = "TIMESTAMP" if self.grain == "hour" else "DATE"
        return f"CAST(date_trunc('{self.grain}', {self.sql}) AS {kind})"


@dataclass(slots=True)
class Study:
    """The table with the roles of its columns, the question put to it, and what adds up in it."""

    table: Table
    question: Question
    time: TimeAxis | None
    measures: list[Column]
    groups: list[Column]
    focus: list[Column]
    sums: list[Sum] = field(default_factory=list)

    @property
    def is_focused(self) -> bool:
        """Whether the question names a measure."""
        return any(column.name in self.question.columns for column in self.focus)

    def adds_up(self, measure: Column) -> bool:
        """Whether totals of the measure mean something; the question's words decide first."""
        if self.question.total is not None:
            return self.question.total
        return _ADDITIVE.search(measure.name) is not None and (measure.low or 0) >= 0  # type: ignore[operator]  # a number's low is a number

    def are_linked(self, left: str, right: str) -> bool:
        """Whether one is part of the other, or both contain the same parts."""
        return bool(leaves(left, self.sums) & leaves(right, self.sums))

    @property
    def panel(self) -> Column | None:
        """The group that makes times repeat: one row per time and group."""
        if self.time is None or not self.time.repeats:
            return None
        named = [g for g in self.groups if g.name in self.question.columns]
        for group in [*named, *self.groups]:
            sql = (
                f"SELECT count(DISTINCT ({self.time.sql}, {group.sql})) AS pairs, count(*) AS n "  # noqa: S608 - names are quoted
                f"FROM data WHERE {self.time.sql} IS NOT NULL AND {group.sql} IS NOT NULL"
            )
            row = self.table.one(sql)
            if row["pairs"] == row["n"]:
                return group
        return None


def study(table: Table, instruction: str) -> Study:
    """Assign the roles. Every choice falls back to what the data looks like when nothing is named."""
    categories = {
        column.name: _values(table, column)
        for column in table.columns
        if column.kind is Kind.TEXT and column.distinct <= _CATEGORY_VALUES
    }
    question = read_question(
        instruction,
        numbers=[c.name for c in table.columns if c.is_number],
        others=[c.name for c in table.columns if not c.is_number],
        categories=categories,
    )
    time = _time_axis(table, question)
    used = time.columns if time else ()
    measures = [c for c in table.columns if _is_measure(c, table.rows) and c.name not in used]
    groups = [c for c in table.columns if _is_group(c, table.rows, question) and c.name not in used]
    measures = [c for c in measures if c not in groups or c.name in question.columns]
    measures.sort(key=lambda c: _rank(c.name, question.columns))
    groups.sort(key=lambda c: _rank(c.name, _group_names(question)))
    measures = measures[:_MAX_MEASURES]
    sums = find_sums(table, [c for c in measures if c.missing < table.rows])
    focus = [c for c in measures if c.name in question.columns]
    return Study(table, question, time, measures, groups, focus, sums)


def _group_names(question: Question) -> tuple[str, ...]:
    return (*question.columns, *(column for column, _ in question.values))


def _rank(name: str, named: tuple[str, ...]) -> int:
    return named.index(name) if name in named else len(named)


def _values(table: Table, column: Column) -> list[str]:
    rows = table.query(
        f"SELECT DISTINCT {column.sql} AS v FROM data WHERE {column.sql} IS NOT NULL "  # noqa: S608 - the name is quoted
        f"ORDER BY v LIMIT {_CATEGORY_VALUES}"
    )
    return [str(row["v"]) for row in rows]


def _is_measure(column: Column, rows: int) -> bool:
    if not column.is_number or column.distinct < 2 or _PLACE.search(column.name):
        return False
    if _ID.search(column.name):
        return False
    # Counting up by one in every row is a row number.
    span = float(column.high or 0) - float(column.low or 0)
    is_counter = column.kind is Kind.INTEGER and column.distinct == rows and span == rows - 1
    return not (is_counter and rows > 5) and column.missing < rows - 2


def _is_group(column: Column, rows: int, question: Question) -> bool:
    most = min(_MAX_GROUPS, rows // 2)
    if not 2 <= column.distinct <= most or _ID.search(column.name):
        return False
    if column.kind in {Kind.TEXT, Kind.BOOLEAN}:
        return True
    # A few whole numbers (cylinders, stars) are a scale when the question groups by them.
    asked = column.name in question.columns and Want.GROUPS in question.wants
    return asked and column.kind is Kind.INTEGER and column.distinct <= 12


def _time_axis(table: Table, question: Question) -> TimeAxis | None:
    dated = [column for column in table.columns if column.is_time and column.distinct > 2]
    dated.sort(key=lambda c: (_rank(c.name, question.columns), c.missing, -c.distinct))
    if dated:
        return _axis(table, question, (dated[0].name,), dated[0].sql)
    years = [column for column in table.columns if _is_year(column)]
    if not years:
        return None
    year = years[0]
    month = next((c for c in table.columns if _is_month(c)), None)
    if month:
        sql = f"make_date({year.sql}, {month.sql}, 1)"
        return _axis(table, question, (year.name, month.name), sql)
    return _axis(table, question, (year.name,), f"make_date({year.sql}, 1, 1)")


def _is_year(column: Column) -> bool:
    if column.kind is not Kind.INTEGER or not _YEAR.match(column.name) or column.distinct < 3:
        return False
    return float(column.low or 0) >= 1500 and float(column.high or 0) <= 2200


def _is_month(column: Column) -> bool:
    is_named = column.name.casefold() in {"month", "mon", "month_number", "mo"}
    in_range = float(column.low or 0) >= 1 and float(column.high or 99) <= 12 if is_named else False
    return in_range and column.kind is Kind.INTEGER


def _axis(table: Table, question: Question, columns: tuple[str, ...], sql: str) -> TimeAxis | None:
    row = table.one(
        f"SELECT count(DISTINCT {sql}) AS points, count({sql}) AS n, min({sql}) AS low, "  # noqa: S608 - names are quoted
        f"max({sql}) AS high, epoch(max({sql})) - epoch(min({sql})) AS seconds FROM data"
    )
    points, seconds = int(row["points"] or 0), float(row["seconds"] or 0)
    if points < 3:
        return None
    days = seconds / 86_400
    native = _native(days / (points - 1))
    grain = _grain(native, days)
    if question.grain and GRAINS.index(question.grain) >= GRAINS.index(native):
        grain = question.grain
    repeats = int(row["n"] or 0) > points
    return TimeAxis(columns, sql, native, grain, days, points, repeats, row["low"], row["high"])


def _native(step_days: float) -> str:
    steps = ((300, "year"), (80, "quarter"), (26, "month"), (6.5, "week"), (0.9, "day"))
    return next((grain for least, grain in steps if step_days >= least), "hour")


def _grain(native: str, days: float) -> str:
    fitting = (
        "year" if days > 25 * 366
        else "month" if days > 90
        else "day" if days > 3
        else "hour"
    )  # fmt: skip
    return max(native, fitting, key=GRAINS.index)
