"""The registry over REST."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from coordinator.api import schemas, views
from coordinator.api.json_body import StrictJsonRoute
from coordinator.api.openapi import PROBLEMS, problems
from coordinator.api.params import PathId
from coordinator.api.search import SearchQuery, SearchResult, search_network
from coordinator.api.services import Services, Use
from coordinator.health.record import record_heartbeat
from coordinator.registry.membership import LEASE_INTERVALS
from coordinator.registry.registration import register
from coordinator.registry.store import find_agent, health_history, list_agents, remove_agent
from models.states import HealthState

router = APIRouter(prefix="/api/agents", tags=["agents"], responses=PROBLEMS, route_class=StrictJsonRoute)


@router.post("", status_code=201, summary="Register an agent", responses=problems(400, 413))
async def register_agent(body: schemas.RegisterIn, use: Use) -> schemas.AgentOut:
    """Fetches the agent card itself and checks it. Registering a card URL again brings it up to date, and
    an agent that was removed back."""
    own_url = str(use.settings.coordinator_url)
    agent_id = await register(
        use.database, use.http, body.card_url, use.now, own_url=own_url, by_operator=True
    )
    use.executor.network.expire()
    return await _agent(use, agent_id)


@router.get("", summary="List agents")
async def get_agents(use: Use, state: HealthState | None = None) -> schemas.AgentList:
    found = await use.database.read(list_agents)
    return schemas.AgentList(
        agents=[views.agent(row, skills) for row, skills in found if state is None or row.health == state]
    )


@router.get("/search", summary="Find skills by words and properties")
async def search_agents(use: Use, asked: Annotated[SearchQuery, Query()]) -> SearchResult:
    """Skills by words of their name, tags, description and examples (BM25, stemmed), best first, with the
    words that matched. Every filter has to hold. Without `q` a filter is needed, and the order is by name."""
    return await search_network(use.executor.network, asked)


@router.get("/{agent_id}", summary="One agent", responses=problems(404))
async def get_agent(agent_id: PathId, use: Use) -> schemas.AgentOut:
    return await _agent(use, agent_id)


@router.delete("/{agent_id}", status_code=204, summary="Remove an agent", responses=problems(404))
async def delete_agent(agent_id: PathId, use: Use) -> Response:
    """It gets no further work; running steps go on. It cannot register itself again: `POST /api/agents`
    brings it back."""
    await use.database.write(partial(remove_agent, agent_id=agent_id, now=use.now()))
    use.executor.network.expire()
    return Response(status_code=204)


@router.get("/{agent_id}/health", summary="Health and its history", responses=problems(404))
async def get_health(agent_id: PathId, use: Use) -> schemas.AgentHealth:
    def query(connection: Connection) -> schemas.AgentHealth:
        row, _ = find_agent(connection, agent_id)
        history = [
            schemas.HealthCheckOut(
                evidence=check.evidence,
                ok=check.ok,
                detail=check.detail,
                latency_ms=check.latency_ms,
                state=check.health,
                at=check.created_at,
            )
            for check in health_history(connection, agent_id)
        ]
        return schemas.AgentHealth(health=views.health(row), history=history)

    return await use.database.read(query)


@router.post("/{agent_id}/heartbeat", summary="Say that an agent lives", responses=problems(400, 404, 413))
async def heartbeat(agent_id: PathId, body: schemas.HeartbeatIn, use: Use) -> schemas.HeartbeatOut:
    """`known` is false where the agent has to register again."""
    interval_s = use.settings.agents.heartbeat_interval_s
    known = await use.database.write(
        partial(
            record_heartbeat,
            agent_id=agent_id,
            load={"running": body.running, "capacity": body.capacity},
            lease_s=LEASE_INTERVALS * interval_s,
            now=use.now(),
        )
    )
    return schemas.HeartbeatOut(known=known, heartbeat_interval_s=interval_s)


async def _agent(use: Services, agent_id: str) -> schemas.AgentOut:
    row, skills = await use.database.read(partial(find_agent, agent_id=agent_id))
    return views.agent(row, skills)
