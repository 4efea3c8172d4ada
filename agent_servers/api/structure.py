"""Columns that are the sum of others: found by arithmetic, so that a total is not "related" to its parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_servers.api.tables import Column, Table

_SAMPLE_ROWS = 60
_MIN_ROWS = 8
_TOLERANCE = 0.0015
_MIN_PART = 0.01


@dataclass(frozen=True, slots=True)
class Sum:
    """`total` equals the sum of `parts` in every row, but for rounding."""

    total: str
    parts: tuple[str, ...]


def find_sums(table: Table, measures: Sequence[Column]) -> list[Sum]:
    """The sums among the measures, small ones first."""
    columns = sorted(measures, key=table.columns.index)
    if len(columns) < 3 or table.rows < _MIN_ROWS:
        return []
    step = max(1, table.rows // _SAMPLE_ROWS)
    selected = ", ".join(column.sql for column in columns)
    given = " AND ".join(f"{column.sql} IS NOT NULL" for column in columns)
    rows = table.query(
        f"SELECT {selected} FROM data WHERE rowid % {step} = 0 AND {given} LIMIT {_SAMPLE_ROWS}"  # noqa: S608 - names are quoted
    )
    if len(rows) < _MIN_ROWS:
        return []
    series = {c.name: [float(row[c.name] or 0) for row in rows] for c in columns}
    return sums_in({n: v for n, v in series.items() if max(v) > min(v)})


def sums_in(series: dict[str, list[float]]) -> list[Sum]:
    """Pure part of `find_sums`: equally long series by name, in the order of the columns.

    Parts stand side by side in real tables, so runs of neighbours and pairs are tried; the parts of
    a sum found are then taken out, which makes the parts of the next level neighbours.
    """
    found: list[Sum] = []
    open_names = list(series)
    while new := _next_sum(series, open_names, found):
        found.append(new)
        open_names = [name for name in open_names if name not in new.parts]
    totals = {known.total for known in found}
    found.extend(pair for total in series if total not in totals and (pair := _pair(series, total, found)))
    return found


def _next_sum(series: dict[str, list[float]], names: list[str], found: list[Sum]) -> Sum | None:
    known = {known.total for known in found}
    size = len(names)
    for length in range(2, size):
        for start in range(size - length + 1):
            parts = names[start : start + length]
            added = [sum(values) for values in zip(*(series[p] for p in parts), strict=True)]
            for total, values in series.items():
                if total in parts or total in known:
                    continue
                if _equal(values, added) and _matter(series, parts, total):
                    return Sum(total, tuple(parts))
    return None


def _pair(series: dict[str, list[float]], total: str, found: list[Sum]) -> Sum | None:
    names = [name for name in series if name != total]
    for index, left in enumerate(names):
        rest = [t - v for t, v in zip(series[total], series[left], strict=True)]
        for right in names[index + 1 :]:
            if leaves(left, found) & leaves(right, found):
                continue
            if _equal(rest, series[right]) and _matter(series, [left, right], total):
                return Sum(total, (left, right))
    return None


def _equal(left: list[float], right: list[float]) -> bool:
    return all(abs(a - b) <= _TOLERANCE * max(abs(a), abs(b)) for a, b in zip(left, right, strict=True))


def _matter(series: dict[str, list[float]], parts: list[str], total: str) -> bool:
    """No part is so small that it vanishes in the rounding."""
    whole = sum(map(abs, series[total]))
    return all(sum(map(abs, series[part])) > _MIN_PART * whole for part in parts)


def leaves(name: str, sums: Sequence[Sum]) -> frozenset[str]:
    """The parts a column comes down to; itself where it is no sum."""
    known = next((known for known in sums if known.total == name), None)
    if known is None:
        return frozenset({name})
    others = [other for other in sums if other is not known]
    return frozenset().union(*(leaves(part, others) for part in known.parts))
