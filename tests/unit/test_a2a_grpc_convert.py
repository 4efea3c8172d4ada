"""Models to protobuf messages and back: nothing is lost but what protobuf has no word for."""

import importlib
import inspect
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2, timestamp_pb2
from google.protobuf.message import Message as ProtoMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import a2a.grpc
from a2a import card_types, requests, types
from a2a.card_types import AgentCard
from a2a.grpc.convert import MAX_WHOLE, decode, encode, plain
from a2a.grpc.generated import a2a_pb2
from a2a.requests import (
    GetTaskRequest,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageConfiguration,
    SendMessageRequest,
)
from a2a.types import (
    Artifact,
    Json,
    Message,
    Part,
    Role,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
    WireModel,
)

# Bases of ours that the protocol has no message for.
OURS = {"WireModel", "TenantRequest", "Empty"}
MODELS = {
    name: model
    for module in (types, requests, card_types)
    for name, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, WireModel) and not name.startswith("_") and name not in OURS
}
CARD: dict[str, Any] = {
    "name": "Cartographer",
    "description": "Draws maps.",
    "version": "1.0.0",
    "supportedInterfaces": [{"url": "maps:443", "protocolBinding": "GRPC", "protocolVersion": "1.0"}],
    "capabilities": {
        "streaming": False,
        "extensions": [{"uri": "https://example.org/e", "required": True, "params": {"depth": 3}}],
    },
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": [],
    "skills": [
        {
            "id": "draw",
            "name": "Draw",
            "description": "Draws.",
            "tags": [],
            "securityRequirements": [{"schemes": {"key": {}, "oauth": {"list": ["write"]}}}],
        }
    ],
    "securitySchemes": {
        "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
        "oauth": {
            "oauth2SecurityScheme": {
                "flows": {"clientCredentials": {"tokenUrl": "https://i/t", "scopes": {"write": "Writes."}}}
            }
        },
        "mtls": {"mtlsSecurityScheme": {}},
    },
    "signatures": [{"protected": "eyJ9", "signature": "c2ln", "header": {"kid": "1"}}],
    "iconUrl": "",
}

text = st.text(max_size=20)
word = st.text(min_size=1, max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_WHOLE, MAX_WHOLE)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | text,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(text, below, max_size=3),
    max_leaves=8,
)
metadata = st.none() | st.dictionaries(text, json_values, max_size=3)
words = st.none() | st.lists(text, min_size=1, max_size=3)
contents = st.one_of(
    st.fixed_dictionaries({"text": text}),
    st.fixed_dictionaries({"raw": st.binary(max_size=20)}),
    st.fixed_dictionaries({"url": text}),
    st.fixed_dictionaries({"data": json_values.filter(lambda value: value is not None)}),
)
optional = st.none() | word
parts = st.builds(
    lambda content, **rest: Part(**content, **rest),
    contents,
    media_type=optional,
    filename=optional,
    metadata=metadata,
)
some_parts = st.lists(parts, min_size=1, max_size=3)
messages = st.builds(
    Message,
    message_id=word,
    role=st.sampled_from(Role),
    parts=some_parts,
    context_id=optional,
    task_id=optional,
    metadata=metadata,
    extensions=words,
    reference_task_ids=words,
)
artifacts = st.builds(
    Artifact,
    artifact_id=word,
    parts=some_parts,
    name=optional,
    description=optional,
    metadata=metadata,
    extensions=words,
)
times = st.none() | st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 the zone is drawn
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 the zone is drawn
    timezones=st.just(UTC),
)
statuses = st.builds(
    TaskStatus, state=st.sampled_from(TaskState), message=st.none() | messages, timestamp=times
)
tasks = st.builds(
    Task,
    id=word,
    context_id=optional,
    status=statuses,
    artifacts=st.none() | st.lists(artifacts, min_size=1, max_size=2),
    history=st.none() | st.lists(messages, min_size=1, max_size=2),
    metadata=metadata,
)
# False is what a message says by saying nothing.
flags = st.sampled_from([None, True])
events = st.one_of(
    st.builds(StreamResponse, task=tasks),
    st.builds(StreamResponse, message=messages),
    st.builds(
        StreamResponse,
        status_update=st.builds(
            TaskStatusUpdateEvent, task_id=text, context_id=text, status=statuses, metadata=metadata
        ),
    ),
    st.builds(
        StreamResponse,
        artifact_update=st.builds(
            TaskArtifactUpdateEvent,
            task_id=text,
            context_id=text,
            artifact=artifacts,
            append=flags,
            last_chunk=flags,
            metadata=metadata,
        ),
    ),
)
sends = st.builds(
    SendMessageRequest,
    tenant=optional,
    message=messages,
    configuration=st.none()
    | st.builds(
        SendMessageConfiguration,
        accepted_output_modes=words,
        history_length=st.none() | st.integers(0, 2**31 - 1),
        return_immediately=st.booleans(),
    ),
    metadata=metadata,
)


def message_of(model: type[WireModel], data: bytes) -> ProtoMessage:
    message: ProtoMessage = getattr(a2a_pb2, model.__name__)()
    message.ParseFromString(data)
    return message


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_has_the_fields_of_its_message_under_their_names(name: str) -> None:
    message = getattr(a2a_pb2, name).DESCRIPTOR
    fields = MODELS[name].model_fields
    assert set(fields) == {field.name for field in message.fields}
    assert {info.alias for info in fields.values()} == {field.camelcase_name for field in message.fields}


def test_every_message_has_its_model() -> None:
    assert set(a2a_pb2.DESCRIPTOR.message_types_by_name) == set(MODELS)


@pytest.mark.parametrize(
    ("enum", "model"), [(a2a_pb2.Role, Role), (a2a_pb2.TaskState, TaskState)], ids=["role", "state"]
)
def test_an_enum_has_the_names_of_the_proto(enum: Any, model: Any) -> None:
    assert {name for name in enum.keys() if not name.endswith("_UNSPECIFIED")} == set(model)  # noqa: SIM118


@settings(max_examples=200, deadline=None)
@given(events)
def test_an_event_comes_back_as_it_was(event: StreamResponse) -> None:
    assert decode(StreamResponse, encode(event)) == event


@settings(max_examples=200, deadline=None)
@given(sends)
def test_a_request_comes_back_as_it_was(request: SendMessageRequest) -> None:
    assert decode(SendMessageRequest, encode(request)) == request


@settings(max_examples=100, deadline=None)
@given(tasks)
def test_a_message_says_what_the_json_of_its_model_says(task: Task) -> None:
    """5.5: JSON is the ProtoJSON of the same message. Times are cut to milliseconds there only."""
    seen = json_format.MessageToDict(message_of(Task, encode(task)))
    expected = json_format.MessageToDict(json_format.ParseDict(task.to_json(), a2a_pb2.Task()))
    for status in (seen["status"], expected["status"]):
        status.pop("timestamp", None)
    assert seen == expected


def test_a_card_comes_back_as_it_was() -> None:
    card = AgentCard.model_validate(CARD)
    assert decode(AgentCard, encode(card)).to_json() == CARD


def test_what_an_answer_must_have_is_there_though_the_wire_left_it_out() -> None:
    empty = ListTasksResponse(tasks=[], next_page_token="", page_size=0, total_size=0)
    assert encode(empty) == b""
    assert decode(ListTasksResponse, b"") == empty


def test_no_history_and_no_word_on_history_are_two_things() -> None:
    none = GetTaskRequest(id="t", history_length=0)
    assert decode(GetTaskRequest, encode(none)).history_length == 0
    assert decode(GetTaskRequest, encode(GetTaskRequest(id="t"))).history_length is None


@pytest.mark.parametrize(
    ("sent", "seen"),
    [(3, 3), (3.0, 3), (-0.5, -0.5), (2**53, 2**53), (2**60, float(2**60)), (1e300, 1e300), ((1, 2), [1, 2])],
)
def test_whole_numbers_come_back_as_integers_as_far_as_doubles_are_exact(sent: Json, seen: Json) -> None:
    part = decode(Part, encode(Part(data={"n": sent})))
    assert part.data == {"n": seen}
    assert type(part.data["n"]) is type(seen)


def test_values_that_only_our_json_knows_are_sent_as_their_json() -> None:
    part = Part(data={"when": datetime(2026, 1, 2, tzinfo=UTC), "state": TaskState.WORKING, "keys": {1: "a"}})
    expected = {"when": "2026-01-02T00:00:00Z", "state": "TASK_STATE_WORKING", "keys": {"1": "a"}}
    assert decode(Part, encode(part)).data == expected


def nested(depth: int, *, in_objects: bool) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = {"a": value} if in_objects else [value]
    return value


@pytest.mark.parametrize(("depth", "in_objects"), [(45, False), (30, True)])
def test_the_deepest_json_that_is_sent_can_be_read(depth: int, in_objects: bool) -> None:
    artifact = Artifact(artifact_id="a", parts=[Part(data=nested(depth, in_objects=in_objects))])
    status = TaskStatus(state=TaskState.COMPLETED)
    event = StreamResponse(task=Task(id="t", status=status, artifacts=[artifact]))
    assert decode(StreamResponse, encode(event)) == event


@pytest.mark.parametrize(
    "data",
    [10**400, nested(46, in_objects=False), nested(31, in_objects=True), "\ud800"],
    ids=["number", "lists", "objects", "surrogate"],
)
def test_what_protobuf_cannot_say_is_an_error(data: Json) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 any of them
        encode(Part.model_construct(data=data))


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"], ids=["tag", "cut", "utf-8"])
def test_bytes_that_are_no_message_are_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a protobuf message"):
        plain(GetTaskRequest, data)


def test_a_state_of_a_later_version_is_refused_and_not_left_out() -> None:
    unknown = a2a_pb2.ListTasksRequest(tenant="t")
    unknown.MergeFromString(b"\x18\x63")  # status = 99
    with pytest.raises(ValidationError, match="status"):
        decode(ListTasksRequest, unknown.SerializeToString())


@pytest.mark.parametrize(
    "time",
    [timestamp_pb2.Timestamp(seconds=2**60), timestamp_pb2.Timestamp(nanos=-1)],
    ids=["year", "nanoseconds"],
)
def test_a_time_outside_of_the_calendar_is_a_violation_of_its_field(time: timestamp_pb2.Timestamp) -> None:
    request = a2a_pb2.ListTasksRequest(status_timestamp_after=time)
    with pytest.raises(ValidationError, match="statusTimestampAfter"):
        decode(ListTasksRequest, request.SerializeToString())


def test_a_number_that_is_none_is_a_violation_of_its_field() -> None:
    part = a2a_pb2.Part(data=struct_pb2.Value(number_value=float("nan")))
    with pytest.raises(ValidationError, match="finite"):
        decode(Part, part.SerializeToString())


def test_a_value_without_a_kind_is_null() -> None:
    data = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[struct_pb2.Value()]))
    assert decode(Part, a2a_pb2.Part(data=data).SerializeToString()).data == [None]


def test_without_its_extra_grpc_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ImportError, match=r"install parley\[grpc\]"):
        importlib.reload(a2a.grpc)
