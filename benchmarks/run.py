"""The benchmarks against the peers: `python -m benchmarks.run [names...] --seconds N --rounds N`.

Prints a Markdown table and keeps every run in benchmarks/results/.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report, scenarios
from benchmarks.coordinator import tasks
from benchmarks.environments import make_environment, peer_names
from benchmarks.footprint import footprint
from benchmarks.recovery import recovery
from benchmarks.registry import registry
from benchmarks.report import Outcome
from benchmarks.scenarios import Plan
from benchmarks.servers import LOAD_CORE, BenchmarkFailed
from benchmarks.sweep import sweep

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[Plan], Outcome]] = {
    "send": scenarios.send,
    "sqlite": scenarios.sqlite,
    "sse": scenarios.sse,
    "client": scenarios.client,
    "footprint": footprint,
    "tasks": tasks,
    "recovery": recovery,
    "registry": registry,
    "sweep": sweep,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each competitor")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    names = [name for name in BENCHMARKS if name in arguments.names or not arguments.names]
    for peer in peer_names():
        make_environment(peer)

    os.sched_setaffinity(0, {LOAD_CORE})
    started = time.perf_counter()
    outcomes: dict[str, Outcome] = {}
    failures: list[str] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcomes[name] = BENCHMARKS[name](Plan(arguments.seconds, arguments.rounds, Path(folder)))
            except BenchmarkFailed as failure:
                failures.append(f"{name}: {failure}")
    settings = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "took_s": round(time.perf_counter() - started),
    }
    report.write(RESULTS / f"{'-'.join(arguments.names) or 'all'}.json", outcomes, settings)
    print(report.markdown(outcomes.values()))
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
