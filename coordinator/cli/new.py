"""`parley new agent`: a folder with an agent that runs, its test, and a page that says how to go on."""

import keyword
import re
import sys
from pathlib import Path
from string import Template
from typing import Final

from coordinator.cli.errors import NewRefused
from coordinator.cli.plain import one_line

PORT: Final = 8100
MAX_NAME_CHARS: Final = 50
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

_AGENT: Final = Template('''\
"""$title: an A2A agent. `python agent.py` serves it."""

from a2a import Agent, Request

agent = Agent(
    name="$title",
    description="Greets people.",
    version="0.1.0",
    url="http://127.0.0.1:$port",
)


@agent.skill(
    id="greet",
    description="Greet somebody by name",
    tags=["greet", "hello"],
    examples=["greet Ada"],
)
async def greet(request: Request) -> str:
    return f"Hello, {request.text.removeprefix('greet ')}!"


app = agent.app()

if __name__ == "__main__":
    agent.run(port=$port)
''')

_TEST: Final = Template('''\
"""$title as its callers meet it: a real server on a free port, a real client."""

import asyncio
import socket

import httpx
import uvicorn
from a2a import Message, Part, Task, TaskState
from a2a.client import A2AClient, fetch_card
from a2a.requests import SendMessageRequest
from a2a.settings import AgentSettings
from pydantic import HttpUrl

from agent import agent


async def ask(text: str) -> Task | Message:
    """What the agent answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = agent.app(AgentSettings(agent_url=HttpUrl(url), coordinator_url=None))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            client = A2AClient.for_card(http, await fetch_card(http, url, timeout_s=5))
            message = Message.from_user(Part.from_text(text))
            request = SendMessageRequest(message=message)
            return await client.send_message(request, timeout_s=5)
    finally:
        server.should_exit = True
        await serving


def test_the_agent_greets_whoever_is_named() -> None:
    answer = asyncio.run(ask("greet Ada"))
    assert isinstance(answer, Task)
    assert answer.status.state is TaskState.COMPLETED
    assert answer.artifacts is not None
    assert answer.artifacts[0].parts[0].text == "Hello, Ada!"
''')

_README: Final = Template("""\
# $title

An A2A agent. It needs a Python environment in which Parley and pytest are installed; in a checkout of Parley
that is `.venv`.

```sh
parley dev agent.py   # serve it at http://127.0.0.1:$port, show each exchange, start again at each change
pytest                # start it on a free port and ask it something
python agent.py       # serve it; `uvicorn agent:app --port $port` does the same
```

With `COORDINATOR_URL=http://127.0.0.1:8000` in its environment it joins the coordinator there. What a skill
can do is in Parley's docs/agents.md.
""")

_PYPROJECT: Final = Template("""\
[tool.pytest.ini_options]
pythonpath = ["."]
""")

_FILES: Final = {
    "agent.py": _AGENT,
    "test_agent.py": _TEST,
    "README.md": _README,
    "pyproject.toml": _PYPROJECT,
}


def new_agent(name: str, folder: Path) -> Path:
    """The new folder, in `folder`. Raises NewRefused before anything is written."""
    check_name(name)
    if not folder.is_dir():
        raise NewRefused(f"There is no folder {folder}.")
    project = folder / name
    values = {"title": name.replace("_", " ").capitalize(), "port": str(PORT)}
    try:
        project.mkdir()
        for file, template in _FILES.items():
            with (project / file).open("x", encoding="utf-8") as new:
                new.write(template.substitute(values))
    except FileExistsError as exc:
        raise NewRefused(f"{project} is there already. Choose another name, or another --dir.") from exc
    except OSError as exc:
        raise NewRefused(f"{project} cannot be written: {exc.strerror}.") from exc
    return project


def check_name(name: str) -> None:
    """Raises NewRefused unless it can name a Python module."""
    shown = one_line(name, max_chars=MAX_NAME_CHARS)
    if len(name) > MAX_NAME_CHARS:
        raise NewRefused(f"A name has at most {MAX_NAME_CHARS} characters.")
    if not _NAME.fullmatch(name):
        wish = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
        hint = f", such as {wish}" if _NAME.fullmatch(wish) else ""
        raise NewRefused(
            f"{shown!r} cannot be the name: take small letters, digits and _, a letter first{hint}."
        )
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or name in ("a2a", "agent"):
        raise NewRefused(f"{shown!r} is a name that Python or this project uses. Choose another.")
