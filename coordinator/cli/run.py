"""`parley run`: follow one task to its end, cancel it on Ctrl-C, pass on what a person has to say to it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console

from coordinator.cli.client import Back, Coordinator, Lost
from coordinator.cli.errors import CliError, Refused, Unreachable
from coordinator.cli.files import safe_name, save
from coordinator.cli.live import display_for
from coordinator.cli.plain import command, one_line, plain, to_answer
from coordinator.cli.render import (
    files_of,
    print_files,
    print_gates,
    print_hint,
    print_line,
    print_outcome,
    result_markdown,
)
from coordinator.cli.shapes import Accepted, Event, Task
from coordinator.cli.view import StepView, TaskView, after, first_view, said, step_number

T = TypeVar("T")

FAILED: Final = 1
WAITS: Final = 3
INTERRUPTED: Final = 130
CANCEL_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Screen:
    """Where things go: `progress` what happens, `result` what a pipe wants; `as_json` the task as JSON."""

    progress: Console
    result: Console
    as_json: bool

    @property
    def can_ask(self) -> bool:
        return self.progress.is_terminal and sys.stdin.isatty()


class End(Enum):
    """How following a task came to its end."""

    ENDED = auto()
    LEFT = auto()  # by the person, before the task's end
    WAITS = auto()  # for an approval that nobody gives here


@dataclass(frozen=True, slots=True)
class Interrupts:
    """The first Ctrl-C asks for a cancel, the second to leave at once."""

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    def on_signal(self) -> None:
        (self.leave if self.cancel.is_set() else self.cancel).set()

    @contextmanager
    def caught(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.on_signal)
        loop.add_signal_handler(signal.SIGTERM, self.leave.set)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            loop.remove_signal_handler(signal.SIGTERM)


class Run:
    """One task from its acceptance to its end."""

    def __init__(
        self, coordinator: Coordinator, view: TaskView, screen: Screen, interrupts: Interrupts
    ) -> None:
        self._coordinator = coordinator
        self._task_id = view.task_id
        self._view = view
        self._display = display_for(screen.progress, view)
        self._can_ask = screen.can_ask
        self._interrupts = interrupts

    async def follow(self) -> End:
        """Until the task has ended, or nothing more can be done from here. Raises CliError."""
        async with self._display:
            canceling = asyncio.create_task(self._cancel_when_asked(), name="cancel on Ctrl-C")
            try:
                return await _unless(self._interrupts.leave, self._follow()) or End.LEFT
            finally:
                await _stopped(canceling)

    async def _follow(self) -> End:
        async with aclosing(self._coordinator.events(self._task_id)) as events:
            async for event in events:
                match event:
                    case Lost():
                        self._display.say(
                            "The coordinator is away; the task is safe there. Connecting again ..."
                        )
                    case Back():
                        self._display.say("The coordinator is back.")
                    case Event():
                        self._view = after(self._view, event)
                        self._display.show(self._view, event)
                        if await self._wants_person(event):
                            return End.WAITS
        return End.ENDED

    async def _wants_person(self, event: Event) -> bool:
        """Pass on what a person has to do now; whether the task waits and nobody here will do it."""
        match event.kind:
            case "task.input_required":
                await self._ask(event)
            case "task.awaiting_approval":
                return await self._still_waits() and not await self._approve()
        return False

    async def _ask(self, event: Event) -> None:
        number = step_number(event)
        question = said(event.data) or "It needs more from you."
        if not self._can_ask:
            self._display.say(f"Answer with: {to_answer(self._task_id, number)}")
            return
        with self._display.paused():
            who = f"Step {self._view.step(number).label} asks: " if number is not None else ""
            print(f"{who}{question}")  # noqa: T201 the screen is ours here
            answer = await _unless(self._interrupts.cancel, read_line("Your answer: "))
        if answer is None:
            return
        try:
            await self._coordinator.answer(self._task_id, answer, step_number=number)
        except Refused as exc:
            self._display.say(str(exc))

    async def _still_waits(self) -> bool:
        """The event may be an old one: somebody may have approved since."""
        try:
            return (await self._coordinator.task(self._task_id)).status == "awaiting_approval"
        except Unreachable:
            return False

    async def _approve(self) -> bool:
        """Whether the task goes on, or is canceled: the person was asked and has decided."""
        if not self._can_ask:
            return False
        gates = self._view.gates()
        with self._display.paused(keep=True):
            print(_what_waits(gates))  # noqa: T201 the screen is ours here
            prompt = "Approve? yes, or no to leave it waiting: "
            answer = await _unless(self._interrupts.cancel, read_line(prompt))
        if self._interrupts.cancel.is_set():
            return True
        if (answer or "").lower() not in ("y", "yes"):
            return False
        try:
            only = gates[0].number if len(gates) == 1 else None
            await self._coordinator.approve(self._task_id, step_number=only)
        except Refused as exc:
            self._display.say(str(exc))
        return True

    async def _cancel_when_asked(self) -> None:
        await self._interrupts.cancel.wait()
        self._display.say("Canceling the task on the coordinator. Ctrl-C again leaves without waiting.")
        while True:
            try:
                await self._coordinator.cancel(self._task_id)
            except Unreachable:
                await asyncio.sleep(CANCEL_RETRY_S)
            except CliError as exc:
                self._display.say(f"Cancel: {exc}")
                return
            else:
                return


def _what_waits(gates: Sequence[StepView]) -> str:
    match gates:
        case []:
            return "The plan needs your approval."
        case [gate]:
            return f"Step {gate.label} needs your approval: {one_line(gate.instruction, max_chars=200)}"
        case _:
            return f"Steps {', '.join(gate.label for gate in gates)} need your approval."


async def _stopped(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result; None, and the work canceled, where the event is set before it is done."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        await _stopped(working, waiting)


async def read_line(prompt: str) -> str | None:
    """One non-empty line from standard input, without blocking the loop; None at its end."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()
    descriptor = sys.stdin.fileno()

    def on_readable() -> None:
        text = sys.stdin.readline()
        if text.strip() or not text:
            if not line.done():
                line.set_result(text.strip())
        else:
            print(prompt, end="", flush=True)  # noqa: T201 a prompt

    print(prompt, end="", flush=True)  # noqa: T201 a prompt
    loop.add_reader(descriptor, on_readable)
    try:
        return await line or None
    finally:
        loop.remove_reader(descriptor)


async def run_task(
    coordinator: Coordinator, accepting: Coroutine[Any, Any, Accepted], screen: Screen, out: Path
) -> int:
    """Have the task accepted, follow it, show what came of it; the exit code."""
    interrupts = Interrupts()
    with interrupts.caught():
        accepted = await _unless(interrupts.cancel, accepting)
        if accepted is None:
            print_hint(
                screen.progress,
                f"Left before the coordinator answered. `{command()} tasks` shows if it took it.",
            )
            return INTERRUPTED
        view = first_view(accepted, datetime.now(UTC))
        end = await Run(coordinator, view, screen, interrupts).follow()
    if end is End.LEFT:
        print_hint(screen.progress, f"Left. Where the task stands: {command()} task {plain(view.task_id)}")
        return INTERRUPTED
    if end is End.WAITS:
        print_line(screen.progress, "Left; the task waits for an approval.")
        print_gates(screen.progress, await coordinator.task(view.task_id))
        if screen.as_json:
            sys.stdout.write(await coordinator.task_json(view.task_id) + "\n")
        return WAITS
    return await _show(coordinator, view.task_id, screen, out, was_interrupted=interrupts.cancel.is_set())


async def _show(
    coordinator: Coordinator, task_id: str, screen: Screen, out: Path, *, was_interrupted: bool
) -> int:
    """What came of a task that has ended; the exit code."""
    task = await coordinator.task(task_id)
    if screen.as_json:
        sys.stdout.write(await coordinator.task_json(task.id) + "\n")
    else:
        print_outcome(screen.result, task)
    paths = await download(coordinator, task, out / safe_name(task.id), screen.progress)
    print_files(screen.progress, paths)
    if task.status == "canceled" and was_interrupted:
        return INTERRUPTED
    return 0 if task.status == "completed" else FAILED


async def download(coordinator: Coordinator, task: Task, folder: Path, console: Console) -> list[Path]:
    """Save the result and the files that the steps made; one that cannot be had is named and left out."""
    paths = []
    if task.result is not None and task.result.text:
        paths.append(await save(folder, "result.md", _one_chunk(result_markdown(task))))
    for artifact in files_of(task):
        try:
            chunks = coordinator.artifact(task.id, artifact.id)
            paths.append(await save(folder, artifact.filename, chunks))
        except Refused as exc:
            print_line(console, f"Not saved: {one_line(artifact.filename)}: {exc}", "red")
    return paths


async def _one_chunk(text: str) -> AsyncIterator[bytes]:
    yield text.encode()
