"""The client's side of A2A over JSON-RPC: find a card, send, follow, ask, cancel.

Foreign errors end here: httpx's are translated to TransportError, JSON-RPC errors to ProtocolError,
and an answer that follows neither is InvalidAgentResponse.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import TypeVar

import httpx
import pydantic_core
from pydantic import ValidationError

from a2a.card_types import WELL_KNOWN_PATH, AgentCard
from a2a.errors import (
    A2AError,
    AgentBusy,
    AgentHttpError,
    AgentTimeout,
    AgentUnreachable,
    CardRefused,
    InvalidAgentResponse,
    ResponseTooLarge,
    error_from_code,
)
from a2a.guard import read_capped
from a2a.requests import CancelTaskRequest, GetTaskRequest, SendMessageRequest, SendMessageResponse
from a2a.sse import event_data
from a2a.types import PROTOCOL_VERSION, Json, Message, StreamResponse, Task, WireModel

MAX_CARD_BYTES = 256 * 1024
MAX_ANSWER_BYTES = 64 * 2**20
MAX_STREAM_BYTES = 256 * 2**20
MAX_RETRY_AFTER_S = 3_600.0
ModelT = TypeVar("ModelT", bound=WireModel)


async def fetch_card(http: httpx.AsyncClient, url: str, *, timeout_s: float) -> AgentCard:
    """The card at an agent's origin or at the card's own URL.

    Raises AgentUnreachable, AgentTimeout, AddressRefused, or CardRefused with what is wrong with it.
    """
    card_url = url if url.endswith(".json") else url.rstrip("/") + WELL_KNOWN_PATH
    headers = {"Accept": "application/json"}
    async with (
        _deadline(card_url, timeout_s),
        _request(http, "GET", card_url, timeout_s=timeout_s, headers=headers) as response,
    ):
        if response.status_code != 200:
            raise CardRefused(card_url, f"HTTP {response.status_code} instead of an agent card")
        try:
            body = await read_capped(response, max_bytes=MAX_CARD_BYTES)
        except ResponseTooLarge as exc:
            raise CardRefused(card_url, f"the card is over {MAX_CARD_BYTES:,} bytes") from exc
    return parse_card(card_url, body)


def parse_card(card_url: str, body: bytes) -> AgentCard:
    """Raises CardRefused that names the first fields that are wrong."""
    try:
        return AgentCard.model_validate(pydantic_core.from_json(body, allow_inf_nan=False))
    except ValidationError as exc:
        fields = [
            f"{'.'.join(map(str, error['loc'])) or 'card'}: {error['msg']}"
            for error in exc.errors(include_url=False)[:5]
        ]
        raise CardRefused(card_url, "not a valid A2A 1.0 agent card: " + "; ".join(fields)) from exc
    except ValueError as exc:
        raise CardRefused(card_url, "the answer is not JSON, so it is no agent card") from exc


def json_rpc_url(card: AgentCard) -> str | None:
    """The first JSON-RPC 1.0 interface of the card, or None where it has none."""
    for interface in card.supported_interfaces:
        version = ".".join(interface.protocol_version.split(".")[:2])
        if interface.protocol_binding == "JSONRPC" and version == PROTOCOL_VERSION:
            return interface.url
    return None


class A2AClient:
    """Calls one agent's JSON-RPC interface through a shared `http` client.

    Every operation has a deadline in seconds, `timeout_s`, and raises AgentTimeout past it.
    """

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._ids = count(1)

    async def send_message(
        self,
        request: SendMessageRequest,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Task | Message:
        result = await self._call("SendMessage", request, timeout_s, headers)
        response = _as(SendMessageResponse, result)
        answer = response.task or response.message
        assert answer is not None
        return answer

    async def get_task(self, request: GetTaskRequest, *, timeout_s: float) -> Task:
        return _as(Task, await self._call("GetTask", request, timeout_s))

    async def cancel_task(self, request: CancelTaskRequest, *, timeout_s: float) -> Task:
        return _as(Task, await self._call("CancelTask", request, timeout_s))

    async def stream_message(
        self,
        request: SendMessageRequest,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[StreamResponse]:
        """Each event as it comes. `timeout_s` bounds the whole stream, and so does MAX_STREAM_BYTES."""
        ends_at = asyncio.get_running_loop().time() + timeout_s
        async with AsyncExitStack() as stack:
            async with _deadline(self._url, timeout_s, ends_at=ends_at):
                post = self._post("SendStreamingMessage", request, timeout_s, headers)
                response = await stack.enter_async_context(post)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    self._result_of(await self._read(response), response.status_code)
                    raise InvalidAgentResponse("A stream was asked for, no stream came.")
            events = event_data(_capped(response.aiter_bytes()), max_event_bytes=MAX_ANSWER_BYTES)
            while True:
                # Only the wait for the next event is timed: between events the consumer runs.
                async with _deadline(self._url, timeout_s, ends_at=ends_at):
                    data = await anext(events, None)
                if data is None:
                    return
                yield _as(StreamResponse, self._result_of(data, response.status_code))

    async def _call(
        self,
        method: str,
        params: WireModel,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        async with (
            _deadline(self._url, timeout_s),
            self._post(method, params, timeout_s, headers) as response,
        ):
            return self._result_of(await self._read(response), response.status_code)

    @asynccontextmanager
    async def _post(
        self, method: str, params: WireModel, timeout_s: float, headers: Mapping[str, str] | None
    ) -> AsyncIterator[httpx.Response]:
        body = b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}' % (
            next(self._ids),
            method.encode(),
            params.model_dump_json(exclude_none=True).encode(),
        )
        sent = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "A2A-Version": PROTOCOL_VERSION,
            **(headers or {}),
        }
        async with _request(
            self._http, "POST", self._url, timeout_s=timeout_s, headers=sent, content=body
        ) as response:
            if response.status_code in (429, 503):
                retry_after_s = _retry_after_s(response.headers.get("retry-after"))
                raise AgentBusy(self._url, status=response.status_code, retry_after_s=retry_after_s)
            if not _is_json(response) and response.status_code != 200:
                raise AgentHttpError(self._url, status=response.status_code)
            yield response

    async def _read(self, response: httpx.Response) -> bytes:
        try:
            return await read_capped(response, max_bytes=MAX_ANSWER_BYTES)
        except ResponseTooLarge as exc:
            raise InvalidAgentResponse(exc.detail) from exc

    def _result_of(self, body: bytes, status: int) -> Json:
        try:
            envelope = pydantic_core.from_json(body)
        except ValueError as exc:
            raise self._no_answer("is not JSON", status) from exc
        if not isinstance(envelope, dict):
            raise self._no_answer("is no JSON-RPC response", status)
        error = envelope.get("error")
        if isinstance(error, dict) and isinstance(error.get("code"), int):
            raise error_from_code(error["code"], str(error.get("message", ""))[:2_000])
        if "result" not in envelope:
            raise self._no_answer("has neither result nor error", status)
        return envelope["result"]

    def _no_answer(self, why: str, status: int) -> A2AError:
        """A status that says failure explains more than a body that is no JSON-RPC response."""
        if status != 200:
            return AgentHttpError(self._url, status=status)
        return InvalidAgentResponse(f"The agent's answer {why}.")


@asynccontextmanager
async def _deadline(url: str, timeout_s: float, *, ends_at: float | None = None) -> AsyncIterator[None]:
    """`ends_at`, in the loop's time, is where the deadline began before this block."""
    try:
        async with asyncio.timeout(timeout_s) if ends_at is None else asyncio.timeout_at(ends_at):
            yield
    except TimeoutError as exc:
        raise AgentTimeout(url, after_s=timeout_s) from exc


@asynccontextmanager
async def _request(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> AsyncIterator[httpx.Response]:
    """A streamed response, with httpx's errors translated, those of reading the body included."""
    try:
        async with http.stream(
            method, url, headers=headers, content=content, timeout=max(timeout_s, 0.001)
        ) as response:
            yield response
    except httpx.TimeoutException as exc:
        raise AgentTimeout(url, after_s=timeout_s) from exc
    except httpx.TransportError as exc:
        connected = not isinstance(exc, httpx.ConnectError)
        detail = str(exc) or "the connection failed"
        raise AgentUnreachable(url, detail, may_have_arrived=connected) from exc
    except httpx.DecodingError as exc:
        raise InvalidAgentResponse("The agent's answer is not compressed as it says.") from exc
    except (httpx.InvalidURL, httpx.TooManyRedirects) as exc:
        raise AgentUnreachable(url, "the URL cannot be used") from exc


async def _capped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_STREAM_BYTES:
            raise InvalidAgentResponse("The agent's answer is too large.")
        yield chunk


def _is_json(response: httpx.Response) -> bool:
    return "json" in response.headers.get("content-type", "")


def _retry_after_s(value: str | None) -> float | None:
    """Within what a wait can be: the header is the agent's to choose, "inf" and "nan" included."""
    try:
        wished_s = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return min(max(0.0, wished_s), MAX_RETRY_AFTER_S) if math.isfinite(wished_s) else None


def _as(model: type[ModelT], value: Json) -> ModelT:
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidAgentResponse(f"The agent's answer is wrong at {where}: {first['msg']}") from exc
