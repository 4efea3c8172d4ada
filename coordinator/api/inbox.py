"""The visits of agents that fetch their requests (docs/mailbox.md)."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import AwareDatetime, BaseModel, Field

from a2a.types import Metadata
from coordinator.api.json_body import StrictJsonRoute
from coordinator.api.openapi import PROBLEMS, problems
from coordinator.api.params import PathId
from coordinator.api.services import Use
from coordinator.api.shapes import Body, Identifier, Utc
from coordinator.executor.inboxes import Visit
from coordinator.settings import Settings

router = APIRouter(prefix="/api/agents", tags=["agents"], responses=PROBLEMS, route_class=StrictJsonRoute)

LONGEST_WAIT_S = 60.0
MOST_AT_ONCE = 50
MAX_HELD = 1_000
MAX_CAPACITY = 1_000_000
_BEARER = "bearer "

Authorization = Annotated[str | None, Header(description="Bearer and the inbox's secret", max_length=600)]


class AnswerIn(Body):
    """`response` is the JSON-RPC response to the request of this id."""

    id: Identifier
    response: Metadata


class VisitIn(Body):
    """`holding` are the requests that it is working on: what it was given and holds not, it is given again.
    Without it nothing is given twice. `limit` 0: it brings answers only."""

    answers: Annotated[list[AnswerIn], Field(default_factory=list, max_length=MAX_HELD)]
    holding: Annotated[list[Identifier], Field(max_length=MAX_HELD)] | None = None
    wait_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S)] = 30.0
    limit: Annotated[int, Field(ge=0, le=MOST_AT_ONCE)] = 10
    capacity: Annotated[int, Field(gt=0, le=MAX_CAPACITY)] | None = None
    next_active_at: AwareDatetime | None = None


class RequestOut(BaseModel):
    """`request` is a JSON-RPC request of A2A 1.0, `headers` what belongs to it over HTTP."""

    id: str
    request: dict[str, Any]
    headers: dict[str, str]
    expires_at: Utc


class FetchedOut(BaseModel):
    """`canceled` are ids of `holding` that nobody waits for any more."""

    requests: list[RequestOut]
    canceled: list[str]


@router.post(
    "/{agent_id}/inbox", summary="Fetch requests, bring answers", responses=problems(400, 401, 404, 413)
)
async def visit_inbox(
    agent_id: PathId, body: VisitIn, use: Use, request: Request, authorization: Authorization = None
) -> FetchedOut:
    """Takes the answers, then waits up to `wait_s` for requests. A newer visit of an agent ends its older."""
    fetched = await use.executor.inboxes.visit(
        Visit(
            agent_id,
            _secret(authorization),
            answers={answer.id: answer.response for answer in body.answers},
            holding=tuple(body.holding) if body.holding is not None else None,
            wait_s=body.wait_s,
            limit=body.limit,
            capacity=body.capacity,
            next_active_at=body.next_active_at,
        ),
        request.is_disconnected,
    )
    requests = [
        RequestOut(
            id=item.id,
            request=item.content["request"],
            headers=item.content["headers"],
            expires_at=item.expires_at,
        )
        for item in fetched.requests
    ]
    return FetchedOut(requests=requests, canceled=fetched.canceled)


def inbox_url(settings: Settings, agent_id: str) -> str:
    return f"{str(settings.coordinator_url).rstrip('/')}/api/agents/{agent_id}/inbox"


def _secret(authorization: str | None) -> str | None:
    if authorization is None or not authorization.lower().startswith(_BEARER):
        return None
    return authorization[len(_BEARER) :].strip()
