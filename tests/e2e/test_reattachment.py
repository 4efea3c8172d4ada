"""Promise 2: after a crash a remote task is found again, and a message is sent again only where that can do
nothing twice, or the step says that it may have run twice. With agents of all kinds.

The fault points say when the coordinator dies: before a message went out, or after its answer came and before
anything was written of it, so that only the agent knows the remote task.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.foreign_agent import ALL, ForeignAgent
from tests.support.network import SLOW_AGENT, Network, step, until

FAULTY = "tests.support.faulty_coordinator:app"
PUSH = "CreateTaskPushNotificationConfig"
LISTLESS = [method for method in ALL if method != "ListTasks"]

Serve = Callable[..., ForeignAgent]


def start_faulty(network: Network, faults: str, folder: Path) -> None:
    network.start_coordinator(app=FAULTY, FAULTS=faults, FAULTS_FILE=str(folder / "faults.log"))


def plan(*skills: str, **more: Any) -> dict[str, Any]:
    """One step after the other."""
    return {"steps": [step(n, skill, *range(1, n)[-1:], **more) for n, skill in enumerate(skills, 1)]}


def test_an_agent_that_can_tell_nothing_gets_the_message_again_and_the_step_says_so(
    bare_network: Network, serve_foreign: Serve, tmp_path: Path
) -> None:
    network = bare_network
    agent = serve_foreign(methods=LISTLESS)
    start_faulty(network, "after_send", tmp_path)
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil"))
    network.server("coordinator").wait()
    agent.is_quick = True

    network.start_coordinator()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert len(agent.executions) == 2
    assert len(set(agent.executions)) == 1, "under its own id: the agent could have told"
    assert task["steps"][0]["may_have_run_twice"] is True
    assert "step.resent" in network.events(task_id)


def test_a_step_that_must_not_run_twice_fails_where_the_agent_can_tell_nothing(
    bare_network: Network, serve_foreign: Serve, tmp_path: Path
) -> None:
    network = bare_network
    agent = serve_foreign(methods=LISTLESS)
    start_faulty(network, "after_send", tmp_path)
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil", no_failover=True))
    network.server("coordinator").wait()

    network.start_coordinator()
    task = network.ended(task_id)

    assert (task["status"], task["error"]["code"]) == ("failed", "MAY_HAVE_RUN")
    assert len(agent.executions) == 1


@pytest.mark.parametrize("streams", [False, True], ids=["polled", "streamed"])
def test_an_agent_that_lists_the_task_is_followed_and_not_sent_again(
    bare_network: Network, serve_foreign: Serve, tmp_path: Path, *, streams: bool
) -> None:
    network = bare_network
    agent = serve_foreign(streams=streams)
    start_faulty(network, "after_send", tmp_path)
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil"))
    network.server("coordinator").wait()

    network.start_coordinator()
    until(lambda: network.task(task_id)["steps"][0]["remote_task_id"], within_s=10, what="found again")
    agent.finish()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert len(agent.executions) == 1
    assert task["steps"][0]["may_have_run_twice"] is False
    assert "step.reattached" in network.events(task_id)


def test_an_agent_that_lists_what_is_older_and_not_the_message_has_never_got_it(
    bare_network: Network, serve_foreign: Serve, tmp_path: Path
) -> None:
    network = bare_network
    agent = serve_foreign()
    agent.is_quick = True
    start_faulty(network, "before_send#2", tmp_path)
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil", "toil"))
    network.server("coordinator").wait()

    network.start_coordinator()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert len(set(agent.executions)) == len(agent.executions) == 2
    assert [done["may_have_run_twice"] for done in task["steps"]] == [False, False]
    assert "step.resent" in network.events(task_id)


def test_an_agent_that_lists_nothing_may_have_forgotten(
    bare_network: Network, serve_foreign: Serve, tmp_path: Path
) -> None:
    network = bare_network
    agent = serve_foreign()
    start_faulty(network, "after_send", tmp_path)
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil"))
    network.server("coordinator").wait()
    agent.forget()
    agent.is_quick = True

    network.start_coordinator()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert len(agent.executions) == 2
    assert task["steps"][0]["may_have_run_twice"] is True


@pytest.mark.parametrize("streams", [False, True], ids=["polled", "streamed"])
def test_a_task_that_its_agent_has_forgotten_is_done_again_and_the_step_says_so(
    bare_network: Network, serve_foreign: Serve, *, streams: bool
) -> None:
    network = bare_network
    agent = serve_foreign(streams=streams)
    network.start_coordinator()
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil"))
    until(lambda: network.task(task_id)["steps"][0]["remote_task_id"], within_s=10, what="remote task seen")
    network.kill("coordinator")
    agent.forget()
    agent.is_quick = True

    network.start_coordinator()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert len(set(agent.executions)) == 2, "by a message of its own"
    assert task["steps"][0]["may_have_run_twice"] is True


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"streams": True},
        {"streams": True, "methods": [method for method in ALL if method != "SubscribeToTask"]},
        {"pushes": True},
    ],
    ids=["polled", "streamed", "streamed, cannot be joined", "pushed, cannot be asked to"],
)
def test_a_coordinator_killed_while_a_foreign_agent_works_takes_the_task_up_again(
    bare_network: Network, serve_foreign: Serve, how: dict[str, Any]
) -> None:
    network = bare_network
    agent = serve_foreign(**how)
    network.start_coordinator()
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil"))
    until(lambda: network.task(task_id)["steps"][0]["remote_task_id"], within_s=10, what="remote task seen")

    network.kill("coordinator")
    asked = len(agent.calls)
    network.start_coordinator()
    until(lambda: len(agent.calls) > asked, within_s=10, what="asked for it")
    agent.finish()
    task = network.ended(task_id)

    assert (task["status"], task["error"]) == ("completed", None)
    assert len(agent.executions) == 1
    assert task["steps"][0]["may_have_run_twice"] is False


def test_a_coordinator_killed_while_it_waits_for_a_notification_asks_to_be_told_again(
    bare_network: Network, serve_foreign: Serve
) -> None:
    network = bare_network
    agent = serve_foreign(pushes=True, methods=[*ALL, PUSH])
    network.start_coordinator()
    network.register(agent.url)
    task_id = network.create(description="toil", plan=plan("toil"))
    until(lambda: network.task(task_id)["steps"][0]["remote_task_id"], within_s=10, what="remote task seen")

    network.kill("coordinator")
    network.start_coordinator()
    until(lambda: PUSH in agent.calls, within_s=10, what="it wants to be told")
    # Its looks become rare: what ends the step soon is the notification.
    until(lambda: agent.calls.count("GetTask") >= 6, within_s=20, what="some looks")
    agent.finish()
    task = network.ended(task_id, within_s=3)

    assert task["status"] == "completed"
    assert agent.told == [404, 204], "the first coordinator's place is gone"
    assert len(agent.executions) == 1
    assert task["steps"][0]["may_have_run_twice"] is False


@pytest.mark.parametrize("remembers", [False, True], ids=["in memory", "with a store"])
def test_our_own_agent_killed_with_the_coordinator_tells_by_its_memory_whether_it_may_have_worked(
    bare_network: Network, tmp_path: Path, *, remembers: bool
) -> None:
    network = bare_network
    store = {"TASK_STORE_URL": f"sqlite:///{tmp_path}/agent.db"} if remembers else {}
    start_faulty(network, "before_send", tmp_path)
    network.register(network.start_stranger("slow", SLOW_AGENT, **store))
    task_id = network.create(description="note", plan=plan("note"))
    network.server("coordinator").wait()
    network.kill("slow")

    network.start_stranger("slow", SLOW_AGENT, **store)
    network.start_coordinator()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert len(network.executions()) == 1, "the message had never gone out"
    assert task["steps"][0]["may_have_run_twice"] is not remembers


def test_our_own_agent_killed_at_work_with_the_coordinator_does_it_again_and_the_step_says_so(
    bare_network: Network, tmp_path: Path
) -> None:
    network = bare_network
    task = both_killed_at_work(network, tmp_path)
    assert task["status"] == "completed"
    assert len(network.executions()) == 2
    assert task["steps"][0]["may_have_run_twice"] is True


def test_our_own_agent_with_a_store_killed_at_work_tells_so_and_the_step_says_that_it_may_have_run_twice(
    bare_network: Network, tmp_path: Path
) -> None:
    network = bare_network
    task = both_killed_at_work(network, tmp_path, TASK_STORE_URL=f"sqlite:///{tmp_path}/agent.db")
    assert task["status"] == "completed"
    assert len({execution.message_id for execution in network.executions()}) == 2
    assert task["steps"][0]["may_have_run_twice"] is True
    kinds = network.events(task["id"])
    assert "step.reattached" in kinds
    assert "step.retrying" in kinds
    assert "step.resent" not in kinds


def both_killed_at_work(network: Network, folder: Path, **store: str) -> dict[str, Any]:
    """The task of a step whose message had arrived; the coordinator did not know its remote task yet."""
    start_faulty(network, "after_send", folder)
    network.register(network.start_stranger("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="60", **store))
    task_id = network.create(description="ponder", plan=plan("ponder"))
    network.server("coordinator").wait()
    until(network.executions, within_s=10, what="it began")
    network.kill("slow")
    network.start_stranger("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="0.1", **store)
    network.start_coordinator()
    return network.ended(task_id)
