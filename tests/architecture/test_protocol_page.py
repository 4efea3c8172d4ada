"""docs/protocol.md names the test that shows each clause: they are there, and no clause is left without."""

import re

import pytest

from tests.architecture.named_tests import NAMED, ROOT, missing_tests

PAGE = ROOT / "docs" / "protocol.md"
LEVELS = {"MUST", "SHOULD", "MAY"}
COLUMNS = 4


def _rows() -> list[list[str]]:
    """The cells of each clause: those rows of tables that have a level."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in rows if len(row) > 1 and row[1] in LEVELS]


def test_each_test_that_is_named_is_there() -> None:
    assert missing_tests(PAGE.read_text()) == []


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
