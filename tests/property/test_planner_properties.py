"""Whatever is typed, planning ends with a plan that can run or with a planner's own error."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coordinator.planner.errors import PlanInvalid, PlannerError, UnknownTaskType
from coordinator.planner.match import THRESHOLD, SkillIndex
from coordinator.planner.plan import (
    MAX_STEPS,
    Attachment,
    Plan,
    Strategy,
    agents_by_skill,
    validate_plan,
)
from coordinator.planner.rules import plan_by_rules
from coordinator.registry.offers import SkillOffer
from tests.unit.planner_offers import NETWORK

INDEX = SkillIndex(NETWORK)
FRAGMENTS = st.sampled_from(
    (
        *("research leases", "summarise it", "analyse the csv", "fetch https://a.b/c.d", "both"),
        *("Research X", "compare them", "fold my laundry", "in three sentences", "weather in Oslo"),
        *(" and ", ", then ", ". ", "; ", "\n- ", "\n1. ", " 2. ", "\n\n", "then", "finally", ":"),
        *('"', "```", "(", "e.g. ", "the following text: ", "data.csv", "please ", "v1.0"),
    )
)
TEXT = st.one_of(st.text(max_size=400), st.lists(FRAGMENTS, max_size=40).map(" ".join))
FILES = st.lists(
    st.builds(
        Attachment,
        st.sampled_from(["data.csv", "notes.md", "a b.pdf", "x", "((", " "]),
        st.sampled_from(["text/csv", "text/markdown", "image/png", "", "text/csv; charset=utf-8"]),
    ),
    max_size=3,
    unique_by=lambda attachment: attachment.name,
)


def _outcome(text: str, files: list[Attachment], strategy: Strategy) -> Plan | PlannerError:
    try:
        return plan_by_rules(text, INDEX, files, strategy)
    except PlannerError as exc:
        return exc


@given(TEXT, FILES)
@settings(max_examples=150, deadline=None)
def test_what_cannot_be_planned_says_so_in_a_sentence(text: str, files: list[Attachment]) -> None:
    outcome = _outcome(text, files, Strategy.auto)
    match outcome:
        case UnknownTaskType():
            assert outcome.unmatched or not text.strip()
        case PlanInvalid():
            assert str(MAX_STEPS) in str(outcome)
        case _:
            assert isinstance(outcome, Plan)


@given(TEXT, FILES, st.sampled_from(Strategy))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_valid_plan_or_a_planner_error(
    text: str, files: list[Attachment], strategy: Strategy
) -> None:
    plan = _outcome(text, files, strategy)
    if not isinstance(plan, Plan):
        return
    validate_plan(plan, agents_by_skill(NETWORK), [file.name for file in files])
    assert [step.number for step in plan.steps] == list(range(1, len(plan.steps) + 1))
    for step in plan.steps:
        assert all(needed < step.number for needed in step.depends_on)
        assert step.candidates
        assert all(candidate.score >= THRESHOLD for candidate in step.candidates)
        scores = [candidate.score for candidate in step.candidates]
        assert scores == sorted(scores, reverse=True)


@given(TEXT, FILES)
@settings(max_examples=150, deadline=None)
def test_every_file_goes_to_a_step_or_is_named_in_a_note(text: str, files: list[Attachment]) -> None:
    plan = _outcome(text, files, Strategy.auto)
    if not isinstance(plan, Plan):
        return
    taken = {name for step in plan.steps for name in step.attachments}
    for file in files:
        assert file.name in taken or any(file.name in note for note in plan.notes)


@given(TEXT, FILES, st.sampled_from(Strategy))
@settings(max_examples=100, deadline=None)
def test_a_plan_survives_the_way_through_json(text: str, files: list[Attachment], strategy: Strategy) -> None:
    plan = _outcome(text, files, strategy)
    if isinstance(plan, Plan):
        assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@given(st.recursive(st.none() | st.integers() | st.text(max_size=9), lambda x: st.lists(x, max_size=3)))
@settings(max_examples=100, deadline=None)
def test_foreign_json_is_refused_with_problems(value: object) -> None:
    assume(value != [])
    with pytest.raises(PlanInvalid) as caught:
        Plan.from_json({"planner": "request", "strategy": "auto", "steps": value})
    assert caught.value.problems


@given(st.permutations(NETWORK))
@settings(max_examples=30, deadline=None)
def test_the_order_of_registration_does_not_change_the_plan(offers: list[SkillOffer]) -> None:
    request = "Research leases and summarise it, then fetch https://a.b/c and plot it"
    plan = plan_by_rules(request, SkillIndex(offers), [], Strategy.auto)
    assert plan == plan_by_rules(request, INDEX, [], Strategy.auto)
