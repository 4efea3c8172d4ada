"""What the card alone says: which interfaces are called, and what is found without a call. Pure."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from a2a.card_types import AgentCard, AgentInterface
from a2a.client.choice import BINDINGS, VERSIONS, spoken_version
from coordinator.conformance.meanings import about_agent, finding
from coordinator.conformance.report import Check, Finding, Outcome
from coordinator.conformance.samples import LeftOut

NOWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 looked for, not bound
MAX_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Declared:
    """`called` are one interface for each binding and version, in the order of the card."""

    called: tuple[AgentInterface, ...]
    findings: tuple[Finding, ...]


def label_of(interface: AgentInterface) -> str:
    return f"{interface.protocol_binding} {spoken_version(interface)}"


def declared(card: AgentCard, card_url: str) -> Declared:
    called: dict[str, AgentInterface] = {}
    findings = _card_findings(card)
    for interface in card.supported_interfaces:
        label = label_of(interface)
        if interface.protocol_binding not in BINDINGS or spoken_version(interface) not in VERSIONS:
            detail = "This binding or version is not spoken here."
            findings.append(finding(Check.INTERFACE, label, Outcome.SKIPPED, detail))
        elif label in called:
            detail = f"The card has an earlier one of this kind; {_shown(interface.url)} is not called."
            findings.append(finding(Check.INTERFACE, label, Outcome.SKIPPED, detail))
        else:
            found = _advertised(card_url, interface)
            findings.append(found)
            if found.outcome is not Outcome.FAILED:
                called[label] = interface
    return Declared(tuple(called.values()), tuple(findings))


def skill_findings(left_out: tuple[LeftOut, ...]) -> list[Finding]:
    found = [
        about_agent(
            Check.SKILL, Outcome.SKIPPED, f'The skill "{_shown(skill.skill_id)}" is not run: {skill.reason}.'
        )
        for skill in left_out[:MAX_NAMED]
    ]
    more = len(left_out) - MAX_NAMED
    if more > 0:
        found.append(about_agent(Check.SKILL, Outcome.SKIPPED, f"{more} more skills are not run."))
    return found


def is_on_this_machine(url: str) -> bool:
    host = _host(url) or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _card_findings(card: AgentCard) -> list[Finding]:
    if not card.skills:
        return [about_agent(Check.CARD, Outcome.FAILED, "The card is valid and lists no skills.")]
    has = f"{_counted(card.skills, 'skill')} and {_counted(card.supported_interfaces, 'interface')}"
    signed = "; its signature is not verified here" if card.signatures else ""
    found = [about_agent(Check.CARD, Outcome.PASSED, f"The card is valid, with {has}{signed}.")]
    required = [extension.uri for extension in card.capabilities.extensions or [] if extension.required]
    if required:
        detail = f"The card requires an extension that is not declared here: {_shown(', '.join(required))}."
        found.append(about_agent(Check.CARD, Outcome.NOTED, detail))
    return found


def _advertised(card_url: str, interface: AgentInterface) -> Finding:
    outcome, detail = _judged(card_url, interface.url)
    return finding(Check.ADVERTISED_URL, label_of(interface), outcome, detail)


def _judged(card_url: str, url: str) -> tuple[Outcome, str]:
    host, shown = _host(url), _shown(url)
    if host is None:
        return Outcome.FAILED, f"The card says to call {shown}, which is not an http(s) URL."
    if host in NOWHERE:
        return Outcome.FAILED, f"The card says to call {shown}, which is no address."
    if is_on_this_machine(url) and not is_on_this_machine(card_url):
        # It would be this machine that is called, not the agent's.
        return Outcome.FAILED, f"The card says to call {shown}, which only the agent's own machine can."
    if host != _host(card_url) and not is_on_this_machine(url):
        return Outcome.NOTED, f"The card says to call {shown}, which is not the host of the card."
    return Outcome.PASSED, f"The card says to call {shown}."


def _host(url: str) -> str | None:
    """None for what is no http(s) URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") and parts.hostname else None


def _counted(listed: Sequence[object], noun: str) -> str:
    return f"{len(listed)} {noun}" if len(listed) == 1 else f"{len(listed)} {noun}s"


def _shown(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
