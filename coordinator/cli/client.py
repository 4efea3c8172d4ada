"""The coordinator's REST API as the command line calls it. Owns every HTTP error's translation."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from coordinator.cli.errors import (
    NotACoordinator,
    Refused,
    SettingInvalid,
    StreamLost,
    Unavailable,
    Unreachable,
)
from coordinator.cli.files import Upload
from coordinator.cli.plain import one_line
from coordinator.cli.shapes import (
    Accepted,
    Agent,
    AgentDetail,
    AgentList,
    Event,
    Report,
    Task,
    TaskPage,
    TaskSummary,
    Why,
)
from coordinator.cli.sse import StreamBroken, read_events

ShapeT = TypeVar("ShapeT", bound=BaseModel)

TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
UPLOAD_TIMEOUT: Final = httpx.Timeout(120.0, connect=5.0)
# The coordinator sends a comment more often than this while nothing happens.
STREAM_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0, read=60.0)
POST_RETRY_WAITS_S: Final = (1.0, 3.0)
TEMPORARY: Final = frozenset({429, 502, 503, 504})
MAX_ANSWER_BYTES: Final = 64 * 2**20
PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How long to try for a stream that broke off: the first wait, the longest, and the whole of it."""

    first_s: float = 0.5
    longest_s: float = 10.0
    give_up_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Lost:
    """The event stream broke off."""


@dataclass(frozen=True, slots=True)
class Back:
    """The event stream is there again; it goes on where it broke off."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """What is None is left to the coordinator."""

    description: str
    session_id: str | None = None
    deadline_s: float | None = None
    plan: dict[str, Any] | None = None
    strategy: str | None = None
    approval: str | None = None
    priority: int | None = None
    webhook_url: str | None = None
    files: Sequence[Upload] = ()

    def fields(self) -> dict[str, Any]:
        fields = {
            "description": self.description,
            "session_id": self.session_id,
            "deadline_s": self.deadline_s,
            "plan": self.plan,
            "strategy": self.strategy,
            "approval": self.approval,
            "priority": self.priority,
            "webhook": {"url": self.webhook_url} if self.webhook_url is not None else None,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Coordinator:
    """One coordinator at `url`. Every method raises Unreachable, NotACoordinator or Refused."""

    def __init__(self, url: str, *, reconnect: Reconnect | None = None) -> None:
        self.url = checked_url(url)
        self._reconnect = reconnect or Reconnect()
        self._http = httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def create_task(self, new: NewTask) -> Accepted:
        fields = new.fields()
        options: dict[str, Any] = {"json": fields}
        if new.files:
            files = [("files", (file.name, file.content, file.media_type)) for file in new.files]
            # A form's fields that are not plain text carry JSON.
            form = {n: value if isinstance(value, str) else json.dumps(value) for n, value in fields.items()}
            options = {"data": form, "files": files}
        # With its key the request may be sent again after a broken connection: it makes one task.
        options |= {"headers": {"Idempotency-Key": str(uuid4())}, "timeout": UPLOAD_TIMEOUT}
        for wait_s in POST_RETRY_WAITS_S:
            try:
                return await self._call(Accepted, "POST", "/api/tasks", **options)
            except Unreachable as exc:
                if isinstance(exc.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                    raise
            await asyncio.sleep(wait_s)
        return await self._call(Accepted, "POST", "/api/tasks", **options)

    async def tasks(self, status: str | None) -> Sequence[TaskSummary]:
        """The newest tasks first, one page of them."""
        query = {"limit": PAGE_SIZE} | ({"status": status} if status else {})
        return (await self._call(TaskPage, "GET", "/api/tasks", params=query)).tasks

    async def task(self, task_id: str) -> Task:
        return await self._call(Task, "GET", _task(task_id))

    async def task_json(self, task_id: str) -> str:
        """The task as the coordinator wrote it, fields of newer versions included."""
        return (await self._send("GET", _task(task_id))).text

    async def why(self, task_id: str) -> str:
        return (await self._call(Why, "GET", f"{_task(task_id)}/why")).sentence

    async def cancel(self, task_id: str) -> TaskSummary:
        """The task as it stands once the cancel is recorded; its steps may still be stopping."""
        return await self._call(TaskSummary, "POST", f"{_task(task_id)}/cancel")

    async def answer(self, task_id: str, text: str, *, step_number: int | None) -> None:
        body: dict[str, Any] = {"parts": [{"text": text}]}
        if step_number is not None:
            body["step_number"] = step_number
        await self._send("POST", f"{_task(task_id)}/input", json=body)

    async def approve(self, task_id: str, *, step_number: int | None) -> None:
        """The step, or the plan or every step that waits."""
        body = {"json": {"step_number": step_number}} if step_number is not None else {}
        await self._send("POST", f"{_task(task_id)}/approve", **body)

    async def retry(self, task_id: str) -> Accepted:
        """The new task."""
        return await self._call(Accepted, "POST", f"{_task(task_id)}/retry")

    async def agents(self) -> Sequence[Agent]:
        return (await self._call(AgentList, "GET", "/api/agents")).agents

    async def agent(self, agent_id: str) -> AgentDetail:
        return await self._call(AgentDetail, "GET", _agent(agent_id))

    async def report(self, agent_id: str) -> Report:
        """Of its latest conformance run; Refused with REPORT_NOT_FOUND where there was none."""
        return await self._call(Report, "GET", f"{_agent(agent_id)}/report")

    async def change_agent(self, agent_id: str, **changes: bool) -> AgentDetail:
        return await self._call(AgentDetail, "PATCH", _agent(agent_id), json=changes)

    async def register(self, card_url: str) -> Agent:
        return await self._call(
            Agent, "POST", "/api/agents", json={"card_url": card_url}, timeout=UPLOAD_TIMEOUT
        )

    async def is_ready(self) -> bool:
        try:
            await self._send("GET", "/ready")
        except (Refused, Unreachable):
            return False
        return True

    async def artifact(self, task_id: str, artifact_id: str) -> AsyncIterator[bytes]:
        """The bytes of one artifact."""
        path = f"{_task(task_id)}/artifacts/{quote(artifact_id, safe='')}"
        async with self._translated(), self._http.stream("GET", path) as response:
            await _check(response, self.url)
            async for chunk in response.aiter_bytes():
                yield chunk

    async def events(self, task_id: str) -> AsyncGenerator[Event | Lost | Back]:
        """The task's events from the first to the one that ends it, each once.

        A stream that breaks off is taken up again after its last event; Lost and Back say so. Raises
        StreamLost when the coordinator stays away for longer than `reconnect.give_up_s`.
        """
        last = 0
        wait_s = self._reconnect.first_s
        lost_at: float | None = None
        while True:
            async with aclosing(self._stream(task_id, after=last)) as stream:
                async for event in stream:
                    if lost_at is not None:
                        lost_at, wait_s = None, self._reconnect.first_s
                        yield Back()
                    if event is None or event.number <= last:
                        continue
                    last = event.number
                    yield event
                    if event.is_last:
                        return
            if lost_at is None:
                lost_at = monotonic()
                yield Lost()
            if monotonic() - lost_at > self._reconnect.give_up_s:
                raise StreamLost(task_id, after_s=self._reconnect.give_up_s)
            await asyncio.sleep(wait_s * random.uniform(0.75, 1.0))  # noqa: S311 spreads clients, hides nothing
            wait_s = min(wait_s * 2, self._reconnect.longest_s)

    async def _stream(self, task_id: str, *, after: int) -> AsyncGenerator[Event | None]:
        """One connection's events, until it breaks off; None first, once the coordinator has opened it."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
        path = f"{_task(task_id)}/events"
        with suppress(Unreachable, Unavailable):
            async with (
                self._translated(),
                self._http.stream("GET", path, headers=headers, timeout=STREAM_TIMEOUT) as response,
            ):
                await _check(response, self.url)
                yield None
                async with aclosing(read_events(response.aiter_bytes())) as events:
                    async for event in events:
                        yield event

    async def _call(self, shape: type[ShapeT], method: str, path: str, **options: Any) -> ShapeT:
        response = await self._send(method, path, **options)
        try:
            return shape.model_validate_json(response.content)
        except ValidationError as exc:
            raise NotACoordinator(self.url) from exc

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        async with self._translated(), self._http.stream(method, path, **options) as response:
            await _check(response, self.url)
            await _read(response, self.url)
        return response

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except httpx.TransportError as exc:
            raise Unreachable(self.url) from exc
        except (httpx.HTTPError, StreamBroken) as exc:
            raise NotACoordinator(self.url) from exc


def checked_url(url: str) -> str:
    """The address without a trailing slash. Raises SettingInvalid."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingInvalid(
            f"The coordinator's address must look like http://127.0.0.1:8000, not {one_line(url)!r}."
        )
    return url.rstrip("/")


def _task(task_id: str) -> str:
    return f"/api/tasks/{quote(task_id, safe='')}"


def _agent(agent_id: str) -> str:
    return f"/api/agents/{quote(agent_id, safe='')}"


async def _read(response: httpx.Response, url: str) -> None:
    if int(response.headers.get("content-length", 0)) > MAX_ANSWER_BYTES:
        raise NotACoordinator(url)
    await response.aread()


async def _check(response: httpx.Response, url: str) -> None:
    """Raise Refused with the problem's own words, or NotACoordinator where the answer is none of ours."""
    if response.is_success:
        return
    await _read(response, url)
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        if response.status_code in TEMPORARY:
            raise Unavailable(
                status=response.status_code, code="HTTP_ERROR", detail="The coordinator cannot answer now."
            )
        raise NotACoordinator(url)
    refused = Unavailable if response.status_code in TEMPORARY else Refused
    raise refused(status=response.status_code, code=one_line(problem["code"]), detail=_detail(problem))


def _detail(problem: dict[str, Any]) -> str:
    """The detail, with the fields at fault that it does not name itself."""
    detail = one_line(str(problem.get("detail") or problem.get("title") or "The coordinator refused."))
    errors = problem.get("errors")
    if not isinstance(errors, list):
        return detail
    fields = [
        ": ".join(one_line(str(text), max_chars=200) for text in error.values())
        for error in errors[:5]
        if isinstance(error, dict)
    ]
    return " ".join([detail, *(field for field in fields if field not in detail)])
