"""What leaves and enters the command line as a file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coordinator.cli.errors import FileRefused
from coordinator.cli.files import (
    MAX_NAME_BYTES,
    MAX_PLAN_BYTES,
    media_type,
    read_plan,
    read_uploads,
    safe_name,
    save,
)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("chart.svg", "chart.svg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\evil.exe", "evil.exe"),
        ("/absolute/chart.svg", "chart.svg"),
        (".bashrc", "bashrc"),
        ("..", "file"),
        ("", "file"),
        ("a/", "file"),
        ("new\nline\x00\x1b[2J.txt", "new line [2J.txt"),
        ("right\u202eleft.txt", "right left.txt"),
        ("C:evil?.txt", "C_evil_.txt"),
        ("  spaced  name .csv", "spaced name.csv"),
        ("Übersicht 2025.csv", "Übersicht 2025.csv"),
        ("half \udcff.txt", "half.txt"),
    ],
)
def test_foreign_name_becomes_a_plain_file_name(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_long_name_is_cut_to_what_file_systems_take() -> None:
    name = safe_name("é" * 500 + ".csv")
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.endswith(".csv")


def test_files_of_one_name_are_sent_under_different_names(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.csv").write_text(folder)
    uploads = read_uploads([tmp_path / "a" / "data.csv", tmp_path / "b" / "data.csv"], max_bytes=10)
    assert [(upload.name, upload.content) for upload in uploads] == [("data.csv", b"a"), ("data-2.csv", b"b")]


def test_limit_counts_all_files_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(6))
    (tmp_path / "b").write_bytes(bytes(6))
    with pytest.raises(FileRefused, match="b is too large"):
        read_uploads([tmp_path / "a", tmp_path / "b"], max_bytes=10)


def test_files_up_to_the_limit_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))
    assert len(read_uploads([tmp_path / "a"], max_bytes=10)[0].content) == 10


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.CSV", "text/csv"), ("a.jsonl", "application/x-ndjson"), ("a", "application/octet-stream")],
)
def test_media_type_comes_from_the_name(name: str, expected: str) -> None:
    assert media_type(Path(name)) == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b'{"steps": [NaN]}', "is not valid JSON"),
        (b'\xff{"steps": []}', "is not valid JSON"),
        (b"[" * 10_000, "is not valid JSON"),
        (b"[1]", "is no plan: a plan is an object with a list of steps"),
        (b'{"plan": {"steps": []}}', "is no plan"),
        (b'{"steps": {}}', "is no plan"),
        (b" " * (MAX_PLAN_BYTES + 1), "is too large for a plan"),
    ],
)
def test_file_that_is_no_plan_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=sentence) as refused:
        read_plan(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_plan_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(b'\xef\xbb\xbf{"steps": [{"number": 1, "of": "any shape"}]}')
    assert read_plan(path) == {"steps": [{"number": 1, "of": "any shape"}]}


async def broken_off() -> AsyncIterator[bytes]:
    yield b"half"
    raise FileRefused("cut")


async def test_download_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        await save(tmp_path / "out", "chart.svg", broken_off())
    assert list((tmp_path / "out").iterdir()) == []


async def whole() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


async def test_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FileRefused, match="Cannot write to"):
        await save(tmp_path / "taken", "chart.svg", whole())


async def test_saved_files_of_one_name_are_numbered(tmp_path: Path) -> None:
    first = await save(tmp_path, "a/chart.svg", whole())
    second = await save(tmp_path, "b/chart.svg", whole())
    assert (first.name, second.name) == ("chart.svg", "chart-2.svg")
    assert second.read_bytes() == b"one two"
