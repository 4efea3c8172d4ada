"""Summaries: the length asked for, verbatim sentences, citations kept with their numbers."""

from typing import Any

import pytest

from agent_servers.api.documents import Document
from agent_servers.api.summaries import (
    Length,
    read_citations,
    read_length,
    split_instruction,
    summarise_documents,
)

REPORT = """# How agents register

## Registration

An agent registers itself with the coordinator as soon as its server has started. [1]

The coordinator fetches the agent card itself and checks every skill that it names. [2]

Each registered agent holds a lease that it renews by sending heartbeats. [2]

An agent whose lease has run out is marked down and gets no further steps. [3]

Agents register again by themselves after the coordinator was restarted. [1]

A card that is not valid is refused with the reason in the answer. [4]

## Sources

- [1] guide.md, this line of the sources is a whole sentence and yet no content.
- [2] design.md, and this one is a whole sentence too but must never be chosen.
"""
CITATIONS: list[dict[str, Any]] = [
    {"number": n, "source": f"file{n}.md", "locator": f"line {n}"} for n in (1, 2, 3, 4)
]


@pytest.mark.parametrize(
    ("instruction", "length"),
    [
        ("summarise it in three sentences", Length(3)),
        ("Summarise in 7 sentences.", Length(7)),
        ("a one-sentence summary", Length(1)),
        ("in five bullet points", Length(5, bullets=True)),
        ("give me four key points", Length(4, bullets=True)),
        ("sum up as bullets", Length(5, bullets=True)),
        ("in 100 words", Length(40, words=100)),
        ("a short summary", Length(3)),
        ("condense it into one paragraph", Length(4)),
        ("two paragraphs please", Length(8, paragraphs=2)),
        ("summarise the report", Length(5)),
        ("in 900 sentences", Length(40)),
    ],
)
def test_the_length_is_understood(instruction: str, length: Length) -> None:
    assert read_length(instruction) == length


def test_every_sentence_is_a_slice_of_the_text_at_its_line() -> None:
    summary = summarise_documents([Document("report.md", REPORT)], "summarise in four sentences", [])
    assert len(summary.sentences) == 4
    lines = REPORT.split("\n")
    for sentence in summary.sentences:
        assert sentence.text in REPORT
        assert sentence.text.split()[0] in lines[sentence.line - 1]
        assert sentence.source == "report.md"


def test_headings_and_the_sources_section_are_no_content() -> None:
    page = summarise_documents([Document("report.md", REPORT)], "in 40 sentences", []).markdown()
    assert "How agents register" not in page
    assert "whole sentence" not in page


def test_only_citations_still_used_are_passed_on_with_their_numbers() -> None:
    summary = summarise_documents([Document("r.md", REPORT)], "in two sentences", [CITATIONS])
    markers = {int(s.text.rsplit("[", 1)[1].rstrip("]")) for s in summary.sentences}
    assert [entry["number"] for entry in summary.citations] == sorted(markers)
    assert f"- [{min(markers)}] file{min(markers)}.md" in summary.markdown()


def test_two_reports_with_the_same_numbers_are_told_apart() -> None:
    other = Document("other.md", "The moon circles the earth in about twenty seven days. [1]\n")
    known: list[list[dict[str, Any]]] = [CITATIONS, [{"number": 1, "source": "moon.md"}]]
    summary = summarise_documents([Document("r.md", REPORT), other], "in 40 sentences", known)
    (moon,) = [s for s in summary.sentences if "moon" in s.text]
    assert moon.text.endswith("[5]")
    assert {"number": 5, "source": "moon.md"} in summary.citations


@pytest.mark.parametrize("limit", [15, 30, 60])
def test_words_are_a_ceiling(limit: int) -> None:
    summary = summarise_documents([Document("r.md", REPORT)], f"in {limit} words", [])
    assert 1 <= sum(len(s.text.split()) for s in summary.sentences) <= limit


def test_what_the_instruction_names_is_preferred() -> None:
    summary = summarise_documents([Document("r.md", REPORT)], "say in one sentence what a lease is", [])
    assert "lease" in summary.sentences[0].text


def test_bullets_are_one_line_per_sentence() -> None:
    page = summarise_documents([Document("r.md", REPORT)], "in three bullet points", []).markdown()
    assert [line[:2] for line in page.strip().split("\n")] == ["- ", "- ", "- "]


def test_html_gives_its_paragraphs_and_no_scripts() -> None:
    page = (
        "<html><head><title>T</title><script>var a = 'this is a sentence of code. Really it is.'</script>"
        "</head><body><nav>Home page and all the other pages.</nav>"
        "<p>The <b>first</b> paragraph says something of weight.</p></body></html>"
    )
    summary = summarise_documents([Document("p.html", page, is_html=True)], "summarise", [])
    assert [s.text for s in summary.sentences] == ["The first paragraph says something of weight."]


def test_text_after_the_instruction_is_what_is_summarised() -> None:
    ask, text = split_instruction("Summarise this in two sentences:\n" + REPORT)
    assert ask.startswith("Summarise this")
    assert text.strip() == REPORT.strip()


def test_an_instruction_alone_is_no_text() -> None:
    assert split_instruction("summarise it in three sentences") == ("summarise it in three sentences", "")


def test_data_without_numbered_citations_is_passed_over() -> None:
    assert read_citations([{"rows": 3}, ["x"], {"citations": [{"source": "a"}]}, {"citations": 7}]) == []
