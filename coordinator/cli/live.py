"""The progress of a task on the screen: a table that moves on a terminal, one line per event elsewhere."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coordinator.cli.plain import duration, one_line, plain
from coordinator.cli.shapes import Event
from coordinator.cli.view import STEP_ENDED, StepView, TaskView, event_line

REFRESH_S: Final = 0.2
STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "canceled": "yellow",
    "skipped": "yellow",
    "running": "cyan",
    "executing": "cyan",
    "asks you": "bold yellow",
    "retrying": "yellow",
    "waiting": "yellow",
    "awaiting approval": "yellow",
}


class Display(Protocol):
    """Where progress goes, from `with` on; `view` is the task before the first event."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    def show(self, view: TaskView, event: Event) -> None: ...

    def say(self, text: str) -> None:
        """One line that is no event."""
        ...

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The screen belongs to somebody else in here."""
        ...


def display_for(console: Console, view: TaskView) -> Display:
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console, view)
    return LineDisplay(console, view)


class LineDisplay:
    def __init__(self, console: Console, view: TaskView) -> None:
        self._console = console
        self._view = view

    async def __aenter__(self) -> Self:
        self.say(f"task {plain(self._view.task_id)}")
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def show(self, view: TaskView, event: Event) -> None:
        self._view = view
        line = event_line(view, event)
        if line is not None:
            seconds = (event.created_at - view.created_at).total_seconds()
            self._print(f"{max(seconds, 0.0):7.1f} s  {line}")

    def say(self, text: str) -> None:
        self._print(f"{self._view.elapsed_s(datetime.now(UTC)):7.1f} s  {text}")

    @contextmanager
    def paused(self) -> Iterator[None]:
        yield

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


class LiveDisplay:
    def __init__(self, console: Console, view: TaskView) -> None:
        self._console = console
        self._view = view
        self._live = self._new_live()
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._live.start()
        self._ticker = asyncio.create_task(self._tick(), name="progress display")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._ticker is not None
        self._ticker.cancel()
        with suppress(asyncio.CancelledError):
            await self._ticker
        self._refresh()
        self._live.stop()

    def show(self, view: TaskView, event: Event) -> None:  # noqa: ARG002 the table shows the state, not the event
        self._view = view
        self._refresh()

    def say(self, text: str) -> None:
        self._console.print(Text(text, style="yellow"))

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._live.transient = True
        self._live.stop()
        try:
            yield
        finally:
            self._live = self._new_live()
            self._live.start()

    def _new_live(self) -> Live:
        # Drawn by our own ticker: a drawing thread beside the event loop could see half a change.
        return Live(console=self._console, auto_refresh=False, get_renderable=self._draw)

    def _draw(self) -> RenderableType:
        return progress(self._view, datetime.now(UTC))

    def _refresh(self) -> None:
        if self._live.is_started:
            self._live.refresh()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            self._refresh()


def progress(view: TaskView, now: datetime) -> RenderableType:
    """The task, its state and its steps, as they stand at `now` by our clock."""
    return Group(_header(view, now), _steps(view, now) if view.steps else Text("  planning ..."))


def _header(view: TaskView, now: datetime) -> Text:
    parts = [
        Text("Task ", style="bold"),
        Text(plain(view.task_id)),
        Text("  "),
        Text(view.state, style=STYLES.get(view.state, "")),
        Text(f"  {duration(view.elapsed_s(now))}", style="dim"),
    ]
    if view.planner:
        parts.append(Text(f"  planned by {one_line(view.planner)}", style="dim"))
    if view.note and view.ended_at is None:
        parts.append(Text(f"\n  {view.note}", style="yellow"))
    return Text.assemble(*parts)


def _steps(view: TaskView, now: datetime) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("", justify="right", no_wrap=True, min_width=3)
    table.add_column("Step", ratio=1, overflow="fold")
    table.add_column("Agent", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("State", no_wrap=True, min_width=9)
    table.add_column("Time", justify="right", no_wrap=True, min_width=8)
    for number in sorted(view.steps):
        step = view.steps[number]
        seconds = step.elapsed_s(view.coordinator_time(now))
        table.add_row(
            str(number),
            _what(step),
            Text(one_line(step.agent), style="" if step.started_at else "dim"),
            Text(_state(view, step), style=STYLES.get(step.state, "dim")),
            Text(duration(seconds) if seconds is not None else "", style="dim"),
        )
    return table


def _what(step: StepView) -> Text:
    text = Text(one_line(step.instruction, max_chars=160) or f"step {step.number}")
    if step.note and (step.state not in STEP_ENDED or step.state in ("failed", "skipped")):
        text.append(f"\n{one_line(step.note, max_chars=200)}", style="dim")
    return text


def _state(view: TaskView, step: StepView) -> str:
    unmet = view.unmet(step)
    if step.state == "pending" and unmet:
        return f"after {', '.join(map(str, unmet))}"
    return step.state
