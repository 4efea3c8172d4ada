"""From bytes of any quality to a typed, locked table."""

from collections.abc import Callable

import duckdb
import pytest

from agent_servers.api.budget import Budget
from agent_servers.api.errors import TableRefused, WorkStopped
from agent_servers.api.tables import Column, Record, open_table, read_records
from agent_servers.api.typing_rules import Kind


def load(raw: bytes | str, name: str = "t.csv") -> tuple[list[Record], dict[str, Column], list[str]]:
    data = raw.encode() if isinstance(raw, str) else raw
    with open_table(read_records(data, name=name, media_type=""), name=name, budget=Budget()) as table:
        rows = table.query("SELECT * FROM data")
        return rows, {column.name: column for column in table.columns}, table.repairs


def refusal(raw: bytes | str, name: str = "t.csv") -> str:
    with pytest.raises(TableRefused) as caught:
        load(raw, name)
    return caught.value.reason


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-32"),
        lambda text: text.encode("cp1252"),
    ],
    ids=["bom", "utf-16", "utf-16 without mark", "utf-32", "cp1252"],
)
def test_encodings_are_recognised_and_reported(encode: Callable[[str], bytes]) -> None:
    rows, _, repairs = load(encode("city,note,price\nRome,Müller said so,1\nOslo,plain words here,2\n"))
    assert rows[0] == {"city": "Rome", "note": "Müller said so", "price": 1}
    assert any("read as" in repair for repair in repairs)


def test_ragged_rows_are_kept_counted_and_named() -> None:
    rows, _, repairs = load("a,b,c\n1,2,3\n4,5\n6,7,8,9\n10,11,12\n")
    assert [tuple(row.values()) for row in rows] == [(1, 2, 3), (4, 5, None), (6, 7, 8), (10, 11, 12)]
    assert any("fewer than 3" in repair and "line 3" in repair for repair in repairs)
    assert any("more than 3" in repair and "line 4" in repair for repair in repairs)


def test_tokens_for_missing_are_missing_and_numbers_stay_numbers() -> None:
    rows, columns, repairs = load("a,b\nNaN,x\n3,null\nNA,z\n5,\n")
    assert [row["a"] for row in rows] == [None, 3, None, 5]
    assert columns["b"].missing == 2
    assert any(repair.startswith("3 cells") for repair in repairs)


def test_a_rare_word_among_numbers_becomes_missing_and_is_shown() -> None:
    _, columns, repairs = load("a\n" + "\n".join(map(str, range(20))) + "\nbroken\n")
    assert columns["a"].kind is Kind.INTEGER
    assert columns["a"].missing == 1
    assert any("'broken'" in repair for repair in repairs)


def test_quoted_line_breaks_stay_in_their_cell() -> None:
    rows, _, _ = load('a,b\n1,"two\nlines"\n2,x\n')
    assert [row["b"] for row in rows] == ["two\nlines", "x"]


def test_an_unclosed_quote_costs_one_line_only() -> None:
    rows, _, repairs = load('a,b\n1,x\n2,"never closed\n3,y\n4,z\n')
    assert [row["a"] for row in rows] == [1, 2, 3, 4]
    assert any("line 3" in repair for repair in repairs)


def test_semicolons_and_decimal_commas_are_understood() -> None:
    rows, _, repairs = load("n;price;day\nx;1,5;01.02.2020\ny;1.234,75;28.02.2020\n")
    assert rows[1] == {"n": "y", "price": 1234.75, "day": "2020-02-28"}
    assert any("semicolon" in repair for repair in repairs)
    assert any("decimal sign" in repair for repair in repairs)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2020-03-31", "2020-03-31"),
        ("2020/03/31", "2020-03-31"),
        ("31.03.2020", "2020-03-31"),
        ("31/03/2020", "2020-03-31"),
        ("03/31/2020", "2020-03-31"),
        ("31 Mar 2020", "2020-03-31"),
        ("March 31, 2020", "2020-03-31"),
        ("2020-03", "2020-03-01"),
        ("Mar 2020", "2020-03-01"),
        ("2020-Q2", "2020-04-01"),
    ],
)
def test_dates_are_read_in_common_ways_of_writing(text: str, day: str) -> None:
    rows, columns, _ = load(f'when,v\n"{text}",1\n"{text}",2\n')
    assert columns["when"].kind is Kind.DATE
    assert rows[0]["when"] == day


def test_a_date_that_fits_two_ways_is_reported() -> None:
    _, _, repairs = load("d,v\n01/02/2020,1\n03/04/2020,2\n")
    assert any("would fit as well" in repair for repair in repairs)


def test_digits_with_leading_zeros_stay_text() -> None:
    rows, columns, _ = load("zip,v\n01234,1\n99999,2\n")
    assert columns["zip"].kind is Kind.TEXT
    assert rows[0]["zip"] == "01234"


def test_decimals_are_not_rounded_to_integers() -> None:
    rows, _, repairs = load("v\n" + "1\n" * 20_000 + "1.5\n")
    assert rows[-1]["v"] == 1.5
    assert repairs == []


def test_two_hundred_columns_fit_into_memory() -> None:
    names = ",".join(f"c{number}" for number in range(250))
    rows, columns, repairs = load(names + "\n" + (",".join(["7"] * 250) + "\n") * 500)
    assert len(rows) == 500
    assert len(columns) == 200
    assert any("first 200 of 250 columns" in repair for repair in repairs)


def test_repeated_and_empty_names_become_unique() -> None:
    _, columns, repairs = load("a,a,,A\n1,2,3,4\n5,6,7,8\n")
    assert list(columns) == ["a", "a_2", "column_3", "A_3"]
    assert any("column names" in repair for repair in repairs)


def test_a_hostile_name_is_a_name_and_no_sql() -> None:
    name = 'x"; DROP TABLE data; --'
    quoted = '"' + name.replace('"', '""') + '"'
    rows, columns, _ = load(f"{quoted},b\n1,2\n3,4\n")
    assert name in columns
    assert len(rows) == 2


def test_titles_above_the_header_are_left_out() -> None:
    rows, _, repairs = load('Report 2020\n\nregion,sales\nnorth,"1,200"\nsouth,"2,300"\n')
    assert rows[0] == {"region": "north", "sales": 1200.0}
    assert any("above the header" in repair for repair in repairs)


def test_one_column_of_prose_is_not_cut_at_commas() -> None:
    rows, columns, _ = load("text\nHello, world\nsome, other\nand more\n")
    assert list(columns) == ["text"]
    assert rows[0]["text"] == "Hello, world"


def test_a_table_without_header_gets_names_and_keeps_its_first_row() -> None:
    rows, _, repairs = load("1,2\n3,4\n")
    assert rows[0] == {"column_1": 1, "column_2": 2}
    assert any("no header" in repair for repair in repairs)


def test_tabs_are_read_where_the_name_says_so() -> None:
    rows, _, _ = load("a\tb\n1,5 m\tx\n2,5 m\ty\n", "t.tsv")
    assert rows[0] == {"a": "1,5 m", "b": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"a": 1, "b": {"c": 2}}, {"a": NaN, "b": {"c": 3}}]', [(1, 2), (None, 3)]),
        ('{"a": [1, 2], "b": ["x", "y"]}', [(1, "x"), (2, "y")]),
        ('{"columns": ["a", "b"], "rows": [[1, 2]]}', [(1, 2)]),
        ('[["a", "b"], [1, 2]]', [(1, 2)]),
        ('{"units": {"a": "m"}, "hourly": {"a": [1, 2], "b": [3, 4]}}', [(1, 3), (2, 4)]),
        ('{"count": 1, "items": [{"a": 1, "b": true}]}', [(1, True)]),
    ],
)
def test_json_tables_are_found(text: str, expected: list[tuple[object, ...]]) -> None:
    rows, _, _ = load(text, "t.json")
    assert [tuple(row.values()) for row in rows] == expected


def test_bad_ndjson_lines_are_counted() -> None:
    rows, _, repairs = load('{"a": 1}\n{"a": \n{"a": 3}\n', "t.ndjson")
    assert [row["a"] for row in rows] == [1, 3]
    assert any("line 2" in repair for repair in repairs)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"a,b\n", "no rows"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"%PDF-1.7", "PDF"),
        (bytes(range(256)) * 20, "binary"),
        (b'{"a": [1, 2', "not valid JSON (line 1"),
        (b'{"a": 1}', "no table"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(raw: bytes, said: str) -> None:
    assert said in refusal(raw)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/hostname')",
        "COPY data TO '/tmp/parley-test-leak.csv'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ],
)
def test_the_loaded_database_reaches_nothing_outside(sql: str) -> None:
    records = read_records(b"a\n1\n2\n", name="t.csv", media_type="")
    with open_table(records, name="t.csv", budget=Budget()) as table, pytest.raises(duckdb.Error):
        table.query(sql)


def test_a_stopped_budget_ends_loading() -> None:
    budget = Budget()
    records = read_records(b"a\n1\n2\n", name="t.csv", media_type="")
    budget.stop()
    with pytest.raises(WorkStopped), open_table(records, name="t.csv", budget=budget):
        pytest.fail("opened")
