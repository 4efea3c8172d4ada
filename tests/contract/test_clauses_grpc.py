"""A clause that an agent's settings make true on gRPC as over HTTP."""

from typing import Any

import grpc
import pytest

from tests.support.bindings import GRPC, message, served

MAX_BYTES = 20_000


async def test_a_request_over_the_limit_is_refused_over_grpc_too() -> None:
    """13.4: AGENT_MAX_BODY_BYTES is that of each binding."""
    with served(agent_max_body_bytes=MAX_BYTES) as world:
        async with grpc.aio.insecure_channel(world.grpc_target) as channel:
            send: Any = channel.unary_unary("/lf.a2a.v1.A2AService/SendMessage")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await send(b"x" * (MAX_BYTES + 1), metadata=(("a2a-version", "1.0"),), timeout=10)
        async with world.caller(GRPC) as agent:
            assert "task" in await agent.call("SendMessage", message("x" * (MAX_BYTES // 2)))

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
