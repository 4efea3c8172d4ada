"""What a question asks for: its key terms, its parts, and the queries to start with. Pure rules."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from agent_servers.extract import stem, words

_MAX_CHARS = 4_000
_MAX_TERMS = 24
_MAX_CLAUSES = 5
_DOCUMENTS = (
    r"(?:the |these |those |this |our |my |your |all )?(?:(?:attached|given|available|project) )?"
    r"(?:documents?|docs?|documentation|files?|library|attachments?|sources?|corpus)"
)
_LEAD_IN = re.compile(
    r"^\W*(?:"
    r"please|kindly|(?:can|could|would) you|i (?:want|need|would like) to(?: know)?|and|then"
    r"|do(?: some)? research(?: on| into| about)?|research(?: on| into| about)?|investigate|explore"
    r"|find(?: out)?(?: more)?(?: about)?|look (?:up|into|for)|search(?: for)?|read up on|check|learn"
    r"|tell (?:me|us)(?: about)?|explain|describe|answer|list|show(?: me)?|give (?:me|us)"
    rf"|what (?:do|does|can|is) {_DOCUMENTS} (?:say|tell|state|mention)(?: us| me)?(?: about| on)?"
    rf"|what {_DOCUMENTS} (?:says?|tells?|states?|mentions?)(?: us| me)?(?: about| on)?"
    rf"|according to {_DOCUMENTS}|(?:in|from|across) {_DOCUMENTS}"
    r")\b[\s,:]*",
    re.IGNORECASE,
)
_TRAILER = re.compile(
    rf"[\s,]*\b(?:(?:in|from|across|using|based on|according to) {_DOCUMENTS}"
    r"|(?:and )?(?:cite|with) (?:the |your )?(?:sources?|citations?|references?))[\s.?!]*$",
    re.IGNORECASE,
)
_COUNT = r"\d{1,4}|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|few|several|single"
_SIZE = r"about|around|at most|no more than|less than|under|up to|the|short|brief|concise|key|main"
# How long and in which form to answer is no part of the topic.
_FORMAT = re.compile(
    rf"[\s,]*\b(?:in|as|using|with|within)\s+(?:(?:{_SIZE}|{_COUNT})\s+)*"
    rf"(?:bullet(?:s|ed)?(?:[\s-]+(?:points?|lists?))?|(?<=\s)(?:(?:{_COUNT}|short|brief|concise|key|main)\s+)"
    r"(?:sentences?|words|paragraphs?|points|lines|takeaways))\b"
    r"|[\s,]*\b(?:briefly|concisely|in (?:brief|short)|keep it (?:short|brief)|bullet points?)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[?;\n]+|,\s*(?:and\s+|or\s+)?|\s+(?:and|or|versus|vs\.?|as well as)\s+", re.IGNORECASE)
_FORM_TEXT = """
    actually always answer anything available become best better come currently detail details
    difference different exactly example explain find give go going happen happens info
    information involved keep keeps kind kinds know list long look mean means need needed never
    note often part parts possible put question really remain say see should show something stay
    stays still summarise summarize summary take takes tell thing things time times type types want way
    ways work works"""
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


# Words of questions that documents head their sections with in other words.
_SYNONYMS = (
    ("advantages", "benefits", "pros", "strengths", "upsides"),
    ("drawbacks", "disadvantages", "cons", "downsides", "weaknesses"),
)


@dataclass(frozen=True, slots=True)
class Term:
    """A word the answer must be about: as it was asked, and its stem."""

    word: str
    stem: str

    @property
    def is_name(self) -> bool:
        return not self.word.islower()


@dataclass(frozen=True, slots=True)
class Query:
    """One look into the index: any of these stems. `why` is empty for the questions as asked."""

    stems: tuple[str, ...]
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """`topic` is the question without "please research" and the like."""

    topic: str
    terms: tuple[Term, ...]

    @property
    def stems(self) -> tuple[str, ...]:
        return tuple(term.stem for term in self.terms)


@cache
def _form_words() -> frozenset[str]:
    """Stems that shape a question and say nothing of its subject."""
    return frozenset(stem(word) for word in _FORM_TEXT.split())


@cache
def synonyms(root: str) -> frozenset[str]:
    """Stems that mean the same as this one where a question asks for pros or cons."""
    groups = (frozenset(stem(word) for word in group) for group in _SYNONYMS)
    return next((group - {root} for group in groups if root in group), frozenset())


def understand(text: str) -> Question:
    """The topic and its key terms in the order asked; no terms where the text names nothing."""
    topic = _FORMAT.sub("", " ".join(text[:_MAX_CHARS].split()))
    while (shorter := _LEAD_IN.sub("", topic)) != topic:
        topic = shorter
    while (shorter := _TRAILER.sub("", topic)) != topic:
        topic = shorter
    topic = topic.strip(" .,:;") or " ".join(text[:_MAX_CHARS].split())
    return Question(topic, tuple(_terms(topic))[:_MAX_TERMS])


def _terms(text: str) -> Iterator[Term]:
    seen: set[str] = set()
    for match in _WORD.finditer(text):
        # A compound such as TaskStep gives a term for each of its words.
        for root in words(match[0]):
            if root not in _form_words() and root not in seen:
                seen.add(root)
                yield Term(match[0], root)


def first_queries(question: Question) -> list[Query]:
    """The whole question, then each part of it: "population of Ghana and Kenya" gives also
    "population Kenya", because a part of one word borrows the start of the first part."""
    queries = [Query(question.stems, " ".join(dict.fromkeys(t.word for t in question.terms)))]
    parts = [list(_terms(part)) for part in _CLAUSE.split(question.topic)]
    parts = [part for part in parts if part][:_MAX_CLAUSES]
    if len(parts) < 2:
        return queries
    head = parts[0]
    for part in parts:
        full = part if len(part) > 1 or part is head or len(head) < 2 else [*head[:-1], *part]
        if len(full) > 1:
            text = " ".join(dict.fromkeys(term.word for term in full))
            queries.append(Query(tuple(term.stem for term in full), text))
    return list({query.stems: query for query in queries}.values())


def next_queries(
    gaps: list[Term], related: dict[str, list[str]], context: list[str], asked: set[tuple[str, ...]]
) -> list[Query]:
    """Another way to ask for each gap: words of the same root that the sources do use, else the gap
    with words that stand around the passages found. What was asked before is left out."""
    queries = []
    for gap in gaps:
        if forms := related.get(gap.stem):
            text = f"{gap.word}: {' '.join(forms)}"
            queries.append(Query(tuple(forms), text, why=gap.stem))
        elif context:
            query = Query((gap.stem, *context), f"{gap.word} {' '.join(context)}", why=gap.stem)
            queries.append(query)
    return [query for query in queries if query.stems not in asked]
