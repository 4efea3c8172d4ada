"""What the bindings over HTTP share: one request out, one body or one event stream in."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

import httpx
import pydantic_core
from pydantic import ValidationError

from a2a.card_types import AgentInterface
from a2a.client.binding import Extras, Heard, Operation, RequestT, ResultT
from a2a.client.remote_errors import invalid_answer
from a2a.client.transport import chunks, parsed_url, plain_request, read, refusal, send
from a2a.compat.reading import ShapeError
from a2a.errors import A2AError, AgentHttpError, InvalidAgentResponse, ResponseTooLarge
from a2a.sse import event_data
from a2a.types import Json, StreamResponse

MAX_ANSWER_BYTES = 64 * 2**20
MAX_STREAM_BYTES = 256 * 2**20
MAX_STREAM_EVENTS = 1_000_000
MAX_REDIRECTS = 3
EXTENSIONS_HEADER = "a2a-extensions"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request of an operation. `url` is text until it is sent; `id` is that of a JSON-RPC call."""

    verb: str
    url: str
    body: bytes | None = None
    id: int = 0


class HttpBinding(ABC):
    """One interface of an agent over HTTP. Its subclasses say how an operation is written and read.

    The headers of `http` go with each request, its cookies do not. Redirects are followed within the origin
    and with the body only (307, 308): nothing is told to a host that the card does not name.
    """

    sends_task_first: ClassVar[bool] = True
    accept: ClassVar[str]
    version_header: ClassVar[str | None]
    extensions_header: ClassVar[str]

    def __init__(
        self, http: httpx.AsyncClient, interface: AgentInterface, *, extensions: Sequence[str] = ()
    ) -> None:
        self.url = interface.url
        self._http = http
        self._tenant = interface.tenant or None
        self._parsed_url: httpx.URL | None = None
        headers = httpx.Headers(http.headers)
        headers["Accept"] = self.accept
        if self.version_header is not None:
            headers["A2A-Version"] = self.version_header
        if extensions:
            headers[self.extensions_header] = ",".join(extensions)
        self._headers = headers
        self._headers_with_body = httpx.Headers({**headers, "Content-Type": "application/json"})

    @abstractmethod
    def _encoded(self, operation: Operation[RequestT, ResultT], request: RequestT) -> Encoded: ...

    @abstractmethod
    def _result(self, operation: Operation[RequestT, ResultT], sent: Encoded, body: bytes) -> Json:
        """The 1.0 JSON of the result in a good answer. Raises what the answer says or is."""

    @abstractmethod
    def _event(self, sent: Encoded, data: bytes) -> tuple[Json, bool]:
        """The 1.0 JSON of an event of a stream, and whether it says that it is the last."""

    @abstractmethod
    def _error(
        self, operation: Operation[RequestT, ResultT], sent: Encoded, status: int, body: bytes
    ) -> A2AError | None:
        """What an answer with an HTTP status that is no success means; None where it is not A2A's."""

    async def call(
        self, operation: Operation[RequestT, ResultT], request: RequestT, extras: Extras
    ) -> ResultT:
        sent = self._encoded(operation, request)
        response = await self._open(operation, sent, extras)
        body = await self._read(response)
        try:
            return operation.result.model_validate(self._result(operation, sent, body))
        except ValidationError as exc:
            raise invalid_answer(exc) from exc
        except ShapeError as exc:
            raise InvalidAgentResponse(f"The agent's answer is wrong at {exc}") from exc

    async def stream(
        self, operation: Operation[RequestT, StreamResponse], request: RequestT, extras: Extras
    ) -> AsyncGenerator[Heard]:
        sent = self._encoded(operation, request)
        response = await self._open(operation, sent, extras)
        try:
            if not response.headers.get("content-type", "").lower().startswith(EVENT_STREAM):
                self._result(operation, sent, await self._read(response))
                raise InvalidAgentResponse("A stream was asked for, no stream came.")
            async with aclosing(self._heard(sent, response)) as events:
                async for heard in events:
                    yield heard
        finally:
            await response.aclose()

    async def _heard(self, sent: Encoded, response: httpx.Response) -> AsyncGenerator[Heard]:
        count = 0
        body: AsyncIterator[bytes] = chunks(response, max_bytes=MAX_STREAM_BYTES)
        async for data in event_data(body, max_event_bytes=MAX_ANSWER_BYTES):
            count += 1
            if count > MAX_STREAM_EVENTS:
                raise InvalidAgentResponse("The agent's stream has too many events.")
            try:
                content, is_last = self._event(sent, data)
                event = StreamResponse.model_validate(content)
            except ValidationError as exc:
                raise invalid_answer(exc) from exc
            except ShapeError as exc:
                raise InvalidAgentResponse(f"An event of the agent is wrong at {exc}") from exc
            yield event, is_last

    async def _open(
        self, operation: Operation[RequestT, ResultT], sent: Encoded, extras: Extras
    ) -> httpx.Response:
        """A response with a status of success; its body is still to be read, and it to be closed."""
        request = self._request(sent, extras)
        response = await send(self._http, request, follow_redirects=False)
        for _ in range(MAX_REDIRECTS):
            onward = _onward(request.url, response)
            if onward is None:
                break
            await response.aclose()
            request = plain_request(sent.verb, onward, request.headers, sent.body)
            response = await send(self._http, request, follow_redirects=False)
        if not response.is_success:
            raise await self._failure(operation, sent, response)
        return response

    async def _failure(
        self, operation: Operation[RequestT, ResultT], sent: Encoded, response: httpx.Response
    ) -> A2AError:
        try:
            found = refusal(response, self.url)
            if found is None and "json" in response.headers.get("content-type", "").lower():
                found = self._error(operation, sent, response.status_code, await self._read(response))
        finally:
            await response.aclose()
        return found or AgentHttpError(self.url, status=response.status_code)

    def _request(self, sent: Encoded, extras: Extras) -> httpx.Request:
        headers = self._headers if sent.body is None else self._headers_with_body
        if extras.headers:
            headers = httpx.Headers(headers)
            for name, value in extras.headers.items():
                headers[self.extensions_header if name.lower() == EXTENSIONS_HEADER else name] = value
        url = self._own_url() if sent.url is self.url else parsed_url(sent.url)
        if extras.query:
            url = url.copy_merge_params(dict(extras.query))
        return plain_request(sent.verb, url, headers, sent.body)

    def _own_url(self) -> httpx.URL:
        """Parsed once, and not before it is used: a client of a bad URL can be made, and fails as a call."""
        if self._parsed_url is None:
            self._parsed_url = parsed_url(self.url)
        return self._parsed_url

    async def _read(self, response: httpx.Response) -> bytes:
        try:
            return await read(response, max_bytes=MAX_ANSWER_BYTES)
        except ResponseTooLarge as exc:
            raise InvalidAgentResponse(exc.detail) from exc


def parsed_json(body: bytes) -> Json:
    try:
        return pydantic_core.from_json(body)
    except ValueError as exc:
        raise InvalidAgentResponse("The agent's answer is not JSON.") from exc


def json_or_none(body: bytes) -> Json:
    try:
        return pydantic_core.from_json(body)
    except ValueError:
        return None


def _onward(here: httpx.URL, response: httpx.Response) -> httpx.URL | None:
    """Where a redirect leads that keeps method and body, within the same scheme, host and port."""
    location = response.headers.get("location")
    if response.status_code not in (307, 308) or location is None:
        return None
    try:
        there = here.join(location)
    except (httpx.InvalidURL, ValueError):
        return None
    return there if (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port) else None
