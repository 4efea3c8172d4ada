"""The load generator: raw HTTP/1.1 over kept-alive connections, requests built beforehand but for their id.

It has to be much cheaper than any server it measures, so it reads no more of an answer than its length, the
words that a good answer has, and the number of `data:` lines of a stream.
"""

import asyncio
import os
import statistics
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

WARM_S = 0.5
DRAIN_S = 10.0
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
EVENT = b"data: "
# Nothing else in a stream of JSON ends so.
STREAM_END = b"0\r\n\r\n"
ID_MARK = "<id>"


@dataclass(frozen=True, slots=True)
class Load:
    """`body` has ID_MARK where each request's own id goes. A good answer contains `expected`; where `events`
    is set, it is a stream of so many."""

    port: int
    body: str
    expected: bytes
    concurrency: int
    events: int = 0
    path: str = "/"
    headers: str = "A2A-Version: 1.0\r\n"

    def halves(self) -> tuple[bytes, bytes]:
        before, after = self.body.split(ID_MARK)
        length = len(before.encode()) + 16 + len(after.encode())
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{self.headers}"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
        return head.encode() + before.encode(), after.encode()


@dataclass(slots=True)
class Tally:
    """What came within the window."""

    answers: int = 0
    events: int = 0
    bad: int = 0
    waits_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run. CPU is in cores: 1.0 is a core that never idles. `cpu_us` is what the server spent on an
    answer, or on an event of a stream; `foreign_cores` is what others took from the server's core."""

    answers_per_s: float
    events_per_s: float
    bad: int
    p50_ms: float
    p99_ms: float
    cpu_us: float
    server_cores: float
    generator_cores: float
    foreign_cores: float


class _Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._transport: asyncio.Transport
        self._sent_at = 0.0
        self._buffer = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._ask()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._run.left(self, is_early=self._sent_at > 0)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._needed:
            end = buffer.find(HEAD_END)
            if end < 0:
                return
            start = buffer.lower().find(LENGTH, 0, end) + len(LENGTH)
            self._needed = end + len(HEAD_END) + int(buffer[start : buffer.find(b"\r", start)])
        if len(buffer) >= self._needed:
            is_good = self._run.load.expected in buffer
            buffer.clear()
            self._needed = 0
            self._answered(is_good=is_good)

    def _ask(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.next_request())

    def _answered(self, *, is_good: bool) -> None:
        tally = self._run.tally
        tally.answers += 1
        tally.bad += not is_good
        tally.waits_s.append(time.perf_counter() - self._sent_at)
        if self._run.is_over:
            self._sent_at = 0.0
            self._transport.close()
        else:
            self._ask()


class _StreamCaller(_Caller):
    """Counts events as they come; a mark that two reads cut in half is counted with the second."""

    def __init__(self, run: "_Run") -> None:
        super().__init__(run)
        self._tail = b""
        self._events = 0

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data
        events = seen.count(EVENT)
        self._events += events
        self._run.tally.events += events
        if seen.endswith(STREAM_END):
            is_good = self._events == self._run.load.events
            self._events, self._tail = 0, b""
            self._answered(is_good=is_good)
        else:
            self._tail = seen[1 - len(EVENT) :]


class _Run:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.tally = Tally()
        self.is_over = False
        self._before, self._after = load.halves()
        self._number = time.time_ns()
        self._open: set[_Caller] = set()
        self._all_left = asyncio.Event()

    def next_request(self) -> bytes:
        self._number += 1
        return b"%b%016x%b" % (self._before, self._number, self._after)

    def left(self, caller: _Caller, *, is_early: bool) -> None:
        self._open.discard(caller)
        self.tally.bad += is_early
        if not self._open:
            self._all_left.set()

    async def connect(self) -> None:
        kind = _StreamCaller if self.load.events else _Caller
        loop = asyncio.get_running_loop()
        for _ in range(self.load.concurrency):
            _, caller = await loop.create_connection(lambda: kind(self), "127.0.0.1", self.load.port)
            self._open.add(caller)

    async def drained(self) -> None:
        self.is_over = True
        async with asyncio.timeout(DRAIN_S):
            await self._all_left.wait()


def cpu_s(pid: int) -> float:
    """What a process has used so far, its threads included."""
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 read twice per run, beside a clock
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_s(core: int) -> float:
    """What a core has worked so far, for whomever; time that the hypervisor took counts too."""
    with open("/proc/stat") as file:  # noqa: PTH123
        fields = next(line.split()[1:] for line in file if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _wait, irq, soft_irq, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")


async def _drive(load: Load, pid: int, core: int, seconds: float) -> Figures:
    run = _Run(load)
    await run.connect()
    await asyncio.sleep(WARM_S)
    run.tally = tally = Tally()
    started, own, server, busy = time.perf_counter(), time.process_time(), cpu_s(pid), busy_s(core)
    await asyncio.sleep(seconds)
    run.tally = Tally()
    took = time.perf_counter() - started
    own, server, busy = time.process_time() - own, cpu_s(pid) - server, busy_s(core) - busy
    await run.drained()
    waits = sorted(tally.waits_s) or [0.0]
    return Figures(
        answers_per_s=round(tally.answers / took, 1),
        events_per_s=round(tally.events / took, 1),
        bad=tally.bad,
        p50_ms=round(statistics.median(waits) * 1000, 3),
        p99_ms=round(waits[int(len(waits) * 0.99)] * 1000, 3),
        cpu_us=round(server / max(tally.events or tally.answers, 1) * 1_000_000, 2),
        server_cores=round(server / took, 2),
        generator_cores=round(own / took, 2),
        foreign_cores=round((busy - server) / took, 2),
    )


def drive(load: Load, pid: int, core: int, seconds: float) -> Figures:
    """Load the server of process `pid` on `core` for `seconds`, after a warm-up."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(load, pid, core, seconds))
