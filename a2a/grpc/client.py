"""The client's binding over gRPC: an operation is a method, a request its message, an error a status."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, TypeAlias

import grpc
from grpc import StatusCode
from pydantic import ValidationError

from a2a.card_types import AgentInterface
from a2a.client.binding import Extras, Heard, Operation, RequestT, ResultT
from a2a.client.http_binding import (
    EXTENSIONS_HEADER,
    MAX_ANSWER_BYTES,
    MAX_STREAM_BYTES,
    MAX_STREAM_EVENTS,
)
from a2a.client.remote_errors import invalid_answer
from a2a.client.transport import MAX_CHALLENGE_CHARS
from a2a.errors import (
    A2AError,
    AgentBusy,
    AgentUnreachable,
    AuthenticationFailed,
    AuthenticationUnavailable,
    InvalidAgentResponse,
    InvalidParams,
    InvalidRequest,
    PermissionDenied,
    PermissionRefused,
    ResourceExhausted,
    Unauthenticated,
    UnknownRemoteError,
)
from a2a.grpc.channels import Channels
from a2a.grpc.convert import decode, encode
from a2a.grpc.generated import a2a_pb2
from a2a.grpc.status import DETAILS_KEY, error_of
from a2a.guard import AddressPolicy
from a2a.types import PROTOCOL_VERSION, StreamResponse, WireModel

SERVICE = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"].full_name
# gRPC says so in words only, and the same status means that a peer is busy.
TOO_LARGE = "larger than max"
CREDENTIALS_REFUSED = "it does not accept our credentials"

_Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
_Streaming: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"


class GrpcBinding:
    """One gRPC interface of an agent. Its `url` is `host:port`, encrypted where that is not this machine, or
    says itself with https or grpcs that it is, with http or grpc that it is not.

    `headers` go with each call, and so do Extras' headers; there is nowhere for query parameters to go.
    """

    sends_task_first: ClassVar[bool] = True

    def __init__(
        self,
        interface: AgentInterface,
        policy: AddressPolicy,
        *,
        extensions: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.url = interface.url
        self._channels = Channels(
            self.url, policy, credentials=credentials, max_message_bytes=MAX_ANSWER_BYTES
        )
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._headers["a2a-version"] = PROTOCOL_VERSION
        if extensions:
            self._headers[EXTENSIONS_HEADER] = ",".join(extensions)

    async def close(self) -> None:
        """Calls that are under way end."""
        await self._channels.close()

    async def call(
        self, operation: Operation[RequestT, ResultT], request: RequestT, extras: Extras
    ) -> ResultT:
        body, metadata = _body(request), self._metadata(extras)
        channel = await self._channels.ready()
        method: _Unary = channel.unary_unary(f"/{SERVICE}/{operation.name}")
        with _translated(self.url):
            answer = await method(body, metadata=metadata)
        return _result(operation.result, answer)

    async def stream(
        self, operation: Operation[RequestT, StreamResponse], request: RequestT, extras: Extras
    ) -> AsyncGenerator[Heard]:
        body, metadata = _body(request), self._metadata(extras)
        channel = await self._channels.ready()
        method: _Streaming = channel.unary_stream(f"/{SERVICE}/{operation.name}")
        call = method(body, metadata=metadata)
        size = count = 0
        try:
            while True:
                with _translated(self.url):
                    data = await call.read()
                if not isinstance(data, bytes):
                    return  # the end of the stream
                size, count = size + len(data), count + 1
                if size > MAX_STREAM_BYTES or count > MAX_STREAM_EVENTS:
                    raise InvalidAgentResponse("The agent's answer is too large.")
                yield _result(StreamResponse, data), False
        finally:
            call.cancel()

    def _metadata(self, extras: Extras) -> tuple[tuple[str, str], ...]:
        sent = self._headers | {name.lower(): value for name, value in extras.headers.items()}
        for name, value in sent.items():
            if not (name.isascii() and value.isascii() and value.isprintable()):
                raise InvalidRequest(f"The header {name!r} cannot be sent as gRPC metadata.")
        return tuple(sent.items())


def _body(request: WireModel) -> bytes:
    try:
        return encode(request)
    except ValueError as exc:
        raise InvalidParams("The request has values that gRPC cannot carry.") from exc


def _result(model: type[ResultT], data: bytes) -> ResultT:
    try:
        return decode(model, data)
    except ValidationError as exc:
        raise invalid_answer(exc) from exc
    except ValueError as exc:
        raise InvalidAgentResponse("The agent's answer is not the message that belongs there.") from exc


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        raise _error(url, exc) from exc
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Nobody cancelled us: the channel was closed under the call.
        raise AgentUnreachable(url, "the connection was closed") from exc


def _error(url: str, exc: grpc.aio.AioRpcError) -> A2AError | TimeoutError:
    """What the agent gave as its reason, or else what the status says."""
    code, message = exc.code(), exc.details() or ""
    error = error_of(code, message, _trailing(exc, DETAILS_KEY))
    match error:
        case Unauthenticated():
            challenge = _trailing(exc, "www-authenticate").decode(errors="replace")[:MAX_CHALLENGE_CHARS]
            return AuthenticationFailed(url, CREDENTIALS_REFUSED, challenge=challenge or None)
        case PermissionDenied():
            return PermissionRefused(url)
        case ResourceExhausted():
            return AgentBusy(url, status=429, retry_after_s=None)
        case AuthenticationUnavailable():
            return AgentBusy(url, status=503, retry_after_s=None)
        case UnknownRemoteError():
            return _transport_error(url, code, message) or error
    return error


def _transport_error(url: str, code: StatusCode, message: str) -> A2AError | TimeoutError | None:
    """A TimeoutError is for the deadline above to put its seconds to."""
    match code:
        case StatusCode.UNAVAILABLE | StatusCode.CANCELLED:
            return AgentUnreachable(url, "the connection was cut, or the agent gave the call up")
        case StatusCode.DEADLINE_EXCEEDED:
            return TimeoutError()
        case StatusCode.RESOURCE_EXHAUSTED if TOO_LARGE not in message:
            return AgentBusy(url, status=429, retry_after_s=None)
        case StatusCode.RESOURCE_EXHAUSTED if message.startswith("CLIENT: Received"):
            return InvalidAgentResponse("The agent's answer is too large.")
        case StatusCode.RESOURCE_EXHAUSTED:
            return InvalidRequest("The request is larger than the agent takes.")
    return None


def _trailing(exc: grpc.aio.AioRpcError, name: str) -> bytes:
    for key, value in exc.trailing_metadata() or ():
        if key == name:
            return value if isinstance(value, bytes) else value.encode()
    return b""
