"""Names and media types of parts, and what of them an agent is sent."""

import pytest

from a2a.types import Part
from coordinator.executor.artifacts import (
    Stored,
    media_type_of,
    message_parts,
    named_inputs,
    safe_filename,
)


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\windows\\evil.exe", "evil.exe"),
        (".bashrc", "bashrc"),
        ("a\x00b\n.txt", "ab.txt"),
        ("...", "file"),
        ("", "file"),
        ("x" * 500 + ".csv", "x" * 116 + ".csv"),
    ],
)
def test_a_file_name_from_outside_is_never_a_path(hostile: str, safe: str) -> None:
    assert safe_filename(hostile) == safe


def test_inputs_get_names_of_their_own() -> None:
    parts = [
        Part.from_text("a", filename="x.csv"),
        Part.from_text("b", filename="x.csv"),
        Part.from_text("c"),
    ]
    assert [part.filename for part in named_inputs(parts)] == ["x.csv", "x-2.csv", "input-3.txt"]


def test_the_media_type_is_what_is_said_else_what_the_name_says() -> None:
    assert media_type_of(Part.from_bytes(b"", "text/CSV; charset=utf-8")) == "text/csv"
    assert media_type_of(Part(raw=b"", filename="rows.ndjson")) == "application/x-ndjson"
    assert media_type_of(Part.from_data({})) == "application/json"
    assert media_type_of(Part(raw=b"")) == "application/octet-stream"


def _stored(part: Part) -> Stored:
    return Stored("id", 1, "result", "result.md", media_type_of(part), 1, part)


def test_an_agent_gets_only_what_it_takes() -> None:
    svg, note = Part.from_bytes(b"<svg/>", "image/svg+xml"), Part.from_text("hello", "text/markdown")
    parts, refused = message_parts("do it", [_stored(svg), _stored(note)], ["text/plain"])
    assert [part.text for part in parts] == ["do it", "hello"]
    assert refused == ["result.md"]


def test_prose_goes_as_plain_text_to_an_agent_that_knows_no_markdown() -> None:
    parts, _ = message_parts("do it", [_stored(Part.from_text("# hi", "text/markdown"))], ["text/plain"])
    assert parts[1].media_type == "text/plain"
    assert parts[1].is_attachment


@pytest.mark.parametrize("mode", ["*/*", "text/*", "TEXT/markdown; charset=utf-8"])
def test_wildcards_and_spelling_of_modes_are_understood(mode: str) -> None:
    _, refused = message_parts("do it", [_stored(Part.from_text("# hi", "text/markdown"))], [mode])
    assert refused == []
