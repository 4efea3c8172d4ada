"""What is sent to an agent to try it: made of what its card says, never a fixed greeting. Pure.

- At most MAX_SKILLS skills, those with examples first: an example is its author's own word for what works.
- Text goes only to a skill that takes text: the first example, else its name and description.
- Data goes where JSON is taken and an example is JSON. A skill that takes JSON alone and has no such example
  is left out: what its fields are is not known, and `{}` would be a request that a good agent refuses.
- A file goes where a file type is taken that we can make, with the text where text is taken too.
- A skill with one of the SIDE_EFFECT_TAGS is never run.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from a2a.card_types import AgentCard, AgentSkill
from a2a.types import Message, Part
from coordinator.conformance.sample_files import sample_file

MAX_SKILLS: Final = 3
MAX_TEXT_CHARS: Final = 2_000
# What an author puts on a skill that changes something in the world.
SIDE_EFFECT_TAGS: Final = frozenset(
    {"side-effects", "side-effect", "no-failover", "write", "destructive", "irreversible"}
)
MARKDOWN: Final = "text/markdown"
# "text" and "json" are how cards of 0.2 say it.
TEXT_MODES: Final = ("text/plain", MARKDOWN, "text/*", "*/*", "*", "text")
JSON_MODES: Final = ("application/json", "json")


@dataclass(frozen=True, slots=True)
class Sample:
    """`origin` says of what the parts were made."""

    skill_id: str
    parts: tuple[Part, ...]
    origin: str

    def message(self) -> Message:
        """A new one each time: an agent may deduplicate by the message's id."""
        return Message.from_user(*self.parts, metadata={"skillId": self.skill_id})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A skill that is not tried; `reason` goes on after "it is not run: "."""

    skill_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Samples:
    """`tried` are sent one after the other until one completes."""

    tried: tuple[Sample, ...]
    left_out: tuple[LeftOut, ...]


def samples_of(card: AgentCard) -> Samples:
    tried: list[Sample] = []
    left_out: list[LeftOut] = []
    for skill in sorted(card.skills, key=lambda skill: not _first_example(skill)):
        made = _sample(skill, skill.input_modes or card.default_input_modes)
        if isinstance(made, LeftOut):
            left_out.append(made)
        elif len(tried) < MAX_SKILLS:
            tried.append(made)
    return Samples(tuple(tried), tuple(left_out))


def is_side_effecting(skill: AgentSkill) -> bool:
    tags = {tag.strip().casefold().replace("_", "-").replace(" ", "-") for tag in skill.tags}
    return not tags.isdisjoint(SIDE_EFFECT_TAGS)


def _sample(skill: AgentSkill, declared_modes: Sequence[str]) -> Sample | LeftOut:
    if is_side_effecting(skill):
        return LeftOut(skill.id, "its tags say that it changes something")
    modes = [mode.partition(";")[0].strip().lower() for mode in declared_modes] or ["text/plain"]
    data = _json_example(skill.examples or ()) if _takes_json(modes) else None
    if data is not None:
        return Sample(skill.id, (data,), "an example of its card, which is JSON")
    parts, origins = [], []
    if any(mode in TEXT_MODES for mode in modes):
        parts.append(_text(skill, modes))
        origins.append("an example of its card" if _first_example(skill) else "its name and description")
    file = next((made for made in map(sample_file, modes) if made is not None), None)
    if file is not None:
        parts.append(Part.from_bytes(file.content, file.media_type, filename=file.filename))
        origins.append(f"a small {file.media_type}")
    if not parts:
        return LeftOut(skill.id, _why_nothing_fits(modes))
    return Sample(skill.id, tuple(parts), " and ".join(origins))


def _takes_json(modes: Sequence[str]) -> bool:
    return any(mode in JSON_MODES for mode in modes)


def _json_example(examples: Sequence[str]) -> Part | None:
    """The first that is a JSON object or list: a bare word or number is rather meant as text."""
    for example in examples:
        try:
            value = json.loads(example)
            if isinstance(value, dict | list):
                return Part.from_data(value)
        except (ValueError, RecursionError):
            continue
    return None


def _first_example(skill: AgentSkill) -> str:
    """Empty where there is none."""
    return next((example for example in skill.examples or () if example.strip()), "")


def _text(skill: AgentSkill, modes: Sequence[str]) -> Part:
    text = _first_example(skill) or f"{skill.name}: {skill.description}"
    # Nobody needs to be told that text is plain; Markdown is named where no other text is taken.
    others = (mode for mode in modes if mode in TEXT_MODES and mode != MARKDOWN)
    return Part.from_text(text[:MAX_TEXT_CHARS], media_type=None if any(others) else MARKDOWN)


def _why_nothing_fits(modes: Sequence[str]) -> str:
    if _takes_json(modes):
        return "it takes JSON, and no example on its card is JSON"
    return f"it takes {', '.join(modes)[:200]}, of which we have no sample"
