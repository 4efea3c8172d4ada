"""A coordinator that serves the agents of a folder: real files that come, change, break and go.

Where the address has to stay, the file's name, which gives the port, is that of one test alone: tests run
beside each other.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.loader.ports import FIRST_PORT, PORTS
from tests.support.network import Network, until

WITHIN_S = 30.0
AGENT = """
import os
from a2a import Agent, Request

agent = Agent(name="NAME", description="Answers.", version="1.0.0")


@agent.skill(id="SKILL", description="Answer with SKILL", tags=["SKILL"])
async def answer(request: Request) -> str:
    return "TEXT"
"""


class Folder:
    """AGENTS_DIR of a network with a coordinator."""

    def __init__(self, path: Path, network: Network) -> None:
        self.path = path
        self.network = network

    def write(self, name: str, text: str = "", *, skill: str = "", code: str = AGENT) -> None:
        skill = skill or name.removesuffix(".py")
        filled = code.replace("NAME", f"Agent {skill}").replace("SKILL", skill).replace("TEXT", text)
        whole = self.path / f".{name}.new"
        whole.write_text(filled)
        whole.rename(self.path / name)

    def files(self) -> dict[str, dict[str, Any]]:
        listed = self.network.http.get("/api/loader").json()["files"]
        return {file["file"]: file for file in listed}

    def file(self, name: str) -> dict[str, Any]:
        return self.files().get(name, {})

    def until(self, name: str, state: str, error: str | None = None) -> dict[str, Any]:
        """The file once it is in this state, with an error of this content."""

        def is_so() -> bool:
            file = self.file(name)
            has_error = error is None or error in (file.get("error") or "")
            return file.get("state") == state and has_error

        try:
            until(is_so, within_s=WITHIN_S, what=f"{name} is {state} ({error})")
        except AssertionError as exc:
            raise AssertionError(f"{exc}: {self.file(name)}\n{self.network.log_of('coordinator')}") from None
        return self.file(name)

    def until_said(self, name: str, error: str) -> None:
        until(lambda: error in (self.file(name).get("error") or ""), within_s=60, what=f"{name}: {error}")

    def until_replaced(self, name: str, pid: int) -> dict[str, Any]:
        """Up again, in another process."""
        until(lambda: self.file(name)["pid"] not in (None, pid), within_s=WITHIN_S, what=f"{name} replaced")
        return self.until(name, "serving")

    def until_up(self, name: str) -> dict[str, Any]:
        self.until(name, "serving")
        until(
            lambda: self.network.health_of(self.file(name)["url"]) == "up",
            within_s=WITHIN_S,
            what=f"{name} registered",
        )
        return self.file(name)

    def answer(self, skill: str) -> str:
        """What a task for the skill comes to."""
        return self.outcome(self.begin(skill))

    def begin(self, skill: str) -> str:
        plan = {"steps": [{"number": 1, "instruction": "say", "skill_id": skill, "depends_on": []}]}
        return self.network.create(description="say", plan=plan)

    def outcome(self, task_id: str) -> str:
        task = self.network.ended(task_id)
        assert task["status"] == "completed", task
        return str(task["result"]["text"])


@pytest.fixture
def folder(tmp_path: Path, bare_network: Network) -> Folder:
    path = tmp_path / "agents"
    path.mkdir()
    bare_network.start_coordinator(AGENTS_DIR=str(path), AGENTS_START_TIMEOUT_S="20", TASKS_GRACE_S="5")
    return Folder(path, bare_network)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until_dead(pid: int) -> None:
    until(lambda: not is_alive(pid), within_s=WITHIN_S, what=f"{pid} has ended")


def test_a_file_that_appears_is_served_and_does_a_task(folder: Folder) -> None:
    folder.write("greet.py", "hello")
    file = folder.until_up("greet.py")
    assert folder.answer("greet") == "hello"
    assert file["agent_name"] == "Agent greet"
    assert FIRST_PORT <= int(file["url"].rsplit(":")[-1]) < FIRST_PORT + PORTS
    assert file["agent_id"] in {
        agent["id"] for agent in folder.network.http.get("/api/agents").json()["agents"]
    }


def test_a_changed_file_is_served_by_a_new_process_and_keeps_its_id(folder: Folder) -> None:
    folder.write("greet.py", "hello")
    before = folder.until_up("greet.py")
    folder.write("greet.py", "good day")
    folder.until_replaced("greet.py", before["pid"])
    after = folder.until_up("greet.py")
    assert folder.answer("greet") == "good day"
    assert (after["agent_id"], after["url"]) == (before["agent_id"], before["url"])
    assert not is_alive(before["pid"])


def test_a_task_that_runs_during_a_change_is_ended_by_the_old_version(folder: Folder) -> None:
    began = folder.path / "began"
    slow = AGENT.replace("import os\n", "import asyncio, pathlib\n").replace(
        '    return "TEXT"',
        f"    pathlib.Path({str(began)!r}).touch()\n    await asyncio.sleep(3)\n    return 'TEXT'",
    )
    folder.write("greet.py", "old", code=slow)
    pid = folder.until_up("greet.py")["pid"]
    running = folder.begin("greet")
    until(began.exists, within_s=WITHIN_S, what="the task runs")
    folder.write("greet.py", "new", code=slow)
    folder.until_replaced("greet.py", pid)
    assert folder.outcome(running) == "old"
    folder.until_up("greet.py")
    assert folder.answer("greet") == "new"


def test_a_broken_change_is_reported_and_the_old_version_and_the_others_go_on(folder: Folder) -> None:
    folder.write("greet.py", "hello")
    folder.write("other.py", "other")
    before, other = folder.until_up("greet.py"), folder.until_up("other.py")
    folder.write("greet.py", code="x = 1 +\n")
    broken = folder.until("greet.py", "serving", "SyntaxError: invalid syntax (greet.py, line 1)")
    assert (broken["pid"], broken["since"]) == (before["pid"], before["since"])
    assert folder.answer("greet") == "hello"
    assert folder.file("other.py") == other
    folder.write("greet.py", "mended")
    folder.until_replaced("greet.py", before["pid"])
    assert folder.until_up("greet.py")["error"] is None
    assert folder.answer("greet") == "mended"


def test_a_deleted_file_is_gone_from_routing_and_may_come_back(folder: Folder) -> None:
    folder.write("returning.py", "hello")
    before = folder.until_up("returning.py")
    (folder.path / "returning.py").unlink()
    until(lambda: folder.files() == {}, within_s=WITHIN_S, what="gone")
    assert folder.network.http.get("/api/agents").json()["agents"] == []
    assert not is_alive(before["pid"])
    folder.write("returning.py", "again")
    after = folder.until_up("returning.py")
    assert folder.answer("returning") == "again"
    assert (after["agent_id"], after["url"]) == (before["agent_id"], before["url"])


def test_an_agent_that_an_operator_removed_does_not_come_back_with_its_file(folder: Folder) -> None:
    folder.write("greet.py", "hello")
    file = folder.until_up("greet.py")
    assert folder.network.http.delete(f"/api/agents/{file['agent_id']}").status_code == 204
    folder.write("greet.py", "another")
    folder.until_replaced("greet.py", file["pid"])
    folder.until("greet.py", "serving")
    until(
        lambda: "an operator removed this agent" in folder.network.log_of("coordinator"),
        within_s=WITHIN_S,
        what="refused",
    )
    assert folder.network.http.get("/api/agents").json()["agents"] == []


def test_the_agents_end_with_a_coordinator_that_is_killed_and_come_back_with_the_next(folder: Folder) -> None:
    folder.write("killed.py", "hello")
    folder.write("killed_too.py", "other")
    before = {name: folder.until_up(name) for name in ("killed.py", "killed_too.py")}
    folder.network.kill("coordinator")
    for file in before.values():
        until_dead(file["pid"])
    folder.network.start_coordinator(AGENTS_DIR=str(folder.path), TASKS_GRACE_S="1")
    for name, file in before.items():
        after = folder.until_up(name)
        assert (after["agent_id"], after["url"]) == (file["agent_id"], file["url"])
    assert folder.answer("killed") == "hello"


def test_the_agents_end_with_a_coordinator_that_is_stopped(folder: Folder) -> None:
    folder.write("greet.py", "hello")
    pid = folder.until_up("greet.py")["pid"]
    folder.network.terminate("coordinator")
    assert not is_alive(pid)


def test_a_file_deleted_while_no_coordinator_was_there_is_gone_with_the_next(folder: Folder) -> None:
    folder.write("left.py", "hello")
    folder.until_up("left.py")
    folder.network.terminate("coordinator")
    (folder.path / "left.py").unlink()
    folder.network.start_coordinator(AGENTS_DIR=str(folder.path))
    until(
        lambda: folder.network.http.get("/api/agents").json()["agents"] == [],
        within_s=WITHIN_S,
        what="gone",
    )


def test_an_agent_that_dies_is_started_again(folder: Folder) -> None:
    folder.write("dying.py", "hello")
    before = folder.until_up("dying.py")
    os.kill(before["pid"], 9)
    until(lambda: folder.file("dying.py")["restarts"] == 1, within_s=WITHIN_S, what="seen")
    after = folder.until_up("dying.py")
    assert after["agent_id"] == before["agent_id"]
    assert folder.answer("dying") == "hello"


BROKEN = {
    "syntax.py": ("x = 1 +\n", "SyntaxError: invalid syntax (syntax.py, line 1)"),
    "imports.py": ("import missing_module\n", "No module named 'missing_module' (imports.py, line 1)"),
    "raises.py": ("def f():\n    raise ValueError('no')\nf()\n", "ValueError: no (raises.py, line 2)"),
    "exits.py": ("exit(0)\n", "it calls exit(0) when it is loaded (exits.py, line 1)"),
    "vanishes.py": ("import os\nos._exit(0)\n", "ended with exit code 0 before it served"),
    "no_agent.py": ("x = 1\n", "it has no `agent`"),
    "number.py": ("agent = 3\n", "its `agent` is no a2a.Agent: it is of type int"),
    "asks.py": ("input()\n", "EOFError"),
    "no_start.py": (
        "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def life():\n"
        "    raise OSError('no disk')\n    yield\n" + AGENT.replace('"1.0.0"', '"1.0.0", lifespan=life'),
        "it could not start: OSError: no disk (no_start.py, line 4)",
    ),
}  # fmt: skip


def test_whatever_is_wrong_with_a_file_is_said_and_disturbs_no_other(folder: Folder) -> None:
    for name, (code, _) in BROKEN.items():
        folder.write(name, code=code)
    (folder.path / "folder.py").mkdir()
    (folder.path / "large.py").write_text("#" * 10_000_000)
    (folder.path / "nowhere.py").symlink_to("missing.py")
    outside = folder.path.parent / "outside.py"
    outside.write_text(AGENT)
    (folder.path / "outside.py").symlink_to(outside)
    (folder.path / "_shared.py").write_text("said = 'from a module beside it'\n")
    os.mkfifo(folder.path / "pipe.py")
    # The name of a module that all the others use.
    folder.write("json.py", "stdlib")
    folder.write("fine.py", code="from _shared import said\n" + AGENT.replace('"TEXT"', "said"))
    expected = {name: error for name, (_, error) in BROKEN.items()} | {
        "folder.py": "not a regular file",
        "pipe.py": "not a regular file",
        "large.py": "too large: 10,000,000 bytes",
        "nowhere.py": "cannot be read",
        "outside.py": "a link that leads out of the folder",
    }
    for name, error in expected.items():
        folder.until_said(name, error)
    for name in ("fine.py", "json.py"):
        folder.until_up(name)
    assert folder.answer("fine") == "from a module beside it"
    assert folder.answer("json") == "stdlib"


def test_a_file_that_loops_when_it_is_loaded_is_reported_and_ends_when_it_is_mended(
    tmp_path: Path, bare_network: Network
) -> None:
    path = tmp_path / "agents"
    path.mkdir()
    folder = Folder(path, bare_network)
    folder.write("loops.py", code="while True:\n    pass\n")
    folder.write("greet.py", "hello")
    bare_network.start_coordinator(AGENTS_DIR=str(path), AGENTS_START_TIMEOUT_S="6", TASKS_GRACE_S="1")
    folder.until("loops.py", "broken", "it was not ready within 6 s")
    folder.until_up("greet.py")
    assert folder.answer("greet") == "hello"
    folder.write("loops.py", "done")
    folder.until_up("loops.py")
    assert folder.answer("loops") == "done"


@pytest.mark.parametrize("end", [Network.kill, Network.terminate])
def test_a_coordinator_that_ends_while_a_file_loops_leaves_no_process(
    folder: Folder, end: Callable[[Network, str], None]
) -> None:
    note = folder.path / "pid"
    code = f"import os\nopen({str(note)!r}, 'w').write(str(os.getpid()))\nwhile True: pass\n"
    folder.write("loops.py", code=code)
    until(lambda: note.exists() and note.read_text(), within_s=WITHIN_S, what="it loops")
    end(folder.network, "coordinator")
    until_dead(int(note.read_text()))


def test_agents_see_no_secret_and_what_they_print_is_in_the_log(
    tmp_path: Path, bare_network: Network
) -> None:
    path = tmp_path / "agents"
    path.mkdir()
    folder = Folder(path, bare_network)
    code = AGENT.replace('"TEXT"', '" ".join(os.environ)') + 'print("a line that was printed")\n'
    folder.write("env.py", code=code)
    bare_network.start_coordinator(AGENTS_DIR=str(path), OPENAI_API_KEY="sk-1", AGENT_SIGNING_KEY_ID="x")
    folder.until_up("env.py")
    names = set(folder.answer("env").split())
    assert {"COORDINATOR_URL", "AGENT_URL", "PATH"} <= names
    assert not {"DATABASE_URL", "OPENAI_API_KEY", "AGENT_SIGNING_KEY_ID", "AGENTS_DIR"} & names
    assert "line='a line that was printed'" in bare_network.log_of("coordinator")


def test_two_files_with_an_agent_of_one_name_are_both_served_and_said(folder: Folder) -> None:
    folder.write("one.py", "one", skill="greet")
    folder.write("two.py", "two", skill="greet")
    for name in ("one.py", "two.py"):
        folder.until_up(name)
    assert {file["warning"] for file in folder.files().values()} == {
        "another file has an agent called 'Agent greet' too"
    }


def test_a_folder_that_is_not_there_yet_is_reported_and_looked_at_when_it_comes(
    tmp_path: Path, bare_network: Network
) -> None:
    path = tmp_path / "agents"
    bare_network.start_coordinator(AGENTS_DIR=str(path))
    loader = bare_network.http.get("/api/loader").json()
    assert loader["dir"] == str(path)
    until(
        lambda: "No such file" in (bare_network.http.get("/api/loader").json()["error"] or ""),
        within_s=WITHIN_S,
        what="reported",
    )
    path.mkdir()
    folder = Folder(path, bare_network)
    folder.write("greet.py", "hello")
    folder.until_up("greet.py")


def test_without_a_folder_there_is_nothing(bare_network: Network) -> None:
    bare_network.start_coordinator()
    response: httpx.Response = bare_network.http.get("/api/loader")
    assert response.json() == {"dir": None, "error": None, "files": []}
