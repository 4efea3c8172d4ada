"""What an instruction asks of a table: which columns and values it names, which analyses, which grain."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent_servers.extract import stem

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
# "the weather data" names the file, not the column `weather`.
_DATASET = re.compile(r"(?i)\b([\w-]+)\s+(?:data|dataset|data set|file|table|csv|json|figures|numbers)\b")
_FILLERS = frozenset({"and", "or", "of", "the", "per", "in", "for", "by", "at", "on", "to", "non", "data"})
# Words that ask for an analysis name a column only together with its other words.
_ANALYSIS_WORDS = frozenset({"change", "trend", "time", "total", "mean", "average", "max", "min"})
_MAX_CHARS = 4_000
_MIN_PREFIX = 4
_MAX_NAMED = 4


class Want(StrEnum):
    ANSWER = "answer"
    TREND = "trend"
    SEASON = "season"
    GROUPS = "groups"
    RELATION = "relation"
    OUTLIERS = "outliers"
    MISSING = "missing"
    STRUCTURE = "structure"


_CUES: Mapping[Want, str] = {
    Want.TREND: r"over time|trends?|develop\w*|evol\w+|chang\w+|grow\w*|grew|since|histor\w+|time series"
    r"|over the years|(?:by|per|each|every) (?:year|quarter|month|week|day|hour)|year(?:ly)?|annual\w*"
    r"|monthly|weekly|daily",
    Want.SEASON: r"season\w*|calendar month|by month|per month|monthly pattern|time of (?:the )?year",
    Want.GROUPS: r"compar\w+|by|per|across|for each|between groups|break ?down|differ\w*|group\w*"
    r"|categor\w+|share",
    Want.RELATION: r"correlat\w+|relat\w+|depend\w*|associat\w+|influence\w*|affect\w*|versus|vs"
    r"|scatter\w*|drive\w*",
    Want.OUTLIERS: r"outlier\w*|anomal\w+|unusual|extreme\w*|odd|suspicious",
    Want.MISSING: r"missing|complete\w*|gaps?|quality|clean\w*|null\w*|empty",
}
_GRAINS = {
    "year": r"by year|per year|each year|yearly|annual\w*|over the years",
    "quarter": r"by quarter|per quarter|quarterly",
    "month": r"by month|per month|each month|monthly",
    "week": r"by week|per week|weekly",
    "day": r"by day|per day|daily",
    "hour": r"by hour|per hour|hourly",
}


@dataclass(frozen=True, slots=True)
class Question:
    """`columns` are those named, best match first; `values` (column, value) pairs named."""

    columns: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    wants: frozenset[Want] = frozenset()
    grain: str = ""
    total: bool | None = None


def read_question(
    text: str,
    *,
    numbers: Sequence[str],
    others: Sequence[str],
    categories: Mapping[str, Iterable[str]],
) -> Question:
    """The question in an instruction. `categories` maps a column to its few values.

    Columns with numbers and the others are matched apart: "temperature by weather" names both kinds.
    """
    text = text[:_MAX_CHARS]
    asked = _DATASET.sub(" ", text)
    stems = {stem(word) for word in _split(asked)} | set(_split(asked))
    lowered = text.casefold()
    return Question(
        columns=(*_named(numbers, stems), *_named(others, stems)),
        values=tuple(
            (column, value)
            for column, values in categories.items()
            for value in values
            if _mentions(asked, value)
        )[:_MAX_NAMED],
        wants=frozenset(w for w, cue in _CUES.items() if re.search(rf"\b(?:{cue})\b", lowered)),
        grain=next((g for g, cue in _GRAINS.items() if re.search(rf"\b(?:{cue})\b", lowered)), ""),
        total=_total(lowered),
    )


def _total(lowered: str) -> bool | None:
    """True where sums are asked for, False where means are, None where neither."""
    if re.search(r"\b(?:average|mean|typical)\b", lowered):
        return False
    return True if re.search(r"\b(?:total|sum|altogether|overall amount)\b", lowered) else None


def _split(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(_CAMEL.sub(" ", text))]


def _named(columns: Sequence[str], asked: set[str]) -> tuple[str, ...]:
    """The columns whose words the question uses; a column named in full beats a partial match."""
    words = {
        column: [w for w in _split(column) if not w.isdigit() and w not in _FILLERS] for column in columns
    }
    common = Counter(word for found in words.values() for word in set(found))
    scores = {
        column: sum(_heard(word, asked) / common[word] ** 0.25 for word in found) / len(found)
        for column, found in words.items()
        if any(_heard(word, asked) for word in found if word not in _ANALYSIS_WORDS)
    }
    best = max(scores.values(), default=0.0)
    ranked = sorted(
        (column for column in scores if scores[column] >= max(0.25, 0.7 * best)),
        key=lambda column: -scores[column],
    )
    return tuple(ranked[:_MAX_NAMED])


def _heard(word: str, asked: set[str]) -> float:
    """1 for the word or its stem, less for an abbreviation (`temp` for temperature), else 0."""
    if word in asked or stem(word) in asked:
        return 1.0
    if len(word) >= _MIN_PREFIX and any(heard.startswith(word) for heard in asked):
        return 0.9
    return 0.0


def _mentions(asked: str, value: str) -> bool:
    spoken = " ".join(_split(value))
    if len(spoken) < _MIN_PREFIX:
        return False
    heard = " ".join(_split(asked))
    return re.search(rf"\b{re.escape(spoken)}\b", heard) is not None
