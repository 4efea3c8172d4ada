"""How the steps of a plan hang together: requirements, order, attempts, other agents, other skills."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from a2a import Agent, Request, SkillFailed
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.task_api import (
    Json,
    act,
    begin,
    codes,
    ended,
    events,
    run,
    statuses,
    step,
)
from tests.support.workshop import Workshop


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url)) as running:
        yield running


@pytest.fixture(scope="module")
def workshop(coordinator: Coordinator) -> Workshop:
    made = Workshop()
    coordinator.add_agent(made.agent)
    return made


def fallback(number: int, skill_id: str, for_step: int, **more: Any) -> Json:
    return step(number, skill_id, requirement="fallback", fallback_for=for_step, **more)


def gaps(task: Json) -> list[int]:
    return [gap["step_number"] for gap in task["gaps"]]


def test_a_failed_required_step_fails_the_task_and_skips_what_needs_it(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "fail"), step(2, "say", 1), step(3, "say", 2), step(4, "read"))
    assert task["status"] == "failed"
    assert task["error"]["message"] == "Step 1 failed: No luck today."
    assert statuses(task) == ["failed", "skipped", "skipped", "completed"]
    assert codes(task) == ["AGENT_FAILED", "DEPENDENCY_FAILED", "DEPENDENCY_FAILED", None]
    assert gaps(task) == [1, 2, 3]
    assert task["result"]["text"] == "heard: do it", "what was done is shown"
    assert workshop.heard(task, "say") == []


def test_a_failed_optional_step_is_a_gap_and_what_needs_it_goes_on(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "fail", requirement="optional"), step(2, "say", 1))
    assert (task["status"], statuses(task)) == ("completed", ["failed", "completed"])
    assert task["gaps"] == [{"step_number": 1, "reason": "The optional step is missing. No luck today."}]
    [request] = workshop.heard(task, "say")
    assert [part.text for part in request.message.parts] == ["do it"]


def test_a_reference_to_a_failed_optional_step_leads_to_nothing(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    last = step(2, "say", 1, instruction="{{steps.1.text}}")
    task = run(coordinator, step(1, "fail", requirement="optional"), last)
    assert codes(task) == ["AGENT_FAILED", "REFERENCE_MISSING"]
    assert workshop.heard(task, "say") == []


def test_a_fallback_stands_in_for_the_failed_step(coordinator: Coordinator, workshop: Workshop) -> None:
    last = step(3, "read", 1, instruction="{{steps.1.text}}")
    task = run(coordinator, step(1, "fail"), fallback(2, "say", 1, instruction="instead"), last)
    assert (task["status"], statuses(task)) == ("completed", ["failed", "completed", "completed"])
    assert workshop.texts(task, "read") == ["heard: instead"]
    assert task["gaps"] == []
    assert [shown["fallback_for"] for shown in task["steps"]] == [None, 1, None]


def test_a_fallback_that_is_not_needed_is_skipped_and_no_gap(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "say"), fallback(2, "fail", 1))
    assert (task["status"], statuses(task)) == ("completed", ["completed", "skipped"])
    assert (codes(task)[1], task["gaps"]) == ("NOT_NEEDED", [])
    assert workshop.heard(task, "fail") == []


def test_a_fallback_can_have_a_fallback(coordinator: Coordinator, workshop: Workshop) -> None:
    chain = (step(1, "fail"), fallback(2, "fail", 1), fallback(3, "say", 2, instruction="third"))
    task = run(coordinator, *chain, step(4, "read", 1, instruction="{{steps.1.text}}"))
    assert (task["status"], task["gaps"]) == ("completed", [])
    assert workshop.texts(task, "read") == ["heard: third"]


def test_where_the_fallback_fails_too_the_first_failure_counts(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "fail"), fallback(2, "fail", 1), step(3, "say", 1))
    assert (task["status"], statuses(task)) == ("failed", ["failed", "failed", "skipped"])
    assert task["error"]["message"].startswith("Step 1 failed")
    assert gaps(task) == [1, 3]


def test_sequential_steps_run_one_at_a_time_in_their_order(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    steps = [step(number, "hold", instruction=f"hold {number}") for number in (1, 2, 3)]
    task = begin(coordinator, *steps, strategy="sequential")
    workshop.holds(task, 1)
    assert statuses(coordinator.task(task["id"])) == ["running", "pending", "pending"]
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"
    assert workshop.peak(task) == 1
    assert workshop.texts(task) == ["hold 1", "hold 2", "hold 3"]


def test_a_sequential_list_is_done_item_by_item_before_what_follows(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    each = step(2, "hold", 1, for_each="steps.1.data", instruction="{{item}}")
    first = step(1, "give", data=["a", "b", "c"])
    task = begin(coordinator, first, each, step(3, "hold", instruction="d"), strategy="sequential")
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"
    assert workshop.peak(task) == 1
    assert workshop.texts(task, "hold") == ["a", "b", "c", "d"]


def test_a_sequential_step_waits_for_the_next_attempt_of_the_one_before(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    first = step(1, "stumble", data=1, instruction="stumble over order")
    task = run(coordinator, first, step(2, "say"), strategy="sequential")
    assert [request.skill_id for request in workshop.heard(task)] == ["stumble", "stumble", "say"]


def test_parallel_steps_run_at_once(coordinator: Coordinator, workshop: Workshop) -> None:
    task = begin(coordinator, step(1, "hold"), step(2, "hold"), step(3, "hold"), strategy="parallel")
    workshop.holds(task, 3)
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_a_parallel_step_still_waits_for_what_it_needs(coordinator: Coordinator, workshop: Workshop) -> None:
    task = begin(coordinator, step(1, "hold"), step(2, "hold", 1), strategy="parallel")
    workshop.holds(task, 1)
    assert statuses(coordinator.task(task["id"])) == ["running", "pending"]
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"
    assert workshop.peak(task) == 1


@pytest.mark.parametrize(
    ("max_attempts", "failures", "status", "attempts"),
    [(1, 1, "failed", 1), (2, 1, "completed", 2), (5, 4, "completed", 5), (None, 3, "failed", 3)],
)
def test_a_step_is_tried_as_often_as_it_says(
    coordinator: Coordinator,
    workshop: Workshop,
    max_attempts: int | None,
    failures: int,
    status: str,
    attempts: int,
) -> None:
    retry = {"max_attempts": max_attempts, "backoff_s": 0}
    task = run(
        coordinator, step(1, "stumble", data=failures, retry=retry, instruction=f"up to {max_attempts}")
    )
    assert (task["status"], task["steps"][0]["attempt"]) == (status, attempts)
    assert len(workshop.heard(task)) == attempts


def test_a_step_waits_between_attempts_as_long_as_it_says(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    first = step(1, "stumble", data=1, instruction="stumble once", retry={"backoff_s": 600})
    task = begin(coordinator, first)
    stream = coordinator.http.stream("GET", f"/api/tasks/{task['id']}/events")
    with stream as response:
        next(line for line in response.iter_lines() if line == "event: step.retrying")
    shown = coordinator.task(task["id"])["steps"][0]
    assert (shown["status"], shown["waiting_for"]) == ("pending", "It stumbled.")
    # At most a minute, at random between half of it and all.
    pause = datetime.fromisoformat(shown["retry_at"]) - datetime.fromisoformat(shown["started_at"])
    assert 25 < pause.total_seconds() < 65
    act(coordinator, task["id"], "cancel")


def apart(coordinator: Coordinator, suffix: str) -> Workshop:
    """Whose timeouts are held against no agent of another test."""
    made = Workshop(suffix=suffix)
    coordinator.add_agent(made.agent)
    return made


def test_a_step_that_takes_too_long_fails_and_its_remote_task_is_canceled(coordinator: Coordinator) -> None:
    workshop = apart(coordinator, ".late")
    task = run(coordinator, step(1, "hold.late", timeout_s=0.5, retry={"max_attempts": 1}))
    assert codes(task) == ["STEP_TIMEOUT"]
    workshop.holds(task, 0)
    assert workshop.peak(task) == 1


def test_a_timeout_is_of_one_attempt(coordinator: Coordinator) -> None:
    workshop = apart(coordinator, ".twice")
    task = run(coordinator, step(1, "hold.twice", timeout_s=0.5, retry={"max_attempts": 2}))
    assert (codes(task), task["steps"][0]["attempt"]) == (["STEP_TIMEOUT"], 2)
    assert len(workshop.heard(task)) == 2
    assert task["steps"][0]["may_have_run_twice"] is True


class Twins:
    """Two agents with one skill, which fails the first time, on whichever it is asked."""

    def __init__(self, coordinator: Coordinator, skill_id: str, *tags: str) -> None:
        self.calls: list[str] = []
        self._skill_id = skill_id
        self._tags = ["twins", *tags]
        self.ids = [coordinator.add_agent(self._named(name)) for name in ("Castor", "Pollux")]

    def _named(self, name: str) -> Callable[[str], Agent]:
        def make(url: str) -> Agent:
            agent = Agent(name=name, description="A twin.", version="1.0.0", url=url)

            @agent.skill(id=self._skill_id, description="Done by twins", tags=self._tags)
            async def work(request: Request) -> str:
                self.calls.append(name)
                if len(self.calls) == 1:
                    raise SkillFailed("Ask my twin.", retryable=True)
                return f"done by {name}"

            return agent

        return make


def test_a_step_that_failed_goes_to_the_other_agent_with_the_skill(coordinator: Coordinator) -> None:
    twins = Twins(coordinator, "failover")
    task = run(coordinator, step(1, "failover"))
    assert sorted(twins.calls) == ["Castor", "Pollux"]
    assert task["result"]["text"] == f"done by {twins.calls[1]}"
    started = events(coordinator, task["id"], "step.started")
    assert [event["agent_name"] for event in started] == twins.calls


def test_a_step_marked_so_is_tried_again_where_it_was(coordinator: Coordinator) -> None:
    twins = Twins(coordinator, "marked")
    task = run(coordinator, step(1, "marked", no_failover=True))
    assert (task["status"], len(twins.calls), len(set(twins.calls))) == ("completed", 2, 1)


def test_a_skill_tagged_so_is_tried_again_where_it_was(coordinator: Coordinator) -> None:
    twins = Twins(coordinator, "tagged", "no-failover")
    task = run(coordinator, step(1, "tagged"))
    assert (task["status"], len(twins.calls), len(set(twins.calls))) == ("completed", 2, 1)


def test_a_step_for_one_agent_goes_to_no_other(coordinator: Coordinator) -> None:
    twins = Twins(coordinator, "pinned")
    task = run(coordinator, step(1, "pinned", agent_id=twins.ids[1]))
    assert (task["status"], twins.calls) == ("completed", ["Pollux", "Pollux"])


def test_what_may_have_run_is_not_done_again_where_that_is_not_wanted(coordinator: Coordinator) -> None:
    workshop = apart(coordinator, ".once")
    task = run(coordinator, step(1, "hold.once", timeout_s=0.5, no_failover=True))
    assert codes(task) == ["MAY_HAVE_RUN"]
    assert len(workshop.heard(task)) == 1


def painters(url: str) -> Agent:
    agent = Agent(name="Painters", description="Paint.", version="1.0.0", url=url)

    @agent.skill(id="varnish", description="Varnish a fence", tags=["varnish", "fence"])
    async def varnish(_request: Request) -> str:
        raise SkillFailed("Out of varnish.", retryable=False)

    @agent.skill(id="varnish_thinly", description="Varnish a fence thinly", tags=["varnish", "fence"])
    async def varnish_thinly(_request: Request) -> str:
        return "varnished thinly"

    return agent


@pytest.fixture(scope="module")
def _painters(coordinator: Coordinator) -> None:
    coordinator.add_agent(painters)


@pytest.mark.usefixtures("_painters")
def test_an_adaptive_task_goes_on_with_the_next_skill_and_says_so(coordinator: Coordinator) -> None:
    task = coordinator.run(description="varnish the fence", strategy="adaptive")
    assert (task["status"], task["gaps"]) == ("completed", []), task
    assert task["result"]["text"] == "varnished thinly"
    assert [shown["skill_id"] for shown in task["steps"]] == ["varnish", "varnish_thinly"]
    assert (task["plan"]["version"], len(task["plan"]["steps"])) == (2, 2)
    [revised] = events(coordinator, task["id"], "task.plan_revised")
    assert revised["version"] == 2
    assert revised["reason"].startswith("Step 1 failed: Out of varnish.")
    assert "goes on with the skill varnish_thinly instead of varnish" in revised["reason"]
    assert revised["plan"] == task["plan"]


@pytest.mark.usefixtures("_painters")
def test_a_task_that_is_not_adaptive_fails_with_its_step(coordinator: Coordinator) -> None:
    task = coordinator.run(description="varnish the fence")
    assert (task["status"], codes(task)) == ("failed", ["AGENT_FAILED"])
    assert task["plan"]["version"] == 1
