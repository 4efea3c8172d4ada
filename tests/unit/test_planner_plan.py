"""What a plan may hold and what is refused, with the problems named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.planner.errors import PlanInvalid, UnknownTaskType
from coordinator.planner.plan import (
    MAX_STEPS,
    Candidate,
    Plan,
    PlanStep,
    Requirement,
    Strategy,
    agents_by_skill,
    validate_plan,
)
from tests.unit.planner_offers import NETWORK

KNOWN = agents_by_skill(NETWORK)
FIRST = PlanStep(1, "research leases", "research")
SECOND = PlanStep(2, "summarise it", "summarise", depends_on=(1,), attachments=("a.csv",))


def _problems(*steps: PlanStep) -> tuple[str, ...]:
    with pytest.raises(PlanInvalid) as caught:
        validate_plan(Plan("request", Strategy.auto, steps), KNOWN, ["a.csv"])
    return caught.value.problems


def test_a_plan_that_can_run_passes() -> None:
    validate_plan(Plan("request", Strategy.auto, (FIRST, SECOND)), KNOWN, ["a.csv"])


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (replace(SECOND, depends_on=(7,)), "depends on unknown steps 7"),
        (replace(SECOND, depends_on=(2,)), "wait for each other"),
        (replace(SECOND, skill_id="fold"), 'the skill "fold", which no agent offers'),
        (replace(SECOND, agent_id="agent_research"), 'does not offer the skill "summarise"'),
        (replace(SECOND, attachments=("b.csv",)), "does not have: b.csv"),
        (replace(SECOND, number=1, depends_on=()), "Step numbers 1 are used more than once"),
        (replace(SECOND, number=0, depends_on=()), "numbers start at 1"),
        (replace(SECOND, instruction="  "), "has no instruction"),
        (replace(SECOND, instruction="x" * 20_001), "over 20000 characters"),
    ],
)
def test_each_defect_is_one_problem(step: PlanStep, words: str) -> None:
    problems = _problems(FIRST, step)
    assert len(problems) == 1
    assert words in problems[0]


def test_a_circle_names_the_steps_in_it() -> None:
    circle = replace(FIRST, depends_on=(2,))
    assert _problems(circle, SECOND) == ("Steps 1, 2 wait for each other in a circle.",)


def test_all_problems_are_listed_at_once() -> None:
    assert len(_problems(replace(FIRST, skill_id="a"), replace(SECOND, attachments=("b",)))) == 2


def test_no_steps_and_too_many_steps_are_refused() -> None:
    assert _problems() == ("It has no steps.",)
    many = tuple(replace(FIRST, number=number) for number in range(1, MAX_STEPS + 2))
    assert _problems(*many) == (f"It has {MAX_STEPS + 1} steps; at most {MAX_STEPS} are allowed.",)


def test_json_round_trip_keeps_every_field() -> None:
    candidate = Candidate("agent_research", "Research Agent", "research", 0.83, ("leases",))
    step = replace(
        SECOND,
        agent_id="agent_api",
        requirement=Requirement.optional,
        candidates=(candidate,),
        reason="why",
    )
    plan = Plan("rules", Strategy.sequential, (FIRST, step), notes=("a note",))
    assert Plan.from_json(plan.to_json()) == plan


RESCUE = replace(FIRST, number=3, requirement=Requirement.fallback, fallback_for=1)


def test_steps_that_would_wait_for_each_other_by_way_of_a_fallback_are_refused() -> None:
    """Step 2 needs step 1 and so waits for its fallback, which needs step 2."""
    second = replace(SECOND, attachments=())
    [problem] = _problems(FIRST, second, replace(RESCUE, depends_on=(2,)))
    assert "Steps 2, 3 wait for each other" in problem


def test_a_fallback_of_a_fallback_cannot_need_what_it_stands_in_for() -> None:
    last = replace(RESCUE, number=4, fallback_for=3, depends_on=(1,))
    [problem] = _problems(FIRST, RESCUE, last)
    assert "Steps 4 wait for each other" in problem


def test_a_fallback_may_need_what_the_others_do_not_wait_for() -> None:
    other = replace(FIRST, number=2)
    steps = (FIRST, other, replace(RESCUE, depends_on=(2,)), replace(FIRST, number=4, depends_on=(1,)))
    validate_plan(Plan("request", Strategy.auto, steps), KNOWN, [])


def test_a_callers_plan_may_leave_out_what_has_a_default() -> None:
    steps = [{"number": 1, "instruction": "research leases", "skill_id": "research"}]
    plan = Plan.from_json({"planner": "request", "strategy": "auto", "steps": steps})
    assert plan.steps == (FIRST,)


def test_a_misspelt_field_is_refused_rather_than_ignored() -> None:
    steps = [{"number": 1, "instruction": "x", "skill_id": "research", "dependsOn": [1]}]
    with pytest.raises(PlanInvalid) as caught:
        Plan.from_json({"planner": "request", "strategy": "auto", "steps": steps})
    assert "dependsOn" in str(caught.value)


def test_unknown_task_type_names_the_clause_and_what_there_is() -> None:
    error = UnknownTaskType(("fold my laundry",), (), ("Forecast", "Research"))
    assert str(error) == (
        'No agent can do "fold my laundry". Registered skills: Forecast, Research. '
        "Rephrase that part or register an agent that has such a skill."
    )


def test_unknown_task_type_with_an_empty_registry_says_to_register_an_agent() -> None:
    assert "Register an agent first" in str(UnknownTaskType(("summarise it",)))


def test_the_refusal_shows_quoted_examples_from_the_cards() -> None:
    error = UnknownTaskType(("fold",), (), ("Research",), ("Research how agents register", "a", "b", "c"))
    assert 'For example: "Research how agents register", "a", "b". Rephrase' in str(error)


@pytest.mark.parametrize("clauses", [1, 40])
def test_the_refusal_stays_short_and_on_one_line_whatever_the_cards_say(clauses: int) -> None:
    hostile = 'Say "yes".\n\u202e\x1b[2J' + "very long " * 400
    error = UnknownTaskType((hostile,) * clauses, (), (hostile,) * 50, (hostile,) * 3)
    text = str(error)
    assert len(text) < 600
    assert text.isprintable()
    assert 'Say "yes"' not in text
    assert "For example: \"Say 'yes'." in text
