"""Direct answers to what an instruction asks: how many rows, the highest month, one year against another.

They come before all other findings. What the table has no column for is said first, too.
"""

import difflib
import re
from collections.abc import Iterator

from agent_servers.api.question import Want
from agent_servers.api.study import GRAINS, Finding, Study, TimeAxis
from agent_servers.api.superlatives import Superlative, read_count, read_superlative, read_years
from agent_servers.api.tables import Column, Record
from agent_servers.api.trends import MONTHS, aggregate, aggregate_words, periods_sql, season, when
from agent_servers.api.wording import STEP_ADJECTIVES, counted, listing, name, number, percent, value

_MAX_ANSWERS = 5
_MAX_MEASURES = 2
_MAX_NAMED = 6
# "most correlated", "the largest change": what stands there asks for an analysis and names no column.
_NO_NAME = re.compile(
    r"(?:ed|ing|ent|ant|ive|ous|able|ly|al)$|^(?:changes?|values?|outliers?|trends?|growth|increase|decrease"
    r"|differences?|correlations?|rows?|records?|columns?|figures?|and|the|for|per|common|often|of|in|on)$"
)


def answers(study: Study, instruction: str) -> Iterator[Finding]:
    """The findings that answer the instruction itself, most direct first; mostly there are none."""
    if what := read_count(instruction):
        yield _count(study, what)
    if years := read_years(instruction):
        yield from _contrast(study, years)
    if asked := read_superlative(instruction):
        yield from _singled_out(study, asked)


def _answer(text: str, sql: str, rows: list[Record], *columns: str) -> Finding:
    return Finding(Want.ANSWER, text, sql, rows, 1.0, columns)


def _count(study: Study, what: str) -> Finding:
    columns, rows = len(study.table.columns), study.table.rows
    if what == "columns":
        sql = "SELECT count(*) AS n FROM duckdb_columns() WHERE table_name = 'data'"
        text = f"The table has {counted(columns, 'column')} and {counted(rows, 'row')}."
    else:
        sql = "SELECT count(*) AS n FROM data"
        text = f"The table has {counted(rows, 'row')} and {counted(columns, 'column')}."
    return _answer(text, sql, study.table.query(sql))


def _contrast(study: Study, years: list[int]) -> Iterator[Finding]:
    axis = study.time
    if axis is None:
        return
    span = range(int(str(axis.first)[:4]), int(str(axis.last)[:4]) + 1)
    if outside := [str(year) for year in years if year not in span]:
        sql = f"SELECT min({axis.sql}) AS first, max({axis.sql}) AS last FROM data"  # noqa: S608 - names are quoted
        text = f"The table has no rows for {listing(outside)}; it covers {span[0]} to {span[-1]}."
        yield _answer(text, sql, study.table.query(sql), *axis.columns)
    for measure in (study.focus or study.measures)[:_MAX_ANSWERS]:
        if finding := _years_of(study, axis, measure, [year for year in years if year in span]):
            yield finding


def _years_of(study: Study, axis: TimeAxis, measure: Column, years: list[int]) -> Finding | None:
    function = aggregate(study, axis.by("year"), measure)
    sql = (
        f"SELECT year({axis.sql}) AS year, {function}({measure.sql}) AS value, min({measure.sql}) AS lowest, "  # noqa: S608 - names are quoted
        f"max({measure.sql}) AS highest, count({measure.sql}) AS n FROM data "
        f"WHERE year({axis.sql}) IN ({', '.join(map(str, years))}) GROUP BY 1 ORDER BY 1"
    )
    rows = [row for row in study.table.query(sql) if row["value"] is not None] if len(years) > 1 else []
    if len(rows) < 2:
        return None
    kind = "Total" if function == "sum" else "Mean"
    one_each = all(row["n"] == 1 for row in rows)
    lead = name(measure.name) if one_each else f"{kind} {name(measure.name)}"
    told = [_year(row, one_each=one_each) for row in rows]
    gap = float(rows[-1]["value"] or 0) - float(rows[0]["value"] or 0)
    way = "the same" if gap == 0 else f"{number(abs(gap))} {'more' if gap > 0 else 'less'}"
    text = f"{lead}: {listing(told)}; {rows[-1]['year']} has {way} than {rows[0]['year']}."
    return _answer(text.replace("the same than", "the same as"), sql, rows, measure.name, *axis.columns)


def _year(row: Record, *, one_each: bool) -> str:
    if one_each:
        return f"{number(row['value'])} in {row['year']}"
    spread = f"{number(row['lowest'])} to {number(row['highest'])}, n {number(row['n'])}"
    return f"{number(row['value'])} in {row['year']} ({spread})"


def _singled_out(study: Study, asked: Superlative) -> Iterator[Finding]:
    group = next((g for g in study.groups if g.name in study.question.columns), None)
    if asked.frequent:
        if group:
            yield _most_frequent(study, group, asked)
        return
    measures = _measures(study, asked)
    if not measures:
        if missing := _no_column(study, asked):
            yield missing
        return
    for measure in measures[:_MAX_MEASURES]:
        if asked.period and study.time:
            found = _by_period(study, study.time, measure, asked)
        elif group:
            found = _of_groups(study, measure, group, asked)
        else:
            found = _of_rows(study, measure, asked)
        if found:
            yield found


def _measures(study: Study, asked: Superlative) -> list[Column]:
    fitting = [m for m in study.measures if any(hint in m.name.casefold() for hint in asked.hints)]
    # The hottest day is told by the daily high, the lowest temperature by the daily low.
    end = "max" if asked.is_highest else "min"
    ranked = sorted(study.focus or fitting, key=lambda measure: end not in measure.name.casefold())
    return ranked[:1] if asked.hints else ranked


def _no_column(study: Study, asked: Superlative) -> Finding | None:
    noun = asked.hints[0] if asked.hints else asked.noun
    known = {word for column in study.table.columns for word in re.split(r"[\W_]+", column.name.casefold())}
    if not asked.is_question or not noun or _NO_NAME.search(noun) or noun.rstrip("s") in GRAINS:
        return None
    if noun in known or noun.rstrip("s") in known:
        return None
    names = [column.name for column in study.measures] or [c.name for c in study.table.columns]
    lowered = {column.casefold(): column for column in names}
    near = [lowered[found] for found in difflib.get_close_matches(noun, lowered, n=3, cutoff=0.6)]
    sql = (
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'data' ORDER BY column_index"
    )
    shown = listing([name(column) for column in (near or names)[:_MAX_NAMED]])
    rest = len(names) - _MAX_NAMED
    more = f" and {rest:,} more" if not near and rest > 0 else ""
    lead = "its measures are" if study.measures else "its columns are"
    if near:
        lead = "the nearest is" if len(near) == 1 else "the nearest are"
    what = f'like "{value(noun)}"' if not asked.hints else f'to tell the {asked.word} by (like "{noun}")'
    return _answer(f"The table has no column {what}; {lead} {shown}{more}.", sql, study.table.query(sql))


def _by_period(study: Study, axis: TimeAxis, measure: Column, asked: Superlative) -> Finding | None:
    grain = axis.native if asked.period == "when" else asked.period
    lead = ""
    if GRAINS.index(grain) < GRAINS.index(axis.native):
        lead = f"The table has {STEP_ADJECTIVES[axis.native]} rows and tells no {grain}. "
        grain = axis.native
    axis = axis.by(grain)
    best = _best_period(study, axis, measure, asked)
    if best is None:
        return None
    # Without a season a calendar month stands out by chance or by the trend.
    if grain == "month" and season(study, measure) is not None:
        return _calendar_month(study, axis, measure, asked) or best
    return _answer(lead + best.text, best.sql, best.rows, *best.columns)


def _best_period(study: Study, axis: TimeAxis, measure: Column, asked: Superlative) -> Finding | None:
    order = "DESC" if asked.is_highest else "ASC"
    inner = periods_sql(study, axis, measure)
    sql = (
        f"WITH periods AS ({inner}) SELECT period, value, n FROM periods "  # noqa: S608 - our own query
        f"ORDER BY value {order}, period LIMIT 3"
    )
    rows = study.table.query(sql)
    if len(rows) < 2:
        return None
    told = [f"{when(row['period'], axis.grain)} ({number(row['value'])})" for row in rows]
    ties = rows[0]["value"] == rows[1]["value"]
    verb = "has (with others)" if ties else "has"
    subject = aggregate_words(study, axis, measure) + name(measure.name)
    text = f"{told[0]} {verb} the {asked.end} {subject}; then {' and '.join(told[1:])}."
    return _answer(text, sql, rows, measure.name, *axis.columns)


def _calendar_month(study: Study, axis: TimeAxis, measure: Column, asked: Superlative) -> Finding | None:
    """The month of the year, its years taken together, and the single month that stands out most."""
    end, order = ("max", "DESC") if asked.is_highest else ("min", "ASC")
    sql = (
        f"WITH periods AS ({periods_sql(study, axis, measure)}), "  # noqa: S608 - our own query
        "months AS (SELECT month(period) AS month, avg(value) AS value, count(*) AS years FROM periods "
        f"GROUP BY 1) SELECT *, (SELECT arg_{end}(period, value) FROM periods) AS single, "
        f"(SELECT {end}(value) FROM periods) AS single_value FROM months ORDER BY value {order}, month"
    )
    rows = study.table.query(sql)
    if len(rows) < 6:
        return None
    first, second = rows[0], rows[1]
    kind = "total" if aggregate(study, axis, measure) == "sum" else "mean"
    text = (
        f"{_month(first)} has the {asked.end} {name(measure.name)} of the calendar months "
        f"({kind} {number(first['value'])}, over {counted(int(first['years'] or 0), 'year')}), "
        f"then {_month(second)} ({number(second['value'])}). The single {asked.end} month is "
        f"{when(first['single'], 'month')} ({kind} {number(first['single_value'])})."
    )
    return _answer(text, sql, rows, measure.name, *axis.columns)


def _month(row: Record) -> str:
    return MONTHS[int(row["month"] or 1) - 1]


def _of_groups(study: Study, measure: Column, group: Column, asked: Superlative) -> Finding | None:
    function, kind = ("sum", "total") if study.adds_up(measure) else ("avg", "mean")
    sql = (
        f"SELECT {group.sql} AS grp, {function}({measure.sql}) AS value, count({measure.sql}) AS n FROM data "  # noqa: S608 - names are quoted
        f"WHERE {group.sql} IS NOT NULL AND {measure.sql} IS NOT NULL GROUP BY 1 "
        f"ORDER BY value {'DESC' if asked.is_highest else 'ASC'}, 1"
    )
    rows = study.table.query(sql)
    if len(rows) < 2:
        return None
    told = [f"{value(row['grp'])} ({number(row['value'])})" for row in rows[:3]]
    among = f"of {len(rows)} values of {name(group.name)}"
    text = (
        f"{told[0]} has the {asked.end} {kind} {name(measure.name)} {among}; then {' and '.join(told[1:])}."
    )
    return _answer(text, sql, rows, measure.name, group.name)


def _of_rows(study: Study, measure: Column, asked: Superlative) -> Finding | None:
    end = "max" if asked.is_highest else "min"
    labels = [c for c in study.table.columns if not c.is_number and not c.is_time][:2]
    shown = [f"{study.time.sql} AS place"] if study.time else ["rowid + 1 AS place"]
    shown += [f"{column.sql} AS label_{n}" for n, column in enumerate(labels)]
    sql = (
        f"SELECT {', '.join(shown)}, {measure.sql} AS value, count(*) OVER () AS n FROM data "  # noqa: S608 - names are quoted
        f"WHERE {measure.sql} = (SELECT {end}({measure.sql}) FROM data) ORDER BY place LIMIT 5"
    )
    rows = study.table.query(sql)
    if not rows:
        return None
    row, n = rows[0], int(rows[0]["n"] or 0)
    place = when(row["place"], study.time.native) if study.time else f"row {number(row['place'])}"
    named = [f"{name(c.name)} {value(row[f'label_{i}'])}" for i, c in enumerate(labels)]
    more = f"; {counted(n, 'row')} have it" if n > 1 else ""
    at = ", ".join([place, *named])
    text = f"The {asked.end} {name(measure.name)} is {number(row['value'])} ({at}){more}."
    return _answer(text, sql, rows, measure.name)


def _most_frequent(study: Study, group: Column, asked: Superlative) -> Finding:
    sql = (
        f"SELECT {group.sql} AS grp, count(*) AS n, count(*) / sum(count(*)) OVER () AS share FROM data "  # noqa: S608 - names are quoted
        f"WHERE {group.sql} IS NOT NULL GROUP BY 1 ORDER BY n {'DESC' if asked.is_highest else 'ASC'}, 1"
    )
    rows = study.table.query(sql)
    first, second = rows[0], rows[1]
    share = f"{number(first['n'])} of {study.table.rows:,} rows ({percent(first['share'])})"
    text = (
        f"{value(first['grp'])} is the {asked.word} frequent {name(group.name)}: {share}; "
        f"then {value(second['grp'])} ({number(second['n'])})."
    )
    return _answer(text, sql, rows, group.name)
