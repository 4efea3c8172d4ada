"""Findings about time: the course of a measure, of each group, of all columns, and the season."""

import re

from agent_servers.api.question import Want
from agent_servers.api.study import Finding, Study, TimeAxis
from agent_servers.api.tables import Cell, Column, Record, literal
from agent_servers.api.wording import STEP_ADJECTIVES, listing, name, number, percent, value

_PER = {
    "year": "year",
    "quarter": "year",
    "month": "year",
    "week": "week",
    "day": "day",
    "hour": "hour",
}
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DEGREES = re.compile(r"(?i)(?:^|_)temp|celsius|fahrenheit|(?:^|_)deg")
_CLEAR = 0.5
_WEAK = 0.2
_MAX_TOLD = 4


def aggregate(study: Study, axis: TimeAxis, measure: Column) -> str:
    """The SQL function that makes one value of a period's rows."""
    one_each = axis.grain == axis.native and not axis.repeats
    return "sum" if study.adds_up(measure) and not one_each else "avg"


def aggregate_words(study: Study, axis: TimeAxis, measure: Column) -> str:
    """How a period's value is called: `monthly mean of `, or '' where each row is a period."""
    if axis.grain == axis.native and not axis.repeats:
        return ""
    kind = "total" if aggregate(study, axis, measure) == "sum" else "mean"
    return f"{STEP_ADJECTIVES[axis.grain]} {kind} of "


def periods_sql(study: Study, axis: TimeAxis, measure: Column, *, group: Column | None = None) -> str:
    """A query of (period, value), with `grp` per group; periods with too few rows are left out.

    A sum over half a month is no low, and a mean over a week of January is no year.
    """
    extra = f", {group.sql} AS grp" if group else ""
    also = f" AND {group.sql} IS NOT NULL" if group else ""
    where = f"{axis.sql} IS NOT NULL AND {measure.sql} IS NOT NULL{also}"
    keys = "period, grp" if group else "period"
    return (
        f"SELECT {axis.period} AS period{extra}, "  # noqa: S608 - names are quoted
        f"{aggregate(study, axis, measure)}({measure.sql}) AS value, count(*) AS n "
        f"FROM data WHERE {where} GROUP BY {keys}"
        f"{_complete(study, axis, measure, group)} ORDER BY {keys}"
    )


def _complete(study: Study, axis: TimeAxis, measure: Column, group: Column | None) -> str:
    if axis.grain == axis.native or group is not None:
        return ""
    counts = (
        f"SELECT count(*) AS n FROM data WHERE {axis.sql} IS NOT NULL "  # noqa: S608 - names are quoted
        f"AND {measure.sql} IS NOT NULL GROUP BY {axis.period}"
    )
    typical = study.table.one(f"SELECT median(n) AS n FROM ({counts})")["n"]  # noqa: S608 - our own query
    least = int(0.8 * float(typical or 0))
    return f" HAVING count(*) >= {least}" if least > 1 else ""


def _clock(axis: TimeAxis) -> str:
    """Time as a number, in the unit that slopes are told in."""
    match _PER[axis.grain]:
        case "year":
            return "date_diff('day', DATE '2000-01-01', period) / 365.25"
        case "week":
            return "date_diff('day', DATE '2000-01-01', period) / 7.0"
        case "day":
            return "date_diff('day', DATE '2000-01-01', period) * 1.0"
        case _:
            return "epoch(period) / 3600.0"


def _course_columns(axis: TimeAxis) -> str:
    clock = _clock(axis)
    return (
        f"count(*) AS periods, regr_slope(value, {clock}) AS slope, regr_r2(value, {clock}) AS r2, "
        "arg_min(value, period) AS first, min(period) AS start, "
        'arg_max(value, period) AS last, max(period) AS "end", '
        "min(value) AS lowest, arg_min(period, value) AS lowest_at, "
        "max(value) AS highest, arg_max(period, value) AS highest_at"
    )


def course(study: Study, measure: Column) -> Finding | None:
    """How a measure went over time. Seasonal measures are told by whole years."""
    axis = study.time
    if axis is None:
        return None
    by_days = axis.native not in {"month", "quarter", "year"}
    if axis.years >= 3 and not study.question.grain and (by_days or is_seasonal(study, measure)):
        axis = axis.by("year")
    inner = periods_sql(study, axis, measure)
    sql = f"WITH periods AS ({inner}) SELECT {_course_columns(axis)} FROM periods"  # noqa: S608 - our own query
    row = study.table.one(sql)
    if int(row["periods"] or 0) < 3 or row["slope"] is None:
        return None
    subject = aggregate_words(study, axis, measure) + name(measure.name)
    text = f"{subject[0].upper()}{subject[1:]} {_told(row, axis, measure)}."
    r2 = float(row["r2"] or 0)
    return Finding(Want.TREND, text, sql, [row], 0.45 + 0.5 * r2, (measure.name, *axis.columns))


def _told(row: Record, axis: TimeAxis, measure: Column) -> str:
    r2, slope = float(row["r2"] or 0), float(row["slope"] or 0)
    few = "only " if int(row["periods"] or 0) < 6 else ""
    fit = f"linear fit over {few}{row['periods']} {axis.grain}s, r² {r2:.2f}"
    rate = f"{number(abs(slope))} per {_PER[axis.grain]}"
    ends = (
        f"from {number(row['first'])} in {when(row['start'], axis.grain)} "
        f"to {number(row['last'])} in {when(row['end'], axis.grain)}{_change(row, measure)}"
    )
    verb = "rises" if slope > 0 else "falls"
    if r2 >= _CLEAR:
        lead = f"{verb} by {rate} ({fit}), {ends}"
    elif r2 >= _WEAK:
        lead = f"tends to {verb[:-1]}, by {rate} ({fit}), {ends}"
    else:
        lead = f"has no steady linear trend ({fit}); it went {ends}"
    return lead + _turns(row, axis)


def _turns(row: Record, axis: TimeAxis) -> str:
    turns = [
        f"{word} in {when(row[f'{word}_at'], axis.grain)} ({number(row[word])})"
        for word in ("lowest", "highest")
        if row[f"{word}_at"] not in {row["start"], row["end"]}
    ]
    return f"; {' and '.join(turns)}" if turns else ""


def _change(row: Record, measure: Column) -> str:
    first, last = row["first"], row["last"]
    if not isinstance(first, int | float) or not isinstance(last, int | float):
        return ""
    # A ratio needs a true zero: degrees and whatever else goes below zero have none.
    if first <= 0 or float(measure.low or 0) < 0 or _DEGREES.search(measure.name):
        return ""
    if last > 3 * first:
        return f" ({number(last / first)} times as much)"
    return f" ({100 * (last / first - 1):+.1f}%)"


def when(period: Cell, grain: str) -> str:
    """A period as people write it: 2015, 2015-Q3, 2015-03, 2015-03-09."""
    text = str(period)
    match grain:
        case "year":
            return text[:4]
        case "quarter":
            return f"{text[:4]}-Q{(int(text[5:7]) + 2) // 3}"
        case "month":
            return text[:7]
        case "hour":
            return text[:16]
        case _:
            return text[:10]


def courses_by_group(study: Study, measure: Column, group: Column) -> Finding | None:
    """How a measure went in each group, those that changed most first."""
    axis = study.time
    if axis is None:
        return None
    inner = periods_sql(study, axis, measure, group=group)
    sql = (
        f"WITH periods AS ({inner}) SELECT grp, {_course_columns(axis)} FROM periods "  # noqa: S608 - our own query
        "GROUP BY grp HAVING count(*) >= 3 ORDER BY abs(regr_slope(value, "
        f"{_clock(axis)})) DESC, grp"
    )
    rows = study.table.query(sql)
    if len(rows) < 2:
        return None
    named = {wanted for column, wanted in study.question.values if column == group.name}
    told = sorted(rows, key=lambda row: row["grp"] not in named)[:_MAX_TOLD]
    parts = [f"{value(row['grp'])} {_told_short(row, axis, measure)}" for row in told]
    more = f" ({len(rows) - len(told)} more in the evidence)" if len(rows) > len(told) else ""
    subject = aggregate_words(study, axis, measure) + name(measure.name)
    text = f"{subject[0].upper()}{subject[1:]} by {name(group.name)}: {'; '.join(parts)}{more}."
    best = max(float(row["r2"] or 0) for row in rows)
    about = (measure.name, group.name, *axis.columns)
    return Finding(Want.TREND, text, sql, rows, 0.6 + 0.4 * best, about)


def _told_short(row: Record, axis: TimeAxis, measure: Column) -> str:
    r2, slope = float(row["r2"] or 0), float(row["slope"] or 0)
    ends = (
        f"from {number(row['first'])} in {when(row['start'], axis.grain)} "
        f"to {number(row['last'])} in {when(row['end'], axis.grain)}{_change(row, measure)}"
    )
    if r2 < _WEAK:
        return f"has no steady trend (r² {r2:.2f}), {ends}"
    verb = "rises" if slope > 0 else "falls"
    return f"{verb} by {number(abs(slope))} per {_PER[axis.grain]} (r² {r2:.2f}), {ends}"


def shares(study: Study, measure: Column, group: Column) -> Finding | None:
    """How the groups' shares of the whole moved between the first and the last period."""
    axis = study.time
    if axis is None or not study.adds_up(measure):
        return None
    inner = periods_sql(study, axis, measure, group=group)
    sql = (
        f"WITH periods AS ({inner}), parts AS (SELECT period, grp, "  # noqa: S608 - our own query
        "value / sum(value) OVER (PARTITION BY period) AS share FROM periods) "
        "SELECT grp, arg_min(share, period) AS first, min(period) AS start, "
        'arg_max(share, period) AS last, max(period) AS "end" FROM parts '
        "GROUP BY grp ORDER BY abs(arg_max(share, period) - arg_min(share, period)) DESC, grp"
    )
    rows = study.table.query(sql)
    if len(rows) < 2 or any(row["first"] is None or row["last"] is None for row in rows):
        return None
    moved = abs(float(rows[0]["last"] or 0) - float(rows[0]["first"] or 0))
    if moved < 0.02:
        return None
    parts = [
        f"{value(r['grp'])} from {percent(r['first'])} in {when(r['start'], axis.grain)} "
        f"to {percent(r['last'])} in {when(r['end'], axis.grain)}"
        for r in rows[:_MAX_TOLD]
    ]
    text = f"The shares of {name(measure.name)} moved: {', '.join(parts)}."
    about = (measure.name, group.name)
    return Finding(Want.TREND, text, sql, rows, min(1.0, 0.7 + moved), about)


def changes(study: Study) -> Finding | None:
    """Which columns of a wide series grew and shrank most from the first to the last row."""
    axis, measures = study.time, [m for m in study.measures if float(m.low or 0) > 0]
    if axis is None or axis.repeats or len(measures) < 4:
        return None
    parts = [
        f"SELECT {literal(m.name)} AS col, arg_min({m.sql}, {axis.sql}) AS first, "  # noqa: S608 - names are quoted
        f"arg_max({m.sql}, {axis.sql}) AS last FROM data WHERE {m.sql} IS NOT NULL"
        for m in measures
    ]
    sql = (
        f"SELECT col, first, last, last / first - 1 AS change FROM ({' UNION ALL '.join(parts)}) "  # noqa: S608 - names are quoted
        "ORDER BY change DESC, col"
    )
    rows = study.table.query(sql)
    if len(rows) < 4:
        return None

    def told(row: Record) -> str:
        figures = f"{number(row['first'])} to {number(row['last'])}"
        return f"{name(str(row['col']))} {100 * float(row['change'] or 0):+.1f}% ({figures})"

    up, down = rows[:3], [row for row in rows[3:] if float(row["change"] or 0) < 0][-3:]
    text = (
        f"Of {len(rows)} columns, from {when(axis.first, axis.grain)} to {when(axis.last, axis.grain)} "
        f"{listing([told(row) for row in up])} changed most upwards"
    )
    text += f"; {listing([told(row) for row in reversed(down)])} most downwards." if down else "."
    return Finding(Want.TREND, text, sql, rows, 0.85, tuple(str(row["col"]) for row in up + down))


def is_seasonal(study: Study, measure: Column) -> bool:
    found = season(study, measure)
    return found is not None and float(found.rows[0]["explained"] or 0) >= 0.25


def season(study: Study, measure: Column) -> Finding | None:
    """The swing within the year, where the data covers more than two years in months or finer."""
    axis = study.time
    if axis is None or axis.years <= 2 or axis.native in {"year", "quarter"}:
        return None
    if study.panel is not None and not study.adds_up(measure):
        return None
    # Against the mean of the twelve months around, so that growth is not taken for a season;
    # the half years at both ends have no such mean.
    sql = (
        f"WITH dated AS (SELECT {axis.sql} AS t, CAST({measure.sql} AS DOUBLE) AS v FROM data "  # noqa: S608 - names are quoted
        f"WHERE {axis.sql} IS NOT NULL AND {measure.sql} IS NOT NULL), "
        "levels AS (SELECT t, v, avg(v) OVER (ORDER BY t RANGE BETWEEN INTERVAL 182 DAYS PRECEDING "
        "AND INTERVAL 182 DAYS FOLLOWING) AS level, min(t) OVER () + INTERVAL 182 DAYS AS since, "
        "max(t) OVER () - INTERVAL 182 DAYS AS until FROM dated), "
        "base AS (SELECT month(t) AS month, v, level FROM levels WHERE t BETWEEN since AND until), "
        "months AS (SELECT month, avg(v) AS mean, avg(v - level) AS deviation, count(*) AS n "
        "FROM base GROUP BY month), "
        "total AS (SELECT sum((v - level) ** 2) AS squares FROM base) "
        "SELECT month, mean, deviation, n, (SELECT sum(n * deviation ** 2) FROM months) / "
        "nullif((SELECT squares FROM total), 0) AS explained FROM months ORDER BY month"
    )
    rows = study.table.query(sql)
    explained = float(rows[0]["explained"] or 0) if rows else 0.0
    few = len(rows) < 12 or min(int(row["n"] or 0) for row in rows) < 2
    # Twelve means explain 11 in n of pure noise.
    noise = 11 / max(1, sum(int(row["n"] or 0) for row in rows))
    if few or explained < max(0.04, 3 * noise):
        return None
    top = max(rows, key=lambda row: float(row["deviation"] or 0))
    low = min(rows, key=lambda row: float(row["deviation"] or 0))
    text = (
        f"{name(measure.name)} follows the season: highest in {_month(top)} "
        f"(mean {number(top['mean'])}), lowest in {_month(low)} (mean {number(low['mean'])}); "
        f"the calendar month explains {percent(explained)} of the variance around the year's level."
    )
    return Finding(Want.SEASON, text, sql, rows, 0.5 + 0.5 * explained, (measure.name, *axis.columns))


def _month(row: Record) -> str:
    return MONTHS[int(row["month"] or 1) - 1]
