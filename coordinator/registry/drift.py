"""What has changed between two cards of an agent, and whether it still is the agent that was let in. Pure.

Skills may come and go, texts may change. Where the agent is called, how its callers have to say who they are,
and whose signature the card has may not: that is how one agent becomes another under the same name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from a2a.card_types import AgentCard

MAX_NAMES = 10
WORDS = ("name", "description", "provider", "documentation_url", "icon_url")
HOW_IT_IS_CALLED = (
    "version",
    "capabilities",
    "supported_interfaces",
    "default_input_modes",
    "default_output_modes",
)


@dataclass(frozen=True, slots=True)
class Drift:
    """Sentences, each about one thing; `structural` are those that an operator has to look at. `is_of_words`:
    nothing has changed that a call of the agent could show."""

    structural: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    is_of_words: bool = False

    def __bool__(self) -> bool:
        return bool(self.structural or self.harmless)


def drift_between(
    old: AgentCard,
    new: AgentCard,
    *,
    old_signer: str | None,
    new_signer: str | None,
    may_move: bool = False,
) -> Drift:
    """With `may_move` it may be called at another server than before."""
    structural = _changed_security(old, new)
    if not may_move:
        structural += _changed_servers(old, new)
    if old_signer is not None and new_signer != old_signer:
        said = f"by {new_signer}" if new_signer else "not signed, or by an unknown key"
        structural.append(f"its card was signed by {old_signer} and is now {said}")
    words = _changed(old, new, WORDS)
    rest = [*_changed_skills(old, new), *_changed(old, new, HOW_IT_IS_CALLED)]
    is_of_words = bool(words) and not (structural or rest)
    harmless = [*rest, *words]
    if old_signer is None and new_signer is not None:
        harmless.append(f"its card is now signed by {new_signer}")
    return Drift(tuple(structural), tuple(harmless), is_of_words)


def _changed_servers(old: AgentCard, new: AgentCard) -> list[str]:
    added = _servers(new) - _servers(old)
    return [f"its card says to call another server: {_names(added)}"] if added else []


def _servers(card: AgentCard) -> set[str]:
    """Scheme, host and port of each interface; a gRPC address is host:port already."""
    servers = set()
    for interface in card.supported_interfaces:
        try:
            parts = urlsplit(interface.url)
        except ValueError:  # no URL: nobody is called there
            continue
        servers.add(f"{parts.scheme}://{parts.netloc}" if parts.netloc else interface.url)
    return servers


def _changed_security(old: AgentCard, new: AgentCard) -> list[str]:
    kept = {skill.id: skill.security_requirements for skill in old.skills}
    skills = {skill.id: skill.security_requirements for skill in new.skills if skill.id in kept}
    before = (old.security_schemes, old.security_requirements, {id_: kept[id_] for id_ in skills})
    after = (new.security_schemes, new.security_requirements, skills)
    return [] if before == after else ["it has changed how its callers have to say who they are"]


def _changed_skills(old: AgentCard, new: AgentCard) -> list[str]:
    before = {skill.id: skill for skill in old.skills}
    after = {skill.id: skill for skill in new.skills}
    sentences = []
    if added := after.keys() - before.keys():
        sentences.append(f"new skills: {_names(added)}")
    if gone := before.keys() - after.keys():
        sentences.append(f"skills that are gone: {_names(gone)}")
    changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    if changed:
        sentences.append(f"changed skills: {_names(changed)}")
    return sentences


def _changed(old: AgentCard, new: AgentCard, fields: Iterable[str]) -> list[str]:
    changed = [name.replace("_", " ") for name in fields if getattr(old, name) != getattr(new, name)]
    return [f"changed: {', '.join(changed)}"] if changed else []


def _names(names: Iterable[str]) -> str:
    listed = sorted(names)
    rest = f" and {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(name[:100] for name in listed[:MAX_NAMES]) + rest
