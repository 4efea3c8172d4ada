"""One chart for an analysis: chosen from the data, at most some hundred inline points, drawn to SVG."""

from dataclasses import dataclass
from typing import Any

from agent_servers.api.analysis import Analysis
from agent_servers.api.errors import ChartFailed
from agent_servers.api.question import Want
from agent_servers.api.study import Study, TimeAxis
from agent_servers.api.tables import Column, Record
from agent_servers.api.trends import aggregate_words, periods_sql, when
from agent_servers.api.wording import label_and_unit, titled

Spec = dict[str, Any]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_VERSION = "6.4"
_MAX_POINTS = 600
_MAX_SERIES = 8
_MAX_BARS = 25
_MAX_LABEL_CHARS = 40
_BINS = 24
_PALETTE = ["#2f6db3", "#d9772b", "#3a9463", "#b8474d", "#7a62b0", "#8a6d3b", "#3c9fb0", "#777777"]
_CONFIG: Spec = {
    "background": "white",
    "font": "sans-serif",
    "title": {"fontSize": 15, "anchor": "start", "offset": 12, "subtitleColor": "#555555"},
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "gridColor": "#e6e6e6", "titlePadding": 8},
    "legend": {"labelFontSize": 11, "titleFontSize": 12},
    "view": {"stroke": None},
    "range": {"category": _PALETTE},
    "mark": {"color": _PALETTE[0]},
    "padding": 14,
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A Vega-Lite specification with its values inline, and what it shows in one line."""

    title: str
    spec: Spec


def chart(analysis: Analysis) -> Chart | None:
    """The chart that shows most: a course over time, else groups, a relation, a distribution, counts.

    The question's words decide first. None where there is nothing to draw.
    """
    about, main = analysis.study, analysis.main
    if main is None:
        return _count_bars(about, about.groups[0]) if about.groups else None
    wants, named = about.question.wants, about.question.columns
    asked_groups = [g for g in about.groups if g.name in named]
    if Want.RELATION in wants and (pair := _related(analysis)):
        return _scatter(about, *pair)
    if asked_groups and not (wants & {Want.TREND, Want.SEASON}) and about.panel is None:
        return _bars(about, main, asked_groups[0])
    if about.time and (drawn := _lines(about, main, about.time)):
        return drawn
    if about.groups:
        return _bars(about, main, about.groups[0])
    if pair := _related(analysis):
        return _scatter(about, *pair)
    return _histogram(about, main)


def _lines(about: Study, main: Column, axis: TimeAxis) -> Chart | None:
    group = about.panel or next(
        (g for g in about.groups if g.name in about.question.columns and Want.TREND in about.question.wants),
        None,
    )
    if group and group.distinct > _MAX_SERIES:
        group = None
    series = [main] if group else _together(about, main)
    rows: list[Record] = [
        {
            "period": str(row["period"]),
            "value": row["value"],
            "series": _short(row.get("grp") if group else label_and_unit(m.name)[0]),
        }
        for m in series
        for row in about.table.query(periods_sql(about, axis, m, group=group))
        if row["value"] is not None
    ]
    if len({row["period"] for row in rows}) < 3:
        return None
    rows = _thinned(rows, len({row["series"] for row in rows}))
    words = aggregate_words(about, axis, main)
    names = " and ".join(label_and_unit(m.name)[0] for m in series)
    title = _capital(f"{words}{names}" + (f" by {label_and_unit(group.name)[0]}" if group else ""))
    start, end = min(str(r["period"]) for r in rows), max(str(r["period"]) for r in rows)
    subtitle = f"{when(start, axis.grain)} to {when(end, axis.grain)}"
    unit = label_and_unit(main.name)[1]
    y_title = titled(main.name) if len(series) == 1 else unit or _shared_words(series)
    x: Spec = {
        "field": "period", "type": "temporal", "title": axis.grain,
        "scale": {"type": "utc"},
        "axis": {"format": _time_format(axis.grain), "labelOverlap": True, "tickCount": 8},
    }  # fmt: skip
    low = min(float(row["value"] or 0) for row in rows)
    high = max(float(row["value"] or 0) for row in rows)
    # A line may leave zero out; it does so only where the movement would vanish otherwise.
    zero = low >= 0 and (high - low) > 0.5 * high
    encoding: Spec = {"x": x, "y": _number_axis("value", y_title, zero=zero)}
    if group or len(series) > 1:
        legend = titled(group.name) if group else None
        order = list(dict.fromkeys(str(row["series"]) for row in rows))
        encoding["color"] = {"field": "series", "type": "nominal", "title": legend, "sort": order}
    mark: Spec = {"type": "line", "point": len(rows) <= 60, "strokeWidth": 2}
    return Chart(f"{title}, {subtitle}", _spec(title, subtitle, rows, mark, encoding, width=640))


def _together(about: Study, main: Column) -> list[Column]:
    """The measures that belong on one axis: those named, or readings of the same quantity."""

    def first_word(column: Column) -> str:
        return label_and_unit(column.name)[0].split()[0].casefold()

    if len(about.focus) > 1:
        others = [m for m in about.focus if m.name != main.name]
    else:
        others = [m for m in about.measures if m.name != main.name and first_word(m) == first_word(main)]
        if about.sums or len(others) > 2:
            others = []
    same_scale = [m for m in others if _scale(main) / 8 <= _scale(m) <= 8 * _scale(main)]
    return [main, *same_scale][:4]


def _shared_words(series: list[Column]) -> str:
    """What the labels begin with alike: `temp` for temp max and temp min."""
    labels = [label_and_unit(column.name)[0].split() for column in series]
    shared = []
    for words in zip(*labels, strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return " ".join(shared) or "value"


def _scale(column: Column) -> float:
    return max(abs(float(column.low or 0)), abs(float(column.high or 0)), 1e-12)


def _thinned(rows: list[Record], series: int) -> list[Record]:
    step = -(-len(rows) // (_MAX_POINTS * max(1, min(series, 3))))
    return rows[::step] if step > 1 else rows


def _time_format(grain: str) -> str:
    return {"year": "%Y", "quarter": "%b %Y", "month": "%b %Y", "hour": "%d %b %H:%M"}.get(grain, "%d %b %Y")


def _bars(about: Study, measure: Column, group: Column) -> Chart:
    axis_free = "sum" if about.adds_up(measure) else "avg"
    rows = about.table.query(
        f"SELECT {group.sql} AS category, {axis_free}({measure.sql}) AS value FROM data "  # noqa: S608 - names are quoted
        f"WHERE {group.sql} IS NOT NULL AND {measure.sql} IS NOT NULL GROUP BY category "
        f"ORDER BY value DESC, category LIMIT {_MAX_BARS}"
    )
    kind = "Total" if axis_free == "sum" else "Mean"
    return _bar_chart(
        f"{kind} {label_and_unit(measure.name)[0]} by {label_and_unit(group.name)[0]}",
        rows,
        group,
        titled(measure.name),
    )


def _count_bars(about: Study, group: Column) -> Chart:
    rows = about.table.query(
        f"SELECT {group.sql} AS category, count(*) AS value FROM data WHERE {group.sql} IS NOT NULL "  # noqa: S608 - the name is quoted
        f"GROUP BY category ORDER BY value DESC, category LIMIT {_MAX_BARS}"
    )
    return _bar_chart(f"Rows by {label_and_unit(group.name)[0]}", rows, group, "rows")


def _bar_chart(title: str, rows: list[Record], group: Column, y_title: str) -> Chart:
    values: list[Record] = [{"category": _short(row["category"]), "value": row["value"]} for row in rows]
    encoding: Spec = {
        "y": {"field": "category", "type": "nominal", "sort": None, "title": titled(group.name)},
        "x": _number_axis("value", y_title, zero=True),
    }
    subtitle = f"the first {_MAX_BARS} of {group.distinct:,}" if group.distinct > _MAX_BARS else ""
    return Chart(
        title, _spec(title, subtitle, values, {"type": "bar"}, encoding, width=520, height={"step": 26})
    )


def _related(analysis: Analysis) -> tuple[Column, Column] | None:
    found = next((f for f in analysis.findings if f.kind is Want.RELATION and f.weight > 0.3), None)
    if found is None:
        return None
    table = analysis.study.table
    return table.column(found.columns[0]), table.column(found.columns[1])


def _scatter(about: Study, left: Column, right: Column) -> Chart:
    rows = about.table.query(
        f"SELECT {left.sql} AS x, {right.sql} AS y FROM data "  # noqa: S608 - names are quoted
        f"WHERE {left.sql} IS NOT NULL AND {right.sql} IS NOT NULL "
        f"USING SAMPLE reservoir({_MAX_POINTS} ROWS) REPEATABLE (1)"
    )
    title = f"{_capital(label_and_unit(right.name)[0])} against {label_and_unit(left.name)[0]}"
    sampled = about.table.rows > _MAX_POINTS
    subtitle = f"a sample of {len(rows):,} of {about.table.rows:,} rows" if sampled else ""
    encoding = {
        "x": _number_axis("x", titled(left.name), zero=False),
        "y": _number_axis("y", titled(right.name), zero=False),
    }
    mark = {"type": "point", "filled": True, "opacity": 0.5, "size": 28}
    return Chart(title, _spec(title, subtitle, rows, mark, encoding, width=520))


def _histogram(about: Study, measure: Column) -> Chart:
    low, high = float(measure.low or 0), float(measure.high or 0)
    width = (high - low) / _BINS
    rows = about.table.query(
        f"SELECT least({_BINS - 1}, CAST(floor(({measure.sql} - {low!r}) / {width!r}) AS BIGINT)) AS bin, "  # noqa: S608 - the name is quoted
        f"count(*) AS value FROM data WHERE {measure.sql} IS NOT NULL GROUP BY bin ORDER BY bin"
    )
    values: list[Record] = [
        {
            "from": low + int(r["bin"] or 0) * width,
            "to": low + (int(r["bin"] or 0) + 1) * width,
            "value": r["value"],
        }
        for r in rows
    ]
    title = f"Distribution of {label_and_unit(measure.name)[0]}"
    x = {**_number_axis("from", titled(measure.name), zero=False), "bin": {"binned": True}}
    encoding: Spec = {"x": x, "x2": {"field": "to"}, "y": _number_axis("value", "rows", zero=True)}
    return Chart(title, _spec(title, "", values, {"type": "bar"}, encoding, width=520))


def _number_axis(field: str, title: str, *, zero: bool) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": zero}}


def _spec(
    title: str,
    subtitle: str,
    rows: list[Record],
    mark: Spec,
    encoding: Spec,
    *,
    width: int,
    height: Any = 320,
) -> Spec:
    heading: Spec = {"text": title, "subtitle": subtitle} if subtitle else {"text": title}
    return {
        "$schema": _SCHEMA,
        "title": heading,
        "width": width,
        "height": height,
        "data": {"values": rows},
        "mark": mark,
        "encoding": encoding,
        "config": _CONFIG,
    }


def _short(cell: object) -> str:
    text = " ".join(str(cell).split())
    return text if len(text) <= _MAX_LABEL_CHARS else text[: _MAX_LABEL_CHARS - 3] + "..."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def draw(spec: Spec) -> bytes:
    """The chart as SVG. Fetches nothing. Raises ChartFailed where the renderer refuses."""
    import vl_convert

    try:
        svg: str = vl_convert.vegalite_to_svg(spec, vl_version=_VERSION, allowed_base_urls=[])
    except ValueError as exc:
        raise ChartFailed from exc
    return svg.encode()
