"""Search over the skills: order, filters, matched words, and queries that are none."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from coordinator.planner.match import SkillIndex
from coordinator.planner.postings import CHAMPIONS, MAX_FOUND, analyse
from coordinator.planner.search import FoundSkill, Wanted, search
from coordinator.registry.offers import SkillOffer
from tests.unit.planner_offers import ANALYSE, FETCH, FORECAST, NETWORK, RESEARCH, SUMMARISE

POSTINGS = SkillIndex(NETWORK).postings


def skills(found: Iterable[FoundSkill]) -> list[str]:
    return [skill.offer.skill_id for skill in found]


def crowd(size: int) -> list[SkillOffer]:
    """Agents that all speak of leases."""
    return [
        replace(RESEARCH, agent_id=f"agent_{n:04}", agent_name=f"Agent {n:04}", description=f"Leases, {n}.")
        for n in range(size)
    ]


def test_words_are_stemmed_and_the_ones_that_matched_are_told_as_typed() -> None:
    [best, *_] = search(POSTINGS, "Citing passages", Wanted(), 20)
    assert (best.offer.skill_id, best.matched_terms) == ("research", ("Citing", "passages"))
    assert 0 < best.score <= 1


def test_search_finds_what_is_too_little_for_a_step() -> None:
    index = SkillIndex(NETWORK)
    assert index.match("water the passages") == []
    assert skills(search(index.postings, "water the passages", Wanted(), 20)) == ["research"]


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Wanted(tags=("CSV",)), ["analyse"]),
        (Wanted(input_modes=("application/pdf",)), ["research"]),
        (Wanted(input_modes=("application/pdf", "text/csv")), []),
        (Wanted(output_modes=("image/svg+xml",)), ["analyse"]),
        (Wanted(extensions=("urn:x",)), []),
        (Wanted(agent_ids={RESEARCH.agent_id}), ["research"]),
        (Wanted(agent_ids=set()), []),
    ],
)
def test_every_filter_has_to_hold(wanted: Wanted, left: list[str]) -> None:
    postings = SkillIndex([RESEARCH, ANALYSE, SUMMARISE]).postings
    assert skills(search(postings, "", wanted, 20)) == left
    assert skills(search(postings, "research data text", wanted, 20)) == left


def test_a_skill_for_any_image_takes_a_png() -> None:
    painter = replace(SUMMARISE, input_modes=("image/*",))
    postings = SkillIndex([painter]).postings
    assert search(postings, "", Wanted(input_modes=("image/png",)), 20)
    assert not search(postings, "", Wanted(input_modes=("text/csv",)), 20)


def test_offers_of_one_text_are_told_apart_by_output_mode_and_extension() -> None:
    plain = replace(RESEARCH, agent_id="a1", output_modes=("text/plain",))
    extended = replace(RESEARCH, agent_id="a2", extensions=("urn:x",))
    postings = SkillIndex([plain, extended]).postings
    [by_mode] = search(postings, "research", Wanted(output_modes=("text/plain",)), 20)
    [by_extension] = search(postings, "research", Wanted(extensions=("urn:x",)), 20)
    assert (by_mode.offer.agent_id, by_extension.offer.agent_id) == ("a1", "a2")


def test_without_words_the_order_is_by_name() -> None:
    found = search(SkillIndex([SUMMARISE, FETCH, ANALYSE, RESEARCH]).postings, " ", Wanted(), 3)
    assert skills(found) == ["analyse", "fetch", "summarise"]
    assert {skill.score for skill in found} == {0.0}


def test_what_is_hidden_is_found_by_those_who_name_it_and_never_planned_with() -> None:
    index = SkillIndex([RESEARCH, FORECAST])
    index.postings.hidden = frozenset({RESEARCH.agent_id})
    assert index.match("research leases") == []
    assert search(index.postings, "research", Wanted(), 20) == []
    assert skills(search(index.postings, "research", Wanted(agent_ids={RESEARCH.agent_id}), 20)) == [
        "research"
    ]
    assert index.offers == [FORECAST]


@pytest.mark.parametrize(
    "query", ["x", "the of and", "请总结 " * 400, "\x00\ud800", "🤖" * 2_000, "a" * 2_000]
)
def test_a_query_of_rubbish_finds_nothing(query: str) -> None:
    assert search(POSTINGS, query, Wanted(), 20) == []


def test_a_word_that_more_share_than_are_looked_at_still_finds_the_best_and_a_rarer_one_comes_first() -> None:
    rare = replace(RESEARCH, agent_id="agent_rare", agent_name="Rare", description="Leases of zeppelins.")
    postings = SkillIndex([*crowd(MAX_FOUND + 50), rare]).postings
    assert len(search(postings, "leases", Wanted(), 100)) == 100
    [best, *_] = search(postings, "leases of zeppelins", Wanted(), 20)
    assert best.offer == rare


def test_what_stands_out_among_very_many_is_kept_right_over_changes() -> None:
    """So many that a property test would take too long; the order kept is that of an index built anew."""
    offers = {offer.agent_id: offer for offer in crowd(CHAMPIONS + 50)}
    changed = SkillIndex(offers.values())
    assert changed.match("research leases")
    for number in range(0, CHAMPIONS, 2):
        agent_id = f"agent_{number:04}"
        if number % 4:
            offers[agent_id] = replace(offers[agent_id], description="Leases " * (number % 7 + 1))
            changed.postings.replace(agent_id, [analyse(offers[agent_id])])
        else:
            del offers[agent_id]
            changed.postings.replace(agent_id, [])
        if number % 50 == 0:
            anew = SkillIndex(offers.values())
            found = search(changed.postings, "leases", Wanted(), 1_000)
            assert found == search(anew.postings, "leases", Wanted(), 1_000)
            assert changed.match("research leases") == anew.match("research leases")


def test_an_agent_that_comes_again_is_there_once() -> None:
    index = SkillIndex([RESEARCH, ANALYSE])
    index.postings.replace(RESEARCH.agent_id, [analyse(replace(RESEARCH, description="Whales."))])
    [whale] = search(index.postings, "whales", Wanted(), 20)
    assert whale.offer.agent_id == RESEARCH.agent_id
    assert search(index.postings, "library", Wanted(), 20) == []
    index.postings.replace(RESEARCH.agent_id, [])
    assert index.offers == [ANALYSE]
