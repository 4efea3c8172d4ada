"""The Procfile: which processes there are, by which command, on which port. Pure."""

import re
import shlex
from dataclasses import dataclass

from coordinator.cli.errors import StartFailed

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """`port` is the command's --port, where it has one; `host` its --host, else the loopback address."""

    name: str
    command: str
    host: str
    port: int | None


def parse_procfile(text: str) -> list[ProcessLine]:
    """The lines `name: command`; blank ones and comments are skipped. Raises StartFailed."""
    lines = [line.strip() for line in text.splitlines()]
    processes = [_parsed(line) for line in lines if line and not line.startswith("#")]
    names = [process.name for process in processes]
    if not names:
        raise StartFailed("The Procfile names no process.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StartFailed(f"The Procfile names {twice} twice.")
    return processes


def _parsed(line: str) -> ProcessLine:
    match = _LINE.fullmatch(line)
    if match is None:
        raise StartFailed(f"The Procfile has a line that is not `name: command`: {line[:80]}")
    name, command = match.groups()
    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise StartFailed(f"The Procfile's command for {name} has an open quote.") from exc
    port = _option(words, "--port")
    if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
        raise StartFailed(f"The Procfile's command for {name} has no valid --port.")
    return ProcessLine(name, command, _option(words, "--host") or "127.0.0.1", int(port) if port else None)


def _option(words: list[str], option: str) -> str | None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option:
            return following
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return None
