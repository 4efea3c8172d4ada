"""A conformance run as a test calls it, and agents of our own package to run it against."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import HttpUrl

from a2a import Agent
from a2a.addresses import AddressPolicy
from a2a.client import fetch_card
from a2a.guard import guarded_client
from a2a.settings import AgentSettings
from coordinator.clock import utc_now
from coordinator.conformance.receiver import PushReceiver
from coordinator.conformance.report import Check, Finding, InterfaceFacts, Outcome, Report
from coordinator.conformance.run import check_agent
from tests.support.server import serving

HERE = AddressPolicy(allow_loopback=True, allow_private=False)


async def checked(url: str, *, time_box_s: float = 10.0, push: PushReceiver | None = None) -> Report:
    """Of the agent at this URL."""
    async with guarded_client(HERE, timeout_s=5) as http:
        card = await fetch_card(http, url, timeout_s=5)
        return await check_agent(http, card, url, time_box_s=time_box_s, now=utc_now, push=push)


@contextmanager
def served(agent: Agent) -> Iterator[str]:
    """The agent's URL, which is also the one on its card."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = AgentSettings(agent_url=HttpUrl(url), coordinator_url=None, agent_grace_s=0.2)
        with serving(agent.app(settings), listening=listening):
            yield url


def the(report: Report, check: Check, interface: str = "JSONRPC 1.0") -> Finding:
    """The one finding of this check."""
    (found,) = [one for one in report.findings if (one.check, one.interface) == (check, interface)]
    return found


def outcomes(report: Report, interface: str = "JSONRPC 1.0") -> dict[Check, Outcome]:
    return {one.check: one.outcome for one in report.findings if one.interface == interface}


def facts(report: Report, label: str = "JSONRPC 1.0") -> InterfaceFacts:
    (found,) = [one for one in report.interfaces if one.label == label]
    return found
