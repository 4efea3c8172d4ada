"""Serves the agent of one Python file: `python -m a2a.serve FILE --port N`; with --check it only looks
whether it could.

Exit codes: 3 the agent could not start, 4 the file cannot be loaded, 5 there is no agent to serve in it;
what is wrong stands in one sentence on standard error. A parent that keeps many of these processes holds
the other end of --lifeline: there it reads what happens, and when it is gone this process ends too.
"""

import argparse
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from fastapi import FastAPI

from a2a.agent import Agent
from a2a.server.app import Lifespan
from a2a.server.serving import serve_until_interrupted
from a2a.settings import AgentSettings, read_settings

HOST: Final = "127.0.0.1"
LOAD_FAILED: Final = 4
NO_AGENT: Final = 5
MAX_SENTENCE_CHARS: Final = 500
# Beyond what a drain takes; who is not done then will not be.
LAST_S: Final = 5.0


class Unservable(Exception):
    """The file cannot be served; the text says why, for its author."""

    def __init__(self, why: str, exit_code: int) -> None:
        super().__init__(why if len(why) <= MAX_SENTENCE_CHARS else why[:MAX_SENTENCE_CHARS] + "...")
        self.exit_code = exit_code


def load_agent(path: Path) -> Agent:
    """What the file calls `agent`. Raises Unservable."""
    module = _executed(path)
    agent = getattr(module, "agent", None)
    if agent is None:
        raise Unservable("it has no `agent`: write `agent = Agent(...)` at the top level", NO_AGENT)
    if not isinstance(agent, Agent):
        raise Unservable(f"its `agent` is no a2a.Agent: it is of type {type(agent).__name__}", NO_AGENT)
    if not agent.skills:
        raise Unservable("its `agent` has no skills", NO_AGENT)
    return agent


def _executed(path: Path) -> ModuleType:
    # The author's name for it may be that of a module which others import.
    name = f"agent_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # At the end: a file of this folder must not stand in for a module of somebody else.
    sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SystemExit as exc:
        said = f": {exc.code}" if isinstance(exc.code, str) else f"({exc.code or 0})"
        raise Unservable(f"it calls exit{said} when it is loaded{_place(exc, path)}", LOAD_FAILED) from exc
    except BaseException as exc:
        raise Unservable(described(exc, path), LOAD_FAILED) from exc
    return module


def described(exc: BaseException, path: Path) -> str:
    """Type, message and place: the innermost line that is in the folder of `path`."""
    message = exc.msg if isinstance(exc, SyntaxError) else " ".join(str(exc).split())
    kind = type(exc).__name__
    return (f"{kind}: {message}" if message else kind) + _place(exc, path)


def _place(exc: BaseException, path: Path) -> str:
    if isinstance(exc, SyntaxError) and exc.filename is not None:
        return f" ({Path(exc.filename).name}, line {exc.lineno})"
    frames = traceback.extract_tb(exc.__traceback__)
    near = [frame for frame in frames if Path(frame.filename).is_relative_to(path.parent)]
    return f" ({Path(near[-1].filename).name}, line {near[-1].lineno})" if near else ""


def make_app(agent: Agent, settings: AgentSettings, path: Path) -> FastAPI:
    """Raises Unservable where the declaration or a setting cannot be used."""
    try:
        return agent.app(settings)
    except SystemExit as exc:
        raise Unservable(str(exc.code), LOAD_FAILED) from exc
    except Exception as exc:
        raise Unservable(described(exc, path), LOAD_FAILED) from exc


class Lifeline:
    """The socket to the parent: reports go out as lines of JSON, and its end is the parent's."""

    def __init__(self, parent: socket.socket, grace_s: float) -> None:
        self._parent = parent
        self._grace_s = grace_s
        # What this process starts has no part in it.
        parent.set_inheritable(False)
        threading.Thread(target=self._end_with_parent, name="lifeline", daemon=True).start()

    def tell(self, **report: str | bool) -> None:
        with suppress(OSError):
            self._parent.sendall(json.dumps(report).encode() + b"\n")

    def _end_with_parent(self) -> None:
        with suppress(OSError):
            while self._parent.recv(4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        # The drain, the streams' time to be read, and what comes after.
        threading.Event().wait(2 * self._grace_s + LAST_S)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def _telling(lifespan: Lifespan, path: Path, tell: Callable[[str], None]) -> Lifespan:
    """The same lifespan; a start that fails is told in a sentence before uvicorn logs it."""

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(lifespan())
            except Exception as exc:
                tell(f"it could not start: {described(exc, path)}")
                raise
            yield

    return life


def serve(arguments: argparse.Namespace) -> None:
    """Until the process is told to stop. Raises Unservable, or SystemExit for a start that failed."""
    settings = read_settings(AgentSettings)
    lifeline = None
    if arguments.lifeline is not None:
        lifeline = Lifeline(socket.socket(fileno=arguments.lifeline), settings.agent_grace_s)

    def tell(**report: str | bool) -> None:
        if lifeline is not None:
            lifeline.tell(**report)

    path = arguments.file.resolve()
    try:
        agent = load_agent(path)
        agent.url = f"http://{HOST}:{arguments.port}"
        agent.lifespan = _telling(agent.lifespan, path, lambda why: tell(broken=why))
        app = make_app(agent, settings, path)
    except Unservable as exc:
        tell(broken=str(exc))
        raise
    tell(agent=agent.name)
    if arguments.check:
        return
    serve_until_interrupted(
        app,
        host=HOST,
        port=arguments.port,
        grace_s=settings.agent_grace_s,
        listening=socket.socket(fileno=arguments.listening) if arguments.listening is not None else None,
        on_start=lambda: tell(serving=True),
    )


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m a2a.serve", description="Serve the agent of a file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--check", action="store_true", help="load the file, serve nothing")
    parser.add_argument("--lifeline", type=int, metavar="FD", help="a socket; this process ends with it")
    parser.add_argument("--listening", type=int, metavar="FD", help="a socket that listens on the port")
    arguments = parser.parse_args(words)
    if not arguments.file.is_file():
        parser.error(f"there is no file {arguments.file}")
    try:
        serve(arguments)
    except Unservable as exc:
        _show(exc)
        sys.stderr.write(f"{arguments.file} is not served: {exc}\n")
        return exc.exit_code
    return 0


def _show(exc: Unservable) -> None:
    """The traceback of what the file raised, for the log."""
    cause: Any = exc.__cause__
    if isinstance(cause, Exception):
        traceback.print_exception(cause)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
