"""What is measured: for each benchmark the competitors, started together and loaded in turns."""

import json
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT, make_environment
from benchmarks.load import EVENT, ID_MARK, Figures, Load, drive
from benchmarks.report import Outcome, Row
from benchmarks.servers import SERVER_CORE, App, BenchmarkFailed, Server, fixed_reply, serving

CLIENTS = Path(__file__).parent / "clients"
OURS = "ours"
SDK = "a2a-sdk 1.3.0"
FASTA2A = "fasta2a 2.1.1"
STARLETTE = "bare Starlette"
COMPLETED = b"TASK_STATE_COMPLETED"
STREAMS = 8
CALLERS = 16
# Of the server's core, used by others.
DISTURBED = 0.1
# Units per second, and the CPU that one of them costs in microseconds.
Measured = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float
    rounds: int
    folder: Path


def message(method: str, role: str = "ROLE_USER") -> str:
    said = {"messageId": ID_MARK, "role": role, "parts": [{"text": "hello, agent"}]}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": said}})


BODIES = {SDK: message("SendMessage"), OURS: message("SendMessage"), FASTA2A: message("message/send", "user")}


def send(plan: Plan) -> Outcome:
    """Blocking sends, store in memory. fasta2a has no blocking send: it answers as soon as a task exists."""
    apps = (
        App(OURS, "benchmarks.apps.ours:echo_app"),
        App(SDK, "sdk:echo_app", peer="sdk"),
        App(FASTA2A, "fasta2a_agent:echo_app", peer="fasta2a"),
    )
    rows: list[Row] = []
    runs: dict[str, list[Figures]] = {}
    foreign = 0.0
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(app, plan.folder)) for app in apps]
        for callers in (CALLERS, 1):
            loads = {
                server.name: Load(server.port, BODIES[server.name], expected(server.name), callers)
                for server in servers
            }
            found = in_turns(plan, servers, loads)
            goals = {SDK: 8.0, FASTA2A: 1.2} if callers == CALLERS else {}
            rows += compared(f"blocking send, {callers} at once", "requests/s", requests(found), goals)
            foreign = max(foreign, disturbance(found))
            runs |= {f"{name}, {callers} at once": figures for name, figures in found.items()}
    remark = f"{FASTA2A} answers with a submitted task; the others with a completed."
    return Outcome(rows, plain(runs), [remark, *disturbed("send", foreign)])


def expected(name: str) -> bytes:
    return b'"result":{"task":' if name == FASTA2A else COMPLETED


def sqlite(plan: Plan) -> Outcome:
    """The same with the tasks in SQLite; then each server is started anew and asked for its first task."""
    paths = {name: plan.folder / f"{stem}.db" for name, stem in ((OURS, "ours"), (SDK, "sdk"))}
    apps = (
        App(
            OURS, "benchmarks.apps.ours:echo_app", environment={"TASK_STORE_URL": f"sqlite:///{paths[OURS]}"}
        ),
        App(
            SDK,
            "sdk:database_app",
            peer="sdk-all",
            environment={"SDK_DATABASE_URL": f"sqlite+aiosqlite:///{paths[SDK]}"},
        ),
    )
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(app, plan.folder)) for app in apps]
        first = {server.name: task_id(ask(server, BODIES[server.name])) for server in servers}
        loads = {
            server.name: Load(server.port, BODIES[server.name], COMPLETED, CALLERS) for server in servers
        }
        found = in_turns(plan, servers, loads)
    note = "; ".join(
        f"{app.name} forgot its tasks with the restart"
        for app in apps
        if not remembers(plan, app, first[app.name])
    )
    what = f"blocking send, SQLite, {CALLERS} at once"
    rows = compared(what, "requests/s", requests(found), {SDK: 10.0}, note)
    return Outcome(rows, plain(found), disturbed("sqlite", disturbance(found)))


def remembers(plan: Plan, app: App, known_id: str) -> bool:
    call = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": known_id}}
    with serving(app, plan.folder) as server:
        return COMPLETED in ask(server, json.dumps(call))


def sse(plan: Plan) -> Outcome:
    """Streams of a hundred chunks. Every `data:` line counts, those of the task and its states included."""
    apps = (
        App(OURS, "benchmarks.apps.ours:chunks_app"),
        App(SDK, "sdk:chunks_app", peer="sdk"),
        App(STARLETTE, "benchmarks.apps.bare:stream_app", probe="/health"),
    )
    body = message("SendStreamingMessage")
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(app, plan.folder)) for app in apps]
        loads = {}
        for server in servers:
            answer = ask(server, body)
            if server.name != STARLETTE and COMPLETED not in answer:
                raise BenchmarkFailed(
                    f"{server.name}: no completed task at the end of the stream: {answer[-500:]!r}"
                )
            loads[server.name] = Load(server.port, body, b"", STREAMS, events=answer.count(EVENT))
        found = in_turns(plan, servers, loads)
    events = {name: [(run.events_per_s, run.cpu_us) for run in figures] for name, figures in found.items()}
    rows = compared(
        f"SSE, {STREAMS} streams of 100 chunks", "events/s", events, {SDK: 10.0}, goal_value=40_000
    )
    return Outcome(rows, plain(found), disturbed("sse", disturbance(found)))


def client(plan: Plan) -> Outcome:
    """Clients on the load's core, against a server that is faster than any of them."""
    competitors = {
        OURS: ("parley", None),
        SDK: ("sdk", "sdk"),
        "httpx": ("plain_httpx", "httpx"),
        "aiohttp": ("plain_aiohttp", "aiohttp"),
    }
    by_name: dict[str, list[Measured]] = {name: [] for name in competitors}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in competitors}
    with fixed_reply(plan.folder) as server:
        ceiling = drive(
            Load(server.port, BODIES[OURS], COMPLETED, CALLERS), server.pid, SERVER_CORE, plan.seconds
        )
        for _ in range(plan.rounds):
            for name, (module, peer) in competitors.items():
                run = run_client(server, module, peer, plan)
                runs[name].append(run)
                cpu_us = run["cpu_s"] / run["calls"] * 1_000_000
                by_name[name].append((run["calls"] / run["seconds"], cpu_us))
    rows = compared(f"client, {CALLERS} callers", "calls/s", by_name, {SDK: 5.0})
    remark = (
        f"The server that the clients called gives {ceiling.answers_per_s:,.0f} answers/s to the load"
        f" generator ({ceiling.server_cores:.0%} of its core)."
    )
    return Outcome(rows, runs, [remark])


def run_client(server: Server, module: str, peer: str | None, plan: Plan) -> dict[str, float]:
    python = str(make_environment(peer)) if peer else sys.executable
    url = f"http://127.0.0.1:{server.port}/"
    command = [python, str(CLIENTS / "run.py"), module, url, str(CALLERS), str(plan.seconds)]
    environment = {"PYTHONPATH": str(ROOT)} if peer is None else {}
    ended = subprocess.run(  # noqa: S603 a fixed command
        command,
        cwd=plan.folder,
        env={"OTEL_INSTRUMENTATION_A2A_SDK_ENABLED": "false", **environment},
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        raise BenchmarkFailed(f"client {module} failed:\n{ended.stderr.decode()[-2000:]}")
    run: dict[str, float] = json.loads(ended.stdout)
    return run


def in_turns(plan: Plan, servers: Sequence[Server], loads: Mapping[str, Load]) -> dict[str, list[Figures]]:
    """Each server's runs. Raises where an answer was not the expected one: a server of errors is not fast."""
    found: dict[str, list[Figures]] = {server.name: [] for server in servers}
    for _ in range(plan.rounds):
        for server in servers:
            figures = drive(loads[server.name], server.pid, SERVER_CORE, plan.seconds)
            if figures.bad or not figures.answers_per_s:
                raise BenchmarkFailed(f"{server.name}: {figures.bad} bad answers, {figures.answers_per_s}/s")
            found[server.name].append(figures)
    return found


def requests(found: Mapping[str, Sequence[Figures]]) -> dict[str, list[Measured]]:
    return {name: [(run.answers_per_s, run.cpu_us) for run in figures] for name, figures in found.items()}


def disturbance(found: Mapping[str, Sequence[Figures]]) -> float:
    return statistics.median(run.foreign_cores for figures in found.values() for run in figures)


def disturbed(name: str, foreign: float) -> list[str]:
    if foreign < DISTURBED:
        return []
    return [f"{name}: other processes took {foreign:.0%} of the server's core; trust the CPU figures only."]


def compared(
    what: str,
    unit: str,
    by_name: Mapping[str, Sequence[Measured]],
    goals: Mapping[str, float],
    note: str = "",
    goal_value: float | None = None,
) -> list[Row]:
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in by_name.items()}
    cpus = {name: statistics.median(cpu for _, cpu in runs) for name, runs in by_name.items()}
    return [
        Row(
            what,
            unit,
            ours=rates[OURS],
            peer=name,
            theirs=theirs,
            our_cpu_us=round(cpus[OURS], 2),
            their_cpu_us=round(cpus[name], 2),
            goal_ratio=goals.get(name),
            goal_value=goal_value if name in goals else None,
            note=note,
        )
        for name, theirs in rates.items()
        if name != OURS
    ]


def plain(found: Mapping[str, Sequence[Figures]]) -> dict[str, list[dict[str, float | str]]]:
    return {name: [asdict(figures) for figures in runs] for name, runs in found.items()}


def ask(server: Server, body: str) -> bytes:
    """One call outside of the timed part."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/",
        data=body.replace(ID_MARK, "0123456789abcdef").encode(),
        headers={"Content-Type": "application/json", "A2A-Version": "1.0"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        answer: bytes = response.read()
    return answer


def task_id(answer: bytes) -> str:
    parsed: dict[str, Any] = json.loads(answer)
    return str(parsed["result"]["task"]["id"])
