"""Promise 2 on a bad network: connections to an agent are cut, slow or refused, and each step runs once."""

from collections.abc import Iterator

import pytest

from tests.support.network import SLOW_AGENT, Network, step, twice, until
from tests.support.tcp_proxy import TcpProxy, proxied

NOTES = [step(1, "note"), step(2, "note", 1), step(3, "note", 2), step(4, "note", 3)]


@pytest.fixture
def proxy(bare_network: Network) -> Iterator[TcpProxy]:
    """In front of the only agent."""
    network = bare_network
    network.start_coordinator()
    with proxied(network.port_of("slow")) as proxy:
        network.start_agent("slow", SLOW_AGENT, AGENT_URL=proxy.url, SLOW_AGENT_SECONDS="0.6")
        yield proxy


def assert_done_once(network: Network, task_id: str) -> None:
    task = network.ended(task_id)
    assert (task["status"], task["error"]) == ("completed", None)
    assert not twice(network.executions())
    assert len(network.executions()) == len(task["steps"])
    assert not any(done["may_have_run_twice"] for done in task["steps"])


@pytest.mark.parametrize("after", [0, 1, 120, 300, 700, 1_000], ids=lambda after: f"{after} bytes")
def test_a_stream_that_is_cut_is_taken_up_again(bare_network: Network, proxy: TcpProxy, after: int) -> None:
    proxy.cut(on=b"SendStreamingMessage", after=after)
    task_id = bare_network.create(description="ponder", plan={"steps": [step(1, "ponder")]})
    assert_done_once(bare_network, task_id)
    assert proxy.cuts == 1


def test_a_stream_that_is_cut_each_time_is_taken_up_each_time(bare_network: Network, proxy: TcpProxy) -> None:
    proxy.cut(on=b"", after=700, times=6)
    task_id = bare_network.create(description="ponder", plan={"steps": [step(1, "ponder")]})
    assert_done_once(bare_network, task_id)
    assert proxy.cuts >= 2


@pytest.mark.parametrize("after", [0, 1, 120, 400], ids=lambda after: f"{after} bytes")
def test_an_answer_that_is_cut_is_found_again(bare_network: Network, proxy: TcpProxy, after: int) -> None:
    proxy.cut(on=b'"SendMessage"', after=after)
    task_id = bare_network.create(description="notes", plan={"steps": NOTES})
    assert_done_once(bare_network, task_id)
    assert proxy.cuts == 1, "the last of them was sent for its answer"


def test_a_slow_network_is_no_failure(bare_network: Network, proxy: TcpProxy) -> None:
    proxy.delay_s = 0.1
    task_id = bare_network.create(description="notes", plan={"steps": NOTES})
    assert_done_once(bare_network, task_id)
    assert "step.retrying" not in bare_network.events(task_id)


def test_a_network_that_is_away_for_a_moment_costs_attempts_and_nothing_else(
    bare_network: Network, proxy: TcpProxy
) -> None:
    network = bare_network
    proxy.refuse()
    patient = step(1, "note", retry={"max_attempts": 20, "backoff_s": 0.2})
    task_id = network.create(description="note", plan={"steps": [patient]})
    until(lambda: network.task(task_id)["steps"][0]["attempt"] >= 2, within_s=10, what="a second attempt")
    proxy.accept()
    assert_done_once(network, task_id)


def test_a_network_that_goes_away_while_a_step_runs_finds_its_result_when_it_is_back(
    bare_network: Network, proxy: TcpProxy
) -> None:
    network = bare_network
    task_id = network.create(description="ponder", plan={"steps": [step(1, "ponder")]})
    until(network.executions, within_s=10, what="it began")
    proxy.refuse()
    until(lambda: network.executions("done"), within_s=10, what="it ended meanwhile")
    proxy.accept()
    assert_done_once(network, task_id)


def test_a_network_that_is_away_for_longer_than_an_attempt_is_patient_does_not_make_a_second_task(
    bare_network: Network, proxy: TcpProxy
) -> None:
    network = bare_network
    patient = step(1, "ponder", retry={"max_attempts": 20, "backoff_s": 0.2})
    task_id = network.create(description="ponder", plan={"steps": [patient]})
    until(network.executions, within_s=10, what="it began")
    proxy.refuse()
    until(lambda: network.task(task_id)["steps"][0]["status"] == "pending", within_s=40, what="it gave up")
    proxy.accept()
    assert_done_once(network, task_id)
