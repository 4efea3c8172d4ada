"""The JSON-RPC binding of 0.3 against 1.0, row by row and both ways."""

from typing import Any

import pytest
from pydantic import ValidationError

from a2a.compat.json_rpc import (
    METHOD_FROM_V03,
    METHOD_TO_V03,
    error_to_v03,
    request_from_v03,
    request_to_v03,
    result_from_v03,
    result_to_v03,
)
from a2a.compat.reading import ShapeError
from a2a.compat.shapes import (
    event_from_v03,
    event_to_v03,
    is_final,
    message_from_v03,
    message_to_v03,
    part_from_v03,
    part_to_v03,
    role_from_v03,
    state_from_v03,
    state_to_v03,
    task_from_v03,
    task_to_v03,
)
from a2a.errors import (
    WIRE,
    ExtensionSupportRequired,
    FieldViolation,
    InvalidParams,
    MethodNotFound,
    ProtocolError,
    TaskNotFound,
    UnsupportedOperation,
    VersionNotSupported,
    error_from_code,
)
from a2a.requests import (
    ListTaskPushNotificationConfigsResponse,
    SendMessageRequest,
    SendMessageResponse,
    TaskPushNotificationConfig,
)
from a2a.types import Message, Part, StreamResponse, Task, TaskState

Json = dict[str, Any]

HELLO = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
HELLO_V03 = {
    "kind": "message",
    "messageId": "m1",
    "role": "user",
    "parts": [{"kind": "text", "text": "hello"}],
}
TASK = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_WORKING"}}
TASK_V03 = {"kind": "task", "id": "t1", "contextId": "c1", "status": {"state": "working"}}
PUSH = {
    "taskId": "t1",
    "id": "p1",
    "url": "https://me.example/hook",
    "token": "secret",
    "authentication": {"scheme": "Bearer", "credentials": "abc"},
}
PUSH_V03 = {
    "taskId": "t1",
    "pushNotificationConfig": {
        "id": "p1",
        "url": "https://me.example/hook",
        "token": "secret",
        "authentication": {"schemes": ["Bearer"], "credentials": "abc"},
    },
}
CARD = {
    "name": "a",
    "description": "d",
    "version": "1",
    "supportedInterfaces": [
        {"url": "https://a.example", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"}
    ],
    "capabilities": {},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [],
}


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("SendMessage", "message/send"),
        ("SendStreamingMessage", "message/stream"),
        ("GetTask", "tasks/get"),
        ("CancelTask", "tasks/cancel"),
        ("SubscribeToTask", "tasks/resubscribe"),
        ("CreateTaskPushNotificationConfig", "tasks/pushNotificationConfig/set"),
        ("GetTaskPushNotificationConfig", "tasks/pushNotificationConfig/get"),
        ("ListTaskPushNotificationConfigs", "tasks/pushNotificationConfig/list"),
        ("DeleteTaskPushNotificationConfig", "tasks/pushNotificationConfig/delete"),
        ("GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"),
    ],
)
def test_each_method_has_its_old_name(new: str, old: str) -> None:
    assert METHOD_TO_V03[new] == old
    assert METHOD_FROM_V03[old] == new


def test_tasks_cannot_be_listed_at_a_0_3_agent() -> None:
    with pytest.raises(UnsupportedOperation):
        request_to_v03("ListTasks", {})


@pytest.mark.parametrize("method", ["tasks/list", "SendMessage", ""])
def test_a_method_that_0_3_does_not_have_is_not_found(method: str) -> None:
    with pytest.raises(MethodNotFound):
        request_from_v03(method, {})


@pytest.mark.parametrize(
    ("method", "params", "params_v03"),
    [
        ("GetTask", {"id": "t1", "historyLength": 3}, {"id": "t1", "historyLength": 3}),
        ("CancelTask", {"id": "t1", "metadata": {"a": 1}}, {"id": "t1", "metadata": {"a": 1}}),
        ("SubscribeToTask", {"id": "t1"}, {"id": "t1"}),
        ("CreateTaskPushNotificationConfig", PUSH, PUSH_V03),
        (
            "GetTaskPushNotificationConfig",
            {"taskId": "t1", "id": "p1"},
            {"id": "t1", "pushNotificationConfigId": "p1"},
        ),
        (
            "DeleteTaskPushNotificationConfig",
            {"taskId": "t1", "id": "p1"},
            {"id": "t1", "pushNotificationConfigId": "p1"},
        ),
    ],
)
def test_params_are_translated_both_ways(method: str, params: Json, params_v03: Json) -> None:
    assert request_to_v03(method, params) == (METHOD_TO_V03[method], params_v03)
    assert request_from_v03(METHOD_TO_V03[method], params_v03) == (method, params)


def test_listing_push_configs_takes_the_tasks_id_and_all_of_them() -> None:
    listing = "ListTaskPushNotificationConfigs"
    assert request_to_v03(listing, {"taskId": "t1", "pageSize": 5}) == (METHOD_TO_V03[listing], {"id": "t1"})
    assert request_from_v03(METHOD_TO_V03[listing], {"id": "t1"}) == (
        listing,
        {"taskId": "t1", "pageSize": 100},
    )


def test_the_extended_card_is_asked_for_without_params() -> None:
    assert request_to_v03("GetExtendedAgentCard", {"tenant": "x"}) == (
        "agent/getAuthenticatedExtendedCard",
        None,
    )
    assert request_from_v03("agent/getAuthenticatedExtendedCard", None) == ("GetExtendedAgentCard", {})


@pytest.mark.parametrize("returns", [True, False])
def test_a_send_request_is_translated_both_ways(returns: bool) -> None:
    config_v03 = PUSH_V03["pushNotificationConfig"]
    params: Json = {
        "message": HELLO,
        "metadata": {"trace": "x"},
        "configuration": {
            "acceptedOutputModes": ["text/plain"],
            "historyLength": 2,
            "returnImmediately": returns,
            "taskPushNotificationConfig": {key: item for key, item in PUSH.items() if key != "taskId"},
        },
    }
    params_v03 = {
        "message": HELLO_V03,
        "metadata": {"trace": "x"},
        "configuration": {
            "acceptedOutputModes": ["text/plain"],
            "historyLength": 2,
            "blocking": not returns,
            "pushNotificationConfig": config_v03,
        },
    }
    assert request_to_v03("SendMessage", params) == ("message/send", params_v03)
    assert request_from_v03("message/send", params_v03) == ("SendMessage", params)
    SendMessageRequest.model_validate(params)


def test_blocking_is_said_even_without_a_configuration() -> None:
    _, params = request_to_v03("SendMessage", {"message": HELLO, "tenant": "x"})
    assert params == {"message": HELLO_V03, "configuration": {"blocking": True}}


def test_a_0_3_caller_that_says_nothing_waits() -> None:
    _, params = request_from_v03("message/send", {"message": HELLO_V03, "configuration": {}})
    configuration = SendMessageRequest.model_validate(params).configuration
    assert configuration is not None
    assert not configuration.return_immediately


def test_a_history_of_zero_is_no_limit_in_0_3() -> None:
    assert request_from_v03("tasks/get", {"id": "t1", "historyLength": 0}) == ("GetTask", {"id": "t1"})


def test_snake_case_names_are_read() -> None:
    message = {
        "kind": "message",
        "message_id": "m1",
        "role": "user",
        "parts": [{"kind": "text", "text": "hello"}],
    }
    assert message_from_v03(message, "message") == HELLO


@pytest.mark.parametrize(
    ("part", "part_v03"),
    [
        ({"text": "a"}, {"kind": "text", "text": "a"}),
        ({"text": "a", "metadata": {"k": 1}}, {"kind": "text", "text": "a", "metadata": {"k": 1}}),
        (
            {"raw": "AAE=", "mediaType": "image/png", "filename": "a.png"},
            {"kind": "file", "file": {"bytes": "AAE=", "mimeType": "image/png", "name": "a.png"}},
        ),
        (
            {"url": "https://x.example/a", "mediaType": "image/png"},
            {"kind": "file", "file": {"uri": "https://x.example/a", "mimeType": "image/png"}},
        ),
        ({"data": {"a": [1, None]}}, {"kind": "data", "data": {"a": [1, None]}}),
        (
            {"data": [1, 2]},
            {"kind": "data", "data": {"value": [1, 2]}, "metadata": {"data_part_compat": True}},
        ),
        (
            {"data": False, "metadata": {"k": 1}},
            {"kind": "data", "data": {"value": False}, "metadata": {"k": 1, "data_part_compat": True}},
        ),
        (
            {"text": "# a", "mediaType": "text/markdown"},
            {"kind": "text", "text": "# a", "metadata": {"media_type_compat": "text/markdown"}},
        ),
        (
            {"text": "é", "mediaType": "text/csv", "filename": "a.csv"},
            {
                "kind": "file",
                "file": {"bytes": "w6k=", "mimeType": "text/csv", "name": "a.csv"},
                "metadata": {"text_part_compat": True},
            },
        ),
        (
            {"data": {}, "mediaType": "application/json", "filename": "a.json"},
            {
                "kind": "data",
                "data": {},
                "metadata": {"media_type_compat": "application/json", "filename_compat": "a.json"},
            },
        ),
    ],
)
def test_each_part_is_translated_both_ways(part: Json, part_v03: Json) -> None:
    assert part_to_v03(part) == part_v03
    assert part_from_v03(part_v03, "part") == part
    Part.model_validate(part)


@pytest.mark.parametrize(
    ("part_v03", "part"),
    [
        ({"text": "no kind"}, {"text": "no kind"}),
        ({"type": "text", "text": "a draft's kind"}, {"text": "a draft's kind"}),
        ({"kind": "text", "text": "a", "metadata": None}, {"text": "a"}),
        ({"kind": "data", "data": [1]}, {"data": [1]}),
        (
            {"kind": "data", "data": {"value": None}, "metadata": {"data_part_compat": True}},
            {"data": {"value": None}},
        ),
        ({"kind": "file", "file": {"bytes": "AA\nE=\n", "mimeType": None}}, {"raw": "AAE="}),
        (
            {
                "kind": "file",
                "file": {"bytes": "/w==", "mime_type": "a/b"},
                "metadata": {"text_part_compat": True},
            },
            {"raw": "/w==", "mediaType": "a/b"},
        ),
    ],
)
def test_parts_are_read_with_tolerance(part_v03: Json, part: Json) -> None:
    assert part_from_v03(part_v03, "part") == part
    Part.model_validate(part)


@pytest.mark.parametrize("state", list(TaskState))
def test_each_state_has_its_old_word(state: TaskState) -> None:
    word = state_to_v03(state.value)
    assert word == state.name.lower().replace("_", "-")
    assert state_from_v03(word, "state") == state.value


def test_canceled_is_read_in_both_spellings() -> None:
    for word in ("canceled", "cancelled", "TASK_STATE_CANCELLED", "TASK_STATE_CANCELED"):
        assert state_from_v03(word, "state") == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("word", ["unknown", "TASK_STATE_UNSPECIFIED", "", None, 3, ["working"]])
def test_a_state_that_1_0_does_not_have_is_refused(word: object) -> None:
    with pytest.raises(ShapeError) as caught:
        task_from_v03({**TASK_V03, "status": {"state": word}}, "result")
    assert caught.value.field == "result.status.state"


@pytest.mark.parametrize(("role", "word"), [("ROLE_USER", "user"), ("ROLE_AGENT", "agent")])
def test_each_role_has_its_old_word(role: str, word: str) -> None:
    assert message_to_v03({**HELLO, "role": role})["role"] == word
    assert role_from_v03(word, "role") == role


MESSAGE = {
    "messageId": "m1",
    "role": "ROLE_AGENT",
    "contextId": "c1",
    "taskId": "t1",
    "parts": [{"text": "which?"}],
    "metadata": {"k": "v"},
    "extensions": ["https://x.example/ext"],
    "referenceTaskIds": ["t0"],
}
MESSAGE_V03 = {
    **MESSAGE,
    "kind": "message",
    "role": "agent",
    "parts": [{"kind": "text", "text": "which?"}],
}
ARTIFACT = {
    "artifactId": "a1",
    "name": "n",
    "description": "d",
    "metadata": {"k": "v"},
    "extensions": ["https://x.example/ext"],
    "parts": [{"text": "out"}],
}
ARTIFACT_V03 = {**ARTIFACT, "parts": [{"kind": "text", "text": "out"}]}
FULL_TASK = {
    "id": "t1",
    "contextId": "c1",
    "metadata": {"k": "v"},
    "status": {
        "state": "TASK_STATE_INPUT_REQUIRED",
        "timestamp": "2025-01-02T03:04:05.678Z",
        "message": MESSAGE,
    },
    "artifacts": [ARTIFACT],
    "history": [HELLO, MESSAGE],
}
FULL_TASK_V03 = {
    "kind": "task",
    "id": "t1",
    "contextId": "c1",
    "metadata": {"k": "v"},
    "status": {
        "state": "input-required",
        "timestamp": "2025-01-02T03:04:05.678Z",
        "message": MESSAGE_V03,
    },
    "artifacts": [ARTIFACT_V03],
    "history": [HELLO_V03, MESSAGE_V03],
}
STATUS_EVENT = {
    "statusUpdate": {
        "taskId": "t1",
        "contextId": "c1",
        "status": FULL_TASK["status"],
        "metadata": {"k": "v"},
    }
}
STATUS_EVENT_V03 = {
    "kind": "status-update",
    "taskId": "t1",
    "contextId": "c1",
    "status": FULL_TASK_V03["status"],
    "metadata": {"k": "v"},
    "final": True,
}
ARTIFACT_EVENT = {
    "artifactUpdate": {
        "taskId": "t1",
        "contextId": "c1",
        "artifact": ARTIFACT,
        "append": True,
        "lastChunk": False,
        "metadata": {"k": "v"},
    }
}
ARTIFACT_EVENT_V03 = {
    "kind": "artifact-update",
    "taskId": "t1",
    "contextId": "c1",
    "artifact": ARTIFACT_V03,
    "append": True,
    "lastChunk": False,
    "metadata": {"k": "v"},
}


@pytest.mark.parametrize(
    ("event", "event_v03"),
    [
        ({"task": FULL_TASK}, FULL_TASK_V03),
        ({"message": MESSAGE}, MESSAGE_V03),
        (STATUS_EVENT, STATUS_EVENT_V03),
        (ARTIFACT_EVENT, ARTIFACT_EVENT_V03),
    ],
)
def test_each_event_is_translated_both_ways(event: Json, event_v03: Json) -> None:
    assert event_to_v03(event) == event_v03
    assert event_from_v03(event_v03) == event
    assert event_from_v03({key: item for key, item in event_v03.items() if key != "kind"}) == event
    assert StreamResponse.model_validate(event).to_json() == event


@pytest.mark.parametrize("state", list(TaskState))
def test_final_is_said_where_the_turn_ends(state: TaskState) -> None:
    update = {"taskId": "t1", "contextId": "c1", "status": {"state": state.value}}
    event = event_to_v03({"statusUpdate": update})
    assert event["final"] is is_final(event) is (state.is_terminal or state.is_interrupted)


@pytest.mark.parametrize("event", [None, [], {}, {"final": "true"}, TASK_V03])
def test_what_does_not_say_final_is_not(event: object) -> None:
    assert not is_final(event)


def test_a_task_without_a_context_has_an_empty_one_in_0_3() -> None:
    task = {"id": "t1", "status": {"state": "TASK_STATE_WORKING"}}
    assert task_to_v03(task)["contextId"] == ""
    assert task_from_v03(task_to_v03(task), "task") == task


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-01-02T03:04:05.678901+00:00", "2025-01-02T03:04:05.678Z"),
        ("2025-01-02T05:04:05+02:00", "2025-01-02T03:04:05.000Z"),
        ("2025-01-02T03:04:05.678901234Z", "2025-01-02T03:04:05.678Z"),
        ("2025-01-02T03:04:05", "2025-01-02T03:04:05.000Z"),
    ],
)
def test_timestamps_of_0_3_agents_are_read(written: str, read: str) -> None:
    task = task_from_v03({**TASK_V03, "status": {"state": "working", "timestamp": written}}, "task")
    assert Task.model_validate(task).to_json()["status"]["timestamp"] == read


def test_a_chunk_without_parts_is_an_empty_text() -> None:
    event = event_from_v03({**ARTIFACT_EVENT_V03, "artifact": {"artifactId": "a1", "parts": []}})
    assert event["artifactUpdate"]["artifact"]["parts"] == [{"text": ""}]
    StreamResponse.model_validate(event)


def test_nulls_and_unknown_fields_are_passed_over() -> None:
    task = task_from_v03({**TASK_V03, "history": None, "artifacts": None, "metadata": None, "x": 1}, "task")
    assert task == TASK


@pytest.mark.parametrize(
    ("method", "result", "result_v03"),
    [
        ("SendMessage", {"task": FULL_TASK}, FULL_TASK_V03),
        ("SendMessage", {"message": MESSAGE}, MESSAGE_V03),
        ("GetTask", FULL_TASK, FULL_TASK_V03),
        ("CancelTask", TASK, TASK_V03),
        ("CreateTaskPushNotificationConfig", PUSH, PUSH_V03),
        ("GetTaskPushNotificationConfig", PUSH, PUSH_V03),
        ("ListTaskPushNotificationConfigs", {"configs": [PUSH]}, [PUSH_V03]),
        ("ListTaskPushNotificationConfigs", {"configs": []}, []),
        ("DeleteTaskPushNotificationConfig", {}, None),
    ],
)
def test_results_are_unwrapped_and_wrapped(method: str, result: Json, result_v03: object) -> None:
    assert result_to_v03(METHOD_TO_V03[method], result) == result_v03
    assert result_from_v03(method, result_v03) == result


def test_the_extended_card_is_translated_both_ways() -> None:
    card_v03 = result_to_v03("agent/getAuthenticatedExtendedCard", CARD)
    assert isinstance(card_v03, dict)
    assert card_v03["url"] == "https://a.example"
    assert result_from_v03("GetExtendedAgentCard", card_v03) == CARD


def test_the_translated_results_are_valid() -> None:
    SendMessageResponse.model_validate(result_from_v03("SendMessage", FULL_TASK_V03))
    Task.model_validate(result_from_v03("GetTask", FULL_TASK_V03))
    TaskPushNotificationConfig.model_validate(result_from_v03("GetTaskPushNotificationConfig", PUSH_V03))
    listed = result_from_v03("ListTaskPushNotificationConfigs", [PUSH_V03])
    ListTaskPushNotificationConfigsResponse.model_validate(listed)


def test_an_event_is_no_answer_to_a_send() -> None:
    with pytest.raises(ShapeError):
        result_from_v03("SendMessage", STATUS_EVENT_V03)


def test_a_push_config_asked_for_without_an_id_is_the_first_of_the_list() -> None:
    getting = "tasks/pushNotificationConfig/get"
    method, params = request_from_v03(getting, {"id": "t1"})
    assert (method, params["taskId"]) == ("ListTaskPushNotificationConfigs", "t1")
    assert result_to_v03(getting, {"configs": [PUSH, {**PUSH, "id": "p2"}]}) == PUSH_V03
    with pytest.raises(TaskNotFound):
        result_to_v03(getting, {"configs": []})


def test_of_several_push_schemes_the_first_is_kept() -> None:
    config = {"url": "https://x.example", "authentication": {"schemes": ["Basic", "Bearer"]}}
    result = result_from_v03(
        "GetTaskPushNotificationConfig", {"taskId": "t1", "pushNotificationConfig": config}
    )
    assert result["authentication"] == {"scheme": "Basic"}


def test_a_push_config_without_a_scheme_has_no_authentication() -> None:
    config = {"url": "https://x.example", "id": "", "authentication": {"schemes": []}}
    result = result_from_v03(
        "GetTaskPushNotificationConfig", {"taskId": "t1", "pushNotificationConfig": config}
    )
    assert result == {"taskId": "t1", "url": "https://x.example"}


@pytest.mark.parametrize("error", [error for error in WIRE if WIRE[error].rpc_code not in (-32008, -32009)])
def test_an_error_keeps_its_code_and_loses_its_details(error: type[ProtocolError]) -> None:
    content = error_to_v03(error("why"))
    assert content == {"code": WIRE[error].rpc_code, "message": "why"}
    assert type(error_from_code(content["code"], content["message"])) is error


@pytest.mark.parametrize("error", [ExtensionSupportRequired, VersionNotSupported])
def test_an_error_that_0_3_does_not_have_is_an_unsupported_operation(error: type[ProtocolError]) -> None:
    assert error_to_v03(error())["code"] == -32004


def test_the_fields_that_are_wrong_are_named() -> None:
    error = InvalidParams(violations=[FieldViolation("message.parts", "is empty")])
    fields = [{"field": "message.parts", "description": "is empty"}]
    assert error_to_v03(error)["data"] == {"fieldViolations": fields}


@pytest.mark.parametrize(
    ("params", "at"),
    [
        (None, "params"),
        ([], "params"),
        ({}, "message"),
        ({"message": "hi"}, "message"),
        ({"message": {**HELLO_V03, "parts": []}}, "message.parts"),
        ({"message": {**HELLO_V03, "parts": {"a": 1}}}, "message.parts"),
        ({"message": {**HELLO_V03, "parts": ["hi"]}}, "message.parts.0"),
        ({"message": {**HELLO_V03, "parts": [{}]}}, "message.parts.0"),
        ({"message": {**HELLO_V03, "parts": [{"kind": ["text"]}]}}, "message.parts.0"),
        ({"message": {**HELLO_V03, "parts": [{"kind": "file", "file": {}}]}}, "message.parts.0.file"),
        ({"message": {**HELLO_V03, "role": "system"}}, "message.role"),
        ({"message": {**HELLO_V03, "role": {}}}, "message.role"),
        ({"message": HELLO_V03, "configuration": []}, "configuration"),
        ({"message": HELLO_V03, "configuration": {"blocking": "no"}}, "configuration.blocking"),
        (
            {"message": HELLO_V03, "configuration": {"pushNotificationConfig": 1}},
            "configuration.pushNotificationConfig",
        ),
    ],
)
def test_a_bad_send_request_names_its_field(params: object, at: str) -> None:
    with pytest.raises(ShapeError) as caught:
        request_from_v03("message/send", params)
    assert caught.value.field == at


def test_what_the_translation_lets_through_the_models_refuse() -> None:
    _, params = request_from_v03("message/send", {"message": {**HELLO_V03, "messageId": 1}})
    with pytest.raises(ValidationError):
        SendMessageRequest.model_validate(params)


def test_a_message_of_ours_goes_through_both_translations() -> None:
    message = Message.from_user(Part.from_bytes(b"\x00\xff", "image/png", "a.png"), Part.from_data([1]))
    back = message_from_v03(message_to_v03(message.to_json()), "message")
    assert Message.model_validate(back) == message
