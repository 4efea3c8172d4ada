"""`parley check`: the conformance run of any agent from here, without a coordinator."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from rich.text import Text

from a2a.addresses import AddressPolicy
from a2a.card_types import WELL_KNOWN_PATH
from a2a.client import fetch_card
from a2a.errors import TransportError
from a2a.guard import guarded_client
from coordinator.cli.errors import CheckImpossible
from coordinator.cli.plain import duration, one_line
from coordinator.cli.push_receiver import push_receiver
from coordinator.cli.render import make_console, print_line
from coordinator.clock import utc_now
from coordinator.conformance.declared import is_on_this_machine
from coordinator.conformance.report import (
    WHOLE_AGENT,
    Check,
    Finding,
    InterfaceFacts,
    Outcome,
    Report,
    Verdict,
    best_interface,
)
from coordinator.conformance.run import check_agent

CARD_TIMEOUT_S: Final = 10.0
# It is the person's own command, from the person's own machine.
ANYWHERE: Final = AddressPolicy(allow_loopback=True, allow_private=True)
EXIT_CODES: Final = {Verdict.PROVEN: 0, Verdict.FAILED: 1, Verdict.UNPROVEN: 3}
VERDICT_STYLES: Final = {Verdict.PROVEN: "green", Verdict.FAILED: "red", Verdict.UNPROVEN: "yellow"}
OUTCOME_COLUMNS: Final = max(map(len, Outcome))
CHECK_COLUMNS: Final = max(map(len, Check))
STYLES: Final = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "red",
    Outcome.SKIPPED: "dim",
    Outcome.NOTED: "yellow",
}


def check_and_print(url: str, time_box_s: float, *, as_json: bool) -> int:
    """The exit code. Raises CheckImpossible."""
    report = asyncio.run(_checked(_card_url(url), time_box_s))
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
    else:
        print_report(make_console(), report)
    return EXIT_CODES[report.verdict]


async def _checked(card_url: str, time_box_s: float) -> Report:
    async with guarded_client(ANYWHERE, timeout_s=CARD_TIMEOUT_S) as http:
        try:
            card = await fetch_card(http, card_url, timeout_s=CARD_TIMEOUT_S)
        except TransportError as exc:
            raise CheckImpossible(
                f"No agent card at {one_line(card_url)}: {one_line(exc.detail).rstrip('.')}."
            ) from exc
        with ExitStack() as stack:
            # An agent elsewhere could not reach this machine by the address that the receiver has.
            is_reachable = bool(card.capabilities.push_notifications) and is_on_this_machine(card_url)
            push = stack.enter_context(push_receiver()) if is_reachable else None
            return await check_agent(http, card, card_url, time_box_s=time_box_s, now=utc_now, push=push)


def _card_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise CheckImpossible(f"{one_line(url)!r} is no address; it has to be http://HOST or https://HOST.")
    return url if url.endswith(".json") else url.rstrip("/") + WELL_KNOWN_PATH


def print_report(console: Console, report: Report) -> None:
    """One line for each finding in a pipe; a terminal breaks the long ones."""
    urls = {facts.label: facts.url for facts in report.interfaces}
    name = f"{one_line(report.agent_name)} {one_line(report.agent_version, max_chars=20)}"
    print_line(console, f"{name}   {one_line(report.card_url)}", "bold")
    for label, findings in groupby(report.findings, key=lambda finding: finding.interface):
        if label != WHOLE_AGENT:
            print_line(console, f"\n{one_line(label)}   {one_line(urls.get(label, ''))}".rstrip(), "bold")
        _print_findings(console, tuple(findings))
    console.print()
    verdict = f"{report.verdict}: {one_line(report.reason)} ({duration(report.took_s)})"
    print_line(console, verdict, VERDICT_STYLES[report.verdict])
    best = best_interface(report)
    if best is not None:
        print_line(console, f"Steps would go over {one_line(best.label)}{''.join(_manner(best))}.")


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    if console.is_terminal:
        console.print(_table(findings))
        return
    for finding in findings:
        print_line(
            console, f"{finding.outcome:{OUTCOME_COLUMNS}}  {finding.check:{CHECK_COLUMNS}}  {_said(finding)}"
        )


def _table(findings: Sequence[Finding]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=OUTCOME_COLUMNS, no_wrap=True)
    table.add_column(width=CHECK_COLUMNS, no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(Text(finding.outcome, style=STYLES[finding.outcome]), finding.check, _said(finding))
    return table


def _said(finding: Finding) -> Text:
    said = Text(one_line(finding.detail, max_chars=600))
    return said.append(f"  {finding.meaning}", style="dim")


def _manner(best: InterfaceFacts) -> Iterator[str]:
    yield ", streamed" if best.streams else ", polled" if best.gets else ", answered in one call"
    if best.pushes:
        yield ", the long ones with notifications"
