"""The search of the registry: what is asked, what is found, and the way from one to the other."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from coordinator.api import agent_views as views
from coordinator.api.schemas import AgentRef
from coordinator.api.shapes import Body
from coordinator.executor.network import Network
from coordinator.planner.search import FoundSkill, Wanted, search
from models.states import HealthState

MAX_QUERY_CHARS = 2_000
MAX_FILTERS = 20

Value = Annotated[str, Field(min_length=1, max_length=200)]


class SearchQuery(Body):
    """Filters compare without case and may be repeated: all have to hold, but one `state` is enough."""

    q: Annotated[
        str | None,
        Field(max_length=MAX_QUERY_CHARS, description="words in any order and form; optional with a filter"),
    ] = None
    tag: list[Value] = Field(default_factory=list, max_length=MAX_FILTERS)
    input_mode: list[Value] = Field(
        default_factory=list,
        max_length=MAX_FILTERS,
        description="media types; a skill for image/* takes image/png",
    )
    output_mode: list[Value] = Field(default_factory=list, max_length=MAX_FILTERS)
    extension: list[Value] = Field(
        default_factory=list, max_length=MAX_FILTERS, description="URIs of A2A extensions of the agent's card"
    )
    state: list[HealthState] = Field(
        default_factory=list, max_length=MAX_FILTERS, description="default: all but quarantined"
    )
    limit: Annotated[int, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _seeks_something(self) -> Self:
        if self.q is None and not self.has_filter:
            raise ValueError("give words in q, a filter, or both")
        return self

    @property
    def has_filter(self) -> bool:
        return bool(self.tag or self.input_mode or self.output_mode or self.extension or self.state)


class FoundAgent(BaseModel):
    """One skill of one agent."""

    agent: AgentRef
    skill_id: str
    skill_name: str
    tags: list[str]
    score: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="the share that this skill reaches of the BM25 score that a text could reach at most"
            " for the query; comparable within one answer, 0 without a query",
        ),
    ]
    matched_terms: Annotated[list[str], Field(description="words of the query that the skill's texts hold")]
    status: Literal["ACTIVE", "INACTIVE", "ERROR"]
    state: HealthState


class SearchResult(BaseModel):
    query: str
    results: list[FoundAgent]


async def search_network(network: Network, asked: SearchQuery) -> SearchResult:
    if not (asked.q or "").strip() and not asked.has_filter:
        return SearchResult(query=asked.q or "", results=[])
    results = await _search(network, asked, fresh=False)
    if not results:
        # What was kept of the registry may be a moment old.
        results = await _search(network, asked, fresh=True)
    return SearchResult(query=asked.q or "", results=results)


async def _search(network: Network, asked: SearchQuery, *, fresh: bool) -> list[FoundAgent]:
    index = await network.index(fresh=fresh)
    wanted = Wanted(
        tags=tuple(asked.tag),
        input_modes=tuple(asked.input_mode),
        output_modes=tuple(asked.output_mode),
        extensions=tuple(asked.extension),
        agent_ids={agent for agent, state in network.health.items() if state in asked.state}
        if asked.state
        else None,
    )
    return [_found(network, skill) for skill in search(index.postings, asked.q or "", wanted, asked.limit)]


def _found(network: Network, skill: FoundSkill) -> FoundAgent:
    offer = skill.offer
    state = network.health[offer.agent_id]
    return FoundAgent(
        agent=AgentRef(id=offer.agent_id, name=offer.agent_name),
        skill_id=offer.skill_id,
        skill_name=offer.name,
        tags=list(offer.tags),
        score=skill.score,
        matched_terms=list(skill.matched_terms),
        status=views.agent_status(state),
        state=state,
    )
