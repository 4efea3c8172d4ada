"""What is sent for a step: templates filled in, files and results that travel; what is kept of an answer."""

from typing import Any

import pytest

from a2a.types import Json, Part
from coordinator.executor.artifacts import Stored, link_to, media_type_of
from coordinator.executor.messages import (
    MAX_OUTPUT_CHARS,
    MAX_OUTPUT_DATA_BYTES,
    Built,
    build_message,
    build_parts,
    data_of,
    output_of,
    referred_steps,
)
from coordinator.executor.state import StepState, TaskState
from coordinator.planner.plan import Requirement
from coordinator.planner.template import MissingReference
from tests.support.task_states import completed, failed, item, step, task

ANYTHING = ("*/*",)
OSLO = Part.from_data({"city": "Oslo", "total": 3})


def stored(number: int | None, part: Part, name: str = "result", *, size_bytes: int = 1) -> Stored:
    filename = part.filename or f"{name}.bin"
    return Stored(f"artifact_{number}", number, name, filename, media_type_of(part), size_bytes, part)


def built(
    state: TaskState,
    number: int,
    *artifacts: Stored,
    sources: tuple[int, ...] = (),
    modes: tuple[str, ...] = ANYTHING,
    inline_bytes: int = 1_000,
) -> Built:
    shelf: dict[int | None, list[Stored]] = {}
    for each in artifacts:
        shelf.setdefault(each.step_number, []).append(each)

    def by_reference(kept: Stored) -> Part | None:
        return link_to(kept, "http://here/artifact") if kept.size_bytes > inline_bytes else None

    return build_parts(state, state.steps[number], sources, shelf, modes, by_reference)


def templated(instruction: str, *, needs: tuple[int, ...] = (), **more: Any) -> StepState:
    planned = step(9, needs=needs, **more)
    return StepState(9, type(planned.planned)(9, instruction, "skill", depends_on=needs, **more))


# Instruction and data.


def test_an_instruction_without_references_is_sent_as_it_is() -> None:
    assert [part.text for part in built(task(templated("count")), 9).parts] == ["count"]


def test_references_in_instruction_and_data_are_filled_in() -> None:
    asking = templated(
        "Weather in {{steps.1.data.city}}", needs=(1,), data={"n": "{{steps.1.data.total}}", "t": "x"}
    )
    [text, data] = built(task(completed(1), asking), 9, stored(1, OSLO)).parts
    assert text.text == "Weather in Oslo"
    assert data.data == {"n": 3, "t": "x"}


def test_the_words_of_a_user_are_no_template() -> None:
    [part] = built(task(templated("what does {{item}} mean?"), planner="rules"), 9).parts
    assert part.text == "what does {{item}} mean?"
    assert referred_steps(task(templated("{{steps.1.text}}"), planner="rules"), templated("")) == []


def test_a_reference_to_what_is_not_there_is_an_error() -> None:
    with pytest.raises(MissingReference):
        built(task(completed(1), templated("{{steps.1.data.rain}}", needs=(1,))), 9, stored(1, OSLO))


def test_a_reference_to_a_step_that_failed_is_an_error() -> None:
    lacking = failed(1, requirement=Requirement.optional)
    with pytest.raises(MissingReference):
        built(task(lacking, templated("{{steps.1.text}}", needs=(1,))), 9)


def test_a_reference_to_a_step_that_failed_leads_to_its_fallback() -> None:
    replaced = task(failed(1), completed(2, fallback_for=1), templated("{{steps.1.text}}", needs=(1,)))
    assert built(replaced, 9, stored(2, Part.from_text("from two"))).parts[0].text == "from two"


def test_a_reference_to_a_named_artifact() -> None:
    asking = templated("{{steps.1.artifacts.note}}", needs=(1,))
    parts = built(task(completed(1), asking), 9, stored(1, Part.from_text("hello"), "note")).parts
    assert parts[0].text == "hello"


def test_an_item_of_a_list_is_filled_in() -> None:
    parent = templated("{{item.city}} is number {{item_index}}", needs=(1,), for_each="steps.1.data")
    child = item(10, parent, 4)
    child.item = {"city": "Rome"}
    assert built(task(completed(1), parent, child), 10).parts[0].text == "Rome is number 4"


def test_a_reference_to_a_list_leads_to_what_its_items_came_to() -> None:
    listed = completed(2, needs=(1,), for_each="steps.1.data", data=[1, 2], text="one\n\ntwo")
    asking = templated("{{steps.2.data}} {{steps.2.text}}", needs=(2,))
    assert built(task(completed(1), listed, asking), 9).parts[0].text == "[1,2] one\n\ntwo"


# What travels along.


def test_the_results_of_earlier_steps_and_the_tasks_files_travel_along() -> None:
    csv = Part.from_text("a,b", media_type="text/csv", filename="a.csv")
    other = Part.from_text("c,d", media_type="text/csv", filename="b.csv")
    asking = step(9, needs=(1,), attachments=("a.csv",))
    result = built(
        task(completed(1), asking),
        9,
        stored(None, csv),
        stored(None, other),
        stored(1, Part.from_text("sum")),
        sources=(1,),
    )
    assert [part.text for part in result.parts] == ["step 9", "a,b", "sum"]
    assert [part.metadata for part in result.parts[1:]] == [
        {"artifact": "result"},
        {"artifact": "result", "step": 1},
    ]


def test_what_the_agent_does_not_take_is_left_out_and_named() -> None:
    picture = Part.from_bytes(b"x", "image/png", filename="chart.png")
    result = built(
        task(completed(1), step(9, needs=(1,))), 9, stored(1, picture), sources=(1,), modes=("text/plain",)
    )
    assert len(result.parts) == 1
    assert result.refused == ["chart.png"]


def test_what_is_large_is_sent_as_a_link() -> None:
    long = stored(1, Part.from_text("long"), size_bytes=2_000)
    [_, link] = built(task(completed(1), step(9, needs=(1,))), 9, long, sources=(1,)).parts
    assert (link.url, link.text) == ("http://here/artifact", None)


def test_data_for_an_agent_that_takes_text_is_sent_as_text() -> None:
    asking = templated("count", data={"n": "ü"})
    [_, part] = built(task(asking), 9, modes=("text/plain",)).parts
    assert (part.text, part.data) == ('{"n": "ü"}', None)


def test_the_message_names_skill_context_and_remote_task() -> None:
    running = step(9)
    running.message_id, running.remote_task_id = "message_1", "remote_1"
    message = build_message(running, "context_1", [Part.from_text("x")])
    assert (message.message_id, message.context_id, message.task_id) == ("message_1", "context_1", "remote_1")
    assert message.metadata == {"skillId": "skill"}


# What is kept of an answer.


@pytest.mark.parametrize(
    ("parts", "data"),
    [
        ([OSLO], OSLO.data),
        ([Part.from_text("prose")], None),
        ([Part.from_text("[1, 2]", media_type="application/json")], [1, 2]),
        ([Part.from_text("{broken", media_type="application/json"), OSLO], OSLO.data),
        ([Part.from_data({"citations": []}), OSLO], OSLO.data),
        ([], None),
    ],
)
def test_the_data_of_a_step_is_its_first_that_is_no_list_of_sources(parts: list[Part], data: Json) -> None:
    assert data_of([stored(1, part) for part in parts]) == data


def test_what_is_kept_is_the_text_and_the_data() -> None:
    kept = output_of([stored(1, Part.from_text("three")), stored(1, OSLO)])
    assert kept == {"text": "three", "artifact_ids": ["artifact_1", "artifact_1"], "data": OSLO.data}


def test_long_text_is_kept_in_part() -> None:
    kept = output_of([stored(1, Part.from_text("x" * (MAX_OUTPUT_CHARS + 1)))])
    assert len(kept["text"]) == MAX_OUTPUT_CHARS


def test_much_data_is_left_out_and_said_to_be() -> None:
    much = Part.from_data(["x" * MAX_OUTPUT_DATA_BYTES])
    kept = output_of([stored(1, much, size_bytes=MAX_OUTPUT_DATA_BYTES + 4)])
    assert "data" not in kept
    assert kept["data_left_out"] is True


def test_little_data_beside_a_large_file_is_kept() -> None:
    file = Part.from_bytes(b"x", "application/pdf", filename="a.pdf")
    kept = output_of([stored(1, file, size_bytes=10 * MAX_OUTPUT_DATA_BYTES), stored(1, OSLO)])
    assert kept["data"] == OSLO.data
