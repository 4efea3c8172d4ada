"""Which agent a step goes to."""

from collections.abc import Sequence
from datetime import UTC, datetime

from a2a.card_types import AgentInterface
from coordinator.registry.choice import NobodyFits, choose
from coordinator.registry.store import Route
from models.states import HealthState


def route(name: str, health: HealthState = HealthState.UP, running: int = 0) -> Route:
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
    )


def pick(
    routes: Sequence[Route],
    pinned: str | None = None,
    preferred: Sequence[str] = (),
    failed: Sequence[str] = (),
    full: Sequence[str] = (),
) -> Route | NobodyFits:
    return choose(
        routes,
        skill_id="echo",
        pinned=pinned,
        preferred=preferred,
        failed=failed,
        load=lambda route: route.running,
        has_room=lambda route: route.name not in full,
    )


def chosen(*routes: Route, pinned: str | None = None, failed: tuple[str, ...] = ()) -> str:
    found = pick(routes, pinned=pinned, failed=failed)
    return found.reason if isinstance(found, NobodyFits) else found.name


def test_the_least_busy_of_equals_is_chosen() -> None:
    assert chosen(route("a", running=3), route("b", running=1)) == "b"


def test_an_agent_that_is_up_goes_before_a_degraded_one() -> None:
    assert chosen(route("a", HealthState.DEGRADED), route("b", running=9)) == "b"


def test_an_agent_that_failed_this_step_is_the_last_resort() -> None:
    assert chosen(route("a"), route("b", HealthState.DEGRADED), failed=("agent_a",)) == "b"
    assert chosen(route("a"), failed=("agent_a",)) == "a"


def test_the_planners_order_breaks_ties() -> None:
    found = pick([route("a"), route("b")], preferred=("agent_b",))
    assert isinstance(found, Route)
    assert found.name == "b"


def test_a_pinned_agent_is_the_only_one() -> None:
    assert chosen(route("a"), route("b", running=5), pinned="agent_b") == "b"


def test_when_all_are_down_the_reason_names_each() -> None:
    reason = chosen(route("a", HealthState.DOWN), route("b", HealthState.DRAINING))
    assert "a is down since 12:00:00 UTC (probe failed)" in reason
    assert "b is draining" in reason


def test_an_agent_with_room_goes_before_the_planners_choice_without() -> None:
    found = pick([route("a"), route("b", HealthState.DEGRADED)], preferred=("agent_a",), full=("a",))
    assert isinstance(found, Route)
    assert found.name == "b"


def test_when_none_has_room_the_step_waits_for_the_one_it_would_have_had() -> None:
    found = pick([route("a"), route("b")], full=("a", "b"))
    assert isinstance(found, Route)
    assert found.name == "a"
