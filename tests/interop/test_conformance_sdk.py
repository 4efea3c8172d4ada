"""Agents on the official SDKs are proven by the conformance run, each on all that it speaks with us."""

from coordinator.cli.push_receiver import push_receiver
from coordinator.conformance.report import Check, Outcome, Verdict, best_interface
from tests.support.conformance import checked, outcomes


async def test_an_agent_on_the_sdk_is_proven_on_both_bindings(sdk_agent: str) -> None:
    with push_receiver() as push:
        report = await checked(sdk_agent, time_box_s=20, push=push)
    assert report.verdict is Verdict.PROVEN
    for label in ("JSONRPC 1.0", "HTTP+JSON 1.0"):
        found = outcomes(report, label)
        assert [check for check, outcome in found.items() if outcome is Outcome.FAILED] == [], label
        assert found[Check.STREAM] is Outcome.PASSED
        assert found[Check.PUSH] is Outcome.PASSED
    best = best_interface(report)
    assert best is not None
    assert (best.label, best.streams, best.pushes) == ("JSONRPC 1.0", True, True)


async def test_an_agent_on_the_old_sdk_is_proven_over_0_3(sdk03_agent: str) -> None:
    report = await checked(sdk03_agent, time_box_s=20)
    assert report.verdict is Verdict.PROVEN
    assert [one.label for one in report.interfaces if one.is_usable] == ["JSONRPC 0.3", "HTTP+JSON 0.3"]
