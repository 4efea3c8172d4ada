"""What an instruction asks to be singled out: the highest or lowest of what, and per which period. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HIGH = r"highest|most|largest|biggest|greatest|maximum|top|peak|longest"
_LOW = r"lowest|least|smallest|fewest|minimum|bottom|shortest"
_RATE = r"average|mean|typical|total|overall|daily|weekly|monthly|yearly|annual|number of|amount of|rate of"
# Adjectives that name their measure: its usual words in column names, and whether the high end is meant.
_ADJECTIVES: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "hottest": (("temp",), True),
    "warmest": (("temp",), True),
    "coldest": (("temp",), False),
    "coolest": (("temp",), False),
    "wettest": (("precip", "rain"), True),
    "rainiest": (("precip", "rain"), True),
    "driest": (("precip", "rain"), False),
    "windiest": (("wind",), True),
    "heaviest": (("weight", "mass"), True),
    "lightest": (("weight", "mass"), False),
    "cheapest": (("price", "cost"), False),
    "oldest": (("age",), True),
    "youngest": (("age",), False),
    "fastest": (("speed",), True),
    "slowest": (("speed",), False),
}
_CUE = re.compile(rf"(?i)\b(?:(?P<high>{_HIGH})|(?P<low>{_LOW})|(?P<adjective>{'|'.join(_ADJECTIVES)}))\b")
_NOUN = re.compile(rf"(?i)^\s+(?:(?:{_RATE})\s+)*(?P<noun>[a-z][\w-]{{2,}})")
_ASKED = re.compile(r"(?i)\b(?:which|what|when|where|who|whose)\b")
_FREQUENT = re.compile(r"(?i)\b(?:most|least) (?:common|frequent|often)\b")
_PERIOD = re.compile(r"(?i)\b(hour|day|date|week|month|quarter|year)s?\b")
_WHEN = re.compile(r"(?i)\bwhen\b")
_COUNT = re.compile(
    r"(?i)\b(?:how many|number of|count(?: of)?(?: the)?) (rows|records|lines|entries|columns)\b"
)
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_CONTRAST = re.compile(
    r"(?i)\bcompar\w+|\bversus\b|\bvs\b|\bdiffer\w*|\bbetween\b|\bagainst\b|\bthan\b|\bcontrast\w*"
)
_MAX_YEARS = 4


@dataclass(frozen=True, slots=True)
class Superlative:
    """`hints` are parts of column names, `noun` what stands after the word; `period` a grain, "when"
    or '' where no time is asked for. `frequent`: it is about how often a value occurs."""

    word: str
    is_highest: bool
    hints: tuple[str, ...] = ()
    noun: str = ""
    period: str = ""
    is_question: bool = False
    frequent: bool = False

    @property
    def end(self) -> str:
        return "highest" if self.is_highest else "lowest"


def read_superlative(text: str) -> Superlative | None:
    """The first superlative of an instruction; None where there is none."""
    cue = _CUE.search(text)
    if cue is None:
        return None
    noun = _NOUN.match(text[cue.end() :])
    hints, is_highest = _ADJECTIVES.get(cue[0].casefold(), ((), cue["high"] is not None))
    period = _PERIOD.search(text)
    grain = period[1].casefold() if period else ("when" if _WHEN.search(text) else "")
    return Superlative(
        word=cue[0].casefold(),
        is_highest=is_highest,
        hints=hints,
        noun=noun["noun"].casefold() if noun else "",
        period="day" if grain == "date" else grain,
        is_question=_ASKED.search(text) is not None,
        frequent=_FREQUENT.search(text) is not None,
    )


def read_count(text: str) -> str:
    """`rows` or `columns` where their number is asked for, else ''."""
    match = _COUNT.search(text)
    if match is None:
        return ""
    return "columns" if match[1].casefold() == "columns" else "rows"


def read_years(text: str) -> list[int]:
    """The years an instruction holds against each other, in the order named; none for fewer than two."""
    years = list(dict.fromkeys(int(year) for year in _YEAR.findall(text)))[:_MAX_YEARS]
    return years if len(years) > 1 and _CONTRAST.search(text) else []
