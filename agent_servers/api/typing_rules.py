"""How the text of a column is read as numbers, dates or truth values: the rules, tried in order.

A rule is a pattern for choosing it and the SQL that carries it out on a text expression.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Rule:
    """`sql` turns the text expression into a typed value, NULL where it does not fit."""

    kind: Kind
    fits: Callable[[str], bool]
    sql: Callable[[str], str]
    note: str = ""


MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", "n.a.", "#value!", "#ref!"}
)
MIN_SHARE = 0.9

_INTEGER = r"[+-]?\d{1,18}"
_DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_GROUPED = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_COMMA = r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?"
_SPACED = r"[+-]?\d{1,3}(?:[ \u00a0\u202f']\d{3})+(?:[.,]\d+)?"
_MONEY = rf"[+-]?[$€£¥]\s?{_GROUPED}|{_GROUPED}\s?[%€$£¥]"
_BOOLEAN = r"(?i:true|false|yes|no)"
_ISO_DAY = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
_ISO_TIME = _ISO_DAY + r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:\s?Z|[+-]\d{2}:?\d{2})?"
_QUARTER = r"\d{4}[- ]?[Qq][1-4]"
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
_MAYBE_DATE = re.compile(r"(?i)\d{1,4}[-/. ]|[a-z]{3,9}\.?[- ,]+\d|\d{8}$")


def _number(pattern: str, clean: Callable[[str], str], note: str) -> Rule:
    return Rule(
        Kind.NUMBER,
        _matcher(pattern),
        lambda text: _guarded(text, pattern, f"{clean(text)}", "DOUBLE"),
        note,
    )


def _matcher(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _guarded(text: str, pattern: str, clean: str, sql_type: str) -> str:
    quoted = pattern.replace("'", "''")
    value = f"TRY_CAST({clean} AS {sql_type})"
    if sql_type == "DOUBLE":
        value = f"CASE WHEN isfinite({value}) THEN {value} END"
    return f"CASE WHEN regexp_full_match({text}, '{quoted}') THEN {value} END"


_NUMBERS = (
    Rule(
        Kind.INTEGER,
        _matcher(_INTEGER),
        lambda text: _guarded(text, _INTEGER, text, "BIGINT"),
    ),
    _number(_DECIMAL, lambda text: text, ""),
    _number(_GROUPED, lambda text: f"replace({text}, ',', '')", "commas separate thousands"),
    _number(
        _COMMA,
        lambda text: f"replace(replace({text}, '.', ''), ',', '.')",
        "the comma is the decimal sign",
    ),
    _number(
        _SPACED,
        lambda text: f"replace(regexp_replace({text}, '[^0-9.,+-]', '', 'g'), ',', '.')",
        "blanks or apostrophes separate thousands",
    ),
    _number(
        _MONEY,
        lambda text: f"regexp_replace({text}, '[^0-9.+-]', '', 'g')",
        "currency and percent signs were taken off",
    ),
)
_OTHERS = (
    Rule(
        Kind.BOOLEAN,
        _matcher(_BOOLEAN),
        lambda text: (
            f"CASE lower({text}) WHEN 'true' THEN true WHEN 'yes' THEN true "
            "WHEN 'false' THEN false WHEN 'no' THEN false END"
        ),
    ),
    Rule(
        Kind.DATE,
        _matcher(_ISO_DAY),
        lambda text: (
            f"CASE WHEN regexp_full_match({text}, '{_ISO_DAY}') THEN "
            f"TRY_CAST(replace({text}, '.', '-') AS DATE) END"
        ),
    ),
    Rule(
        Kind.TIMESTAMP,
        lambda text: re.fullmatch(_ISO_TIME, text) is not None or re.fullmatch(_ISO_DAY, text) is not None,
        lambda text: (
            f"CASE WHEN regexp_full_match({text}, '{_ISO_TIME}|{_ISO_DAY}') "
            f"THEN TRY_CAST({text} AS TIMESTAMP) END"
        ),
    ),
    Rule(
        Kind.DATE,
        _matcher(_QUARTER),
        lambda text: (
            f"CASE WHEN regexp_full_match({text}, '{_QUARTER}') THEN "
            f"make_date(CAST({text}[1:4] AS BIGINT), 3 * CAST({text}[-1:] AS BIGINT) - 2, 1) END"
        ),
        "quarters were read as their first day",
    ),
)


def _dated(pattern: str, note: str = "") -> Rule:
    def fits(text: str) -> bool:
        try:
            datetime.strptime(text, pattern)  # noqa: DTZ007 - only whether it parses
        except ValueError:
            return False
        return True

    has_time = "%H" in pattern
    kind, sql_type = (Kind.TIMESTAMP, "TIMESTAMP") if has_time else (Kind.DATE, "DATE")
    return Rule(kind, fits, lambda text: f"CAST(try_strptime({text}, '{pattern}') AS {sql_type})", note)


_DATES = (
    _dated("%Y-%m"),
    _dated("%Y/%m"),
    _dated("%m/%d/%Y", "dates were read as month/day/year"),
    _dated("%d/%m/%Y", "dates were read as day/month/year"),
    _dated("%m/%d/%y", "dates were read as month/day/year"),
    _dated("%d/%m/%y", "dates were read as day/month/year"),
    _dated("%m/%d/%Y %H:%M", "dates were read as month/day/year"),
    _dated("%d/%m/%Y %H:%M", "dates were read as day/month/year"),
    _dated("%d.%m.%Y"),
    _dated("%d.%m.%y"),
    _dated("%d.%m.%Y %H:%M"),
    _dated("%d-%m-%Y", "dates were read as day-month-year"),
    _dated("%d-%b-%Y"),
    _dated("%d-%b-%y"),
    _dated("%d %b %Y"),
    _dated("%d %B %Y"),
    _dated("%b %d, %Y"),
    _dated("%B %d, %Y"),
    _dated("%b %Y"),
    _dated("%B %Y"),
    _dated("%b-%y"),
    _dated("%m/%Y"),
)
_COMPACT = _dated("%Y%m%d")
_AMBIGUOUS = {"dates were read as month/day/year": "dates were read as day/month/year"}


def choose(name: str, sample: Sequence[str]) -> tuple[Rule | None, str]:
    """The rule that fits the most of a column's sample, and what to tell about it.

    None where the column stays text: no rule fits nine in ten, or leading zeros say that the digits
    are an identifier.
    """
    if not sample or any(_LEADING_ZERO.fullmatch(text) for text in sample):
        return None, ""
    rules: list[Rule] = [*_NUMBERS, *_OTHERS]
    if sum(1 for text in sample if _MAYBE_DATE.match(text)) >= MIN_SHARE * len(sample):
        rules.extend(_DATES)
        if "date" in name.casefold() or "day" in name.casefold():
            rules.insert(0, _COMPACT)
    scores = {id(rule): sum(map(rule.fits, sample)) / len(sample) for rule in rules}
    best = max(rules, key=lambda rule: scores[id(rule)])
    if scores[id(best)] < MIN_SHARE:
        return None, ""
    return best, _note(best, rules, scores)


def _note(best: Rule, rules: list[Rule], scores: dict[int, float]) -> str:
    other = _AMBIGUOUS.get(best.note)
    if other and any(r.note == other and scores[id(r)] == scores[id(best)] for r in rules):
        return f"{best.note} (day/month/year would fit as well)"
    return best.note
