"""Tasks, results and agents as a person reads them. Everything from outside passes `plain` first."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, MarkdownElement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from coordinator.cli.lines import REMOTE_CANCEL, counted
from coordinator.cli.live import STYLES
from coordinator.cli.plain import command, duration, local_time, one_line, plain, to_answer, to_approve
from coordinator.cli.shapes import Agent, Artifact, Failure, Gap, Source, Step, Task, TaskSummary, Webhook
from coordinator.cli.view import item_title

PASSAGE_CHARS: Final = 240
MAX_CODE_CHARS: Final = 300
# What the columns beside the description take up in the list of tasks.
TASK_COLUMNS: Final = 85
PIPE_COLUMNS: Final = 1000
AGENT_STYLES: Final = {
    "up": "green",
    "degraded": "yellow",
    "quarantined": "yellow",
    "draining": "yellow",
    "down": "red",
}
# What a person can do about a failure, where the message alone does not say it.
NEXT_STEPS: Final = {
    "UNKNOWN_TASK_TYPE": "`{command} agents` lists what the agents here can do; `{command} register URL`"
    " adds one.",
    "DEADLINE_EXCEEDED": "Give it longer with --deadline.",
}


def make_console(*, stderr: bool = False) -> Console:
    """Colour and width of the terminal; in a pipe no colour, and lines that are not broken."""
    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = PIPE_COLUMNS
    return console


class LongCodeLeftOut(CodeBlock):
    """A code block; a long one is one line that says so, since `result.md` and a pipe have it in full."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text)
        if len(code) <= MAX_CODE_CHARS:
            yield from super().__rich_console__(console, options)
            return
        what = f"{one_line(self.lexer_name, max_chars=20)} code" if self.lexer_name != "text" else "text"
        yield Text(f"  ({len(code):,} characters of {what}, in result.md)", style="dim")


class UntrustedMarkdown(Markdown):
    """Markdown in which nothing is hidden: HTML stays as text, links show their address."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "fence": LongCodeLeftOut}

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False)
        parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
        self.parsed = parser.disable(["image"]).parse(plain(text))


def print_line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def print_hint(console: Console, text: str) -> None:
    """A line with a command in it: never broken, so that it can be copied."""
    console.print(Text(text), soft_wrap=True)


def _heading(console: Console, text: str) -> None:
    console.print()
    print_line(console, text, "bold")


def print_outcome(console: Console, task: Task) -> None:
    """The result with its sources and gaps, or why there is none and what to do."""
    if task.error is not None:
        _print_failure(console, task, task.error)
    elif task.status == "canceled":
        print_line(console, "The task is canceled.", STYLES["canceled"])
    if task.result is not None and task.result.text:
        console.print()
        if console.is_terminal:
            console.print(UntrustedMarkdown(task.result.text))
        else:
            print_line(console, plain(task.result.text))
    sources = task.result.sources if task.result is not None else ()
    if sources:
        _heading(console, "Sources")
    for source in sources:
        console.print(Padding(_source(source), (0, 0, 0, 2), expand=False), soft_wrap=not console.is_terminal)
        if source.passage:
            passage = Text(one_line(source.passage, max_chars=PASSAGE_CHARS), style="dim")
            console.print(Padding(passage, (0, 0, 0, 6), expand=False), soft_wrap=not console.is_terminal)
    if task.gaps:
        _heading(console, "Gaps")
    for gap in task.gaps:
        print_line(console, f"  - {_gap(gap)}")


def result_markdown(task: Task) -> str:
    """The result as one document, for a file."""
    assert task.result is not None
    sources = [f"- {_source(source)}" for source in task.result.sources]
    gaps = [f"- {_gap(gap)}" for gap in task.gaps]
    sections = [plain(task.result.text)]
    sections += ["## Sources\n\n" + "\n".join(sources)] if sources else []
    sections += ["## Gaps\n\n" + "\n".join(gaps)] if gaps else []
    return "\n\n".join(sections) + "\n"


def _print_failure(console: Console, task: Task, error: Failure) -> None:
    console.print()
    print_line(console, f"{task.status.capitalize()}: {_failure(error)}", STYLES["failed"])
    if error.code in NEXT_STEPS:
        print_line(console, NEXT_STEPS[error.code].format(command=command()))
    print_hint(console, f"All of it: {command()} task {plain(task.id)}")
    print_hint(console, f"Go on where it failed: {command()} retry {plain(task.id)}")


def _failure(error: Failure) -> str:
    return f"{one_line(error.message, max_chars=1000)} ({one_line(error.code)})"


def _source(source: Source) -> str:
    name = one_line(source.source)
    title = one_line(source.title or "")
    parts = [name, f'"{title}"' if title and title != name else "", one_line(source.locator or "")]
    return f"[{source.number}] " + ", ".join(part for part in parts if part)


def _gap(gap: Gap) -> str:
    where = f"step {gap.step_number}: " if gap.step_number is not None else ""
    return where + one_line(gap.reason)


def print_files(console: Console, paths: Sequence[Path]) -> None:
    if paths:
        _heading(console, "Files")
        for path in paths:
            print_line(console, f"  {path}")


def print_task(console: Console, task: Task, *, why: str | None) -> None:
    """Everything about one task. `why` is the coordinator's sentence on where it stands."""
    now = datetime.now(UTC)
    console.print(_facts(task, why, now))
    labels = _labels(task.steps)
    if task.steps:
        console.print()
        console.print(_steps(task.steps, labels, now))
    for step in task.steps:
        if step.question and step.status == "input_required":
            _heading(console, f"Step {labels[step.step_number]} asks: {one_line(step.question)}")
            print_hint(console, f"Answer with: {to_answer(task.id, step.step_number)}")
    if task.status == "awaiting_approval":
        print_gates(console, task)
    print_outcome(console, task)


def _facts(task: Task, why: str | None, now: datetime) -> Table:
    seconds = ((task.completed_at or now) - task.created_at).total_seconds()
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("Task", plain(task.id))
    if task.retry_of is not None:
        facts.add_row("Retry of", plain(task.retry_of))
    facts.add_row("Asked", Text(plain(task.description)))
    facts.add_row("State", Text(one_line(task.status), style=_style(task.status)))
    if why is not None:
        facts.add_row("Why", Text(one_line(why, max_chars=1000)))
    facts.add_row(
        "Created",
        f"{local_time(task.created_at)}, {'took' if task.has_ended else 'so far'} {duration(seconds)}",
    )
    facts.add_row("Session", plain(task.session_id))
    if task.priority:
        facts.add_row("Priority", str(task.priority))
    if task.webhook is not None:
        facts.add_row("Webhook", Text(_webhook(task.webhook)))
    if task.plan is not None:
        revised = f", version {task.plan.version}" if task.plan.version > 1 else ""
        facts.add_row("Planned by", one_line(task.plan.planner) + revised)
        for note in task.plan.notes:
            facts.add_row("", one_line(note))
    return facts


def _style(status: str) -> str:
    return STYLES.get(status.replace("_", " "), "")


def _webhook(webhook: Webhook) -> str:
    told = one_line(webhook.status or "is told of the end")
    tries = f" after {counted(webhook.attempts, 'attempt')}" if webhook.attempts > 1 else ""
    error = f": {one_line(webhook.last_error)}" if webhook.last_error and told != "delivered" else ""
    return f"{one_line(webhook.url)} {told}{tries}{error}"


def print_gates(console: Console, task: Task) -> None:
    """What waits for an approval, and how to give it. A task at rest has no step that waits for anything
    else."""
    gated = {step.number for step in task.plan.steps if step.approval} if task.plan is not None else set()
    gates = [s for s in task.steps if s.step_number in gated and s.status == "pending" and s.waiting_for]
    console.print()
    for step in gates:
        print_hint(console, f"Approve step {step.step_number} with: {to_approve(task.id, step.step_number)}")
    if not gates:
        print_hint(console, f"Approve the plan with: {to_approve(task.id, None)}")
    print_hint(console, f"To refuse it: {command()} cancel {plain(task.id)}")


def _labels(steps: Sequence[Step]) -> dict[int, str]:
    """What each step is called: an item of a list by the list and its place in it."""
    labels: dict[int, str] = {}
    places: Counter[int] = Counter()
    for step in sorted(steps, key=lambda step: step.step_number):
        labels[step.step_number] = str(step.step_number)
        if step.parent is not None:
            places[step.parent] += 1
            labels[step.step_number] = f"{step.parent}.{places[step.parent]}"
    return labels


def _steps(steps: Sequence[Step], labels: dict[int, str], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("Step", overflow="fold")
    table.add_column("Agent", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    for step in sorted(steps, key=lambda s: (s.parent or s.step_number, s.step_number)):
        attempts = f", attempt {step.attempt}" if step.attempt > 1 else ""
        took = ""
        if step.started_at is not None:
            took = duration(((step.completed_at or now) - step.started_at).total_seconds())
        style = "dim" if step.is_quiet else _style(step.status)
        table.add_row(
            labels[step.step_number],
            _step_text(step),
            one_line(step.agent.name) if step.agent else "",
            Text(one_line(step.status) + attempts, style=style),
            took,
        )
    return table


def _step_text(step: Step) -> Text:
    is_item = step.parent is not None
    text = Text(item_title(step.item) if is_item else one_line(step.instruction, max_chars=200))
    for note in _notes(step):
        text.append(f"\n{note}", style="dim")
    return text


def _notes(step: Step) -> Iterator[str]:
    if step.fallback_for is not None and step.parent is None and not step.is_quiet:
        should_it = ", should that fail" if step.status == "pending" else ""
        yield f"In place of step {step.fallback_for}{should_it}."
    if step.error is not None:
        yield one_line(step.error.message) if step.is_quiet else _failure(step.error)
    elif step.waiting_for:
        yield one_line(step.waiting_for)
    if step.remote_cancel is not None:
        answer = REMOTE_CANCEL.get(step.remote_cancel, f"its agent said: {one_line(step.remote_cancel)}")
        yield f"{answer[:1].upper()}{answer[1:]}."
    if step.may_have_run_twice:
        yield "It may have run twice."


def print_tasks(console: Console, tasks: Sequence[TaskSummary]) -> None:
    table = _list_table(console, "Task", "State", "Created", "Took", "Asked")
    room = max(20, console.width - TASK_COLUMNS) if console.is_terminal else 120
    for task in tasks:
        took = ""
        if task.completed_at is not None:
            took = duration((task.completed_at - task.created_at).total_seconds())
        table.add_row(
            plain(task.id),
            Text(one_line(task.status), style=_style(task.status)),
            local_time(task.created_at),
            took,
            one_line(task.description, max_chars=room),
        )
    console.print(table)


def print_agents(console: Console, agents: Sequence[Agent]) -> None:
    table = _list_table(console, "Agent", "State", "Since", "Address", "Skills")
    for agent in agents:
        table.add_row(
            f"{one_line(agent.name)} {one_line(agent.version, max_chars=20)}",
            Text(one_line(agent.health.state), style=AGENT_STYLES.get(agent.health.state, "")),
            local_time(agent.health.since),
            one_line(agent.url),
            ", ".join(one_line(skill.id) for skill in agent.skills),
        )
    console.print(table)
    for agent in agents:
        if agent.health.state != "up":
            print_line(
                console,
                f"{one_line(agent.name)} is {one_line(agent.health.state)}: {one_line(agent.health.reason)}",
            )
            print_hint(console, f"  More: {command()} agent {plain(agent.id)}")


def _list_table(console: Console, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        last = column == columns[-1]
        table.add_column(
            column, no_wrap=not last, overflow="fold" if last or not console.is_terminal else "ellipsis"
        )
    return table


def files_of(task: Task) -> list[Artifact]:
    """What the steps made that is a file; the prose among it is in the result's text already."""
    artifacts = task.result.artifacts if task.result is not None else ()
    return [
        a
        for a in artifacts
        if a.step_number is not None and a.media_type not in ("text/plain", "text/markdown")
    ]
