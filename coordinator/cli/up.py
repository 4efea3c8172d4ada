"""`parley up`: look whether everything can start, start it, say when it is ready, stop it all on Ctrl-C."""

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from coordinator.cli.client import Coordinator
from coordinator.cli.errors import CliError, StartFailed
from coordinator.cli.plain import command, plain
from coordinator.cli.procfile import ProcessLine, parse_procfile
from coordinator.cli.run import INTERRUPTED
from coordinator.cli.supervisor import Supervisor
from models.migrate import migrate_now

COORDINATOR: Final = "coordinator"
POLL_S: Final = 0.3
SAY_WAITING_AFTER_S: Final = 20.0
COLOURS: Final = ("cyan", "green", "magenta", "blue", "yellow")


def migrate_database(url: str) -> str:
    """The database's address without its password, once it has the newest schema. Raises StartFailed."""
    try:
        return migrate_now(url)
    except ArgumentError as exc:
        raise StartFailed("DATABASE_URL is not a database address such as sqlite:///var/parley.db.") from exc
    except (SQLAlchemyError, OSError) as exc:
        reason = str(getattr(exc, "orig", None) or exc).splitlines()[0]
        raise StartFailed(f"The database of DATABASE_URL cannot be used: {reason}") from exc


def start_all(procfile: Path, database_url: str, coordinator_url: str, console: Console) -> int:
    """Run everything until it is stopped; the exit code. Raises StartFailed before anything was started."""
    try:
        processes = parse_procfile(procfile.read_text())
    except FileNotFoundError as exc:
        raise StartFailed("There is no Procfile here. Run `parley up` in the project's folder.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise StartFailed("The Procfile cannot be read.") from exc
    busy = [process for process in processes if not is_free(process)]
    if busy:
        raise StartFailed(
            "\n".join(
                f"Port {p.port} ({p.name}) is in use. Stop what uses it, or change the port in the Procfile"
                f" and {_to_match(p)}."
                for p in busy
            )
        )
    database = migrate_database(database_url)
    width = max(len(process.name) for process in processes)
    log = Log(console, [process.name for process in processes], width)
    log.say("parley", f"database {database} is up to date")
    return asyncio.run(_run(processes, coordinator_url.rstrip("/"), log))


def _to_match(process: ProcessLine) -> str:
    """What tells the others where this process is reached. A line of a Procfile is run by no shell."""
    if process.name == COORDINATOR:
        return "set COORDINATOR_URL to match"
    return "begin that line with `env AGENT_URL=http://127.0.0.1:PORT` to match"


def is_free(process: ProcessLine) -> bool:
    """Whether the process could listen on its port now."""
    if process.port is None:
        return True
    family = socket.AF_INET6 if ":" in process.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((process.host, process.port))
        except OSError:
            return False
    return True


class Log:
    """Lines with the name of who said them before them, each name in its colour."""

    def __init__(self, console: Console, names: Sequence[str], width: int) -> None:
        self._console = console
        self._width = max(width, len("parley"))
        self._colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}

    def say(self, name: str, line: str) -> None:
        text = Text.assemble((f"{name:<{self._width}} | ", self._colours.get(name, "bold")), plain(line))
        # The terminal may be gone, closed or a broken pipe; the processes are stopped all the same.
        with suppress(OSError):
            self._console.print(text, soft_wrap=True)


async def _run(processes: Sequence[ProcessLine], coordinator_url: str, log: Log) -> int:
    supervisor = Supervisor(
        processes,
        environment={"COORDINATOR_URL": coordinator_url, "PYTHONUNBUFFERED": "1"},
        path=Path(sys.executable).parent,
        essential=COORDINATOR,
        say=log.say,
    )
    received: list[int] = []

    def on_signal(number: int) -> None:
        received.append(number)
        supervisor.stop()
        log.say("parley", "stopping all processes" if len(received) == 1 else "killing all processes")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal, number)
    announcing = asyncio.create_task(_announce(processes, coordinator_url, log), name="announce readiness")
    try:
        was_asked = await supervisor.run()
    finally:
        announcing.cancel()
        await asyncio.gather(announcing, return_exceptions=True)
    log.say("parley", "all processes have stopped")
    if received:
        return INTERRUPTED if received[0] == signal.SIGINT else 128 + received[0]
    return 0 if was_asked else 1


async def _announce(processes: Sequence[ProcessLine], coordinator_url: str, log: Log) -> None:
    """Say once that everything is ready; say it too when something takes long."""
    expected = {p.port: p.name for p in processes if p.port is not None and p.name != COORDINATOR}
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    said_waiting = False
    async with Coordinator(coordinator_url) as coordinator:
        while missing := await _missing(coordinator, expected):
            if not said_waiting and loop.time() - started_at > SAY_WAITING_AFTER_S:
                said_waiting = True
                log.say("parley", f"still waiting for {', '.join(missing)}")
            await asyncio.sleep(POLL_S)
    seconds = loop.time() - started_at
    log.say("parley", f"Ready after {seconds:.1f} s: {coordinator_url} (docs at {coordinator_url}/docs)")
    log.say("parley", f'Try: {command()} run "Research how agents register with the coordinator"')


async def _missing(coordinator: Coordinator, expected: dict[int, str]) -> list[str]:
    """The processes that cannot take work yet."""
    try:
        if not await coordinator.is_ready():
            return [COORDINATOR]
        agents = await coordinator.agents()
    except CliError:
        return [COORDINATOR]
    ports = {urlsplit(agent.url).port for agent in agents if agent.status == "ACTIVE"}
    return [name for port, name in expected.items() if port not in ports or not await _listens(port)]


async def _listens(port: int) -> bool:
    """Whether the agent is there already: what the coordinator says may be left from its last life."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
