"""`parley agent`, `admit` and `drain`, against a scripted coordinator over real HTTP."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.main import app
from tests.integration.cli_scripted_coordinator import CREATED, ScriptedCoordinator, scripted_coordinator

ID = "agent_1"
PATH = f"/api/agents/{ID}"
Parley = Callable[..., Result]


def agent(state: str = "up", reason: str = "registered", **fields: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": ID,
        "name": "Weather",
        "version": "1.2.0",
        "card_url": "http://127.0.0.1:9999/.well-known/agent-card.json",
        "url": "http://127.0.0.1:9999",
        "binding": "JSONRPC",
        "protocol_version": "1.0",
        "status": "ACTIVE",
        "admission": {"state": "admitted", "held_for": None},
        "proof": "proven",
        "weight": 100,
        "is_drained": False,
        "health": {
            "state": state,
            "reason": reason,
            "since": CREATED,
            "breaker": {"failed_calls": 0, "open_until": None},
        },
        "skills": [{"id": "forecast", "name": "Forecast"}],
    }
    return shown | fields


def finding(check: str, outcome: str) -> dict[str, Any]:
    interface = "HTTP+JSON 1.0"
    return {
        "check": check,
        "interface": interface,
        "outcome": outcome,
        "detail": f"{check} {outcome}.",
        "meaning": "So.",
    }


@pytest.fixture
def server() -> Iterator[ScriptedCoordinator]:
    with scripted_coordinator() as server:
        yield server


@pytest.fixture
def parley(server: ScriptedCoordinator) -> Parley:
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--url", server.url])


def without_report(server: ScriptedCoordinator) -> None:
    problem = {"status": 404, "detail": "It was not checked yet.", "code": "REPORT_NOT_FOUND"}
    server.answer("GET", f"{PATH}/report", problem, 404)


def lines(ran: Result) -> list[str]:
    return [" ".join(line.split()) for line in ran.stdout.splitlines()]


def test_an_agent_is_shown_with_what_its_run_found_against_it(
    server: ScriptedCoordinator, parley: Parley
) -> None:
    server.answer("GET", PATH, agent("quarantined", "No send came to its end.", proof="failed"))
    findings = [finding("card", "passed"), finding("send", "failed"), finding("stream", "skipped")]
    report = {
        "verdict": "failed",
        "reason": "No send came to its end.",
        "findings": findings,
        "started_at": CREATED,
    }
    server.answer("GET", f"{PATH}/report", report)
    told = lines(parley("agent", ID))
    assert "State quarantined" in told
    assert "Why No send came to its end." in told
    assert "Proof failed" in told
    assert "Called at http://127.0.0.1:9999 (JSONRPC 1.0)" in told
    assert "- send (HTTP+JSON 1.0): send failed. So." in told
    assert not [line for line in told if line.startswith(("- card", "- stream"))]


def test_a_held_agent_says_for_what_and_how_to_admit_it(server: ScriptedCoordinator, parley: Parley) -> None:
    held = {"state": "held", "held_for": "it joined without a join token"}
    server.answer("GET", PATH, agent("quarantined", "held", admission=held, proof="pending"))
    without_report(server)
    told = lines(parley("agent", ID))
    assert "Admission held for: it joined without a join token" in told
    assert f"Admit it with: parley admit {ID}" in told


def test_an_open_breaker_and_a_canary_are_told(server: ScriptedCoordinator, parley: Parley) -> None:
    shown = agent("down", "HTTP 500.", weight=10)
    shown["health"]["breaker"] = {"failed_calls": 3, "open_until": CREATED}
    server.answer("GET", PATH, shown)
    without_report(server)
    told = lines(parley("agent", ID))
    assert any(line.startswith("Failed calls 3 in a row, none before 2026-01-0") for line in told)
    assert "Weight 10 % of the sessions" in told


def test_a_name_will_do_where_one_agent_has_it(server: ScriptedCoordinator, parley: Parley) -> None:
    server.answer("GET", "/api/agents", {"agents": [agent(), agent(id="agent_2", name="Other")]})
    server.answer("GET", PATH, agent())
    without_report(server)
    assert f"Id {ID}" in lines(parley("agent", "Weather"))

    server.answer("GET", "/api/agents", {"agents": [agent(), agent(id="agent_2")]})
    ran = parley("drain", "Weather")
    assert ran.exit_code == 1
    assert ran.stderr.startswith("2 agents are called 'Weather'. Say which:\nagent_1 ")
    assert "No agent is called 'Nobody'" in parley("admit", "Nobody").stderr
    assert not server.requests("PATCH", PATH)


def test_admit_and_drain_change_the_agent_and_show_it(server: ScriptedCoordinator, parley: Parley) -> None:
    server.answer("PATCH", PATH, agent("draining", "an operator drains it", is_drained=True))
    told = lines(parley("drain", ID))
    assert "Weather is draining: an operator drains it" in told
    assert f"More: parley agent {ID}" in told
    assert parley("drain", ID, "--end").exit_code == 0
    assert parley("admit", ID).exit_code == 0
    sent = [json.loads(seen.body) for seen in server.requests("PATCH", PATH)]
    assert sent == [{"is_drained": True}, {"is_drained": False}, {"is_admitted": True}]


def test_a_drained_agent_says_how_to_end_it(server: ScriptedCoordinator, parley: Parley) -> None:
    server.answer("GET", PATH, agent("draining", "an operator drains it", is_drained=True))
    without_report(server)
    assert f"End its draining with: parley drain {ID} --end" in lines(parley("agent", ID))


def test_an_unknown_agent_is_told_by_the_coordinators_words(
    server: ScriptedCoordinator, parley: Parley
) -> None:
    problem = {"status": 404, "detail": "There is no agent agent_9.", "code": "AGENT_NOT_FOUND"}
    server.answer("GET", "/api/agents/agent_9", problem, 404)
    assert parley("agent", "agent_9").stderr == "There is no agent agent_9. (AGENT_NOT_FOUND)\n"
