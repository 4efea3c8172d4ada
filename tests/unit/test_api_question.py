"""What an instruction asks of a table."""

import pytest

from agent_servers.api.question import Question, Want, read_question

NUMBERS = ("precipitation", "temp_max", "temp_min", "wind", "manufacturing", "retail_trade", "nonfarm_change")
OTHERS = ("date", "weather")


def asked(text: str) -> Question:
    return read_question(
        text, numbers=NUMBERS, others=OTHERS, categories={"weather": ["rain", "drizzle", "sun"]}
    )


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("temperature by weather type", ("temp_max", "temp_min", "weather")),
        ("employment in manufacturing over time", ("manufacturing",)),
        ("how did retail trade develop", ("retail_trade",)),
        ("what was the minimum temperature", ("temp_max", "temp_min")),
        ("analyse the attached weather data", ()),
        ("what changed over time", ()),
        ("analyse it", ()),
    ],
)
def test_named_columns_are_heard(text: str, columns: tuple[str, ...]) -> None:
    assert asked(text).columns == columns


def test_values_of_categories_are_heard() -> None:
    assert asked("how much drizzle is there").values == (("weather", "drizzle"),)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("wind over time", Want.TREND),
        ("is there a seasonal pattern", Want.SEASON),
        ("compare wind across types", Want.GROUPS),
        ("are they correlated", Want.RELATION),
        ("find outliers", Want.OUTLIERS),
        ("which values are missing", Want.MISSING),
    ],
)
def test_the_kind_of_analysis_is_heard(text: str, want: Want) -> None:
    assert want in asked(text).wants


@pytest.mark.parametrize(
    ("text", "grain"), [("sales by month", "month"), ("yearly sales", "year"), ("x", "")]
)
def test_the_grain_is_heard(text: str, grain: str) -> None:
    assert asked(text).grain == grain


def test_sums_and_means_are_told_apart() -> None:
    assert asked("total precipitation").total is True
    assert asked("average precipitation").total is False
    assert asked("precipitation").total is None
