"""What `parley dev` reads from requests and answers, whole, cut off or hostile."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.exchanges import frame_data, read_answer, read_call

MESSAGE = {
    "messageId": "1",
    "role": "ROLE_USER",
    "taskId": "task-1",
    "metadata": {"skillId": "count"},
    "parts": [
        {"text": "how many words"},
        {"raw": "aGFsbG8=", "filename": "a.txt"},
        {"url": "https://example.com/b.csv"},
        {"data": {"rows": 2}},
    ],
}
KEYS = [
    "jsonrpc", "method", "params", "message", "parts", "text", "file", "metadata", "error", "data", "result",
    "task", "status", "state", "artifacts", "artifactUpdate", "artifact", "kind", "code",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def body_of(value: Any) -> bytes:
    return json.dumps(value).encode()


def rpc(method: str, params: Any) -> bytes:
    return body_of({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


@pytest.mark.parametrize(
    ("path", "body", "binding"),
    [
        ("/", rpc("SendMessage", {"message": MESSAGE}), "JSON-RPC"),
        ("/message:send", body_of({"message": MESSAGE}), "HTTP+JSON"),
    ],
)
def test_a_message_is_read_from_either_binding(path: str, body: bytes, binding: str) -> None:
    called = read_call("POST", path, body)
    assert called is not None
    assert (called.binding, called.operation) == (binding, "SendMessage")
    assert (called.task_id, called.skill_id) == ("task-1", "count")
    assert called.words == (
        '"how many words", file a.txt (about 6 bytes), link https://example.com/b.csv, {"rows":2}'
    )


def test_the_task_of_a_path_is_read() -> None:
    called = read_call("POST", "/tasks/abc:cancel", b"")
    assert called is not None
    assert (called.operation, called.task_id) == ("CancelTask", "abc")


@pytest.mark.parametrize("path", ["/docs", "/", "/.well-known/agent-card.json", "/a/b/c"])
def test_what_is_not_the_protocols_is_no_call(path: str) -> None:
    assert read_call("GET", path, b"") is None


def test_a_body_that_was_cut_off_still_says_what_it_began_with() -> None:
    whole = rpc("SendMessage", {"message": {"parts": [{"text": "look"}, {"raw": "A" * 9_000}]}})
    called = read_call("POST", "/", whole[:200])
    assert called is not None
    assert (called.operation, called.text) == ("SendMessage", "look")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff", b'{"method": 3, "params": []}'])
def test_a_body_that_is_no_call_is_shown_as_one_that_is_not_known(body: bytes) -> None:
    called = read_call("POST", "/", body)
    assert called is not None
    assert called.operation == "?"


@pytest.mark.parametrize(
    ("result", "line", "state"),
    [
        (
            {"task": {"id": "0123456789", "status": {"state": "TASK_STATE_INPUT_REQUIRED",
                      "message": {"parts": [{"text": "Which?"}]}}}},
            'task 01234567 input required "Which?"', "input required",
        ),
        (
            {"id": "01", "status": {"state": "TASK_STATE_COMPLETED"},
             "artifacts": [{"name": "result", "parts": [{"text": "6 words"}]}]},
            'task 01 completed; result "6 words"', "completed",
        ),
        ({"message": {"parts": [{"text": "hi"}]}}, 'reply "hi"', ""),
        ({"statusUpdate": {"taskId": "1", "status": {"state": "TASK_STATE_WORKING"}}}, "working", "working"),
        ({"kind": "status-update", "taskId": "1", "status": {"state": "input-required"}},
         "input required", "input required"),
        ({"artifactUpdate": {"artifact": {"name": "chart", "parts": [{"data": [1]}]}}}, "chart [1]", ""),
        ({"tasks": [{}, {}], "nextPageToken": ""}, "2 tasks", ""),
    ],
)  # fmt: skip
def test_an_answer_is_one_line(result: dict[str, Any], line: str, state: str) -> None:
    for answer in (result, {"jsonrpc": "2.0", "id": 1, "result": result}):
        said = read_answer(body_of(answer))
        assert said is not None
        assert (said.line, said.state) == (line, state)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ({"code": -32001, "message": "No such task."}, "error -32001 TaskNotFound: No such task."),
        (
            {"code": 400, "status": "INVALID_ARGUMENT", "message": "Not valid.", "details": [
                {"fieldViolations": [{"field": "message.parts", "description": "is empty"}]}]},
            "error 400 INVALID_ARGUMENT: Not valid. message.parts: is empty",
        ),
        ({"code": 404, "message": "Gone.", "details": [{"reason": "TASK_NOT_FOUND"}]},
         "error 404 TASK_NOT_FOUND: Gone."),
    ],
)  # fmt: skip
def test_an_error_has_its_code_and_name(error: dict[str, Any], line: str) -> None:
    said = read_answer(body_of({"error": error}))
    assert said is not None
    assert (said.line, said.state) == (line, "error")


def test_a_chunk_names_the_artifact_it_adds_to() -> None:
    update = {"append": True, "artifact": {"artifactId": "1", "name": "result", "parts": [{"text": "b"}]}}
    said = read_answer(body_of({"artifactUpdate": update}))
    assert said is not None
    assert said.chunk_of == "result"


def test_a_terminal_sequence_is_not_passed_on() -> None:
    said = read_answer(body_of({"message": {"parts": [{"text": "\x1b[2Jgone"}]}}))
    assert said is not None
    assert "\x1b" not in said.line


def test_a_comment_of_a_stream_has_no_data() -> None:
    assert frame_data(b": keep-alive") == b""
    assert frame_data(b'data: {"a":1}') == b'{"a":1}'


@given(JSON, st.integers(0, 200))
def test_nothing_that_comes_in_breaks_the_reading(value: Any, length: int) -> None:
    for body in (body_of(value), body_of(value)[:length], rpc("SendMessage", value)):
        read_call("POST", "/", body)
        read_call("POST", "/message:send", body)
        read_answer(body)
