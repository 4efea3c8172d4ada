"""Plans by rules: files, qualifiers, strategies, reasons and refusals."""

from __future__ import annotations

import pytest

from coordinator.planner.errors import PlanInvalid, UnknownTaskType
from coordinator.planner.match import SkillIndex
from coordinator.planner.plan import Attachment, Plan, Strategy
from coordinator.planner.rules import plan_by_rules
from tests.unit.planner_offers import ANALYSE, NETWORK, RESEARCH

INDEX = SkillIndex(NETWORK)
CSV = Attachment("seattle-weather.csv", "text/csv")
MAIN = (
    "Research how agents register with the coordinator and summarise it, "
    "then analyse the attached weather data"
)


def _plan(text: str, *files: Attachment, strategy: Strategy = Strategy.auto) -> Plan:
    return plan_by_rules(text, INDEX, files, strategy)


def _edges(plan: Plan) -> list[tuple[int, ...]]:
    return [step.depends_on for step in plan.steps]


def test_the_main_job_runs_the_analysis_beside_the_research() -> None:
    plan = _plan(MAIN, CSV)
    assert [step.skill_id for step in plan.steps] == ["research", "summarise", "analyse"]
    assert _edges(plan) == [(), (1,), ()]
    assert [step.attachments for step in plan.steps] == [(), (), (CSV.name,)]
    assert "starts at once" in plan.steps[2].reason
    assert (plan.planner, plan.notes) == ("rules", ())


def test_then_means_order_when_there_is_no_file_of_its_own() -> None:
    assert _edges(_plan("Research leases, then analyse the weather data")) == [(), (1,)]


def test_a_pronoun_means_the_step_before_even_beside_a_file() -> None:
    plan = _plan("Research leases, then summarise it with the attached csv", CSV)
    assert _edges(plan)[-1] == (len(plan.steps) - 1,)


@pytest.mark.parametrize(
    "qualifier", ["in three sentences", "and be brief", "for 2014 only", "with a chart", "Thanks!"]
)
def test_a_qualifier_joins_the_clause_before_it(qualifier: str) -> None:
    plan = _plan(f"Analyse the csv, {qualifier}", CSV)
    assert [step.skill_id for step in plan.steps] == ["analyse"]


def test_instructions_are_the_users_words() -> None:
    plan = _plan("Please research Leases in A2A v1.0; and then, SUMMARISE it in 3 sentences, be brief!")
    texts = [step.instruction for step in plan.steps]
    assert texts == ["research Leases in A2A v1.0", "SUMMARISE it in 3 sentences, be brief!"]


def test_background_goes_with_the_step_it_is_about() -> None:
    plan = _plan("I have a csv of weather data. Please analyse it.", CSV)
    assert [step.instruction for step in plan.steps] == ["I have a csv of weather data. Please analyse it"]


def test_sequential_puts_every_step_after_the_one_before() -> None:
    assert _edges(_plan(MAIN, CSV, strategy=Strategy.sequential)) == [(), (1,), (2,)]


def test_parallel_drops_order_but_not_the_result_a_step_needs() -> None:
    text = "Research leases and summarise it, then forecast the weather for Oslo"
    assert _edges(_plan(text)) == [(), (1,), (2,)]
    assert _edges(_plan(text, strategy=Strategy.parallel)) == [(), (1,), ()]


def test_an_unmentioned_file_goes_to_the_step_that_takes_its_type() -> None:
    plan = _plan("Research leases. Show me the missing values.", CSV)
    assert [step.attachments for step in plan.steps] == [(), (CSV.name,)]


def test_a_file_that_fits_no_step_is_named_in_the_notes() -> None:
    plan = _plan("Research leases", Attachment("cat.png", "image/png"))
    assert plan.steps[0].attachments == ()
    assert len(plan.notes) == 1
    assert "cat.png (image/png) goes to no step" in plan.notes[0]


def test_a_named_file_goes_where_the_user_says_with_a_note_on_its_type() -> None:
    plan = _plan("Summarise cat.png", Attachment("cat.png", "image/png"))
    assert plan.steps[0].attachments == ("cat.png",)
    assert "does not list this type" in plan.notes[0]


def test_each_of_two_files_goes_to_the_step_that_names_it() -> None:
    notes = Attachment("notes.md", "text/markdown")
    plan = _plan("Analyse the csv and summarise notes.md", CSV, notes)
    assert [step.attachments for step in plan.steps] == [(CSV.name,), (notes.name,)]
    assert _edges(plan) == [(), ()]


def test_every_clause_without_an_agent_is_named() -> None:
    with pytest.raises(UnknownTaskType) as caught:
        _plan("Fold my laundry, summarise the menu and order a pizza")
    assert caught.value.unmatched == ("Fold my laundry", "order a pizza")
    assert caught.value.available == tuple(sorted(offer.name for offer in NETWORK))


def test_a_refusal_carries_one_example_of_each_of_three_skills() -> None:
    with pytest.raises(UnknownTaskType) as caught:
        _plan("Fold my documents into a weather balloon")
    assert len(caught.value.examples) == 3
    assert set(caught.value.examples) <= {offer.examples[0] for offer in NETWORK}


def test_findings_put_together_for_want_of_a_comparer_are_said_to_be() -> None:
    plan = _plan("Research leases. Research heartbeats. Then compare them")
    assert plan.steps[2].skill_id == "summarise"
    assert "No agent compares texts, so this skill puts their findings together." in plan.steps[2].reason


def test_a_length_wish_is_a_step_of_its_own_only_if_a_skill_shortens_texts() -> None:
    text = "Research how agents register in three sentences"
    steps = _plan(text).steps
    assert [step.instruction for step in steps] == ["Research how agents register", "in three sentences"]
    alone = plan_by_rules(text, SkillIndex([RESEARCH, ANALYSE]), [], Strategy.auto)
    assert [step.instruction for step in alone.steps] == [text]


def test_a_summary_of_a_topic_is_researched_first_under_its_own_words() -> None:
    steps = _plan("Summarise how agents register in two sentences").steps
    assert steps[0].instruction == "how agents register"
    assert steps[1].instruction == "Summarise how agents register in two sentences"


def test_a_question_goes_to_no_skill_when_none_is_for_questions() -> None:
    with pytest.raises(UnknownTaskType):
        plan_by_rules("How do leases expire?", SkillIndex([ANALYSE]), [], Strategy.auto)


def test_a_question_about_a_file_that_the_skill_cannot_read_is_refused() -> None:
    with pytest.raises(UnknownTaskType):
        _plan("Describe cat.png", Attachment("cat.png", "image/png"))


def test_what_is_said_of_the_step_before_joins_it() -> None:
    plan = _plan("Research leases and tell me what they are for")
    assert [step.skill_id for step in plan.steps] == ["research"]


def test_order_alone_does_not_use_up_a_result() -> None:
    plan = _plan("Research leases. Then research heartbeats. Then summarise the findings")
    assert _edges(plan) == [(), (1,), (1, 2)]


@pytest.mark.parametrize("text", ["", " \n "])
def test_whitespace_is_an_unknown_task_with_no_clause(text: str) -> None:
    with pytest.raises(UnknownTaskType) as caught:
        _plan(text)
    assert caught.value.unmatched == ()


def test_more_than_twenty_steps_are_refused_not_merged() -> None:
    text = "\n".join(f"- research topic{number}" for number in range(21))
    with pytest.raises(PlanInvalid, match="21 steps"):
        _plan(text)


@pytest.mark.parametrize(
    "text",
    ["." * 19_999 + "x", '"' * 20_000, "the " * 5_000, "and then " * 2_200, "1. " * 6_600, "a-" * 10_000],
)
def test_hostile_text_ends_in_bounded_time(text: str) -> None:
    with pytest.raises((UnknownTaskType, PlanInvalid)):
        _plan(text, CSV)
