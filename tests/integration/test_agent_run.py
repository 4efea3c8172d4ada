"""An agent that is run as a script, and stopped while a caller waits."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.waiting import eventually_now

PROGRAM = """
import asyncio, sys
from a2a import Agent, Request
agent = Agent(name="Slow", description="Slow.", version="1.0.0")

@agent.skill(id="sleep", description="Sleep", tags=["sleep"])
async def sleep(request: Request):
    yield "asleep"
    await asyncio.sleep(600)

agent.run(port=int(sys.argv[1]))
"""
SEND = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "go"}]}}


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environment = {**os.environ, "AGENT_GRACE_S": "0.2", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", PROGRAM, str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=log)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_who_waits_while_the_agent_is_stopped_gets_the_task_as_it_ended(
    tmp_path: Path, stop: signal.Signals
) -> None:
    headers = {"A2A-Version": "1.0"}
    with running(tmp_path) as (process, url):
        async with httpx.AsyncClient(timeout=20, trust_env=False, headers=headers) as http:
            await asyncio.to_thread(eventually_now, lambda: answers(url), within_s=20)
            waiting = asyncio.create_task(http.post(f"{url}/message:send", json=SEND))

            async with http.stream("POST", f"{url}/message:stream", json=SEND) as events:
                lines = events.aiter_lines()
                await anext(lines)
                process.send_signal(stop)
                last = [line async for line in lines if line][-1]
            answer = await waiting
        status = await asyncio.to_thread(process.wait, 20)

    task = answer.json()["task"]
    assert (answer.status_code, task["status"]["state"]) == (200, "TASK_STATE_FAILED")
    assert task["status"]["message"]["metadata"] == {"retryable": True}
    assert json.loads(last.removeprefix("data: "))["statusUpdate"]["status"]["state"] == "TASK_STATE_FAILED"
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert status in (0, -stop)
