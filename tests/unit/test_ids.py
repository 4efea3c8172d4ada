"""Identifiers of our own rows."""

import time
from uuid import UUID

from models.ids import new_id


def test_an_id_is_a_prefix_and_a_version_7_uuid() -> None:
    prefix, _, rest = new_id("task").partition("_")
    value = UUID(hex=rest)

    assert prefix == "task"
    assert (value.version, value.variant) == (7, "specified in RFC 4122")


def test_an_id_carries_the_millisecond_it_was_made_in() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = UUID(hex=new_id("step").removeprefix("step_")).int >> 80
    after = time.time_ns() // 1_000_000

    assert before <= milliseconds <= after


def test_ten_thousand_ids_are_all_different_and_sort_in_the_order_they_were_made() -> None:
    made = [new_id("task") for _ in range(10_000)]

    assert len(set(made)) == len(made)
    assert sorted(made) == made
