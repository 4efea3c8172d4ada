"""`parley mailbox`: a bridge from a coordinator's inbox to an agent that only this machine can reach."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from a2a.client import fetch_card
from a2a.errors import A2AError
from a2a.mailbox import MailboxBridge
from coordinator.cli.errors import CliError
from coordinator.cli.plain import one_line
from coordinator.cli.render import print_line

CARD_TIMEOUT_S: Final = 10.0
GRACE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Bridging:
    """Which agent, for which coordinator; `file` keeps who the agent is there."""

    agent_url: str
    coordinator_url: str
    file: Path | None
    capacity: int
    join_token: str | None


def bridge_until_stopped(bridging: Bridging, console: Console) -> None:
    """Raises CliError where there is no agent that can be bridged."""
    asyncio.run(_bridge(bridging, console))


async def _bridge(bridging: Bridging, console: Console) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            card = await fetch_card(http, bridging.agent_url, timeout_s=CARD_TIMEOUT_S)
            bridge = MailboxBridge(
                http,
                http,
                coordinator_url=bridging.coordinator_url,
                card=card,
                capacity=bridging.capacity,
                file=bridging.file,
                join_token=bridging.join_token,
            )
        except A2AError as exc:
            raise CliError(f"There is no agent that can be bridged: {one_line(str(exc))}") from exc
        print_line(console, f"Bridging {one_line(card.name)} to {bridging.coordinator_url}; Ctrl-C stops it.")
        await _run_until_stopped(bridge)


async def _run_until_stopped(bridge: MailboxBridge) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    running, waiting = asyncio.create_task(bridge.run()), asyncio.create_task(stopped.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    await asyncio.wait([running])
    if not running.cancelled():
        # It ends by itself only where it crashed.
        await running
    await bridge.leave(grace_s=GRACE_S)
