"""How results look, and that nothing in them is hidden or acts."""

from io import StringIO

import pytest
from rich.console import Console

from coordinator.cli.plain import duration, one_line, plain
from coordinator.cli.render import UntrustedMarkdown


def shown(markdown: str, *, terminal: bool = False) -> str:
    console = Console(file=StringIO(), width=80, force_terminal=terminal, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(UntrustedMarkdown(markdown))
    return capture.get()


def test_markup_in_a_result_is_text() -> None:
    assert "POST <url> and <b>bold</b>" in shown("POST <url> and <b>bold</b>")


def test_link_shows_where_it_leads() -> None:
    text = shown("[your bank](https://evil.example/)", terminal=True)
    assert "https://evil.example/" in text
    assert "\x1b]8;" not in text


def test_image_is_not_drawn_as_a_picture_sign() -> None:
    assert shown("![chart](chart.svg)").isascii()


def test_citation_marks_survive() -> None:
    assert "agents register [1] themselves [2]." in shown("agents register [1] themselves [2].")


def test_short_code_is_shown_and_long_code_is_named() -> None:
    assert "SELECT 1" in shown("```sql\nSELECT 1\n```")
    long = shown("```sql\nSELECT " + "1, " * 200 + "1\n```")
    assert "SELECT" not in long
    assert "(609 characters of sql code, in result.md)" in long


def test_tables_keep_their_columns() -> None:
    rows = [line.split() for line in shown("| a | b |\n|---|---|\n| 1 | 2 |").splitlines()]
    assert ["a", "b"] in rows
    assert ["1", "2"] in rows


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x07", "\x9b", "\u202e", "\u200b", "\ud800", "\r"])
def test_unprintable_characters_are_taken_out(character: str) -> None:
    assert plain(f"a{character}b") == "ab"


def test_lines_and_letters_of_all_scripts_stay() -> None:
    assert plain("Grüße\r\n\t日本 r²") == "Grüße\n    日本 r²"


def test_one_line_is_one_line_of_bounded_length() -> None:
    assert one_line(" a\n b \n") == "a b"
    assert one_line("word " * 1000, max_chars=20) == "word word word wo..."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7860, "2 h 11 min"),
    ],
)
def test_duration_is_as_exact_as_one_reads(seconds: float, text: str) -> None:
    assert duration(seconds) == text
