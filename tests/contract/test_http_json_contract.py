"""HTTP+JSON as only HTTP can say it: methods, paths, media types, bodies (section 11)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import HttpUrl

from tests.support.bindings import Result, World, message, served

MAX_BODY_BYTES = 100_000
V1 = {"A2A-Version": "1.0"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Below a path, as behind a proxy that leaves it there."""
    url = HttpUrl("http://127.0.0.1:9/agents/one")
    with served(agent_max_body_bytes=MAX_BODY_BYTES, agent_url=url) as world:
        yield world


async def ask(http: httpx.AsyncClient, world: World, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {**V1, **more.pop("headers", {})}
    sent = {name: value for name, value in headers.items() if value}
    return await http.request(method, world.url + path, headers=sent, **more)


def error_of(answer: httpx.Response) -> Result:
    """The error of an answer that is as 11.6 has it."""
    body = answer.json()
    assert list(body) == ["error"]
    assert body["error"]["code"] == answer.status_code
    assert set(body["error"]) == {"code", "status", "message", "details"}
    error: Result = body["error"]
    return error


async def asked(http: httpx.AsyncClient, world: World) -> str:
    answer = await ask(http, world, "POST", "/message:send", json=message("weather", "ask"))
    task_id: str = answer.json()["task"]["id"]
    return task_id


# Paths and methods


@pytest.mark.parametrize("base", ["", "/agents/one"])
@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("path", ["/tasks", "/acme/tasks", "/tasks/{id}"])
async def test_a_path_is_served_at_the_root_and_below_the_card_s_url_with_and_without_its_slash(
    http: httpx.AsyncClient, world: World, base: str, end: str, path: str
) -> None:
    """11.3"""
    task_id = await asked(http, world)

    answer = await ask(http, world, "GET", base + path.format(id=task_id) + end)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("base", ["/", "/agents/one", "/agents/one/"])
async def test_json_rpc_is_served_at_the_root_and_at_the_card_s_url(
    http: httpx.AsyncClient, world: World, base: str
) -> None:
    """9.1"""
    body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}

    assert "result" in (await ask(http, world, "POST", base, json=body)).json()


@pytest.mark.parametrize("path", ["/tasks/{id}:cancel", "/tasks/{id}%3Acancel", "/tasks/{id}%3acancel/"])
async def test_a_colon_may_be_percent_encoded(http: httpx.AsyncClient, world: World, path: str) -> None:
    """RFC 3986, 2.1"""
    answer = await ask(http, world, "POST", path.format(id=await asked(http, world)))

    assert answer.json()["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("path", ["/message%3Asend", "/message:send/", "/acme/message:send"])
async def test_a_send_may_be_written_in_every_way_that_a_path_has(
    http: httpx.AsyncClient, world: World, path: str
) -> None:
    assert (await ask(http, world, "POST", path, json=message())).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("colon", [":", "%3A"])
async def test_a_subscription_is_asked_for_by_get_or_by_post(
    http: httpx.AsyncClient, world: World, method: str, colon: str
) -> None:
    """5.3 says POST, the proto GET"""
    path = f"/tasks/{await asked(http, world)}{colon}subscribe"
    async with http.stream(method, world.url + path, headers=V1) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        line = await anext(answer.aiter_lines())

    assert json.loads(line.removeprefix("data: "))["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/message:send", "POST"),
        ("PUT", "/message:stream", "POST"),
        ("POST", "/tasks", "GET"),
        ("DELETE", "/tasks/x", "GET"),
        ("GET", "/tasks/x:cancel", "POST"),
        ("PUT", "/tasks/x:subscribe", "POST, GET"),
        ("PATCH", "/tasks/x/pushNotificationConfigs", "POST, GET"),
        ("POST", "/tasks/x/pushNotificationConfigs/y", "GET, DELETE"),
        ("POST", "/extendedAgentCard", "GET"),
    ],
)
async def test_a_method_that_a_path_has_not_is_not_allowed(
    http: httpx.AsyncClient, world: World, method: str, path: str, allowed: str
) -> None:
    """RFC 9110, 15.5.6"""
    answer = await ask(http, world, method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert error_of(answer)["status"] == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    "path", ["/nothing", "/tasks/x/y", "/tasks/x/pushNotificationConfigs/y/z", "/a/b/tasks"]
)
async def test_a_path_that_is_none_is_not_found(http: httpx.AsyncClient, world: World, path: str) -> None:
    assert (await ask(http, world, "GET", path)).status_code == 404


# Bodies and media types


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/a2a+json", "Application/A2A+JSON; charset=utf-8"]
)
async def test_json_is_taken_under_its_names(
    http: httpx.AsyncClient, world: World, content_type: str
) -> None:
    """11.1"""
    body, headers = json.dumps(message()), {"Content-Type": content_type}

    assert (await ask(http, world, "POST", "/message:send", content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", ["/message:send", "/message:stream", "/tasks/x/pushNotificationConfigs"])
@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_what_does_not_call_itself_json_is_refused(
    http: httpx.AsyncClient, world: World, path: str, content_type: str
) -> None:
    """11.1"""
    body, headers = json.dumps(message()).encode(), {"Content-Type": content_type}
    answer = await ask(http, world, "POST", path, content=body, headers=headers)

    assert (answer.status_code, error_of(answer)["status"]) == (415, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/a2a+json"),
        ("*/*", "application/a2a+json"),
        ("application/json", "application/json"),
        ("application/a2a+json, application/json", "application/a2a+json"),
    ],
)
async def test_the_answer_has_the_media_type_that_the_client_takes(
    http: httpx.AsyncClient, world: World, accept: str, media_type: str
) -> None:
    """11.1: errors too"""
    for path in ("/tasks", "/tasks/none", "/message:send"):
        answer = await ask(http, world, "GET", path, headers={"Accept": accept})
        assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize(
    "path", ["/message:send", "/tasks/x:cancel", "/", "/tasks/x/pushNotificationConfigs"]
)
async def test_a_body_over_the_limit_is_refused_with_the_limit_named(
    http: httpx.AsyncClient, world: World, path: str
) -> None:
    """13.4: said or only sent"""

    async def chunks() -> Any:
        for _ in range(3):
            yield b" " * MAX_BODY_BYTES

    for content in (b" " * (MAX_BODY_BYTES + 1), chunks()):
        headers = {"Content-Type": "application/json"}
        answer = await ask(http, world, "POST", path, content=content, headers=headers)
        assert answer.status_code == 413
        assert f"{MAX_BODY_BYTES:,}" in answer.text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"null", b"\xff", b'{"a":"\\ud800"}', b"[" * 50_000]
)
async def test_what_is_no_json_object_is_refused(http: httpx.AsyncClient, world: World, body: bytes) -> None:
    """11.6"""
    headers = {"Content-Type": "application/json"}
    answer = await ask(http, world, "POST", "/message:send", content=body, headers=headers)

    assert (answer.status_code, error_of(answer)["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("content", [b"", b"{}"])
async def test_a_cancel_may_have_no_body(http: httpx.AsyncClient, world: World, content: bytes) -> None:
    """11.3"""
    path = f"/tasks/{await asked(http, world)}:cancel"
    headers = {"Content-Type": "application/json"} if content else {}

    assert (await ask(http, world, "POST", path, content=content, headers=headers)).status_code == 200


async def test_a_body_that_names_another_task_than_the_path_is_refused(
    http: httpx.AsyncClient, world: World
) -> None:
    """11.3"""
    answer = await ask(http, world, "POST", "/tasks/one:cancel", json={"id": "two"})

    assert (answer.status_code, error_of(answer)["status"]) == (400, "INVALID_ARGUMENT")


# The query


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=x",
        "pageSize=1.5",
        "historyLength=-1",
        "includeArtifacts=perhaps",
        "statusTimestampAfter=noon",
    ],
)
async def test_a_query_that_is_wrong_is_refused_by_name(
    http: httpx.AsyncClient, world: World, query: str
) -> None:
    """11.5"""
    error = error_of(await ask(http, world, "GET", f"/tasks?{query}"))
    (bad,) = error["details"]

    assert [violation["field"] for violation in bad["fieldViolations"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(("text", "is_there"), [("true", True), ("false", False)])
async def test_a_boolean_of_the_query_is_true_or_false(
    http: httpx.AsyncClient, world: World, text: str, is_there: bool
) -> None:
    """11.5"""
    sent = (await ask(http, world, "POST", "/message:send", json=message())).json()["task"]
    query = f"contextId={sent['contextId']}&includeArtifacts={text}"
    (task,) = (await ask(http, world, "GET", f"/tasks?{query}")).json()["tasks"]

    assert ("artifacts" in task) == is_there


async def test_an_unknown_field_of_the_query_is_ignored(http: httpx.AsyncClient, world: World) -> None:
    """5.7"""
    assert (await ask(http, world, "GET", "/tasks?unknown=1&pageSize=1")).json()["pageSize"] == 1
