"""The progress of a task on the screen: a table that moves on a terminal, one line per event elsewhere."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coordinator.cli.lines import event_line
from coordinator.cli.plain import duration, one_line, plain, to_approve
from coordinator.cli.shapes import Event
from coordinator.cli.view import StepView, TaskView

REFRESH_S: Final = 0.2
# More items of a list do not fit on a screen beside the rest.
MAX_ITEMS: Final = 8
STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "canceled": "yellow",
    "skipped": "yellow",
    "running": "cyan",
    "executing": "cyan",
    "asks you": "bold yellow",
    "input required": "bold yellow",
    "retrying": "yellow",
    "waiting": "yellow",
    "needs approval": "bold yellow",
    "awaiting approval": "bold yellow",
    "canceling": "yellow",
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
    def paused(self, *, keep: bool = False) -> Iterator[None]:
        """The screen belongs to somebody else in here; with `keep` beside what was shown."""
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
    def paused(self, *, keep: bool = False) -> Iterator[None]:  # noqa: ARG002 what was printed stays
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
        self._console.print(Text(text, style="yellow"), soft_wrap=True)

    @contextmanager
    def paused(self, *, keep: bool = False) -> Iterator[None]:
        self._live.transient = not keep
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
        revised = f", version {view.version}" if view.version > 1 else ""
        parts.append(Text(f"  planned by {one_line(view.planner)}{revised}", style="dim"))
    if view.note and view.ended_at is None:
        parts.append(Text(f"\n  {view.note}", style="yellow"))
    for gate in view.gates() if view.is_busy else ():
        # At rest the person is asked.
        hint = f"Approve step {gate.label} with: {to_approve(view.task_id, gate.number)}"
        parts.append(Text(f"\n  {hint}", style="yellow"))
    return Text.assemble(*parts)


def _steps(view: TaskView, now: datetime) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("", justify="right", no_wrap=True, min_width=3)
    table.add_column("Step", ratio=1, overflow="fold")
    table.add_column("Agent", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("State", no_wrap=True, min_width=9)
    table.add_column("Time", justify="right", no_wrap=True, min_width=8)
    for step in view.planned():
        _add_row(table, view, step, now)
        items = view.items(step.number)
        shown = _most_telling(items)
        for item in shown:
            _add_row(table, view, item, now)
        if len(items) > len(shown):
            table.add_row("", Text(f"and {len(items) - len(shown)} more", style="dim"))
    return table


def _add_row(table: Table, view: TaskView, step: StepView, now: datetime) -> None:
    seconds = step.elapsed_s(view.coordinator_time(now))
    style = "dim" if step.is_quiet else STYLES.get(step.state, "dim")
    table.add_row(
        step.label,
        _what(step),
        Text(one_line(step.agent), style="" if step.started_at else "dim"),
        Text(_state(view, step), style=style),
        Text(duration(seconds) if seconds is not None else "", style="dim"),
    )


def _most_telling(items: Sequence[StepView]) -> list[StepView]:
    """As many as fit, in their order: what failed or asks before what runs, then the newest that ended."""

    def rank(item: StepView) -> tuple[int, int]:
        match item.state:
            case "failed" | "asks you":
                return 0, item.place
            case "completed":
                return 2, -item.place
            case "pending":
                return 3, item.place
            case _:
                return 1, item.place

    return sorted(sorted(items, key=rank)[:MAX_ITEMS], key=lambda item: item.place)


def _what(step: StepView) -> Text:
    text = Text(one_line(step.instruction, max_chars=160) or f"step {step.label}")
    if step.note and (not step.has_ended or step.state in ("failed", "skipped")):
        text.append(f"\n{one_line(step.note, max_chars=200)}", style="dim")
    return text


def _state(view: TaskView, step: StepView) -> str:
    items = view.items(step.number)
    if items and not step.has_ended:
        return f"{sum(item.has_ended for item in items)}/{len(items)} done"
    unmet = view.unmet(step)
    if step.state == "pending" and unmet:
        return f"after {', '.join(map(str, unmet))}"
    if step.state == "pending" and step.fallback_for is not None:
        return f"if {step.fallback_for} fails"
    return step.state
