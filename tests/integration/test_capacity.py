"""How much an agent, and all of them together, are asked to do at once."""

import time
from collections.abc import Iterator

import pytest

from coordinator.settings import Settings, StepSettings
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.raw_agent import RESULT
from tests.support.raw_agent import task as remote_task
from tests.support.task_api import Json, act, begin, ended, events, run, statuses, step, why
from tests.support.waiting import eventually_now
from tests.support.wire_agent import Answer, Call, Refusal, Result, WireAgent
from tests.support.workshop import Workshop

DONE: Answer = Result({"task": remote_task("COMPLETED", **RESULT)})
BUSY = "Workshop is busy: it takes 2 steps at once."


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


@pytest.fixture(scope="module")
def narrow(shared_database_url: str) -> Iterator[Coordinator]:
    """Two steps at once, whosever they are."""
    steps = StepSettings(backoff_s=0.05, max_running=2)
    settings: Settings = settings_for(shared_database_url).model_copy(update={"steps": steps})
    with running_coordinator(settings) as running:
        yield running


def declare(coordinator: Coordinator, agent_id: str, capacity: int) -> None:
    response = coordinator.http.post(f"/api/agents/{agent_id}/heartbeat", json={"capacity": capacity})
    assert response.json()["known"] is True


def workshop_for(coordinator: Coordinator, capacity: int, suffix: str, name: str = "Workshop") -> Workshop:
    """Its skills are those of this test alone."""
    made = Workshop(name, suffix=suffix)
    declare(coordinator, coordinator.add_agent(made.agent), capacity)
    return made


def steps_of(skill_id: str, count: int, **more: object) -> list[Json]:
    return [step(number, skill_id, **more) for number in range(1, count + 1)]


def waits_for(coordinator: Coordinator, task: Json, number: int = 1) -> str:
    """What the step waits for, once it does."""

    def reason() -> str:
        return coordinator.task(task["id"])["steps"][number - 1]["waiting_for"] or ""

    eventually_now(reason, within_s=10)
    return reason()


def test_an_agent_gets_no_more_steps_at_once_than_it_declares(coordinator: Coordinator) -> None:
    workshop = workshop_for(coordinator, 2, ".declared")
    task = begin(coordinator, *steps_of("hold.declared", 5))
    workshop.holds(task, 2)
    other = begin(coordinator, *steps_of("hold.declared", 2))
    assert waits_for(coordinator, other, 2) == BUSY
    shown = coordinator.task(task["id"])
    assert statuses(shown) == ["running"] * 2 + ["pending"] * 3
    assert [found["waiting_for"] for found in shown["steps"]] == [None, None, BUSY, BUSY, BUSY]
    assert why(coordinator, other["id"]).startswith(f"Step 1 waits. {BUSY}")
    workshop.release(task)
    workshop.release(other)
    assert [ended(coordinator, made["id"])["status"] for made in (task, other)] == ["completed"] * 2
    assert workshop.busiest == 2


def test_a_place_that_becomes_free_goes_to_the_most_urgent_task(coordinator: Coordinator) -> None:
    workshop = workshop_for(coordinator, 1, ".urgent")
    first = begin(coordinator, step(1, "hold.urgent"))
    workshop.holds(first, 1)
    later = []
    for priority in (-1, 0, 1):
        later.append(begin(coordinator, step(1, "say.urgent", instruction=f"{priority}"), priority=priority))
        waits_for(coordinator, later[-1])
    workshop.release(first)
    for task in later:
        ended(coordinator, task["id"])
    assert [request.text for request in workshop.requests] == ["do it", "1", "0", "-1"]


def test_a_step_goes_to_the_agent_that_has_a_place(coordinator: Coordinator) -> None:
    workshops = [workshop_for(coordinator, 1, ".two", name) for name in ("Left", "Right")]
    task = begin(coordinator, *steps_of("hold.two", 2))
    for workshop in workshops:
        workshop.holds(task, 1)
        workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_a_waiting_step_starts_once_the_agent_declares_more(coordinator: Coordinator) -> None:
    workshop = Workshop(suffix=".growing")
    agent_id = coordinator.add_agent(workshop.agent)
    declare(coordinator, agent_id, 1)
    task = begin(coordinator, *steps_of("hold.growing", 2))
    workshop.holds(task, 1)
    declare(coordinator, agent_id, 2)
    workshop.holds(task, 2)
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_a_canceled_step_gives_its_place_to_the_next(coordinator: Coordinator) -> None:
    workshop = workshop_for(coordinator, 1, ".next")
    first = begin(coordinator, step(1, "hold.next"))
    workshop.holds(first, 1)
    second = begin(coordinator, step(1, "hold.next"))
    waits_for(coordinator, second)
    act(coordinator, first["id"], "cancel")
    workshop.holds(second, 1)
    workshop.release(second)
    assert ended(coordinator, second["id"])["status"] == "completed"


def test_a_waiting_step_that_is_canceled_leaves_the_queue(coordinator: Coordinator) -> None:
    workshop = workshop_for(coordinator, 1, ".queue")
    first = begin(coordinator, step(1, "hold.queue"))
    workshop.holds(first, 1)
    second, third = (begin(coordinator, step(1, "hold.queue")) for _ in range(2))
    waits_for(coordinator, third)
    act(coordinator, second["id"], "cancel")
    assert ended(coordinator, second["id"])["steps"][0]["remote_cancel"] is None
    workshop.release(first)
    workshop.holds(third, 1)
    workshop.release(third)
    assert ended(coordinator, third["id"])["status"] == "completed"
    assert workshop.heard(second) == []


def test_all_steps_together_are_bounded(narrow: Coordinator) -> None:
    workshop = workshop_for(narrow, 9, ".all")
    declare(narrow, narrow.add_agent(workshop.agent), 9)
    tasks = [begin(narrow, *steps_of("hold.all", 2)) for _ in range(3)]
    assert waits_for(narrow, tasks[2], 2) == "The coordinator is busy: it runs 2 steps at once."
    assert sum(statuses(narrow.task(task["id"])).count("running") for task in tasks) == 2
    for task in tasks:
        workshop.release(task)
    assert [ended(narrow, task["id"])["status"] for task in tasks] == ["completed"] * 3
    assert workshop.busiest == 2


def test_waiting_for_a_place_on_one_of_two_agents_costs_no_time(narrow: Coordinator) -> None:
    workshop = workshop_for(narrow, 9, ".either", "Left")
    declare(narrow, narrow.add_agent(workshop.agent), 9)
    tasks = [begin(narrow, *steps_of("hold.either", 2)) for _ in range(6)]
    waits_for(narrow, tasks[-1], 2)
    used_s = time.process_time()
    for task in tasks:
        workshop.release(task)
    assert [ended(narrow, task["id"])["status"] for task in tasks] == ["completed"] * 6
    assert time.process_time() - used_s < 1, "a step that is given a place takes it, rather than another"


def test_a_place_of_all_does_not_go_to_an_agent_that_has_none(narrow: Coordinator) -> None:
    small, large = workshop_for(narrow, 1, ".small"), workshop_for(narrow, 9, ".large")
    running = [begin(narrow, step(1, "hold.small")), begin(narrow, step(1, "hold.large"))]
    small.holds(running[0], 1)
    large.holds(running[1], 1)
    waiting = [begin(narrow, step(1, "hold.small"), priority=5), begin(narrow, step(1, "hold.large"))]
    for task in waiting:
        waits_for(narrow, task)
    large.release(running[1])
    large.holds(waiting[1], 1)
    for task in (*running, *waiting):
        small.release(task)
        large.release(task)
    assert [ended(narrow, task["id"])["status"] for task in waiting] == ["completed"] * 2
    assert small.busiest == 1


class Busy:
    """Refuses the first call, as one that is busy does."""

    def __init__(self, status: int, after_s: int) -> None:
        self._refusal = Refusal(status, {"Retry-After": str(after_s)})
        self._has_refused = False

    def __call__(self, call: Call) -> Answer:
        is_first, self._has_refused = not self._has_refused, True
        return self._refusal if is_first else DONE


def test_a_busy_agent_is_not_asked_again_before_it_said(coordinator: Coordinator) -> None:
    agents: list[WireAgent] = []

    def make(url: str) -> WireAgent:
        status = (429, 503)[len(agents)]
        agents.append(WireAgent(url, f"busy.{status}", Busy(status, after_s=1)))
        return agents[-1]

    ids = [coordinator.add_app(lambda url: make(url).app()) for _ in range(2)]
    task = run(coordinator, step(1, "busy.429"), step(2, "busy.503"))
    assert task["status"] == "completed"
    for agent in agents:
        first, second = agent.calls
        assert second.at - first.at >= 1
    told = events(coordinator, task["id"], "step.retrying")
    assert {(event["code"], event["message"]) for event in told} == {("AGENT_BUSY", "The agent is busy.")}
    for agent_id in ids:
        health = coordinator.http.get(f"/api/agents/{agent_id}").json()["health"]
        assert health["state"] == "up", "to be busy is not to be ill"
