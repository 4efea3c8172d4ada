"""Names and media types of parts, and what of them an agent is sent."""

import pytest

from a2a.types import Part
from coordinator.executor.artifacts import (
    Stored,
    for_modes,
    media_type_of,
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
    assert for_modes(_stored(svg), ["text/plain"]) is None
    taken = for_modes(_stored(note), ["text/plain"])
    assert taken is not None
    assert (taken.text, taken.filename) == ("hello", "result.md")
    assert taken.metadata == {"artifact": "result", "step": 1}


def test_prose_goes_as_plain_text_to_an_agent_that_knows_no_markdown() -> None:
    taken = for_modes(_stored(Part.from_text("# hi", "text/markdown")), ["text/plain"])
    assert taken is not None
    assert taken.media_type == "text/plain"
    assert taken.is_attachment


@pytest.mark.parametrize("mode", ["*/*", "text/*", "TEXT/markdown; charset=utf-8"])
def test_wildcards_and_spelling_of_modes_are_understood(mode: str) -> None:
    assert for_modes(_stored(Part.from_text("# hi", "text/markdown")), [mode]) is not None
