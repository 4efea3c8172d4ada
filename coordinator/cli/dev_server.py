"""The process that `parley dev` starts again at each change: loads the file and serves its agent.

Where it cannot, it says why and answers everything with 503, so that callers need not guess. The listening
socket is the parent's, hence a request that comes during the change waits instead of failing.
"""

import importlib
import importlib.util
import shlex
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

import pydantic_core
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from a2a import Agent
from a2a.card_types import WELL_KNOWN_PATH
from a2a.server.security import ApiKey
from a2a.skill import Skill
from coordinator.cli.dev_view import Say, ShowsExchanges
from coordinator.cli.errors import CliError, StartFailed
from coordinator.cli.plain import one_line, plain
from coordinator.cli.render import make_console

STOP_S: Final = 1
NO_AGENT: Final = "The agent's file has an error; the terminal of `parley dev` says which."


def load(path: Path) -> ModuleType:
    """The file as a module, imported as the package it is in would. Raises StartFailed, or what it raises."""
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        names, folder = [folder.name, *names], folder.parent
    sys.path.insert(0, str(folder))
    name = ".".join(names[:-1] if path.name == "__init__.py" else names)
    if "." in name or path.name == "__init__.py":
        return importlib.import_module(name)
    if name in sys.modules or name in sys.stdlib_module_names:
        raise StartFailed(f"{path.name} has the name of a module that is in use here. Give it another name.")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def find_agent(module: ModuleType) -> tuple[ASGIApp, Agent | None]:
    """The server of the Agent called `agent`, or of the only one there is; else what is called `app`.
    Raises StartFailed."""
    named = {name: value for name, value in vars(module).items() if isinstance(value, Agent)}
    agents = list({id(agent): agent for agent in named.values()}.values())
    agent = named.get("agent") or (agents[0] if len(agents) == 1 else None)
    if agent is not None:
        return agent.app(), agent
    app = getattr(module, "app", None)
    if callable(app):
        return app, None
    if agents:
        raise StartFailed(f"The file has several agents: {', '.join(named)}. Call the one to serve `agent`.")
    raise StartFailed("The file has no agent: it needs `agent = Agent(...)`, or an ASGI app called `app`.")


async def answers_503(scope: Scope, receive: Receive, send: Send) -> None:
    """Serves in place of an agent that cannot be loaded."""
    if scope["type"] == "http":
        await JSONResponse({"error": NO_AGENT}, 503)(scope, receive, send)


class Server(uvicorn.Server):
    """A uvicorn server that says when it serves."""

    def __init__(self, app: ASGIApp, on_start: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ws="none",
            lifespan="off" if app is answers_503 else "on",
            timeout_graceful_shutdown=STOP_S,
        )
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()


def serve(path: Path, url: str, listening: socket.socket, say: Say, *, is_first: bool) -> None:
    """Until the process is told to stop."""
    try:
        app, agent = find_agent(load(path))
        skills: Mapping[str, Skill] = agent.skills if agent is not None else {}
        banner = _banner(path, url, agent) if is_first else f"Serving {path.name} at {url}"
        Server(ShowsExchanges(app, skills, say), lambda: say(banner, "")).run(sockets=[listening])
    except CliError as exc:
        say(str(exc), "red")
    except SystemExit as exc:
        # By uvicorn, when the start of the agent failed, or by settings that cannot be used.
        say(exc.code if isinstance(exc.code, str) else "The agent could not start.", "red")
    except Exception as exc:  # noqa: BLE001 the author's own; it is shown
        say(_shown(exc, path), "red")
    else:
        return
    say(f"{path.name} is served again after the next change.", "yellow")
    Server(answers_503, lambda: None).run(sockets=[listening])


def _shown(exc: Exception, path: Path) -> str:
    """The traceback from the author's file on; what led there is not of interest."""
    frames = exc.__traceback__
    while frames is not None and Path(frames.tb_frame.f_code.co_filename) != path:
        frames = frames.tb_next
    return plain("".join(traceback.format_exception(type(exc), exc, frames)).rstrip())


def _banner(path: Path, url: str, agent: Agent | None) -> str:
    name = f"{agent.name} {agent.version}" if agent is not None else path.name
    rows = [("agent", url), ("card", url + WELL_KNOWN_PATH), ("docs", f"{url}/docs")]
    if agent is not None:
        rows += [("skills", ", ".join(agent.skills)), ("try", curl_line(url, agent))]
    rows.append(("stop", "Ctrl-C; a change of a Python file here starts it again"))
    return "\n".join([one_line(name), *(f"  {label:<7} {plain(text)}" for label, text in rows), ""])


def curl_line(url: str, agent: Agent) -> str:
    """A request that a shell can send as it stands. Its message id differs each time, for an agent gives one
    that it knows the task it made before."""
    skill = next(iter(agent.skills.values()), None)
    text = next(iter(skill.examples), skill.description) if skill is not None else "hello"
    body = '{"message": {"messageId": "m-\'$RANDOM\'", "role": "ROLE_USER", "parts": [{"text": %s}]}}'
    quoted = _json_text(text).replace("'", "'\\''")
    headers = ["A2A-Version: 1.0", "Content-Type: application/json", *_credential_headers(agent)]
    options = " ".join(f"-H {shlex.quote(header)}" for header in headers)
    return f"curl -s {url}/message:send {options} -d '{body % quoted}'"


def _json_text(text: str) -> str:
    return pydantic_core.to_json(one_line(text)).decode()


def _credential_headers(agent: Agent) -> list[str]:
    """What the first scheme asks for, with a word in place of the secret."""
    if not agent.security:
        return []
    scheme = agent.security[0]
    if not isinstance(scheme, ApiKey):
        return ["Authorization: Bearer TOKEN"]
    return [f"{scheme.name}: KEY"] if scheme.location == "header" else []


def main(arguments: list[str]) -> None:
    descriptor, path, url, turn = arguments
    console = make_console()

    def say(line: str, style: str) -> None:
        console.print(line, style=style or None, soft_wrap=True)

    # Ctrl-C goes to the whole group, and uvicorn raises it again once it has stopped.
    with suppress(KeyboardInterrupt), socket.socket(fileno=int(descriptor)) as listening:
        serve(Path(path), url, listening, say, is_first=turn == "first")


if __name__ == "__main__":
    main(sys.argv[1:])
