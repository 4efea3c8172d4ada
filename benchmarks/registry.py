"""The search over ten thousand agents: how soon it answers, and what one agent's change costs, against a full
rebuild and against two BM25 libraries over the same words in an environment of their own."""

import gc
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.environments import peer_python
from benchmarks.footprint import resident_mib
from benchmarks.plausible_agents import agents, queries
from benchmarks.report import Outcome, Row
from benchmarks.scenarios import OURS, Plan
from benchmarks.servers import BenchmarkFailed
from coordinator.planner.lexicon import STOPWORDS, normalise, stem, words
from coordinator.planner.match import SkillIndex
from coordinator.planner.postings import AnalysedOffer, analyse
from coordinator.planner.search import Wanted, search
from coordinator.registry.offers import SkillOffer

AGENTS = 10_000
QUERIES = 1_000
PEER_QUERIES = {"rank-bm25": 30, "bm25s": 1_000}  # the first takes a tenth of a second for each
CHANGES = 200
LIMIT = 20
GOAL_MS = 5.0
CLIENT = Path(__file__).parent / "clients" / "bm25_search.py"
Runs = dict[str, list[dict[str, float | str]]]


def registry(plan: Plan) -> Outcome:
    """`--rounds` runs of the same queries; each round changes agents between them too."""
    network = list(agents(AGENTS))
    started, before_mib = time.perf_counter(), resident_mib_here()
    index = SkillIndex(offer for skills in network for offer in skills)
    build_s, mib = time.perf_counter() - started, resident_mib_here() - before_mib
    gc.freeze()  # as the coordinator does after it has read many agents
    rounds = [one_round(index, network) for _ in range(plan.rounds)]
    offers = [offer for skills in network for offer in skills]
    theirs = {peer: by_peer(peer, offers, plan.folder) for peer in PEER_QUERIES}
    runs: Runs = {OURS: [*rounds], **{peer: [run] for peer, run in theirs.items()}}

    def median(name: str) -> float:
        return statistics.median(float(run[name]) for run in rounds)

    def row(what: str, name: str, peer: str = "", *, is_goal: bool = False) -> Row:
        their_ms = float(theirs[peer][name]) if peer else None
        goal_ms = GOAL_MS if is_goal else None
        return Row(what, "ms", median(name), peer, their_ms, is_cost=True, goal_value=goal_ms)

    what = f"{AGENTS:,} agents"
    rows = [
        row(f"search of {what}, {rank}", f"search_{rank}_ms", peer, is_goal=rank == "p99")
        for peer in theirs
        for rank in ("p50", "p99", "p99_cpu")
    ]
    rows += [
        row(f"search of {what} with two filters, p99", "filtered_p99_ms", is_goal=True),
        row(f"planner's match of {what}, p50", "match_p50_ms"),
        row(f"planner's match of {what}, p99", "match_p99_ms", is_goal=True),
        row(f"planner's match of {what}, p99_cpu", "match_p99_cpu_ms"),
        row("first search after a change, p99", "after_change_p99_ms"),
        Row(
            "one agent's change to the index",
            "ms",
            median("change_ms"),
            "full rebuild",
            build_s * 1e3,
            is_cost=True,
        ),
        Row("memory of the index", "MiB", mib, is_cost=True),
    ]
    rows += [
        Row("building the index", "s", build_s, peer, float(run["build_s"]), is_cost=True)
        for peer, run in theirs.items()
    ]
    return Outcome(rows, runs)


def one_round(index: SkillIndex, network: list[list[SkillOffer]]) -> dict[str, float | str]:
    asked = queries(QUERIES)
    narrow = Wanted(input_modes=("text/csv",), output_modes=("application/json",))
    found = 0

    def find(wanted: Wanted) -> Callable[[str], object]:
        def run(text: str) -> object:
            nonlocal found
            results = search(index.postings, text, wanted, LIMIT)
            found += bool(results)
            return results

        return run

    result: dict[str, float | str] = {}
    for name, run in (("search", find(Wanted())), ("filtered", find(narrow)), ("match", index.match)):
        spread(result, name, [timed(run, text) for text in asked])
    if found < QUERIES:  # half of both: most words are somebody's
        raise BenchmarkFailed(f"only {found} of {2 * QUERIES} searches found anything")
    changes, after = [], []
    for number, text in zip(range(0, AGENTS, AGENTS // CHANGES), asked, strict=False):
        changes.append(timed(lambda skills: change(index, skills), network[number]))
        after.append(timed(find(Wanted()), text))
    result["change_ms"] = statistics.median(wall for wall, _ in changes)
    spread(result, "after_change", after)
    return result


def change(index: SkillIndex, skills: list[SkillOffer]) -> None:
    analysed: list[AnalysedOffer] = [analyse(offer) for offer in skills]
    index.postings.replace(skills[0].agent_id, analysed)


def timed(run: Callable[..., object], argument: object) -> tuple[float, float]:
    """Milliseconds on the clock, and of this thread's CPU: what another process took of the core is only in
    the first."""
    started, cpu_started = time.perf_counter(), time.thread_time()
    run(argument)
    return (time.perf_counter() - started) * 1e3, (time.thread_time() - cpu_started) * 1e3


def spread(result: dict[str, float | str], name: str, times: Sequence[tuple[float, float]]) -> None:
    walls, cpus = (sorted(column) for column in zip(*times, strict=True))
    result[f"{name}_p50_ms"] = round(walls[len(walls) // 2], 3)
    result[f"{name}_p99_ms"] = round(walls[int(len(walls) * 0.99)], 3)
    result[f"{name}_p99_cpu_ms"] = round(cpus[int(len(cpus) * 0.99)], 3)


def by_peer(peer: str, offers: list[SkillOffer], folder: Path) -> dict[str, float | str]:
    """The peer over the same words: split and stemmed here, which it is not charged for."""
    texts = [
        [offer.skill_id, offer.name, offer.description, *offer.tags, *offer.examples] for offer in offers
    ]
    job = {
        "documents": [stems(" ".join(parts)) for parts in texts],
        "queries": [stems(text) for text in queries(PEER_QUERIES[peer])],
        "limit": LIMIT,
    }
    path = folder / f"{peer}.json"
    path.write_text(json.dumps(job))
    command = (str(peer_python("bm25")), str(CLIENT), str(path), peer)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 a fixed command
    if done.returncode:
        raise BenchmarkFailed(f"{peer}: {done.stderr.strip()[-500:]}")
    answer: dict[str, float | str] = json.loads(done.stdout)
    return answer


def stems(text: str) -> list[str]:
    return [stem(plain) for plain in map(normalise, words(text)) if plain not in STOPWORDS]


def resident_mib_here() -> float:
    gc.collect()
    return resident_mib(os.getpid())
