"""docs/agents.md, tried as a reader would: each file is served, each shell block is run, each table is so."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from pydantic import HttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from a2a import Agent
from a2a.errors import WIRE
from a2a.settings import AgentSettings
from coordinator.cli.dev_server import load
from coordinator.cli.new import new_agent
from tests.conftest import Serve
from tests.support.network import free_port, until
from tests.support.server import serving

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "agents.md").read_text()
PORT = "8100"
ADA = {"X-API-Key": "ada-has-a-long-key"}
BOB = {"X-API-Key": "bob-has-another-key"}
ROBOT = {"Authorization": "Bearer a-token-of-the-robot"}


def blocks(language: str) -> dict[str, str]:
    """The fenced blocks whose first line is a comment with a name, by that name."""
    found = re.findall(rf"^```{language}\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(dict(found)) == len(found)
    return dict(found)


FILES = blocks("python")
SHELL = blocks("sh")
AGENTS = sorted(name for name, code in FILES.items() if "agent.app()\n" in code and "def test_" not in code)


def test_every_block_of_python_has_the_name_of_a_file() -> None:
    assert len(re.findall(r"^```python$", PAGE, re.MULTILINE)) == len(FILES)


def test_the_first_agent_is_the_one_that_the_command_makes(tmp_path: Path) -> None:
    made = new_agent("weather", tmp_path)
    assert (made / "agent.py").read_text() == FILES["agent.py"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for name, code in FILES.items():
        (folder / name).write_text(code)
    return folder


@pytest.fixture(scope="module")
def module_of(folder: Path) -> Iterator[Callable[[str], ModuleType]]:
    path = list(sys.path)
    yield cache(lambda name: load(folder / name))
    sys.path[:] = path
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


class Caller:
    """A served agent, asked over HTTP+JSON."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, headers={"A2A-Version": "1.0"}, trust_env=False)

    def close(self) -> None:
        self.http.close()

    def send(
        self, *parts: dict[str, Any], headers: dict[str, str] | None = None, **message: Any
    ) -> httpx.Response:
        body = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": list(parts), **message}
        return self.http.post("/message:send", json={"message": body}, headers=headers)

    def task(self, text: str, **message: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.send({"text": text}, **message).json()["task"]
        return found

    def told(self, text: str, **message: Any) -> tuple[str, str]:
        """The task's state and what its status says."""
        status = self.task(text, **message)["status"]
        return status["state"].removeprefix("TASK_STATE_"), status["message"]["parts"][0]["text"]

    def refusal(self, response: httpx.Response) -> tuple[int, str | None]:
        details = response.json()["error"]["details"]
        return response.status_code, next((d["reason"] for d in details if "reason" in d), None)


Served = Callable[[str], Caller]


@pytest.fixture
def served(module_of: Callable[[str], ModuleType]) -> Iterator[Served]:
    with ExitStack() as stack:

        def start(name: str) -> Caller:
            agent: Agent = module_of(name).agent
            listening = socket.create_server(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            app = agent.app(AgentSettings(agent_url=HttpUrl(url), coordinator_url=None))
            stack.enter_context(serving(app, listening=listening))
            return stack.enter_context(closing(Caller(url)))

        yield start


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_serves_its_card(served: Served, name: str) -> None:
    caller = served(name)
    assert caller.http.get("/.well-known/agent-card.json").json()["skills"]
    assert caller.http.get("/docs").status_code == 200
    assert caller.http.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("name", sorted(SHELL.keys() & FILES.keys()))
def test_every_curl_line_is_answered(served: Served, name: str) -> None:
    caller = served(name)
    script = SHELL[name].replace(f"http://127.0.0.1:{PORT}", caller.url)
    ran = subprocess.run(["/bin/bash", "-ec", script], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout
    assert '"error"' not in ran.stdout
    assert "REJECTED" not in ran.stdout


def test_the_files_pass_mypy_and_ruff(folder: Path, tmp_path: Path) -> None:
    environment = {"MYPYPATH": str(ROOT), "PATH": os.environ["PATH"]}
    for command in (
        ["mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", *FILES],
        ["ruff", "check", "--isolated", "--no-cache", *FILES],
        ["ruff", "format", "--isolated", "--line-length=110", "--check", "--no-cache", *FILES],
    ):
        ran = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=110,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_test_of_the_page_passes(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_agent.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_client_of_the_page_shows_each_event(folder: Path, served: Served) -> None:
    ran = subprocess.run(
        [sys.executable, "ask.py", served("story.py").url, "a story"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    kinds = [line[2:].split('"', 1)[0] for line in ran.stdout.splitlines()]
    assert kinds == ["task", *["statusUpdate"] * 2, *["artifactUpdate"] * 5, "statusUpdate"]


def test_parts_come_in_and_go_out(served: Served) -> None:
    caller = served("parts.py")
    file = {"raw": "YQoxCjIK", "mediaType": "text/csv", "filename": "a.csv"}
    task = caller.send({"text": "look"}, {"data": {"city": "Oslo"}}, file).json()["task"]
    result, rows = task["artifacts"]
    assert result["parts"] == [
        {"text": "You said: look"},
        {"data": {"files": ["a.csv"], "data": [{"city": "Oslo"}]}},
    ]
    assert (rows["name"], rows["parts"][0]["filename"]) == ("rows", "rows.csv")


def test_a_media_type_that_is_not_promised_is_refused(served: Served) -> None:
    caller = served("parts.py")
    refused = caller.send({"raw": "AAAA", "mediaType": "image/png"})
    assert caller.refusal(refused) == (400, "CONTENT_TYPE_NOT_SUPPORTED")


def test_a_caller_gets_the_media_type_it_would_like(served: Served) -> None:
    caller = served("sums.py")
    message = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "add 2 and 3"}]}
    for wanted, parts in ([], [{"text": "The sum is 5."}]), (["application/json"], [{"data": {"sum": 5}}]):
        message["messageId"] = str(wanted)
        body = {"message": message, "configuration": {"acceptedOutputModes": wanted}}
        task = caller.http.post("/message:send", json=body).json()["task"]
        assert task["artifacts"][0]["parts"] == parts


def test_a_caller_that_does_not_stream_gets_the_whole(served: Served) -> None:
    result, statistics = served("story.py").task("a story")["artifacts"]
    assert "".join(part["text"] for part in result["parts"]) == "Once upon a time"
    assert statistics["parts"] == [{"data": {"words": 4}}]


def test_a_question_is_answered_in_the_next_turn(served: Served) -> None:
    caller = served("booking.py")
    asked = caller.task("a table")
    assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    done = caller.task("four", taskId=asked["id"])
    assert done["artifacts"][0]["parts"] == [{"text": "Booked: a table, four"}]


def test_authorisation_is_asked_for_and_the_task_goes_on(served: Served) -> None:
    caller = served("booking.py")
    asked = caller.task("a table as member")
    assert asked["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"
    assert caller.task("done", taskId=asked["id"])["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize(
    ("text", "state", "said"),
    [
        ("a table tomorrow", "REJECTED", "Tables are booked for today only. Ask again tomorrow."),
        ("sold out", "FAILED", "The restaurant does not answer."),
        ("a table", "INPUT_REQUIRED", "For how many people?"),
    ],
)
def test_what_a_skill_raises_is_a_state_of_the_task(served: Served, text: str, state: str, said: str) -> None:
    assert served("booking.py").told(text) == (state, said)


def test_a_retryable_failure_says_so(served: Served) -> None:
    status = served("booking.py").task("sold out")["status"]
    assert status["message"]["metadata"] == {"retryable": True}


def test_a_task_that_waits_is_canceled_and_the_hook_is_called(
    served: Served, module_of: Callable[[str], ModuleType]
) -> None:
    caller = served("booking.py")
    task_id = caller.task("a table")["id"]
    held: set[str] = module_of("booking.py").held
    assert task_id in held
    canceled = caller.http.post(f"/tasks/{task_id}:cancel").json()
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
    assert task_id not in held
    assert caller.refusal(caller.http.post(f"/tasks/{task_id}:cancel")) == (400, "TASK_NOT_CANCELABLE")
    assert caller.refusal(caller.send({"text": "x"}, taskId=task_id)) == (400, "UNSUPPORTED_OPERATION")


def test_the_protocols_refusals_are_as_the_table_says(served: Served) -> None:
    caller = served("agent.py")
    assert caller.refusal(caller.send({"text": "x"}, headers={"A2A-Version": ""})) == (
        400,
        "VERSION_NOT_SUPPORTED",
    )
    assert caller.refusal(caller.send({"text": "x"}, taskId="none")) == (404, "TASK_NOT_FOUND")
    without_parts = caller.send()
    assert without_parts.status_code == 400
    fields = [
        v["field"] for d in without_parts.json()["error"]["details"] for v in d.get("fieldViolations", ())
    ]
    assert fields == ["message.parts"]


def test_each_code_in_the_table_is_the_protocols() -> None:
    rows = re.findall(r"^\| .+ \| (-\d+) \| (\d+) \| `([A-Z_]+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 8
    for code, status, reason in rows:
        wire = next(wire for wire in WIRE.values() if wire.reason == reason)
        assert (wire.rpc_code, wire.http_status) == (int(code), int(status)), reason


def test_a_message_goes_to_the_skill_it_names_or_fits(served: Served) -> None:
    caller = served("desk.py")
    assert caller.task("shout: hi")["artifacts"][0]["parts"] == [{"text": "SHOUT: HI"}]
    named = caller.task("is anybody there", metadata={"skillId": "shout"})
    assert named["artifacts"][0]["parts"] == [{"text": "IS ANYBODY THERE"}]


def test_a_reply_is_a_message_without_a_task(served: Served) -> None:
    assert served("desk.py").send({"text": "is anybody there"}).json()["message"]["parts"] == [
        {"text": "Yes."}
    ]


@pytest.mark.parametrize("message", [{}, {"metadata": {"skillId": "sing"}}])
def test_a_message_that_no_skill_takes_is_rejected_with_their_names(
    served: Served, message: dict[str, Any]
) -> None:
    state, said = served("desk.py").told("42", **message)
    assert state == "REJECTED"
    assert "ping, shout" in said


def test_resources_are_there_while_it_serves(served: Served) -> None:
    assert served("library.py").task("is the library open")["artifacts"][0]["parts"] == [{"text": "open"}]


def test_callers_see_their_own_tasks_and_known_ones_the_whole_card(served: Served) -> None:
    caller = served("vault.py")
    assert caller.refusal(caller.send({"text": "count"})) == (401, "UNAUTHENTICATED")
    task = caller.send({"text": "count"}, headers=ADA).json()["task"]
    assert caller.http.get(f"/tasks/{task['id']}", headers=ADA).status_code == 200
    assert caller.http.get(f"/tasks/{task['id']}", headers=BOB).status_code == 404
    public = caller.http.get("/.well-known/agent-card.json").json()
    extended = caller.http.get("/extendedAgentCard", headers=ADA).json()
    assert [skill["id"] for skill in public["skills"]] == ["count"]
    assert [skill["id"] for skill in extended["skills"]] == ["count", "open"]


def test_a_private_skill_asks_for_its_own_credential(served: Served) -> None:
    caller = served("vault.py")
    message = {"metadata": {"skillId": "open"}}
    assert caller.send({"text": "x"}, headers=ADA, **message).status_code == 401
    assert "The vault is open." in caller.send({"text": "x"}, headers=ROBOT, **message).text


def test_a_call_without_a_token_is_refused_by_the_guarded_agent(served: Served) -> None:
    caller = served("guarded.py")
    card = caller.http.get("/.well-known/agent-card.json").json()
    assert card["securityRequirements"] == [{"schemes": {"oauth2": {"list": ["reports.read"]}}}]
    assert caller.refusal(caller.send({"text": "x"})) == (401, "UNAUTHENTICATED")


def test_the_older_protocol_is_answered_where_it_is_declared(served: Served) -> None:
    caller = served("full.py")
    message = {"kind": "message", "messageId": "1", "role": "user", "parts": [{"kind": "text", "text": "hi"}]}
    call = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}}
    answer = caller.http.post("/", json=call, headers={"A2A-Version": "0.3"}).json()
    assert answer["result"]["status"]["state"] == "completed"


def test_an_agent_below_a_path_answers_there_and_at_the_root(
    serve: Serve, module_of: Callable[[str], ModuleType]
) -> None:
    settings = AgentSettings(agent_url=HttpUrl("https://agents.example.com/weather"), coordinator_url=None)
    url = serve(module_of("agent.py").agent.app(settings))
    for base in (url, f"{url}/weather"):
        with closing(Caller(base)) as caller:
            assert caller.http.get("/.well-known/agent-card.json").status_code == 200
            assert caller.task("greet Ada")["status"]["state"] == "TASK_STATE_COMPLETED"


def test_every_setting_of_an_agent_is_in_the_table_with_its_default_and_in_use() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `?(.*?)`? \|", PAGE, re.MULTILINE))
    assert rows.keys() == {name.upper() for name in AgentSettings.model_fields}
    for name, field in AgentSettings.model_fields.items():
        if isinstance(field.default, int | float | str) and not isinstance(field.default, bool):
            assert type(field.default)(rows[name.upper()]) == field.default
        assert name.startswith("coordinator_") or f"{name.upper()}=" in SHELL["settings"]


@contextmanager
def with_all_settings(folder: Path, port: int, grpc_port: int) -> Iterator[Caller]:
    """The agent of the page as the page starts it, in the folder, on other ports."""
    folder.mkdir(exist_ok=True)
    (folder / "agent.py").write_text(FILES["agent.py"].replace(PORT, str(port)))
    script = SHELL["settings"].replace(PORT, str(port)).replace("50051", str(grpc_port))
    script = script.replace("python agent.py", "exec python agent.py")
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (
        subprocess.Popen(["/bin/bash", "-ec", script], cwd=folder, env=environment) as process,
        closing(Caller(f"http://127.0.0.1:{port}")) as caller,
    ):
        try:
            until(lambda: is_up(caller), within_s=30, what="the agent with all settings")
            yield caller
        finally:
            process.terminate()


def is_up(caller: Caller) -> bool:
    try:
        return caller.http.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def test_the_settings_of_the_page_work_together_and_tasks_survive_a_restart(tmp_path: Path) -> None:
    port, grpc_port = free_port(), free_port()
    with with_all_settings(tmp_path, port, grpc_port) as caller:
        card = caller.http.get("/.well-known/agent-card.json").json()
        task = caller.task("greet Ada")
        socket.create_connection(("127.0.0.1", grpc_port)).close()
    assert card["signatures"]
    assert [i["protocolBinding"] for i in card["supportedInterfaces"]] == ["JSONRPC", "HTTP+JSON", "GRPC"]
    with with_all_settings(tmp_path, port, grpc_port) as caller:
        assert caller.http.get(f"/tasks/{task['id']}").json() == task


def test_the_page_gets_its_push_notifications(served: Served, serve: Serve) -> None:
    received: list[dict[str, Any]] = []

    async def take(request: Request) -> Response:
        assert request.headers["X-A2A-Notification-Token"] == "mine"
        received.append(await request.json())
        return Response(status_code=204)

    hook = serve(Starlette(routes=[Route("/hook", take, methods=["POST"])]))
    script = SHELL["push"].replace(f"http://127.0.0.1:{PORT}", served("agent.py").url)
    script = script.replace("http://127.0.0.1:8101", hook)
    subprocess.run(["/bin/bash", "-ec", script], capture_output=True, check=True, timeout=30)
    until(lambda: "COMPLETED" in str(received), within_s=10, what="the end is told")
