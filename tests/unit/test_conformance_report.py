"""The report: what routing reads from it, how the verdict comes about, that it survives JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from a2a.card_types import AgentInterface
from coordinator.conformance.declared import declared
from coordinator.conformance.meanings import MEANINGS, finding
from coordinator.conformance.report import (
    Check,
    Finding,
    InterfaceFacts,
    Outcome,
    Report,
    Verdict,
    best_interface,
)
from coordinator.conformance.samples import LeftOut, Sample, Samples
from coordinator.conformance.shares import WEIGHTS, Countdown
from coordinator.conformance.verdict import judge
from tests.unit.test_conformance_samples import card, skill

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
SOMETHING = Samples((Sample("s", (), "an example"),), ())
NOTHING = Samples((), (LeftOut("s", "its tags say that it changes something"),))
CARD_URL = "https://agents.example.org/.well-known/agent-card.json"


def facts(binding: str = "JSONRPC", version: str = "1.0", **more: Any) -> InterfaceFacts:
    known: dict[str, Any] = {
        "url": "http://127.0.0.1:1",
        "tenant": None,
        "is_usable": True,
        "gets": True,
        "streams": True,
        "lists": True,
        "cancels": True,
        "pushes": False,
        "latency_ms": 1.5,
    }
    return InterfaceFacts(binding=binding, version=version, **(known | more))


def report(*interfaces: InterfaceFacts) -> Report:
    return Report(
        card_url=CARD_URL,
        agent_name="A",
        agent_version="1",
        verdict=Verdict.PROVEN,
        reason="It works.",
        findings=(sent(Outcome.PASSED),),
        interfaces=interfaces,
        started_at=datetime(2026, 11, 28, 12, 0, 0, 123_456, tzinfo=UTC),
        took_s=1.25,
    )


def sent(outcome: Outcome, detail: str = "It was sent.", check: Check = Check.SEND) -> Finding:
    return finding(check, "JSONRPC 1.0", outcome, detail)


def best_of(*interfaces: InterfaceFacts) -> str | None:
    best = best_interface(report(*interfaces))
    return None if best is None else best.label


def test_the_first_of_the_card_is_the_best_whatever_its_binding() -> None:
    assert best_of(facts("HTTP+JSON"), facts("JSONRPC")) == "HTTP+JSON 1.0"


def test_1_0_goes_before_0_3() -> None:
    assert best_of(facts(version="0.3"), facts("HTTP+JSON")) == "HTTP+JSON 1.0"


def test_an_interface_that_is_not_usable_is_passed_over() -> None:
    assert best_of(facts(is_usable=False), facts(version="0.3")) == "JSONRPC 0.3"
    assert best_of(facts(is_usable=False)) is None
    assert best_of() is None


def test_only_what_the_caller_speaks_is_the_best() -> None:
    assert best_interface(report(facts("GRPC"))) is None
    assert best_interface(report(facts("GRPC")), bindings=("GRPC",)) is not None


def test_a_report_survives_json() -> None:
    made = report(facts(), facts("HTTP+JSON", latency_ms=None, tenant="t"))
    assert Report.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_its_json_is_plain() -> None:
    value = report(facts()).to_json()
    assert value["started_at"] == "2026-11-28T12:00:00.123456Z"
    assert value["verdict"] == "proven"
    assert value["findings"][0]["check"] == "send"


def test_a_usable_interface_proves_an_agent_that_something_was_sent_to() -> None:
    verdict, reason = judge(SOMETHING, [sent(Outcome.PASSED)], [facts(), facts("HTTP+JSON", is_usable=False)])
    assert (verdict, reason) == (Verdict.PROVEN, "A real send came to its end over JSONRPC 1.0.")


def test_a_slow_agent_is_proven_and_called_so() -> None:
    verdict, reason = judge(SOMETHING, [sent(Outcome.NOTED)], [facts()])
    assert verdict is Verdict.PROVEN
    assert "did not finish one" in reason


def test_a_wire_that_works_is_no_proof_where_nothing_was_sent() -> None:
    verdict, reason = judge(NOTHING, [], [facts()])
    assert verdict is Verdict.UNPROVEN
    assert "its tags say that it changes something" in reason


def test_credentials_that_are_missing_stand_above_other_reasons() -> None:
    findings = [sent(Outcome.FAILED, "No."), sent(Outcome.FAILED, "HTTP 401.", Check.CREDENTIALS)]
    verdict, reason = judge(SOMETHING, findings, [facts(is_usable=False)])
    assert verdict is Verdict.FAILED
    assert "credentials" in reason


@pytest.mark.parametrize("samples", [SOMETHING, NOTHING])
def test_without_a_usable_interface_an_agent_has_failed(samples: Samples) -> None:
    assert judge(samples, [], [facts(is_usable=False)])[0] is Verdict.FAILED


def test_a_card_with_grpc_alone_says_what_it_offers() -> None:
    grpc = declared(with_interfaces(interface("GRPC", "agents.example.org:443")), CARD_URL)
    assert grpc.called == ()
    assert judge(SOMETHING, grpc.findings, ()) == (
        Verdict.FAILED,
        "It offers GRPC 1.0 alone, which is not spoken here.",
    )


def test_of_each_binding_and_version_the_first_is_called() -> None:
    first, second = interface("JSONRPC", f"{HOST}/1"), interface("JSONRPC", f"{HOST}/2")
    old = interface("JSONRPC", f"{HOST}/old", "0.3.0")
    found = declared(with_interfaces(first, second, old), CARD_URL)
    assert found.called == (first, old)
    assert [one.interface for one in found.findings if one.outcome is Outcome.SKIPPED] == ["JSONRPC 1.0"]


HOST = "https://agents.example.org"


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        (f"{HOST}/a2a", Outcome.PASSED),
        ("https://elsewhere.example.org/a2a", Outcome.NOTED),
        ("http://127.0.0.1:8000", Outcome.FAILED),
        ("http://localhost:8000", Outcome.FAILED),
        ("http://[::1]:8000", Outcome.FAILED),
        ("http://0.0.0.0:8000", Outcome.FAILED),
        ("http://agents.example.org:99999", Outcome.FAILED),
        ("agents.example.org", Outcome.FAILED),
    ],
)
def test_an_advertised_url_is_judged_by_where_it_leads(url: str, outcome: Outcome) -> None:
    found = declared(with_interfaces(interface("JSONRPC", url)), CARD_URL)
    (judged,) = [one for one in found.findings if one.check is Check.ADVERTISED_URL]
    assert judged.outcome is outcome
    assert bool(found.called) is (outcome is not Outcome.FAILED)


def test_on_one_machine_names_do_not_matter() -> None:
    found = declared(with_interfaces(interface("JSONRPC", "http://127.0.0.1:8000")), "http://localhost:8000")
    assert [one.outcome for one in found.findings] == [Outcome.PASSED, Outcome.PASSED]


def interface(binding: str, url: str, version: str = "1.0") -> AgentInterface:
    return AgentInterface(url=url, protocol_binding=binding, protocol_version=version)


def with_interfaces(*interfaces: AgentInterface) -> Any:
    return card(skill()).model_copy(update={"supported_interfaces": list(interfaces)})


def test_what_a_check_leaves_goes_to_those_after_it() -> None:
    now = 0.0
    time = Countdown(20.0, lambda: now)
    shares = {check: time.share_s(check) for check in WEIGHTS}
    assert shares[Check.SEND] == pytest.approx(20.0 * 16 / 28)
    assert shares[Check.INVALID_REQUEST] == pytest.approx(20.0), "the last may take all that is left"


def test_checks_that_all_take_their_share_end_with_the_time() -> None:
    now = 0.0
    time = Countdown(20.0, lambda: now)
    for check in WEIGHTS:
        share_s = time.share_s(check)
        assert share_s > 0
        now += share_s
    assert now == pytest.approx(20.0)


def test_the_page_has_each_meaning() -> None:
    page = PAGE.read_text()
    rows = {line for line in page.splitlines() if line.startswith("|")}
    for (check, outcome), meaning in MEANINGS.items():
        assert any(f"`{check}`" in row and f" {outcome} " in row and meaning in row for row in rows), (
            f"{check} {outcome}"
        )
