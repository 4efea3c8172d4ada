"""The table of problems against the error trees it covers."""

from collections.abc import Iterator

import pytest

from coordinator.api.problems import FAMILIES, RULES
from coordinator.executor.errors import LeaseLost, NewsCame

# Raised and caught inside the executor: no route can meet it.
NEVER_SHOWN: set[type[Exception]] = {LeaseLost, NewsCame}


def leaves(error: type[Exception]) -> Iterator[type[Exception]]:
    below = error.__subclasses__()
    if not below:
        yield error
    for child in below:
        yield from leaves(child)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_error_that_a_route_can_meet_has_a_rule(family: type[Exception]) -> None:
    assert set(leaves(family)) - NEVER_SHOWN == {error for error in RULES if issubclass(error, family)}


def test_every_rule_belongs_to_a_family_and_has_a_code_of_its_own() -> None:
    assert all(issubclass(error, FAMILIES) for error in RULES)
    codes = [rule.code for rule in RULES.values()]
    assert len(set(codes)) == len(codes)
