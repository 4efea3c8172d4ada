"""Which of the agents with a skill a step goes to. Pure."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from coordinator.registry.store import Route
from models.states import HealthState

_ORDER = {HealthState.UP: 0, HealthState.DEGRADED: 1}


@dataclass(frozen=True, slots=True)
class NobodyFits:
    """No agent can take the step now; `reason` says of each why."""

    reason: str


def choose(
    routes: Sequence[Route],
    *,
    skill_id: str,
    pinned: str | None,
    preferred: Sequence[str],
    failed: Collection[str],
    load: Callable[[Route], int],
    has_room: Callable[[Route], bool],
) -> Route | NobodyFits:
    """A healthy agent: one that has not failed this step before the others, then one that has room, then the
    planner's order, then the least busy. `pinned` is the one agent the plan allows, `preferred` the
    candidates best first."""
    allowed = [route for route in routes if pinned is None or route.agent_id == pinned]
    eligible = [route for route in allowed if route.health in _ORDER]
    if not eligible:
        return NobodyFits(_why_none(allowed, skill_id, pinned))
    rank = {agent_id: place for place, agent_id in enumerate(preferred)}
    return min(
        eligible,
        key=lambda route: (
            route.agent_id in failed,
            not has_room(route),
            _ORDER[route.health],
            rank.get(route.agent_id, len(rank)),
            load(route),
            route.agent_id,
        ),
    )


def _why_none(routes: Sequence[Route], skill_id: str, pinned: str | None) -> str:
    if not routes:
        who = f"the agent {pinned}" if pinned else "any agent"
        return f"The skill {skill_id} is not offered by {who} now."
    states = "; ".join(
        f"{route.name} is {route.health} since {route.health_since:%H:%M:%S} UTC ({route.health_reason})"
        for route in routes[:5]
    )
    return f"No agent with the skill {skill_id} is up: {states}."
