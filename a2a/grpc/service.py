"""The gRPC server (specification section 10): bytes in and out around the operations of every binding."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Never, TypeAlias

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from a2a.errors import (
    WIRE,
    InternalError,
    ParseError,
    PermissionDenied,
    ProtocolError,
    ResourceExhausted,
    Unauthenticated,
)
from a2a.grpc.convert import encode, plain
from a2a.grpc.generated import a2a_pb2
from a2a.grpc.status import DETAILS_KEY, code_of, status_of
from a2a.server.context import CallContext
from a2a.server.gate import EXTENSIONS_HEADER, Gate
from a2a.server.http import SEND_TIMEOUT_S
from a2a.server.operations import REQUESTS, Operations
from a2a.server.security import header_map
from a2a.types import Json, WireModel, new_id

log = structlog.get_logger(__name__)

SERVICE = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"].full_name
MAX_MESSAGE_BYTES = 64 * 2**20
# Over this many calls at once a further one is told that the agent is busy.
MAX_CALLS = 2_000
# Far more than what is usual: a coordinator follows each of its tasks on one connection.
MAX_CALLS_PER_CONNECTION = 1_000
# A peer that does not answer a ping is gone, and its streams end.
PING_EVERY_S = 60
PING_TIMEOUT_S = 20
MIN_CLIENT_PING_S = 20

_Rpc: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_Method: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
_Behaviour = Callable[[str, bytes, _Rpc], Awaitable[bytes | None]]


@asynccontextmanager
async def serve_grpc(
    operations: Operations,
    gate: Gate,
    *,
    host: str,
    port: int,
    credentials: grpc.ServerCredentials | None = None,
    grace_s: float = 10.0,
    max_request_bytes: int = MAX_MESSAGE_BYTES,
    max_calls: int = MAX_CALLS,
) -> AsyncIterator[int]:
    """Serves for as long as the context lasts; gives the port, which is a free one where 0 was asked for.

    Without `credentials` nothing is encrypted. At the end calls have `grace_s` seconds to finish. Raises
    RuntimeError where the address cannot be had.
    """
    server = grpc.aio.server(
        handlers=[A2AService(operations, gate).handlers()],
        options=_options(max_request_bytes),
        maximum_concurrent_rpcs=max_calls,
    )
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if credentials is None:
        bound = server.add_insecure_port(address)
    else:
        bound = server.add_secure_port(address, credentials)
    await server.start()
    for name in ("", SERVICE):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    log.info("grpc.serving", host=host, port=bound, is_encrypted=credentials is not None)
    try:
        yield bound
    finally:
        await checks.enter_graceful_shutdown()
        await server.stop(grace_s)


def _options(max_request_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", MAX_CALLS_PER_CONNECTION),
        ("grpc.keepalive_time_ms", PING_EVERY_S * 1_000),
        ("grpc.keepalive_timeout_ms", PING_TIMEOUT_S * 1_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_CLIENT_PING_S * 1_000),
        # Two processes on one port would each get half of the calls.
        ("grpc.so_reuseport", 0),
    ]


class A2AService:
    """The service's calls, as bytes. An unexpected error is logged under an id; the caller learns the id."""

    def __init__(self, operations: Operations, gate: Gate) -> None:
        self._operations = operations
        self._gate = gate

    def handlers(self) -> grpc.GenericRpcHandler:
        methods: dict[str, _Method] = {
            name: grpc.unary_stream_rpc_method_handler(self._behaviour(name, self._stream))
            if self._operations.is_streaming(name)
            else grpc.unary_unary_rpc_method_handler(self._behaviour(name, self._call))
            for name in REQUESTS
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _behaviour(self, name: str, run: _Behaviour) -> Callable[[bytes, _Rpc], Awaitable[bytes | None]]:
        async def behaviour(body: bytes, rpc: _Rpc) -> bytes | None:
            try:
                return await run(name, body, rpc)
            except Exception as exc:  # noqa: BLE001 logged and told as an error of the protocol
                failure = _told(name, exc)
            return await _abort(rpc, failure)

        return behaviour

    async def _call(self, name: str, body: bytes, rpc: _Rpc) -> bytes:
        call = await self._enter(rpc)
        return _answer(await self._operations.call(name, _params(name, body), call))

    async def _stream(self, name: str, body: bytes, rpc: _Rpc) -> None:
        """A caller that leaves, or whose deadline passes, cancels this and nothing else."""
        call = await self._enter(rpc)
        follower = await self._operations.stream(name, _params(name, body), call)
        try:
            while events := await follower.batch():
                for event in events:
                    if event.response is not None:
                        await _write(rpc, _answer(event.response))
        finally:
            follower.close()

    async def _enter(self, rpc: _Rpc) -> CallContext:
        call = await self._gate.enter(header_map(rpc.invocation_metadata() or ()), {})
        if call.extensions:
            await rpc.send_initial_metadata(((EXTENSIONS_HEADER, ", ".join(call.extensions)),))
        return call


async def _write(rpc: _Rpc, event: bytes) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await rpc.write(event)
    except TimeoutError as exc:
        raise ResourceExhausted("Nobody takes the events of this stream.") from exc


def _params(name: str, body: bytes) -> Json:
    try:
        return plain(REQUESTS[name], body)
    except ValueError as exc:
        raise ParseError("The message is not the one that this method takes.") from exc


def _answer(answer: WireModel) -> bytes:
    try:
        return encode(answer)
    except ValueError as exc:
        raise InternalError("The answer has JSON that gRPC cannot carry; ask over another binding.") from exc


def _told(name: str, exc: Exception) -> ProtocolError:
    if isinstance(exc, ProtocolError) and type(exc) in WIRE:
        return exc
    error_id = new_id()
    log.error("grpc.failed", method=name, error_id=error_id, exc_info=exc)
    return InternalError(f"The agent failed; its log has error {error_id}.")


async def _abort(rpc: _Rpc, error: ProtocolError) -> Never:
    status = status_of(error)
    trailing: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    if isinstance(error, Unauthenticated | PermissionDenied) and error.challenge:
        trailing.append(("www-authenticate", error.challenge))
    await rpc.abort(code_of(error), status.message, tuple(trailing))
