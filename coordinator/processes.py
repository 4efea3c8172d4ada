"""Processes that this one starts: what they say line by line, signals to all they started, how they ended."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

MAX_LINE_BYTES: Final = 8192
READ_BYTES: Final = 65536
# Ten thousand lines a second.
LINES_AT_ONCE: Final = 100
PAUSE_S: Final = 0.01


def ends_with_us(command: Sequence[str]) -> list[str]:
    """The command so that the process also ends when we are killed, where the system can do it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else [*command]


async def pass_on(output: asyncio.StreamReader, say: Callable[[str], None]) -> None:
    """Every line until the end; a long one in pieces. Who floods us is made to wait, not we."""
    rest, said = b"", 0
    while chunk := await output.read(READ_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            for start in range(0, max(1, len(line)), MAX_LINE_BYTES):
                say(line[start : start + MAX_LINE_BYTES].decode(errors="replace"))
                said += 1
                if said % LINES_AT_ONCE == 0:
                    await asyncio.sleep(PAUSE_S)
    if rest:
        say(rest.decode(errors="replace"))


def signal_group(process: Process, number: signal.Signals) -> None:
    """To the process and all it started: it leads a group that has its id."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def ending(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
