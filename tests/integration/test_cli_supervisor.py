"""The supervisor behind `parley up`, with real processes."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from coordinator.cli.procfile import ProcessLine
from coordinator.cli.supervisor import Policy, Supervisor

QUICK = Policy(first_wait_s=0.02, longest_wait_s=0.1, max_quick_exits=4, stop_s=0.3)
STAYS = "sh -c 'echo \"pid $$\"; exec sleep 60'"


class Said:
    """What the supervisor passed on, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._news = asyncio.Event()

    def say(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._news.set()

    async def until(self, pattern: str, *, times: int = 1) -> list[str]:
        """The lines `name: text` that match, once there are so many."""
        async with asyncio.timeout(20):
            while True:
                found = [f"{n}: {line}" for n, line in self.lines if re.search(pattern, f"{n}: {line}")]
                if len(found) >= times:
                    return found
                self._news.clear()
                await self._news.wait()


def lines(**commands: str) -> list[ProcessLine]:
    return [ProcessLine(name, command, "127.0.0.1", None) for name, command in commands.items()]


@asynccontextmanager
async def running(
    said: Said, processes: Sequence[ProcessLine], **environment: str
) -> AsyncIterator[tuple[Supervisor, "asyncio.Task[bool]"]]:
    supervisor = Supervisor(
        processes,
        environment=environment,
        path=Path(sys.executable).parent,
        essential="coordinator",
        say=said.say,
        policy=QUICK,
    )
    run = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, run
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


def pid_of(line: str) -> int:
    return int(line.rsplit(" ", 1)[1])


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_killed_process_is_started_again_and_the_others_go_on() -> None:
    said = Said()
    async with running(said, lines(coordinator=STAYS, agent=STAYS)) as (_, run):
        [agent] = await said.until("agent: pid")
        [coordinator] = await said.until("coordinator: pid")
        os.kill(pid_of(agent), signal.SIGKILL)
        again = await said.until("agent: pid", times=2)
        assert pid_of(again[1]) != pid_of(agent)
        assert lives(pid_of(coordinator))
        assert not run.done()
    assert ("agent", "was ended by SIGKILL; starting again in 0.02 s") in said.lines


async def test_stop_ends_all_and_says_it_was_asked_to() -> None:
    said = Said()
    async with running(said, lines(coordinator=STAYS, agent=STAYS)) as (supervisor, run):
        pids = [pid_of(line) for line in await said.until("pid", times=2)]
        supervisor.stop()
        assert await run
    assert not any(map(lives, pids))


async def test_process_that_ignores_sigterm_is_killed_with_its_children() -> None:
    said = Said()
    stubborn = 'sh -c \'trap "" TERM; sleep 60 & echo "own pid $$"; wait; sleep 60\''
    async with running(said, lines(coordinator=stubborn)) as (supervisor, run):
        [own] = await said.until("own pid")
        supervisor.stop()
        # It ends only when nobody holds its output open any more: the child is gone too.
        async with asyncio.timeout(20):
            assert await run
    assert not lives(pid_of(own))
    assert ("coordinator", "did not stop within 0.3 s; killed") in said.lines


async def test_second_stop_kills_at_once() -> None:
    said = Said()
    stubborn = 'sh -c \'trap "" TERM; echo "pid $$"; while true; do sleep 60; done\''
    async with running(said, lines(coordinator=stubborn)) as (supervisor, run):
        await said.until("pid")
        supervisor.stop()
        supervisor.stop()
        assert await run
    assert not any("did not stop" in line for _, line in said.lines)


async def test_agent_that_cannot_start_is_left_down_and_the_rest_goes_on() -> None:
    said = Said()
    async with running(said, lines(coordinator=STAYS, agent="sh -c 'exit 3'")) as (supervisor, run):
        await said.until("agent: ended with exit code 3 too often; it stays down")
        assert not run.done()
        supervisor.stop()
        assert await run


async def test_coordinator_that_cannot_start_ends_everything() -> None:
    said = Said()
    async with running(said, lines(coordinator="sh -c 'exit 3'", agent=STAYS)) as (_, run):
        assert not await run
    [agent] = await said.until("agent: pid")
    assert not lives(pid_of(agent))


async def test_environment_and_path_reach_the_process() -> None:
    said = Said()
    command = "sh -c 'echo \"url $WHERE\"; command -v python; exec sleep 60'"
    async with running(said, lines(coordinator=command), WHERE="http://here; echo no"):
        await said.until("url http://here; echo no")
        [found] = await said.until("coordinator: /")
    assert Path(found.removeprefix("coordinator: ")).parent == Path(sys.executable).parent


async def test_endless_line_is_passed_on_in_pieces() -> None:
    said = Said()
    command = f"{sys.executable} -c \"print('x' * 100_000, end='', flush=True); import time; time.sleep(60)\""
    async with running(said, lines(coordinator=command)):
        await said.until("xxx")


async def test_cancelled_run_leaves_no_process_behind() -> None:
    said = Said()
    async with running(said, lines(coordinator=STAYS)) as (_, run):
        [line] = await said.until("pid")
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        assert not lives(pid_of(line))
