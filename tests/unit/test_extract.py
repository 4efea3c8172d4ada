"""Sentences are slices of the text, and a summary is made of them alone."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from agent_servers.extract import Sentence, split_sentences, stem, summarise, words

MARKDOWN = """# Title of the page

The coordinator keeps a registry. It checks e.g. the port 3.5 times [1]. Agents register by A2A! [2]

```python
print("This is code. It is not prose at all.")
```

| name | port |
|------|------|
| alpha beta gamma delta | 8001 |

- Short item one
- Short item two with more

1. The first step copies the file to the server.
2. The second step restarts the service again.
"""


def texts(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text, "a.md")]


def test_a_sentence_is_the_exact_slice_at_its_offset_and_line() -> None:
    for sentence in split_sentences(MARKDOWN, "a.md"):
        end = sentence.start + len(sentence.text)
        assert MARKDOWN[sentence.start : end] == sentence.text
        assert MARKDOWN.count("\n", 0, sentence.start) + 1 == sentence.line


def test_headings_code_and_tables_are_no_sentences() -> None:
    joined = "\n".join(texts(MARKDOWN))

    assert "Title of the page" not in joined
    assert "print" not in joined
    assert "alpha beta" not in joined


def test_abbreviations_and_numbers_do_not_end_a_sentence() -> None:
    assert "It checks e.g. the port 3.5 times [1]." in texts(MARKDOWN)


def test_a_citation_marker_stays_with_the_sentence_before_it() -> None:
    found = texts("Agents register by A2A! [2] The registry stores them for good. Then it ends well.")

    assert found[0] == "Agents register by A2A! [2]"
    assert found[1] == "The registry stores them for good."
    assert texts("Agents register by A2A. [12]") == ["Agents register by A2A. [12]"]


def test_a_numbered_label_is_not_cut_after_its_number() -> None:
    assert texts("4. Port already in use by others.") == ["Port already in use by others."]
    assert texts("**4. Port** already in use by others.") == ["**4. Port** already in use by others."]


def test_bullets_that_are_sentences_stand_alone() -> None:
    assert "The first step copies the file to the server." in texts(MARKDOWN)
    assert "The second step restarts the service again." in texts(MARKDOWN)


def test_fragments_of_a_list_stay_together() -> None:
    assert "- Short item one\n- Short item two with more" in texts(MARKDOWN)


def test_a_list_stays_with_the_line_that_introduces_it() -> None:
    text = "All is well. If the check fails:\n\n1. Look at the log.\n2. Restart the worker.\n"

    assert texts(text + "\nThat is all there is.") == [
        "If the check fails:\n\n1. Look at the log.\n2. Restart the worker.",
        "That is all there is.",
    ]


def test_an_introduction_without_its_list_is_dropped() -> None:
    assert texts("Run the following command now:\n\n```\nls -l\n```\n") == []


def test_a_long_list_is_cut_and_keeps_what_announces_the_next_rows_with_them() -> None:
    items = "".join(f"- Part {n} of the whole list here\n  - detail {n} is given below\n" for n in range(20))
    found = split_sentences(items, "a.md")

    assert len(found) > 1
    assert all(len(sentence.text) < 600 for sentence in found)
    assert all(sentence.text.startswith("- Part") for sentence in found)


def test_wrapped_lines_are_one_sentence_and_flat_joins_them() -> None:
    (sentence,) = split_sentences("> A quoted line that goes\n> on in the next line.", "a.md")

    assert sentence.flat == "A quoted line that goes on in the next line."


def test_badly_decoded_drawings_are_no_sentences() -> None:
    drawing = "┌──────────────┐\n│   Agent one  │\n└──────────────┘"
    for encoding in ("cp437", "mac_roman"):
        noise = drawing.encode().decode(encoding, "replace")
        assert texts(f"{noise}\n\nThe agent is a process.") == ["The agent is a process."]


def test_a_fence_that_nobody_closed_swallows_only_its_paragraph() -> None:
    text = "```text\nls -l /tmp\n\nThe list ends here for good.\n\n```python\nx = 1\n```\n"

    assert texts(text + "\nMore prose follows down here.") == [
        "The list ends here for good.",
        "More prose follows down here.",
    ]


def test_a_fence_marked_as_markdown_holds_prose() -> None:
    text = "````markdown\n## Part\n\nThis document is quoted in full.\n\n```sh\nrm x\n```\n````\n"

    assert texts(text + "\nAfter it we go on.") == ["This document is quoted in full.", "After it we go on."]


@given(
    st.text(
        alphabet=st.sampled_from("aB .!?\n-*#>`|[1]:\u250c\u201a\u00ee\u00c4\u2500\u00e9\t"), max_size=300
    )
)
def test_any_text_gives_slices_in_reading_order(text: str) -> None:
    found = split_sentences(text, "x")

    assert [s.start for s in found] == sorted(s.start for s in found)
    for sentence in found:
        assert text[sentence.start : sentence.start + len(sentence.text)] == sentence.text
        assert text.count("\n", 0, sentence.start) + 1 == sentence.line


def test_words_are_stems_without_stop_words() -> None:
    assert words("How agents are Registering with TaskStep rows") == [
        "agent",
        "regist",
        "task",
        "step",
        "row",
    ]


def test_stems_are_the_same_from_many_threads() -> None:
    nouns = [f"{root}ing{number}" for number in range(300) for root in ("register", "deploy")]
    expected = [stem(noun) for noun in nouns]
    stem.cache_clear()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(stem, nouns)) == expected


def story() -> list[Sentence]:
    text = (
        "The harbour exports grain to many countries. Grain leaves the harbour on large ships every week."
        " The museum shows paintings of the old town. Ships wait outside the harbour for the tide."
        " Bakers in the town prefer local flour. Grain exports from the harbour grew last year."
    )
    return split_sentences(text, "story.txt")


def test_a_summary_holds_only_given_sentences_in_reading_order() -> None:
    sentences = story()
    summary = summarise(sentences, max_sentences=3)

    assert len(summary) == 3
    assert all(sentence in sentences for sentence in summary)
    assert [s.start for s in summary] == sorted(s.start for s in summary)


def test_the_summary_is_about_what_the_text_is_about() -> None:
    (central,) = summarise(story(), max_sentences=1)

    assert "harbour" in central.text


def test_a_query_draws_the_summary_to_its_subject() -> None:
    (nearest,) = summarise(story(), query="paintings in museums", max_sentences=1)

    assert nearest.text == "The museum shows paintings of the old town."


def test_a_sentence_said_twice_is_summarised_once() -> None:
    twice = [*story(), *(Sentence(s.text, "copy.txt", s.start, s.line) for s in story())]
    summary = summarise(twice, max_sentences=12)

    assert len({sentence.text for sentence in summary}) == len(summary)


def test_no_sentences_or_no_room_gives_no_summary() -> None:
    assert summarise([], max_sentences=3) == []
    assert summarise(story(), max_sentences=0) == []


def test_thousands_of_sentences_keep_the_one_the_query_wants() -> None:
    filler = [
        Sentence(f"Number {n} speaks of subject {n % 97} and item {n % 89}.", "big", n * 60, n + 1)
        for n in range(5_000)
    ]
    wanted = Sentence("The submarine surfaced near the lighthouse at noon.", "big", 400_000, 6_000)
    summary = summarise([*filler, wanted], query="Where did the submarine surface?", max_sentences=2)

    assert wanted in summary


def test_fences_nested_hundreds_deep_end() -> None:
    marks = ["`" * size for size in range(400, 3, -1)]
    text = "".join(f"{mark}md\n" for mark in marks) + "".join(f"{mark}\n" for mark in reversed(marks))

    assert texts(f"{text}\nThe prose after it is still read.") == ["The prose after it is still read."]
