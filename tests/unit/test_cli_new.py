"""What `parley new agent` refuses, and that it then leaves everything as it was."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.cli.errors import NewRefused
from coordinator.cli.main import app
from coordinator.cli.new import check_name, new_agent


@pytest.mark.parametrize("name", ["weather", "word_counter", "a", "b2b", "a" * 50])
def test_a_module_name_is_a_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", "2go", "_x", "Weather", "a b", "../x", "/x", "wetter\n", "über", "a" * 51]
)
def test_what_no_module_could_be_called_is_refused(name: str) -> None:
    with pytest.raises(NewRefused):
        check_name(name)


@pytest.mark.parametrize("name", ["class", "json", "asyncio", "a2a", "agent"])
def test_a_name_that_hides_a_module_is_refused(name: str) -> None:
    with pytest.raises(NewRefused, match="Choose another"):
        check_name(name)


def test_a_name_that_nearly_fits_comes_back_as_one_that_does() -> None:
    with pytest.raises(NewRefused, match="such as word_counter"):
        check_name("Word-Counter")


def test_a_terminal_sequence_in_a_name_is_not_printed() -> None:
    with pytest.raises(NewRefused) as refused:
        check_name("a\x1b[31m")
    assert "\x1b" not in str(refused.value)


def test_a_folder_that_is_there_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "weather").mkdir()
    with pytest.raises(NewRefused, match="is there already"):
        new_agent("weather", tmp_path)
    assert list((tmp_path / "weather").iterdir()) == []


def test_a_file_of_that_name_is_kept(tmp_path: Path) -> None:
    (tmp_path / "weather").write_text("mine")
    with pytest.raises(NewRefused):
        new_agent("weather", tmp_path)
    assert (tmp_path / "weather").read_text() == "mine"


def test_the_folder_to_write_to_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(NewRefused, match="There is no folder"):
        new_agent("weather", tmp_path / "missing")


def test_a_refusal_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["new", "agent", "No Way", "--dir", str(tmp_path)])
    assert ran.exit_code == 1
    assert ran.stderr.startswith("'No Way' cannot be the name")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_how_to_go_on(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["new", "agent", "weather", "--dir", str(tmp_path)])
    assert ran.exit_code == 0
    assert f"dev {tmp_path / 'weather' / 'agent.py'}" in ran.stdout
