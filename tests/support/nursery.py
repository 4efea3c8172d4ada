"""Server processes that start quickly: one process imports everything once, and each server is a fork of it.

Run as a module it is that process: a line of JSON comes in for each server, the server's pid goes out.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
# What a server would spend its start on.
IMPORTED = (
    "coordinator.app",
    "a2a.registration",
    "alembic.command",
    "asyncpg",
    "uvicorn",
    "uvloop",
    "httptools",
)
# Makes an app of the environment as it is imported: each server does that anew.
MADE_ANEW = "coordinator.app"
EXIT_WITHIN_S = 15.0
PR_SET_PDEATHSIG = 1


class Server:
    """A process that really dies. `stop` and `go_on` are SIGSTOP and SIGCONT."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """kill -9: no good-bye, no clean-up."""
        self._signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def wait(self, *, within_s: float = EXIT_WITHIN_S) -> None:
        ends_at = time.monotonic() + within_s
        while self.is_alive:
            assert time.monotonic() < ends_at, f"the process is still there after {within_s:g} s"
            time.sleep(0.005)  # polling a real process from outside

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Nursery:
    """Starts servers until it is closed; those that are left die with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def start(self, app: str, *, port: int, environment: dict[str, str], log: Path) -> Server:
        """`uvicorn app --port port` with this environment alone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"app": app, "port": port, "environment": environment, "log": str(log)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return Server(int(self._process.stdout.readline()))

    def close(self) -> None:
        """The end of its input is the end of the process."""
        self._process.communicate(timeout=EXIT_WITHIN_S)


def main() -> None:
    for name in IMPORTED:
        import_module(name)
    # A fork has one thread: whatever another one held would be held for ever.
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are gone at once
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _serve(json.loads(line))
        print(pid, flush=True)  # noqa: T201 the answer to the order


def _serve(order: dict[str, Any]) -> NoReturn:
    import uvicorn

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream, file in enumerate((null, log, log)):
        os.dup2(file, stream)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 the log, line by line
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.modules.pop(MADE_ANEW, None)
    try:
        uvicorn.run(order["app"], port=order["port"], log_level="warning", timeout_graceful_shutdown=3)
    except BaseException:  # noqa: BLE001 the end of a process
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
