"""The analyse skill's work on one table, all of it in a worker thread: table, findings, report, chart."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from agent_servers.api import report
from agent_servers.api.analysis import analyse
from agent_servers.api.budget import Budget
from agent_servers.api.charts import Chart, chart, draw
from agent_servers.api.errors import ChartFailed
from agent_servers.api.records import RecordSet
from agent_servers.api.tables import open_table

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one table gave: the report, its SQL, the same as data, and the chart with its SVG if any."""

    markdown: str
    evidence: str
    data: dict[str, object]
    headline: str
    chart: Chart | None
    svg: bytes | None


def examine(
    budget: Budget, *, records: RecordSet, name: str, instruction: str, notes: Sequence[str]
) -> Outcome:
    """Raises TableRefused for a table that cannot be loaded, WorkStopped when told to stop."""
    with open_table(records, name=name, budget=budget) as table:
        analysis = analyse(table, instruction)
        quality = report.quality(analysis.study)
        picture = chart(analysis)
        text = report.markdown(analysis, quality, notes)
        data = report.data(analysis, quality)
        evidence = report.evidence(analysis)
        first = analysis.findings[0].text if analysis.findings else "nothing to compare in it"
    budget.check()
    return Outcome(text, evidence, data, first, picture, _drawn(picture))


def _drawn(picture: Chart | None) -> bytes | None:
    if picture is None:
        return None
    try:
        return draw(picture.spec)
    except ChartFailed as exc:
        log.warning("chart.failed", reason=str(exc.__cause__)[:200])
        return None
