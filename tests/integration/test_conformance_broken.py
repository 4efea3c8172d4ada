"""Agents whose cards are fine and that are broken, each in one way, as processes of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from coordinator.cli.push_receiver import push_receiver
from coordinator.conformance.report import Check, Outcome, Verdict, best_interface
from tests.support.conformance import checked, facts, outcomes, the
from tests.support.network import free_port, until
from tests.support.nursery import Nursery

APP = "tests.support.broken_agent:app"
START_S = 30.0
# For agents that hang: their time is what the test waits for.
SHORT_S = 3.0


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def broken(nursery: Nursery, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """`broken(way)` starts the agent that is broken so; its URL."""
    servers = []

    def start(way: str) -> str:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {"AGENT_URL": url, "BROKEN_WAY": way}
        servers.append(nursery.start(APP, port=port, environment=environment, log=tmp_path / "agent.log"))
        until(lambda: _answers(url), within_s=START_S, what=f"the agent {way} answers")
        return url

    yield start
    for server in servers:
        server.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False, verify=False).status_code == 200  # noqa: S501
    except httpx.TransportError:
        return False


Broken = Callable[[str], str]


async def test_an_agent_that_is_not_broken_is_proven(broken: Broken) -> None:
    report = await checked(broken("not_at_all"))
    assert report.verdict is Verdict.PROVEN
    assert outcomes(report) == {
        Check.ADVERTISED_URL: Outcome.PASSED,
        Check.SEND: Outcome.PASSED,
        Check.GET: Outcome.PASSED,
        Check.UNKNOWN_TASK: Outcome.PASSED,
        Check.LIST: Outcome.PASSED,
        Check.STREAM: Outcome.SKIPPED,
        Check.CANCEL: Outcome.PASSED,
        Check.PUSH: Outcome.SKIPPED,
        Check.INVALID_REQUEST: Outcome.PASSED,
    }
    best = best_interface(report)
    assert best is not None
    assert (best.gets, best.lists, best.cancels, best.streams, best.pushes) == (
        True,
        True,
        True,
        False,
        False,
    )
    assert best.latency_ms is not None


async def test_an_agent_whose_sends_are_http_500_has_failed(broken: Broken) -> None:
    report = await checked(broken("send_is_500"))
    assert report.verdict is Verdict.FAILED
    assert the(report, Check.SEND).outcome is Outcome.FAILED
    assert "HTTP 500" in report.reason
    assert best_interface(report) is None


async def test_an_agent_whose_sends_hang_has_failed_within_the_time(broken: Broken) -> None:
    report = await checked(broken("send_hangs"), time_box_s=SHORT_S)
    assert report.verdict is Verdict.FAILED
    assert "No answer within" in the(report, Check.SEND).detail
    assert the(report, Check.UNKNOWN_TASK).outcome is Outcome.PASSED, "what hangs eats no other's time"
    assert report.took_s <= SHORT_S + 1.0


async def test_an_agent_that_only_answers_who_does_not_wait_is_proven_and_slow(broken: Broken) -> None:
    report = await checked(broken("hangs_where_it_is_waited_for"), time_box_s=SHORT_S)
    assert report.verdict is Verdict.PROVEN
    assert "GetTask knows its task" in the(report, Check.SEND).detail


async def test_a_task_that_failed_does_not_stand_for_a_send_that_hangs(broken: Broken) -> None:
    report = await checked(broken("hangs_where_it_is_waited_for_and_fails"), time_box_s=SHORT_S)
    assert report.verdict is Verdict.FAILED


async def test_a_send_that_only_works_streamed_is_proof(broken: Broken) -> None:
    report = await checked(broken("only_its_stream_works"), time_box_s=SHORT_S)
    assert report.verdict is Verdict.PROVEN
    assert "streamed, came to its end" in the(report, Check.SEND).detail
    assert facts(report).streams


async def test_a_skill_whose_call_crashes_leaves_the_next_its_turn(broken: Broken) -> None:
    report = await checked(broken("first_skill_is_500"))
    assert report.verdict is Verdict.PROVEN
    assert 'The skill "redo"' in the(report, Check.SEND).detail


async def test_a_crash_is_no_proper_refusal_where_nothing_else_could_be_tried(broken: Broken) -> None:
    report = await checked(broken("writes_and_crashes"))
    assert report.verdict is Verdict.FAILED
    assert "InternalError" in report.reason


async def test_an_agent_that_loses_its_tasks_has_failed(broken: Broken) -> None:
    report = await checked(broken("task_is_lost"))
    assert report.verdict is Verdict.FAILED
    assert "TaskNotFound" in the(report, Check.SEND).detail
    assert the(report, Check.GET).outcome is Outcome.FAILED
    assert not facts(report).is_usable


async def test_a_web_page_is_no_agent(broken: Broken) -> None:
    report = await checked(broken("answers_html"))
    assert report.verdict is Verdict.FAILED
    assert "not JSON" in the(report, Check.SEND).detail


async def test_an_agent_whose_tasks_all_fail_has_failed_and_says_why(broken: Broken) -> None:
    report = await checked(broken("every_task_fails"))
    assert report.verdict is Verdict.FAILED
    assert 'The skill "redo"' in report.reason, "the second skill had its turn"
    assert "The API key is not set" in report.reason


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("stream_is_one_answer", "no stream came"),
        ("stream_hangs", "fell silent"),
        ("stream_breaks_off", "before its task had"),
    ],
)
async def test_a_broken_stream_is_not_used_and_the_agent_is_proven(
    broken: Broken, way: str, said: str
) -> None:
    report = await checked(broken(way), time_box_s=SHORT_S)
    assert report.verdict is Verdict.PROVEN
    assert the(report, Check.STREAM).outcome is Outcome.FAILED
    assert said in the(report, Check.STREAM).detail
    assert (facts(report).is_usable, facts(report).streams) == (True, False)


async def test_an_agent_that_gives_another_task_is_not_polled(broken: Broken) -> None:
    report = await checked(broken("gets_another_task"))
    assert report.verdict is Verdict.PROVEN
    assert "another task" in the(report, Check.GET).detail
    assert not facts(report).gets


async def test_an_agent_that_never_notifies_is_not_waited_for(broken: Broken) -> None:
    with push_receiver() as push:
        report = await checked(broken("never_notifies"), time_box_s=SHORT_S, push=push)
    assert report.verdict is Verdict.PROVEN
    assert "No notification" in the(report, Check.PUSH).detail
    assert not facts(report).pushes


async def test_notifications_that_are_refused_do_not_keep_a_task_from_being_canceled(broken: Broken) -> None:
    with push_receiver() as push:
        report = await checked(broken("refuses_notifications"), push=push)
    assert "refused" in the(report, Check.PUSH).detail
    assert the(report, Check.CANCEL).outcome is Outcome.PASSED


async def test_a_task_that_goes_on_when_it_is_canceled_is_noted(broken: Broken) -> None:
    report = await checked(broken("goes_on_when_canceled"))
    assert the(report, Check.CANCEL).outcome is Outcome.NOTED
    assert "still" in the(report, Check.CANCEL).detail
    assert not facts(report).cancels


async def test_an_agent_that_says_that_it_has_no_list_is_not_blamed_for_it(broken: Broken) -> None:
    report = await checked(broken("has_no_list"))
    assert the(report, Check.LIST).outcome is Outcome.NOTED
    assert (facts(report).is_usable, facts(report).lists) == (True, False)


async def test_of_two_bindings_the_broken_one_is_not_used(broken: Broken) -> None:
    report = await checked(broken("rest_is_missing"))
    assert report.verdict is Verdict.PROVEN
    assert the(report, Check.SEND, "HTTP+JSON 1.0").outcome is Outcome.FAILED
    assert "404" in the(report, Check.SEND, "HTTP+JSON 1.0").detail
    assert [one.is_usable for one in report.interfaces] == [True, False]


async def test_a_huge_answer_is_not_read_to_its_end(broken: Broken) -> None:
    report = await checked(broken("answer_is_huge"))
    assert report.verdict is Verdict.FAILED
    assert "over 67,108,864 bytes" in the(report, Check.SEND).detail


async def test_answers_that_drip_for_ever_end_with_the_time(broken: Broken) -> None:
    report = await checked(broken("answers_drip"), time_box_s=SHORT_S)
    assert report.verdict is Verdict.FAILED
    assert the(report, Check.GET).outcome is Outcome.SKIPPED
    assert report.took_s <= SHORT_S + 1.0


async def test_a_card_that_declares_another_version_than_is_spoken_leads_nowhere(broken: Broken) -> None:
    report = await checked(broken("declares_0_3"))
    assert report.verdict is Verdict.FAILED
    assert the(report, Check.SEND, "JSONRPC 0.3").outcome is Outcome.FAILED
    assert "MethodNotFound" in report.reason


@pytest.mark.parametrize("way", ["needs_credentials", "writes_and_needs_credentials"])
async def test_an_agent_that_asks_who_we_are_needs_credentials(broken: Broken, way: str) -> None:
    report = await checked(broken(way))
    assert report.verdict is Verdict.FAILED
    assert report.reason.startswith("It needs credentials")
    assert the(report, Check.CREDENTIALS).outcome is Outcome.FAILED


async def test_an_agent_that_takes_everything_is_proven_with_a_warning(broken: Broken) -> None:
    report = await checked(broken("takes_everything"))
    assert report.verdict is Verdict.PROVEN
    assert the(report, Check.INVALID_REQUEST).outcome is Outcome.FAILED
