"""How an agent is asked and followed: one call for what is quick, a stream, polls, notifications."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import httpx
import pytest

from tests.support.coordinator import Coordinator, settings_for
from tests.support.raw_agent import RESULT
from tests.support.raw_agent import task as remote_task
from tests.support.reachable import reachable_coordinator
from tests.support.task_api import Json, act, begin, codes, ended, run, step
from tests.support.waiting import eventually_now
from tests.support.wire_agent import Answer, Call, Result, Stream, WireAgent
from tests.support.workshop import Workshop

FIRST_POLL_S, GROWTH = 0.2, 1.5
SENDS = ("SendMessage", "SendStreamingMessage")
DONE = remote_task("COMPLETED", **RESULT)
WORKING = remote_task("WORKING")


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with reachable_coordinator(settings_for(shared_database_url)) as running:
        yield running


@pytest.fixture(scope="module")
def workshop(coordinator: Coordinator) -> Workshop:
    made = Workshop()
    coordinator.add_agent(made.agent)
    return made


def wire_agent(
    coordinator: Coordinator,
    skill_id: str,
    answer: Callable[[Call], Answer],
    *,
    streaming: bool = False,
    pushes: bool = False,
) -> WireAgent:
    made: list[WireAgent] = []

    def make(url: str) -> WireAgent:
        made.append(WireAgent(url, skill_id, answer, streaming=streaming, pushes=pushes))
        return made[0]

    coordinator.add_app(lambda url: make(url).app())
    return made[0]


def at_once(call: Call) -> Answer:
    return Result({"task": DONE}) if call.method == "SendMessage" else Stream([{"task": DONE}])


class Worker:
    """It works until it is told that it is done."""

    def __init__(self) -> None:
        self.is_done = False

    def __call__(self, call: Call) -> Answer:
        now = DONE if self.is_done else WORKING
        return Result({"task": now} if call.method in SENDS else now)


def configuration(call: Call) -> Json:
    given: Json = call.params["configuration"]
    return given


def made_quick(coordinator: Coordinator, workshop: Workshop) -> None:
    """Three quick answers of the skill `hold`, so that the next is expected to be quick, too."""
    task = begin(coordinator, step(1, "hold"), step(2, "hold"), step(3, "hold"))
    workshop.release(task)
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_a_skill_that_was_quick_three_times_is_asked_in_one_call(coordinator: Coordinator) -> None:
    agent = wire_agent(coordinator, "quick", at_once, streaming=True)
    for _ in range(4):
        assert run(coordinator, step(1, "quick"))["status"] == "completed"
    assert [call.method for call in agent.calls] == ["SendStreamingMessage"] * 3 + ["SendMessage"]
    assert configuration(agent.calls[-1]).get("returnImmediately", False) is False
    assert "taskPushNotificationConfig" not in configuration(agent.calls[-1])


def test_what_was_expected_to_be_quick_and_is_not_is_canceled_at_its_timeout(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    made_quick(coordinator, workshop)
    task = run(coordinator, step(1, "hold", timeout_s=0.5, retry={"max_attempts": 1}))
    assert codes(task) == ["STEP_TIMEOUT"]
    assert (workshop.peak(task), task["steps"][0]["remote_task_id"]) == (1, None)
    workshop.holds(task, 0)


def test_what_was_expected_to_be_quick_and_is_not_can_be_canceled(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    made_quick(coordinator, workshop)
    task = begin(coordinator, step(1, "hold"))
    workshop.holds(task, 1)
    act(coordinator, task["id"], "cancel")
    done = ended(coordinator, task["id"])
    assert (done["status"], done["steps"][0]["remote_cancel"]) == ("canceled", "canceled")
    workshop.holds(task, 0)


def test_an_agent_that_does_not_stream_is_polled_with_growing_pauses(coordinator: Coordinator) -> None:
    worker = Worker()
    agent = wire_agent(coordinator, "polled", worker)
    task = begin(coordinator, step(1, "polled"))
    eventually_now(lambda: len(agent.asked("GetTask")) == 4, within_s=10)
    worker.is_done = True
    assert ended(coordinator, task["id"])["result"]["text"] == "done"

    [sent] = [call for call in agent.calls if call.method in SENDS]
    assert (sent.method, configuration(sent)["returnImmediately"]) == ("SendMessage", True)
    assert "taskPushNotificationConfig" not in configuration(sent)
    pauses = [later.at - earlier.at for earlier, later in pairwise(agent.asked("GetTask"))]
    for count, pause in enumerate(pauses):
        assert pause >= FIRST_POLL_S * GROWTH**count * 0.95
    assert pauses[0] < 1, "a task that is done soon is seen soon"


def test_an_agent_that_notifies_is_looked_at_as_soon_as_it_does(coordinator: Coordinator) -> None:
    worker = Worker()
    agent = wire_agent(coordinator, "pushing", worker, pushes=True)
    task = begin(coordinator, step(1, "pushing"))
    eventually_now(lambda: len(agent.asked("GetTask")) == 5, within_s=10)
    receiver = configuration(agent.calls[0])["taskPushNotificationConfig"]
    assert receiver["url"] == f"{coordinator.url}/api/notifications"

    worker.is_done = True
    headers = {"X-A2A-Notification-Token": receiver["token"]}
    assert httpx.post(receiver["url"], json={}, headers=headers, trust_env=False).status_code == 204
    assert ended(coordinator, task["id"])["result"]["text"] == "done"
    looks = agent.asked("GetTask")
    assert len(looks) == 6
    assert looks[5].at - looks[4].at < FIRST_POLL_S * GROWTH**4, "before it would have polled"


def test_what_a_notification_says_is_not_believed(coordinator: Coordinator) -> None:
    worker = Worker()
    agent = wire_agent(coordinator, "boasting", worker, pushes=True)
    task = begin(coordinator, step(1, "boasting"))
    eventually_now(lambda: len(agent.asked("GetTask")) == 1, within_s=10)
    receiver = configuration(agent.calls[0])["taskPushNotificationConfig"]
    headers = {"X-A2A-Notification-Token": receiver["token"]}
    coordinator.http.post("/api/notifications", json={"task": DONE}, headers=headers)
    eventually_now(lambda: len(agent.asked("GetTask")) >= 3, within_s=10)
    assert coordinator.task(task["id"])["status"] == "executing"
    worker.is_done = True
    assert ended(coordinator, task["id"])["status"] == "completed"


def test_a_notification_that_is_lost_is_made_up_for_by_polling(coordinator: Coordinator) -> None:
    worker = Worker()
    agent = wire_agent(coordinator, "silent", worker, pushes=True)
    task = begin(coordinator, step(1, "silent"))
    eventually_now(lambda: len(agent.asked("GetTask")) == 2, within_s=10)
    worker.is_done = True
    assert ended(coordinator, task["id"])["result"]["text"] == "done"
    first, second, third = agent.asked("GetTask")
    assert second.at - first.at < 1
    assert third.at - second.at < 1


@pytest.mark.parametrize("token", [None, "", "guessed", "x" * 200])
def test_a_notification_that_nobody_expects_is_not_found(coordinator: Coordinator, token: str | None) -> None:
    headers = {} if token is None else {"X-A2A-Notification-Token": token}
    response = coordinator.http.post("/api/notifications", json={}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (404, "NOT_EXPECTED")


def test_a_notification_after_its_step_has_ended_is_taken_and_changes_nothing(
    coordinator: Coordinator,
) -> None:
    """The agent did as it was asked; an error would only fill its log."""
    agent = wire_agent(coordinator, "brief", at_once, pushes=True)
    task = run(coordinator, step(1, "brief"))
    token = configuration(agent.calls[0])["taskPushNotificationConfig"]["token"]
    headers = {"X-A2A-Notification-Token": token}
    assert coordinator.http.post("/api/notifications", json={}, headers=headers).status_code == 204
    assert coordinator.task(task["id"]) == task
