"""Idle memory and start-up time of each process: `make bench`.

For each: the resident memory two seconds after the first answer, and the time from exec to that answer, as
the median of five starts. A bare FastAPI app on the same server is measured in the same run, to compare.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
STARTS = 5
SETTLE_S = 2.0
BARE_APP = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef health(): return {}\n"
PROCESSES = {
    "bare FastAPI": "bare:app",
    "example agent": "examples.word_count_agent:app",
    "research agent": "agent_servers.research:app",
    "API agent": "agent_servers.api:app",
    "coordinator": "coordinator.app:app",
}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 our own loopback URL
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kib) / 1024


def measure(app: str, folder: Path) -> tuple[float, float]:
    """One start: MiB resident and seconds to the first answer."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "DATABASE_URL": f"sqlite:///{folder}/b.db"}
    environment.pop("COORDINATOR_URL", None)
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning"]
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 a fixed command
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not answers(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None:
                raise SystemExit(f"{app} did not start")
            time.sleep(0.005)
        ready_s = time.perf_counter() - started
        time.sleep(SETTLE_S)
        return resident_mib(process.pid), ready_s
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE_APP)
        for label, app in PROCESSES.items():
            measure(app, folder)
            runs = [measure(app, folder) for _ in range(STARTS)]
            memory = statistics.median(run[0] for run in runs)
            ready = statistics.median(run[1] for run in runs)
            figures[label] = {"idle_mib": round(memory, 1), "ready_s": round(ready, 2)}
            print(f"{label:16} {memory:7.1f} MiB idle {ready:6.2f} s to the first answer", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
