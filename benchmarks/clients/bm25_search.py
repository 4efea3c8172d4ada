"""rank-bm25 and bm25s over the same words, each as its page on PyPI has it. Runs in the peers' environment:
`python bm25_search.py job.json` prints their times as JSON."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def rank_bm25(documents: list[list[str]], limit: int) -> Callable[[list[str]], object]:
    from rank_bm25 import BM25Okapi

    index = BM25Okapi(documents)
    numbers = list(range(len(documents)))
    return lambda query: index.get_top_n(query, numbers, n=limit)


def bm25s(documents: list[list[str]], limit: int) -> Callable[[list[str]], object]:
    from bm25s import BM25

    index = BM25()
    index.index(documents, show_progress=False)
    return lambda query: index.retrieve([query], k=limit, show_progress=False)


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    make = {"rank-bm25": rank_bm25, "bm25s": bm25s}[sys.argv[2]]
    make(job["documents"][:10], 5)  # what is imported and compiled the first time
    started = time.perf_counter()
    find = make(job["documents"], job["limit"])
    build_s = time.perf_counter() - started
    walls, cpus = [], []
    for query in job["queries"]:
        started, cpu_started = time.perf_counter(), time.process_time()
        find(query)
        walls.append((time.perf_counter() - started) * 1e3)
        cpus.append((time.process_time() - cpu_started) * 1e3)
    walls.sort()
    cpus.sort()
    result = {
        "build_s": build_s,
        "search_p50_ms": walls[len(walls) // 2],
        "search_p99_ms": walls[int(len(walls) * 0.99)],
        "search_p99_cpu_ms": cpus[int(len(cpus) * 0.99)],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
