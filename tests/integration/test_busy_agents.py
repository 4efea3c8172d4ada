"""Agents that say for how long they are busy: all steps leave them in peace, and go elsewhere where they
can."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.raw_agent import RESULT
from tests.support.raw_agent import task as remote_task
from tests.support.task_api import begin, ended, run, step
from tests.support.waiting import eventually_now
from tests.support.wire_agent import Answer, Call, Refusal, Result, WireAgent

DONE: Answer = Result({"task": remote_task("COMPLETED", **RESULT)})


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


def test_other_steps_leave_a_busy_agent_in_peace_too(coordinator: Coordinator) -> None:
    calls: list[Call] = []

    def busy_once(call: Call) -> Answer:
        calls.append(call)
        return Refusal(503, {"Retry-After": "1"}) if len(calls) == 1 else DONE

    coordinator.add_app(lambda url: WireAgent(url, "busy.peace", busy_once).app())
    task = begin(coordinator, step(1, "busy.peace"))
    eventually_now(lambda: calls, within_s=10)
    other = begin(coordinator, step(1, "busy.peace"))
    for made in (task, other):
        assert ended(coordinator, made["id"])["status"] == "completed"
    assert calls[1].at - calls[0].at >= 1


def test_a_step_does_not_wait_for_a_busy_agent_where_another_is_free(coordinator: Coordinator) -> None:
    asked: list[str] = []

    def by(name: str) -> Callable[[Call], Answer]:
        def answer(_call: Call) -> Answer:
            asked.append(name)
            return Refusal(503, {"Retry-After": "60"}) if name == asked[0] else DONE

        return answer

    coordinator.add_app(lambda url: WireAgent(url, "busy.free", by("Left"), name="Left").app())
    coordinator.add_app(lambda url: WireAgent(url, "busy.free", by("Right"), name="Right").app())
    task = run(coordinator, step(1, "busy.free"), deadline_s=5)
    assert task["status"] == "completed", task["error"]
    assert len(set(asked)) == 2
