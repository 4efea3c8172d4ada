"""The short commands of `parley`, against a scripted coordinator over real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.main import app
from tests.integration.cli_scripted_coordinator import (
    CREATED,
    TASK,
    TASK_ID,
    Answer,
    ScriptedCoordinator,
    ended_task,
    scripted_coordinator,
)

AGENT = {
    "id": "agent_1",
    "name": "Weather",
    "description": "Forecasts.",
    "version": "1.2.0",
    "card_url": "http://127.0.0.1:9999",
    "url": "http://127.0.0.1:9999",
    "status": "ERROR",
    "health": {
        "state": "down",
        "reason": "Three probes failed.",
        "since": CREATED,
        "last_checked_at": None,
        "last_heartbeat_at": None,
    },
    "skills": [{"id": "forecast", "name": "Forecast"}],
    "load": None,
    "registered_at": CREATED,
}
STEP = {
    "step_number": 1,
    "instruction": "Say hello",
    "status": "running",
    "attempt": 2,
    "agent": {"id": "agent_1", "name": "Greeter"},
    "waiting_for": "a free agent",
    "started_at": CREATED,
}


@pytest.fixture
def server() -> Iterator[ScriptedCoordinator]:
    with scripted_coordinator() as server:
        yield server


@pytest.fixture
def parley(server: ScriptedCoordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--url", server.url])

    return run


def test_tasks_lists_them_and_asks_for_one_status(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("GET", "/api/tasks", {"tasks": [ended_task()], "next_cursor": None})
    ran = parley("tasks", "--status", "completed")
    assert ran.exit_code == 0
    assert ran.stdout.splitlines()[1].split()[:2] == [TASK_ID, "completed"]
    assert server.queries == ["limit=50&status=completed"]


def test_unknown_status_is_named_before_anything_is_sent(server: ScriptedCoordinator, parley: Any) -> None:
    ran = parley("tasks", "--status", "done")
    assert ran.exit_code == 1
    assert "There is no status 'done'" in ran.stderr
    assert not server.seen


def test_task_that_runs_shows_its_steps_and_why(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("GET", TASK, ended_task("executing", completed_at=None, steps=[STEP]))
    server.answer(
        "GET", f"{TASK}/why", {"sentence": "Step 1 waits for Greeter.", "status": "executing", "facts": {}}
    )
    ran = parley("task", TASK_ID)
    assert "Step 1 waits for Greeter." in ran.stdout
    assert "Say hello" in ran.stdout
    assert "running, attempt 2" in ran.stdout
    assert "a free agent" in ran.stdout


def test_task_that_asks_says_how_to_answer(server: ScriptedCoordinator, parley: Any) -> None:
    step = STEP | {"status": "input_required", "question": "Which city?"}
    server.answer("GET", TASK, ended_task("input_required", completed_at=None, steps=[step]))
    server.answer("GET", f"{TASK}/why", {"sentence": "It asks.", "status": "input_required", "facts": {}})
    ran = parley("task", TASK_ID)
    assert "Step 1 asks: Which city?" in ran.stdout
    assert f'parley answer {TASK_ID} "..." --step 1' in ran.stdout


def gated(**fields: Any) -> dict[str, Any]:
    """A task whose step 2 waits for approval; step 3 waits for an agent and needs none."""
    planned = [{"number": number, "instruction": "Mail it", "approval": number == 2} for number in (1, 2, 3)]
    pending = STEP | {"status": "pending", "waiting_for": "Somebody.", "agent": None, "started_at": None}
    steps = [STEP | {"status": "completed"}, pending | {"step_number": 2}, pending | {"step_number": 3}]
    plan = {"planner": "request", "version": 2, "notes": [], "steps": planned}
    return ended_task("awaiting_approval", completed_at=None, plan=plan, **({"steps": steps} | fields))


def test_task_that_waits_for_approval_says_how_to_give_it(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("GET", f"{TASK}/why", {"sentence": "It waits.", "status": "executing", "facts": {}})
    server.answer("GET", TASK, gated())
    told = parley("task", TASK_ID).stdout
    assert [line for line in told.splitlines() if "parley approve" in line] == [
        f"Approve step 2 with: parley approve {TASK_ID} --step 2"
    ]
    assert f"To refuse it: parley cancel {TASK_ID}" in told

    server.answer("GET", TASK, gated(steps=[]))
    assert f"Approve the plan with: parley approve {TASK_ID}\n" in parley("task", TASK_ID).stdout


def test_task_shows_what_it_goes_on_with_its_priority_and_its_webhook(
    server: ScriptedCoordinator, parley: Any
) -> None:
    webhook = {"url": "http://hook.example", "status": "failed", "attempts": 8, "last_error": "It said 500."}
    server.answer("GET", TASK, ended_task(retry_of="task_0", priority=5, webhook=webhook))
    told = [" ".join(line.split()) for line in parley("task", TASK_ID).stdout.splitlines()]
    assert "Retry of task_0" in told
    assert "Priority 5" in told
    assert "Webhook http://hook.example failed after 8 attempts: It said 500." in told


def test_task_shows_items_fallbacks_and_what_became_of_canceled_work(
    server: ScriptedCoordinator, parley: Any
) -> None:
    quiet = {"code": "NOT_NEEDED", "message": "Step 1 did not need it."}
    steps = [
        STEP | {"status": "canceled", "waiting_for": None, "remote_cancel": "refused"},
        STEP | {"step_number": 2, "instruction": "{{item}}", "waiting_for": None},
        STEP | {"step_number": 3, "status": "skipped", "fallback_for": 1, "error": quiet},
        STEP | {"step_number": 4, "parent": 2, "item": "Oslo", "may_have_run_twice": True},
        STEP | {"step_number": 5, "parent": 2, "item": {"city": "Rome"}, "waiting_for": None},
        STEP | {"step_number": 6, "status": "pending", "fallback_for": 1, "waiting_for": None},
    ]
    server.answer("GET", TASK, ended_task("canceled", steps=steps))
    lines = [line.strip() for line in parley("task", TASK_ID).stdout.splitlines()]
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["1", "2", "2.1", "2.2", "3", "6"]
    assert "Its agent would not stop and may still be at it." in lines
    assert "It may have run twice." in lines
    assert any(line.split()[:2] == ["2.1", "Oslo"] for line in lines)
    assert any(line.startswith('2.2  {"city": "Rome"}') for line in lines)
    assert "Step 1 did not need it." in lines
    assert "In place of step 1, should that fail." in lines


def test_approve_is_sent_with_the_step_or_for_all(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("POST", f"{TASK}/approve", ended_task("executing"), 202)
    assert parley("approve", TASK_ID, "--step", "2").stdout.startswith("Approved; the task goes on.")
    assert parley("approve", TASK_ID).exit_code == 0
    one, every = server.requests("POST", f"{TASK}/approve")
    assert (json.loads(one.body), every.body) == ({"step_number": 2}, b"")


def test_task_saves_its_result_where_it_is_told_to(
    server: ScriptedCoordinator, parley: Any, tmp_path: Path
) -> None:
    server.answer("GET", TASK, ended_task())
    assert parley("task", TASK_ID, "--out", "here").exit_code == 0
    assert (tmp_path / "here" / "result.md").read_text() == "Hello there.\n"


def test_task_as_json_is_what_the_coordinator_said(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("GET", TASK, ended_task(something_new=True))
    assert json.loads(parley("task", TASK_ID, "--json").stdout) == ended_task(something_new=True)


def test_agents_shows_state_skills_and_what_is_wrong(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("GET", "/api/agents", {"agents": [AGENT]})
    ran = parley("agents")
    assert "Weather 1.2.0" in ran.stdout
    assert "http://127.0.0.1:9999" in ran.stdout
    assert "forecast" in ran.stdout
    assert "Weather is down: Three probes failed." in ran.stdout


def test_register_sends_the_address_and_shows_the_agent(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("POST", "/api/agents", AGENT, 201)
    ran = parley("register", "http://127.0.0.1:9999")
    assert "Weather 1.2.0" in ran.stdout
    [seen] = server.requests("POST", "/api/agents")
    assert json.loads(seen.body) == {"card_url": "http://127.0.0.1:9999"}


def test_cancel_and_answer_are_sent_to_the_task(server: ScriptedCoordinator, parley: Any) -> None:
    server.answer("POST", f"{TASK}/cancel", ended_task("canceled"), 202)
    server.answer("POST", f"{TASK}/input", {}, 202)
    assert parley("cancel", TASK_ID).stdout.startswith("The task is canceled.")
    assert parley("answer", TASK_ID, "Oslo", "--step", "2").exit_code == 0
    [seen] = server.requests("POST", f"{TASK}/input")
    assert json.loads(seen.body) == {"parts": [{"text": "Oslo"}], "step_number": 2}


def test_id_cannot_lead_to_another_address(server: ScriptedCoordinator, parley: Any) -> None:
    parley("cancel", "../agents?x=")
    assert [seen.path for seen in server.seen] == ["/api/tasks/..%2Fagents%3Fx%3D/cancel"]


def test_problem_is_told_by_its_detail_fields_and_code(server: ScriptedCoordinator, parley: Any) -> None:
    problem = {
        "title": "Invalid",
        "status": 422,
        "detail": "Correct these fields.",
        "code": "VALIDATION_FAILED",
        "errors": [{"field": "session_id", "message": "too long"}],
    }
    server.answer("POST", "/api/tasks", problem, 422)
    ran = parley("run", "Say hello")
    assert ran.exit_code == 1
    assert ran.stderr == "Correct these fields. session_id: too long (VALIDATION_FAILED)\n"


@pytest.mark.parametrize("command", [["run", "x"], ["tasks"], ["task", "x"], ["agents"], ["cancel", "x"]])
def test_no_coordinator_is_one_sentence(parley: Any, command: list[str]) -> None:
    ran = CliRunner().invoke(app, [*command, "--url", "http://127.0.0.1:9"])
    assert ran.exit_code == 1
    assert ran.stderr == (
        "No coordinator at http://127.0.0.1:9. Start one with `make run`, or name it with --url.\n"
    )


@pytest.mark.parametrize("status", [200, 404])
def test_another_server_is_not_taken_for_a_coordinator(
    server: ScriptedCoordinator, parley: Any, status: int
) -> None:
    server.answers["GET", "/api/agents"] = Answer(b"<html>Hello</html>", status, "text/html")
    ran = parley("agents")
    assert ran.exit_code == 1
    assert "is not a Parley coordinator" in ran.stderr


def test_address_that_is_none_is_one_sentence(parley: Any) -> None:
    ran = CliRunner().invoke(app, ["agents", "--url", "localhost:8000"])
    assert ran.exit_code == 1
    assert "must look like http://127.0.0.1:8000" in ran.stderr


def test_bad_setting_is_named(parley: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_URL", "nowhere")
    ran = CliRunner().invoke(app, ["agents"])
    assert ran.exit_code == 1
    assert ran.stderr.startswith("Setting COORDINATOR_URL: ")


def test_coordinator_of_the_environment_is_the_default(
    server: ScriptedCoordinator, monkeypatch: pytest.MonkeyPatch, parley: Any
) -> None:
    monkeypatch.setenv("COORDINATOR_URL", server.url)
    server.answer("GET", "/api/agents", {"agents": []})
    assert CliRunner().invoke(app, ["agents"]).stdout.startswith("No agents.")


def test_migrate_makes_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parley: Any) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///here/parley.db")
    ran = CliRunner().invoke(app, ["migrate"])
    assert ran.exit_code == 0
    assert (tmp_path / "here" / "parley.db").stat().st_size > 0


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////proc/nowhere/parley.db"])
def test_database_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, parley: Any, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    ran = CliRunner().invoke(app, ["migrate"])
    assert ran.exit_code == 1
    assert ran.stderr.count("\n") == 1
    assert "DATABASE_URL" in ran.stderr


def test_version_is_the_installed_one(parley: Any) -> None:
    assert CliRunner().invoke(app, ["version"]).stdout.startswith("parley ")
