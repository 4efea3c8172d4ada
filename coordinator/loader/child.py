"""One process that serves a file, or checks whether it could: started, listened to, stopped."""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from a2a.serve import LOAD_FAILED, NO_AGENT
from coordinator.loader.state import Failure
from coordinator.processes import ending, ends_with_us, pass_on, signal_group

# For what is still in the pipe after the end; a process of its own may hold the pipe for ever.
LAST_OUTPUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Order:
    """`listening` is the socket to serve on; None only checks the file."""

    path: Path
    environment: Mapping[str, str]
    listening: socket.socket | None


async def launch(order: Order, say: Callable[[str], None]) -> "Child":
    """Raises OSError where the system has no room for a process."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                *_command(order, theirs),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                start_new_session=True,
                env=order.environment,
                cwd=order.path.parent,
                pass_fds=[part.fileno() for part in (theirs, order.listening) if part is not None],
            )
        except BaseException:
            # A process that did start ends with this.
            ours.close()
            raise
    return Child(process, ours, say, is_check=order.listening is None)


def _command(order: Order, lifeline: socket.socket) -> list[str]:
    # -P: a file of the folder must not stand in for a module of the standard library. -B: a compiled file
    # is told from a newer source by size and second, which two quick changes can share.
    command = [sys.executable, "-P", "-B", "-m", "a2a.serve", str(order.path)]
    command += ["--lifeline", str(lifeline.fileno())]
    if order.listening is None:
        return ends_with_us([*command, "--check"])
    descriptor, port = str(order.listening.fileno()), str(order.listening.getsockname()[1])
    return ends_with_us([*command, "--listening", descriptor, "--port", port])


class Child:
    """It ends when `lifeline` is closed, hence also when this process dies in whatever way."""

    def __init__(
        self, process: Process, lifeline: socket.socket, say: Callable[[str], None], *, is_check: bool
    ) -> None:
        self.pid = process.pid
        self.agent_name: str | None = None
        self._process = process
        self._lifeline = lifeline
        self._say = say
        self._is_check = is_check
        self._broken: str | None = None
        self._serving = asyncio.Event()
        self._started_at = asyncio.get_running_loop().time()
        self._life = asyncio.create_task(self._live(), name=f"agent process {self.pid}")

    async def settled(self, within_s: float) -> None:
        """Until it serves or has ended, or `within_s` after its start."""
        serving = asyncio.create_task(self._serving.wait())
        left_s = max(0, self._started_at + within_s - asyncio.get_running_loop().time())
        try:
            await asyncio.wait({self._life, serving}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()

    async def ready(self, within_s: float) -> Failure | None:
        """None once it serves, or has checked the file and found nothing wrong."""
        await self.settled(within_s)
        if self._serving.is_set():
            return None
        if not self._life.done():
            return Failure(
                f"it was not ready within {within_s:g} s; does it wait or loop when loaded?", is_final=True
            )
        code = self._life.result()
        if self._is_check and code == 0 and self.agent_name is not None:
            return None
        why = self._broken or f"its process {ending(code)} before it served"
        return Failure(why, is_final=self._is_check or code in (LOAD_FAILED, NO_AGENT))

    async def ended(self) -> str:
        """How it ended, once it has."""
        code = await asyncio.shield(self._life)
        return f"its process {ending(code)}"

    async def stop(self, within_s: float) -> None:
        """Ask it to end, which lets its running tasks end first; kill it after `within_s`."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        await asyncio.wait({self._life}, timeout=within_s)
        await self.kill()

    async def kill(self) -> None:
        if not self._life.done():
            signal_group(self._process, signal.SIGKILL)
            await asyncio.wait({self._life})

    async def _live(self) -> int:
        reader, writer = await asyncio.open_connection(sock=self._lifeline)
        assert self._process.stdout is not None
        reading = [
            asyncio.create_task(pass_on(self._process.stdout, self._say)),
            asyncio.create_task(self._listen(reader)),
        ]
        try:
            code = await self._process.wait()
        finally:
            # What it left behind in its group goes with it.
            signal_group(self._process, signal.SIGKILL)
        _, late = await asyncio.wait(reading, timeout=LAST_OUTPUT_S)
        for task in late:
            task.cancel()
        writer.close()
        return code

    async def _listen(self, reports: asyncio.StreamReader) -> None:
        # A line that is none of a2a.serve's was written by the agent's own code; it is not worth more.
        with suppress(ValueError, OSError):
            while line := await reports.readline():
                report: dict[str, Any] = json.loads(line)
                if "agent" in report:
                    self.agent_name = str(report["agent"])
                elif "broken" in report:
                    self._broken = str(report["broken"])
                elif "serving" in report:
                    self._serving.set()
