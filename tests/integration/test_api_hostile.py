"""Whatever a caller sends to the REST API, the answer is a problem with a code: never a 500, never a hang."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from a2a import Agent, Part, Request
from tests.support.coordinator import Coordinator, running_coordinator, settings_for

JSON = {"Content-Type": "application/json"}
NO_TASK = "/api/tasks/task_nope/input"


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(shared_database_url, max_upload_bytes=1_000_000)) as running:
        yield running


def problem(response: httpx.Response) -> tuple[int, str]:
    """The status and the code."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert response.json()["detail"]
    return response.status_code, response.json()["code"]


def deep(levels: int) -> bytes:
    return b'{"parts":[{"data":' + b"[" * levels + b"]" * levels + b"}]}"


NO_JSON = {
    "cut off": b"{",
    "NaN": b'{"parts":[{"data":NaN}]}',
    "Infinity": b'{"parts":[{"data":[-Infinity]}]}',
    "half a surrogate pair": b'{"parts":[{"text":"\\ud800"}]}',
    "400 levels": deep(400),
    "100,000 levels": deep(100_000),
    "no UTF-8": b'{"parts":[{"text":"\xff"}]}',
    "UTF-16": '{"parts":[{"text":"x"}]}'.encode("utf-16"),
    "5,000 digits": b'{"step_number":' + b"1" * 5_000 + b"}",
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_is_said_to_be_none_on_every_route(coordinator: Coordinator, body: bytes) -> None:
    for path in ("/api/tasks", NO_TASK, "/api/sessions/x/messages", "/api/sessions", "/api/agents"):
        response = coordinator.http.post(path, content=body, headers=JSON)
        assert problem(response) == (400, "BAD_JSON"), path


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 400 + b".0"])
def test_a_number_that_no_json_can_carry_back_is_refused(coordinator: Coordinator, number: bytes) -> None:
    body = b'{"parts":[{"data":' + number + b"}]}"
    session_id = coordinator.http.post("/api/sessions", json={}).json()["id"]
    for path in (NO_TASK, f"/api/sessions/{session_id}/messages"):
        response = coordinator.http.post(path, content=body, headers=JSON)
        assert problem(response) == (422, "VALIDATION_FAILED")


def test_a_nul_in_a_message_is_taken_and_left_out(coordinator: Coordinator) -> None:
    session_id = coordinator.http.post("/api/sessions", json={}).json()["id"]
    parts = [{"text": "a\x00b", "filename": "x\x00"}, {"data": {"k\x00": ["\x00v"]}}]
    url = f"/api/sessions/{session_id}/messages"
    assert coordinator.http.post(url, json={"parts": parts}).status_code == 201
    assert coordinator.http.get(url).status_code == 200


def planned(**step: Any) -> dict[str, Any]:
    return {
        "description": "echo",
        "plan": {"steps": [{"number": 1, "instruction": "echo", "skill_id": "echo", **step}]},
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tasks", planned(number=10**20)),
        ("/api/tasks", planned(number=1_001)),
        ("/api/tasks", planned(number=0)),
        ("/api/tasks", planned(depends_on=[10**20])),
        ("/api/tasks", planned(depends_on=[-1])),
        ("/api/tasks", {"description": "echo", "user_id": "a\x00"}),
        ("/api/tasks", {"description": "echo", "session_id": "\x00"}),
        (NO_TASK, {"step_number": 10**20, "parts": [{"text": "x"}]}),
        ("/api/agents/agent_x/heartbeat", {"running": 10**20}),
        ("/api/agents/agent_x/heartbeat", {"capacity": 10**4_000}),
        ("/api/agents", {"card_url": "http://127.0.0.1:99999"}),
        ("/api/agents", {"card_url": "http://\x00/"}),
        ("/api/agents", {"card_url": "http://127.0.0.1/\x00"}),
        ("/api/agents", {"card_url": "http://[::1"}),
        ("/api/agents", {"card_url": "http://[v1.x]/"}),
        ("/api/agents", {"card_url": "http://a..b/"}),
        ("/api/agents", {"card_url": "http://" + "a" * 300 + ".example/"}),
        ("/api/agents", {"card_url": "http://\u2028/"}),
        ("/api/agents", {"card_url": "http://\u0661:80/"}),
        ("/api/agents", {"card_url": "http://127.0.0.1:\u0661/"}),
    ],
)
def test_a_value_out_of_its_range_is_refused(
    coordinator: Coordinator, path: str, body: dict[str, Any]
) -> None:
    status, code = problem(coordinator.http.post(path, json=body))
    assert status == 422
    assert code in ("VALIDATION_FAILED", "CARD_REJECTED")


@pytest.mark.parametrize(
    "query",
    [
        "created_after=0001-01-01T00:00:00%2B14:00",
        "created_before=9999-12-31T23:59:59-14:00",
        "created_after=1e400",
        "created_after=yesterday",
        "cursor=junk",
        "cursor=",
        "cursor=task_%00",
        "cursor=session_00000000000000000000000000000000",
        "agent_id=%00",
        "session_id=a%00b",
        "status=%00",
        "limit=99999999999999999999",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(coordinator: Coordinator, query: str) -> None:
    assert problem(coordinator.http.get(f"/api/tasks?{query}")) == (422, "VALIDATION_FAILED")


def test_a_session_or_message_cursor_that_is_none_is_refused(coordinator: Coordinator) -> None:
    session_id = coordinator.http.post("/api/sessions", json={}).json()["id"]
    for path in ("/api/sessions?cursor=%00", f"/api/sessions/{session_id}/messages?cursor=task_1"):
        assert problem(coordinator.http.get(path)) == (422, "VALIDATION_FAILED")


def test_sessions_and_messages_are_paged_without_holes(coordinator: Coordinator) -> None:
    ann = {"user_id": "ann"}
    ids = [coordinator.http.post("/api/sessions", json=ann).json()["id"] for _ in range(3)]
    first = coordinator.http.get("/api/sessions", params=ann | {"limit": "2"}).json()
    rest = coordinator.http.get("/api/sessions", params=ann | {"cursor": first["next_cursor"]}).json()
    assert [session["id"] for session in first["sessions"] + rest["sessions"]] == ids[::-1]

    url = f"/api/sessions/{ids[0]}/messages"
    for text in "abc":
        coordinator.http.post(url, json={"parts": [{"text": text}]})
    first = coordinator.http.get(f"{url}?limit=2").json()
    rest = coordinator.http.get(url, params={"cursor": first["next_cursor"]}).json()
    assert "".join(m["parts"][0]["text"] for m in first["messages"] + rest["messages"]) == "abc"


def test_a_time_without_an_offset_is_utc(coordinator: Coordinator) -> None:
    coordinator.http.post("/api/tasks", json={"description": "echo"})
    counts = [
        len(coordinator.http.get("/api/tasks", params={"created_after": time}).json()["tasks"])
        for time in ("2020-01-01T00:00:00", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00")
    ]
    assert counts == [1, 1, 0]


@pytest.mark.parametrize("odd", ["%00", "a%00b", "%ED%A0%80", "%FF", "%0D%0A"])
def test_an_id_of_strange_characters_is_not_found(coordinator: Coordinator, odd: str) -> None:
    for path in (
        f"/api/tasks/{odd}",
        f"/api/tasks/{odd}/why",
        f"/api/tasks/{odd}/events",
        f"/api/tasks/{odd}/artifacts/{odd}",
        f"/api/agents/{odd}",
        f"/api/agents/{odd}/health",
        f"/api/sessions/{odd}",
        f"/api/sessions/{odd}/messages",
        f"/api/sessions?user_id={odd}",
        f"/api/agents/search?q={odd}",
    ):
        assert coordinator.http.get(path).status_code in (200, 404, 422), path
    assert coordinator.http.post(f"/api/tasks/{odd}/cancel").status_code in (404, 422)
    assert coordinator.http.delete(f"/api/agents/{odd}").status_code in (404, 422)


@pytest.mark.parametrize("prefer", ["wait=²", "wait=٣", "wait=-1", "wait=1e3", "wait=", "wait"])
def test_a_preference_that_cannot_be_read_is_none(coordinator: Coordinator, prefer: str) -> None:
    headers = {b"Prefer": prefer.encode("utf-8")}
    response = coordinator.http.post("/api/tasks", json={"description": "echo"}, headers=headers)
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


def test_a_superscript_in_latin_1_is_no_preference_either(coordinator: Coordinator) -> None:
    headers = {b"Prefer": b"wait=\xb2"}
    response = coordinator.http.post("/api/tasks", json={"description": "echo"}, headers=headers)
    assert response.status_code == 202


def test_an_empty_idempotency_key_is_refused(coordinator: Coordinator) -> None:
    headers = {"Idempotency-Key": ""}
    before = len(coordinator.http.get("/api/tasks").json()["tasks"])
    response = coordinator.http.post("/api/tasks", json={"description": "echo"}, headers=headers)
    assert problem(response) == (422, "VALIDATION_FAILED")
    assert len(coordinator.http.get("/api/tasks").json()["tasks"]) == before


@pytest.mark.parametrize("last", ["999999999999999999999", "2147483648", "-1", "x"])
def test_a_last_event_id_that_is_no_events_number_is_refused(coordinator: Coordinator, last: str) -> None:
    task_id = coordinator.http.post("/api/tasks", json={"description": "echo"}).json()["task_id"]
    response = coordinator.http.get(f"/api/tasks/{task_id}/events", headers={"Last-Event-ID": last})
    assert problem(response) == (422, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/api/tasks", "application/json"),
        ("/api/tasks", "multipart/form-data; boundary=b"),
        (NO_TASK, "application/json"),
        ("/api/sessions", "application/json"),
        ("/api/sessions/x/messages", "application/json"),
        ("/api/agents", "application/json"),
    ],
)
def test_a_body_without_a_length_is_too_large_on_every_route(
    coordinator: Coordinator, path: str, content_type: str
) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\n'
        for _ in range(1_000):
            yield b"x" * 10_000

    response = coordinator.http.post(path, content=endless(), headers={"Content-Type": content_type})
    assert problem(response) == (413, "TOO_LARGE")


def test_the_a2a_endpoint_says_too_large_in_its_own_protocol(coordinator: Coordinator) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b"x" * 10_000

    for content in (endless(), b"x" * 9_000_000):
        response = coordinator.http.post("/", content=content, headers=JSON | {"A2A-Version": "1.0"})
        assert (response.status_code, response.json()["error"]["code"]) == (413, -32600)


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "idna", "undefined", "punycode", "rot13"])
@pytest.mark.parametrize("value", [b"+2AA-", b"\\ud800", b"xn--\xff", b"echo"])
def test_a_form_in_a_strange_charset_is_no_failure_of_ours(
    coordinator: Coordinator, charset: str, value: bytes
) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="description"\r\n\r\n%b\r\n'
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\nx\r\n--b--\r\n'
    ) % (value, value)
    headers = {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}
    response = coordinator.http.post("/api/tasks", content=body, headers=headers)
    assert response.status_code in (202, 400, 422), response.text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "{", '"\\ud800"'])
def test_json_in_a_form_field_is_read_as_strictly(coordinator: Coordinator, value: str) -> None:
    form = {"description": "echo", "deadline_s": value}
    response = coordinator.http.post("/api/tasks", data=form, files={"files": ("a.txt", b"x")})
    assert problem(response) == (400, "BAD_JSON")


def typed_agent(url: str) -> Agent:
    agent = Agent(name="Typed", description="Types.", version="1.0.0", url=url)

    @agent.skill(id="typed", description="Give a file a type", tags=["typed"])
    async def typed(request: Request) -> Part:
        return Part.from_bytes(b"content", request.text, filename="a.bin")

    return agent


@pytest.mark.parametrize(
    ("said", "served"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/vnd.x+json", "application/vnd.x+json"),
        ("text/html\r\nSet-Cookie: a=b", "application/octet-stream"),
        ("text/pl\nain", "application/octet-stream"),
        ("text/\u00fc", "application/octet-stream"),
        ("rubbish", "application/octet-stream"),
        ("a/b/c", "application/octet-stream"),
        ("a b/c", "application/octet-stream"),
    ],
)
def test_a_download_has_a_media_type_that_is_one(coordinator: Coordinator, said: str, served: str) -> None:
    coordinator.add_agent(typed_agent)
    plan = {"steps": [{"number": 1, "instruction": said, "skill_id": "typed"}]}
    task = coordinator.run(description="typed", plan=plan)
    [artifact] = task["result"]["artifacts"]
    response = coordinator.http.get(artifact["url"])
    assert (response.status_code, response.content) == (200, b"content")
    assert response.headers["content-type"] == served
    assert "set-cookie" not in response.headers
