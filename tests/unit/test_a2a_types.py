"""The wire shapes of A2A 1.0: what goes out, what is taken in, what is refused."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from a2a.requests import GetTaskRequest, SendMessageConfiguration, SendMessageResponse
from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    StreamResponse,
    Task,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
    format_timestamp,
)

AT = datetime(2026, 3, 4, 5, 6, 7, 891_234, tzinfo=UTC)


def task_with_history(length: int) -> Task:
    history = [Message.from_user(Part.from_text(str(number))) for number in range(length)]
    return Task(id="t", status=TaskStatus(state=TaskState.WORKING), history=history)


def texts(task: Task) -> list[str | None]:
    return [message.parts[0].text for message in task.history or []]


# Out


def test_keys_go_out_in_camel_case_and_unset_ones_not_at_all() -> None:
    """5.5"""
    message = Message(
        message_id="m", role=Role.USER, parts=[Part.from_text("hi")], context_id="c", reference_task_ids=["t"]
    )

    assert message.to_json() == {
        "messageId": "m",
        "role": "ROLE_USER",
        "parts": [{"text": "hi"}],
        "contextId": "c",
        "referenceTaskIds": ["t"],
    }


def test_a_null_inside_data_survives_the_way_out() -> None:
    value = {"a": None, "b": [None, {"c": None}]}

    assert json.loads(Part.from_data(value).model_dump_json(exclude_none=True)) == {"data": value}


def test_a_state_goes_out_by_its_proto_name() -> None:
    """5.5"""
    assert TaskStatus(state=TaskState.INPUT_REQUIRED).to_json() == {"state": "TASK_STATE_INPUT_REQUIRED"}


@pytest.mark.parametrize(
    "at",
    [AT, AT.astimezone(timezone(timedelta(hours=5, minutes=30))), AT.replace(tzinfo=None)],
    ids=["utc", "offset", "naive means utc"],
)
def test_a_timestamp_goes_out_in_utc_with_milliseconds_and_z(at: datetime) -> None:
    """5.6.1"""
    assert format_timestamp(at) == "2026-03-04T05:06:07.891Z"
    assert TaskStatus(state=TaskState.WORKING, timestamp=at).to_json()["timestamp"] == format_timestamp(at)


# In


@pytest.mark.parametrize(
    "given",
    [
        {"messageId": "m", "role": "ROLE_USER", "parts": [{"url": "http://x/", "mediaType": "a/b"}]},
        {"message_id": "m", "role": "ROLE_USER", "parts": [{"url": "http://x/", "media_type": "a/b"}]},
    ],
    ids=["camelCase", "proto names"],
)
def test_both_spellings_are_taken_in(given: dict[str, Any]) -> None:
    message = Message.model_validate(given)

    assert (message.message_id, message.parts[0].media_type) == ("m", "a/b")


def test_unknown_fields_are_ignored() -> None:
    """5.7"""
    part = Part.model_validate({"text": "hi", "kind": "text", "somethingNew": {"a": 1}})

    assert part.to_json() == {"text": "hi"}


@pytest.mark.parametrize(
    "content", [{"text": ""}, {"raw": ""}, {"url": "http://x/"}, {"data": {}}, {"data": 0}, {"data": False}]
)
def test_a_part_has_one_content_even_where_it_is_empty(content: dict[str, Any]) -> None:
    """4.1.6"""
    assert Part.model_validate(content).to_json() == content


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"filename": "a.txt"},
        {"data": None},
        {"text": "a", "raw": "YQ=="},
        {"text": "a", "data": 1},
        {"url": "http://x/", "text": ""},
    ],
)
def test_a_part_with_no_content_or_two_is_refused(content: dict[str, Any]) -> None:
    """4.1.6"""
    with pytest.raises(ValidationError, match="exactly one"):
        Part.model_validate(content)


@pytest.mark.parametrize("raw", [b"", b"a", b"ab", b"abc", bytes(range(256)), b"\xfb\xff\xfe"])
def test_base64_is_taken_in_either_alphabet_with_or_without_padding(raw: bytes) -> None:
    """ProtoJSON"""
    spellings = {
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }

    assert {Part.model_validate({"raw": spelling}).raw for spelling in spellings} == {raw}


def test_bytes_go_out_as_standard_base64_with_padding() -> None:
    part = Part.from_bytes(b"\xfb\xff\xfe\x00", "application/octet-stream")

    assert part.to_json() == {"raw": "+//+AA==", "mediaType": "application/octet-stream"}
    assert json.loads(part.model_dump_json(exclude_none=True))["raw"] == "+//+AA=="


@pytest.mark.parametrize("raw", ["a", "a b=", "ab=c", "ä===", "YQ==\n", 7, ["YQ=="], {"a": 1}])
def test_what_is_no_base64_is_refused(raw: object) -> None:
    with pytest.raises(ValidationError):
        Part.model_validate({"raw": raw})


@pytest.mark.parametrize(
    "broken",
    [
        {"role": "ROLE_USER", "parts": [{"text": "a"}]},
        {"messageId": "", "role": "ROLE_USER", "parts": [{"text": "a"}]},
        {"messageId": "m", "role": "ROLE_USER", "parts": []},
        {"messageId": "m", "role": "user", "parts": [{"text": "a"}]},
        {"messageId": "m", "role": "ROLE_USER", "parts": {"text": "a"}},
        {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": 7}]},
    ],
)
def test_a_message_without_what_it_needs_is_refused(broken: dict[str, Any]) -> None:
    """4.1.4, 5.7"""
    with pytest.raises(ValidationError):
        Message.model_validate(broken)


def test_a_timestamp_beyond_what_a_date_can_say_is_refused() -> None:
    """It could not be written in UTC."""
    with pytest.raises(ValidationError):
        TaskStatus.model_validate({"state": "TASK_STATE_WORKING", "timestamp": "0001-01-01T00:00:00+14:00"})


@pytest.mark.parametrize("model", [SendMessageResponse, StreamResponse])
@pytest.mark.parametrize("keys", [[], ["task", "message"]], ids=["none", "two"])
def test_a_response_holds_exactly_one_thing(
    model: type[SendMessageResponse | StreamResponse], keys: list[str]
) -> None:
    """3.2.3"""
    things = {
        "task": {"id": "t", "status": {"state": "TASK_STATE_WORKING"}},
        "message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "a"}]},
    }

    with pytest.raises(ValidationError, match="one of"):
        model.model_validate({key: things[key] for key in keys})


@pytest.mark.parametrize("length", [-1, "many", 1.5])
def test_a_history_length_is_a_whole_number_from_zero_on(length: object) -> None:
    """3.2.4"""
    with pytest.raises(ValidationError):
        GetTaskRequest.model_validate({"id": "t", "historyLength": length})
    with pytest.raises(ValidationError):
        SendMessageConfiguration.model_validate({"historyLength": length})


# History


@pytest.mark.parametrize(
    ("length", "kept"),
    [(None, ["0", "1", "2"]), (1, ["2"]), (2, ["1", "2"]), (3, ["0", "1", "2"]), (9, ["0", "1", "2"])],
)
def test_a_history_is_cut_to_its_newest_messages(length: int | None, kept: list[str]) -> None:
    """3.2.4"""
    assert texts(task_with_history(3).with_history(length)) == kept


def test_a_history_of_zero_leaves_the_key_out_and_the_task_as_it_was() -> None:
    """3.2.4"""
    task = task_with_history(3)

    assert "history" not in task.with_history(0).to_json()
    assert len(task.history or []) == 3


# What code asks of them


def test_only_the_four_ends_are_terminal_and_only_the_two_questions_are_interrupted() -> None:
    assert {state.name for state in TaskState if state.is_terminal} == {
        "COMPLETED",
        "FAILED",
        "CANCELED",
        "REJECTED",
    }
    assert {state.name for state in TaskState if state.is_interrupted} == {"INPUT_REQUIRED", "AUTH_REQUIRED"}


def test_what_is_said_is_the_text_that_is_no_file() -> None:
    message = Message.from_user(
        Part.from_text("first"),
        Part.from_text("a,b", filename="a.csv"),
        Part.from_bytes(b"\x00", "application/pdf"),
        Part.from_text("second"),
    )

    assert message.spoken_text() == "first\nsecond"
    assert [part.is_attachment for part in message.parts] == [False, True, True, False]


def test_the_content_of_a_part_is_its_bytes() -> None:
    parts = [Part.from_text("ü"), Part.from_bytes(b"\xff", "a/b"), Part.from_data({"a": 1})]

    assert [part.content() for part in parts] == ["ü".encode(), b"\xff", b""]


def test_two_artifacts_made_alike_have_ids_of_their_own() -> None:
    made = [Artifact.of(Part.from_text("a"), name="result") for _ in range(2)]

    assert made[0].artifact_id != made[1].artifact_id


def test_an_event_reads_back_as_what_it_was() -> None:
    status = TaskStatus(state=TaskState.COMPLETED, timestamp=AT.replace(microsecond=891_000))
    event = StreamResponse(status_update=TaskStatusUpdateEvent(task_id="t", context_id="c", status=status))

    assert StreamResponse.model_validate_json(event.model_dump_json(exclude_none=True)) == event
