"""Which skills fit a clause, in which order, and when none does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.planner.match import THRESHOLD, SkillIndex
from tests.unit.planner_offers import ANALYSE, FORECAST, NETWORK, RESEARCH, SUMMARISE, strangers

INDEX = SkillIndex(NETWORK)


def test_matched_terms_are_the_words_of_the_clause() -> None:
    best = INDEX.match("Analyze the outliers")[0]
    assert (best.skill_id, best.matched_terms) == ("analyse", ("Analyze", "outliers"))


@pytest.mark.parametrize("verb", ["summarise", "Summarize", "sum up", "condense", "recap", "tl;dr"])
def test_verbs_of_one_meaning_find_one_skill(verb: str) -> None:
    assert [c.skill_id for c in INDEX.match(f"{verb} the minutes")] == ["summarise"]


def test_an_everyday_verb_alone_routes_nothing_but_a_file_that_fits_backs_it() -> None:
    assert INDEX.match("plot the temperature by month") == []
    assert INDEX.match("plot the temperature by month", ["text/csv"])[0].skill_id == "analyse"


def test_a_media_type_raises_the_score_of_the_skill_that_names_it() -> None:
    without = INDEX.match("analyse the file")[0].score
    assert INDEX.match("analyse the file", ["text/csv"])[0].score > without


def test_the_topic_overrules_a_lookup_verb_but_not_a_strong_one() -> None:
    assert INDEX.match("look up the weather in Oslo")[0].skill_id == "forecast"
    assert INDEX.match("research the weather in Oslo")[0].skill_id == "research"


def test_equal_scores_are_ordered_by_agent_name_then_skill() -> None:
    twins = [replace(RESEARCH, agent_id=f"id_{name}", agent_name=name) for name in "CAB"]
    found = SkillIndex(twins).match("research leases")
    assert [candidate.agent_name for candidate in found] == ["A", "B", "C"]
    assert len({candidate.score for candidate in found}) == 1


def test_at_most_five_candidates_are_returned() -> None:
    twins = [replace(RESEARCH, agent_id=f"a{n}", agent_name=f"A{n}") for n in range(9)]
    found = SkillIndex(twins).match("research leases")
    assert [candidate.agent_name for candidate in found] == ["A0", "A1", "A2", "A3", "A4"]


def test_near_misses_stay_below_the_threshold() -> None:
    near = INDEX.near_misses("find my keys in the documents folder")
    assert near
    assert all(candidate.score < THRESHOLD for candidate in near)


def test_a_single_registered_skill_still_refuses_what_it_cannot_do() -> None:
    alone = SkillIndex([FORECAST])
    assert alone.match("weather in Oslo")
    assert alone.match("book a flight to Paris") == []


def test_an_empty_registry_matches_nothing() -> None:
    assert SkillIndex([]).match("summarise it") == []


@pytest.mark.parametrize("text", ["", "   ", "the of and", "!?", "请总结", "a" * 5000])
def test_text_without_known_words_matches_nothing(text: str) -> None:
    assert INDEX.match(text) == []


def test_words_that_thousands_of_offers_share_still_count_for_what_is_found() -> None:
    crowd = [
        replace(offer, agent_id=f"{offer.agent_id}{n}", description=f"{offer.description} no{n}")
        for n in range(6)
        for offer in strangers()
    ]
    best = SkillIndex([*crowd, ANALYSE, SUMMARISE]).match("analyse the data")[0]
    assert (best.skill_id, best.matched_terms) == ("analyse", ("analyse", "data"))
