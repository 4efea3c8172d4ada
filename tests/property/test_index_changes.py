"""An index that has seen agents come, change and go answers as one built anew from those that are left."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.planner.match import SkillIndex
from coordinator.planner.postings import analyse
from coordinator.planner.search import Wanted, search
from coordinator.registry.offers import SkillOffer
from tests.unit.planner_offers import NETWORK

WORDS = ("weather", "leases", "summarise", "data", "charts", "Oslo", "files", "research", "translate")
PHRASES = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
MODES = st.lists(st.sampled_from(["text/plain", "text/csv", "*/*", "image/*"]), max_size=2, unique=True)
AGENTS = st.sampled_from([f"agent_{n}" for n in range(5)])
OFFERS = st.one_of(
    st.sampled_from(NETWORK),
    st.builds(
        SkillOffer,
        agent_id=st.just(""),
        agent_name=st.sampled_from(["A", "B"]),
        skill_id=st.sampled_from(["forecast", "summarise", "look-up"]),
        name=PHRASES,
        description=PHRASES,
        tags=st.lists(st.sampled_from(WORDS), max_size=2).map(tuple),
        examples=st.lists(PHRASES, max_size=2).map(tuple),
        input_modes=MODES.map(tuple),
        output_modes=MODES.map(tuple),
    ),
)
SKILLS = st.lists(OFFERS, max_size=3, unique_by=lambda offer: offer.skill_id)
CHANGES = st.lists(st.tuples(AGENTS, SKILLS), max_size=12)  # no skills: the agent goes
WANTED = st.builds(
    Wanted, tags=st.lists(st.sampled_from(WORDS), max_size=1).map(tuple), input_modes=MODES.map(tuple)
)


@given(CHANGES, st.sets(AGENTS, max_size=2), st.lists(PHRASES, max_size=3), WANTED)
@settings(max_examples=150, deadline=None)
def test_a_changed_index_ranks_exactly_as_one_built_anew(
    changes: list[tuple[str, list[SkillOffer]]], hidden: set[str], queries: list[str], wanted: Wanted
) -> None:
    changed = SkillIndex()
    left: dict[str, list[SkillOffer]] = {}
    for agent_id, skills in changes:
        left[agent_id] = [replace(offer, agent_id=agent_id) for offer in skills]
        changed.postings.replace(agent_id, [analyse(offer) for offer in left[agent_id]])
        changed.match("weather data")  # what a query keeps must not outlive the next change
    anew = SkillIndex(offer for offers in left.values() for offer in offers)
    changed.postings.hidden = anew.postings.hidden = frozenset(hidden)

    assert changed.offers == anew.offers
    assert changed.skill_names == anew.skill_names
    for query in ("weather", "summarise the data", "fold my laundry", "", *queries):
        assert changed.match(query, ["text/csv"]) == anew.match(query, ["text/csv"])
        assert changed.match_purpose(query, "summarise") == anew.match_purpose(query, "summarise")
        assert changed.near_misses(query) == anew.near_misses(query)
        assert search(changed.postings, query, wanted, 20) == search(anew.postings, query, wanted, 20)
    for agent_id in left:
        changed.postings.replace(agent_id, [])
    assert not changed.postings.documents
    assert changed.postings.frequency("weather") == 0
