"""docs/reliability.md names the tests that show each promise: they are there, and none is left without."""

import re

import pytest

from tests.architecture.named_tests import NAMED, ROOT, missing_tests

PAGE = (ROOT / "docs" / "reliability.md").read_text()
PROMISES = dict(re.findall(r"^### (\d\. .+)\n((?:(?!#).*\n)*)", PAGE, re.MULTILINE))
TABLE = PAGE.partition("## What if it dies")[2].partition("\n## ")[0]
DEATHS = re.findall(r"^\| (.+) \|$", TABLE, re.MULTILINE)
HEAD_ROWS = 2
COLUMNS = 3


def test_each_test_that_is_named_is_there() -> None:
    assert missing_tests(PAGE) == []


def test_the_page_has_the_nine_promises() -> None:
    assert [name[0] for name in PROMISES] == list("123456789")


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_has_its_limits_and_a_test(promise: str) -> None:
    _, limits, shown = re.split(r"^(?:Limits|Shown by):$", PROMISES[promise], flags=re.MULTILINE)
    assert limits.strip()
    assert NAMED.search(shown)


@pytest.mark.parametrize("row", DEATHS[HEAD_ROWS:], ids=lambda row: row.partition(" | ")[0])
def test_each_death_has_a_test(row: str) -> None:
    cells = row.split(" | ")
    assert len(cells) == COLUMNS
    assert NAMED.search(cells[2]) or cells[2].startswith(("the same test", "none"))
