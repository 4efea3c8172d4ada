"""Findings that hold columns against each other: groups, correlations, sums, outliers, missing values."""

from itertools import combinations

from agent_servers.api.question import Want
from agent_servers.api.study import Finding, Study
from agent_servers.api.tables import Column, Record
from agent_servers.api.trends import when
from agent_servers.api.wording import counted, listing, name, number, percent, value

_MIN_R = 0.3
# A series this like its own past has few independent values, so levels agree by chance.
_SLUGGISH = 0.95
_SAME = 0.9995
_MIN_PAIRS = 10
_MAX_TOLD = 4
_SKEWED = 0.05
_MAX_MEASURES_COMPARED = 16


def by_group(study: Study, measure: Column, group: Column) -> Finding | None:
    """How a measure differs between the groups of a column."""
    sql = (
        f"WITH parts AS (SELECT {group.sql} AS grp, avg({measure.sql}) AS mean, "  # noqa: S608 - names are quoted
        f"median({measure.sql}) AS median, sum({measure.sql}) AS total, count(*) AS n FROM data "
        f"WHERE {group.sql} IS NOT NULL AND {measure.sql} IS NOT NULL GROUP BY grp), "
        f"whole AS (SELECT avg({measure.sql}) AS mean, var_pop({measure.sql}) AS spread FROM data "
        f"WHERE {group.sql} IS NOT NULL AND {measure.sql} IS NOT NULL) "
        "SELECT grp, parts.mean, median, total, n, total / nullif(sum(total) OVER (), 0) AS share, "
        "sum(n * (parts.mean - whole.mean) ** 2) OVER () / sum(n) OVER () / nullif(spread, 0) "
        "AS explained FROM parts, whole ORDER BY parts.mean DESC, grp"
    )
    rows = study.table.query(sql)
    if len(rows) < 2:
        return None
    explained = float(rows[0]["explained"] or 0)
    noise = (len(rows) - 1) / max(1, sum(int(row["n"] or 0) for row in rows))
    asked = group.name in study.question.columns and measure in study.focus
    if explained < max(0.02, 3 * noise) and not asked:
        return None
    text = _totals(study, measure, group, rows) or _means(measure, group, rows)
    text += f"; the groups explain {percent(explained)} of the variance."
    return Finding(Want.GROUPS, text, sql, rows, 0.4 + 0.5 * explained**0.5, (measure.name, group.name))


def _totals(study: Study, measure: Column, group: Column, rows: list[Record]) -> str:
    if not study.adds_up(measure):
        return ""
    ranked = sorted(rows, key=lambda row: -float(row["total"] or 0))[:_MAX_TOLD]
    parts = [f"{value(r['grp'])} {number(r['total'])} ({percent(r['share'])})" for r in ranked]
    return f"Total {name(measure.name)} by {name(group.name)}: {listing(parts)}"


def _means(measure: Column, group: Column, rows: list[Record]) -> str:
    def told(row: Record) -> str:
        return f"{value(row['grp'])} {number(row['mean'])} (n {number(row['n'])})"

    if len(rows) <= _MAX_TOLD + 2:
        listed = listing([told(row) for row in rows])
        return f"Mean {name(measure.name)} by {name(group.name)}, highest first: {listed}"
    return (
        f"Mean {name(measure.name)} by {name(group.name)}: highest {listing([told(r) for r in rows[:2]])}, "
        f"lowest {listing([told(r) for r in reversed(rows[-2:])])}, of {len(rows)} groups"
    )


def frequencies(study: Study, group: Column) -> Finding | None:
    """How often each value of a group occurs; None where all occur equally often."""
    sql = (
        f"SELECT {group.sql} AS grp, count(*) AS n, count(*) / sum(count(*)) OVER () AS share "  # noqa: S608 - names are quoted
        f"FROM data WHERE {group.sql} IS NOT NULL GROUP BY grp ORDER BY n DESC, grp"
    )
    rows = study.table.query(sql)
    parts = [f"{value(r['grp'])} ({number(r['n'])} rows, {percent(r['share'])})" for r in rows[:_MAX_TOLD]]
    more = f", and {counted(len(rows) - _MAX_TOLD, 'more value')}" if len(rows) > _MAX_TOLD else ""
    if len({row["n"] for row in rows}) < 2:
        return None
    text = f"Most frequent {name(group.name)}: {listing(parts)}{more}."
    return Finding(Want.GROUPS, text, sql, rows, 0.35, (group.name,))


def correlations(study: Study) -> list[Finding]:
    """The strongest pairs. Sluggish series are compared by their changes from row to row."""
    chosen = study.focus + [m for m in study.measures if m not in study.focus]
    measures = chosen[:_MAX_MEASURES_COMPARED]
    drifting = _drifting(study, measures)
    pairs = [
        pair
        for pair in combinations(measures, 2)
        if not study.are_linked(pair[0].name, pair[1].name)
        and (not study.is_focused or pair[0] in study.focus or pair[1] in study.focus)
    ]
    found = [f for f in (_correlation(study, *pair, drifting) for pair in pairs) if f]
    return sorted(found, key=lambda finding: -finding.weight)


def _drifting(study: Study, measures: list[Column]) -> set[str]:
    axis = study.time
    if axis is None or axis.repeats or not measures:
        return set()
    order = f"OVER (ORDER BY {axis.sql})"
    pairs = ", ".join(f"{m.sql} AS v{i}, lag({m.sql}) {order} AS w{i}" for i, m in enumerate(measures))
    listed = ", ".join(f"corr(v{i}, w{i}) AS r{i}" for i in range(len(measures)))
    row = study.table.one(f"SELECT {listed} FROM (SELECT {pairs} FROM data)")  # noqa: S608 - names are quoted
    return {m.name for i, m in enumerate(measures) if float(row[f"r{i}"] or 0) > _SLUGGISH}


def _correlation(study: Study, left: Column, right: Column, drifting: set[str]) -> Finding | None:
    by_change = study.time is not None and bool({left.name, right.name} & drifting)
    source, x, y = "data", left.sql, right.sql
    if by_change and study.time:
        order = f"OVER (ORDER BY {study.time.sql})"
        source = (
            f"(SELECT {left.sql} - lag({left.sql}) {order} AS x, "  # noqa: S608 - names are quoted
            f"{right.sql} - lag({right.sql}) {order} AS y FROM data)"
        )
        x, y = "x", "y"
    sql = f"SELECT corr({x}, {y}) AS r, regr_count({y}, {x}) AS n FROM {source}"  # noqa: S608 - names are quoted
    row = study.table.one(sql)
    r, n = float(row["r"] or 0), int(row["n"] or 0)
    # Under twice the standard error of zero a coefficient says nothing.
    if n < _MIN_PAIRS or abs(r) < max(_MIN_R, 2.5 / n**0.5):
        return None
    about = (left.name, right.name)
    if abs(r) >= _SAME:
        text = (
            f"{name(left.name)} and {name(right.name)} carry the same information (r = {r:.4f}, n = {n:,})."
        )
        return Finding(Want.RELATION, text, sql, [row], 0.2, about)
    subject = f"{name(left.name)} and {name(right.name)}"
    if by_change and study.time:
        subject = f"the changes of {subject} from one {study.time.native} to the next"
    how = "rise and fall together" if r > 0 else "move in opposite directions"
    text = f"{_strength(r)}: {subject} {how} (r = {r:.2f}, n = {n:,})"
    twins = are_twins(left.name, right.name)
    text += ", as two readings of the same quantity do." if twins else "."
    weight = (0.3 if twins else 0.35) + (0.1 if twins else 0.45) * abs(r)
    return Finding(Want.RELATION, text, sql, [row], weight, about)


def _strength(r: float) -> str:
    grade = "Strong" if abs(r) >= 0.7 else "Moderate" if abs(r) >= 0.5 else "Weak"
    return f"{grade} correlation"


def are_twins(left: str, right: str) -> bool:
    """temp_max and temp_min: one quantity, read twice."""
    a, b = left.casefold().split("_"), right.casefold().split("_")
    kinds = {"min", "max", "mean", "avg", "median", "low", "high"}
    return a != b and [w for w in a if w not in kinds] == [w for w in b if w not in kinds]


def sums(study: Study) -> list[Finding]:
    """Columns that are the sum of others, so that nobody adds them twice."""
    found = []
    for known in study.sums:
        total = study.table.column(known.total).sql
        added = " + ".join(study.table.column(part).sql for part in known.parts)
        sql = (
            f"SELECT count(*) AS n, max(abs({total} - ({added}))) AS gap, "  # noqa: S608 - names are quoted
            f"max(abs({total} - ({added})) / nullif(abs({total}), 0)) AS gap_share "
            f"FROM data WHERE {total} IS NOT NULL AND {added} IS NOT NULL"
        )
        row = study.table.one(sql)
        if float(row["gap_share"] or 0) > 0.005:
            continue
        gap = "" if not row["gap"] else f" (but for rounding: largest gap {number(row['gap'])})"
        text = (
            f"{name(known.total)} is the sum of {listing([name(part) for part in known.parts])} "
            f"in all {number(row['n'])} rows{gap}."
        )
        found.append(Finding(Want.STRUCTURE, text, sql, [row], 0.3, (known.total, *known.parts)))
    return found


def outliers(study: Study, measure: Column, group: Column | None) -> Finding | None:
    """Values outside the quartiles by over 1.5 times their distance, with the most extreme rows."""
    over = f"OVER (PARTITION BY {group.sql})" if group else "OVER ()"
    shown = [study.time.sql + " AS place"] if study.time else ["rowid + 1 AS place"]
    shown += [f"{group.sql} AS grp"] if group else []
    sql = (
        f"WITH spans AS (SELECT {', '.join(shown)}, {measure.sql} AS v, "  # noqa: S608 - names are quoted
        f"quantile_cont({measure.sql}, 0.25) {over} AS q1, quantile_cont({measure.sql}, 0.75) {over} AS q3 "
        f"FROM data WHERE {measure.sql} IS NOT NULL), "
        "marked AS (SELECT *, q1 - 1.5 * (q3 - q1) AS low, q3 + 1.5 * (q3 - q1) AS high, "
        "greatest(v - q3, q1 - v) AS distance FROM spans) "
        "SELECT * EXCLUDE (distance), count(*) OVER () AS outliers, (SELECT count(*) FROM spans) AS n "
        "FROM marked WHERE v < low OR v > high ORDER BY distance DESC, place LIMIT 5"
    )
    rows = study.table.query(sql)
    if not rows or rows[0]["q1"] == rows[0]["q3"]:
        return None
    count, n = int(rows[0]["outliers"] or 0), int(rows[0]["n"] or 0)
    share = count / max(1, n)
    within = (
        f" (each {name(group.name)} on its own)"
        if group
        else (f" ({number(rows[0]['low'])} to {number(rows[0]['high'])})")
    )
    examples = listing([_example(study, row) for row in rows[:3]])
    text = (
        f"{name(measure.name)}: {counted(count, 'value')} of {n:,} ({percent(share)}) outside the usual "
        f"range by the IQR rule{within}, the farthest {examples}"
    )
    text += ". So many point to a skewed distribution rather than to errors." if share > _SKEWED else "."
    return Finding(Want.OUTLIERS, text, sql, rows, 0.45 if share <= _SKEWED else 0.3, (measure.name,))


def _example(study: Study, row: Record) -> str:
    place = when(row["place"], study.time.native) if study.time else f"row {number(row['place'])}"
    of = f"{value(row['grp'])}, " if "grp" in row else ""
    return f"{number(row['v'])} ({of}{place})"


def missing(study: Study) -> Finding | None:
    """The columns with missing values, most first."""
    holes = sorted((c for c in study.table.columns if c.missing), key=lambda c: -c.missing)
    if not holes:
        return None
    listed = ", ".join(f"count(*) - count({c.sql}) AS {c.sql}" for c in holes)
    sql = f"SELECT count(*) AS row_count, {listed} FROM data"  # noqa: S608 - names are quoted
    row = study.table.one(sql)
    parts = [
        f"{name(c.name)} {c.missing:,} ({percent(c.missing / study.table.rows)})" for c in holes[:_MAX_TOLD]
    ]
    more = f", and {counted(len(holes) - _MAX_TOLD, 'more column')}" if len(holes) > _MAX_TOLD else ""
    text = f"Missing values of {study.table.rows:,} rows: {', '.join(parts)}{more}."
    worst = holes[0].missing / study.table.rows
    return Finding(Want.MISSING, text, sql, [row], 0.3 + 0.4 * worst, tuple(c.name for c in holes))
