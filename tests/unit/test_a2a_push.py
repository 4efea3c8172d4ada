"""The sender of push notifications, with receivers that are functions."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a.errors import AddressRefused, InvalidParams
from a2a.fold import TaskFold
from a2a.guard import AddressPolicy
from a2a.requests import AuthenticationInfo, TaskPushNotificationConfig
from a2a.server.live import Event, LiveTask, status_now
from a2a.server.push import MAX_DRAINED_BYTES, MAX_MERGED_BYTES, PushSender, check_push_config, merged
from a2a.skill import Reply
from a2a.stores.base import StoredTask
from a2a.types import (
    Artifact,
    Message,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)
from tests.support.logs import capture_logs
from tests.support.waiting import Gate, eventually

PUBLIC = AddressPolicy(allow_loopback=False, allow_private=False)
LOCAL = AddressPolicy(allow_loopback=True, allow_private=False)
URL = "https://hook.example/path-secret?key=query-secret"
# A status, one with headers, or no answer at all.
Answer = int | tuple[int, dict[str, str]] | Exception


class Said(httpx.AsyncByteStream):
    """A body, and how much of it was read."""

    def __init__(self, chunks: Iterable[bytes] = (b"said",)) -> None:
        self.read = 0
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.read += len(chunk)
            yield chunk


class Receivers:
    """Everything that is posted, by host. `answers` are given in turn, the last one for ever; a host with a
    gate answers once that is open."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[httpx.Request] = []
        self.gates: dict[str, Gate] = {}
        self.running = 0
        self.most_running = 0
        self._answers = list(answers) or [200]
        self.body = Said()
        self._asked = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers[min(self._asked, len(self._answers) - 1)]
        self._asked += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if gate := self.gates.get(request.url.host):
                await gate.wait()
        finally:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return httpx.Response(status, headers=headers, stream=self.body)

    def told(self, host: str = "hook.example") -> list[str]:
        return [describe(request) for request in self.requests if request.url.host == host]


class Told:
    """What is called at the end of a task."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


class Pauses:
    """No time passes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def describe(request: httpx.Request) -> str:
    body = json.loads(request.content)
    if "task" in body:
        return f"task {body['task']['status']['state'].removeprefix('TASK_STATE_')}"
    if "statusUpdate" in body:
        return str(body["statusUpdate"]["status"]["state"].removeprefix("TASK_STATE_"))
    if "message" in body:
        return f"message {body['message']['parts'][0]['text']}"
    update = body["artifactUpdate"]
    return str(update["artifact"]["parts"][0]["text"]) + ("+" if update["append"] else "")


def config_of(
    host: str = "hook.example", config_id: str = "c", url: str | None = None, **more: Any
) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(id=config_id, task_id="t", url=url or f"https://{host}/", **more)


def new_live() -> LiveTask:
    first = Message.from_user(Part.from_text("first"))
    task = Task(id="t", context_id="c", status=status_now(TaskState.SUBMITTED), history=[first])
    live = LiveTask(StoredTask(task, "somebody", 1))
    live.announce()
    return live


def add_text(live: LiveTask, text: str, *, append: bool = False) -> None:
    live.add_artifact(Artifact(artifact_id="a", parts=[Part.from_text(text)]), append=append)


def begin_turn(live: LiveTask) -> None:
    live.begin_turn(Message.from_user(Part.from_text("more")), b"key")


def new_sender(receivers: Receivers, **options: Any) -> PushSender:
    http = httpx.AsyncClient(transport=httpx.MockTransport(receivers), follow_redirects=True)
    return PushSender(http, **{"sleep": Pauses(), **options})


def in_progress(sender: PushSender, config: TaskPushNotificationConfig, on_end: Told) -> LiveTask:
    live = new_live()
    sender.follow("t", config, live.follow(), on_end)
    return live


async def all_told(sender: PushSender) -> None:
    await sender.close(grace_s=5)


async def test_events_are_posted_in_order() -> None:
    """4.3.3"""
    receivers = Receivers()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), Told())
    live.set_status(status_now(TaskState.WORKING))
    add_text(live, "one")
    live.set_status(live.spoken(TaskState.WORKING, "still at it"))
    add_text(live, "two", append=True)
    live.set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert receivers.told() == ["task SUBMITTED", "WORKING", "one", "WORKING", "two+", "COMPLETED"]


async def test_a_notification_says_what_it_is_and_who_sent_for_it() -> None:
    """4.3.3"""
    receivers = Receivers()
    sender = new_sender(receivers)
    authentication = AuthenticationInfo(scheme="Bearer", credentials="secret")
    config = config_of(url=URL, token="of the client", authentication=authentication)  # noqa: S106 no password
    in_progress(sender, config, Told()).set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    request = receivers.requests[0]
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["content-type"] == "application/a2a+json"
    assert request.headers["a2a-version"] == "1.0"
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["x-a2a-notification-token"] == "of the client"


async def test_a_receiver_that_asked_for_no_credentials_gets_none() -> None:
    receivers = Receivers()
    sender = new_sender(receivers)
    in_progress(sender, config_of(), Told()).set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert not {"authorization", "x-a2a-notification-token"} & set(receivers.requests[0].headers)


async def test_a_scheme_without_credentials_is_sent_alone() -> None:
    receivers = Receivers()
    sender = new_sender(receivers)
    config = config_of(authentication=AuthenticationInfo(scheme="Negotiate"))
    in_progress(sender, config, Told()).set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert receivers.requests[0].headers["authorization"] == "Negotiate"


async def test_a_reply_in_place_of_a_task_is_posted() -> None:
    receivers, told = Receivers(), Told()
    sender = new_sender(receivers)
    task = Task(id="t", context_id="c", status=status_now(TaskState.SUBMITTED))
    live = LiveTask(StoredTask(task, "somebody", 1))
    sender.follow("t", config_of(), live.follow(), told)
    live.answer(Reply(Part.from_text("Hello.")))
    await all_told(sender)

    assert (receivers.told(), told.times) == (["message Hello."], 0)


@pytest.mark.parametrize(
    "failure",
    [408, 425, 429, 500, 503, httpx.ConnectError(""), httpx.ReadTimeout(""), httpx.RemoteProtocolError("")],
)
async def test_what_may_pass_is_tried_again(failure: Answer) -> None:
    receivers, pauses = Receivers(failure, failure, 204), Pauses()
    sender = new_sender(receivers, sleep=pauses, uniform=lambda _low, high: high)
    in_progress(sender, config_of(), Told()).set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert receivers.told() == ["task SUBMITTED"] * 3 + ["COMPLETED"]
    assert pauses.seconds == [0.5, 1.0]


@pytest.mark.parametrize(
    "failure",
    [400, 401, 404, 410, AddressRefused("hook.example", "no"), httpx.LocalProtocolError("")],
)
async def test_what_will_not_pass_is_given_up_at_once(failure: Answer) -> None:
    receivers, pauses = Receivers(failure, 200), Pauses()
    sender = new_sender(receivers, sleep=pauses)
    in_progress(sender, config_of(), Told()).set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert receivers.told() == ["task SUBMITTED", "COMPLETED"]
    assert pauses.seconds == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure(status: int) -> None:
    receivers = Receivers((status, {"Location": "http://127.0.0.1/"}), 200)
    sender = new_sender(receivers)
    in_progress(sender, config_of(), Told()).set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert [request.url.host for request in receivers.requests] == ["hook.example"] * 2


async def test_pauses_double_up_to_the_longest() -> None:
    receivers, pauses = Receivers(500), Pauses()
    sender = new_sender(receivers, sleep=pauses, attempts=6, max_pause_s=3.0, uniform=lambda _low, high: high)
    sender.notify_end("t", config_of(), new_live().snapshot(), Told())
    await all_told(sender)

    assert pauses.seconds == [0.5, 1.0, 2.0, 3.0, 3.0]


async def test_pauses_are_not_all_alike() -> None:
    receivers, pauses = Receivers(500), Pauses()
    sender = new_sender(receivers, sleep=pauses, attempts=3, uniform=lambda low, _high: low)
    sender.notify_end("t", config_of(), new_live().snapshot(), Told())
    await all_told(sender)

    assert pauses.seconds == [0.25, 0.5]


@pytest.mark.parametrize(
    ("wished", "pause_s"),
    [("7", 7.0), ("86400", 30.0), ("0", 0.5), ("-1", 0.5), ("inf", 0.5), ("9" * 5_000, 0.5), ("soon", 0.5)],
)
async def test_a_receiver_says_when_to_come_again_within_bounds(wished: str, pause_s: float) -> None:
    receivers, pauses = Receivers((503, {"Retry-After": wished}), 200), Pauses()
    sender = new_sender(receivers, sleep=pauses, uniform=lambda _low, high: high)
    sender.notify_end("t", config_of(), new_live().snapshot(), Told())
    await all_told(sender)

    assert pauses.seconds == [pause_s]


async def test_a_dropped_event_does_not_hold_up_the_next() -> None:
    receivers = Receivers(500, 500, 200)
    sender = new_sender(receivers, attempts=2)
    live = in_progress(sender, config_of(), Told())
    live.set_status(status_now(TaskState.WORKING))
    live.set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert receivers.told() == ["task SUBMITTED", "task SUBMITTED", "WORKING", "COMPLETED"]


@pytest.mark.parametrize("end", [TaskState.COMPLETED, TaskState.INPUT_REQUIRED])
async def test_a_receiver_that_is_given_up_on_is_still_told_the_end_of_the_turn(end: TaskState) -> None:
    receivers = Receivers(404)
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), Told())
    for _ in range(5):
        live.set_status(status_now(TaskState.WORKING))
    live.set_status(status_now(end))
    await all_told(sender)

    assert receivers.told() == ["task SUBMITTED", "WORKING", "WORKING", end.name]


async def test_a_delivery_makes_up_for_the_failures_before() -> None:
    receivers = Receivers(404, 404, 200, 404, 404, 200)
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), Told())
    for _ in range(5):
        live.set_status(status_now(TaskState.WORKING))
    live.set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert receivers.told() == ["task SUBMITTED", *["WORKING"] * 5, "COMPLETED"]


@pytest.mark.parametrize("end", [state for state in TaskState if state.is_terminal])
async def test_the_end_of_a_task_is_noted_once_it_was_told(end: TaskState) -> None:
    receivers, told = Receivers(), Told()
    receivers.gates["hook.example"] = gate = Gate()
    sender = new_sender(receivers)
    in_progress(sender, config_of(), told).set_status(status_now(end))
    await eventually(lambda: receivers.running)
    before = told.times
    gate.open()
    await all_told(sender)

    assert (before, told.times) == (0, 1)


async def test_the_end_of_a_task_is_noted_where_it_cannot_be_told() -> None:
    told = Told()
    sender = new_sender(Receivers(500))
    in_progress(sender, config_of(), told).set_status(status_now(TaskState.FAILED))
    await all_told(sender)

    assert told.times == 1


@pytest.mark.parametrize("end", [TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED])
async def test_a_task_that_waits_for_its_caller_has_not_ended(end: TaskState) -> None:
    receivers, told = Receivers(), Told()
    sender = new_sender(receivers)
    in_progress(sender, config_of(), told).set_status(status_now(end))
    await all_told(sender)

    assert (receivers.told()[-1], told.times) == (end.name, 0)


async def test_a_task_that_had_ended_before_it_was_followed_is_told_as_such() -> None:
    receivers, told = Receivers(404, 200), Told()
    sender = new_sender(receivers)
    live = new_live()
    live.set_status(status_now(TaskState.COMPLETED))
    sender.follow("t", config_of(), live.follow(), told)
    await all_told(sender)

    assert (receivers.told(), told.times) == (["task COMPLETED"], 1)


async def test_a_task_that_ended_while_nobody_could_tell_is_told_in_one_notification() -> None:
    receivers, told = Receivers(500, 200), Told()
    sender = new_sender(receivers)
    live = new_live()
    live.set_status(status_now(TaskState.CANCELED))
    sender.notify_end("t", config_of(), live.snapshot(), told)
    assert not sender.is_following("t", "c")
    await all_told(sender)

    assert (receivers.told(), told.times) == (["task CANCELED"] * 2, 1)


async def test_what_cannot_be_noted_harms_nobody_else() -> None:
    async def broken() -> None:
        raise OSError("the store is away")

    receivers, told = Receivers(), Told()
    sender = new_sender(receivers)
    with capture_logs() as logs:
        sender.notify_end("t", config_of(), new_live().snapshot(TaskStatus(state=TaskState.FAILED)), broken)
        sender.notify_end("u", config_of(), new_live().snapshot(TaskStatus(state=TaskState.FAILED)), told)
        await all_told(sender)

    assert told.times == 1
    assert [entry["event"] for entry in logs] == ["push.crashed"]


async def test_what_nobody_foresaw_leaves_nothing_behind() -> None:
    told = Told()
    sender = new_sender(Receivers(RuntimeError("unforeseen")))
    with capture_logs() as logs:
        live = in_progress(sender, config_of(), told)
        await eventually(lambda: not sender.is_following("t", "c"))

    assert (live.followers, told.times) == (0, 0)
    assert [entry["event"] for entry in logs] == ["push.crashed"]


async def test_a_configuration_that_cannot_be_sent_to_is_given_up() -> None:
    """One that was kept before the rules were as they are."""
    receivers, told = Receivers(), Told()
    sender = new_sender(receivers)
    ended = new_live().snapshot(TaskStatus(state=TaskState.FAILED))
    sender.notify_end("t", config_of(token="€"), ended, told)  # noqa: S106 no password
    await all_told(sender)

    assert (receivers.requests, told.times) == ([], 1)


async def test_of_an_answer_no_more_is_read_than_is_needed_to_use_the_connection_again() -> None:
    receivers, told = Receivers(), Told()
    receivers.body = Said(b"x" * 1_000 for _ in range(1_000_000))
    sender = new_sender(receivers)
    ended = new_live().snapshot(TaskStatus(state=TaskState.FAILED))
    sender.notify_end("t", config_of(), ended, told)
    await all_told(sender)

    assert told.times == 1
    assert receivers.body.read <= MAX_DRAINED_BYTES + 1_000


async def test_a_turn_whose_end_was_read_leaves_the_way_to_the_next() -> None:
    receivers = Receivers()
    receivers.gates["hook.example"] = gate = Gate()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), Told())
    assert sender.is_following("t", "c")
    live.set_status(status_now(TaskState.INPUT_REQUIRED))
    await eventually(lambda: not sender.is_following("t", "c"))

    assert receivers.told() == ["task SUBMITTED"], "nothing was delivered so far"
    assert live.followers == 0, "the task need not stay for a slow receiver"
    gate.open()
    await all_told(sender)


async def test_two_turns_are_told_one_after_the_other() -> None:
    receivers, told = Receivers(), Told()
    receivers.gates["hook.example"] = gate = Gate()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), told)
    live.set_status(status_now(TaskState.INPUT_REQUIRED))
    await eventually(lambda: not sender.is_following("t", "c"))
    begin_turn(live)
    sender.follow("t", config_of(), live.follow(), told)
    assert sender.is_following("t", "c")
    live.set_status(status_now(TaskState.COMPLETED))
    gate.open()
    await all_told(sender)

    assert receivers.told() == ["task SUBMITTED", "INPUT_REQUIRED", "task SUBMITTED", "COMPLETED"]
    assert told.times == 1


async def test_a_receiver_that_was_given_up_on_gets_a_new_chance_with_the_next_turn() -> None:
    receivers = Receivers(404, 404, 404, 404, 200)
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), Told())
    for _ in range(4):
        live.set_status(status_now(TaskState.WORKING))
    live.set_status(status_now(TaskState.INPUT_REQUIRED))
    await eventually(lambda: not sender.is_following("t", "c"))
    begin_turn(live)
    sender.follow("t", config_of(), live.follow(), Told())
    live.set_status(status_now(TaskState.WORKING))
    live.set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert receivers.told()[-3:] == ["task SUBMITTED", "WORKING", "COMPLETED"]


async def test_chunks_that_wait_go_out_as_one() -> None:
    receivers = Receivers()
    receivers.gates["hook.example"] = gate = Gate()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), Told())
    await eventually(lambda: receivers.running)
    for number in range(1_000):
        add_text(live, f"{number} ", append=number > 0)
    live.set_status(status_now(TaskState.COMPLETED))
    await eventually(lambda: not sender.is_following("t", "c"))
    gate.open()
    await all_told(sender)

    whole = "".join(f"{number} " for number in range(1_000))
    assert receivers.told() == ["task SUBMITTED", whole, "COMPLETED"]


async def test_a_slow_receiver_does_not_delay_another() -> None:
    receivers, told = Receivers(), Told()
    receivers.gates["slow.example"] = gate = Gate()
    sender = new_sender(receivers)
    live = new_live()
    sender.follow("t", config_of("slow.example", "slow"), live.follow(), Told())
    sender.follow("t", config_of("quick.example", "quick"), live.follow(), told)
    live.set_status(status_now(TaskState.COMPLETED))
    await eventually(lambda: told.times)

    assert receivers.told("quick.example") == ["task SUBMITTED", "COMPLETED"]
    assert receivers.told("slow.example") == ["task SUBMITTED"]
    gate.open()
    await all_told(sender)


async def test_so_many_deliveries_run_at_once_and_no_more() -> None:
    receivers = Receivers()
    receivers.gates["hook.example"] = gate = Gate()
    sender = new_sender(receivers, max_deliveries=3)
    for number in range(10):
        sender.notify_end(f"t{number}", config_of(), new_live().snapshot(), Told())
    await eventually(lambda: receivers.running == 3)
    gate.open()
    await all_told(sender)

    assert (receivers.most_running, len(receivers.requests)) == (3, 10)


async def test_a_pause_takes_no_place_from_other_deliveries() -> None:
    gate, told = Gate(), Told()

    async def until_open(_seconds: float) -> None:
        await gate.wait()

    sender = new_sender(Receivers(500, 200), max_deliveries=1, sleep=until_open)
    ended = new_live().snapshot(TaskStatus(state=TaskState.FAILED))
    sender.notify_end("waits", config_of(), ended, Told())
    sender.notify_end("t", config_of(), ended, told)
    await eventually(lambda: told.times)

    gate.open()
    await all_told(sender)


async def test_a_deleted_receiver_is_told_no_more() -> None:
    receivers, told = Receivers(), Told()
    receivers.gates["hook.example"] = gate = Gate()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), told)
    await eventually(lambda: receivers.running)
    sender.stop("t", "c")
    assert not sender.is_following("t", "c")
    await eventually(lambda: not receivers.running)
    gate.open()
    live.set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert (receivers.told(), told.times, live.followers) == (["task SUBMITTED"], 0, 0)


async def test_a_receiver_deleted_before_anything_was_told_leaves_nothing_behind() -> None:
    receivers = Receivers()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), Told())
    sender.stop("t", "c")
    await all_told(sender)

    assert (receivers.requests, live.followers) == ([], 0)


async def test_a_replaced_receiver_is_followed_by_the_new_one_alone() -> None:
    receivers, told = Receivers(), Told()
    receivers.gates["old.example"] = gate = Gate()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of("old.example"), Told())
    await eventually(lambda: receivers.running)
    sender.stop("t", "c")
    sender.follow("t", config_of("new.example"), live.follow(), told)
    live.set_status(status_now(TaskState.COMPLETED))
    await eventually(lambda: told.times)
    gate.open()
    await all_told(sender)

    assert receivers.told("old.example") == ["task SUBMITTED"]
    assert receivers.told("new.example") == ["task SUBMITTED", "COMPLETED"]


async def test_deleting_an_unknown_receiver_changes_nothing() -> None:
    receivers, told = Receivers(), Told()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), told)
    sender.stop("t", "another")
    live.set_status(status_now(TaskState.COMPLETED))
    await all_told(sender)

    assert told.times == 1


async def test_closing_cancels_what_takes_longer_than_the_grace_and_notes_nothing() -> None:
    receivers, told = Receivers(), Told()
    receivers.gates["hook.example"] = Gate()
    sender = new_sender(receivers)
    live = in_progress(sender, config_of(), told)
    live.set_status(status_now(TaskState.COMPLETED))
    await eventually(lambda: receivers.running)
    await sender.close(grace_s=0)

    assert (receivers.running, told.times, live.followers) == (0, 0, 0)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("push")]


async def test_closing_cancels_a_task_that_goes_on() -> None:
    sender = new_sender(Receivers())
    live = in_progress(sender, config_of(), Told())
    await sender.close(grace_s=0)

    assert live.followers == 0


async def test_closing_with_nothing_to_tell_is_at_once() -> None:
    await new_sender(Receivers()).close(grace_s=60)


async def test_the_log_knows_the_host_and_no_secrets() -> None:
    authentication = AuthenticationInfo(scheme="Bearer", credentials="credential-secret")
    config = config_of(url=URL, token="token-secret", authentication=authentication)  # noqa: S106 no password
    sender = new_sender(Receivers(500), attempts=2)
    with capture_logs() as logs:
        live = in_progress(sender, config, Told())
        for _ in range(3):
            live.set_status(live.spoken(TaskState.WORKING, "body-secret"))
        live.set_status(status_now(TaskState.COMPLETED))
        await all_told(sender)

    assert {entry["event"] for entry in logs} == {"push.failed", "push.dropped", "push.given_up"}
    dropped = next(entry for entry in logs if entry["event"] == "push.dropped")
    fields = {"task_id": "t", "config_id": "c", "host": "hook.example", "outcome": 500, "attempt": 2}
    assert dropped == {"event": "push.dropped", "log_level": "warning", **fields}
    assert "secret" not in str(logs)


# What is merged.


def event_of(**response: Any) -> Event:
    return Event(partial(StreamResponse, **response))


def encoded(event: Event) -> str:
    return event.response.model_dump_json()


PART = st.one_of(
    st.builds(Part.from_text, st.text(max_size=3), st.sampled_from([None, "text/plain", "text/markdown"])),
    st.builds(Part.from_text, st.text(max_size=3), filename=st.just("file.txt")),
    st.builds(Part.from_bytes, st.binary(max_size=3), st.just("image/png")),
    st.builds(Part.from_data, st.integers()),
)
ARTIFACT = st.builds(
    Artifact,
    artifact_id=st.sampled_from(["a", "a", "a", "b"]),
    parts=st.lists(PART, min_size=1, max_size=3),
    name=st.sampled_from(["one", "one", "one", "another"]),
)
CHUNK = st.builds(
    lambda artifact, append, last_chunk: TaskArtifactUpdateEvent(
        task_id="t", context_id="c", artifact=artifact, append=append, last_chunk=last_chunk
    ),
    ARTIFACT,
    st.sampled_from([True, True, True, False, None]),
    st.sampled_from([None, None, None, True]),
)
EVENTS = st.lists(CHUNK.map(lambda update: event_of(artifact_update=update)), max_size=20)


def folded(events: list[Event], before: list[Event]) -> dict[str, Any]:
    fold = TaskFold(Task(id="t", status=TaskStatus(state=TaskState.WORKING)))
    for event in [*before, *events]:
        assert event.response.artifact_update is not None
        fold.apply_artifact(event.response.artifact_update)
    return fold.task.to_json()


@given(before=EVENTS, events=EVENTS)
def test_merged_events_fold_to_the_same_task(before: list[Event], events: list[Event]) -> None:
    """Whatever the receiver had before."""
    expected = folded(events, before)

    assert folded(list(merged(events)), before) == expected


@given(events=EVENTS)
def test_merging_changes_no_event(events: list[Event]) -> None:
    before = [encoded(event) for event in events]
    list(merged(events))

    assert [encoded(event) for event in events] == before


def chunk(text: str, *, append: bool = True, **more: Any) -> Event:
    artifact = Artifact(artifact_id=more.pop("of", "a"), parts=[Part.from_text(text)])
    update = TaskArtifactUpdateEvent(task_id="t", context_id="c", artifact=artifact, append=append, **more)
    return event_of(artifact_update=update)


def texts(events: list[Event]) -> list[str]:
    """Of the merged events."""
    updates = [event.response.artifact_update for event in merged(events)]
    return ["".join(part.text or "" for part in update.artifact.parts) for update in updates if update]


def test_chunks_of_two_artifacts_keep_their_order() -> None:
    assert texts([chunk("1"), chunk("2"), chunk("3", of="b"), chunk("4")]) == ["12", "3", "4"]


def test_a_replacement_begins_anew() -> None:
    assert texts([chunk("1"), chunk("2", append=False), chunk("3")]) == ["1", "23"]


def test_a_status_comes_where_it_came() -> None:
    live = new_live()
    status = event_of(task=live.snapshot())

    assert [event is status for event in merged([chunk("1"), status, chunk("2")])] == [False, True, False]


def test_nothing_is_added_to_a_last_chunk() -> None:
    assert texts([chunk("1", last_chunk=True), chunk("2")]) == ["1", "2"]


def test_the_last_chunk_stays_the_last() -> None:
    (event,) = merged([chunk("1"), chunk("2", last_chunk=True)])

    assert json.loads(event.json)["artifactUpdate"]["lastChunk"] is True


def test_a_chunk_with_metadata_of_its_own_stays_by_itself() -> None:
    assert texts([chunk("1"), chunk("2", metadata={"about": "this one"})]) == ["1", "2"]


def test_merged_events_stay_within_what_can_be_taken_at_once() -> None:
    large = "x" * (MAX_MERGED_BYTES // 5)
    sizes = [len(event.json) for event in merged([chunk(large) for _ in range(20)])]

    assert len(sizes) == 5
    assert max(sizes) <= MAX_MERGED_BYTES


# What is accepted.


@pytest.mark.parametrize(
    "url",
    [
        "https://hook.example/path?query=1",
        "HTTP://hook.example:8080",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://münchen.example/",
        "https://not-localhost.example/",
    ],
)
def test_a_url_out_there_is_accepted(url: str) -> None:
    check_push_config(config_of(url=url), PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hook.example/",
        "file:///etc/passwd",
        "//hook.example/",
        "/path",
        "hook.example",
        "http://",
        "http:///path",
        "http://user:password@hook.example/",
        "http://user@hook.example/",
        "http://hook.example:0/",
        "http://hook.example:65536/",
        "http://hook.example:port/",
        "http://[::1/",
        "http://hook.example/\n",
    ],
)
def test_a_url_that_cannot_be_posted_to_is_refused(url: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        check_push_config(config_of(url=url), LOCAL)
    assert [violation.field for violation in refused.value.violations] == ["url"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127。0。0。1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1%25eth0]",
        "localhost",
        "LOCALHOST.",
        "any.localhost",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "[fd00::1]",
    ],
)
def test_an_address_in_here_is_refused_at_once(host: str) -> None:
    """13.2"""
    with pytest.raises(InvalidParams) as refused:
        check_push_config(config_of(host), PUBLIC)
    (violation,) = refused.value.violations
    assert (violation.field, host in violation.description) == ("url", False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1"])
def test_loopback_is_accepted_where_it_is_allowed(host: str) -> None:
    check_push_config(config_of(host), LOCAL)


UNSAFE = ["a\r\nX-Evil: 1", "a\x00", "a\tb", "a\x7f", " a", "a ", "\x85", "münchen", "€", "\ud800"]


@pytest.mark.parametrize("value", UNSAFE)
def test_a_token_that_is_no_header_is_refused(value: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        check_push_config(config_of().model_copy(update={"token": value}), PUBLIC)
    assert [violation.field for violation in refused.value.violations] == ["token"]


@pytest.mark.parametrize("value", UNSAFE)
def test_credentials_that_are_no_header_are_refused(value: str) -> None:
    authentication = AuthenticationInfo.model_construct(scheme="Bearer", credentials=value)
    with pytest.raises(InvalidParams) as refused:
        check_push_config(config_of().model_copy(update={"authentication": authentication}), PUBLIC)
    assert [violation.field for violation in refused.value.violations] == ["authentication.credentials"]


@pytest.mark.parametrize("scheme", ["Bearer token", "Bearer\r\n", "Bearer:", "Bäärer"])
def test_a_scheme_that_is_no_scheme_is_refused(scheme: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        check_push_config(config_of(authentication=AuthenticationInfo(scheme=scheme)), PUBLIC)
    assert [violation.field for violation in refused.value.violations] == ["authentication.scheme"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    authentication = AuthenticationInfo(scheme="a b", credentials="\n")
    config = config_of(url="ftp://x", token="\n", authentication=authentication)  # noqa: S106 no password
    with pytest.raises(InvalidParams) as refused:
        check_push_config(config, PUBLIC)

    fields = {violation.field for violation in refused.value.violations}
    assert fields == {"url", "token", "authentication.scheme", "authentication.credentials"}


@given(
    url=st.one_of(st.text(min_size=1, max_size=50), st.text(max_size=30).map("http://{}".format)),
    token=st.text(max_size=20),
)
def test_what_is_accepted_can_be_sent(url: str, token: str) -> None:
    try:
        check_push_config(config_of(url=url, token=token), LOCAL)
    except InvalidParams:
        return
    request = httpx.Request("POST", url, headers={"X-A2A-Notification-Token": token})
    assert request.headers["x-a2a-notification-token"] == token
