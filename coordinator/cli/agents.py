"""The commands about agents; one agent as an operator reads it: how it stands, why, and what its conformance
run found against it."""

from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coordinator.cli.calling import Url, call
from coordinator.cli.client import Coordinator
from coordinator.cli.errors import CliError, Refused
from coordinator.cli.plain import command, local_time, one_line, plain
from coordinator.cli.render import AGENT_STYLES, make_console, print_agents, print_hint, print_line
from coordinator.cli.shapes import AgentDetail, Report

ID_PREFIX: Final = "agent_"
NO_REPORT: Final = "REPORT_NOT_FOUND"


agent_commands = typer.Typer(rich_markup_mode=None)
AgentId = Annotated[str, typer.Argument(metavar="ID", help="The agent's id, or its name if no other has it.")]


@agent_commands.command()
def agents(url: Url = None) -> None:
    """List the agents with their state and skills."""

    async def body(coordinator: Coordinator) -> None:
        found = await coordinator.agents()
        if found:
            print_agents(make_console(), found)
        else:
            print_line(make_console(), "No agents. Register one: parley register URL")

    call(url, body)


@agent_commands.command()
def agent(agent_id: AgentId, url: Url = None) -> None:
    """Show one agent: how it stands and why, and what its conformance run found against it."""
    call(url, lambda coordinator: show_agent(coordinator, agent_id, make_console()))


@agent_commands.command()
def admit(agent_id: AgentId, url: Url = None) -> None:
    """Let an agent get work that is held."""

    async def body(coordinator: Coordinator) -> None:
        found = await agent_id_of(coordinator, agent_id)
        print_agents(make_console(), [await coordinator.change_agent(found, is_admitted=True)])

    call(url, body)


@agent_commands.command()
def drain(
    *,
    agent_id: AgentId,
    end: Annotated[bool, typer.Option("--end", help="Give it work again.")] = False,
    url: Url = None,
) -> None:
    """Give an agent no new work; what it works on goes on. It lasts until it is ended."""

    async def body(coordinator: Coordinator) -> None:
        found = await agent_id_of(coordinator, agent_id)
        print_agents(make_console(), [await coordinator.change_agent(found, is_drained=not end)])

    call(url, body)


@agent_commands.command()
def register(
    agent_url: Annotated[str, typer.Argument(metavar="URL", help="Where the agent or its card is.")],
    url: Url = None,
) -> None:
    """Register an agent by its address."""

    async def body(coordinator: Coordinator) -> None:
        agent = await coordinator.register(agent_url)
        print_agents(make_console(), [agent])

    call(url, body)


async def agent_id_of(coordinator: Coordinator, named: str) -> str:
    """The id, also from a name that one agent alone has. Raises CliError."""
    if named.startswith(ID_PREFIX):
        return named
    found = [agent for agent in await coordinator.agents() if agent.name == named]
    if not found:
        raise CliError(f"No agent is called {one_line(named)!r}; `{command()} agents` lists them.")
    if len(found) > 1:
        ids = "\n".join(f"{plain(agent.id)}  {one_line(agent.url)}" for agent in found)
        raise CliError(f"{len(found)} agents are called {one_line(named)!r}. Say which:\n{ids}")
    return found[0].id


async def show_agent(coordinator: Coordinator, named: str, console: Console) -> None:
    agent_id = await agent_id_of(coordinator, named)
    agent = await coordinator.agent(agent_id)
    try:
        report = await coordinator.report(agent_id)
    except Refused as exc:
        if exc.code != NO_REPORT:
            raise
        report = None
    print_agent(console, agent, report)


def print_agent(console: Console, agent: AgentDetail, report: Report | None) -> None:
    console.print(_facts(agent))
    if report is not None:
        _print_report(console, report)
    if agent.admission.held_for is not None:
        print_hint(console, f"\nAdmit it with: {command()} admit {plain(agent.id)}")
    if agent.is_drained:
        print_hint(console, f"\nEnd its draining with: {command()} drain {plain(agent.id)} --end")


def _facts(agent: AgentDetail) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    health, breaker = agent.health, agent.health.breaker
    facts.add_row("Agent", f"{one_line(agent.name)} {one_line(agent.version, max_chars=20)}")
    facts.add_row("Id", plain(agent.id))
    facts.add_row("Card", one_line(agent.card_url))
    facts.add_row(
        "Called at",
        f"{one_line(agent.url)} ({one_line(agent.binding)} {one_line(agent.protocol_version)})",
    )
    facts.add_row("State", Text(one_line(health.state), style=AGENT_STYLES.get(health.state, "")))
    facts.add_row("Since", local_time(health.since))
    facts.add_row("Why", Text(one_line(health.reason, max_chars=1000)))
    if breaker.failed_calls:
        until = f", none before {local_time(breaker.open_until)}" if breaker.open_until is not None else ""
        facts.add_row("Failed calls", f"{breaker.failed_calls} in a row{until}")
    held = f" for: {one_line(agent.admission.held_for)}" if agent.admission.held_for is not None else ""
    facts.add_row("Admission", Text(one_line(agent.admission.state) + held))
    facts.add_row("Proof", one_line(agent.proof))
    if agent.weight < 100:
        facts.add_row("Weight", f"{agent.weight} % of the sessions")
    facts.add_row("Skills", ", ".join(one_line(skill.id) for skill in agent.skills))
    return facts


def _print_report(console: Console, report: Report) -> None:
    console.print()
    checked = f"Checked {local_time(report.started_at)}: {one_line(report.verdict)}."
    print_line(console, f"{checked} {one_line(report.reason, max_chars=1000)}")
    for finding in report.findings:
        if finding.outcome == "failed":
            where = f" ({one_line(finding.interface)})" if finding.interface else ""
            print_line(
                console,
                f"  - {one_line(finding.check)}{where}: {one_line(finding.detail, max_chars=600)}"
                f" {one_line(finding.meaning)}",
            )
