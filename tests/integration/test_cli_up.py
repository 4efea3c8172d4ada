"""`parley up` as a process of its own: a real coordinator, a real agent, real signals."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from time import monotonic

import pytest

ROOT = Path(__file__).parents[2]
PARLEY = [sys.executable, "-c", "from coordinator.cli.main import app; app()"]
WITHIN_S = 60


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def environment(coordinator_port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "COORDINATOR_URL": f"http://127.0.0.1:{coordinator_port}",
        "DATABASE_URL": "sqlite:///var/up.db",
    }


@pytest.fixture
def ports() -> tuple[int, int]:
    first, second = free_ports(2)
    return first, second


@pytest.fixture
def folder(tmp_path: Path, ports: tuple[int, int]) -> Path:
    coordinator, agent = ports
    (tmp_path / "Procfile").write_text(
        "# the smallest network\n"
        f"coordinator: uvicorn coordinator.app:app --port {coordinator} --log-level warning\n"
        f"example: env AGENT_URL=http://127.0.0.1:{agent} "
        f"uvicorn examples.word_count_agent:app --port {agent} --log-level warning\n"
    )
    return tmp_path


class Up:
    """A running `parley up`; its lines are read by a thread, so that waiting for one has an end."""

    def __init__(self, folder: Path, coordinator_port: int) -> None:
        self.process = subprocess.Popen(
            [*PARLEY, "up"],
            cwd=folder,
            env=environment(coordinator_port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.read: list[str] = []
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def until(self, pattern: str) -> str:
        while True:
            try:
                line = self._lines.get(timeout=WITHIN_S)
            except Empty:
                raise AssertionError(f"no {pattern!r} in:\n{''.join(self.read)}") from None
            self.read.append(line)
            if re.search(pattern, line):
                return line

    def end(self) -> str:
        """What was said until the process ended."""
        self.process.wait(WITHIN_S)
        self._reader.join()
        while not self._lines.empty():
            self.read.append(self._lines.get())
        return "".join(self.read)


@pytest.fixture
def start(folder: Path, ports: tuple[int, int]) -> Iterator[Callable[[], Up]]:
    started: list[Up] = []

    def start_up() -> Up:
        started.append(Up(folder, ports[0]))
        return started[-1]

    yield start_up
    for up in started:
        up.process.terminate()
        up.end()
        assert up.process.stdout is not None
        up.process.stdout.close()


def eventually(condition: Callable[[], bool], *, within_s: float) -> bool:
    ends_at = monotonic() + within_s
    pause = threading.Event()
    while monotonic() < ends_at:
        if condition():
            return True
        pause.wait(0.05)
    return condition()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listener_of(port: int) -> int:
    """The process that listens on a loopback port, found through /proc."""
    wanted = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(row[9] for row in rows if row[1] == wanted and row[3] == "0A")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) == f"socket:[{inode}]":
                return int(descriptor.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nobody listens on {port}")


def test_network_comes_up_works_and_stops_on_ctrl_c(
    start: Callable[[], Up], folder: Path, ports: tuple[int, int]
) -> None:
    up = start()
    assert "Ready after" in up.until("Ready")
    ran = subprocess.run(
        [*PARLEY, "run", 'count the words of "To be, or not to be"'],
        cwd=folder,
        env=environment(ports[0]),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert "6 words" in ran.stdout, ran.stdout + ran.stderr
    up.process.send_signal(signal.SIGINT)
    said = up.end()
    assert up.process.returncode == 130
    assert "all processes have stopped" in said
    assert "Traceback" not in said
    assert not any(map(listens, ports))


@pytest.mark.skipif(sys.platform != "linux", reason="finds the listener through /proc")
def test_agent_that_was_killed_is_up_again_and_used(start: Callable[[], Up], ports: tuple[int, int]) -> None:
    up = start()
    up.until("Ready")
    os.kill(listener_of(ports[1]), signal.SIGKILL)
    up.until("example +. was ended by SIGKILL; starting again")
    up.until("example +.*registration.done")
    assert listens(ports[0])


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")
def test_nothing_survives_when_up_itself_is_killed(start: Callable[[], Up], ports: tuple[int, int]) -> None:
    up = start()
    up.until("Ready")
    up.process.kill()
    up.end()
    assert eventually(lambda: not any(map(listens, ports)), within_s=WITHIN_S)


def test_each_busy_port_is_named_and_nothing_is_started(folder: Path, ports: tuple[int, int]) -> None:
    with socket.socket() as first, socket.socket() as second:
        for holder, port in ((first, ports[0]), (second, ports[1])):
            holder.bind(("127.0.0.1", port))
            holder.listen()
        ran = subprocess.run(
            [*PARLEY, "up"],
            cwd=folder,
            env=environment(ports[0]),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    assert ran.returncode == 1
    assert [line.split(" in use")[0] for line in ran.stderr.splitlines()] == [
        f"Port {ports[0]} (coordinator) is",
        f"Port {ports[1]} (example) is",
    ]
    # No shell runs a line of a Procfile, so an assignment alone would be taken for a program.
    assert "begin that line with `env AGENT_URL=http://127.0.0.1:PORT`" in ran.stderr
    assert ran.stdout == ""
    assert not (folder / "var").exists()


def test_folder_without_a_procfile_is_one_sentence(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*PARLEY, "up"],
        cwd=tmp_path,
        env=environment(1),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr == "There is no Procfile here. Run `parley up` in the project's folder.\n"
