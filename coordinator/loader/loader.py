"""Keeps the agents of a folder served: looks, decides, carries out. One file's trouble is its own."""

import asyncio
import os
from asyncio import Task, TaskGroup
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from socket import socket
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from watchfiles import awatch

from a2a.background import background_loop
from a2a.card_types import WELL_KNOWN_PATH
from a2a.database import Database
from coordinator.clock import Now
from coordinator.loader.child import Child, Order, launch
from coordinator.loader.decide import (
    Abort,
    Check,
    Command,
    Remove,
    Report,
    Start,
    Stop,
    admitted,
    decide,
    next_due,
)
from coordinator.loader.leftovers import withdraw_leftovers
from coordinator.loader.listing import list_folder
from coordinator.loader.ports import Homes, NoPort, ports_for
from coordinator.loader.state import AgentFile, Doing, Failure, Found, Policy, shared_names
from coordinator.registry.withdrawal import withdraw_agent

log = structlog.get_logger(__name__)

# Of the folder, beside what the system tells of changes: not every file system tells.
LOOK_EVERY_S: Final = 5.0
# Of a file that is being written: the first look comes when it has been left alone for a moment.
DEBOUNCE_MS: Final = 300
# A Python that starts keeps a core busy; who starts all at once is late with all.
STARTS_AT_ONCE: Final = 4
# Who takes longer may wait for something that never comes; the others do not wait for it.
SLOT_S: Final = 3.0
REMOVAL_PAUSE_S: Final = 5.0
# A server that is not there is no error of SQLAlchemy's.
DATABASE_ERRORS: Final = (SQLAlchemyError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class FileView:
    """A file as others see it; `url` is the agent's, once it has one."""

    file: AgentFile
    since: datetime
    url: str | None
    pid: int | None

    @property
    def card_url(self) -> str | None:
        return self.url + WELL_KNOWN_PATH if self.url is not None else None


class Loader:
    """`environment` is what every process gets, beside its own AGENT_URL; what it says is logged with
    `output_level`."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        *,
        environment: dict[str, str],
        output_level: int,
        policy: Policy,
        now: Now,
    ) -> None:
        self.folder = folder.absolute()
        self.error: str | None = None
        self._database = database
        self._environment = environment
        self._output_level = output_level
        self._policy = policy
        self._now = now
        self._files: dict[str, AgentFile] = {}
        self._since: dict[str, datetime] = {}
        self._homes = Homes()
        self._children: dict[str, Child] = {}
        self._work: dict[str, Task[None]] = {}
        self._is_first_look = True
        self._changed = asyncio.Event()
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)

    def view(self) -> list[FileView]:
        """Every file by name."""
        return [self._view(file) for _, file in sorted(self._files.items())]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Afterwards every agent has ended."""
        try:
            async with background_loop(self._loop(), name="loader"):
                yield
        finally:
            await self._stop_all()

    def _view(self, file: AgentFile) -> FileView:
        child = self._children.get(file.name)
        pid = child.pid if child is not None else None
        return FileView(file, self._since[file.name], self._homes.url(file.name), pid)

    def _set(self, file: AgentFile) -> None:
        before = self._files.get(file.name)
        if before is None or before.state is not file.state:
            self._since[file.name] = self._now()
        self._files[file.name] = file
        self._changed.set()

    async def _loop(self) -> None:
        log.info("loader.watching", folder=str(self.folder))
        async with TaskGroup() as group:
            group.create_task(self._watch(), name="watch the agents' folder")
            while True:
                self._changed.clear()
                await self._look(group)
                due = next_due(self._files)
                wait_s = LOOK_EVERY_S if due is None else min(LOOK_EVERY_S, due - _clock())
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(wait_s, 0)):
                        await self._changed.wait()

    async def _watch(self) -> None:
        """Wakes the loop at once where the system tells of changes."""
        while True:
            try:
                changes = awatch(
                    self.folder, watch_filter=None, recursive=False, debounce=DEBOUNCE_MS,
                    rust_timeout=int(LOOK_EVERY_S * 1000), yield_on_timeout=True,
                )  # fmt: skip
                watched = _identity(self.folder)
                async for change in changes:
                    if change:
                        self._changed.set()
                    if _identity(self.folder) != watched:
                        break
            except (OSError, RuntimeError) as exc:
                log.debug("loader.not_told_of_changes", why=str(exc))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self, group: TaskGroup) -> None:
        """A folder that cannot be read says nothing of its files: they stay as they are."""
        try:
            found, more = await asyncio.to_thread(list_folder, self.folder, frozenset(self._files))
        except OSError as exc:
            self._note_folder(f"the folder cannot be read: {exc.strerror or exc}")
            return
        self._note_folder(f"there are {more:,} files more than are looked at" if more else None)
        if self._is_first_look:
            self._is_first_look = False
            group.create_task(self._tidy(found), name="loader: leftovers")
        found = admitted(found, self._files, self._policy.max_files)
        for command in decide(found, self._files, _clock()):
            self._carry_out(command, group)

    async def _tidy(self, found: list[Found]) -> None:
        kept = {next(ports_for(file.name)) for file in found} | self._homes.ports
        try:
            await withdraw_leftovers(self._database, kept, self._now)
        except DATABASE_ERRORS:
            log.exception("loader.leftovers_not_removed")

    def _note_folder(self, error: str | None) -> None:
        if error is not None and error != self.error:
            log.warning("loader.folder_problem", folder=str(self.folder), why=error)
        self.error = error

    def _carry_out(self, command: Command, group: TaskGroup) -> None:
        match command:
            case Report(found, problem):
                self._set(self._file(found.name).reported(found, problem))
                if problem is not None:
                    log.warning("loader.broken", file=found.name, why=problem)
            case Start(found):
                self._set(self._file(found.name).starting(found, _clock()))
                self._begin(group, found.name, self._start(found, group))
            case Check(found):
                self._set(self._files[found.name].checking(found))
                self._begin(group, found.name, self._check(found))
            case Stop(name):
                self._set(self._files[name].stopping())
                self._begin(group, name, self._stop(name))
            case Remove(name):
                self._set(self._files[name].removing())
                self._begin(group, name, self._remove(name))
            case Abort(name):
                self._set(self._files[name].aborting())
                self._work[name].cancel()

    def _file(self, name: str) -> AgentFile:
        return self._files.get(name) or AgentFile(name)

    def _begin(self, group: TaskGroup, name: str, work: Coroutine[None, None, None]) -> None:
        task = self._work[name] = group.create_task(work, name=f"loader: {name}")
        # Canceled before its first step it has not cleaned up after itself.
        task.add_done_callback(lambda done: self._abandoned(name) if done.cancelled() else None)

    def _abandoned(self, name: str) -> None:
        if name in self._files:
            self._set(self._files[name].aborted())

    async def _check(self, found: Found) -> None:
        outcome = await self._attempt(found.name, listening=None)
        if isinstance(outcome, Failure):
            self._note_failure(found.name, outcome)
        else:
            self._set(self._files[found.name].passed())

    async def _start(self, found: Found, group: TaskGroup) -> None:
        name = found.name
        try:
            outcome = await self._attempt(name, await self._homes.take(name))
        except NoPort as exc:
            outcome = Failure(str(exc), is_final=False)
        except asyncio.CancelledError:
            self._homes.close(name)
            raise
        if isinstance(outcome, Failure):
            self._homes.close(name)
            self._note_failure(name, outcome)
            return
        self._children[name] = outcome
        self._set(self._files[name].serving(outcome.agent_name))
        log.info("loader.serving", file=name, agent=outcome.agent_name, url=self._homes.url(name))
        if outcome.agent_name in shared_names(self._files.values()):
            log.warning("loader.shared_name", file=name, agent=outcome.agent_name)
        group.create_task(self._attend(name, outcome), name=f"loader: end of {name}")

    async def _attempt(self, name: str, listening: socket | None) -> Child | Failure:
        """A process that serves, or one that has checked the file and ended."""
        order = Order(self.folder / name, self._environment_of(name), listening)
        child, serves = None, False
        try:
            async with self._starts:
                child = await launch(order, partial(self._pass_on, name))
                await child.settled(SLOT_S)
            failure = await child.ready(self._policy.start_s)
            serves = failure is None and listening is not None
        except OSError as exc:
            return Failure(f"no process could be started: {exc.strerror or exc}", is_final=False)
        finally:
            if child is not None and not serves:
                await child.kill()
        return failure or child

    def _pass_on(self, name: str, line: str) -> None:
        log.log(self._output_level, "loader.output", file=name, line=line)

    def _environment_of(self, name: str) -> dict[str, str]:
        url = self._homes.url(name)
        return self._environment | ({"AGENT_URL": url} if url is not None else {})

    def _note_failure(self, name: str, failure: Failure) -> None:
        file = self._files[name].failed(failure, _clock(), self._policy)
        self._set(file)
        event = "loader.broken" if file.is_bad else "loader.failed"
        log.warning(event, file=name, why=file.error, older_serves=file.serves is not None)

    async def _attend(self, name: str, child: Child) -> None:
        """Nobody has asked it to end."""
        why = await child.ended()
        is_current = self._children.get(name) is child
        if not is_current or self._files[name].doing in (Doing.STOPPING, Doing.REMOVING):
            return
        del self._children[name]
        self._homes.close(name)
        file = self._files[name].died(why, _clock(), self._policy)
        self._set(file)
        log.warning("loader.died", file=name, why=why, is_left=file.is_bad)

    async def _stop(self, name: str) -> None:
        await self._end(name)
        self._set(self._files[name].stopped())

    async def _remove(self, name: str) -> None:
        """Out of the registry first, so that no more work comes; and again, for an agent that takes its time
        to end may have registered meanwhile."""
        url = self._homes.url(name)
        await self._withdraw(url)
        await self._end(name)
        await self._withdraw(url)
        self._homes.forget(name)
        del self._files[name], self._since[name], self._work[name]
        self._changed.set()
        log.info("loader.removed", file=name, url=url)

    async def _withdraw(self, url: str | None) -> None:
        while url is not None:
            try:
                card_url = url + WELL_KNOWN_PATH
                await self._database.write(partial(withdraw_agent, card_url=card_url, now=self._now()))
            except DATABASE_ERRORS:
                log.exception("loader.not_withdrawn", url=url)
                await asyncio.sleep(REMOVAL_PAUSE_S)
            else:
                return

    async def _end(self, name: str) -> None:
        child = self._children.get(name)
        if child is not None:
            await child.stop(self._policy.stop_s)
            self._children.pop(name, None)

    async def _stop_all(self) -> None:
        await asyncio.gather(*(self._end(name) for name in list(self._children)))
        for name in self._files:
            self._homes.close(name)
        log.info("loader.stopped")


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)  # noqa: PTH116 beside the listing
    except OSError:
        return None
    return status.st_dev, status.st_ino
