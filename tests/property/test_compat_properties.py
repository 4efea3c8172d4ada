"""What 0.3 can carry comes back from it as it went, and no JSON breaks the translation in an unknown way."""

import copy
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from a2a.card_types import AgentCard
from a2a.compat import json_rpc, rest
from a2a.compat.card import card_from_v03, card_to_v03, dual_card, is_v03_card
from a2a.compat.shapes import event_from_v03, event_to_v03, is_final, message_from_v03, message_to_v03
from a2a.errors import A2AError
from a2a.requests import SendMessageRequest, TaskPushNotificationConfig
from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

Json = dict[str, Any]

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
WORD = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
SCALAR = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)
# Empty metadata is not told from none where a note of ours goes with it.
METADATA = st.none() | st.dictionaries(WORD, JSON, min_size=1, max_size=2)
NAME = st.none() | WORD
PART = st.one_of(
    st.builds(Part, text=TEXT, media_type=NAME, filename=NAME, metadata=METADATA),
    st.builds(Part, raw=st.binary(max_size=8), media_type=NAME, filename=NAME, metadata=METADATA),
    st.builds(Part, url=WORD, media_type=NAME, filename=NAME, metadata=METADATA),
    st.builds(
        Part,
        data=JSON.filter(lambda value: value is not None),
        media_type=NAME,
        filename=NAME,
        metadata=METADATA,
    ),
)
PARTS = st.lists(PART, min_size=1, max_size=3)
MESSAGE = st.builds(
    Message,
    message_id=WORD,
    role=st.sampled_from(Role),
    parts=PARTS,
    context_id=NAME,
    task_id=NAME,
    metadata=METADATA,
    extensions=st.none() | st.lists(WORD, max_size=2),
)
TIME = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 the next line says UTC
    lambda value: value.replace(tzinfo=UTC, microsecond=value.microsecond // 1000 * 1000)
)
STATUS = st.builds(
    TaskStatus,
    state=st.sampled_from(TaskState),
    message=st.none() | MESSAGE,
    timestamp=st.none() | TIME,
)
ARTIFACT = st.builds(Artifact, artifact_id=WORD, parts=PARTS, name=NAME, description=NAME, metadata=METADATA)
TASK = st.builds(
    Task,
    id=WORD,
    context_id=NAME,
    status=STATUS,
    artifacts=st.none() | st.lists(ARTIFACT, max_size=2),
    history=st.none() | st.lists(MESSAGE, max_size=2),
    metadata=METADATA,
)
EVENT = st.one_of(
    st.builds(StreamResponse, task=TASK),
    st.builds(StreamResponse, message=MESSAGE),
    st.builds(
        StreamResponse,
        status_update=st.builds(
            TaskStatusUpdateEvent, task_id=WORD, context_id=WORD, status=STATUS, metadata=METADATA
        ),
    ),
    st.builds(
        StreamResponse,
        artifact_update=st.builds(
            TaskArtifactUpdateEvent,
            task_id=WORD,
            context_id=WORD,
            artifact=ARTIFACT,
            append=st.none() | st.booleans(),
            last_chunk=st.none() | st.booleans(),
            metadata=METADATA,
        ),
    ),
)
# A slash ends an id inside of a resource name.
RESOURCE_ID = WORD.filter(lambda value: "/" not in value)
PUSH = st.builds(
    lambda task_id, config_id, url, token, scheme, credentials: TaskPushNotificationConfig.model_validate(
        {
            "taskId": task_id,
            "id": config_id,
            "url": url,
            "token": token,
            "authentication": scheme and {"scheme": scheme, "credentials": credentials},
        }
    ),
    RESOURCE_ID,
    RESOURCE_ID,
    WORD,
    NAME,
    NAME,
    NAME,
)

SOME_MESSAGE: Json = {
    "kind": "message",
    "messageId": "m1",
    "role": "user",
    "contextId": "c1",
    "parts": [
        {"kind": "text", "text": "a", "metadata": {"media_type_compat": "a/b"}},
        {
            "kind": "file",
            "file": {"bytes": "AAE=", "mimeType": "a/b"},
            "metadata": {"text_part_compat": True},
        },
        {"kind": "file", "file": {"uri": "https://x.example"}},
        {"kind": "data", "data": {"value": 1}, "metadata": {"data_part_compat": True}},
    ],
}
SOME_STATUS: Json = {
    "state": "working",
    "timestamp": "2025-01-02T03:04:05.678901+00:00",
    "message": SOME_MESSAGE,
}
SOME_ARTIFACT: Json = {"artifactId": "a1", "parts": SOME_MESSAGE["parts"]}
SOME_PUSH: Json = {
    "id": "p1",
    "url": "https://x.example",
    "authentication": {"schemes": ["Bearer"], "credentials": "x"},
}
SOME_EVENTS: list[Json] = [
    SOME_MESSAGE,
    {"kind": "task", "id": "t1", "contextId": "c1", "status": SOME_STATUS, "artifacts": [SOME_ARTIFACT]},
    {"kind": "status-update", "taskId": "t1", "contextId": "c1", "status": SOME_STATUS, "final": True},
    {"kind": "artifact-update", "taskId": "t1", "contextId": "c1", "artifact": SOME_ARTIFACT, "append": True},
]
SOME_PARAMS: Json = {
    "id": "t1",
    "taskId": "t1",
    "pushNotificationConfigId": "p1",
    "pushNotificationConfig": SOME_PUSH,
    "historyLength": 1,
    "message": SOME_MESSAGE,
    "configuration": {"blocking": True, "historyLength": 1, "pushNotificationConfig": SOME_PUSH},
}
SOME_PROTO_MESSAGE: Json = {
    "messageId": "m1",
    "role": "ROLE_AGENT",
    "content": [
        {"text": "a"},
        {"file": {"fileWithBytes": "QUFFPQ==", "mimeType": "a/b"}},
        {"file": {"fileWithUri": "https://x.example"}},
        {"data": {"data": {"k": 1}}},
    ],
}
SOME_PROTO_STATUS: Json = {"state": "TASK_STATE_WORKING", "message": SOME_PROTO_MESSAGE}
SOME_PROTO: list[Json] = [
    {"task": {"id": "t1", "status": SOME_PROTO_STATUS, "history": [SOME_PROTO_MESSAGE]}},
    {"message": SOME_PROTO_MESSAGE},
    {"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": SOME_PROTO_STATUS}},
    {"artifactUpdate": {"taskId": "t1", "artifact": {"artifactId": "a1", "parts": [{"text": "a"}]}}},
    {"configs": [{"name": "tasks/t1/pushNotificationConfigs/p1", "pushNotificationConfig": SOME_PUSH}]},
]
SOME_CARD: Json = {
    "protocolVersion": "0.3.0",
    "name": "a",
    "description": "d",
    "version": "1",
    "url": "https://a.example",
    "preferredTransport": "JSONRPC",
    "additionalInterfaces": [{"url": "https://a.example/rest", "transport": "HTTP+JSON"}],
    "provider": {"organization": "Us", "url": "https://us.example"},
    "capabilities": {"streaming": True},
    "supportsAuthenticatedExtendedCard": True,
    "defaultInputModes": ["text"],
    "defaultOutputModes": ["text"],
    "skills": [{"id": "s", "name": "s", "description": "d", "tags": ["t"], "security": [{"o": ["x"]}]}],
    "security": [{"o": ["x"]}],
    "securitySchemes": {
        "o": {
            "type": "oauth2",
            "flows": {"clientCredentials": {"tokenUrl": "https://id.example", "scopes": {"x": "y"}}},
        },
        "k": {"type": "apiKey", "in": "header", "name": "X-Key"},
    },
}


@st.composite
def _damaged(draw: st.DrawFn, documents: list[Json]) -> Any:
    """A good document with anything in one of its places."""
    document: Any = {"": copy.deepcopy(draw(st.sampled_from(documents)))}
    place: Any = document
    key: Any = ""
    while isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 4)):
        place = place[key]
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = draw(JSON | st.sampled_from(["", 0, -1, 1e400, [], {}, [[]], [{}], {"": {}}]))
    return document[""]


@given(EVENT)
def test_events_come_back_from_json_rpc_as_they_went(event: StreamResponse) -> None:
    sent = json.loads(json.dumps(event_to_v03(event.to_json())))
    assert StreamResponse.model_validate(event_from_v03(sent)) == event


@given(MESSAGE, st.none() | st.lists(WORD, max_size=2))
def test_messages_come_back_from_json_rpc_as_they_went(
    message: Message, references: list[str] | None
) -> None:
    message = message.model_copy(update={"reference_task_ids": references})
    back = message_from_v03(message_to_v03(message.to_json()), "message")
    assert Message.model_validate(back) == message


@given(MESSAGE)
def test_messages_come_back_from_the_proto_form_as_they_went(message: Message) -> None:
    request = rest.request_to_v03("SendMessage", {"message": message.to_json()})
    assert request.body is not None
    sent = json.loads(json.dumps(request.body["message"]))
    back = Message.model_validate(rest.result_from_v03("SendMessage", {"message": sent})["message"])
    # The proto does not tell no extensions from an empty list.
    assert back.model_copy(update={"extensions": back.extensions or []}) == message.model_copy(
        update={"extensions": message.extensions or []}
    )


@given(MESSAGE, PUSH, st.booleans(), st.none() | st.integers(1, 100))
def test_requests_come_back_as_they_went(
    message: Message, push: TaskPushNotificationConfig, returns: bool, length: int | None
) -> None:
    request = SendMessageRequest.model_validate(
        {
            "message": message,
            "configuration": {
                "returnImmediately": returns,
                "historyLength": length,
                "taskPushNotificationConfig": push.model_copy(update={"task_id": None}),
            },
        }
    )
    method, params = json_rpc.request_from_v03(*json_rpc.request_to_v03("SendMessage", request.to_json()))
    assert method == "SendMessage"
    assert SendMessageRequest.model_validate(params) == request


@given(PUSH)
def test_push_configs_come_back_from_both_bindings_as_they_went(push: TaskPushNotificationConfig) -> None:
    creating = "CreateTaskPushNotificationConfig"
    over_rpc = json_rpc.result_to_v03(json_rpc.METHOD_TO_V03[creating], push.to_json())
    assert TaskPushNotificationConfig.model_validate(json_rpc.result_from_v03(creating, over_rpc)) == push
    request = rest.request_to_v03(creating, push.to_json())
    assert request.body is not None
    over_http = rest.result_from_v03(creating, request.body["config"])
    assert TaskPushNotificationConfig.model_validate(over_http) == push


@given(_damaged(SOME_EVENTS))
def test_a_damaged_answer_is_read_or_refused(answer: Any) -> None:
    is_final(answer)
    with suppress(ValueError, A2AError):
        StreamResponse.model_validate(event_from_v03(answer))
    for method in (*json_rpc.METHOD_TO_V03, "ListTasks"):
        with suppress(ValueError, A2AError):
            json_rpc.result_from_v03(method, answer)


@given(_damaged([SOME_PARAMS]))
def test_damaged_params_are_read_or_refused(params: Any) -> None:
    for method in json_rpc.METHOD_FROM_V03:
        with suppress(ValueError, A2AError):
            name, translated = json_rpc.request_from_v03(method, params)
            if name == "SendMessage":
                SendMessageRequest.model_validate(translated)


@given(_damaged(SOME_PROTO))
def test_a_damaged_answer_over_http_is_read_or_refused(answer: Any) -> None:
    rest.is_final(answer)
    rest.error_from_v03("GetTask", 404, answer)
    with suppress(ValueError, A2AError):
        StreamResponse.model_validate(rest.stream_event_from_v03(answer))
    for method in json_rpc.METHOD_TO_V03:
        for body in (answer, answer.get("task") if isinstance(answer, dict) else None):
            with suppress(ValueError, A2AError):
                rest.result_from_v03(method, body)


@given(_damaged([SOME_CARD, card_from_v03(SOME_CARD)]))
def test_a_damaged_card_is_read_or_refused(card: Any) -> None:
    is_v03_card(card)
    with suppress(ValueError):
        AgentCard.model_validate(card_from_v03(card))


@given(_damaged([SOME_CARD]))
def test_a_card_that_is_read_has_its_old_keys_again(card: Any) -> None:
    try:
        read = AgentCard.model_validate(card_from_v03(card)).to_json()
    except ValueError:
        return
    if all(item["protocolVersion"].startswith("0.") for item in read["supportedInterfaces"]):
        again = AgentCard.model_validate(card_from_v03(card_to_v03(read))).to_json()
        for interface in read["supportedInterfaces"]:
            interface["protocolVersion"] = "0.3"
        assert again == read
        assert AgentCard.model_validate(dual_card(read)).to_json() == read
