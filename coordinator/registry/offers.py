"""What the network can do, as the planner sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SkillOffer:
    """One skill of one agent in the registry; several agents may offer the same skill."""

    agent_id: str
    agent_name: str
    skill_id: str
    name: str
    description: str
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    input_modes: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
