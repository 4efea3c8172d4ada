"""Which agent a step goes to."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from a2a.card_types import AgentInterface
from coordinator.registry.choice import Chosen, NobodyFits, Wish, choose, is_in_share
from coordinator.registry.routes import Route
from models.states import HealthState


def route(name: str, health: HealthState = HealthState.UP, running: int = 0, weight: int = 100) -> Route:
    since = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    interface = AgentInterface(url="http://x", protocol_binding="JSONRPC", protocol_version="1.0")
    return Route(
        agent_id=f"agent_{name}",
        name=name,
        card_url="http://x/card.json",
        interface=interface,
        streaming=True,
        pushes=False,
        health=health,
        health_reason="probe failed",
        health_since=since,
        running=running,
        capacity=None,
        memory_id=None,
        input_modes=("text/plain",),
        no_failover=False,
        weight=weight,
    )


def pick(
    routes: Sequence[Route],
    pinned: str | None = None,
    scores: Mapping[str, float] | None = None,
    failed: Sequence[str] = (),
    full: Sequence[str] = (),
    session_id: str = "session_1",
) -> Chosen | NobodyFits:
    return choose(
        routes,
        Wish("echo", session_id, pinned=pinned, scores=scores, failed=failed),
        load=lambda route: route.running,
        has_room=lambda route: route.name not in full,
    )


def chosen(*routes: Route, pinned: str | None = None, failed: tuple[str, ...] = ()) -> str:
    found = pick(routes, pinned=pinned, failed=failed)
    return found.reason if isinstance(found, NobodyFits) else found.route.name


def test_the_least_busy_of_equals_is_chosen() -> None:
    assert chosen(route("a", running=3), route("b", running=1)) == "b"


def test_an_agent_that_is_up_goes_before_a_degraded_one() -> None:
    assert chosen(route("a", HealthState.DEGRADED), route("b", running=9)) == "b"


def test_an_agent_that_failed_this_step_is_the_last_resort() -> None:
    assert chosen(route("a"), route("b", HealthState.DEGRADED), failed=("agent_a",)) == "b"
    assert chosen(route("a"), failed=("agent_a",)) == "a"


def test_the_skill_that_fits_better_goes_before_the_less_busy() -> None:
    found = pick([route("a"), route("b", running=5)], scores={"agent_a": 0.6, "agent_b": 0.7})
    assert isinstance(found, Chosen)
    assert found.route.name == "b"
    assert found.why["reason"] == "Of 2 agents with the skill, its skill fits the step best."


def test_of_skills_that_fit_equally_the_least_busy_is_chosen() -> None:
    found = pick([route("a", running=2), route("b")], scores={"agent_a": 0.7, "agent_b": 0.7})
    assert isinstance(found, Chosen)
    assert found.route.name == "b"
    assert found.why["others"] == [{"agent_id": "agent_a", "agent_name": "a", "reason": "it is busier"}]


def test_a_pinned_agent_is_the_only_one() -> None:
    assert chosen(route("a"), route("b", running=5), pinned="agent_b") == "b"


def test_when_all_are_down_the_reason_names_each() -> None:
    reason = chosen(route("a", HealthState.DOWN), route("b", HealthState.DRAINING))
    assert "a is down since 12:00:00 UTC (probe failed)" in reason
    assert "b is draining" in reason


def test_an_agent_with_room_goes_before_the_planners_choice_without() -> None:
    found = pick([route("a"), route("b", HealthState.DEGRADED)], scores={"agent_a": 0.9}, full=("a",))
    assert isinstance(found, Chosen)
    assert found.route.name == "b"


def test_when_none_has_room_the_step_waits_for_the_one_it_would_have_had() -> None:
    found = pick([route("a"), route("b")], full=("a", "b"))
    assert isinstance(found, Chosen)
    assert found.route.name == "a"


SESSIONS = [f"session_{number}" for number in range(2_000)]


def test_a_canary_gets_about_its_share_of_the_sessions_and_the_same_each_time() -> None:
    routes = [route("stable"), route("canary", weight=10)]

    def of_the_canary() -> list[str]:
        found = {session: pick(routes, session_id=session) for session in SESSIONS}
        return [s for s, one in found.items() if isinstance(one, Chosen) and one.route.name == "canary"]

    once = of_the_canary()
    assert 0.07 < len(once) / len(SESSIONS) < 0.13
    assert of_the_canary() == once


def test_the_sessions_of_a_canary_stay_its_own_when_its_weight_grows() -> None:
    small = {s for s in SESSIONS if is_in_share(route("canary", weight=10), s)}
    large = {s for s in SESSIONS if is_in_share(route("canary", weight=50), s)}
    assert small < large


def test_a_canary_that_failed_the_step_is_left_for_a_stable_agent() -> None:
    session = next(s for s in SESSIONS if is_in_share(route("canary", weight=10), s))
    found = pick([route("stable"), route("canary", weight=10)], failed=["agent_canary"], session_id=session)
    assert isinstance(found, Chosen)
    assert found.route.name == "stable"


def test_an_agent_with_weight_zero_gets_nothing_but_what_is_pinned_to_it() -> None:
    assert "b gets no work (weight 0)" in chosen(route("b", weight=0))
    assert chosen(route("a"), route("b", weight=0), pinned="agent_b") == "b"


def test_the_reason_names_the_share_of_a_canary() -> None:
    session = next(s for s in SESSIONS if is_in_share(route("canary", weight=10), s))
    found = pick([route("stable"), route("canary", weight=10)], session_id=session)
    assert isinstance(found, Chosen)
    assert "10 % of the sessions, and this is one of them" in found.why["reason"]
    assert found.why["others"][0]["reason"] == "the session is one of a canary's"
