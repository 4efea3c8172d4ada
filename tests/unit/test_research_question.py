"""Rules that turn a request into key terms and queries."""

import pytest

from agent_servers.research.question import Term, first_queries, next_queries, synonyms, understand


@pytest.mark.parametrize(
    ("asked", "topic"),
    [
        ("Research how agents register with the coordinator", "how agents register with the coordinator"),
        ("Please find out how tasks are retried.", "how tasks are retried"),
        ("What do the documents say about health checks?", "health checks?"),
        ("Look up rate limits in the attached files, with citations", "rate limits"),
        ("Which port does the research agent use?", "Which port does the research agent use?"),
    ],
)
def test_the_topic_is_the_request_without_the_asking(asked: str, topic: str) -> None:
    assert understand(asked).topic == topic


def test_key_terms_keep_the_word_as_asked_and_its_stem() -> None:
    terms = understand("Research how agents are registering").terms

    assert terms == (Term("agents", "agent"), Term("registering", "regist"))


@pytest.mark.parametrize("asked", ["", "   ", "?!", "please find out", "what is it?"])
def test_a_request_that_names_nothing_has_no_terms(asked: str) -> None:
    assert understand(asked).terms == ()


def test_a_huge_request_gives_a_bounded_number_of_terms() -> None:
    asked = " ".join(f"subject{number}" for number in range(100_000))

    assert len(understand(asked).terms) == 24


def test_each_part_of_a_question_is_asked_by_itself() -> None:
    queries = first_queries(understand("how agents register, and how tasks are cancelled"))

    assert [query.text for query in queries] == [
        "agents register tasks cancelled",
        "agents register",
        "tasks cancelled",
    ]


def test_a_part_of_one_word_borrows_the_start_of_the_first() -> None:
    queries = first_queries(understand("population of Ghana and Kenya"))

    assert [query.text for query in queries][-1] == "population Kenya"


def test_a_gap_is_asked_again_in_words_that_the_sources_use() -> None:
    gap = Term("registration", "registr")
    (query,) = next_queries([gap], {"registr": ["regist"]}, ["agent"], set())

    assert query.stems == ("regist",)
    assert query.why == "registr"


def test_a_gap_without_related_words_is_asked_with_its_surroundings_once() -> None:
    gap = Term("quota", "quota")
    (query,) = next_queries([gap], {}, ["task", "limit"], set())

    assert query.stems == ("quota", "task", "limit")
    assert next_queries([gap], {}, ["task", "limit"], {query.stems}) == []


@pytest.mark.parametrize(
    ("asked", "topic"),
    [
        ("Research how agents register in two bullet points", "how agents register"),
        ("In three sentences, how are tasks retried", "how are tasks retried"),
        ("Explain leases briefly", "leases"),
        ("leases in about 50 words", "leases"),
        ("health checks as a bulleted list", "health checks"),
        ("leases in one short paragraph", "leases"),
        ("how words are stemmed in sentences", "how words are stemmed in sentences"),
    ],
)
def test_the_form_of_the_answer_is_no_part_of_the_topic(asked: str, topic: str) -> None:
    assert understand(asked).topic == topic


def test_advantages_and_benefits_are_one_question() -> None:
    (term,) = understand("advantages").terms

    assert "benefit" in synonyms(term.stem)
    assert synonyms("agent") == frozenset()
