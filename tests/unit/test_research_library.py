"""The folder: what is read, what is left alone, and that changes are seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_servers.research.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    folder = tmp_path / "library"
    folder.mkdir()
    made = Library(folder, max_file_bytes=10_000, now=lambda: 0.0)
    yield made
    made.close()


def found(library: Library, *stems: str) -> list[str]:
    library.refresh()
    return [match.passage.text for match in library.index.search(stems, 10)]


def test_documents_in_subfolders_are_found_by_stem(library: Library) -> None:
    (library.folder / "deep").mkdir()
    (library.folder / "deep" / "a.md").write_text("Gardeners are watering the roses.")

    assert found(library, "water") == ["Gardeners are watering the roses."]
    assert library.names() == ["deep/a.md"]


def test_a_changed_file_is_read_again(library: Library) -> None:
    path = library.folder / "a.md"
    path.write_text("The old sentence speaks of apples.")
    assert found(library, "appl")

    path.write_text("The new sentence speaks of ripe pears.")

    assert found(library, "appl") == []
    assert found(library, "pear") == ["The new sentence speaks of ripe pears."]


def test_a_removed_file_is_forgotten_and_a_new_one_seen(library: Library) -> None:
    (library.folder / "a.md").write_text("The old sentence speaks of apples.")
    assert found(library, "appl")

    (library.folder / "a.md").unlink()
    (library.folder / "b.md").write_text("Another file speaks of plums.")

    assert found(library, "appl") == []
    assert found(library, "plum") == ["Another file speaks of plums."]


def test_a_folder_that_is_slow_to_list_is_listed_less_often(tmp_path: Path) -> None:
    # The first listing takes from 0 to 1 s; the looks at 10 and at 22 s follow.
    library = Library(tmp_path, max_file_bytes=10_000, now=iter([0.0, 1.0, 10.0, 22.0, 23.0]).__next__)
    library.refresh()
    (tmp_path / "a.md").write_text("A sentence that came just now.")

    library.refresh()
    assert library.names() == []

    library.refresh()
    assert library.names() == ["a.md"]
    library.close()


def test_links_and_hidden_files_are_not_read(library: Library, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("The secret sentence lies outside.")
    (library.folder / "link.md").symlink_to(secret)
    (library.folder / "folder").symlink_to(tmp_path, target_is_directory=True)
    (library.folder / ".hidden.md").write_text("The hidden secret lies inside.")
    os.mkfifo(library.folder / "pipe.md")

    assert found(library, "secret") == []
    assert library.names() == []


def test_what_cannot_be_used_is_listed_with_the_reason(library: Library) -> None:
    (library.folder / "big.txt").write_text("word " * 5_000)
    (library.folder / "empty.pdf").write_bytes(b"")
    (library.folder / "data.csv").write_text("a,b\n1,2\n")
    library.refresh()

    assert library.names() == []
    assert library.skipped() == [
        "big.txt was skipped: it is larger than 10,000 bytes",
        "empty.pdf was skipped: it is empty",
    ]


def test_a_missing_folder_is_an_empty_library(tmp_path: Path) -> None:
    library = Library(tmp_path / "nowhere", max_file_bytes=10)
    library.refresh()

    assert library.names() == []
    library.close()


@pytest.mark.parametrize("stem", ['"', "a OR b", "x* NEAR y", "body:x", "-", "\u0000", "'; DROP TABLE"])
def test_a_hostile_query_is_only_words(library: Library, stem: str) -> None:
    (library.folder / "a.md").write_text("One plain sentence is in here.")

    assert found(library, stem) == []
    assert found(library, "plain")


def test_words_of_the_same_root_and_slips_in_typing_are_related(library: Library) -> None:
    (library.folder / "a.md").write_text("Agents register with the coordinator at start.")
    library.refresh()

    assert library.index.related("registr") == ["regist"]
    assert library.index.related("cordin") == ["coordin"]
    assert library.index.related("zebra") == []
