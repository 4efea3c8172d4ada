"""Tasks with a plan of their own, as a test makes and watches them over the REST API."""

import json
from typing import Any

import httpx

from tests.support.coordinator import Coordinator
from tests.support.waiting import eventually_now

Json = dict[str, Any]


def step(number: int, skill_id: str, *needs: int, **more: Any) -> Json:
    return {"number": number, "instruction": "do it", "skill_id": skill_id, "depends_on": needs} | more


def register(coordinator: Coordinator, url: str) -> str:
    """An agent that is served elsewhere and outlives the coordinator; its id."""
    response = coordinator.http.post("/api/agents", json={"card_url": url})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def post(coordinator: Coordinator, *steps: Json, **body: Any) -> httpx.Response:
    """Create a task with this plan; the answer as it is."""
    return coordinator.http.post("/api/tasks", json={"description": "do it", "plan": {"steps": steps}} | body)


def begin(coordinator: Coordinator, *steps: Json, **body: Any) -> Json:
    """The task as it was accepted, with its `id`."""
    response = post(coordinator, *steps, **body)
    assert response.status_code == 202, response.text
    return coordinator.task(response.json()["task_id"])


def run(coordinator: Coordinator, *steps: Json, **body: Any) -> Json:
    """The task once it has ended or waits for a person."""
    return coordinator.run(description="do it", plan={"steps": steps}, **body)


def ended(coordinator: Coordinator, task_id: str) -> Json:
    """The task once it has ended: its events go on until then."""
    coordinator.http.get(f"/api/tasks/{task_id}/events")
    return coordinator.task(task_id)


def becomes(coordinator: Coordinator, task_id: str, status: str, *, within_s: float = 10) -> Json:
    eventually_now(lambda: coordinator.task(task_id)["status"] == status, within_s=within_s)
    return coordinator.task(task_id)


def act(coordinator: Coordinator, task_id: str, what: str, **body: Any) -> httpx.Response:
    """POST to one of the task's own paths: approve, cancel, input, retry."""
    return coordinator.http.post(f"/api/tasks/{task_id}/{what}", json=body or None)


def problem(response: httpx.Response) -> tuple[int, str]:
    """Its status and its code."""
    return response.status_code, response.json()["code"]


def why(coordinator: Coordinator, task_id: str) -> str:
    return str(coordinator.http.get(f"/api/tasks/{task_id}/why").json()["sentence"])


def events(coordinator: Coordinator, task_id: str, kind: str = "") -> list[Json]:
    """Of a task that has ended: the data of its events of one kind, or every whole event."""
    text = coordinator.http.get(f"/api/tasks/{task_id}/events").text
    frames = [read_frame(frame) for frame in text.split("\n\n") if frame]
    return [frame["data"] for frame in frames if frame["kind"] == kind] if kind else frames


def read_frame(frame: str) -> Json:
    """The data of one event of the stream, its id checked."""
    fields = dict(line.split(": ", 1) for line in frame.splitlines())
    event: Json = json.loads(fields["data"])
    assert (int(fields["id"]), fields["event"]) == (event["number"], event["kind"])
    return event


def answer(coordinator: Coordinator, task_id: str, text: str, **more: Any) -> httpx.Response:
    return act(coordinator, task_id, "input", parts=[{"text": text}], **more)


def statuses(task: Json) -> list[str]:
    return [found["status"] for found in task["steps"]]


def codes(task: Json) -> list[str | None]:
    """Of each step's error."""
    return [found["error"] and found["error"]["code"] for found in task["steps"]]
