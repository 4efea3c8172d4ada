"""Agents that fetch their requests: what they are given, when, and what becomes of their answers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.inbox_visitor import Visitor, card, failure, result, said, task
from tests.support.task_api import act, answer, begin, becomes, ended, step, why
from tests.support.waiting import eventually_now

Json = dict[str, Any]


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


@pytest.fixture
def visitor(coordinator: Coordinator) -> Iterator[Visitor]:
    """The only agent with the skill "dream"."""
    made = Visitor(coordinator.http)
    yield made
    coordinator.http.delete(f"/api/agents/{made.id}")


def dream(coordinator: Coordinator, **more: Any) -> str:
    return str(begin(coordinator, step(1, "dream", **more))["id"])


def test_a_step_is_fetched_and_answered_by_a_message(coordinator: Coordinator, visitor: Visitor) -> None:
    task_id = dream(coordinator)

    request = visitor.work("a dream")

    assert request["request"]["method"] == "SendMessage"
    assert request["headers"]["traceparent"].startswith("00-")
    done = ended(coordinator, task_id)
    assert done["status"] == "completed"
    assert done["result"]["text"] == "a dream"
    assert done["steps"][0]["may_have_run_twice"] is False
