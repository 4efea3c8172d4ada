"""Whatever is posted, the answer is a JSON-RPC error with the right code, and nothing internal is in it."""

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest

from tests.support.scripted_agent import MAX_BODY_BYTES, Rpc, ScriptedAgent

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
VERSION_NOT_SUPPORTED = -32009
INTERNAL_WORDS = ("Traceback", "pydantic", "Error(", ".py", "site-packages", "0x", "input_value", "https://")


def checked_error(answer: httpx.Response, *, status: int = 200) -> dict[str, Any]:
    """The error object of an answer whose envelope is as it should be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"jsonrpc", "id", "error"}
    assert body["jsonrpc"] == "2.0"
    error: dict[str, Any] = body["error"]
    assert set(error) <= {"code", "message", "data"}
    assert isinstance(error["message"], str)
    assert all("@type" in detail for detail in error.get("data", []))
    assert not [word for word in INTERNAL_WORDS if word in answer.text]
    return error


# The version


@pytest.mark.parametrize("version", ["1.0", "1.0.7"])
async def test_version_1_0_is_spoken_whatever_its_patch_number(rpc: Rpc, version: str) -> None:
    """3.6, 3.6.2"""
    answer = await rpc.post(rpc.envelope("GetTask", {"id": "x"}), A2A_Version=version)

    assert checked_error(answer)["code"] == -32001


@pytest.mark.parametrize("version", ["", "0.3", "0.3.0", "1", "1.1", "1.7", "2.0", "one", "1.0-beta"])
async def test_another_version_is_refused_and_none_means_0_3(rpc: Rpc, version: str) -> None:
    """3.6.2"""
    answer = await rpc.post(rpc.envelope("GetTask", {"id": "x"}), A2A_Version=version)
    error = checked_error(answer)

    assert (error["code"], error["data"][0]["reason"]) == (VERSION_NOT_SUPPORTED, "VERSION_NOT_SUPPORTED")


@pytest.mark.parametrize(("version", "code"), [("1.0", -32001), ("0.3", VERSION_NOT_SUPPORTED)])
async def test_the_version_may_come_as_a_query_parameter(
    http: httpx.AsyncClient, rpc: Rpc, version: str, code: int
) -> None:
    """3.6.1"""
    asking = Rpc(http, f"{rpc.url}?A2A-Version={version}")
    answer = await asking.post(rpc.envelope("GetTask", {"id": "x"}), A2A_Version="")

    assert checked_error(answer)["code"] == code


# The body


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/a2a+json"]
)
async def test_json_is_taken_under_its_names(rpc: Rpc, content_type: str) -> None:
    """9.1"""
    answer = await rpc.post(rpc.envelope("GetTask", {"id": "x"}), Content_Type=content_type)

    assert checked_error(answer)["code"] == -32001


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_what_does_not_call_itself_json_is_refused(rpc: Rpc, content_type: str) -> None:
    """9.1"""
    answer = await rpc.post(b'{"jsonrpc":"2.0","id":1,"method":"GetTask"}', Content_Type=content_type)

    assert checked_error(answer, status=415)["code"] == INVALID_REQUEST


async def test_a_body_over_the_limit_is_refused_with_the_limit_named(rpc: Rpc) -> None:
    """13.4"""
    answer = await rpc.post(b" " * (MAX_BODY_BYTES + 1))

    assert f"{MAX_BODY_BYTES:,}" in checked_error(answer, status=413)["message"]


NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "words": b"hello",
    "cut off": b'{"jsonrpc":"2.0","id":1',
    "two documents": b"{}{}",
    "not UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":NaN}}',
    "Infinity": b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":-Infinity}}',
    "a NUL": b'{"jsonrpc":"2.0","id":1,"method":"Get\x00Task"}',
    "a lone surrogate": b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
    "half a pair": b'{"jsonrpc":"2.0","id":1,"method":"\\udc00\\ud800"}',
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "deep params": b'{"jsonrpc":"2.0","id":1,"method":"X","params":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a number of 5,000 digits": b'{"jsonrpc":"2.0","id":' + b"7" * 5_000 + b',"method":"GetTask"}',
}  # fmt: skip


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_no_json_is_a_parse_error(rpc: Rpc, body: bytes) -> None:
    """9.5; the id cannot be known, so it is null."""
    answer = await rpc.post(body)

    assert checked_error(answer)["code"] == PARSE_ERROR
    assert answer.json()["id"] is None


NO_REQUEST: dict[str, Any] = {
    "a batch": [{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}],
    "an empty batch": [],
    "a string": "GetTask",
    "null": None,
    "no version": {"id": 1, "method": "GetTask"},
    "version 1.0": {"jsonrpc": "1.0", "id": 1, "method": "GetTask"},
    "version as a number": {"jsonrpc": 2.0, "id": 1, "method": "GetTask"},
    "no method": {"jsonrpc": "2.0", "id": 1},
    "a method that is a number": {"jsonrpc": "2.0", "id": 1, "method": 7},
    "id true": {"jsonrpc": "2.0", "id": True, "method": "GetTask"},
    "id 1.5": {"jsonrpc": "2.0", "id": 1.5, "method": "GetTask"},
    "id {}": {"jsonrpc": "2.0", "id": {}, "method": "GetTask"},
    "id []": {"jsonrpc": "2.0", "id": [1], "method": "GetTask"},
}


@pytest.mark.parametrize("body", NO_REQUEST.values(), ids=NO_REQUEST.keys())
async def test_json_that_is_no_request_is_an_invalid_request(rpc: Rpc, body: Any) -> None:
    """9.5"""
    assert checked_error(await rpc.post(json.dumps(body).encode()))["code"] == INVALID_REQUEST


@pytest.mark.parametrize("request_id", [None, 0, -1, 10**40, "", "x" * 5_000, "ü\u2028", "7"])
async def test_an_id_comes_back_as_it_was(rpc: Rpc, request_id: Any) -> None:
    """JSON-RPC 2.0"""
    answer = await rpc.post({"jsonrpc": "2.0", "id": request_id, "method": "GetTask", "params": {"id": "x"}})

    checked_error(answer)
    assert answer.json()["id"] == request_id


@pytest.mark.parametrize(
    "method", ["", "message/send", "sendMessage", "SendMessage ", "__init__", "listTasks"]
)
async def test_an_unknown_method_is_not_found(rpc: Rpc, method: str) -> None:
    """9.5; a client of 0.3 gets this too."""
    assert checked_error(await rpc.post(rpc.envelope(method, {})))["code"] == METHOD_NOT_FOUND


# The parameters

MESSAGE: dict[str, Any] = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}
BAD_MESSAGES: dict[str, tuple[Any, str]] = {
    "no message": ({}, "message"),
    "null": ({"message": None}, "message"),
    "no id": ({"message": {"role": "ROLE_USER", "parts": [{"text": "hi"}]}}, "message.messageId"),
    "a number for an id": ({"message": {**MESSAGE, "messageId": 7}}, "message.messageId"),
    "an unknown role": ({"message": {**MESSAGE, "role": "ROLE_GOD"}}, "message.role"),
    "no parts": ({"message": {**MESSAGE, "parts": []}}, "message.parts"),
    "an empty part": ({"message": {**MESSAGE, "parts": [{}]}}, "message.parts.0"),
    "two contents": ({"message": {**MESSAGE, "parts": [{"text": "a", "url": "b"}]}}, "message.parts.0"),
    "no base64": ({"message": {**MESSAGE, "parts": [{"raw": "%%%"}]}}, "message.parts.0.raw"),
    "metadata as a list": ({"message": {**MESSAGE, "metadata": []}}, "message.metadata"),
}


@pytest.mark.parametrize(("params", "field"), BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_a_bad_parameter_is_named(rpc: Rpc, method: str, params: Any, field: str) -> None:
    """5.7, 9.5"""
    error = checked_error(await rpc.post(rpc.envelope(method, params)))
    named = [violation["field"] for detail in error["data"] for violation in detail["fieldViolations"]]

    assert (error["code"], named) == (INVALID_PARAMS, [field])


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage", "GetTask", "CancelTask"])
@pytest.mark.parametrize("params", [None, [], ["x"], "x", 7, True], ids=repr)
async def test_params_that_are_no_object_are_invalid(rpc: Rpc, method: str, params: Any) -> None:
    """9.5"""
    assert checked_error(await rpc.post(rpc.envelope(method, params)))["code"] == INVALID_PARAMS


@pytest.mark.parametrize("method", ["SendMessage", "GetTask"])
async def test_params_may_be_absent_and_then_what_is_missing_is_said(rpc: Rpc, method: str) -> None:
    """9.5"""
    answer = await rpc.post({"jsonrpc": "2.0", "id": 1, "method": method})

    assert checked_error(answer)["code"] == INVALID_PARAMS


async def test_a_thousand_faults_are_not_all_listed(rpc: Rpc) -> None:
    params = {"message": {**MESSAGE, "parts": [{}] * 1_000}}
    error = checked_error(await rpc.post(rpc.envelope("SendMessage", params)))

    assert len(error["data"][0]["fieldViolations"]) == 20


# What is odd and yet legal


async def test_of_a_key_given_twice_the_last_counts(rpc: Rpc) -> None:
    """RFC 8259 leaves it open; the answer is one of the two and no error."""
    body = b'{"jsonrpc":"2.0","id":1,"id":2,"method":"X","method":"GetTask","params":{"id":"a","id":"x"}}'
    answer = await rpc.post(body)

    assert checked_error(answer)["code"] == -32001
    assert answer.json()["id"] == 2


@pytest.mark.parametrize(
    "text",
    ["\x00", "\u202e\u0007", "\U0001f600", "x" * 10_000_000, "'; DROP TABLE tasks; --", "{{7*7}}"],
    ids=["NUL", "controls", "astral", "10 MB", "SQL", "template"],
)
async def test_a_strange_text_comes_back_as_it_was(rpc: Rpc, text: str) -> None:
    task = await rpc.send(text)

    assert task["artifacts"][0]["parts"] == [{"text": text}]


async def test_numbers_of_any_size_do_no_harm(rpc: Rpc) -> None:
    numbers = b"[1e308, 1e-999, " + b"9" * 400 + b"]"
    body = json.dumps(rpc.envelope("SendMessage", rpc.message("hi", metadata={"skillId": "echo", "n": "N"})))
    answer = await rpc.post(body.encode().replace(b'"N"', numbers))

    assert answer.json()["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("number", [b"1e999", b"-1e999"])
async def test_a_number_that_no_float_holds_is_refused_by_name(rpc: Rpc, number: bytes) -> None:
    """It would come back as null or as no JSON."""
    for content in ({"parts": [{"data": ["N"]}]}, {"metadata": {"n": ["N"]}}):
        body = json.dumps(rpc.envelope("SendMessage", rpc.message("hi", **content))).encode()
        error = checked_error(await rpc.post(body.replace(b'"N"', number)))

        assert error["code"] == INVALID_PARAMS
        assert "finite" in error["data"][0]["fieldViolations"][0]["description"]


def nested(depth: int) -> Any:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    return deep


async def test_deep_data_comes_back(rpc: Rpc) -> None:
    task = await rpc.send("hi", parts=[{"text": "hi"}, {"data": nested(99)}])

    assert task["history"][0]["parts"][1] == {"data": nested(99)}


async def test_data_that_is_deeper_than_peers_can_read_is_refused_by_name(rpc: Rpc) -> None:
    for content in ({"parts": [{"data": nested(101)}]}, {"metadata": {"a": nested(101)}}):
        error = checked_error(await rpc.post(rpc.envelope("SendMessage", rpc.message("hi", **content))))

        assert error["code"] == INVALID_PARAMS


async def test_a_context_id_that_is_none_is_refused_by_name(rpc: Rpc) -> None:
    """3.4.1"""
    for context_id in ("x" * 300_000, "a\nb"):
        error = checked_error(
            await rpc.post(rpc.envelope("SendMessage", rpc.message("hi", contextId=context_id)))
        )

        assert error["code"] == INVALID_PARAMS
        assert error["data"][0]["fieldViolations"][0]["field"] == "message.contextId"


async def test_a_caller_that_goes_away_in_the_middle_of_its_request_is_no_error() -> None:
    arriving: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )
    headers = [(b"a2a-version", b"1.0"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(arriving)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await ScriptedAgent().app()(scope, receive, send)

    assert sent[0]["status"] == 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_the_endpoint_takes_posts_only(http: httpx.AsyncClient, rpc: Rpc, method: str) -> None:
    """9.1"""
    assert (await http.request(method, rpc.url)).status_code == 405


@pytest.mark.parametrize("path", ["/", ""])
async def test_the_root_answers_with_and_without_its_slash(
    http: httpx.AsyncClient, rpc: Rpc, path: str
) -> None:
    asking = Rpc(http, rpc.url.rstrip("/") + path)

    assert checked_error(await asking.post(rpc.envelope("GetTask", {"id": "x"})))["code"] == -32001


async def test_a_person_who_opens_the_address_is_shown_the_docs(http: httpx.AsyncClient, rpc: Rpc) -> None:
    response = await http.get(rpc.url, follow_redirects=True)
    assert response.status_code == 200
    assert "swagger-ui" in response.text
