"""Processes under measurement: started on the first core unless they say otherwise, while the load comes from
the second."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import ROOT, make_environment

APPS = Path(__file__).parent / "apps"
CARD_PATH = "/.well-known/agent-card.json"
START_S = 30.0
# The same for everyone; the SDK's own tracing is off, and no telemetry package is there for it to use.
UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
QUIET = {"OTEL_INSTRUMENTATION_A2A_SDK_ENABLED": "false"}


def two_cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("The benchmarks need two cores: one for the server, one for the load.")
    return cores[0], cores[1]


SERVER_CORE, LOAD_CORE = two_cores()


class BenchmarkFailed(Exception):
    """A competitor did not start, or did not do what is measured."""


@dataclass(frozen=True, slots=True)
class App:
    """An ASGI app as uvicorn names it. `peer` is the environment it runs in; without, it is ours. `port` is
    named where something has to know it beforehand; else it is any that is free."""

    name: str
    target: str
    peer: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    probe: str = CARD_PATH
    port: int | None = None
    core: int = SERVER_CORE

    def command(self, port: int) -> list[str]:
        python = str(make_environment(self.peer)) if self.peer else sys.executable
        folder = ROOT if self.peer is None else APPS
        factory = ["--factory"] if self.target.endswith("_app") else []
        target = [self.target, *factory, "--app-dir", str(folder), "--port", str(port)]
        return [python, "-m", "uvicorn", *target, *UVICORN]


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    pid: int
    port: int
    ready_s: float


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within runs there: a process takes its parent's cores over."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {LOAD_CORE})


@contextlib.contextmanager
def pinned(
    command: list[str], folder: Path, extra: Mapping[str, str], core: int
) -> Iterator[subprocess.Popen[bytes]]:
    """The command on its core, ended with the block."""
    # A coordinator, proxies or a library path of the shell must not reach the processes.
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    with on_core(core):
        process = subprocess.Popen(  # noqa: S603 a fixed command
            command,
            cwd=folder,
            env={**environment, **QUIET, **extra},
            stdout=subprocess.DEVNULL,
            stderr=(folder / "stderr.log").open("ab"),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def serving(app: App, folder: Path) -> Iterator[Server]:
    """The app, once it has answered."""
    port = app.port or free_port()
    with _answering(app, app.command(port), folder, port) as server:
        yield server


@contextlib.contextmanager
def fixed_reply(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, str(APPS / "fixed_reply.py"), str(port)]
    with _answering(App("fixed reply", "fixed_reply.py"), command, folder, port) as server:
        yield server


@contextlib.contextmanager
def _answering(app: App, command: list[str], folder: Path, port: int) -> Iterator[Server]:
    started = time.perf_counter()
    with pinned(command, folder, app.environment, app.core) as process:
        while not _answers(f"http://127.0.0.1:{port}{app.probe}"):
            if process.poll() is not None or time.perf_counter() - started > START_S:
                said = (folder / "stderr.log").read_text()[-2000:]
                raise BenchmarkFailed(f"{app.name} did not start:\n{said}")
            time.sleep(0.005)
        yield Server(app.name, process.pid, port, time.perf_counter() - started)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 our own loopback URL
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
