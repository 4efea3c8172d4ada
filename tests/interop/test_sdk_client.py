"""The official SDK's client does its whole work with our agent, on every binding that the card offers."""

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest
from pydantic import HttpUrl

from a2a.settings import AgentSettings
from tests.interop.agent import agent
from tests.interop.outside import peer_command, peer_environment
from tests.support.server import serving

BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
CHECKS = (
    "card_names_the_skill",
    "blocking_send_completes",
    "failed_task_says_why",
    "return_immediately_gives_an_unfinished_task",
    "question_is_answered_in_the_same_task",
    "stream_gives_task_then_chunks_then_the_end",
    "get_gives_the_task",
    "get_without_history_gives_none",
    "unknown_task_is_not_found",
    "message_to_an_ended_task_is_refused",
    "list_filters_by_context",
    "list_pages_through_all",
    "cancel_ends_a_running_task",
    "cancel_of_an_ended_task_is_refused",
    "subscriber_sees_the_task_and_its_end",
    "subscription_to_an_ended_task_is_refused",
    "push_config_is_created_read_listed_and_deleted",
    "push_reaches_the_webhook",
)


@pytest.fixture(scope="module")
def our_agent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = agent.app(AgentSettings(agent_url=HttpUrl(url)))
        with serving(app, listening=listening) as served:
            yield served.url


@pytest.fixture(scope="module", params=BINDINGS)
def report(request: pytest.FixtureRequest, our_agent: str) -> dict[str, str]:
    """What the SDK's client says of each check on one binding."""
    command = peer_command("sdk-all", "sdk_client.py", our_agent, request.param)
    ended = subprocess.run(command, env=peer_environment(), capture_output=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr.decode()
    checks: dict[str, str] = json.loads(ended.stdout)
    assert tuple(checks) == CHECKS
    return checks


@pytest.mark.parametrize("check", CHECKS)
def test_the_sdks_client_finds(report: dict[str, str], check: str) -> None:
    if report[check].startswith("skipped"):
        pytest.skip(report[check])
    assert report[check] == "ok"
