"""The client of the last official SDK of 0.3 does its whole work with our agent, where that speaks 0.3."""

from collections.abc import Iterator

import pytest

from tests.interop.outside import checked_by, our_agent, peer_command

CHECKS = (
    "card_names_the_skill",
    "blocking_send_completes",
    "failed_task_says_why",
    "question_is_answered_in_the_same_task",
    "stream_gives_task_then_chunks_then_the_end",
    "get_gives_the_task",
    "unknown_task_is_not_found",
    "message_to_an_ended_task_is_refused",
    "cancel_ends_a_running_task",
    "cancel_of_an_ended_task_is_refused",
    "resubscriber_sees_the_task_and_its_end",
    "push_config_is_set_and_got",
)


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, str]]:
    with our_agent(serves_v03=True) as url:
        checks = checked_by(peer_command("sdk03", "sdk03_client.py", url))
        assert tuple(checks) == CHECKS
        yield checks


@pytest.mark.parametrize("check", CHECKS)
def test_the_old_sdks_client_finds(report: dict[str, str], check: str) -> None:
    assert report[check] == "ok"
