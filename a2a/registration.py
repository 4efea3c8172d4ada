"""The agent's side of the registration extension `urn:parley:registration:v1`.

An agent tells a coordinator where its card is, says at intervals that it lives and how busy it is, and says
good-bye. All three are A2A messages with one data part; docs/extensions/registration.md has the shapes.
"""

import asyncio
from collections.abc import Callable

import httpx
import structlog
from pydantic import Field, ValidationError

from a2a.client import ONE_TRY, A2AClient, fetch_card, json_rpc_url
from a2a.errors import A2AError, CardRefused
from a2a.requests import SendMessageRequest
from a2a.types import Json, Message, Part, Task, TaskState, WireModel

log = structlog.get_logger(__name__)

EXTENSION_URI = "urn:parley:registration:v1"
CALL_TIMEOUT_S = 15.0
FIRST_RETRY_S = 0.2
LAST_RETRY_S = 10.0


class RegistrationRefused(A2AError):
    """The coordinator answered and will not have this agent; the text says why."""


class Load(WireModel):
    """How busy an agent is; `capacity` is how many tasks it runs at once."""

    running: int = Field(ge=0)
    capacity: int = Field(gt=0)


class Registered(WireModel):
    agent_id: str
    heartbeat_interval_s: float = Field(gt=0)


class HeartbeatAnswer(WireModel):
    """`known` is false where the coordinator has lost or dropped the agent: register again."""

    known: bool


class CoordinatorLine:
    """One coordinator, asked under the extension."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, join_token: str | None) -> None:
        self.url = url
        self._http = http
        self._join_token = join_token
        self._client: A2AClient | None = None

    async def connect(self) -> None:
        """Find out from its card where it is asked. Raises A2AError."""
        card = await fetch_card(self._http, self.url, timeout_s=CALL_TIMEOUT_S)
        url = json_rpc_url(card)
        if url is None:
            raise CardRefused(self.url, "the coordinator's card has no JSON-RPC 1.0 URL")
        self._client = A2AClient(self._http, url, retries=ONE_TRY)

    async def ask(self, operation: dict[str, Json]) -> Json:
        """The data of the answer. Raises A2AError, RegistrationRefused with the coordinator's words."""
        if self._client is None:
            await self.connect()
        assert self._client is not None
        if self._join_token is not None:
            operation = operation | {"joinToken": self._join_token}
        message = Message.from_user(Part.from_data(operation))
        message.extensions = [EXTENSION_URI]
        answer = await self._client.send_message(
            SendMessageRequest(message=message),
            timeout_s=CALL_TIMEOUT_S,
            headers={"A2A-Extensions": EXTENSION_URI},
        )
        return answered_data(answer)

    async def say_goodbye(self, agent_id: str) -> None:
        """The agent takes no more work. Best effort: the coordinator would notice anyway."""
        try:
            await self.ask({"operation": "deregister", "agentId": agent_id})
        except A2AError as exc:
            log.debug("registration.leave_failed", why=str(exc))


class Registrar:
    """Keeps one agent registered with one coordinator for as long as `run` runs."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        coordinator_url: str,
        card_url: str,
        load: Callable[[], Load],
        join_token: str | None = None,
    ) -> None:
        self._line = CoordinatorLine(http, coordinator_url, join_token=join_token)
        self._coordinator_url = coordinator_url
        self._card_url = card_url
        self._load = load
        self._agent_id: str | None = None

    async def run(self) -> None:
        """Register, send heartbeats, register again when the coordinator does not know us. Never ends."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                registered = await self._register()
                retry_s = FIRST_RETRY_S
                await self._send_heartbeats(registered)
            except (A2AError, ValidationError) as exc:
                if retry_s >= LAST_RETRY_S or isinstance(exc, RegistrationRefused):
                    log.warning("registration.failed", coordinator=self._coordinator_url, why=str(exc))
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, LAST_RETRY_S)

    async def leave(self) -> None:
        """Tell the coordinator that this agent takes no more work."""
        if self._agent_id is not None:
            await self._line.say_goodbye(self._agent_id)

    async def _register(self) -> Registered:
        await self._line.connect()
        answer = await self._line.ask({"operation": "register", "agentCardUrl": self._card_url})
        registered = Registered.model_validate(answer)
        self._agent_id = registered.agent_id
        log.info("registration.done", coordinator=self._coordinator_url, agent_id=self._agent_id)
        return registered

    async def _send_heartbeats(self, registered: Registered) -> None:
        """Until the coordinator says it does not know us; an unreachable one raises."""
        while True:
            await asyncio.sleep(registered.heartbeat_interval_s)
            beat = {
                "operation": "heartbeat",
                "agentId": registered.agent_id,
                "load": self._load().to_json(),
            }
            if not HeartbeatAnswer.model_validate(await self._line.ask(beat)).known:
                log.info("registration.forgotten", coordinator=self._coordinator_url)
                return


def answered_data(answer: Task | Message) -> Json:
    """The first data part of an answer. Raises RegistrationRefused with the coordinator's words."""
    if isinstance(answer, Message):
        parts = answer.parts
    elif answer.status.state is TaskState.COMPLETED:
        parts = [part for artifact in answer.artifacts or [] for part in artifact.parts]
    else:
        said = answer.status.message
        why = said.spoken_text() if said is not None else str(answer.status.state)
        raise RegistrationRefused(why)
    return next((part.data for part in parts if part.data is not None), None)
