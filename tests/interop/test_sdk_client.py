"""The official SDK's client does its whole work with our agent, on every binding that the card offers."""

from collections.abc import Iterator

import pytest

from tests.interop.outside import checked_by, our_agent, peer_command

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
def agent_url() -> Iterator[str]:
    with our_agent() as url:
        yield url


@pytest.fixture(scope="module", params=BINDINGS)
def report(request: pytest.FixtureRequest, agent_url: str) -> dict[str, str]:
    """What the SDK's client says of each check on one binding."""
    checks = checked_by(peer_command("sdk-all", "sdk_client.py", agent_url, request.param))
    assert tuple(checks) == CHECKS
    return checks


@pytest.mark.parametrize("check", CHECKS)
def test_the_sdks_client_finds(report: dict[str, str], check: str) -> None:
    assert report[check] == "ok"
