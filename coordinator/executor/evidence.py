"""What the end of an attempt says of the agent: what is worth a write, since every step ends."""

from coordinator.executor.changes import Call
from coordinator.executor.state import AttemptFailed
from coordinator.registry.routes import Route
from models.states import HealthState


class Suspects:
    """The agents whose last call from this process failed: the next that succeeds is news."""

    def __init__(self) -> None:
        self._agent_ids: set[str] = set()

    def of_success(self, route: Route) -> Call | None:
        """None of an agent that is well: that would be no news."""
        is_news = route.health is not HealthState.UP or route.has_failed_calls or route.is_compared
        if not is_news and route.agent_id not in self._agent_ids:
            return None
        self._agent_ids.discard(route.agent_id)
        return Call(route.agent_id, ok=True, detail="a step was completed")

    def of_failure(self, route: Route, failure: AttemptFailed) -> Call | None:
        """None where the agent answered as it should and is not compared with a canary, or one itself."""
        if failure.blames_agent:
            self._agent_ids.add(route.agent_id)
        if not (failure.blames_agent or route.is_compared):
            return None
        return Call(route.agent_id, ok=False, detail=failure.problem.message, blames=failure.blames_agent)
