"""The commands of `parley`: what can be typed, and what each prints. The work is done beside this file."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from coordinator.cli.agents import agent_commands
from coordinator.cli.calling import Url, call, cli_settings, leave
from coordinator.cli.client import Coordinator, NewTask
from coordinator.cli.errors import CliError
from coordinator.cli.files import read_plan, read_uploads
from coordinator.cli.plain import command, one_line
from coordinator.cli.render import (
    make_console,
    print_files,
    print_hint,
    print_line,
    print_task,
    print_tasks,
)
from coordinator.cli.run import Screen, download, run_task
from coordinator.cli.shapes import TERMINAL

TIME_BOX_S: Final = 60.0
RESULTS: Final = Path("parley-results")
STATUSES: Final = (
    "pending",
    "planning",
    "awaiting_approval",
    "executing",
    "input_required",
    *sorted(TERMINAL),
)

app = typer.Typer(
    help="Give tasks to a network of A2A agents and look after it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(agent_commands)
new = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(new, name="new", help="Begin something new.")

TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]
Step = Annotated[int | None, typer.Option(help="The step that it is about.", min=1)]
Out = Annotated[Path, typer.Option(help="Where the files of the result go, in a folder per task.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the task as JSON.")]


def _screen(*, as_json: bool) -> Screen:
    result = make_console()
    return Screen(make_console(stderr=True) if as_json else result, result, as_json)


@app.command()
def run(  # noqa: PLR0913 each is an option of the command
    *,
    description: Annotated[str | None, typer.Argument(help="What is to be done, in plain words.")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="A file it is about; may be given again.")] = None,
    plan: Annotated[
        Path | None, typer.Option(help='A JSON file with a plan of your own, {"steps": [...]}.')
    ] = None,
    strategy: Annotated[
        Literal["auto", "sequential", "parallel", "adaptive"] | None,
        typer.Option(help="How steps are ordered.", show_default="auto"),
    ] = None,
    approval: Annotated[
        Literal["none", "plan"] | None,
        typer.Option(help="Whether the plan waits for your approval.", show_default="none"),
    ] = None,
    session: Annotated[str | None, typer.Option(help="The session to go on with.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds after which it fails.", min=0.001)] = None,
    priority: Annotated[
        int | None, typer.Option(help="Higher goes first.", min=-100, max=100, show_default="0")
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="A URL that is told of the end.")] = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Run a task: progress, then the result. Ctrl-C cancels it.

    The exit code is 0 where the task completed, 3 where it waits for an approval, 130 after Ctrl-C, else 1.
    """

    async def body(coordinator: Coordinator) -> int:
        steps = read_plan(plan) if plan is not None else None
        new = NewTask(
            description=_described(description, steps, plan),
            session_id=session,
            deadline_s=deadline,
            plan=steps,
            strategy=strategy,
            approval=approval,
            priority=priority,
            webhook_url=webhook,
            files=read_uploads(file or [], max_bytes=cli_settings().tasks_max_upload_bytes),
        )
        return await run_task(coordinator, coordinator.create_task(new), _screen(as_json=as_json), out)

    call(url, body)


def _described(description: str | None, plan: dict[str, Any] | None, path: Path | None) -> str:
    """What the task is called: a plan may do without, then by its first instruction."""
    if description is not None and description.strip():
        return description
    if plan is None:
        raise CliError(f'Say what is to be done: {command()} run "..."')
    first = plan["steps"][0] if plan["steps"] else None
    instruction = first.get("instruction") if isinstance(first, dict) else None
    return instruction if isinstance(instruction, str) and instruction.strip() else f"The plan {path}"


@app.command()
def tasks(
    status: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(STATUSES)}.")] = None,
    url: Url = None,
) -> None:
    """List the newest tasks."""

    async def body(coordinator: Coordinator) -> None:
        if status is not None and status not in STATUSES:
            raise CliError(f"There is no status {one_line(status)!r}; there are {', '.join(STATUSES)}.")
        found = await coordinator.tasks(status)
        if found:
            print_tasks(make_console(), found)
        else:
            print_line(make_console(), "No tasks." if status is None else f"No tasks are {status}.")

    call(url, body)


@app.command()
def task(
    *,
    task_id: TaskId,
    out: Annotated[Path | None, typer.Option(help="Save the files of the result in this folder.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show one task: its steps, where it stands and why, its result."""

    async def body(coordinator: Coordinator) -> None:
        console = make_console()
        shown = await coordinator.task(task_id)
        if as_json:
            sys.stdout.write(await coordinator.task_json(task_id) + "\n")
        else:
            why = None if shown.has_ended else await coordinator.why(task_id)
            print_task(console, shown, why=why)
        notices = make_console(stderr=True) if as_json else console
        if out is not None:
            print_files(notices, await download(coordinator, shown, out, notices))
        elif shown.result is not None:
            print_hint(
                notices, f"\nresult.md and the files: {command()} task {one_line(task_id)} --out FOLDER"
            )

    call(url, body)


@app.command()
def cancel(task_id: TaskId, url: Url = None) -> None:
    """Cancel a task and the work of its agents."""

    async def body(coordinator: Coordinator) -> None:
        canceled = await coordinator.cancel(task_id)
        said = "The task is canceled." if canceled.has_ended else "The task is being canceled."
        print_hint(make_console(), f"{said} Its steps: {command()} task {one_line(task_id)}")

    call(url, body)


@app.command()
def answer(
    task_id: TaskId,
    text: Annotated[str, typer.Argument(help="The answer.")],
    step: Step = None,
    url: Url = None,
) -> None:
    """Answer the question that a task waits with."""

    async def body(coordinator: Coordinator) -> None:
        await coordinator.answer(task_id, text, step_number=step)
        print_line(make_console(), "Answered; the task goes on.")

    call(url, body)


@app.command()
def approve(task_id: TaskId, step: Step = None, url: Url = None) -> None:
    """Approve the plan or the steps that wait for it."""

    async def body(coordinator: Coordinator) -> None:
        await coordinator.approve(task_id, step_number=step)
        print_hint(
            make_console(), f"Approved; the task goes on. Its steps: {command()} task {one_line(task_id)}"
        )

    call(url, body)


@app.command()
def retry(*, task_id: TaskId, out: Out = RESULTS, as_json: AsJson = False, url: Url = None) -> None:
    """Go on where a task failed, as a new task.

    What had completed is kept. The new task is followed as `run` does it, with the same exit codes.
    """

    async def body(coordinator: Coordinator) -> int:
        return await run_task(coordinator, coordinator.retry(task_id), _screen(as_json=as_json), out)

    call(url, body)


@app.command()
def mailbox(
    agent_url: Annotated[str, typer.Argument(metavar="URL", help="Where the agent or its card is.")],
    state: Annotated[
        Path | None, typer.Option(help="A file that keeps who the agent is, for the next time.")
    ] = None,
    capacity: Annotated[int, typer.Option(help="Requests that it works on at once.", min=1)] = 8,
    join_token: Annotated[
        str | None, typer.Option(envvar="COORDINATOR_JOIN_TOKEN", help="The coordinator's join token.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--coordinator", "--url", help="The coordinator's.", show_default="COORDINATOR_URL"),
    ] = None,
) -> None:
    """Let an agent take part that only this machine can reach. Ctrl-C stops it.

    It fetches the agent's requests from the coordinator, which need not reach this machine.
    """
    from coordinator.cli.mailbox import Bridging, bridge_until_stopped

    def body() -> None:
        coordinator = (url if url is not None else str(cli_settings().coordinator_url)).rstrip("/")
        bridging = Bridging(agent_url, coordinator, state, capacity, join_token)
        bridge_until_stopped(bridging, make_console())

    leave(body)


@app.command()
def check(
    *,
    agent_url: Annotated[str, typer.Argument(metavar="URL", help="Where the agent or its card is.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    time_box: Annotated[
        float, typer.Option(help="Seconds that all of it may take.", min=1, max=600)
    ] = TIME_BOX_S,
) -> None:
    """Try an agent: whether it does what its card says, on each interface. It runs skills of the agent.

    The exit code is 0 where it is proven, 1 where it failed, 2 where there is no agent, 3 where none of its
    skills could be run, 130 after Ctrl-C.
    """
    from coordinator.cli.check import check_and_print

    leave(lambda: check_and_print(agent_url, time_box, as_json=as_json))


@app.command()
def up() -> None:
    """Start all processes of the Procfile in this folder; Ctrl-C stops them."""
    from coordinator.cli.up import start_all

    def body() -> int:
        settings = cli_settings()
        return start_all(
            Path("Procfile"), settings.database_url, str(settings.coordinator_url), make_console()
        )

    leave(body)


@app.command()
def migrate() -> None:
    """Bring the database of DATABASE_URL to the newest schema."""
    from coordinator.cli.up import migrate_database

    def body() -> None:
        print_line(make_console(), f"Database {migrate_database(cli_settings().database_url)} is up to date.")

    leave(body)


@new.command("agent")
def new_agent(
    name: Annotated[str, typer.Argument(help="Its name, and that of its folder.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where the folder goes.")] = Path(),
) -> None:
    """Make a folder with an agent that runs and its test."""
    from coordinator.cli import new as scaffold

    def body() -> None:
        project = scaffold.new_agent(name, folder)
        print_hint(make_console(), f"Made {project}. Serve it: {command()} dev {project / 'agent.py'}")

    leave(body)


@app.command()
def dev(
    file: Annotated[Path, typer.Argument(help="The Python file with the agent.")],
    port: Annotated[int, typer.Option(help="The port of this machine.", min=0, max=65_535)] = 8100,
) -> None:
    """Serve an agent, show what its callers and it say, start again at each change. Ctrl-C stops it."""
    from coordinator.cli.dev import serve_and_reload

    leave(lambda: serve_and_reload(file, port))


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"parley {installed_version('parley')}\n")
