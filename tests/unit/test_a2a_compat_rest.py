"""The HTTP+JSON binding of 0.3 from the client's side."""

import base64
from typing import Any

import pytest

from a2a.compat.reading import ShapeError
from a2a.compat.rest import (
    HttpRequest,
    error_from_v03,
    is_final,
    request_to_v03,
    result_from_v03,
    stream_event_from_v03,
)
from a2a.errors import (
    ContentTypeNotSupported,
    ExtendedAgentCardNotConfigured,
    InternalError,
    InvalidAgentResponse,
    InvalidParams,
    InvalidRequest,
    ProtocolError,
    PushNotificationNotSupported,
    TaskNotCancelable,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a.requests import SendMessageResponse, TaskPushNotificationConfig
from a2a.types import StreamResponse, Task

Json = dict[str, Any]

TWICE = base64.b64encode(b"AAH/").decode()
MESSAGE_V03: Json = {
    "messageId": "m1",
    "role": "ROLE_AGENT",
    "contextId": "c1",
    "taskId": "",
    "content": [
        {"text": "a"},
        {"file": {"fileWithBytes": TWICE, "mimeType": "image/png", "name": "a.png"}},
        {"file": {"fileWithUri": "https://x.example/a", "mimeType": "", "name": ""}},
        {"data": {"data": {"k": [1]}}, "metadata": {"m": 1}},
    ],
}
MESSAGE = {
    "messageId": "m1",
    "role": "ROLE_AGENT",
    "contextId": "c1",
    "parts": [
        {"text": "a"},
        {"raw": "AAH/", "mediaType": "image/png", "filename": "a.png"},
        {"url": "https://x.example/a"},
        {"data": {"k": [1]}, "metadata": {"m": 1}},
    ],
}
TASK_V03 = {
    "id": "t1",
    "contextId": "c1",
    "status": {
        "state": "TASK_STATE_CANCELLED",
        "timestamp": "2025-01-02T03:04:05.678901Z",
        "message": MESSAGE_V03,
    },
    "artifacts": [{"artifactId": "a1", "name": "n", "description": "", "parts": [{"text": "out"}]}],
    "history": [MESSAGE_V03],
}
TASK = {
    "id": "t1",
    "contextId": "c1",
    "status": {
        "state": "TASK_STATE_CANCELED",
        "timestamp": "2025-01-02T03:04:05.678901Z",
        "message": MESSAGE,
    },
    "artifacts": [{"artifactId": "a1", "name": "n", "parts": [{"text": "out"}]}],
    "history": [MESSAGE],
}
PUSH_V03: Json = {
    "name": "tasks/t1/pushNotificationConfigs/p1",
    "pushNotificationConfig": {
        "id": "p1",
        "url": "https://me.example",
        "token": "",
        "authentication": {"schemes": ["Bearer"], "credentials": "abc"},
    },
}
PUSH = {
    "taskId": "t1",
    "id": "p1",
    "url": "https://me.example",
    "authentication": {"scheme": "Bearer", "credentials": "abc"},
}


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("GetTask", {"id": "t1"}, HttpRequest("GET", "/v1/tasks/t1", {})),
        (
            "GetTask",
            {"id": "t1", "historyLength": 2},
            HttpRequest("GET", "/v1/tasks/t1", {"historyLength": "2"}),
        ),
        ("GetTask", {"id": "../a b"}, HttpRequest("GET", "/v1/tasks/..%2Fa%20b", {})),
        ("CancelTask", {"id": "t1"}, HttpRequest("POST", "/v1/tasks/t1:cancel", {}, {})),
        ("SubscribeToTask", {"id": "t1"}, HttpRequest("GET", "/v1/tasks/t1:subscribe", {})),
        ("GetExtendedAgentCard", {}, HttpRequest("GET", "/v1/card", {})),
        (
            "GetTaskPushNotificationConfig",
            {"taskId": "t1", "id": "p1"},
            HttpRequest("GET", "/v1/tasks/t1/pushNotificationConfigs/p1", {}),
        ),
        (
            "DeleteTaskPushNotificationConfig",
            {"taskId": "t1", "id": "p1"},
            HttpRequest("DELETE", "/v1/tasks/t1/pushNotificationConfigs/p1", {}),
        ),
        (
            "ListTaskPushNotificationConfigs",
            {"taskId": "t1"},
            HttpRequest("GET", "/v1/tasks/t1/pushNotificationConfigs", {}),
        ),
    ],
)
def test_each_operation_has_its_verb_and_path(method: str, params: Json, expected: HttpRequest) -> None:
    assert request_to_v03(method, params) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [("SendMessage", "/v1/message:send"), ("SendStreamingMessage", "/v1/message:stream")],
)
def test_a_message_is_sent_in_the_protos_form(method: str, path: str) -> None:
    params = {
        "message": {**MESSAGE, "role": "ROLE_USER", "referenceTaskIds": ["t0"]},
        "configuration": {
            "returnImmediately": True,
            "taskPushNotificationConfig": {"url": "https://me.example"},
        },
        "metadata": {"k": "v"},
    }
    content = [dict(part) for part in MESSAGE_V03["content"]]
    content[2] = {"file": {"fileWithUri": "https://x.example/a"}}
    assert request_to_v03(method, params) == HttpRequest(
        "POST",
        path,
        {},
        {
            "message": {"messageId": "m1", "contextId": "c1", "role": "ROLE_USER", "content": content},
            "configuration": {"blocking": False, "pushNotification": {"url": "https://me.example"}},
            "metadata": {"k": "v"},
        },
    )


def test_a_push_config_is_sent_with_its_resource_names() -> None:
    request = request_to_v03("CreateTaskPushNotificationConfig", PUSH)
    inner = {key: item for key, item in PUSH_V03["pushNotificationConfig"].items() if key != "token"}
    assert request.path == "/v1/tasks/t1/pushNotificationConfigs"
    assert request.body == {
        "parent": "tasks/t1",
        "configId": "p1",
        "config": {"name": PUSH_V03["name"], "pushNotificationConfig": inner},
    }


def test_a_push_config_without_an_id_takes_the_tasks() -> None:
    request = request_to_v03(
        "CreateTaskPushNotificationConfig", {"taskId": "t1", "url": "https://me.example"}
    )
    assert request.body is not None
    assert request.body["configId"] == "t1"


@pytest.mark.parametrize("method", ["ListTasks", "Nonsense"])
def test_what_0_3_agents_do_not_serve_is_unsupported(method: str) -> None:
    with pytest.raises(UnsupportedOperation):
        request_to_v03(method, {})
    with pytest.raises(UnsupportedOperation):
        result_from_v03(method, {})


@pytest.mark.parametrize(
    ("method", "body", "result"),
    [
        ("SendMessage", {"task": TASK_V03}, {"task": TASK}),
        ("SendMessage", {"message": MESSAGE_V03}, {"message": MESSAGE}),
        ("SendMessage", {"msg": MESSAGE_V03}, {"message": MESSAGE}),
        ("GetTask", TASK_V03, TASK),
        ("CancelTask", TASK_V03, TASK),
        ("GetTaskPushNotificationConfig", PUSH_V03, PUSH),
        ("CreateTaskPushNotificationConfig", PUSH_V03, PUSH),
        ("ListTaskPushNotificationConfigs", {"configs": [PUSH_V03]}, {"configs": [PUSH]}),
        ("ListTaskPushNotificationConfigs", {}, {"configs": []}),
        ("DeleteTaskPushNotificationConfig", None, {}),
    ],
)
def test_answers_are_read(method: str, body: object, result: Json) -> None:
    assert result_from_v03(method, body) == result


def test_what_is_read_is_valid() -> None:
    SendMessageResponse.model_validate(result_from_v03("SendMessage", {"task": TASK_V03}))
    Task.model_validate(result_from_v03("GetTask", TASK_V03))
    TaskPushNotificationConfig.model_validate(result_from_v03("GetTaskPushNotificationConfig", PUSH_V03))


def test_status_events_are_read() -> None:
    event = {"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": TASK_V03["status"], "final": True}}
    read = stream_event_from_v03(event)
    assert read == {"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": TASK["status"]}}
    assert is_final(event)
    StreamResponse.model_validate(read)


def test_artifact_events_are_read() -> None:
    artifact = {"artifactId": "a1", "parts": [{"text": "out"}]}
    event = {"artifactUpdate": {"taskId": "t1", "contextId": "c1", "artifact": artifact, "append": True}}
    assert stream_event_from_v03(event) == event
    assert not is_final(event)
    StreamResponse.model_validate(stream_event_from_v03(event))


@pytest.mark.parametrize("event", [None, "x", {}, {"statusUpdate": 1}, {"statusUpdate": {"final": 1}}])
def test_what_does_not_say_final_is_not(event: object) -> None:
    assert not is_final(event)


@pytest.mark.parametrize(
    ("on_the_wire", "raw"),
    [
        (base64.b64encode(b"AAH/").decode(), "AAH/"),
        ("AAH/", "AAH/"),
        (
            base64.b64encode("not base64: é".encode()).decode(),
            base64.b64encode("not base64: é".encode()).decode(),
        ),
        ("", ""),
    ],
)
def test_file_bytes_are_read_in_base64_once_and_twice(on_the_wire: str, raw: str) -> None:
    message = {**MESSAGE_V03, "content": [{"file": {"fileWithBytes": on_the_wire}}]}
    assert result_from_v03("SendMessage", {"message": message})["message"]["parts"] == [{"raw": raw}]


def test_an_empty_status_message_is_none() -> None:
    task = {"id": "t1", "status": {"state": "TASK_STATE_WORKING", "update": {"role": "ROLE_AGENT"}}}
    assert result_from_v03("GetTask", task) == {"id": "t1", "status": {"state": "TASK_STATE_WORKING"}}


def test_a_role_that_is_not_said_is_the_agents() -> None:
    message = {"messageId": "m1", "content": [{"text": "a"}]}
    assert result_from_v03("SendMessage", {"message": message})["message"]["role"] == "ROLE_AGENT"


def test_snake_case_names_are_read() -> None:
    part = {"file": {"file_with_uri": "https://x.example", "mime_type": "a/b"}}
    message = {"message_id": "m1", "context_id": "c1", "role": "ROLE_AGENT", "content": [part]}
    read = result_from_v03("SendMessage", {"message": message})["message"]
    assert read["messageId"] == "m1"
    assert read["parts"] == [{"url": "https://x.example", "mediaType": "a/b"}]


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("SendMessage", 400, InvalidRequest),
        ("GetTask", 404, TaskNotFound),
        ("GetExtendedAgentCard", 404, ExtendedAgentCardNotConfigured),
        ("CancelTask", 409, TaskNotCancelable),
        ("SendMessage", 415, ContentTypeNotSupported),
        ("SendMessage", 422, InvalidParams),
        ("SendMessage", 500, InternalError),
        ("SendMessage", 501, UnsupportedOperation),
        ("CreateTaskPushNotificationConfig", 501, PushNotificationNotSupported),
        ("SendMessage", 502, InvalidAgentResponse),
    ],
)
def test_an_error_is_known_by_its_status(method: str, status: int, expected: type[ProtocolError]) -> None:
    error = error_from_v03(method, status, {"message": "why"})
    assert type(error) is expected
    assert error.detail == "why"


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, {"detail": "Not Found"}), (404, None), (404, []), (418, {"message": "x"}), (500, {"message": 1})],
)
def test_an_answer_that_is_no_0_3_error_is_none(status: int, body: object) -> None:
    assert error_from_v03("GetTask", status, body) is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"task": []},
        {"task": {"id": "t1"}},
        {"task": {"id": "t1", "status": {"state": "TASK_STATE_UNSPECIFIED"}}},
        {"task": {"id": "t1", "status": {"state": "TASK_STATE_WORKING", "message": 5}}},
        {"message": {"messageId": "m1", "content": "x"}},
        {"message": {"messageId": "m1", "content": [{}]}},
        {"message": {"messageId": "m1", "content": [{"file": {"fileWithBytes": 5}}]}},
        {"message": {"messageId": "m1", "content": [{"data": 5}]}},
        {"statusUpdate": {"status": {"state": "TASK_STATE_WORKING"}}},
        {"artifactUpdate": 7},
    ],
)
def test_a_bad_answer_is_refused(body: object) -> None:
    with pytest.raises(ShapeError):
        result_from_v03("SendMessage", body)


@pytest.mark.parametrize("name", [None, "", "tasks/t1", "tasks//pushNotificationConfigs/p"])
def test_a_push_config_without_a_resource_name_is_refused(name: object) -> None:
    with pytest.raises(ShapeError):
        result_from_v03("GetTaskPushNotificationConfig", {**PUSH_V03, "name": name})
