"""Where a request is cut and where it is left whole."""

from __future__ import annotations

import pytest

from coordinator.planner.clauses import Join, split_clauses


@pytest.mark.parametrize(
    ("request_text", "clauses"),
    [
        ("Research leases and summarise it", ["Research leases", "summarise it"]),
        ("Research leases, analyse the csv", ["Research leases", "analyse the csv"]),
        ("Research leases; fetch the page. Summarise", ["Research leases", "fetch the page", "Summarise"]),
        ("Please could you research leases, and also plot it?", ["research leases", "plot it?"]),
        ("Research leases. After that, write a report", ["Research leases", "write a report"]),
        ("First research leases, next plot it", ["research leases", "plot it"]),
        ("1. Research X\n2. Summarise it", ["Research X", "Summarise it"]),
        ("1. Research X 2. Summarise it", ["Research X", "Summarise it"]),
        ("- research X\n* plot it", ["research X", "plot it"]),
        ("Research:\n- leases\n- heartbeats", ["Research leases", "Research heartbeats"]),
        ("Analyse and summarise the csv", ["Analyse the csv", "summarise the csv"]),
        ("Research Raft and Paxos, then compare them", ["Research Raft", "Research Paxos", "compare them"]),
    ],
)
def test_cues_cut_a_request(request_text: str, clauses: list[str]) -> None:
    assert [clause.text for clause in split_clauses(request_text)] == clauses


@pytest.mark.parametrize(
    "request_text",
    [
        "Find the population of Ghana and Kenya",
        "Research agents, registries, and leases",
        "Research v1.0 of A2A, e.g. the agent card",
        "Fetch https://a.b/c.d;e?then=1,and",
        'Summarise "first do this, then call me. Order a pizza"',
        "Research leases (and then plot nothing) in 3.14 seconds",
        "Summarise the findings and research directions of the paper",
        "Research how to analyse and summarise data",
        "What is new in the next release",
        "Summarise the following text: Agents register. Then they run. Order a pizza.",
        "Research how agents\nregister with\nthe coordinator",
    ],
)
def test_what_belongs_together_stays_whole(request_text: str) -> None:
    clauses = split_clauses(request_text)
    assert [clause.text for clause in clauses] == [" ".join(request_text.split()).rstrip(",;")]


def test_the_name_of_a_file_is_never_cut() -> None:
    name = "sales and summarise. then.csv"
    assert len(split_clauses(f"Analyse {name}", [name])) == 1


def test_then_and_numbers_mean_order_and_bullets_do_not() -> None:
    joins = [clause.join for clause in split_clauses("- fetch a\n- plot it, then research X")]
    assert joins == [Join.sentence, Join.sentence, Join.then]
    assert [clause.join for clause in split_clauses("1. fetch a\n2. plot it")] == [Join.then, Join.then]


@pytest.mark.parametrize("request_text", ["", " \n\t ", "...", "please", "and then, then", "Hi!"])
def test_a_request_without_content_has_no_clauses(request_text: str) -> None:
    assert split_clauses(request_text) == []
