"""Tasks over REST, with a real database and real agents on loopback."""

from collections.abc import Iterator
from typing import Any

import pytest

from a2a import Agent, InputRequired, Rejected, Request, SkillFailed
from tests.support.coordinator import Coordinator, echo_agent, running_coordinator, settings_for


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(database_url, max_upload_bytes=1_000_000)) as running:
        yield running


@pytest.fixture(scope="module")
def shared_coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url, max_upload_bytes=1_000_000)) as running:
        yield running


def moody_agent(url: str) -> Agent:
    agent = Agent(name="Moody Agent", description="Has moods.", version="1.0.0", url=url)
    tries: list[str] = []

    @agent.skill(id="refuse", description="Refuse politely", tags=["refuse"])
    async def refuse(_request: Request) -> str:
        raise Rejected("Not on Sundays.")

    @agent.skill(id="stumble", description="Stumble twice, then walk", tags=["stumble"])
    async def stumble(request: Request) -> str:
        tries.append(request.task_id)
        if len(tries) < 3:
            raise SkillFailed("Stumbled.", retryable=True)
        return "walked"

    @agent.skill(id="crash", description="Crash with a secret", tags=["crash"])
    async def crash(_request: Request) -> str:
        raise RuntimeError("the password is hunter2")

    @agent.skill(id="ask", description="Ask for a city", tags=["ask"])
    async def ask(request: Request) -> str:
        if not request.history:
            raise InputRequired("Which city?")
        return f"city: {request.text}"

    return agent


def step(number: int, skill_id: str, *needs: int, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "instruction": f"{skill_id} it",
        "skill_id": skill_id,
        "depends_on": needs,
    } | more


def test_a_task_is_planned_by_rules_run_and_told_in_the_promised_shape(coordinator: Coordinator) -> None:
    agent_id = coordinator.add_agent(echo_agent)
    task = coordinator.run(description="echo good morning", user_id="ann")
    assert task["status"] == "completed"
    assert task["result"]["text"] == "heard: echo good morning"
    assert task["plan"]["planner"] == "rules"
    [planned] = task["plan"]["steps"]
    assert planned["candidates"][0]["agent_id"] == agent_id
    assert planned["candidates"][0]["matched_terms"]
    [done] = task["steps"]
    assert done["step_number"] == 1
    assert done["agent"] == {"id": agent_id, "name": "Echo Agent"}
    assert done["output_data"]["text"] == "heard: echo good morning"
    assert task["gaps"] == []
    assert task["error"] is None
    assert task["created_at"].endswith("Z")
    assert task["completed_at"].endswith("Z")


def test_creation_answers_at_once_with_where_to_look(coordinator: Coordinator) -> None:
    response = coordinator.http.post("/api/tasks", json={"description": "echo hello"})
    assert response.status_code == 202
    body = response.json()
    assert body.keys() == {"task_id", "session_id", "status", "plan", "created_at"}
    assert response.headers["Location"] == f"/api/tasks/{body['task_id']}"


def test_files_travel_to_the_step_and_its_result_to_the_next(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    task = coordinator.run(
        description="echo the attached file",
        inputs=[{"text": "a,b\n1,2\n", "filename": "../t.csv", "mediaType": "text/csv"}],
        plan={
            "steps": [
                step(1, "echo", attachments=["t.csv"]),
                step(2, "echo", 1),
            ]
        },
    )
    assert task["steps"][0]["output_data"]["text"] == "heard: echo it [t.csv]"
    assert task["result"]["text"] == "heard: echo it [result.txt]"
    assert [artifact["filename"] for artifact in task["inputs"]] == ["t.csv"]


def test_a_form_with_files_makes_the_same_task_as_json(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    response = coordinator.http.post(
        "/api/tasks",
        data={"description": "echo the attached file", "deadline_s": "30"},
        files={"files": ("t.csv", b"a,b\n1,2\n", "application/octet-stream")},
        headers={"Prefer": "wait=20"},
    )
    task = coordinator.task(response.json()["task_id"])
    assert task["result"]["text"] == "heard: echo the attached file [t.csv]"
    assert task["inputs"][0]["media_type"] == "text/csv"


def test_an_artifact_is_downloaded_as_a_file_in_which_nothing_runs(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    task = coordinator.run(description="echo hello")
    [artifact] = task["result"]["artifacts"]
    response = coordinator.http.get(artifact["url"])
    assert response.text == "heard: echo hello"
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


def test_a_task_that_no_agent_can_do_fails_with_what_was_missing(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    task = coordinator.run(description="fold my laundry")
    assert task["status"] == "failed"
    assert task["error"]["code"] == "UNKNOWN_TASK_TYPE"
    assert "fold my laundry" in task["error"]["message"]
    assert "Echo" in task["error"]["message"]


def test_a_dry_run_shows_the_plan_and_makes_no_task(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    response = coordinator.http.post("/api/tasks", json={"description": "echo hello", "dry_run": True})
    assert response.status_code == 200
    assert response.json()["plan"]["steps"][0]["skill_id"] == "echo"
    assert coordinator.http.get("/api/tasks").json()["tasks"] == []


def test_a_plan_runs_only_once_it_is_approved(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    task = coordinator.run(description="echo hello", approval="plan")
    assert task["status"] == "awaiting_approval"
    assert [s["status"] for s in task["steps"]] == ["pending"]
    assert coordinator.http.post(f"/api/tasks/{task['id']}/approve").status_code == 202
    events = coordinator.http.get(f"/api/tasks/{task['id']}/events").text
    assert "task.completed" in events
    again = coordinator.http.post(f"/api/tasks/{task['id']}/approve")
    assert (again.status_code, again.json()["code"]) == (409, "WRONG_STATE")


def test_independent_steps_run_at_the_same_time(coordinator: Coordinator) -> None:
    import asyncio

    barrier = asyncio.Barrier(2)

    def meeting_agent(url: str) -> Agent:
        agent = Agent(name="Meeting", description="Meets.", version="1.0.0", url=url)

        @agent.skill(id="meet", description="Wait for another one", tags=["meet"])
        async def meet(_request: Request) -> str:
            async with asyncio.timeout(10):
                await barrier.wait()
            return "met"

        return agent

    coordinator.add_agent(meeting_agent)
    task = coordinator.run(description="meet", plan={"steps": [step(1, "meet"), step(2, "meet")]})
    assert [s["status"] for s in task["steps"]] == ["completed", "completed"]


def test_a_retryable_failure_is_tried_again_and_told(coordinator: Coordinator) -> None:
    coordinator.add_agent(moody_agent)
    task = coordinator.run(description="stumble", plan={"steps": [step(1, "stumble")]})
    assert task["result"]["text"] == "walked"
    assert task["steps"][0]["attempt"] == 3
    assert coordinator.http.get(f"/api/tasks/{task['id']}/events").text.count("step.retrying") == 4


def test_a_rejection_fails_the_task_with_the_agents_words_and_skips_what_needed_it(
    coordinator: Coordinator,
) -> None:
    coordinator.add_agent(moody_agent)
    plan = {"steps": [step(1, "refuse"), step(2, "refuse", 1)]}
    task = coordinator.run(description="refuse", plan=plan)
    assert task["error"]["code"] == "REJECTED_BY_AGENT"
    assert "Not on Sundays." in task["error"]["message"]
    assert [s["status"] for s in task["steps"]] == ["failed", "skipped"]
    assert [gap["step_number"] for gap in task["gaps"]] == [1, 2]


def test_a_failed_optional_step_leaves_a_gap_and_a_completed_task(coordinator: Coordinator) -> None:
    coordinator.add_agent(moody_agent)
    coordinator.add_agent(echo_agent)
    plan = {"steps": [step(1, "refuse", requirement="optional"), step(2, "echo", 1)]}
    task = coordinator.run(description="echo", plan=plan)
    assert task["status"] == "completed"
    assert task["result"]["text"] == "heard: echo it", "error text is never passed on as input"
    assert task["gaps"][0]["step_number"] == 1


def test_an_agents_crash_leaks_nothing(coordinator: Coordinator) -> None:
    coordinator.add_agent(moody_agent)
    task = coordinator.run(description="crash", plan={"steps": [step(1, "crash")]})
    assert task["status"] == "failed"
    assert "hunter2" not in str(task)


def test_a_question_is_put_and_its_answer_continues_the_same_remote_task(coordinator: Coordinator) -> None:
    coordinator.add_agent(moody_agent)
    task = coordinator.run(description="ask", plan={"steps": [step(1, "ask")]})
    assert task["status"] == "input_required"
    assert task["steps"][0]["question"] == "Which city?"
    why = coordinator.http.get(f"/api/tasks/{task['id']}/why").json()
    assert why["sentence"] == "Step 1 asks: Which city?"
    remote = task["steps"][0]["remote_task_id"]
    answered = coordinator.http.post(f"/api/tasks/{task['id']}/input", json={"parts": [{"text": "Oslo"}]})
    assert answered.status_code == 202
    assert "task.completed" in coordinator.http.get(f"/api/tasks/{task['id']}/events").text
    task = coordinator.task(task["id"])
    assert task["result"]["text"] == "city: Oslo"
    assert task["steps"][0]["remote_task_id"] == remote


def test_the_same_idempotency_key_makes_one_task(coordinator: Coordinator) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = coordinator.http.post("/api/tasks", json={"description": "echo a"}, headers=headers)
    again = coordinator.http.post("/api/tasks", json={"description": "echo a"}, headers=headers)
    other = coordinator.http.post("/api/tasks", json={"description": "echo b"}, headers=headers)
    assert first.json()["task_id"] == again.json()["task_id"]
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")


def test_events_resume_after_the_last_one_seen(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    task = coordinator.run(description="echo hello")
    url = f"/api/tasks/{task['id']}/events"
    whole = coordinator.http.get(url).text.split("\n\n")
    rest = coordinator.http.get(url, headers={"Last-Event-ID": "2"}).text.split("\n\n")
    assert whole[2:] == rest
    assert whole[0].startswith("id: 1\nevent: task.created")
    assert "event: task.completed" in whole[-2]


def test_a_list_is_filtered_and_paged_without_holes(coordinator: Coordinator) -> None:
    agent_id = coordinator.add_agent(echo_agent)
    ids = [coordinator.run(description=f"echo {word}")["id"] for word in ("one", "two", "three")]
    coordinator.run(description="fold my laundry")
    first = coordinator.http.get("/api/tasks", params={"status": "completed", "limit": 2}).json()
    rest = coordinator.http.get(
        "/api/tasks", params={"status": "completed", "limit": 2, "cursor": first["next_cursor"]}
    ).json()
    assert [task["id"] for task in first["tasks"] + rest["tasks"]] == ids[::-1]
    assert rest["next_cursor"] is None
    by_agent = coordinator.http.get("/api/tasks", params={"agent_id": agent_id}).json()
    assert len(by_agent["tasks"]) == 3


def test_a_conversation_is_kept_in_its_session(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    session_id = coordinator.http.post("/api/sessions", json={"user_id": "ann"}).json()["id"]
    coordinator.run(description="echo one", session_id=session_id)
    coordinator.run(description="echo two", session_id=session_id)
    messages = coordinator.http.get(f"/api/sessions/{session_id}/messages").json()["messages"]
    said = [(message["speaker"], message["parts"][0]["text"]) for message in messages]
    assert said == [
        ("user", "echo one"),
        ("agent", "heard: echo one"),
        ("user", "echo two"),
        ("agent", "heard: echo two"),
    ]


BAD_BODIES: list[tuple[dict[str, Any], int, str]] = [
    ({"json": {"description": ""}}, 422, "VALIDATION_FAILED"),
    ({"json": {"description": "  \n"}}, 422, "VALIDATION_FAILED"),
    ({"json": {"description": "x" * 1_000_000}}, 422, "VALIDATION_FAILED"),
    ({"json": {"description": "a\x00b"}}, 422, "VALIDATION_FAILED"),
    ({"json": {"description": "echo", "misspelt": 1}}, 422, "VALIDATION_FAILED"),
    ({"json": {"description": "echo", "deadline_s": -1}}, 422, "VALIDATION_FAILED"),
    ({"json": {"description": "echo", "inputs": [{}]}}, 422, "VALIDATION_FAILED"),
    ({"json": {"description": "echo", "session_id": "session_nope"}}, 404, "SESSION_NOT_FOUND"),
    ({"json": {"description": "echo", "plan": {"steps": [step(1, "nope")]}}}, 422, "PLAN_INVALID"),
    ({"json": ["not an object"]}, 422, "VALIDATION_FAILED"),
    ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "BAD_JSON"),
    ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "BAD_FORM"),
    (
        {"content": b"--b\r\ngarbage", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
        422,
        "VALIDATION_FAILED",
    ),
    ({"data": {"description": "x"}, "files": {"f": ("a.bin", b"0" * 1_100_000)}}, 413, "TOO_LARGE"),
    ({"data": {"description": "x"}, "files": {"f": ("a.bin", b"0" * 9_000_000)}}, 413, "TOO_LARGE"),
]


@pytest.mark.parametrize(("request_", "status", "code"), BAD_BODIES)
def test_a_bad_request_is_a_problem_that_says_what_to_change(
    shared_coordinator: Coordinator, request_: dict[str, Any], status: int, code: str
) -> None:
    response = shared_coordinator.http.post("/api/tasks", **request_)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/tasks/task_nope", "TASK_NOT_FOUND"),
        ("GET", "/api/tasks/task_nope/events", "TASK_NOT_FOUND"),
        ("GET", "/api/tasks/task_nope/why", "TASK_NOT_FOUND"),
        ("GET", "/api/tasks/task_nope/artifacts/x", "TASK_NOT_FOUND"),
        ("POST", "/api/tasks/task_nope/cancel", "TASK_NOT_FOUND"),
        ("GET", "/api/agents/agent_nope", "AGENT_NOT_FOUND"),
        ("GET", "/api/agents/agent_nope/health", "AGENT_NOT_FOUND"),
        ("DELETE", "/api/agents/agent_nope", "AGENT_NOT_FOUND"),
        ("GET", "/api/sessions/session_nope", "SESSION_NOT_FOUND"),
        ("GET", "/api/sessions/session_nope/messages", "SESSION_NOT_FOUND"),
        ("GET", "/api/nope", "NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_a_404_with_its_own_code(
    shared_coordinator: Coordinator, method: str, path: str, code: str
) -> None:
    response = shared_coordinator.http.request(method, path)
    assert (response.status_code, response.json()["code"]) == (404, code)


def test_a_body_without_a_length_is_cut_off_at_the_limit(shared_coordinator: Coordinator) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            yield b"x" * 10_000

    response = shared_coordinator.http.post(
        "/api/tasks", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["code"]) == (413, "TOO_LARGE")
