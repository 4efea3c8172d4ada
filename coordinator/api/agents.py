"""The registry over REST."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from coordinator.api import agent_schemas as schemas
from coordinator.api import agent_views as views
from coordinator.api.inbox import inbox_url
from coordinator.api.json_body import StrictJsonRoute
from coordinator.api.openapi import PROBLEMS, problems
from coordinator.api.params import PathId
from coordinator.api.search import SearchQuery, SearchResult, search_network
from coordinator.api.services import Services, Use
from coordinator.health.audit import Actor, list_agent_events
from coordinator.health.record import record_heartbeat
from coordinator.registry.errors import ChecksAreOff
from coordinator.registry.mailbox import BringingCard
from coordinator.registry.membership import LEASE_INTERVALS
from coordinator.registry.operations import admit_agent, drain_agent, weigh_agent
from coordinator.registry.registration import Joining
from coordinator.registry.store import (
    find_agent,
    health_history,
    latest_report,
    list_agents,
    remove_agent,
)
from models.states import HealthState

router = APIRouter(prefix="/api/agents", tags=["agents"], responses=PROBLEMS, route_class=StrictJsonRoute)

# A check that takes longer goes on; the registration's answer says so.
MAX_WAIT_S = 20.0
# Beyond the time that a check may take: for writing it down.
SPARE_S = 2.0


@router.post("", status_code=201, summary="Register an agent", responses=problems(400, 401, 413, 429, 503))
async def register_agent(body: schemas.RegisterIn, use: Use) -> schemas.AgentJoined:
    """Fetches the agent card itself, checks it, and runs the conformance run; answers once that has ended.
    Registering a card URL again brings it up to date, and an agent that was removed back. An agent that
    brings its `card` gets an inbox instead (docs/mailbox.md)."""
    if body.card_url is None:
        return await _register_card(body, use)
    joining = Joining(
        body.card_url,
        Actor.OPERATOR,
        token=body.join_token,
        previous_id=body.agent_id,
        brings_back=True,
    )
    agent_id = await use.registry.register(joining)
    if use.prover is not None:
        await use.prover.wait(agent_id, timeout_s=MAX_WAIT_S)
    use.executor.network.expire()
    return schemas.AgentJoined(**dict(await _agent(use, agent_id)))


async def _register_card(body: schemas.RegisterIn, use: Services) -> schemas.AgentJoined:
    wish = BringingCard(
        body.card, Actor.OPERATOR, body.join_token, body.agent_id, body.inbox_secret, brings_back=True
    )
    joined = await use.registry.register_card(wish)
    use.executor.network.expire()
    return schemas.AgentJoined(
        **dict(await _agent(use, joined.agent_id)),
        inbox_url=inbox_url(use.settings, joined.agent_id),
        inbox_secret=joined.secret,
    )


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


@router.get("/events", summary="What happened in the registry")
async def get_events(
    use: Use,
    after: Annotated[str | None, Query(max_length=200, description="The id of an event")] = None,
    agent_id: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.AgentEvents:
    """The audit log: the events after the one that is named, or the newest."""
    query = partial(list_agent_events, agent_id=agent_id, after=after, limit=limit)
    return schemas.AgentEvents(events=[views.event(row) for row in await use.database.read(query)])


@router.get("/{agent_id}", summary="One agent", responses=problems(404))
async def get_agent(agent_id: PathId, use: Use) -> schemas.AgentOut:
    return await _agent(use, agent_id)


@router.patch("/{agent_id}", summary="Admit, drain, weigh or move an agent", responses=problems(404))
async def change_agent(agent_id: PathId, body: schemas.AgentChange, use: Use) -> schemas.AgentOut:
    def change(connection: Connection) -> None:
        find_agent(connection, agent_id)
        now = use.now()
        if body.is_admitted is not None:
            admit_agent(connection, agent_id, now, is_admitted=body.is_admitted)
        if body.is_drained is not None:
            drain_agent(connection, agent_id, now, is_drained=body.is_drained)
        if body.weight is not None:
            weigh_agent(connection, agent_id, now, weight=body.weight)

    await use.database.write(change)
    if body.card_url is not None:
        joining = Joining(body.card_url, Actor.OPERATOR, previous_id=agent_id, is_vouched=True)
        await use.registry.register(joining)
    use.executor.network.expire()
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
        history = [views.check(check) for check in health_history(connection, agent_id)]
        return schemas.AgentHealth(health=views.health(row), history=history)

    return await use.database.read(query)


@router.get("/{agent_id}/report", summary="The latest conformance run", responses=problems(404))
async def get_report(agent_id: PathId, use: Use) -> schemas.ReportOut:
    def query(connection: Connection) -> schemas.ReportOut:
        row, _ = find_agent(connection, agent_id)
        return views.report(row, latest_report(connection, agent_id))

    return await use.database.read(query)


@router.post("/{agent_id}/report", summary="Check an agent now", responses=problems(404, 409))
async def check_agent(agent_id: PathId, use: Use) -> schemas.ReportOut:
    """Runs the conformance run and answers with its report."""
    await use.database.read(partial(find_agent, agent_id=agent_id))
    if use.prover is None:
        raise ChecksAreOff
    await use.prover.check(agent_id, timeout_s=use.settings.agents.check_timeout_s + SPARE_S)
    return await get_report(agent_id, use)


@router.post(
    "/{agent_id}/heartbeat", summary="Say that an agent lives", responses=problems(400, 401, 404, 413)
)
async def heartbeat(agent_id: PathId, body: schemas.HeartbeatIn, use: Use) -> schemas.HeartbeatOut:
    """`known` is false where the agent has to register again."""
    use.registry.check_token(body.join_token)
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
