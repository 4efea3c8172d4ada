"""`parley dev` as a process of its own: a real file that changes, real requests, a real Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Protocol

import httpx
import pytest

from coordinator.cli.new import new_agent
from tests.support.network import free_port

ROOT = Path(__file__).parents[2]
PARLEY = [sys.executable, "-c", "from coordinator.cli.main import app; app()"]
WITHIN_S = 30
STREAM = """
from collections.abc import AsyncGenerator
from a2a import Agent, InputRequired, Progress, Request

helper = Agent(name="Helper", description="Helps.", version="1")


@helper.skill(id="stream", description="Say it in pieces", tags=["stream"])
async def stream(request: Request) -> AsyncGenerator[str | Progress]:
    yield Progress("thinking")
    for number in range(5):
        yield f"{number} "


@helper.skill(id="ask", description="Ask back", tags=["question"])
async def ask(request: Request) -> str:
    if not request.history:
        raise InputRequired("Which one?")
    return f"{request.text} it is"


@helper.skill(id="crash", description="Break", tags=["crash"])
async def crash(request: Request) -> str:
    raise RuntimeError("broken on purpose")
"""
TWO_AGENTS = """
from a2a import Agent
a = Agent(name="a", description="a", version="1")
b = Agent(name="b", description="b", version="1")
"""


class Start(Protocol):
    def __call__(self, file: Path, until: str = ...) -> "Dev":
        """Returns once a line matches `until`: by default, when it serves."""


class Dev:
    """A running `parley dev`; its lines are read by a thread, so that waiting for one has an end."""

    def __init__(self, file: Path, *options: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [*PARLEY, "dev", str(file), "--port", str(self.port), *options],
            cwd=file.parent,
            env=kept | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.read: list[str] = []
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def until(self, pattern: str) -> str:
        while True:
            try:
                line = self._lines.get(timeout=WITHIN_S)
            except Empty:
                raise AssertionError(f"no {pattern!r} in:\n{''.join(self.read)}") from None
            self.read.append(line)
            if re.search(pattern, line):
                return line.rstrip()

    def interrupt(self) -> None:
        """Ctrl-C: the terminal tells the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> str:
        """What was said until the process ended."""
        self.process.wait(WITHIN_S)
        self._reader.join()
        while not self._lines.empty():
            self.read.append(self._lines.get())
        return "".join(self.read)

    def send(self, text: str, *, path: str = "/message:send", **message: Any) -> httpx.Response:
        message |= {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": [{"text": text}]}
        return httpx.post(
            self.url + path,
            json={"message": message},
            headers={"A2A-Version": "1.0"},
            timeout=WITHIN_S,
            trust_env=False,
        )


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Dev] = []

    def start_dev(file: Path, until: str = "^  stop ") -> Dev:
        started.append(Dev(file))
        started[-1].until(until)
        return started[-1]

    yield start_dev
    for dev in started:
        dev.process.terminate()
        dev.end()
        assert dev.process.stdout is not None
        dev.process.stdout.close()


@pytest.fixture
def greeter(tmp_path: Path) -> Path:
    return new_agent("greeter", tmp_path) / "agent.py"


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    file = tmp_path / "helper_agent.py"
    file.write_text(STREAM)
    return file


def test_the_first_lines_say_where_everything_is(start: Start, greeter: Path) -> None:
    dev = start(greeter)
    said = "".join(dev.read)
    assert f"card    {dev.url}/.well-known/agent-card.json\n" in said
    assert f"docs    {dev.url}/docs\n" in said


def test_the_curl_line_works_as_it_stands(start: Start, greeter: Path) -> None:
    dev = start(greeter)
    line = next(line for line in dev.read if "curl -s" in line).split("try", 1)[1]
    ran = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, text=True, check=True, timeout=WITHIN_S
    )
    assert '"Hello, Ada!"' in ran.stdout


def test_an_exchange_is_shown(start: Start, greeter: Path) -> None:
    dev = start(greeter)
    dev.send("greet Ada")
    assert re.search(
        r"^\d\d:\d\d:\d\d +1  HTTP\+JSON  SendMessage  greet  \"greet Ada\"$", dev.until('greet Ada"$')
    )
    assert re.search(r"1  task \w{8} completed; result \"Hello, Ada!\"  \(\d+ ms\)$", dev.until("completed"))


def test_a_stream_is_shown_as_it_comes_and_chunks_are_counted(start: Start, helper: Path) -> None:
    dev = start(helper)
    dev.send("stream this", path="/message:stream")
    dev.until("SendStreamingMessage  stream")
    dev.until("submitted")
    assert dev.until("thinking").endswith('working "thinking"')
    dev.until('result "0"')
    assert dev.until("more chunk").endswith("result: 4 more chunks")
    dev.until("completed")
    assert re.search(r"\d events in \d+ ms$", dev.until("events in"))


def test_the_skill_of_a_later_turn_is_known(start: Start, helper: Path) -> None:
    dev = start(helper)
    task = dev.send("a question").json()["task"]
    assert dev.until("input required").split("  ")[3].endswith('"Which one?"')
    dev.send("this", taskId=task["id"])
    assert f'SendMessage  ask  task {task["id"][:8]}  "this"' in dev.until('"this"')


def test_a_long_message_is_shown_by_its_beginning_and_reaches_the_skill_whole(
    start: Start, greeter: Path
) -> None:
    dev = start(greeter)
    answer = dev.send("x" * 400_000).json()
    line = dev.until("SendMessage")
    assert len(line) < 250
    assert re.search(r"\(cut; 400,\d\d\d bytes in all\)$", line)
    assert len(answer["task"]["artifacts"][0]["parts"][0]["text"]) == 400_000 + len("Hello, !")


def test_an_error_is_shown_with_its_code(start: Start, helper: Path) -> None:
    dev = start(helper)
    dev.send("x", taskId="missing")
    assert "error 404 TASK_NOT_FOUND" in dev.until("error")


def test_a_skill_that_breaks_is_shown_with_its_traceback(start: Start, helper: Path) -> None:
    dev = start(helper)
    answer = dev.send("crash").text
    dev.until("RuntimeError: broken on purpose")
    assert "broken on purpose" not in answer


def test_a_change_is_served_and_no_request_is_lost_by_it(start: Start, greeter: Path) -> None:
    dev = start(greeter)
    greeter.write_text(greeter.read_text().replace("Hello", "Salut"))
    dev.until("^Serving agent.py")
    assert "Salut, Ada!" in dev.send("greet Ada").text


def test_a_syntax_error_is_shown_and_the_agent_comes_back_after_the_fix(start: Start, greeter: Path) -> None:
    dev = start(greeter)
    good = greeter.read_text()
    greeter.write_text(good + "\ndef (\n")
    dev.until(r'agent\.py", line')
    dev.until("SyntaxError")
    dev.until("again after the next change")
    assert dev.send("greet Ada").status_code == 503
    greeter.write_text(good)
    dev.until("^Serving agent.py")
    assert dev.send("greet Ada").status_code == 200


def test_ctrl_c_ends_it_without_a_traceback_and_frees_the_port(start: Start, greeter: Path) -> None:
    dev = start(greeter)
    dev.interrupt()
    said = dev.end()
    assert dev.process.returncode == 130
    assert "Traceback" not in said
    socket.create_server(("127.0.0.1", dev.port)).close()


def test_a_stream_that_is_open_does_not_keep_it_from_ending(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "slow_agent.py"
    file.write_text(
        STREAM.replace(
            "for number in range(5):",
            "import asyncio\n    await asyncio.sleep(3600)\n    for number in range(5):",
        )
    )
    dev = start(file)

    def follow() -> None:
        with suppress(httpx.TransportError):
            dev.send("stream", path="/message:stream")

    caller = threading.Thread(target=follow)
    caller.start()
    dev.until("thinking")
    dev.interrupt()
    dev.end()
    caller.join(WITHIN_S)
    assert dev.process.returncode == 130


def test_a_port_that_is_taken_is_named(start: Start, greeter: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = subprocess.run(
            [*PARLEY, "dev", str(greeter), "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=WITHIN_S, cwd=ROOT,
        )  # fmt: skip
    assert ran.returncode == 1
    assert f"Port {port} is in use" in ran.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x = 1\n", "has no agent"),
        (TWO_AGENTS, "several agents: a, b"),
        ("import missing_module\n", "ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_served_says_why(start: Start, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "some_agent.py"
    file.write_text(content)
    start(file, until=said)


def test_an_app_without_an_agent_is_served(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "some_agent.py"
    file.write_text(
        STREAM.replace("helper", "made", 1).replace("@helper", "@made") + "\napp = made.app()\ndel made\n"
    )
    dev = start(file)
    assert dev.send("crash").json()["task"]["status"]["state"] == "TASK_STATE_FAILED"


def test_an_agent_that_cannot_start_says_why(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "some_agent.py"
    lifespan = "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def life():\n"
    lifespan += "    raise OSError('no database')\n    yield\n"
    made = "version='1', lifespan=life)"
    file.write_text(lifespan + STREAM.replace('version="1")', made))
    start(file, until="no database").until("could not start")


def test_a_setting_that_cannot_be_used_is_named(start: Start, greeter: Path) -> None:
    (greeter.parent / ".env").write_text("AGENT_MAX_RUNNING=many\n")
    ran = subprocess.run(
        [*PARLEY, "dev", "agent.py", "--port", "0"], cwd=greeter.parent, env={"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=WITHIN_S,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.startswith("AGENT_MAX_RUNNING: ")
