"""`parley dev`: serves an agent while its author works on it, started again when a Python file changes.

The agent runs in a process of its own, so that each start is a fresh one; this one holds the socket.
"""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchfiles import PythonFilter, awatch

from a2a.settings import AgentSettings, read_settings
from coordinator.cli.errors import StartFailed
from coordinator.cli.render import make_console
from coordinator.cli.run import INTERRUPTED
from coordinator.processes import ends_with_us

HOST: Final = "127.0.0.1"
STOP_S: Final = 5.0
WATCH_MS: Final = 200


def serve_and_reload(file: Path, port: int) -> int:
    """Until it is interrupted; the exit code. Raises StartFailed."""
    path = file.resolve()
    if not path.is_file():
        raise StartFailed(f"There is no file {file}.")
    if path.suffix != ".py":
        raise StartFailed(f"{file} is not a Python file.")
    with listening_on(port) as listening:
        listening.set_inheritable(True)
        return asyncio.run(_run(path, listening))


def listening_on(port: int) -> socket.socket:
    """A socket at the port of this machine; 0 takes a free one."""
    try:
        return socket.create_server((HOST, port), backlog=256)
    except OSError as exc:
        raise StartFailed(f"Port {port} is in use. Stop what uses it, or name another with --port.") from exc


async def _run(path: Path, listening: socket.socket) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int) -> None:
        received.append(number)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal, number)
    child = Child(_command(path, listening), listening)
    await child.start("first")
    try:
        changes = awatch(
            _watched(path),
            watch_filter=PythonFilter(extra_extensions=(".env",)),
            stop_event=stopping,
            debounce=WATCH_MS,
        )
        async for _ in changes:
            await child.stop()
            await child.start("again")
    finally:
        await child.stop()
    return INTERRUPTED if signal.SIGINT in received else 128 + (received[0] if received else 0)


def _command(path: Path, listening: socket.socket) -> list[str]:
    """With what the agent has to know in its environment: where it is reached, and that nobody waits long
    for the end of its tasks. What the author has set stays."""
    settings = read_settings(AgentSettings)
    url = str(settings.agent_url or f"http://{HOST}:{listening.getsockname()[1]}").rstrip("/")
    pairs = [f"AGENT_URL={url}", "PYTHONUNBUFFERED=1"]
    if "agent_grace_s" not in settings.model_fields_set:
        pairs.append("AGENT_GRACE_S=1")
    # -B: a compiled file is told from a newer source by size and second, which two quick changes can share.
    server = [
        sys.executable,
        "-B",
        "-m",
        "coordinator.cli.dev_server",
        str(listening.fileno()),
        str(path),
        url,
    ]
    # So that it does not outlive us when we are killed, where the system can do that.
    return ends_with_us(["env", *pairs, *server])


class Child:
    """The agent's process, in our process group and at our terminal, so that a debugger works in it."""

    def __init__(self, command: Sequence[str], listening: socket.socket) -> None:
        self._command = command
        self._listening = listening
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, turn: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, turn, pass_fds=[self._listening.fileno()]
        )
        self._watch = asyncio.create_task(_tell_end(self._process), name="watch the agent's process")

    async def stop(self) -> None:
        process, watch = self._process, self._watch
        if process is None or watch is None:
            return
        watch.cancel()
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _tell_end(process: Process) -> None:
    """Where nobody asked it to."""
    code = await process.wait()
    # Ctrl-C reaches it before it reaches us.
    if code not in (0, -signal.SIGINT, -signal.SIGTERM):
        said = f"The agent's process has ended (exit code {code}); it starts again after the next change."
        make_console().print(said, style="red", soft_wrap=True)


def _watched(path: Path) -> Path:
    """The folder of the file, or that of the outermost package it is in."""
    folder = path.parent
    while (folder / "__init__.py").exists() and (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return folder
