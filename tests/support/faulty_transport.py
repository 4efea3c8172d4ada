"""Agents of ours behind a network that fails as a test says: each agent has its next faults, and a memory
that it can lose."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import httpx
from fastapi import FastAPI

from a2a.types import format_timestamp
from tests.support.virtual_time import Process, VirtualLoop, current_process

SLOW_S = 5.0
RETRY_AFTER_S = "2"
_TIMESTAMP = re.compile(rb'(?<="timestamp":")[^"]+')


class NetworkFault(StrEnum):
    """What becomes of one request."""

    refused = "refused"  # it does not arrive
    busy = "busy"  # 503 with Retry-After, nothing is done
    bad_gateway = "bad gateway"  # 502, nothing is done
    garbage = "garbage"  # it arrives, the answer is no JSON
    answer_lost = "answer lost"  # it is answered, the answer does not arrive
    cut = "cut"  # it arrives, the connection breaks at once
    stream_cut = "stream cut"  # the answer breaks off after its first bytes
    slow = "slow"  # all as usual, seconds later
    silent = "silent"  # it does not arrive, and nobody says so
    restart = "restart"  # the agent has lost its memory when it would arrive
    restart_after = "restart after"  # it is answered, then the agent loses its memory


@dataclass
class AgentHost:
    """Where an agent runs. `make` builds its app anew each time it starts; `is_back` is called then, as an
    agent registers when it starts. `faults` are those of its next requests, None of one that has none;
    `fault_rate` is how likely each other request has one."""

    name: str
    make: Callable[[Process], FastAPI]
    is_back: Callable[[], None] = lambda: None
    faults: deque[NetworkFault | None] = field(default_factory=deque)
    fault_rate: float = 0.0
    starts: int = 0
    process: Process = field(init=False)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self._start()

    @property
    def url(self) -> str:
        return f"http://{self.name}.test"

    def next_fault(self) -> NetworkFault | None:
        if self.faults:
            return self.faults.popleft()
        chance = _loop().random
        return chance.choice(list(NetworkFault)) if chance.random() < self.fault_rate else None

    def restart(self) -> None:
        """Its memory is gone, and so is what it was at."""
        self.process.kill()
        self._start()
        self.is_back()

    def _start(self) -> None:
        self.starts += 1
        self.process = Process(f"{self.name} {self.starts}")
        self.app = self.process.call(lambda: self.make(self.process))


class FaultyTransport(httpx.AsyncBaseTransport):
    """For one client of the agents; one that is dead sends nothing more."""

    def __init__(self, hosts: dict[str, AgentHost]) -> None:
        self._hosts = hosts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        client, host = current_process(), self._hosts[request.url.host]
        await asyncio.sleep(_loop().pause_s())
        if client is not None and client.is_dead:
            raise httpx.ConnectError("its process is dead", request=request)
        fault = host.next_fault()
        match fault:
            case NetworkFault.refused:
                raise httpx.ConnectError("connection refused", request=request)
            case NetworkFault.busy:
                return httpx.Response(503, headers={"Retry-After": RETRY_AFTER_S})
            case NetworkFault.bad_gateway:
                return httpx.Response(502)
            case NetworkFault.silent:
                await asyncio.get_running_loop().create_future()
            case NetworkFault.slow:
                await asyncio.sleep(SLOW_S)
            case NetworkFault.restart:
                host.restart()
                raise httpx.ConnectError("connection refused", request=request)
        return await _delivered(host, request, fault)


async def _delivered(host: AgentHost, request: httpx.Request, fault: NetworkFault | None) -> httpx.Response:
    exchange = Exchange(host, request)
    if fault is NetworkFault.cut:
        await asyncio.sleep(_loop().pause_s())
        exchange.hang_up()
        raise httpx.ReadError("the connection broke", request=request)
    response = await exchange.response()
    if fault is NetworkFault.answer_lost or fault is NetworkFault.restart_after:
        exchange.hang_up()
        if fault is NetworkFault.restart_after:
            host.restart()
        raise httpx.ReadError("the connection broke", request=request)
    if fault is NetworkFault.garbage:
        exchange.hang_up()
        return httpx.Response(200, headers={"Content-Type": "application/json"}, content=b"{")
    exchange.breaks_off = fault is NetworkFault.stream_cut
    return response


class Exchange(httpx.AsyncByteStream):
    """One request to an ASGI app and its response, as it comes. The app runs in the agent's own process: a
    client that leaves is only told of."""

    def __init__(self, host: AgentHost, request: httpx.Request) -> None:
        self._request = request
        self._body: bytes | None = request.content
        self._gone = asyncio.Event()
        self._sent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.breaks_off = False
        self._serving = host.process.run(self._serve(host), name=f"request to {host.name}")
        # Also where it was killed.
        self._serving.add_done_callback(lambda _task: self._sent.put_nowait(None))

    def hang_up(self) -> None:
        self._gone.set()

    async def response(self) -> httpx.Response:
        try:
            start = await self._next()
        except BaseException:
            self.hang_up()
            raise
        # Timestamps are translated, so the length may be another.
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        return httpx.Response(start["status"], headers=headers, stream=self, request=self._request)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._next()
            body = message.get("body", b"")
            if body:
                yield _in_virtual_time(body)
            if not message.get("more_body", False):
                return
            if self.breaks_off:
                raise httpx.ReadError("the connection broke", request=self._request)

    async def aclose(self) -> None:
        self.hang_up()

    async def _next(self) -> dict[str, Any]:
        message = await self._sent.get()
        if message is None:
            raise httpx.ReadError("the agent hung up", request=self._request)
        return message

    async def _serve(self, host: AgentHost) -> None:
        url = self._request.url
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path,
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "server": (url.host, 80),
            "client": ("127.0.0.1", 1),
        }
        app: Callable[..., Awaitable[None]] = host.app
        await app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await asyncio.sleep(_loop().pause_s())
        if self._gone.is_set():
            raise OSError("the client has left")
        self._sent.put_nowait(message)


def _in_virtual_time(body: bytes) -> bytes:
    """What an agent says of times is in the machine's: it has no other clock."""

    def translated(found: re.Match[bytes]) -> bytes:
        return format_timestamp(_loop().virtual(datetime.fromisoformat(found[0].decode()))).encode()

    return _TIMESTAMP.sub(translated, body)


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
