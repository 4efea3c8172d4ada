"""What /docs offers to try out."""

import pytest

from a2a import Agent, Request
from a2a.server.docs import rpc_operation
from a2a.types import Json


@pytest.fixture
def examples() -> dict[str, Json]:
    agent = Agent(name="Two", description="Two skills.", version="1.0.0", url="http://127.0.0.1:9")
    for name in ("one", "two"):

        @agent.skill(id=name, description=f"Skill {name}", tags=[name], examples=[f"do {name}"])
        async def skill(request: Request) -> str:
            return request.text

    body = rpc_operation(agent.card())["requestBody"]["content"]["application/json"]
    found: dict[str, Json] = body["examples"]
    return found


def test_no_two_examples_share_a_message_id(examples: dict[str, Json]) -> None:
    """One tried after the other would otherwise get the first one's answer."""
    ids = [e["value"]["params"]["message"]["messageId"] for e in examples.values() if "Send" in str(e)]
    assert sorted(ids) == ["send-one-1", "send-two-1", "stream-one-1", "stream-two-1"]


def test_an_example_says_that_a_second_try_needs_another_message_id(examples: dict[str, Json]) -> None:
    for name in ("send_one", "stream_two"):
        assert "change messageId" in examples[name]["summary"]
