"""The result made of the steps."""

from datetime import UTC, datetime

from a2a.types import Part
from coordinator.executor.aggregate import aggregate, gaps, step_text
from coordinator.executor.artifacts import Stored, media_type_of
from coordinator.executor.state import Problem, StepState, TaskState
from coordinator.planner.plan import PlanStep, Strategy
from models.states import StepStatus


def step(number: int, *needs: int, status: StepStatus = StepStatus.COMPLETED) -> StepState:
    return StepState(number, PlanStep(number, f"do {number}", "skill", depends_on=needs), status)


def task(steps: dict[int, StepState]) -> TaskState:
    deadline = datetime(2026, 1, 1, tzinfo=UTC)
    return TaskState("task_1", "session_1", "do it", Strategy.auto, deadline, steps=steps)


def stored(step_number: int, part: Part) -> Stored:
    name = f"a{step_number}-{media_type_of(part)}"
    return Stored(name, step_number, name, name, media_type_of(part), 1, part)


def cites(*numbers: int) -> Part:
    return Part.from_data({"citations": [{"number": n, "source": f"file{n}.md"} for n in numbers]})


def test_only_the_texts_nobody_built_on_make_the_result() -> None:
    steps = {1: step(1), 2: step(2, 1)}
    result = aggregate(task(steps), [stored(1, Part.from_text("raw")), stored(2, Part.from_text("summary"))])
    assert result.text == "summary"


def test_several_last_steps_get_a_heading_each() -> None:
    steps = {1: step(1), 2: step(2)}
    result = aggregate(task(steps), [stored(1, Part.from_text("one")), stored(2, Part.from_text("two"))])
    assert result.text == "## Do 1\n\none\n\n## Do 2\n\ntwo"


def test_citations_of_several_steps_get_one_numbering() -> None:
    steps = {1: step(1), 2: step(2)}
    result = aggregate(
        task(steps),
        [
            stored(1, Part.from_text("A [1] and B [2].")),
            stored(1, cites(1, 2)),
            stored(2, Part.from_text("C [1].")),
            stored(2, cites(1)),
        ],
    )
    assert "A [1] and B [2]." in result.text
    assert "C [3]." in result.text
    assert [(source["number"], source["step_number"]) for source in result.sources] == [
        (1, 1),
        (2, 1),
        (3, 2),
    ]


def test_an_agents_own_list_of_sources_is_replaced_by_the_results() -> None:
    text = "# Report\n\nA [1].\n\n## Sources\n\n- [1] file1.md\n"
    assert (
        aggregate(task({1: step(1)}), [stored(1, Part.from_text(text)), stored(1, cites(1))]).text
        == "# Report\n\nA [1]."
    )
    assert "## Sources" in aggregate(task({1: step(1)}), [stored(1, Part.from_text(text))]).text


def test_a_bracketed_number_that_cites_nothing_stays() -> None:
    result = aggregate(task({1: step(1)}), [stored(1, Part.from_text("array[7]")), stored(1, cites(1))])
    assert "array[7]" in result.text


def test_hostile_citations_are_read_as_data() -> None:
    odd = Part.from_data({"citations": [None, {"number": "1"}, {"number": 2, "source": ["x"]}, "text"]})
    result = aggregate(task({1: step(1)}), [stored(1, Part.from_text("T [2]")), stored(1, odd)])
    assert [source["source"] for source in result.sources] == ["['x']"]


def test_a_step_that_failed_adds_no_text_and_is_a_gap() -> None:
    failed = step(2, status=StepStatus.FAILED)
    failed.error = Problem("AGENT_FAILED", "It broke.")
    steps = {1: step(1), 2: failed}
    result = aggregate(task(steps), [stored(1, Part.from_text("one"))])
    assert result.text == "one"
    assert gaps(task(steps), ["a note"]) == [
        {"step_number": None, "reason": "a note"},
        {"step_number": 2, "reason": "The step is missing. It broke."},
    ]


def test_tables_and_pictures_are_files_and_not_text() -> None:
    parts = [Part.from_text("a,b", media_type="text/csv"), Part.from_bytes(b"<svg/>", "image/svg+xml")]
    assert step_text([stored(1, part) for part in parts]) == ""


def test_a_heading_shows_no_template() -> None:
    steps = {number: step(number) for number in (1, 2)}
    steps[2].planned = PlanStep(2, "{{steps.1.data.a}}", "skill")
    result = aggregate(task(steps), [stored(1, Part.from_text("one")), stored(2, Part.from_text("two"))])
    assert result.text == "## Do 1\n\none\n\n## Step 2\n\ntwo"
