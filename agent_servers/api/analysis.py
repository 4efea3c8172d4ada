"""From a table and an instruction to ranked findings: which analyses are worth running, and which to tell."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog

from agent_servers.api import comparisons, trends
from agent_servers.api.answers import answers
from agent_servers.api.question import Want
from agent_servers.api.study import Finding, Study, study
from agent_servers.api.tables import Column, Table

log = structlog.get_logger(__name__)

_MAX_FINDINGS = 10
_MAX_OVERVIEW = 8
_PER_KIND = {
    Want.TREND: 4,
    Want.SEASON: 2,
    Want.GROUPS: 3,
    Want.RELATION: 2,
    Want.OUTLIERS: 2,
    Want.STRUCTURE: 2,
    Want.MISSING: 1,
}


@dataclass(frozen=True, slots=True)
class Analysis:
    """The findings to tell, best first, and the measure they turn on (None without numbers)."""

    study: Study
    findings: list[Finding]
    main: Column | None


def analyse(table: Table, instruction: str) -> Analysis:
    """Choose and run the analyses. The findings of what the instruction names come first."""
    about = study(table, instruction)
    overview = about.focus or _overview(about)
    candidates = list(_candidates(about, overview))
    main = _main(about, candidates)
    direct = _kept(lambda: answers(about, instruction))
    return Analysis(about, [*direct, *_chosen(about, candidates, main)][:_MAX_FINDINGS], main)


def _overview(about: Study) -> list[Column]:
    """The measures to look at where none is named: totals before the parts they are made of."""
    parts = {part for known in about.sums for part in known.parts}
    tops = [m for m in about.measures if m.name not in parts]
    found: list[Column] = []
    for measure in tops + [m for m in about.measures if m.name in parts]:
        # The daily high and the daily low tell the same story; one tells it.
        if not any(comparisons.are_twins(measure.name, other.name) for other in found):
            found.append(measure)
    return found[:_MAX_OVERVIEW]


def _candidates(about: Study, overview: list[Column]) -> Iterator[Finding]:
    panel = about.panel
    makers: list[Callable[[], Iterable[Finding | None]]] = [
        lambda: [comparisons.missing(about)],
        lambda: comparisons.sums(about),
        lambda: comparisons.correlations(about),
        lambda: [] if about.is_focused else [trends.changes(about)],
    ]
    makers += [_maker(comparisons.frequencies, about, group) for group in about.groups[:2]]
    for measure in overview:
        makers.append(_maker(trends.course, about, measure))
        makers.append(_maker(trends.season, about, measure))
        makers.append(_maker(comparisons.outliers, about, measure, panel))
        makers += [_maker(comparisons.by_group, about, measure, g) for g in about.groups[:4]]
    if over_time := panel or _asked_group(about):
        for measure in overview[:3]:
            makers.append(_maker(trends.courses_by_group, about, measure, over_time))
            makers.append(_maker(trends.shares, about, measure, over_time))
    for make in makers:
        about.table.budget.check()
        yield from _kept(make)


def _maker(make: Callable[..., Finding | None], *args: object) -> Callable[[], list[Finding | None]]:
    return lambda: [make(*args)]


def _kept(make: Callable[[], Iterable[Finding | None]]) -> list[Finding]:
    """What an analysis found; one that the figures cannot carry (an overflow) finds nothing."""
    import duckdb

    try:
        return [finding for finding in make() if finding is not None]
    except (duckdb.OutOfRangeException, duckdb.ConversionException) as exc:
        log.info("analysis.skipped", error=type(exc).__name__)
        return []


def _asked_group(about: Study) -> Column | None:
    """The group that the question wants over time."""
    named = {*about.question.columns, *(column for column, _ in about.question.values)}
    wanted = Want.TREND in about.question.wants and about.time is not None
    return next((g for g in about.groups if wanted and g.name in named), None)


def _interest(about: Study, finding: Finding, main: Column | None) -> float:
    question = about.question
    named = {*question.columns, *(column for column, _ in question.values)}
    tells_main = main is not None and finding.columns[:1] == (main.name,)
    bonus = 0.3 if tells_main and finding.kind is Want.TREND else 0.0
    if finding.kind in question.wants:
        bonus += 0.5
    if named and finding.columns:
        bonus += 1.2 * sum(c in named for c in finding.columns[:2]) / len(finding.columns[:2])
    if finding.kind is Want.STRUCTURE and about.is_focused:
        bonus -= 0.5
    return finding.weight + bonus


def _chosen(about: Study, candidates: list[Finding], main: Column | None) -> list[Finding]:
    """The best findings, few of each kind, and none that says again what a better one said."""
    ranked = sorted(candidates, key=lambda finding: -_interest(about, finding, main))
    asked = about.question.wants
    counts: Counter[Want] = Counter()
    chosen: list[Finding] = []
    for finding in ranked:
        limit = _PER_KIND[finding.kind] + (2 if finding.kind in asked else 0)
        if counts[finding.kind] >= limit or len(chosen) == _MAX_FINDINGS:
            continue
        counts[finding.kind] += 1
        chosen.append(finding)
    return chosen


def _main(about: Study, candidates: list[Finding]) -> Column | None:
    """The measure to draw: the one named, else the one whose findings say most."""
    if not about.measures:
        return None
    if about.focus:
        return about.focus[0]
    measures = {m.name: m for m in about.measures}
    told = {Want.TREND, Want.SEASON, Want.GROUPS}
    telling = [f for f in candidates if f.kind in told and f.columns[0] in measures and len(f.columns) < 3]
    if about.sums:
        return _overview(about)[0]
    telling.sort(key=lambda finding: -finding.weight)
    return measures[telling[0].columns[0]] if telling else about.measures[0]
