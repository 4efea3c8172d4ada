"""Runs processes side by side: their output with their names before it, a dead one started again, all of
them stopped together, by force where it must be.

Not honcho: it stops every process when one dies, and here one agent's death must not end the network.
"""

import asyncio
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from coordinator.cli.procfile import ProcessLine
from coordinator.processes import ending, ends_with_us, pass_on, signal_group

Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Policy:
    """A process that ends within `quick_s` of its start ended quickly; after `max_quick_exits` of these in a
    row it is left down. `stop_s` is how long processes may take to stop before they are killed."""

    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    quick_s: float = 20.0
    max_quick_exits: int = 5
    stop_s: float = 20.0


class Supervisor:
    """`say(name, line)` gets every line of output, and what the supervisor itself has to say of a process.

    The process called `essential` ends everything when it is left down.
    """

    def __init__(
        self,
        processes: Sequence[ProcessLine],
        *,
        environment: dict[str, str],
        path: Path,
        essential: str,
        say: Say,
        policy: Policy | None = None,
    ) -> None:
        self._processes = processes
        self._environment = environment
        self._path = path
        self._essential = essential
        self._say = say
        self._policy = policy or Policy()
        self._stopping = asyncio.Event()
        self._running: dict[str, Process] = {}

    def stop(self) -> None:
        """Ask all processes to end; a second time, kill them."""
        force = self._stopping.is_set()
        self._stopping.set()
        for process in list(self._running.values()):
            signal_group(process, signal.SIGKILL if force else signal.SIGTERM)

    async def run(self) -> bool:
        """Until everything has stopped; False where it was not asked to but nothing useful was left."""
        killer = asyncio.create_task(self._kill_the_slow(), name="kill the slow")
        try:
            async with asyncio.TaskGroup() as group:
                kept = [
                    group.create_task(self._keep(process), name=process.name) for process in self._processes
                ]
            return all(task.result() for task in kept)
        finally:
            for process in self._running.values():
                signal_group(process, signal.SIGKILL)
            killer.cancel()
            with suppress(asyncio.CancelledError):
                await killer

    async def _keep(self, line: ProcessLine) -> bool:
        """Start the process again and again; False once it is left down."""
        quick_exits = 0
        while not self._stopping.is_set():
            started_at = monotonic()
            code = await self._run_once(line)
            if self._stopping.is_set():
                break
            quick_exits = quick_exits + 1 if monotonic() - started_at < self._policy.quick_s else 1
            if quick_exits >= self._policy.max_quick_exits:
                return self._left_down(line.name, code)
            wait_s = min(self._policy.first_wait_s * 2 ** (quick_exits - 1), self._policy.longest_wait_s)
            self._say(line.name, f"{ending(code)}; starting again in {wait_s:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
        return True

    def _left_down(self, name: str, code: int) -> bool:
        if name == self._essential:
            self._say(name, f"{ending(code)} too often; stopping everything")
            if not self._stopping.is_set():
                self.stop()
        else:
            self._say(name, f"{ending(code)} too often; it stays down, the others go on")
        return name != self._essential

    async def _run_once(self, line: ProcessLine) -> int:
        """Start, pass its output on, and return its exit code once it is gone."""
        process = await asyncio.create_subprocess_exec(
            *self._command(line),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        self._running[line.name] = process
        if self._stopping.is_set():
            signal_group(process, signal.SIGTERM)
        assert process.stdout is not None
        output = asyncio.create_task(pass_on(process.stdout, partial(self._say, line.name)))
        try:
            return await process.wait()
        finally:
            # What it left behind in its group goes with it, and with that the pipe is closed.
            signal_group(process, signal.SIGKILL)
            await process.wait()
            del self._running[line.name]
            await output

    def _command(self, line: ProcessLine) -> list[str]:
        """The line in a shell, in a session of its own so that Ctrl-C comes to us alone. Where the system
        can do it, the process also ends when we are killed."""

        script = f'PATH="$1:$PATH"; shift; export PATH "$@"; exec {line.command}'
        pairs = [f"{name}={value}" for name, value in self._environment.items()]
        shell = ["/bin/sh", "-c", script, line.name, str(self._path), *pairs]
        return ends_with_us(shell)

    async def _kill_the_slow(self) -> None:
        await self._stopping.wait()
        await asyncio.sleep(self._policy.stop_s)
        for name, process in list(self._running.items()):
            self._say(name, f"did not stop within {self._policy.stop_s:g} s; killed")
            signal_group(process, signal.SIGKILL)
