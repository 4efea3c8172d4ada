"""Tests that a page of the documentation names, as `file::test`."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
NAMED = re.compile(r"`(test_\w+\.py)::(\w+)`")


def missing_tests(page: str) -> list[str]:
    """Those that the page names and that are not there."""
    named = NAMED.findall(page)
    assert named, "the page names no tests at all"
    return [f"{name}::{test}" for name, test in named if test not in _tests_in(name)]


@cache
def _tests_in(name: str) -> frozenset[str]:
    """Functions, and the test cases of state machines, which are assigned."""
    found = set()
    for path in TESTS.rglob(name):
        tree = ast.parse(path.read_text())
        found |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
        found |= {target.id for target in assigned if isinstance(target, ast.Name)}
    return frozenset(name for name in found if name.lower().startswith("test"))
