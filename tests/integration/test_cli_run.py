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
PLAN = {
    "planner": "rules",
    "strategy": "auto",
    "notes": [],
    "steps": [{"number": 1, "instruction": "Say hello", "depends_on": []}],
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


def test_question_on_a_terminal_is_asked_and_its_answer_sent(
    server: ScriptedCoordinator, tmp_path: Path
) -> None:
    answered = threading.Event()
    asked = event(1, "task.input_required", step_number=3, question="Which city?")
    server.accept_task(ended_task(), [asked, answered, event(2, "task.completed")])
    server.answer("POST", f"{TASK}/input", ACCEPTED, 202, releases=answered)
    screen, terminal = pty.openpty()
    with started(server, tmp_path, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        while b"Your answer: " not in shown:
            shown += os.read(screen, 4096)
        os.write(screen, b"Oslo\n")
        while b"Hello there." not in shown:
            shown += os.read(screen, 4096)
        drain = threading.Thread(target=_read_to_the_end, args=(screen,))
        drain.start()
        assert process.wait(20) == 0
    drain.join()
    os.close(screen)
    [seen] = server.requests("POST", f"{TASK}/input")
    assert json.loads(seen.body) == {"parts": [{"text": "Oslo"}], "step_number": 3}
    assert b"Step 3 asks: Which city?" in shown


def _read_to_the_end(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        return
