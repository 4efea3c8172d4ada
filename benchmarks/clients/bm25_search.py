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
    times = []
    for query in job["queries"]:
        started = time.perf_counter()
        find(query)
        times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(json.dumps({"build_s": build_s, "search_p50_ms": p50, "search_p99_ms": p99}))


if __name__ == "__main__":
    main()
