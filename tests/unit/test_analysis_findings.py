"""What an analysis says of tables whose truth is known."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent_servers.api import report
from agent_servers.api.analysis import Analysis, analyse
from agent_servers.api.budget import Budget
from agent_servers.api.question import Want
from agent_servers.api.structure import Sum, sums_in
from agent_servers.api.study import Finding
from agent_servers.api.tables import Column, open_table, read_records


@contextmanager
def analysed(text: str, question: str = "analyse the data") -> Iterator[Analysis]:
    records = read_records(text.encode(), name="t.csv", media_type="")
    with open_table(records, name="t.csv", budget=Budget()) as table:
        yield analyse(table, question)


def of_kind(analysis: Analysis, kind: Want) -> list[Finding]:
    return [finding for finding in analysis.findings if finding.kind is kind]


def weather() -> str:
    """Three years of days: a warm July, colder when it rains, wind of no meaning."""
    noise = random.Random(1)  # noqa: S311 made-up weather, no secret
    lines = ["date,temp_max,temp_min,wind,sky"]
    for day in range(3 * 365):
        year, month, at = 2020 + day // 365, (day % 365) // 31 + 1, (day % 365) % 31 + 1
        if at > 28:
            continue
        sky = noise.choice(["rain", "sun", "fog"])
        warm = 10 - 10 * math.cos(2 * math.pi * (month - 1) / 12) + (4 if sky == "sun" else 0)
        high = warm + noise.gauss(0, 1)
        wind = noise.uniform(0, 9)
        lines.append(
            f"{year}/{month:02}/{at:02},{high:.1f},{high - 8 + noise.gauss(0, 1):.1f},{wind:.1f},{sky}"
        )
    return "\n".join(lines) + "\n"


def panel() -> str:
    """Yearly output of two sources: coal falls by 10 a year, wind rises by 20."""
    lines = ["year,source,net_generation_mwh"]
    for year in range(2001, 2013):
        lines.append(f"{year},coal,{500 - 10 * (year - 2001)}")
        lines.append(f"{year},wind,{100 + 20 * (year - 2001)}")
    return "\n".join(lines) + "\n"


def growing_parts() -> str:
    """Two parts that both grow, each with changes of its own, and their total."""
    noise = random.Random(2)  # noqa: S311 made-up jobs, no secret
    lines, left, right = ["month,all_jobs,farm_jobs,city_jobs"], 500.0, 900.0
    for step in range(72):
        left, right = left + 3 + noise.gauss(0, 2), right + 5 + noise.gauss(0, 2)
        whole = round(left) + round(right)
        lines.append(f"{2010 + step // 12}-{step % 12 + 1:02},{whole},{round(left)},{round(right)}")
    return "\n".join(lines) + "\n"


def test_the_season_is_found_with_its_extremes() -> None:
    with analysed(weather()) as analysis:
        (finding,) = of_kind(analysis, Want.SEASON)[:1]
    assert finding.columns[0] == "temp_max"
    assert "highest in July" in finding.text
    assert "lowest in January" in finding.text


def test_noise_has_no_season_and_no_trend() -> None:
    with analysed(weather(), "wind") as analysis:
        assert not [f for f in of_kind(analysis, Want.SEASON) if f.columns[0] == "wind"]
        trends = [f for f in of_kind(analysis, Want.TREND) if f.columns[0] == "wind"]
    assert all("no steady" in f.text or "only" in f.text for f in trends)


def test_a_named_measure_and_group_come_first() -> None:
    with analysed(weather(), "temperature by sky type") as analysis:
        first = analysis.findings[0]
    assert first.columns == ("temp_max", "sky")
    assert first.text.startswith("Mean `temp_max` by `sky`, highest first: sun")


def test_a_steady_slope_is_told_per_year() -> None:
    text = "year,price\n" + "".join(f"{year},{100 + 7 * (year - 2000)}\n" for year in range(2000, 2012))
    with analysed(text) as analysis:
        finding = of_kind(analysis, Want.TREND)[0]
    assert "rises by 7 per year (linear fit over 12 years, r² 1.00)" in finding.text
    assert "from 100 in 2000 to 177 in 2011 (+77.0%)" in finding.text


def test_trends_of_a_panel_are_told_per_group() -> None:
    with analysed(panel()) as analysis:
        texts = " ".join(f.text for f in analysis.findings)
    assert "wind rises by 20 per year" in texts
    assert "coal falls by 10 per year" in texts
    assert "coal from 83.3% in 2001 to 54.9% in 2012" in texts


def test_a_named_value_is_told_first_among_its_groups() -> None:
    with analysed(panel(), "how did coal develop over time") as analysis:
        told = next(f.text for f in analysis.findings if "by `source`: " in f.text)
    assert told.index("coal") < told.index("wind")


def test_a_total_is_no_correlation_of_its_parts_but_their_sum() -> None:
    with analysed(growing_parts()) as analysis:
        (total,) = of_kind(analysis, Want.STRUCTURE)
        assert total.text.startswith("`all_jobs` is the sum of `farm_jobs` and `city_jobs` in all 72 rows")
        assert not [f for f in of_kind(analysis, Want.RELATION) if "all_jobs" in f.columns]


def test_a_shared_drift_is_not_called_a_correlation() -> None:
    with analysed(growing_parts()) as analysis:
        assert not of_kind(analysis, Want.RELATION)


def test_sums_are_found_on_two_levels() -> None:
    a, b, c = [1.0, 4.0, 2.0], [7.0, 3.0, 5.0], [2.0, 8.0, 9.0]
    mid = [x + y for x, y in zip(a, b, strict=True)]
    top = [x + y for x, y in zip(mid, c, strict=True)]
    found = sums_in({"top": top, "mid": mid, "a": a, "b": b, "c": c})
    assert Sum("mid", ("a", "b")) in found
    assert Sum("top", ("mid", "c")) in found


def test_an_outlier_is_named_with_its_row() -> None:
    text = "item,weight\n" + "".join(f"i{n},{50 + n % 7}\n" for n in range(60)) + "odd,900\n"
    with analysed(text) as analysis:
        (finding,) = of_kind(analysis, Want.OUTLIERS)
    assert "1 value of 61" in finding.text
    assert "900 (row 61)" in finding.text


def test_missing_values_are_counted_by_column() -> None:
    text = "a,b\n" + "".join(f"{n},{'' if n % 4 == 0 else n * n % 13}\n" for n in range(40))
    with analysed(text) as analysis:
        (finding,) = of_kind(analysis, Want.MISSING)
    assert "`b` 10 (25.0%)" in finding.text


def test_identifiers_and_constants_are_no_measures() -> None:
    text = "order_id,unit,row,amount\n" + "".join(f"{n * 7},1,{n},{n * n % 17}\n" for n in range(1, 40))
    with analysed(text) as analysis:
        assert [measure.name for measure in analysis.study.measures] == ["amount"]


@pytest.mark.parametrize("make", [weather, panel, growing_parts])
def test_every_evidence_query_gives_the_rows_of_its_finding(make: object) -> None:
    text = make()  # type: ignore[operator]  # one of the three above
    with analysed(text, "everything over time, by group, outliers and correlations") as analysis:
        kept = report.data(analysis, report.quality(analysis.study))
    records = read_records(text.encode(), name="t.csv", media_type="")
    with open_table(records, name="t.csv", budget=Budget()) as again:
        assert kept["findings"]
        for finding in kept["findings"]:  # type: ignore[attr-defined]  # a list, as report.data says
            assert [
                {k: pytest.approx(v) if isinstance(v, float) else v for k, v in row.items()}
                for row in again.query(finding["sql"])[:50]
            ] == finding["rows"]


def test_the_figures_of_a_sentence_stand_in_its_evidence() -> None:
    with analysed(panel()) as analysis:
        finding = next(f for f in analysis.findings if f.text.startswith("Total"))
    totals = {row["grp"]: row["total"] for row in finding.rows}
    assert totals == {"coal": 5340, "wind": 2520}
    assert "coal 5,340" in finding.text
    assert "wind 2,520" in finding.text


def test_hostile_values_have_no_effect_in_the_report() -> None:
    bad = "](http://evil) <script> `x`"
    text = "name,amount\n" + "".join(f'"{bad}",{n}\nfine,{n * 3}\n' for n in range(9))
    with analysed(text) as analysis:
        page = report.markdown(analysis, report.quality(analysis.study))
    findings = page
    assert "<script>" not in findings
    assert "](http" not in findings.replace("\\](http", "")


def test_values_too_large_for_statistics_do_not_end_the_analysis() -> None:
    text = "a,b\n" + "".join(f"{n}e300,{n * n % 7}e305\n" for n in range(1, 30))
    with analysed(text) as analysis:
        assert [column.name for column in analysis.study.table.columns] == ["a", "b"]


def test_a_table_of_text_alone_still_says_something() -> None:
    text = "name,colour\n" + "".join(f"n{n},{'red' if n % 3 else 'blue'}\n" for n in range(30))
    with analysed(text) as analysis:
        assert "red (20 rows, 66.7%)" in analysis.findings[0].text


def test_the_profile_is_right() -> None:
    with analysed("v\n1\n2\n3\n10\n") as analysis:
        (column,) = analysis.study.table.columns
    assert isinstance(column, Column)
    assert (column.low, column.high, column.mean, column.median, column.distinct) == (1, 10, 4.0, 2.5, 4)


def test_holes_and_repeats_are_counted() -> None:
    with analysed(
        "day,v\n2020-01-01,1\n2020-01-02,2\n2020-01-05,4\n2020-01-05,4\n2020-01-06,5\n"
    ) as analysis:
        found = report.quality(analysis.study)
    assert found["duplicate_rows"] == 1
    assert found["missing_periods"] == 2
