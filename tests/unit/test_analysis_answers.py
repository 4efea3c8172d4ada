"""What is asked of a table is answered before anything else is told."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pytest

from agent_servers.api import report
from agent_servers.api.analysis import Analysis, analyse
from agent_servers.api.budget import Budget
from agent_servers.api.superlatives import read_count, read_superlative, read_years
from agent_servers.api.tables import open_table, read_records


@contextmanager
def analysed(text: str, question: str, name: str = "t.csv") -> Iterator[Analysis]:
    records = read_records(text.encode(), name=name, media_type="")
    with open_table(records, name=name, budget=Budget()) as table:
        yield analyse(table, question)


def first(text: str, question: str) -> str:
    with analysed(text, question) as analysis:
        return analysis.findings[0].text


def weather() -> str:
    """Four years of days: November is wet, 2014 is warm, and the hottest day is 2013-07-20."""
    lines = ["date,rainfall,temp_max,temp_min,sky"]
    for year in (2011, 2012, 2013, 2014):
        for month in range(1, 13):
            for day in range(1, 29):
                rain = (9 if month == 11 else 2) + day % 3
                warm = 10 + (5 if year == 2014 else 0) + 8 * (6 <= month <= 8)
                high = 40 if (year, month, day) == (2013, 7, 20) else warm + day % 4
                sky = "wet" if month == 11 else "dry"
                lines.append(f"{year}-{month:02}-{day:02},{rain},{high},{warm - 6 + day % 2},{sky}")
    return "\n".join(lines) + "\n"


SALES = "city,year,visits\n" + "".join(
    f"{city},{year},{base + year - 2000}\n"
    for city, base in (("Oslo", 100), ("Rome", 300), ("Bonn", 50))
    for year in range(2000, 2010)
)


@pytest.mark.parametrize(
    ("question", "opening"),
    [
        (
            "Which month had the highest rainfall?",
            "November has the highest `rainfall` of the calendar months",
        ),
        ("the wettest month", "November has the highest `rainfall` of the calendar months"),
        ("What was the hottest day?", "2013-07-20 (40) has the highest `temp_max`"),
        ("Which was the coldest year?", "2011 (6.5) has (with others) the lowest yearly mean"),
        ("Which hour had the most rainfall?", "The table has daily rows and tells no hour. "),
        ("What is the lowest temperature?", "The lowest `temp_min` is 4 "),
        ("Which sky is most common?", "dry is the most frequent `sky`: 1,232 of 1,344 rows"),
        ("Which sky has the highest rainfall?", "wet (10) has the highest mean `rainfall`"),
        ("Compare the years 2012 and 2014", "Mean `rainfall`: 3.58 in 2012"),
        ("Compare 2012 with 2020", "The table has no rows for 2020; it covers 2011 to 2014."),
        ("How many rows are in the attached file?", "The table has 1,344 rows and 5 columns."),
    ],
)
def test_a_question_is_answered_first(question: str, opening: str) -> None:
    assert first(weather(), question).startswith(opening)


def test_a_group_is_singled_out_by_its_total_where_totals_mean_something() -> None:
    assert first(SALES, "Which city had the most visits?").startswith(
        "Rome (3,045) has the highest total `visits`"
    )


def test_years_are_contrasted_for_every_measure() -> None:
    with analysed(weather(), "Compare the years 2012 and 2014") as analysis:
        told = {f.columns[0]: f.text for f in analysis.findings if f.kind == "answer"}
    assert set(told) == {"rainfall", "temp_max", "temp_min"}
    assert "2014 has 5 more than 2012" in told["temp_min"]
    assert "2014 has the same as 2012" in told["rainfall"]


def test_a_column_that_is_not_there_is_said_first_with_the_nearest() -> None:
    assert first(weather(), "which month had the highest sales?") == (
        'The table has no column like "sales"; its measures are `rainfall`, `temp_max` and `temp_min`.'
    )
    assert 'like "vists"; the nearest is `visits`' in first(SALES, "which city had the highest vists?")


def test_the_season_is_not_claimed_where_only_the_trend_rises() -> None:
    noise = random.Random(3)  # noqa: S311 made-up jobs, no secret
    jobs = [10_000 - 10 * n + round(noise.gauss(0, 30)) for n in range(72)]
    text = "month,jobs\n" + "".join(f"{2000 + n // 12}-{n % 12 + 1:02}-01,{v}\n" for n, v in enumerate(jobs))
    best = jobs.index(max(jobs))
    assert first(text, "which month had the most jobs?").startswith(f"2000-{best + 1:02} ({max(jobs):,}) has")


@pytest.mark.parametrize(
    "question",
    [
        "Analyse the data",
        "Which columns are most correlated?",
        "find the most important changes",
        "plot rainfall",
    ],
)
def test_nothing_is_answered_that_was_not_asked(question: str) -> None:
    with analysed(weather(), question) as analysis:
        assert not [f for f in analysis.findings if f.kind == "answer"]


def test_the_evidence_of_an_answer_gives_its_rows() -> None:
    with analysed(weather(), "Which month had the highest rainfall?") as analysis:
        answer = analysis.findings[0]
        assert analysis.study.table.query(answer.sql) == answer.rows


@pytest.mark.parametrize(
    ("text", "word", "is_highest", "period"),
    [
        ("which month had the highest sales", "highest", True, "month"),
        ("the fewest visits per week", "fewest", False, "week"),
        ("when was it coldest", "coldest", False, "when"),
        ("on which date was the lowest price", "lowest", False, "day"),
    ],
)
def test_superlatives_are_read(text: str, word: str, is_highest: bool, period: str) -> None:
    asked = read_superlative(text)
    assert asked is not None
    assert (asked.word, asked.is_highest, asked.period) == (word, is_highest, period)


def test_counts_and_years_are_read_only_where_asked_for() -> None:
    assert (read_count("How many rows?"), read_count("number of columns"), read_count("rows")) == (
        "rows",
        "columns",
        "",
    )
    assert read_years("compare 2012 and 2015") == [2012, 2015]
    assert read_years("sales in 2012 and 2015") == []
    assert read_years("compare sales in 2012") == []


def test_evidence_runs_in_duckdb_as_its_first_line_says(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with analysed(weather(), "Which month had the highest rainfall?", name="my weather.csv") as analysis:
        script = report.evidence(analysis)
        rows = analysis.findings[0].rows
    monkeypatch.chdir(str(tmp_path))
    with open("my weather.csv", "w") as file:  # noqa: PTH123 the name as the script says it
        file.write(weather())
    lead, _, rest = script.partition("\n")
    connection = duckdb.connect()
    connection.execute(lead.removeprefix("-- In DuckDB: "))
    found = connection.execute(rest.split(";")[0]).fetchall()
    assert [row[0] for row in found] == [row["month"] for row in rows]


@pytest.mark.parametrize(
    ("name", "text"), [("t.json", '[{"a": 1}, {"a": 3}, {"a": 2}]'), ("t.csv", "a;b\n1;2\n3;1\n2;2\n")]
)
def test_evidence_of_what_duckdb_would_read_otherwise_says_so(name: str, text: str) -> None:
    with analysed(text, "how many rows", name=name) as analysis:
        script = report.evidence(analysis)
    assert script.startswith(f"-- The table data is {name} as the report describes it")


def test_a_hostile_name_stays_in_its_comment() -> None:
    with analysed("a,b\n1,2\n3,4\n", "how many rows", name="x'); DROP\nTABLE data; --.csv") as analysis:
        lead = report.evidence(analysis).partition("\n")[0]
    assert (
        lead == "-- In DuckDB: CREATE TABLE data AS SELECT * FROM read_csv('x___ DROP_TABLE data_ --.csv');"
    )
