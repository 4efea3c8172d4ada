"""`parley check` as a person or a CI job types it, against agents over real HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from a2a import Agent, Rejected, Request
from coordinator.cli.main import app
from coordinator.conformance.report import Check, Outcome, Report, Verdict
from tests.support.conformance import facts, served, the
from tests.support.scripted_agent import ScriptedAgent
from tests.support.waiting import eventually_now

ROOT = Path(__file__).parents[2]


async def say(request: Request) -> str:
    return request.text


async def refuse(request: Request) -> str:
    raise Rejected("Not \x1b[31mtoday\x1b[0m.")


@pytest.fixture
def agent() -> Agent:
    return Agent(name="Tried", description="Is tried.", version="2.0")


@pytest.fixture
def good_url(agent: Agent) -> Iterator[str]:
    agent.skill(id="say", description="Say it", tags=["say"], examples=["hello"])(say)
    with served(agent) as url:
        yield url


def parley(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments])


def test_a_good_agent_is_proven_with_a_line_for_each_finding(good_url: str) -> None:
    ran = parley(good_url)
    assert ran.exit_code == 0
    lines = ran.stdout.splitlines()
    assert lines[0] == f"Tried 2.0   {good_url}/.well-known/agent-card.json"
    assert f"JSONRPC 1.0   {good_url}" in lines
    assert f"HTTP+JSON 1.0   {good_url}" in lines
    sends = [line for line in lines if line.split()[1:2] == ["send"]]
    assert len(sends) == 2
    assert all(
        line.startswith('passed   send             The skill "say" was sent an example') for line in sends
    )
    assert lines[-2].startswith("proven: A real send came to its end over JSONRPC 1.0 and HTTP+JSON 1.0.")
    assert lines[-1] == "Steps would go over JSONRPC 1.0, streamed, the long ones with notifications."
    assert all(line == line.rstrip() for line in lines)


def test_its_notifications_reach_the_command(good_url: str) -> None:
    ran = parley(good_url, "--json")
    report = Report.from_json(json.loads(ran.stdout))
    assert report.verdict is Verdict.PROVEN
    assert the(report, Check.PUSH).outcome is Outcome.PASSED
    assert facts(report).pushes


def test_the_cards_own_url_will_do(good_url: str) -> None:
    assert parley(f"{good_url}/.well-known/agent-card.json").exit_code == 0


def test_an_agent_that_fails_is_1_and_cannot_paint_the_terminal(agent: Agent) -> None:
    agent.skill(id="refuse", description="Refuse it", tags=["no"], examples=["hello"])(refuse)
    with served(agent) as url:
        ran = parley(url)
    assert ran.exit_code == 1
    assert "failed: No send came to its end; over JSONRPC 1.0: " in ran.stdout
    assert "REJECTED (Not [31mtoday[0m)" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_an_agent_that_cannot_be_tried_is_3(agent: Agent) -> None:
    agent.skill(id="say", description="Say it", tags=["write"], examples=["hello"])(say)
    with served(agent) as url:
        ran = parley(url)
    assert ran.exit_code == 3
    assert 'The skill "say" is not run: its tags say that it changes something.' in ran.stdout
    assert "unproven: No skill could be run" in ran.stdout


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://example.org", "http://", "http://[", "http://h:99999"]
)
def test_an_address_that_is_none_is_2_and_one_sentence(url: str) -> None:
    ran = parley(url)
    assert ran.exit_code == 2
    assert "is no address; it has to be http://HOST" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_host_where_nobody_answers_is_2_and_one_sentence() -> None:
    ran = parley("http://127.0.0.1:1")
    assert ran.exit_code == 2
    assert ran.stderr.startswith("No agent card at http://127.0.0.1:1/.well-known/agent-card.json: ")
    assert len(ran.stderr.splitlines()) == 1


def test_a_server_without_a_card_is_2(good_url: str) -> None:
    ran = parley(f"{good_url}/elsewhere")
    assert ran.exit_code == 2
    assert "HTTP 404 instead of an agent card." in ran.stderr


def test_a_time_box_that_is_none_is_2(good_url: str) -> None:
    assert parley(good_url, "--time-box", "0").exit_code == 2


def heeds_ctrl_c() -> None:
    """In the child: a job in the background of a script inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_it_with_130_and_no_traceback() -> None:
    scripted = ScriptedAgent()
    agent = Agent(name="Slow", description="Is slow.", version="1")
    agent.skill(id="wait", description="Wait", tags=["wait"], examples=["wait"])(scripted.wait)
    with served(agent) as url:
        command = [sys.executable, "-c", "from coordinator.cli.main import app; app()", "check", url]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeds_ctrl_c,  # noqa: PLW1509 it sets a signal, and nothing else
        ) as process:
            eventually_now(lambda: scripted.started["wait"].is_open, within_s=20)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in stderr
