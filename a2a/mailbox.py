"""The agent's side of the mailbox (docs/mailbox.md): for an agent that the coordinator cannot call.

A bridge registers the card of an A2A server that it can reach itself, fetches the coordinator's requests by
long polls, hands each to that server, and brings the answers back. What it fetched and did not answer before
it died is given again: it says with each visit what it holds.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pydantic_core
import structlog
from pydantic import Field, ValidationError
from starlette.types import ASGIApp

from a2a.card_types import AgentCard
from a2a.client.transport import translated
from a2a.errors import A2AError, AgentHttpError, AgentUnreachable, InvalidAgentResponse, ResponseTooLarge
from a2a.guard import read_capped
from a2a.mailbox_calls import MailboxCalls
from a2a.registration import CALL_TIMEOUT_S, FIRST_RETRY_S, LAST_RETRY_S, CoordinatorLine, RegistrationRefused
from a2a.settings import AgentSettings
from a2a.types import Json, Timestamp, WireModel

log = structlog.get_logger(__name__)

WAIT_S = 30.0
MAX_FETCHED_BYTES = 64 * 2**20
# Of the answers of one visit; the first goes whatever it has.
MAX_BROUGHT_BYTES = 16 * 2**20
MOST_AT_ONCE = 50


class Identity(WireModel):
    """Who the agent is at the coordinator."""

    agent_id: str
    inbox_secret: str
    inbox_url: str


class _Joined(WireModel):
    agent_id: str
    inbox_url: str
    inbox_secret: str | None = None


class FetchedRequest(WireModel):
    id: str
    request: dict[str, Json]
    headers: dict[str, str] = Field(default_factory=dict)
    expires_at: Timestamp


class _Fetched(WireModel):
    requests: list[FetchedRequest]
    canceled: list[str]


@asynccontextmanager
async def in_process_bridge(
    app: ASGIApp, card: AgentCard, settings: AgentSettings
) -> AsyncIterator["MailboxBridge"]:
    """Of an agent that runs in this process; it need not listen on any port. Raises ValueError where no
    coordinator is named."""
    if settings.coordinator_url is None:
        raise ValueError("COORDINATOR_URL has to say where the inbox is")
    token = settings.coordinator_join_token
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False)) as agent_http,
    ):
        yield MailboxBridge(
            http,
            agent_http,
            coordinator_url=str(settings.coordinator_url).rstrip("/"),
            card=card,
            capacity=settings.agent_max_running,
            file=settings.agent_mailbox_file,
            join_token=token.get_secret_value() if token is not None else None,
        )


class MailboxBridge:
    """`http` is for the coordinator, `agent_http` for the agent whose card it is. `file` keeps who the agent
    is, so that it is the same one after a restart; it holds a secret."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        agent_http: httpx.AsyncClient,
        *,
        coordinator_url: str,
        card: AgentCard,
        capacity: int,
        file: Path | None = None,
        join_token: str | None = None,
    ) -> None:
        self._http = http
        self._line = CoordinatorLine(http, coordinator_url, join_token=join_token)
        self._card = card
        self._calls = MailboxCalls(agent_http, card)
        self._capacity = capacity
        self._file = file
        self._identity: Identity | None = _read(file)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._answers: dict[str, bytes] = {}
        self._has_answer = asyncio.Event()
        self.fetched = 0

    async def run(self) -> None:
        """Register and visit the inbox again and again, whatever becomes of the coordinator. Never ends."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self._join()
                while True:
                    await self._visit(wait_s=WAIT_S)
                    retry_s = FIRST_RETRY_S
            except (A2AError, ValidationError) as exc:
                if retry_s >= LAST_RETRY_S or isinstance(exc, RegistrationRefused):
                    log.warning("mailbox.failed", coordinator=self._line.url, why=str(exc))
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, LAST_RETRY_S)

    async def work_off(self, *, idle_s: float = 5.0, next_active_at: datetime | None = None) -> int:
        """Register, do what waits until nothing has come for `idle_s`, and say when the agent looks again;
        how many requests there were. Raises A2AError."""
        await self._join()
        while not await self._visit(wait_s=idle_s, next_active_at=next_active_at):
            pass
        await self._visit(wait_s=0, limit=0, next_active_at=next_active_at)
        return self.fetched

    async def leave(self, *, grace_s: float) -> None:
        """Fetch no more, give what runs `grace_s` to end, bring the answers, say good-bye."""
        if self._identity is None:
            return
        with suppress(A2AError, ValidationError, TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._bring_what_runs()
        stopped = list(self._running.values())
        for task in stopped:
            task.cancel()
        if stopped:
            await asyncio.wait(stopped)
        await self._line.say_goodbye(self._identity.agent_id)

    async def _bring_what_runs(self) -> None:
        while self._running or self._answers:
            if not self._answers:
                await self._has_answer.wait()
            await self._visit(wait_s=0, limit=0)

    async def _join(self) -> None:
        await self._line.connect()
        operation: dict[str, Json] = {"operation": "register", "agentCard": self._card.to_json()}
        if self._identity is not None:
            operation |= {"agentId": self._identity.agent_id, "inboxSecret": self._identity.inbox_secret}
        joined = _Joined.model_validate(await self._line.ask(operation))
        secret = joined.inbox_secret or (self._identity.inbox_secret if self._identity is not None else "")
        self._identity = Identity(agent_id=joined.agent_id, inbox_secret=secret, inbox_url=joined.inbox_url)
        _write(self._file, self._identity)
        log.info("mailbox.joined", coordinator=self._line.url, agent_id=joined.agent_id)

    async def _visit(
        self, *, wait_s: float, limit: int | None = None, next_active_at: datetime | None = None
    ) -> bool:
        """One visit, which an answer that becomes ready meanwhile cuts short. True where nothing came,
        nothing runs and nothing is left to be brought."""
        brought = self._ready()
        self._has_answer.clear()
        free = max(0, min(self._capacity - len(self._running), MOST_AT_ONCE))
        visit: dict[str, Json] = {
            "holding": [*self._running, *self._answers],
            "capacity": self._capacity,
            "limit": free if limit is None else limit,
            # What is brought has to arrive: such a visit is not cut short.
            "wait_s": 0 if brought else wait_s,
        }
        if next_active_at is not None:
            visit["next_active_at"] = next_active_at.isoformat()
        posting = asyncio.create_task(self._post(visit, brought), name="inbox visit")
        fetched = await self._unless_answered(posting) if not brought else await posting
        if fetched is None:
            return False
        for request_id in brought:
            self._answers.pop(request_id, None)
        await self._take(fetched)
        return not (brought or fetched.requests or self._running or self._answers)

    async def _unless_answered(self, posting: "asyncio.Task[_Fetched]") -> "_Fetched | None":
        """None where an answer came first. What the visit would have fetched is not held: it comes again."""
        answered = asyncio.create_task(self._has_answer.wait(), name="answer ready")
        try:
            await asyncio.wait([posting, answered], return_when=asyncio.FIRST_COMPLETED)
            return await posting if posting.done() else None
        finally:
            for task in (posting, answered):
                task.cancel()
            await asyncio.wait([posting, answered])

    async def _post(self, visit: dict[str, Json], answers: dict[str, bytes]) -> _Fetched:
        identity = self._identity
        assert identity is not None
        entries = [b'{"id":%s,"response":%s}' % (pydantic_core.to_json(i), r) for i, r in answers.items()]
        body = pydantic_core.to_json(visit)[:-1] + b',"answers":[' + b",".join(entries) + b"]}"
        headers = {"Authorization": f"Bearer {identity.inbox_secret}", "Content-Type": "application/json"}
        timeout = httpx.Timeout(CALL_TIMEOUT_S, read=visit["wait_s"] + CALL_TIMEOUT_S)
        try:
            async with self._http.stream(
                "POST", identity.inbox_url, content=body, headers=headers, timeout=timeout
            ) as response:
                if response.status_code != 200:
                    raise AgentHttpError(identity.inbox_url, status=response.status_code)
                return _Fetched.model_validate_json(await read_capped(response, max_bytes=MAX_FETCHED_BYTES))
        except httpx.HTTPError as exc:
            found = translated(exc, identity.inbox_url)
            if isinstance(found, TimeoutError):
                found = AgentUnreachable(identity.inbox_url, "no answer in time")
            raise found from exc
        except ResponseTooLarge as exc:
            raise InvalidAgentResponse(exc.detail) from exc

    async def _take(self, fetched: _Fetched) -> None:
        for item in fetched.requests:
            if item.id not in self._running and item.id not in self._answers:
                self.fetched += 1
                self._running[item.id] = asyncio.create_task(self._serve(item), name=f"serve {item.id}")
        for request_id in fetched.canceled:
            self._answers.pop(request_id, None)
            task = self._running.pop(request_id, None)
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def _serve(self, item: FetchedRequest) -> None:
        left_s = (item.expires_at - datetime.now(UTC)).total_seconds()
        try:
            response = await self._calls.answer(item.request, item.headers, timeout_s=max(0.0, left_s))
        except asyncio.CancelledError:
            # Nobody waits for it any more, or this process ends: only the former has taken it out already.
            if item.id not in self._running:
                await self._calls.cancel(item.request)
            raise
        except Exception:
            # The edge of a request: the others go on, and this one is held until it expires.
            log.exception("mailbox.request_crashed", request_id=item.id)
            return
        self._running.pop(item.id, None)
        self._answers[item.id] = pydantic_core.to_json(response)
        self._has_answer.set()

    def _ready(self) -> dict[str, bytes]:
        """The answers that go with the next visit."""
        brought: dict[str, bytes] = {}
        total = 0
        for request_id, response in self._answers.items():
            total += len(response)
            if brought and total > MAX_BROUGHT_BYTES:
                break
            brought[request_id] = response
        return brought


def _read(file: Path | None) -> Identity | None:
    if file is None or not file.exists():
        return None
    try:
        return Identity.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as exc:
        why = "does not say who the agent is; delete it and the agent joins as a new one"
        raise SystemExit(f"{file} {why}.") from exc


def _write(file: Path | None, identity: Identity) -> None:
    """For its owner only, and whole or not at all."""
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(identity.model_dump_json())
    draft.replace(file)
