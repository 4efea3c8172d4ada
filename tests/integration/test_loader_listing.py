"""Which files of a real folder are agents, and which cannot be."""

import os
from pathlib import Path

import pytest

from coordinator.loader.listing import MAX_LISTED, list_folder


def test_only_python_files_that_are_not_set_aside_are_listed(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "_shared.py", ".a.py", "a.txt", "a.py~", "a.pyc"):
        (tmp_path / name).touch()
    found, more = list_folder(tmp_path, ())
    assert [file.name for file in found] == ["a.py", "b.py"]
    assert (more, {file.problem for file in found}) == (0, {None})


def test_a_change_makes_another_version(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x")
    before = list_folder(tmp_path, ())
    file.write_text("xy")
    assert list_folder(tmp_path, ()) != before


def test_a_link_that_stays_in_the_folder_is_followed(tmp_path: Path) -> None:
    """Kubernetes mounts its volumes like this."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "a.py").touch()
    (tmp_path / "a.py").symlink_to("..data/a.py")
    assert [file.problem for file in list_folder(tmp_path, ())[0]] == [None]


def test_links_in_a_circle_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.py").symlink_to("b.py")
    (tmp_path / "b.py").symlink_to("a.py")
    problems = [file.problem or "" for file in list_folder(tmp_path, ())[0]]
    assert all(problem.startswith("it cannot be read") for problem in problems)


@pytest.mark.parametrize("name", ["a\n.py", os.fsdecode(b"\xff.py")])
def test_a_name_that_cannot_be_shown_is_reported_in_one_that_can(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (file,), _ = list_folder(tmp_path, ())
    assert file.problem == "its name has characters that cannot be shown"
    assert file.name.isascii()
    assert file.name.isprintable()


def test_files_that_are_known_do_not_fall_out_when_too_many_come(tmp_path: Path) -> None:
    for number in range(MAX_LISTED):
        (tmp_path / f"a{number}.py").touch()
    (tmp_path / "z.py").touch()
    found, more = list_folder(tmp_path, {"z.py"})
    assert "z.py" in [file.name for file in found]
    assert (len(found), more) == (MAX_LISTED, 1)
