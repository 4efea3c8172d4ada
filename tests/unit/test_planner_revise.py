"""How a plan changes while it runs."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from coordinator.planner.plan import (
    MAX_STEPS,
    Candidate,
    Plan,
    PlanStep,
    Requirement,
    Strategy,
    validate_plan,
)
from coordinator.planner.revise import Revision, revise_plan
from coordinator.registry.offers import SkillOffer


def offer(agent_id: str, skill_id: str) -> SkillOffer:
    return SkillOffer(agent_id, agent_id, skill_id, skill_id, "", (), (), (), ())


OFFERS = [offer("agent_a", "draw"), offer("agent_b", "paint"), offer("agent_c", "print")]
CANDIDATES = tuple(
    Candidate(f"agent_{letter}", letter, skill, score)
    for letter, skill, score in (("a", "draw", 0.9), ("b", "paint", 0.5), ("c", "print", 0.4))
)
DRAW = PlanStep(1, "draw it", "draw", candidates=CANDIDATES)
SHOW = PlanStep(2, "show it", "print", depends_on=(1,))


def revised(
    *steps: PlanStep,
    offers: list[SkillOffer] = OFFERS,
    failed: Collection[int] = (),
    still_open: Collection[int] = (),
    begun: Collection[int] = (),
    highest: int = 0,
) -> Revision | None:
    return revise_plan(
        Plan("rules", Strategy.adaptive, steps),
        offers,
        failed=failed,
        still_open=still_open,
        begun=begun,
        highest=max(highest, *(step.number for step in steps)),
    )


def test_nothing_changes_while_all_goes_well() -> None:
    assert revised(DRAW, SHOW, still_open=[1, 2]) is None


def test_a_step_whose_skill_nobody_offers_goes_on_with_the_next_candidate() -> None:
    revision = revised(DRAW, SHOW, offers=OFFERS[1:], still_open=[1, 2])
    assert revision is not None
    first, second = revision.plan.steps
    assert (first.number, first.skill_id, first.agent_id) == (1, "paint", None)
    assert second == SHOW
    assert "nobody offers draw any more" in revision.reason


def test_a_step_that_has_begun_keeps_its_skill() -> None:
    assert revised(DRAW, SHOW, offers=OFFERS[1:], still_open=[1, 2], begun=[1]) is None


def test_a_step_that_has_ended_keeps_its_skill() -> None:
    assert revised(DRAW, SHOW, offers=OFFERS[1:], still_open=[2], begun=[1]) is None


def test_without_another_candidate_a_step_keeps_waiting_for_its_skill() -> None:
    alone = replace(DRAW, candidates=CANDIDATES[:1])
    assert revised(alone, offers=OFFERS[1:], still_open=[1]) is None


def test_a_candidate_that_has_left_is_passed_over() -> None:
    revision = revised(DRAW, offers=OFFERS[2:], still_open=[1])
    assert revision is not None
    assert revision.plan.steps[0].skill_id == "print"


def test_a_failed_step_gets_a_fallback_with_the_next_candidate() -> None:
    revision = revised(DRAW, SHOW, failed=[1], still_open=[2], begun=[1])
    assert revision is not None
    assert revision.plan.steps[:2] == (DRAW, SHOW)
    third = revision.plan.steps[2]
    assert (third.number, third.skill_id, third.instruction) == (3, "paint", "draw it")
    assert (third.requirement, third.fallback_for) == (Requirement.fallback, 1)
    assert "it failed" in revision.reason


def test_the_revised_plan_is_one_that_can_run() -> None:
    revision = revised(DRAW, SHOW, failed=[1], still_open=[2], begun=[1])
    assert revision is not None
    validate_plan(revision.plan, {each.skill_id: {each.agent_id} for each in OFFERS}, [])


def test_a_revision_counts_one_up() -> None:
    revision = revised(DRAW, SHOW, failed=[1], still_open=[2], begun=[1])
    assert revision is not None
    assert revision.plan.version == 2


def test_a_failed_fallback_is_followed_by_the_candidate_after_it() -> None:
    again = replace(DRAW, number=3, skill_id="paint", requirement=Requirement.fallback, fallback_for=1)
    revision = revised(DRAW, SHOW, again, failed=[1, 3], still_open=[2], begun=[1, 3])
    assert revision is not None
    assert len(revision.plan.steps) == 4
    fourth = revision.plan.steps[3]
    assert (fourth.skill_id, fourth.fallback_for) == ("print", 3)


def test_no_skill_is_tried_twice_in_the_place_of_a_step() -> None:
    again = replace(DRAW, number=3, skill_id="paint", requirement=Requirement.fallback, fallback_for=1)
    last = replace(DRAW, number=4, skill_id="print", requirement=Requirement.fallback, fallback_for=3)
    assert revised(DRAW, SHOW, again, last, failed=[1, 3, 4], still_open=[2], begun=[1, 3, 4]) is None


def test_a_step_that_has_a_fallback_gets_no_other() -> None:
    own = PlanStep(3, "buy it", "print", requirement=Requirement.fallback, fallback_for=1)
    assert revised(DRAW, SHOW, own, failed=[1], still_open=[2, 3], begun=[1]) is None


@pytest.mark.parametrize(("still_open", "is_replaced"), [([], False), ([2], True)])
def test_a_failed_optional_step_is_replaced_where_another_waits_for_it(
    still_open: list[int], is_replaced: bool
) -> None:
    optional = replace(DRAW, requirement=Requirement.optional)
    revision = revised(optional, SHOW, failed=[1], still_open=still_open, begun=[1])
    assert (revision is not None) is is_replaced


def test_a_plan_does_not_grow_beyond_what_is_allowed() -> None:
    others = [PlanStep(number, "x", "print") for number in range(2, MAX_STEPS + 1)]
    assert revised(DRAW, *others, failed=[1], begun=[1]) is None


def test_a_new_step_has_a_number_that_no_item_of_a_list_has() -> None:
    """The items of a list are steps with numbers beyond those of the plan."""
    revision = revised(DRAW, SHOW, failed=[1], still_open=[2], begun=[1], highest=7)
    assert revision is not None
    assert revision.plan.steps[2].number == 8


def test_several_new_steps_have_a_number_each() -> None:
    other = replace(DRAW, number=3)
    revision = revised(DRAW, SHOW, other, failed=[1, 3], still_open=[2], begun=[1, 3], highest=7)
    assert revision is not None
    assert [step.number for step in revision.plan.steps[3:]] == [8, 9]
