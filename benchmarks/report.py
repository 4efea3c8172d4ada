"""Rows of the results: ours against a peer, the ratio and the goal; as Markdown and as JSON."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

OUR_LIBRARIES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "httpx", "pydantic")


@dataclass(frozen=True, slots=True)
class Row:
    """`goal_ratio` is of ours to the peer's, or the other way round where `is_cost` says that less is better;
    `goal_value` is for ours alone. CPU is what one unit cost, in microseconds. `note` says what makes the row
    no fair measurement, if anything does. A row without a peer holds ours against the goal alone."""

    what: str
    unit: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    our_cpu_us: float | None = None
    their_cpu_us: float | None = None
    goal_ratio: float | None = None
    goal_value: float | None = None
    is_cost: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if self.theirs is None:
            return None
        better, worse = (self.theirs, self.ours) if self.is_cost else (self.ours, self.theirs)
        return better / worse if worse else 0.0

    @property
    def is_met(self) -> bool | None:
        """None where there is no goal, or no fair measurement."""
        if self.note or (self.goal_ratio is None and self.goal_value is None):
            return None
        within = self.goal_value is None or (
            self.ours <= self.goal_value if self.is_cost else self.ours >= self.goal_value
        )
        return within and (self.goal_ratio is None or (self.ratio or 0.0) >= self.goal_ratio)

    def goal(self) -> str:
        words = []
        if self.goal_value is not None:
            words.append(f"{'<=' if self.is_cost else '>='} {self.goal_value:,.0f} {self.unit}")
        if self.goal_ratio is not None:
            words.append(f">= {self.goal_ratio:g}x")
        verdict = {None: "", True: ": met", False: ": **missed**"}[self.is_met]
        return " and ".join(words) + verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one benchmark: its rows, and every single run by the name of who ran."""

    rows: Sequence[Row]
    runs: Mapping[str, Sequence[Mapping[str, float | str]]]
    remarks: Sequence[str] = ()


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


def cpu_cells(row: Row) -> tuple[str, str]:
    if not row.our_cpu_us or not row.their_cpu_us:
        return "", ""
    both = f"{number(row.our_cpu_us)} : {number(row.their_cpu_us)}"
    return both, f"{row.their_cpu_us / row.our_cpu_us:.2f}x"


def markdown(outcomes: Iterable[Outcome]) -> str:
    lines = ["| what | ours | peer | theirs | ratio | CPU each, µs | ratio | goal |"]
    lines.append("|---|---:|---|---:|---:|---:|---:|---|")
    remarks: list[str] = []
    for outcome in outcomes:
        for row in outcome.rows:
            cells = (
                f"{row.what}, {row.unit}",
                number(row.ours),
                row.peer,
                "" if row.theirs is None else number(row.theirs),
                "" if row.ratio is None else f"{row.ratio:.2f}x",
                *cpu_cells(row),
                row.goal(),
            )
            lines.append(f"| {' | '.join(cells)} |")
            if row.note:
                remarks.append(f"{row.what}: {row.note}")
        remarks.extend(outcome.remarks)
    return "\n".join([*lines, "", *(f"- {remark}" for remark in remarks)])


def write(path: Path, outcomes: Mapping[str, Outcome], settings: Mapping[str, float | str]) -> None:
    content = {
        "settings": settings,
        "python": platform.python_version(),
        "processor": processor(),
        "libraries": {name: version(name) for name in OUR_LIBRARIES},
        "rows": [
            {
                **asdict(row),
                "benchmark": name,
                "ratio": row.ratio and round(row.ratio, 2),
                "is_met": row.is_met,
            }
            for name, outcome in outcomes.items()
            for row in outcome.rows
        ],
        "runs": {name: outcome.runs for name, outcome in outcomes.items()},
        "remarks": [remark for outcome in outcomes.values() for remark in outcome.remarks],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
