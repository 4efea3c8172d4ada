"""Promise 4: an agent that dies or freezes at work loses the step to another, unless nobody else may do it.
Promise 3 for agents: who comes back late changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.network import SLOW_AGENT, Network, step, until


@pytest.fixture
def network(bare_network: Network) -> Network:
    bare_network.start_coordinator()
    return bare_network


def begun_by_first(network: Network, *, seconds: float, **planned: Any) -> str:
    """A task whose step the agent First is at; Second could do it as well, and in no time."""
    network.start_agent("first", SLOW_AGENT, SLOW_AGENT_NAME="First", SLOW_AGENT_SECONDS=str(seconds))
    task_id = network.create(description="work", plan={"steps": [step(1, **planned)]})
    until(network.executions, within_s=10, what="the first agent began")
    network.start_agent("second", SLOW_AGENT, SLOW_AGENT_NAME="Second", SLOW_AGENT_SECONDS="0")
    return task_id


def test_a_step_whose_agent_is_killed_goes_to_another_and_says_that_it_may_have_run(network: Network) -> None:
    task_id = begun_by_first(network, seconds=60, skill_id="ponder")

    network.kill("first")
    task = network.ended(task_id, within_s=60)

    assert task["status"] == "completed"
    [done] = task["steps"]
    assert (done["agent"]["name"], done["attempt"]) == ("Second", 2)
    assert done["may_have_run_twice"] is True


def test_a_step_with_a_no_failover_skill_stays_with_the_agent_that_began_it(network: Network) -> None:
    task_id = begun_by_first(network, seconds=60, skill_id="sow")

    network.kill("first")
    network.start_agent("first", SLOW_AGENT, SLOW_AGENT_NAME="First", SLOW_AGENT_SECONDS="0")
    task = network.ended(task_id)

    assert (task["status"], task["error"]["code"]) == ("failed", "MAY_HAVE_RUN")
    assert [execution.agent for execution in network.executions()] == ["First"], "once, and nowhere else"


def test_a_frozen_agent_loses_its_step_and_its_late_result_changes_nothing(network: Network) -> None:
    task_id = begun_by_first(network, seconds=3, skill_id="ponder", timeout_s=1.5)

    network.server("first").stop()
    task = network.ended(task_id)
    network.server("first").go_on()
    until(
        lambda: len(network.executions("done")) == 2 or network.executions("canceled"),
        within_s=20,
        what="it woke",
    )

    assert task["status"] == "completed"
    [done] = task["steps"]
    assert done["agent"]["name"] == "Second"
    assert done["may_have_run_twice"] is True
    assert network.task(task_id) == task
    assert network.events(task_id)[-1] == "task.completed"


def test_a_no_failover_step_is_not_done_twice_by_an_agent_with_a_store_either(
    network: Network, tmp_path: Path
) -> None:
    store = {"TASK_STORE_URL": f"sqlite:///{tmp_path}/agent.db"}
    network.start_agent("first", SLOW_AGENT, SLOW_AGENT_SECONDS="60", **store)
    task_id = network.create(description="sow", plan={"steps": [step(1, "sow")]})
    until(network.executions, within_s=10, what="it began")

    network.kill("first")
    network.start_agent("first", SLOW_AGENT, SLOW_AGENT_SECONDS="0", **store)
    task = network.ended(task_id)

    assert len(network.executions()) == 1
    assert (task["status"], task["error"]["code"]) == ("failed", "MAY_HAVE_RUN")
