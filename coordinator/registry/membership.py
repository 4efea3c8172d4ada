"""The registration extension at the coordinator: register, heartbeat and deregister as A2A data parts."""

from functools import partial
from typing import Annotated, Literal

import httpx
from pydantic import Field, TypeAdapter, ValidationError

from a2a.database import Database
from a2a.registration import Load
from a2a.types import Json, WireModel
from coordinator.clock import Now
from coordinator.health.record import record_goodbye, record_heartbeat
from coordinator.registry.registration import register

# An agent may miss two heartbeats before it is looked at.
LEASE_INTERVALS = 3


class _Register(WireModel):
    operation: Literal["register"]
    agent_card_url: Annotated[str, Field(min_length=1, max_length=2_000)]


class _Heartbeat(WireModel):
    operation: Literal["heartbeat"]
    agent_id: Annotated[str, Field(max_length=200)]
    load: Load


class _Deregister(WireModel):
    operation: Literal["deregister"]
    agent_id: Annotated[str, Field(max_length=200)]


_OPERATION: TypeAdapter[_Register | _Heartbeat | _Deregister] = TypeAdapter(
    Annotated[_Register | _Heartbeat | _Deregister, Field(discriminator="operation")]
)


class BadOperation(Exception):
    """A data part that is none of the extension's operations; the text says what is wrong."""


class Membership:
    def __init__(
        self,
        database: Database,
        http: httpx.AsyncClient,
        *,
        own_url: str,
        heartbeat_interval_s: float,
        now: Now,
    ) -> None:
        self._database = database
        self._http = http
        self._own_url = own_url
        self._heartbeat_interval_s = heartbeat_interval_s
        self._now = now

    async def handle(self, data: Json) -> dict[str, Json]:
        """The answer's data part. Raises BadOperation and CardRejected."""
        try:
            operation = _OPERATION.validate_python(data)
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "operation"
            raise BadOperation(f"The registration message is wrong at {where}: {first['msg']}.") from exc
        match operation:
            case _Register():
                agent_id = await self._register(operation.agent_card_url)
                return {"agentId": agent_id, "heartbeatIntervalS": self._heartbeat_interval_s}
            case _Heartbeat():
                return {"known": await self._take_heartbeat(operation)}
            case _Deregister():
                goodbye = partial(record_goodbye, agent_id=operation.agent_id, now=self._now())
                return {"known": await self._database.write(goodbye)}

    async def _register(self, card_url: str) -> str:
        return await register(
            self._database, self._http, card_url, self._now, own_url=self._own_url, by_operator=False
        )

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
