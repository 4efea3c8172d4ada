"""`parley run` against a scripted coordinator over real HTTP; Ctrl-C and terminals with a real process."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.main import app
from tests.integration.cli_scripted_coordinator import (
    ACCEPTED,
    TASK,
    TASK_ID,
    Answer,
    ScriptedCoordinator,
    ended_task,
    event,
    scripted_coordinator,
)

PARLEY = [sys.executable, "-c", "from coordinator.cli.main import app; app()"]
DONE = [event(1, "task.created"), event(2, "task.completed")]
PLAN: dict[str, Any] = {
    "planner": "rules",
    "strategy": "auto",
    "notes": [],
    "steps": [{"number": 1, "instruction": "Say hello", "depends_on": []}],
}
STEPS = [{"number": 1, "instruction": "Say hello", "skill_id": "greet"}]


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


def artifact(filename: str, media_type: str = "image/svg+xml") -> dict[str, Any]:
    return {
        "id": "artifact_1",
        "step_number": 1,
        "name": "chart",
        "filename": filename,
        "media_type": media_type,
        "size_bytes": 6,
        "url": "/nowhere",
    }


def result_with(*artifacts: dict[str, Any]) -> dict[str, Any]:
    return {"text": "Hello there [1].", "sources": [], "artifacts": list(artifacts)}


def test_completed_task_prints_text_sources_and_gaps(server: ScriptedCoordinator, parley: Any) -> None:
    source = {
        "number": 1,
        "step_number": 1,
        "source": "a.md",
        "title": "A",
        "locator": "lines 1-2",
        "passage": "Hi.",
    }
    result = {"text": "Hello there [1].", "sources": [source], "artifacts": []}
    gaps = [{"step_number": 2, "reason": "No agent was up."}]
    server.accept_task(ended_task(result=result, gaps=gaps), [*DONE])
    ran = parley("run", "Say hello")
    assert ran.exit_code == 0
    assert "Hello there [1]." in ran.stdout
    assert '[1] a.md, "A", lines 1-2' in ran.stdout
    assert "step 2: No agent was up." in ran.stdout


def test_every_event_is_one_line_where_stdout_is_no_terminal(
    server: ScriptedCoordinator, parley: Any
) -> None:
    events = [
        event(1, "task.created"),
        event(2, "task.planned", plan=PLAN),
        event(3, "step.started", step_number=1, agent_id="a", agent_name="Greeter", attempt=1),
        event(4, "step.progress", step_number=1, text="thinking"),
        event(5, "step.from.the.future", step_number=1),
        event(6, "step.completed", step_number=1),
        event(7, "task.completed"),
    ]
    server.accept_task(ended_task(), events)
    lines = parley("run", "Say hello").stdout.splitlines()
    assert [line[11:] for line in lines[1:6]] == [
        "planned by rules: 1 step",
        "step 1 started by Greeter: Say hello",
        "step 1: thinking",
        "step 1 completed after 3.0 s",
        "",
    ]


def test_files_of_the_steps_are_saved_and_named(
    server: ScriptedCoordinator, parley: Any, tmp_path: Path
) -> None:
    server.accept_task(ended_task(result=result_with(artifact("chart.svg"))), [*DONE])
    server.answers["GET", f"{TASK}/artifacts/artifact_1"] = Answer(b"<svg/>", content_type="image/svg+xml")
    ran = parley("run", "Say hello")
    assert f"parley-results/{TASK_ID}/chart.svg" in ran.stdout
    assert (tmp_path / "parley-results" / TASK_ID / "chart.svg").read_bytes() == b"<svg/>"


def test_file_names_from_outside_stay_in_the_folder(
    server: ScriptedCoordinator, parley: Any, tmp_path: Path
) -> None:
    server.accept_task(ended_task(result=result_with(artifact("../../../evil/.bashrc"))), [*DONE])
    server.answers["GET", f"{TASK}/artifacts/artifact_1"] = Answer(b"<svg/>")
    assert parley("run", "Say hello", "--out", "results").exit_code == 0
    saved = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert saved == [f"results/{TASK_ID}/bashrc", f"results/{TASK_ID}/result.md"]


def test_existing_file_is_not_overwritten(server: ScriptedCoordinator, parley: Any, tmp_path: Path) -> None:
    folder = tmp_path / "results" / TASK_ID
    folder.mkdir(parents=True)
    (tmp_path / "precious").write_text("mine")
    (folder / "chart.svg").symlink_to(tmp_path / "precious")
    server.accept_task(ended_task(result=result_with(artifact("chart.svg"))), [*DONE])
    server.answers["GET", f"{TASK}/artifacts/artifact_1"] = Answer(b"<svg/>")
    parley("run", "Say hello", "--out", "results")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (folder / "chart-2.svg").read_bytes() == b"<svg/>"


def test_failed_task_exits_1_with_code_message_and_advice(server: ScriptedCoordinator, parley: Any) -> None:
    error = {"code": "UNKNOWN_TASK_TYPE", "message": "No agent can fold laundry."}
    server.accept_task(ended_task("failed", error=error), [event(1, "task.failed", **error)])
    ran = parley("run", "fold my laundry")
    assert ran.exit_code == 1
    assert "Failed: No agent can fold laundry. (UNKNOWN_TASK_TYPE)" in ran.stdout
    assert "parley agents" in ran.stdout


def test_broken_stream_is_resumed_after_its_last_event(server: ScriptedCoordinator, parley: Any) -> None:
    server.accept_task(
        ended_task(),
        [event(1, "task.created"), event(2, "task.executing")],
        [event(2, "task.executing"), event(3, "task.completed")],
    )
    ran = parley("run", "Say hello")
    assert ran.exit_code == 0
    assert "Connecting again" in ran.stdout
    assert "is back" in ran.stdout
    streams = server.requests("GET", f"{TASK}/events")
    assert [seen.headers.get("last-event-id") for seen in streams] == [None, "2"]


def test_json_leaves_stdout_to_the_task(server: ScriptedCoordinator, parley: Any) -> None:
    task = ended_task(field_of_a_newer_version=1)
    server.accept_task(task, [*DONE])
    ran = parley("run", "Say hello", "--json")
    assert json.loads(ran.stdout) == task


def test_control_sequences_of_a_result_do_not_reach_the_terminal(
    server: ScriptedCoordinator, parley: Any
) -> None:
    result = {"text": "red \x1b[31m and \x1b]0;title\x07 \u202e", "sources": [], "artifacts": []}
    server.accept_task(ended_task(result=result), [*DONE])
    ran = parley("run", "Say hello")
    assert "red [31m and ]0;title" in ran.stdout
    assert not re.search("[\x1b\x07\u202e]", ran.stdout)


def test_files_and_options_travel_as_a_form(server: ScriptedCoordinator, parley: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    server.accept_task(ended_task(), [*DONE])
    parley("run", "Analyse it", "--file", "a.csv", "--session", "session_9", "--deadline", "30")
    [seen] = server.requests("POST", "/api/tasks")
    assert b'name="files"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\nx,y\n1,2\n' in seen.body
    assert b'name="session_id"\r\n\r\nsession_9\r\n' in seen.body
    assert b'name="deadline_s"\r\n\r\n30.0\r\n' in seen.body


def test_plan_priority_and_webhook_travel_in_the_form_as_json(
    server: ScriptedCoordinator, parley: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("x\n")
    (tmp_path / "plan.json").write_text(json.dumps({"steps": STEPS}))
    server.accept_task(ended_task(), [*DONE])
    options = ["--plan", "plan.json", "--priority", "-5", "--webhook", "http://hook.example/x"]
    assert parley("run", "Analyse it", "--file", "a.csv", *options).exit_code == 0
    [seen] = server.requests("POST", "/api/tasks")
    fields = dict(re.findall(rb'name="(\w+)"\r\n\r\n(.*?)\r\n', seen.body))
    assert json.loads(fields[b"plan"]) == {"steps": STEPS}
    assert (fields[b"priority"], json.loads(fields[b"webhook"])) == (b"-5", {"url": "http://hook.example/x"})


def test_plan_travels_as_it_stands_with_every_option(
    server: ScriptedCoordinator, parley: Any, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"steps": STEPS}))
    server.accept_task(ended_task(), [*DONE])
    options = ["--strategy", "adaptive", "--approval", "plan", "--priority", "0"]
    parley("run", "Say it", "--plan", "plan.json", *options)
    [seen] = server.requests("POST", "/api/tasks")
    assert json.loads(seen.body) == {
        "description": "Say it",
        "plan": {"steps": STEPS},
        "strategy": "adaptive",
        "approval": "plan",
        "priority": 0,
    }


@pytest.mark.parametrize(
    ("steps", "description"),
    [(STEPS, "Say hello"), ([], "The plan plan.json"), ([5], "The plan plan.json")],
)
def test_plan_without_a_description_is_called_by_its_first_instruction(
    server: ScriptedCoordinator, parley: Any, tmp_path: Path, steps: list[Any], description: str
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"steps": steps}))
    server.accept_task(ended_task(), [*DONE])
    parley("run", "--plan", "plan.json")
    [seen] = server.requests("POST", "/api/tasks")
    assert json.loads(seen.body)["description"] == description


@pytest.mark.parametrize("arguments", [[], [" "], ["--plan", "none.json"]])
def test_nothing_to_do_is_one_sentence_before_anything_is_sent(
    server: ScriptedCoordinator, parley: Any, arguments: list[str]
) -> None:
    ran = parley("run", *arguments)
    assert ran.exit_code == 1
    assert ran.stderr.count("\n") == 1
    assert not server.seen


def test_field_at_fault_is_named_once(server: ScriptedCoordinator, parley: Any, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"steps": [{"skill": "x"}]}))
    errors = [{"field": "plan.steps.0.skill", "message": "not permitted"}]
    problem = {"detail": "plan.steps.0.skill: not permitted", "code": "VALIDATION_FAILED", "errors": errors}
    server.answer("POST", "/api/tasks", problem, 422)
    ran = parley("run", "--plan", "plan.json")
    assert ran.stderr == "plan.steps.0.skill: not permitted (VALIDATION_FAILED)\n"


def test_retry_follows_the_new_task_to_its_result(server: ScriptedCoordinator, parley: Any) -> None:
    server.accept_task(ended_task(retry_of="task_0"), [*DONE])
    server.answer("POST", "/api/tasks/task_0/retry", ACCEPTED, 202)
    ran = parley("retry", "task_0")
    assert ran.exit_code == 0
    assert f"task {TASK_ID}" in ran.stdout
    assert "Hello there." in ran.stdout


def test_task_that_cannot_be_tried_again_is_one_sentence(server: ScriptedCoordinator, parley: Any) -> None:
    problem = {"detail": "The task is completed.", "status": 409, "code": "WRONG_STATE"}
    server.answer("POST", f"{TASK}/retry", problem, 409)
    ran = parley("retry", TASK_ID)
    assert (ran.exit_code, ran.stderr) == (1, "The task is completed. (WRONG_STATE)\n")


def test_failed_task_says_how_to_go_on(server: ScriptedCoordinator, parley: Any) -> None:
    error = {"code": "AGENT_FAILED", "message": "No luck."}
    server.accept_task(ended_task("failed", error=error), [event(1, "task.failed", **error)])
    assert f"Go on where it failed: parley retry {TASK_ID}" in parley("run", "Say hello").stdout


GATE = [event(1, "step.awaiting_approval", step_number=1), event(2, "task.awaiting_approval")]


def waiting_task() -> dict[str, Any]:
    plan = PLAN | {"steps": [PLAN["steps"][0] | {"approval": True}]}
    step = {"step_number": 1, "instruction": "Say hello", "status": "pending", "waiting_for": "Somebody."}
    return ended_task("awaiting_approval", completed_at=None, plan=plan, steps=[step])


def test_gate_without_a_terminal_says_how_to_approve_and_leaves_with_3(
    server: ScriptedCoordinator, parley: Any
) -> None:
    server.accept_task(waiting_task(), [*GATE, event(3, "task.completed")])
    ran = parley("run", "Say hello")
    assert ran.exit_code == 3
    assert f"Approve step 1 with: parley approve {TASK_ID} --step 1" in ran.stdout
    assert f"To refuse it: parley cancel {TASK_ID}" in ran.stdout


def test_plan_that_waits_leaves_with_3_and_the_task_as_json(server: ScriptedCoordinator, parley: Any) -> None:
    task = ended_task("awaiting_approval", completed_at=None)
    server.accept_task(task, [event(1, "task.awaiting_approval"), threading.Event()])
    ran = parley("run", "Say hello", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)) == (3, task)
    assert f"Approve the plan with: parley approve {TASK_ID}" in ran.stderr


def test_gate_that_somebody_has_opened_is_not_waited_for(server: ScriptedCoordinator, parley: Any) -> None:
    opened = [event(3, "step.approved", step_number=1), event(4, "task.executing")]
    server.accept_task(ended_task(), [*GATE, *opened, event(5, "task.completed")])
    assert parley("run", "Say hello").exit_code == 0


def test_task_without_files_travels_as_json(server: ScriptedCoordinator, parley: Any) -> None:
    server.accept_task(ended_task(), [*DONE])
    parley("run", "Say hello")
    [seen] = server.requests("POST", "/api/tasks")
    assert json.loads(seen.body) == {"description": "Say hello"}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: None, "There is no file data.csv."),
        (lambda path: path.mkdir(), "data.csv is a directory."),
        (os.mkfifo, "data.csv is not a regular file."),
        (lambda path: path.write_bytes(bytes(101)), "data.csv is too large"),
    ],
)
def test_bad_file_is_refused_before_anything_is_sent(
    server: ScriptedCoordinator,
    parley: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Any,
    sentence: str,
) -> None:
    monkeypatch.setenv("TASKS_MAX_UPLOAD_BYTES", "100")
    make(tmp_path / "data.csv")
    ran = parley("run", "Analyse it", "--file", "data.csv")
    assert ran.exit_code == 1
    assert ran.stderr.startswith(sentence)
    assert ran.stderr.count("\n") == 1
    assert not server.seen


def test_question_without_a_terminal_says_how_to_answer(server: ScriptedCoordinator, parley: Any) -> None:
    asked = event(1, "task.input_required", step_number=3, question="Which city?")
    server.accept_task(ended_task(), [asked, event(2, "task.completed")])
    ran = parley("run", "Forecast")
    assert "asks you: Which city?" in ran.stdout
    assert f'parley answer {TASK_ID} "..." --step 3' in ran.stdout
    assert not server.requests("POST", f"{TASK}/input")


def test_request_whose_answer_broke_off_is_sent_again_under_the_same_key(
    server: ScriptedCoordinator, parley: Any
) -> None:
    server.accept_task(ended_task(), [*DONE])
    server.cut_once.add(("POST", "/api/tasks"))
    assert parley("run", "Say hello").exit_code == 0
    first, second = server.requests("POST", "/api/tasks")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def started(server: ScriptedCoordinator, tmp_path: Path, **options: Any) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "TERM": "xterm"}
    command = [*PARLEY, "run", "Say hello", "--url", server.url]
    return subprocess.Popen(command, cwd=tmp_path, env=environment, **options)


def output_until(process: "subprocess.Popen[bytes]", words: bytes) -> bytes:
    assert process.stdout is not None
    read = b""
    while words not in read:
        line = process.stdout.readline()
        assert line, read
        read += line
    return read


def test_first_ctrl_c_cancels_and_waits_for_the_confirmation(
    server: ScriptedCoordinator, tmp_path: Path
) -> None:
    canceled = threading.Event()
    server.accept_task(
        ended_task("canceled"), [event(1, "task.waiting", reason="busy"), canceled, event(2, "task.canceled")]
    )
    server.answer("POST", f"{TASK}/cancel", ended_task("executing"), 202, releases=canceled)
    with started(server, tmp_path, stdout=subprocess.PIPE) as process:
        output_until(process, b"busy")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Canceling the task" in rest
    assert b"The task is canceled." in rest


def test_second_ctrl_c_leaves_at_once(server: ScriptedCoordinator, tmp_path: Path) -> None:
    never = threading.Event()
    server.accept_task(ended_task(), [event(1, "task.waiting", reason="busy"), never])
    server.answer("POST", f"{TASK}/cancel", ended_task("executing"), 202)
    with started(server, tmp_path, stdout=subprocess.PIPE) as process:
        output_until(process, b"busy")
        process.send_signal(signal.SIGINT)
        output_until(process, b"Canceling")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"Left. Where the task stands: parley task {TASK_ID}".encode() in rest


@contextmanager
def on_a_terminal(server: ScriptedCoordinator, tmp_path: Path) -> "Iterator[Typing]":
    """`parley run` with a person before it."""
    screen, terminal = pty.openpty()
    with started(server, tmp_path, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        try:
            yield Typing(process, screen)
        finally:
            process.kill()
    os.close(screen)


@dataclass(slots=True)
class Typing:
    process: "subprocess.Popen[bytes]"
    screen: int
    shown: bytes = b""

    def until(self, words: bytes) -> None:
        while words not in self.shown:
            self.shown += os.read(self.screen, 4096)

    def type(self, text: bytes) -> None:
        os.write(self.screen, text)

    def exit_code(self) -> int:
        drain = threading.Thread(target=_read_to_the_end, args=(self.screen,))
        drain.start()
        code = self.process.wait(20)
        drain.join()
        return code


def test_question_on_a_terminal_is_asked_and_its_answer_sent(
    server: ScriptedCoordinator, tmp_path: Path
) -> None:
    answered = threading.Event()
    asked = event(1, "task.input_required", step_number=3, question="Which city?")
    server.accept_task(ended_task(), [asked, answered, event(2, "task.completed")])
    server.answer("POST", f"{TASK}/input", ACCEPTED, 202, releases=answered)
    with on_a_terminal(server, tmp_path) as person:
        person.until(b"Your answer: ")
        person.type(b"Oslo\n")
        person.until(b"Hello there.")
        assert person.exit_code() == 0
    [seen] = server.requests("POST", f"{TASK}/input")
    assert json.loads(seen.body) == {"parts": [{"text": "Oslo"}], "step_number": 3}
    assert b"Step 3 asks: Which city?" in person.shown


def test_gate_on_a_terminal_is_opened_by_a_yes(server: ScriptedCoordinator, tmp_path: Path) -> None:
    approved = threading.Event()
    planned = event(1, "task.planned", plan=PLAN)
    gate = [event(2, "step.awaiting_approval", step_number=1), event(3, "task.awaiting_approval")]
    server.accept_task(waiting_task(), [planned, *gate, approved, event(4, "task.completed")])
    server.answer("POST", f"{TASK}/approve", ACCEPTED, 202, releases=approved)
    with on_a_terminal(server, tmp_path) as person:
        person.until(b"leave it waiting: ")
        server.answer("GET", TASK, ended_task())
        person.type(b"yes\n")
        person.until(b"Hello there.")
        assert person.exit_code() == 0
    [seen] = server.requests("POST", f"{TASK}/approve")
    assert json.loads(seen.body) == {"step_number": 1}
    assert b"Step 1 needs your approval: Say hello" in person.shown


def test_gate_on_a_terminal_stays_closed_with_anything_but_a_yes(
    server: ScriptedCoordinator, tmp_path: Path
) -> None:
    server.accept_task(waiting_task(), [*GATE, threading.Event()])
    with on_a_terminal(server, tmp_path) as person:
        person.until(b"leave it waiting: ")
        person.type(b"why\n")
        person.until(b"To refuse it")
        assert person.exit_code() == 3
    assert not server.requests("POST", f"{TASK}/approve")


def test_ctrl_c_at_a_gate_cancels_the_task(server: ScriptedCoordinator, tmp_path: Path) -> None:
    canceled = threading.Event()
    server.accept_task(waiting_task(), [*GATE, canceled, event(3, "task.canceled")])
    server.answer("POST", f"{TASK}/cancel", ended_task("canceled"), 202, releases=canceled)
    with on_a_terminal(server, tmp_path) as person:
        person.until(b"leave it waiting: ")
        server.answer("GET", TASK, ended_task("canceled"))
        person.process.send_signal(signal.SIGINT)
        person.until(b"The task is canceled.")
        assert person.exit_code() == 130


def _read_to_the_end(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        return
