"""Splits a request into clauses: one thing to do each, in the user's own words.

Only the form is read here (punctuation, lists, cue words, verbs); what a clause refers to is
decided in `references`, whether a skill fits it in `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from coordinator.planner.lexicon import COMPOUND_HEADS, NOUN_VERBS, VERBS, normalise

MAX_FILE_NAMES = 100
_MASK = "\ue000"


class Join(StrEnum):
    """How a clause is tied to the one before."""

    start = "start"
    also = "also"  # "and", a comma
    then = "then"  # "then", "after that", the next number of a numbered list
    sentence = "sentence"  # a new sentence, line or bullet


@dataclass(frozen=True, slots=True)
class Clause:
    """`text` is the instruction; `start` and `end` are where it stands in the request.

    `shares_object`: "analyse and summarise the file" gives two clauses with one object, of which
    the second works on the result of the first.
    """

    text: str
    join: Join
    start: int
    end: int
    shares_object: bool = False


# Spans that are never split inside. Every repetition is bounded or stops at its own delimiter.
_PROTECTED = re.compile(
    r"```.*?```"
    r'|"[^"\n]{0,500}"|“[^”\n]{0,500}”|`[^`\n]{1,300}`'
    r"|(?<!\w)'[^'\n]{1,200}'(?!\w)"
    r"|\([^()\n]{0,300}\)"
    r"|\bhttps?://[^\s<>\"]*[^\s<>\".,;:!?)]"
    r"|\b(?:e\.g|i\.e|etc|vs|cf|approx|fig|dr|mr|mrs|ms|prof|inc|ltd|a\.m|p\.m|u\.s)\.(?!\w)"
    r"|\bv?\d{1,20}(?:\.\d{1,20}){1,5}\b"
    r"|\b[\w-]{1,80}\.[A-Za-z][A-Za-z0-9]{0,5}\b",
    re.IGNORECASE | re.DOTALL,
)
_PASTED = re.compile(
    r"\b(?:following|below|this|text|passage|article|e?mail|paragraph|abstract|notes)\b"
    r"[^:\n]{0,60}:\s",
    re.IGNORECASE,
)
_LINE = re.compile(r"[^\n]+")
_BULLET = re.compile(r"\s*(?:(?P<bullet>[-*\u2022\u2013])\s+|\(?(?P<number>\d{1,3})[.)]\s+)")
_SENTENCE_END = re.compile(r"(?<![.!?;])[.!?;]+(?=\s|$)")
_INLINE_NUMBER = re.compile(r"(?<=\s)\(?[2-9][.)]\s+(?=[A-Za-z])")
_TOKEN = re.compile(r"\S+")
_LEAD_IN = re.compile(
    r"\s*(?:please|kindly|hi|hello|hey|ok|okay|so|now|thanks|thank you|first(?:ly| of all)?"
    r"|second(?:ly)?|third(?:ly)?|to (?:begin|start)(?: with)?"
    r"|(?:can|could|would|will) you|(?:i|we)(?:['\u2019]d| would) like(?: you)? to"
    r"|(?:i|we) (?:want|need)(?: you)? to|(?:i|we)(?:['\u2019]d| would) like|(?:i|we) (?:want|need)"
    r"|help me(?: to)?|your task is to|you (?:should|must|need to|have to)|let['\u2019]?s"
    r"|go ahead and|just|also|and|but|to)\b[,:!]?\s*",
    re.IGNORECASE,
)
_CUES: tuple[tuple[str, ...], ...] = (
    ("once", "that", "is", "done"),
    ("once", "this", "is", "done"),
    ("once", "it", "is", "done"),
    ("when", "that", "is", "done"),
    ("once", "done"),
    ("when", "done"),
    ("after", "that"),
    ("after", "this"),
    ("after", "which"),
    ("as", "a", "next", "step"),
    ("at", "the", "end"),
    ("in", "the", "end"),
    *((cue,) for cue in ("then", "afterwards", "afterward", "subsequently")),
    *((cue,) for cue in ("finally", "lastly", "next", "later")),
)
_NEED_VERB = {("finally",), ("lastly",), ("next",), ("later",), ("at", "the", "end")}
_ONLY_VERBS = VERBS - NOUN_VERBS
_SUMMED = frozenset({"up", "it", "them", "this", "these", "all", "both", "everything"})
_CONNECTORS = frozenset({"and", "&", "plus", "but"})
_FILLERS = frozenset({"also", "please", "to", "just"})
_SIGNS_OF_VERB = frozenset(
    [
        *("a", "an", "the", "it", "them", "this", "that", "these", "those", "my", "our", "your"),
        *("his", "her", "their", "all", "each", "any", "every", "some", "how", "what", "why"),
        *("when", "where", "who", "which", "whether", "me", "us", "both", "one", "for", "on"),
        *("at", "up", "into", "out", "if", "through"),
    ]
)
_LIST_LEADS = frozenset({"do", "perform", "complete", "steps", "tasks", "todo", "the", "here"})
_COMPARE = re.compile(r"(?:compare|contrast) (?:them|both|the two|these)\b", re.IGNORECASE)
_TWO_NAMES = re.compile(r"(\w+) ((?:[\w-]+ ){0,2}[\w-]+) and ((?:[\w-]+ ){0,2}[\w-]+)")
_NOT_IN_NAME = re.compile(
    r"\b(?:of|in|for|with|on|from|to|how|what|why|between|the|a|an|by|about|at|that|which)\b",
    re.IGNORECASE,
)


def split_clauses(request: str, file_names: Sequence[str] = ()) -> list[Clause]:
    """The clauses of the request in order; empty when it has no words.

    File names, URLs, quotations, parentheses, numbers and abbreviations stay whole, and so does
    text pasted after "the following text:".
    """
    mask = _masked(request, file_names)
    body_end = _body_end(mask)
    clauses: list[Clause] = []
    for start, end, join in _sentences(mask, body_end):
        clauses += _split_sentence(request, mask, start, end, join)
    if clauses and body_end < len(request.rstrip()):
        last = clauses[-1]
        pasted = request[last.start :].rstrip()
        clauses[-1] = replace(last, text=pasted, end=last.start + len(pasted))
    clauses = _spread_list_verb(clauses)
    return _split_compared(_share_objects(clauses))


def starts_with_verb(text: str) -> bool:
    """Whether the clause opens with an imperative, "sum up" included."""
    tokens = [_bare(token) for token in text.split(None, 2)[:2]]
    return bool(tokens) and (tokens[0] in VERBS or _is_sum_up(tokens))


def _masked(request: str, file_names: Sequence[str]) -> str:
    def hide(match: re.Match[str]) -> str:
        return _MASK * len(match[0])

    mask = request
    names = sorted({name for name in file_names if name.strip()}, key=len, reverse=True)
    if names:
        pattern = "|".join(re.escape(name) for name in names[:MAX_FILE_NAMES])
        mask = re.sub(pattern, hide, mask)
    return _PROTECTED.sub(hide, mask)


def _body_end(mask: str) -> int:
    """Where the instructions end and pasted text begins."""
    match = _PASTED.search(mask)
    if match is None:
        return len(mask)
    rest = mask[match.end() - 1 :]
    is_list = _BULLET.match(rest.lstrip()) is not None
    if is_list or not rest.strip() or starts_with_verb(rest.strip()[:80]):
        return len(mask)
    return match.end()


def _blocks(mask: str, body_end: int) -> list[tuple[int, int, Join]]:
    """Lines and list items; a line that was only wrapped belongs to the one before."""
    blocks: list[tuple[int, int, Join]] = []
    opens = True
    for line in _LINE.finditer(mask, 0, body_end):
        if not line[0].strip():
            opens = True
            continue
        item = _BULLET.match(line[0])
        if item is not None:
            join = Join.then if item["number"] is not None else Join.sentence
            blocks.append((line.start() + item.end(), line.end(), join))
        elif opens or starts_with_verb(line[0].strip()[:80]):
            blocks.append((line.start(), line.end(), Join.sentence))
        else:
            start, _, join = blocks[-1]
            blocks[-1] = (start, line.end(), join)
        opens = line[0].rstrip()[-1:] in ".;:!?"
    return blocks


def _sentences(mask: str, body_end: int) -> Iterator[tuple[int, int, Join]]:
    for start, stop, block_join in _blocks(mask, body_end):
        join, begin = block_join, start
        ends = [match.end() for match in _SENTENCE_END.finditer(mask, start, stop)]
        numbers = _INLINE_NUMBER.finditer(mask, start, stop) if join is Join.then else ()
        inline = {match.start(): match.end() for match in numbers}
        ends = [end for end in ends if not any(a < end <= b for a, b in inline.items())]
        for end in sorted({*ends, *inline, stop}):
            if mask[begin:end].strip():
                yield begin, end, join
            join = Join.then if end in inline else Join.sentence
            begin = inline.get(end, end)


def _split_sentence(request: str, mask: str, start: int, end: int, join: Join) -> Iterator[Clause]:
    """Cuts before cue words, and before "and" or a comma that a verb follows."""
    tokens = list(_TOKEN.finditer(mask, start, end))
    bare = [_bare(token[0]) for token in tokens]
    position, clause_from, words_so_far = 0, start, 0
    while position < len(tokens):
        cut = _cut_at(tokens, bare, position, words_so_far)
        if cut is None:
            position += 1
            words_so_far += 1
            continue
        next_join, skipped = cut
        if words_so_far:
            yield from _clause(request, mask, clause_from, tokens[position - 1].end(), join)
            join = next_join
        elif next_join is Join.then:
            join = Join.then
        position += skipped
        clause_from = tokens[position].start() if position < len(tokens) else end
        words_so_far = 0
    if words_so_far:
        yield from _clause(request, mask, clause_from, end, join)


def _cut_at(
    tokens: Sequence[re.Match[str]], bare: Sequence[str], position: int, words_so_far: int
) -> tuple[Join, int] | None:
    """The join of a clause that begins here and the tokens to drop, or None if none begins."""
    after_comma = words_so_far > 0 and tokens[position - 1][0].endswith(",")
    ahead = bare[position : position + 10]
    skip = 1 if ahead[0] in _CONNECTORS else 0
    cue = next((c for c in _CUES if tuple(ahead[skip : skip + len(c)]) == c), ())
    at_joint = words_so_far == 0 or after_comma or skip > 0
    connected = after_comma or skip > 0
    skip += len(cue)
    while cue and skip < len(ahead) and ahead[skip] in _FILLERS:
        skip += 1
    while not cue and connected and skip < len(ahead) and ahead[skip] in _FILLERS:
        skip += 1
    rest = ahead[skip : skip + 2]
    if cue:
        is_verb = bool(rest) and (rest[0] in VERBS or _is_sum_up(rest))
        is_set_off = tokens[min(position + skip, len(tokens)) - 1][0].endswith(",")
        if is_verb or (at_joint and (cue not in _NEED_VERB or is_set_off)):
            return Join.then, skip
        return None
    if not connected or words_so_far == 0:
        return None
    ends_in_verb = bare[position - 1] in _ONLY_VERBS
    if ends_in_verb and words_so_far > 1 and not after_comma:
        return None  # "how to analyse and summarise": two verbs of one clause
    shown = tokens[position + skip + 1][0] if position + skip + 1 < len(tokens) else ""
    return (Join.also, skip) if _is_verb_use(rest, shown) else None


def _is_verb_use(rest: Sequence[str], shown: str) -> bool:
    """Whether the word opens an imperative; `shown` is the word after it as written."""
    if not rest or (rest[0] not in VERBS and not _is_sum_up(rest)):
        return False
    if rest[0] not in NOUN_VERBS or (len(rest) > 1 and rest[1] in _SIGNS_OF_VERB):
        return True
    if shown[:1] == _MASK or shown[:1].isupper():
        return True
    return rest[0] == "research" and len(rest) > 1 and rest[1] not in COMPOUND_HEADS


def _clause(request: str, mask: str, start: int, end: int, join: Join) -> Iterator[Clause]:
    for _ in range(6):
        lead = _LEAD_IN.match(mask, start, end)
        if lead is None:
            break
        start = lead.end()
    text = " ".join(request[start:end].split()).rstrip(" ,;.")
    if any(character.isalnum() for character in text):
        yield Clause(text, join, start, end)


def _share_objects(clauses: Sequence[Clause]) -> list[Clause]:
    """ "Analyse and summarise the file": the bare verb takes the object of the next clause."""
    shared = list(clauses)
    for index in range(len(shared) - 1):
        clause, following = shared[index], shared[index + 1]
        verb, _, rest = following.text.partition(" ")
        is_bare = " " not in clause.text and starts_with_verb(clause.text)
        if is_bare and following.join is Join.also and rest and _bare(verb) in VERBS:
            shared[index] = replace(clause, text=f"{clause.text} {rest}")
            shared[index + 1] = replace(following, shares_object=True)
    return shared


def _spread_list_verb(clauses: Sequence[Clause]) -> list[Clause]:
    """Drops "Do the following:" and gives the verb of "Research:" to the lines below it."""
    spread: list[Clause] = []
    verb = ""
    for index, clause in enumerate(clauses):
        if clause.text.endswith(":") and index + 1 < len(clauses):
            first = _bare(clause.text.split()[0])
            verb = clause.text.split()[0].rstrip(":") if first in VERBS else ""
            if first in _LIST_LEADS or (verb and len(clause.text.split()) <= 3):
                verb = "" if first in _LIST_LEADS else verb
                continue
            verb = ""
        elif verb and not starts_with_verb(clause.text):
            clause = replace(clause, text=f"{verb} {clause.text}")  # noqa: PLW2901
        else:
            verb = ""
        spread.append(clause)
    return spread


def _split_compared(clauses: Sequence[Clause]) -> list[Clause]:
    """ "Research X and Y, then compare them": the only noun pair that is cut in two."""
    split: list[Clause] = []
    for index, clause in enumerate(clauses):
        following = clauses[index + 1].text if index + 1 < len(clauses) else ""
        pair = _TWO_NAMES.fullmatch(clause.text) if _COMPARE.match(following) else None
        if pair and starts_with_verb(pair[1]) and not _NOT_IN_NAME.search(clause.text):
            split.append(replace(clause, text=f"{pair[1]} {pair[2]}"))
            split.append(Clause(f"{pair[1]} {pair[3]}", Join.also, clause.end, clause.end))
        else:
            split.append(clause)
    return split


def _bare(token: str) -> str:
    return normalise(token.strip("\"'()[]{}*_#>,.;:!?"))


def _is_sum_up(words: Sequence[str]) -> bool:
    return len(words) > 1 and words[0] == "sum" and words[1] in _SUMMED
