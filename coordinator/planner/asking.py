"""What a clause that fits no skill by topic still asks for, read from its form alone.

Questions, questions about a table, comparisons, and wishes for a length or form. Which skill gets
them is decided in `rules`.
"""

from __future__ import annotations

import re

_MAX_TOPIC_CHARS = 200

_NO_QUESTION = re.compile(
    r"(?:how|what) about\b|why (?:not|don['\u2019]?t (?:you|we))\b|how (?:are|do) you\b"
    r"|how(?:['\u2019]s| is) (?:it|life|everything)\b|who are you\b|what(?:['\u2019]s| is) up\b",
    re.IGNORECASE,
)
_WH = r"(?:how|why|what|who|whom|whose|which|where|when|whether|if)\b"
_LIBRARY = r"(?:docs?|documents?|documentation|library|manuals?|sources)\b"
_READ = (
    rf"(?:search|read|check|consult|browse|scan|go through|look (?:in|at|through)) (?:\w+ ){{0,3}}{_LIBRARY}"
)
_QUESTION = re.compile(
    r"(?:how|why|what|who|whom|whose|which|where)\b"
    r"|when (?:do|does|did|is|are|was|were|will|can|should)\b"
    r"|(?:is|are|was|were|do|does|did|has|have|can|should|will) (?!(?:you|i|we|me)\b)[^?]*\?"
    r"|(?:explain|describe)\b"
    rf"|tell (?:me|us) (?:more |everything |something )?(?:about\b|{_WH})"
    rf"|(?:show|teach) (?:me|us) {_WH}"
    rf"|(?:know|learn|understand) (?:more )?(?:about\b|{_WH})"
    r"|(?:find|get|give|gather|collect)(?: me| us)?(?: an?| the| some| any| more)?"
    r" (?:information|info|details|facts|explanation|introduction|description)"
    r" (?:about|on|of|to|for)\b"
    rf"|answer\b.{{0,80}}?(?:\bquestions?\b|\b{_LIBRARY}|:\s*{_WH})"
    rf"|{_READ}",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(rf"{_READ}\W*", re.IGNORECASE)
_TABLE_WORK = re.compile(
    r"(?:explore|examine|inspect|compute|calculate|count|average|measure|correlate|aggregate|group"
    r"|rank|sort|list|show|compare|look at|check|go through)\b",
    re.IGNORECASE,
)
_TELL = re.compile(rf"(?:tell|show) (?:me|us) {_WH}", re.IGNORECASE)
_COMPARE = re.compile(r"(?:compare|contrast)\b", re.IGNORECASE)
_COMPARE_RESULTS = re.compile(
    r"(?:compare|contrast)(?: and contrast)?(?: (?:them|both|these|those|everything|all|the two|the three"
    r"|(?:the|these|those|both|all|their)(?: \w+)? (?:results|findings|answers|outputs|texts|topics|two)))?"
    r"(?: (?:briefly|in|with each|to each|as|by|for)\b.*)?\W*",
    re.IGNORECASE | re.DOTALL,
)
_COMPARE_TOPICS = re.compile(
    r"(?:compare|contrast) \S.*? (?:and|with|to|vs\.?|versus|against) \S", re.IGNORECASE
)
_COUNT = (
    r"(?:(?:at most|about|around|no more than|up to|fewer than|under) )?"
    r"(?:(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|\d{1,4}|a few|some) )?"
    r"(?:short |brief |concise |key |clear |simple )?"
)
_FORM = r"(?:bullet points?|bullets|sentences?|words|paragraphs?|lines|points|bullet list|list of bullets)"
_WISH_TAIL = re.compile(rf",?\s+((?:in|as|with|using) {_COUNT}{_FORM})\W*", re.IGNORECASE)
_WISH = re.compile(
    rf"(?:(?:give|write|make|show|produce|list|return)(?: (?:me|us))?"
    r"|(?:put|present|format) (?:it|them) (?:in|as))"
    rf" {_COUNT}{_FORM}\W*",
    re.IGNORECASE,
)
_SUMMARY_OF = re.compile(
    r"(?:summari[sz]e|sum up|recap|condense"
    r"|(?:give|write|make|produce)(?: (?:me|us))? (?:an?|the) (?:\w+ )?summary (?:of|about|on))\s+(.+)",
    re.IGNORECASE,
)
_PASTED = re.compile(r"[\"“”`:\n]|https?://")


def asks(text: str) -> bool:
    """Whether the clause asks to know something: "how ...", "explain ...", "search the docs"."""
    if _NO_QUESTION.match(text):
        return False
    return bool(_QUESTION.match(text) or _COMPARE_TOPICS.match(text))


def only_opens_documents(text: str) -> bool:
    """ "Read the docs": what is sought there is said by the next clause."""
    return _READ_ONLY.fullmatch(text) is not None


def asks_of_table(text: str) -> bool:
    """Whether the clause could be about the rows of a table: a question, or "compute", "explore"."""
    return asks(text) or _TABLE_WORK.match(text) is not None


def tells_more(text: str) -> bool:
    """ "Tell me what is interesting": what to say of the step before."""
    return _TELL.match(text) is not None


def compares(text: str) -> bool:
    """Whether the clause is a comparison, of whatever."""
    return _COMPARE.match(text) is not None


def compares_results(text: str) -> bool:
    """ "Compare them": a comparison of earlier results and of nothing else."""
    return _COMPARE_RESULTS.fullmatch(text) is not None


def split_wish(text: str) -> tuple[str, str] | None:
    """ "research X in two bullet points" as ("research X", "in two bullet points"), else None."""
    found = None
    for found in _WISH_TAIL.finditer(text):  # noqa: B007 - the last one counts
        pass
    if found is None or found.end() != len(text) or found.start() == 0:
        return None
    return text[: found.start()], found[1]


def is_wish(text: str) -> bool:
    """ "Give me three bullet points": the form of an answer and no topic."""
    return _WISH.fullmatch(text) is not None


def topic_of_summary(text: str) -> str | None:
    """The topic of "summarise how X works"; None when the clause holds the text to summarise."""
    found = _SUMMARY_OF.fullmatch(text)
    if found is None or len(found[1]) > _MAX_TOPIC_CHARS or _PASTED.search(found[1]):
        return None
    wish = split_wish(found[1])
    return wish[0] if wish is not None else found[1]
