"""The coordinator as an A2A agent: its tasks, questions, cancellations and replies, over HTTP and within."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx
import pytest

from a2a import Agent, InputRequired, Message, Part, Request
from a2a.database import Database
from a2a.requests import CancelTaskRequest, SendMessageConfiguration, SendMessageRequest
from a2a.types import Task, TaskState
from coordinator.api.services import Services
from coordinator.clock import utc_now
from coordinator.executor.creation import Creation, NewTask, prepare
from coordinator.executor.events import Wakeups
from coordinator.executor.intake import Intake
from coordinator.face import Face
from coordinator.wiring import Executor
from tests.support.coordinator import Coordinator, running_coordinator, settings_for
from tests.support.local_client import LocalClient
from tests.support.scripted_agent import Rpc
from tests.support.waiting import Gate, eventually


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(database_url)) as running:
        yield running


@pytest.fixture
async def rpc(coordinator: Coordinator) -> AsyncIterator[Rpc]:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        yield Rpc(http, coordinator.url + "/")


def asking_agent(url: str) -> Agent:
    agent = Agent(name="Asking Agent", description="Asks back.", version="1.0.0", url=url)

    @agent.skill(id="weather", description="Weather forecast", tags=["weather"], examples=["weather"])
    async def weather(request: Request) -> str:
        if not request.history:
            raise InputRequired("Which city?")
        return f"weather in {request.text}"

    @agent.skill(id="harvest", description="Harvest figures", tags=["harvest"], examples=["harvest"])
    async def harvest(request: Request) -> str:
        if not request.history:
            raise InputRequired("Which year?")
        return f"harvest of {request.text}"

    return agent


def words(task: dict[str, Any]) -> str:
    return str(task["status"]["message"]["parts"][0]["text"])


def parley_tasks(coordinator: Coordinator) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = coordinator.http.get("/api/tasks").json()["tasks"]
    return tasks


async def test_two_questions_are_put_one_after_the_other_and_each_gets_its_answer(
    coordinator: Coordinator, rpc: Rpc
) -> None:
    coordinator.add_agent(asking_agent)
    task = await rpc.send("weather; harvest", "coordinate")
    answers = {"Which city?": "Oslo", "Which year?": "1999"}
    put = []
    for _ in answers:
        assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        put.append(words(task))
        task = await rpc.send(answers[put[-1]], "coordinate", taskId=task["id"])

    assert sorted(put) == sorted(answers)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    text = task["artifacts"][0]["parts"][0]["text"]
    assert "weather in Oslo" in text
    assert "harvest of 1999" in text


async def test_a_task_that_is_canceled_while_it_asks_is_canceled_behind_too(
    coordinator: Coordinator, rpc: Rpc
) -> None:
    coordinator.add_agent(asking_agent)
    asked = await rpc.send("weather", "coordinate")
    canceled = await rpc.result("CancelTask", {"id": asked["id"]})

    assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
    await eventually(lambda: [task["status"] for task in parley_tasks(coordinator)] == ["canceled"])


async def test_a_context_is_a_session_that_no_rest_session_is(coordinator: Coordinator, rpc: Rpc) -> None:
    """Else whoever knows the id of a session could write into it."""
    coordinator.add_agent(asking_agent)
    session_id = coordinator.http.post("/api/sessions", json={}).json()["id"]
    task = await rpc.send("fold my laundry", "coordinate", contextId=session_id)

    assert task["contextId"] == session_id
    assert [inner["session_id"] for inner in parley_tasks(coordinator)] == [f"a2a_{session_id}"]
    messages = coordinator.http.get(f"/api/sessions/{session_id}/messages").json()
    assert messages["messages"] == []


async def test_a_heartbeat_is_a_message_and_streamed_it_is_one_event(rpc: Rpc) -> None:
    beat = {"operation": "heartbeat", "agentId": "agent_1", "load": {"running": 0, "capacity": 1}}
    parts = [{"data": beat}]
    answer = (await rpc.result("SendMessage", rpc.message("", None, parts=parts, contextId="mine")))[
        "message"
    ]
    (event,) = await rpc.stream("", "coordinate", parts=parts)

    assert (answer["role"], answer["contextId"]) == ("ROLE_AGENT", "mine")
    assert answer["parts"] == event["message"]["parts"] == [{"data": {"known": False}}]


class HeldIntake(Intake):
    """Creates when it is let; remembers what is canceled."""

    def __init__(self) -> None:
        self.began, self.go = Gate(), Gate()
        self.canceled: list[str] = []

    async def create(self, request: NewTask, *, idempotency_key: str | None = None) -> Creation:
        self.began.open()
        await self.go.wait()
        creation = prepare(request, [], utc_now(), key=None, default_deadline_s=1)
        creation.made = "task_late"
        return creation

    async def cancel(self, task_id: str) -> None:
        self.canceled.append(task_id)


@pytest.mark.parametrize(("is_closing", "canceled"), [(False, ["task_late"]), (True, [])])
async def test_a_cancellation_while_the_task_is_being_made_reaches_it(
    database_url: str, is_closing: bool, canceled: list[str]
) -> None:
    """When the process stops, the task goes on after the restart."""
    database, intake = Database(database_url), HeldIntake()
    face = Face("http://127.0.0.1:9")
    unused = cast("Any", None)
    face.services = Services(
        database=database,
        registry=unused,
        prover=None,
        executor=Executor(intake, unused, unused, Wakeups(), Wakeups(), unused, unused),
        catalog=unused,
        settings=settings_for(database_url),
        now=utc_now,
    )
    face.is_closing = is_closing
    handler = LocalClient(face.agent.skills, max_running=1)
    request = SendMessageRequest(
        message=Message.from_user(Part.from_text("echo")),
        configuration=SendMessageConfiguration(return_immediately=True),
    )
    task = await handler.send_message(request)
    assert isinstance(task, Task)
    await intake.began.wait()
    canceling = asyncio.create_task(handler.cancel_task(CancelTaskRequest(id=task.id)))
    await asyncio.sleep(0)
    intake.go.open()
    ended = await canceling
    await handler.close(grace_s=5)
    await database.close()

    assert ended.status.state is TaskState.CANCELED
    assert intake.canceled == canceled
