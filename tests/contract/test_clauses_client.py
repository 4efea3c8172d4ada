"""Answers as ProtoJSON and the official SDK may write them, which no clause forbids and our client reads."""

import httpx
import pytest

from a2a.client import A2AClient
from a2a.requests import DeleteTaskPushNotificationConfigRequest, ListTaskPushNotificationConfigsRequest
from tests.support.scripted_peer import Json, Peer


async def test_an_empty_answer_may_be_null() -> None:
    """As a2a-sdk 1.3.0 answers Delete over JSON-RPC."""
    peer = Peer("JSONRPC", "1.0")
    answer = {"jsonrpc": "2.0", "id": 1, "result": None}
    peer.script["DeleteTaskPushNotificationConfig"] = httpx.Response(200, json=answer)
    request = DeleteTaskPushNotificationConfigRequest(task_id="t", id="p")

    await A2AClient(peer.http, peer.interface).delete_push_config(request, timeout_s=5)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_an_empty_list_may_be_left_out(binding: str) -> None:
    """As a2a-sdk 1.3.0 lists push configurations where there are none."""
    peer = Peer(binding, "1.0")
    empty: Json = {}
    peer.script["ListTaskPushNotificationConfigs"] = empty
    request = ListTaskPushNotificationConfigsRequest(task_id="t")

    listed = await A2AClient(peer.http, peer.interface).list_push_configs(request, timeout_s=5)

    assert listed.configs == []
