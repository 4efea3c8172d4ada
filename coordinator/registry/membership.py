"""The registration extension at the coordinator: register, heartbeat and deregister as A2A data parts."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from a2a.database import Database
from a2a.registration import Load
from a2a.types import Json, WireModel
from coordinator.clock import Now
from coordinator.health.audit import Actor
from coordinator.health.record import record_goodbye, record_heartbeat
from coordinator.registry.mailbox import BringingCard
from coordinator.registry.registration import Joining, Registry

# An agent may miss two heartbeats before it is looked at.
LEASE_INTERVALS = 3


AgentId = Annotated[str, Field(max_length=200)]
JoinToken = Annotated[str, Field(max_length=500)]


class _Register(WireModel):
    """`agent_card` instead of the URL is that of an agent that fetches its requests."""

    operation: Literal["register"]
    agent_card_url: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    agent_card: dict[str, Json] | None = None
    join_token: JoinToken | None = None
    # The id that the agent had under another card URL, or has with its inbox.
    agent_id: AgentId | None = None
    inbox_secret: Annotated[str, Field(max_length=500)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.agent_card_url is None) == (self.agent_card is None):
            raise ValueError("one of agentCardUrl and agentCard is needed")
        return self


class _Heartbeat(WireModel):
    operation: Literal["heartbeat"]
    agent_id: AgentId
    load: Load
    join_token: JoinToken | None = None


class _Deregister(WireModel):
    operation: Literal["deregister"]
    agent_id: AgentId
    join_token: JoinToken | None = None


_OPERATION: TypeAdapter[_Register | _Heartbeat | _Deregister] = TypeAdapter(
    Annotated[_Register | _Heartbeat | _Deregister, Field(discriminator="operation")]
)


class BadOperation(Exception):
    """A data part that is none of the extension's operations; the text says what is wrong."""


class Membership:
    def __init__(
        self,
        database: Database,
        registry: Registry,
        *,
        heartbeat_interval_s: float,
        inbox_url: Callable[[str], str],
        now: Now,
    ) -> None:
        self._inbox_url = inbox_url
        self._database = database
        self._registry = registry
        self._heartbeat_interval_s = heartbeat_interval_s
        self._now = now

    async def handle(self, data: Json) -> dict[str, Json]:
        """The answer's data part. Raises BadOperation and RegistryError."""
        try:
            operation = _OPERATION.validate_python(data)
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "operation"
            raise BadOperation(f"The registration message is wrong at {where}: {first['msg']}.") from exc
        match operation:
            case _Register():
                answer = await self._register(operation)
                return answer | {"heartbeatIntervalS": self._heartbeat_interval_s}
            case _Heartbeat():
                self._registry.check_token(operation.join_token)
                return {"known": await self._take_heartbeat(operation)}
            case _Deregister():
                self._registry.check_token(operation.join_token)
                goodbye = partial(record_goodbye, agent_id=operation.agent_id, now=self._now())
                return {"known": await self._database.write(goodbye)}

    async def _register(self, operation: _Register) -> dict[str, Json]:
        token, agent_id = operation.join_token, operation.agent_id
        if operation.agent_card_url is not None:
            joining = Joining(operation.agent_card_url, Actor.AGENT, token=token, previous_id=agent_id)
            return {"agentId": await self._registry.register(joining)}
        wish = BringingCard(operation.agent_card, Actor.AGENT, token, agent_id, operation.inbox_secret)
        joined = await self._registry.register_card(wish)
        answer: dict[str, Json] = {"agentId": joined.agent_id, "inboxUrl": self._inbox_url(joined.agent_id)}
        return answer if joined.secret is None else answer | {"inboxSecret": joined.secret}

    async def _take_heartbeat(self, heartbeat: _Heartbeat) -> bool:
        return await self._database.write(
            partial(
                record_heartbeat,
                agent_id=heartbeat.agent_id,
                load=heartbeat.load.to_json(),
                lease_s=LEASE_INTERVALS * self._heartbeat_interval_s,
                now=self._now(),
            )
        )
