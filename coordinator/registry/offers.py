"""What the network can do, as the planner sees it."""

from dataclasses import dataclass

# Cards are strangers' texts: of each field so much is looked at.
MAX_FIELD_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class SkillOffer:
    """One skill of one agent in the registry; several agents may offer the same skill.

    `extensions` are the URIs of the agent's.
    """

    agent_id: str
    agent_name: str
    skill_id: str
    name: str
    description: str
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    input_modes: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
