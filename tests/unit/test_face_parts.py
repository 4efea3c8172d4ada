"""What the coordinator's A2A face makes of steps and results."""

from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.face import asking_step, result_parts


def steps(*rows: tuple[int, str, str | None, str | None]) -> list[Any]:
    return [
        SimpleNamespace(**dict(zip(("number", "status", "question", "answer"), row, strict=True)))
        for row in rows
    ]


CITY = (1, "input_required", "Which city?", None)
YEAR = (2, "input_required", "Which year?", None)


@pytest.mark.parametrize(
    ("asking", "asked", "number"),
    [
        ([CITY, YEAR], None, 1),
        ([CITY, YEAR], "Which year?", 2),
        ([CITY, YEAR], "Which planet?", 1),
        ([(1, "input_required", "Which city?", "Oslo"), YEAR], "Which city?", 2),
        ([(1, "completed", "Which city?", None), YEAR], None, 2),
    ],
    ids=["the first", "the one that asked", "an unknown question", "answered", "ended"],
)
def test_an_answer_goes_to_the_step_that_asked(asking: list[Any], asked: str | None, number: int) -> None:
    step = asking_step(steps(*asking), asked)

    assert step is not None
    assert step.number == number


def test_where_no_step_waits_there_is_nobody_to_answer() -> None:
    rows = steps((1, "input_required", "Which city?", "Oslo"), (2, "running", None, None))

    assert asking_step(rows, "Which city?") is None


def test_a_result_is_its_text_and_the_data_about_it() -> None:
    text, data = result_parts("task_1", {"text": "# R", "sources": [{"file": "a"}]}, ["a gap"])

    assert (text.text, text.media_type) == ("# R", "text/markdown")
    assert data.data == {"taskId": "task_1", "sources": [{"file": "a"}], "gaps": ["a gap"]}


@pytest.mark.parametrize("result", [None, {}, {"text": ""}])
def test_a_task_that_completed_without_a_result_has_the_data_alone(result: dict[str, Any] | None) -> None:
    (data,) = result_parts("task_1", result, [])

    assert data.data == {"taskId": "task_1", "sources": [], "gaps": []}
