"""Which of the agents with a skill a step goes to, and why. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from a2a.types import Json
from coordinator.registry.routes import STABLE_WEIGHT, Route
from models.states import HealthState

_ORDER = {HealthState.UP: 0, HealthState.DEGRADED: 1}
MAX_TOLD = 5
# What decided, in the order in which it counts: of the agent that was chosen, of one that was not.
_REASONS = (
    ("it has not failed this step", "it has failed this step"),
    ("it has a free place", "it has no free place"),
    ("it is up", "it is degraded"),
    ("", ""),
    ("its skill fits the step best", "its skill fits less well"),
    ("it is the least busy", "it is busier"),
    ("it is the first of equals", "it is equal, and later in order"),
)
_CANARY = 3


@dataclass(frozen=True, slots=True)
class NobodyFits:
    """No agent can take the step now; `reason` says of each why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """`why` is what the task shows: {"reason", "others": [{"agent_id", "agent_name", "reason"}]}."""

    route: Route
    why: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a step asks for. `pinned` is the one agent the plan allows, `scores` what the planner thought of
    its candidates, `failed` the agents that have failed the step; the session decides about canaries."""

    skill_id: str
    session_id: str
    pinned: str | None = None
    scores: Mapping[str, float] | None = None
    failed: Collection[str] = ()


def choose(
    routes: Sequence[Route],
    wish: Wish,
    *,
    load: Callable[[Route], int],
    has_room: Callable[[Route], bool],
) -> Chosen | NobodyFits:
    """A healthy agent: one that has not failed this step before the others, then one that has room, one that
    is up, a canary whose share the session is in, the one that fits best, the least busy."""
    allowed = [route for route in routes if wish.pinned is None or route.agent_id == wish.pinned]
    eligible = [route for route in allowed if route.health in _ORDER and _has_weight(route, wish)]
    if not eligible:
        return NobodyFits(_why_none(allowed, wish.skill_id, wish.pinned))
    scores = wish.scores or {}
    ranked = sorted(
        (
            route.agent_id in wish.failed,
            not has_room(route),
            _ORDER[route.health],
            _canary_rank(route, wish.session_id),
            -scores.get(route.agent_id, 0.0),
            load(route),
            route.agent_id,
            place,
        )
        for place, route in enumerate(eligible)
    )
    route = eligible[ranked[0][-1]]
    return Chosen(route, _why(route, eligible, ranked, wish))


def is_in_share(route: Route, session_id: str) -> bool:
    """Whether a session is among those that a canary gets: always the same for one session and agent."""
    digest = blake2b(f"{session_id}\n{route.agent_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % STABLE_WEIGHT < route.weight


def _has_weight(route: Route, wish: Wish) -> bool:
    return route.weight > 0 or route.agent_id == wish.pinned


def _canary_rank(route: Route, session_id: str) -> int:
    if route.weight >= STABLE_WEIGHT:
        return 1
    return 0 if is_in_share(route, session_id) else 2


Key = tuple[bool, bool, int, int, float, int, str, int]


def _why(route: Route, eligible: Sequence[Route], ranked: Sequence[Key], wish: Wish) -> dict[str, Json]:
    if wish.pinned is not None:
        return {"reason": "It is the agent that the step has to go to.", "others": []}
    if len(eligible) == 1:
        return {"reason": f"It is the only agent with the skill {wish.skill_id} that is up.", "others": []}
    places = [_deciding(ranked[0], key) for key in ranked[1 : MAX_TOLD + 1]]
    others = [
        {
            "agent_id": eligible[key[-1]].agent_id,
            "agent_name": eligible[key[-1]].name,
            "reason": _of_the_other(eligible[key[-1]], place),
        }
        for key, place in zip(ranked[1:], places, strict=False)
    ]
    reason = _of_the_chosen(route, places[0])
    return {"reason": f"Of {len(eligible)} agents with the skill, {reason}.", "others": others}


def _deciding(best: Key, other: Key) -> int:
    return next(place for place, (one, two) in enumerate(zip(best, other, strict=True)) if one != two)


def _of_the_chosen(route: Route, place: int) -> str:
    if place != _CANARY:
        return _REASONS[place][0]
    if route.weight < STABLE_WEIGHT:
        return f"it gets {route.weight} % of the sessions, and this is one of them"
    return "it is no canary, and this session is not one of a canary's"


def _of_the_other(route: Route, place: int) -> str:
    if place != _CANARY:
        return _REASONS[place][1]
    if route.weight < STABLE_WEIGHT:
        return f"it gets {route.weight} % of the sessions, and this is not one of them"
    return "the session is one of a canary's"


def _why_none(routes: Sequence[Route], skill_id: str, pinned: str | None) -> str:
    if not routes:
        who = f"the agent {pinned}" if pinned else "any agent"
        return f"The skill {skill_id} is not offered by {who} now."
    states = "; ".join(_state(route) for route in routes[:MAX_TOLD])
    return f"No agent with the skill {skill_id} is up: {states}."


def _state(route: Route) -> str:
    if route.health in _ORDER:
        return f"{route.name} gets no work (weight 0)"
    return f"{route.name} is {route.health} since {route.health_since:%H:%M:%S} UTC ({route.health_reason})"
