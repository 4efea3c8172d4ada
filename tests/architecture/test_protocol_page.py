"""docs/protocol.md names the test that shows each clause: they are there, and no clause is left without."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "protocol.md"
TESTS = ROOT / "tests"
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
LEVELS = {"MUST", "SHOULD", "MAY"}
COLUMNS = 4


def _rows() -> list[list[str]]:
    """The cells of each clause: those rows of tables that have a level."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in rows if len(row) > 1 and row[1] in LEVELS]


@cache
def _tests_in(name: str) -> frozenset[str]:
    return frozenset(
        node.name
        for path in TESTS.rglob(name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_each_test_that_is_named_is_there() -> None:
    named = NAMED.findall(PAGE.read_text())
    missing = [f"{name}::{test}" for name, test in named if test not in _tests_in(name)]
    assert missing == []
    assert named, "the page names no tests at all"


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0])
def test_each_clause_has_a_test_or_a_reason(row: list[str]) -> None:
    assert len(row) == COLUMNS
    clause, _, deed, shown = row
    assert clause
    assert deed
    assert NAMED.search(shown) or re.fullmatch(r"none: .{10,}", shown)


@pytest.mark.parametrize("word", ["TODO", "TBD", "FIXME", "open question"])
def test_no_line_is_left_open(word: str) -> None:
    assert word.lower() not in PAGE.read_text().lower()
