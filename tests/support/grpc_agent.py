"""A scripted agent behind a real gRPC server, and the plainest gRPC client there can be for it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from a2a.card_types import AgentInterface
from a2a.grpc.client import GrpcBinding
from a2a.grpc.generated import a2a_pb2
from a2a.grpc.service import SERVICE, serve_grpc
from a2a.guard import AddressPolicy
from a2a.server.context import CallContext
from a2a.server.gate import Gate
from a2a.server.handler import RequestHandler
from a2a.server.live import Follower
from a2a.server.operations import Operations
from a2a.stores.memory import MemoryTaskStore
from a2a.types import Json, WireModel
from tests.support.scripted_agent import ScriptedAgent

VERSION = (("a2a-version", "1.0"),)


class CannedOperations(Operations):
    """Each operation gives or raises what was laid down for it; `seen` are the parameters it got."""

    def __init__(self, handler: RequestHandler, canned: Mapping[str, WireModel | Exception]) -> None:
        super().__init__(handler)
        self.canned = dict(canned)
        self.seen: dict[str, Json] = {}

    async def call(self, name: str, params: Json, call: CallContext) -> WireModel:
        if name not in self.canned:
            return await super().call(name, params, call)
        self.seen[name] = params
        answer = self.canned[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def stream(self, name: str, params: Json, call: CallContext) -> Follower:
        answer = self.canned.get(name)
        if isinstance(answer, Exception):
            raise answer
        return await super().stream(name, params, call)


@dataclass(frozen=True, slots=True)
class ServedGrpc:
    script: ScriptedAgent
    handler: RequestHandler
    operations: CannedOperations
    port: int

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def is_followed(self) -> bool:
        """Whether any stream is open."""
        return self.handler._streams > 0


@asynccontextmanager
async def serving_grpc(
    gate: Gate | None = None,
    *,
    canned: Mapping[str, WireModel | Exception] | None = None,
    port: int = 0,
    grace_s: float = 5.0,
    **options: Any,
) -> AsyncIterator[ServedGrpc]:
    script = ScriptedAgent()
    card = script.agent.card("http://127.0.0.1:9")
    handler = RequestHandler(script.agent.skills, MemoryTaskStore(), extended_card=card)
    operations = CannedOperations(handler, canned or {})
    await handler.open()
    try:
        async with serve_grpc(
            operations, gate or Gate(), host="127.0.0.1", port=port, grace_s=grace_s, **options
        ) as bound:
            yield ServedGrpc(script, handler, operations, bound)
    finally:
        await handler.close(grace_s=0)


HERE = AddressPolicy(allow_loopback=True, allow_private=False)


@asynccontextmanager
async def bound(url: str, policy: AddressPolicy = HERE, **options: Any) -> AsyncIterator[GrpcBinding]:
    binding = GrpcBinding(
        AgentInterface(url=url, protocol_binding="GRPC", protocol_version="1.0"), policy, **options
    )
    try:
        yield binding
    finally:
        await binding.close()


class RawGrpc:
    """Generated messages over a channel, as anybody would write it from the proto."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def call(
        self,
        name: str,
        request: ProtoMessage | bytes,
        metadata: tuple[tuple[str, str], ...] = VERSION,
        timeout_s: float = 10.0,
    ) -> Any:
        call: Any = self._channel.unary_unary(f"/{SERVICE}/{name}", _bytes, _answer_type(name).FromString)
        return await call(request, metadata=metadata, timeout=timeout_s)

    def stream(
        self,
        name: str,
        request: ProtoMessage,
        metadata: tuple[tuple[str, str], ...] = VERSION,
        timeout_s: float = 10.0,
    ) -> Any:
        call: Any = self._channel.unary_stream(f"/{SERVICE}/{name}", _bytes, _answer_type(name).FromString)
        return call(request, metadata=metadata, timeout=timeout_s)

    async def refusal(
        self, name: str, request: ProtoMessage | bytes, metadata: tuple[tuple[str, str], ...] = VERSION
    ) -> "Refusal":
        try:
            answer = await self.call(name, request, metadata)
        except grpc.aio.AioRpcError as error:
            return Refusal.of(error)
        raise AssertionError(f"no error but {answer}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error status, its details unpacked."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    violations: dict[str, str]
    trailing: dict[str, str | bytes]

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Refusal":
        trailing = dict(error.trailing_metadata() or ())
        packed = trailing.get("grpc-status-details-bin", b"")
        assert isinstance(packed, bytes)
        status, info, bad = Status.FromString(packed), ErrorInfo(), BadRequest()
        for detail in status.details:
            for known in (info, bad):
                detail.Unpack(known)
        if packed:
            assert (status.code, status.message) == (error.code().value[0], error.details())
        violations = {violation.field: violation.description for violation in bad.field_violations}
        return cls(error.code(), error.details() or "", info.reason, info.domain, violations, trailing)


def said(text: str, skill: str = "echo", **more: Any) -> Any:
    """A SendMessageRequest; `more` are fields of its message."""
    fields: dict[str, Any] = {"message_id": f"{skill} {text}", "role": a2a_pb2.ROLE_USER} | more
    message = a2a_pb2.Message(parts=[a2a_pb2.Part(text=text)], **fields)
    message.metadata["skillId"] = skill
    return a2a_pb2.SendMessageRequest(message=message)


def _bytes(request: ProtoMessage | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


def _answer_type(name: str) -> Any:
    method = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"].methods_by_name.get(name)
    return a2a_pb2.Task if method is None else GetMessageClass(method.output_type)
