"""Charts: chosen from the data, bounded, readable, drawn without reaching out."""

import pytest

from agent_servers.api.analysis import analyse
from agent_servers.api.budget import Budget
from agent_servers.api.charts import Chart, chart, draw
from agent_servers.api.errors import ChartFailed
from agent_servers.api.tables import open_table, read_records


def charted(text: str, question: str = "analyse") -> Chart:
    records = read_records(text.encode(), name="t.csv", media_type="")
    with open_table(records, name="t.csv", budget=Budget()) as table:
        found = chart(analyse(table, question))
    assert found is not None
    return found


PANEL = "year,region,sales_eur\n" + "".join(
    f"{year},{region},{base + step * (year - 2000)}\n"
    for year in range(2000, 2010)
    for region, base, step in (("north", 10, 3), ("south", 90, -2))
)
GROUPS = "kind,weight_kg\n" + "".join(f"{'abc'[n % 3]},{n % 3 * 10 + n % 5}\n" for n in range(60))


def test_a_course_over_time_is_a_line_per_group() -> None:
    found = charted(PANEL)
    assert found.spec["mark"]["type"] == "line"
    assert found.title == "Sales by region, 2000 to 2009" or found.title.startswith("Yearly total of sales")
    assert {row["series"] for row in found.spec["data"]["values"]} == {"north", "south"}


def test_axis_titles_carry_the_unit_of_the_column_name() -> None:
    assert charted(PANEL).spec["encoding"]["y"]["title"] == "sales (EUR)"


def test_groups_without_time_are_bars_from_zero() -> None:
    spec = charted(GROUPS).spec
    assert spec["mark"]["type"] == "bar"
    assert spec["encoding"]["x"]["scale"]["zero"] is True
    assert spec["encoding"]["x"]["title"] == "weight (kg)"


def test_a_relation_asked_for_is_a_scatter() -> None:
    text = "speed,power,day\n" + "".join(
        f"{n % 37},{(n % 37) * 3 + n % 5},2020-01-{n % 28 + 1:02}\n" for n in range(200)
    )
    spec = charted(text, "how is speed related to power?").spec
    assert spec["mark"]["type"] == "point"
    assert {spec["encoding"]["x"]["title"], spec["encoding"]["y"]["title"]} == {"speed", "power"}


def test_a_lone_measure_is_a_histogram_that_counts_every_row() -> None:
    values = charted("v\n" + "".join(f"{n * n % 101 / 10}\n" for n in range(500))).spec["data"]["values"]
    assert sum(row["value"] for row in values) == 500


def test_points_are_bounded() -> None:
    text = "stamp,v\n" + "".join(
        f"{1990 + n // 8760}-{n // 730 % 12 + 1:02}-{n // 24 % 28 + 1:02} {n % 24:02}:00:00,{n % 97}\n"
        for n in range(30_000)
    )
    assert len(charted(text, "hourly").spec["data"]["values"]) <= 1_800


@pytest.mark.parametrize("text", [PANEL, GROUPS])
def test_the_drawing_is_svg_with_its_title(text: str) -> None:
    found = charted(text)
    svg = draw(found.spec).decode()
    assert svg.startswith("<svg")
    assert found.spec["title"]["text"] in svg


def test_markup_in_names_stays_text_in_the_drawing() -> None:
    svg = draw(charted(GROUPS.replace("a,", "<script>alert(1)</script>,")).spec).decode()
    assert "<script>" not in svg


def test_data_by_url_is_never_fetched() -> None:
    spec = charted(GROUPS).spec | {"data": {"url": "https://example.org/data.json"}}
    with pytest.raises(ChartFailed):
        draw(spec)
