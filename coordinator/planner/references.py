"""What a clause refers to: an earlier result ("it", "both", "the summary") or a file of the task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.planner.clauses import Clause, Join, starts_with_verb
from coordinator.planner.lexicon import (
    ACTIONS,
    ADJECTIVES,
    LIGHT_VERBS,
    STOPWORDS,
    normalise,
    words,
)
from coordinator.planner.plan import Attachment


@dataclass(frozen=True, slots=True)
class Link:
    """Indexes of the clauses this one waits for, and why.

    `needs_result` is False when only the order was asked for ("then") and no result is referred to.
    """

    depends_on: tuple[int, ...]
    needs_result: bool
    reason: str


_ONE = re.compile(
    r"\b(?:it|this)\b(?!['\u2019])|\bthat\b(?=\s*(?:$|[,.;:!?]|(?:in|into|to|for|with|as|and|by|on|up"
    r"|result|text|output|information)\b))|\bthe (?:result|output|outcome|response|answer)\b",
    re.IGNORECASE,
)
_ALL = re.compile(
    r"\b(?:them|these|those|both|everything|they|all of (?:it|this|that)|the above"
    r"|the (?:\w+ )?(?:results|findings|outcomes|outputs|answers|responses)"
    r"|(?:the|all) (?:two|three|four))\b",
    re.IGNORECASE,
)
_EVERY = re.compile(r"\b(?:them|these|those|both|everything|all|two|three|four|above)\b", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?:the|that|this|your) (summary|summaries|analysis|analyses|research|chart|plot|profile"
    r"|report|article|text|document|page|data|json|csv|table|translation)\b",
    re.IGNORECASE,
)
_ATTACHED = re.compile(r"\b(?:attached|attachments?|enclosed|uploaded)\b", re.IGNORECASE)
# "the csv", "this weather data", "my two files"
_FILE_NOUN = re.compile(
    r"\b(?:the|this|these|that|those|my|our)\s(?:[\w-]+\s){0,3}?"
    r"(csv|tsv|json|ndjson|pdf|html|markdown|files?|documents?|data|dataset|data ?set|spreadsheet"
    r"|table|images?|photos?|pictures?|logs?|notes?|papers?|report|article|text)\b",
    re.IGNORECASE,
)
_TABULAR = frozenset({"csv", "tab-separated-values", "json", "x-ndjson", "ndjson", "jsonl"})
_TABLE_NOUNS = frozenset({"data", "dataset", "data set", "table", "spreadsheet"})
_IMAGE_NOUNS = frozenset({"image", "photo", "picture"})
_DOCUMENT_NOUNS = frozenset({"document", "note", "paper", "report", "article", "text"})
_LONG_NAME = {"tsv": "tab-separated-values"}

_PURPOSE = re.compile(
    r"\b(?:for|in|with|without|as|using|under|within|to|at|by|into|no)\b.*"
    r"|\bof (?:at most |up to |about )?(?:a |one|two|three|four|five|six|\d).*",
    re.IGNORECASE | re.DOTALL,
)
_OBJECTLESS_NOUNS = frozenset(
    [
        *("overview", "conclusion", "conclusions", "comparison", "table", "page", "briefly"),
        *("concisely", "shortly", "paragraph", "sentence", "sentences", "words", "result"),
        *("results", "bullet", "bullets", "point", "points", "lines", "paragraphs", "three", "four"),
        *("five", "six", "seven", "eight", "nine", "ten"),
    ]
)


def is_table(attachment: Attachment) -> bool:
    """Whether the attachment holds rows: CSV, TSV, JSON and the like."""
    return _is_kind("table", attachment)


def media_type(attachment: Attachment) -> str:
    """The attachment's media type in lower case and without parameters."""
    return attachment.media_type.partition(";")[0].strip().lower()


def mentioned(text: str, attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """The attachments the clause speaks of: by file name, by kind, or by "attached"."""
    named = tuple(a for a in attachments if a.name.strip() and a.name in text)
    if named:
        return named
    nouns = [noun.lower() for noun in _FILE_NOUN.findall(text)]
    of_kind = tuple(a for a in attachments if any(_is_kind(noun, a) for noun in nouns))
    if of_kind or not _ATTACHED.search(text):
        return of_kind
    loose = [word.lower() for word in words(text)]
    narrowed = tuple(a for a in attachments if any(_is_kind(w, a, exact=True) for w in loose))
    return narrowed or tuple(attachments)


def has_no_object(text: str) -> bool:
    """Whether the clause has a verb but nothing to do it to: "summarise", "write a short report"."""
    if not starts_with_verb(text):
        return False
    rest = [normalise(word) for word in words(_PURPOSE.sub("", text))]
    for word in rest[1:]:
        known = word in ACTIONS or word in ADJECTIVES or word in LIGHT_VERBS
        if not (known or word in STOPWORDS or word in _OBJECTLESS_NOUNS or word.isdigit()):
            return False
    return bool(rest) and not has_named_object(text)


def refers_back(text: str) -> bool:
    """Whether the clause points at an earlier result by a pronoun or a noun for results."""
    return bool(_ALL.search(text) or _ONE.search(text))


def link_clauses(clauses: Sequence[Clause], attachments: Sequence[Attachment]) -> list[Link]:
    """One link per clause, in order; a clause only ever waits for earlier ones."""
    links: list[Link] = []
    for index, clause in enumerate(clauses):
        links.append(_link(index, clause, clauses, links, attachments))
    return links


def _link(
    index: int,
    clause: Clause,
    clauses: Sequence[Clause],
    links: Sequence[Link],
    attachments: Sequence[Attachment],
) -> Link:
    if index == 0:
        return Link((), needs_result=False, reason="")
    used = {number for link in links if link.needs_result for number in link.depends_on}
    unused = tuple(number for number in range(index) if number not in used)
    files = mentioned(clause.text, attachments)
    text = without_files(clause.text, files)
    if _ALL.search(text):
        needed = unused if _EVERY.search(text) else _within_then(clauses[: index + 1], unused)
        return Link(needed, needs_result=True, reason="it refers to the earlier results")
    if clause.shares_object:
        return Link((index - 1,), needs_result=True, reason="it shares the object before it")
    named = None if files else _NAMED.search(text)
    if named is not None and (target := _makes(named[1], clauses[:index])) is not None:
        return Link((target,), needs_result=True, reason=f'it refers to "{named[0]}"')
    if found := _ONE.search(text):
        return Link((index - 1,), needs_result=True, reason=f'it refers back with "{found[0]}"')
    if files:
        why = "it names its own file and needs no earlier result, so it starts at once"
        return Link((), needs_result=False, reason=why)
    if has_no_object(clause.text):
        needed = _within_then(clauses[: index + 1], unused)
        return Link(needed, needs_result=True, reason="it names no object of its own")
    if clause.join is Join.then:
        awaited = {number for link in links for number in link.depends_on}
        leaves = tuple(number for number in range(index) if number not in awaited)
        return Link(leaves, needs_result=False, reason="the request puts it after them")
    return Link((), needs_result=False, reason="")


def _within_then(clauses: Sequence[Clause], unused: tuple[int, ...]) -> tuple[int, ...]:
    """ "X, then Y and sum up": joined to another kind of work by "and", it is about Y alone."""
    last = len(clauses) - 1
    before = clauses[last - 1]
    is_joined = clauses[last].join is Join.also and before.join is Join.then and last - 1 in unused
    if is_joined and last > 1 and _first_word(before) != _first_word(clauses[last - 2]):
        return (last - 1,)
    return unused


def _first_word(clause: Clause) -> str:
    return normalise(clause.text.split(None, 1)[0])


def without_files(text: str, files: Sequence[Attachment]) -> str:
    """The clause without its mentions of files, so that "this csv" is no pronoun."""
    if not files:
        return text
    for attachment in files:
        text = text.replace(attachment.name, " ")
    return _FILE_NOUN.sub(" ", text)


def _makes(noun: str, earlier: Sequence[Clause]) -> int | None:
    """The last earlier clause whose verb makes what the noun names; else the one just before."""
    action = ACTIONS.get(normalise(noun))
    if action is None:
        return len(earlier) - 1
    for index in range(len(earlier) - 1, -1, -1):
        for word in words(earlier[index].text):
            made = ACTIONS.get(normalise(word))
            if made is not None and made[0] == action[0]:
                return index
    return None


def has_named_object(text: str) -> bool:
    """ "the report", "the csv": a definite thing, whoever made it."""
    return bool(_FILE_NOUN.search(text))


def _is_kind(noun: str, attachment: Attachment, *, exact: bool = False) -> bool:
    noun = noun if noun in ("data", "data set") else noun.removesuffix("s")
    family, _, kind = media_type(attachment).partition("/")
    extension = attachment.name.rpartition(".")[2].lower()
    if noun in _TABLE_NOUNS:
        return kind in _TABULAR or extension in ("csv", "tsv", "json", "ndjson", "xlsx", "parquet")
    if noun in _IMAGE_NOUNS:
        return family == "image"
    if noun in _DOCUMENT_NOUNS:
        return kind in ("pdf", "markdown", "html", "plain") or "word" in kind
    if noun == "file":
        return not exact
    return noun in (extension, kind) or _LONG_NAME.get(noun) == kind
