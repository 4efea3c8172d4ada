"""Extractive summaries: the length asked for, the sentences that fit, the citations they still use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_servers.api.documents import Document
from agent_servers.extract import Sentence, split_sentences, summarise, words

_DEFAULT = 5
_SHORT = 3
_MAX_SENTENCES = 40
_SPELLED = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_NUMBER = rf"(\d{{1,4}}|{'|'.join(_SPELLED)}|an?|single)"
_SENTENCES = re.compile(rf"(?i)\b{_NUMBER}[\s-]+(?:\w+\s+)?sentences?\b")
_BULLETS = re.compile(
    rf"(?i)\b{_NUMBER}\s+(?:\w+\s+)?(?:bullets?(?:\s+points?)?|points|key points|takeaways)\b"
)
_WORDS = re.compile(rf"(?i)\b{_NUMBER}[\s-]+words?\b")
_PARAGRAPHS = re.compile(rf"(?i)\b{_NUMBER}\s+(?:\w+\s+)?paragraphs?\b")
_ANY_BULLETS = re.compile(r"(?i)\bbullet(?:s|ed)?\b|\bkey points\b|\btakeaways\b")
_BRIEF = re.compile(r"(?i)\b(?:short|shortly|brief|briefly|concise|concisely|tl;?dr)\b")
_PER_PARAGRAPH = 4
_OWN_TEXT = re.compile(r"(?s)^(?P<ask>[^\n]{0,200}?(?::|\n))\s*(?P<text>.+)$")
_MIN_OWN_WORDS = 40
# What people say around a request; whatever else they name is what the summary should be about.
_ASKING = (
    "summarise summarize summary sum up it this text document report article page file attached"
    " attachment give write make short shorter brief briefly concise sentence sentences bullet bullets"
    " point points key word words paragraph paragraphs takeaways main findings result results please"
    " condense digest shorten abstract one two three four five six seven eight nine ten most important"
    " following overview content"
)
_MARKER = re.compile(r"\[(\d{1,3})\]")
_HEADING = re.compile(r"(?m)^(#{1,6})[ \t]+(.*?)[ \t#]*$")
_APPARATUS = re.compile(
    r"(?i)^(?:sources|references|bibliography|citations|not found|files left out|evidence|columns)$"
)

Citation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Length:
    """How long the summary may be: sentences, and words where they were asked for."""

    sentences: int = _DEFAULT
    words: int | None = None
    bullets: bool = False
    paragraphs: int = 1


@dataclass(frozen=True, slots=True)
class Summary:
    sentences: list[Sentence]
    length: Length
    citations: list[Citation]
    outline: tuple[str, ...] = ()

    def markdown(self, notes: Sequence[str] = ()) -> str:
        """How a JSON text is built, the sentences as they stand, then the sources that they still cite."""
        if self.length.bullets:
            lines = [f"- {sentence.flat}" for sentence in self.sentences]
        else:
            size = max(1, -(-len(self.sentences) // self.length.paragraphs))
            groups = [self.sentences[i : i + size] for i in range(0, len(self.sentences), size)]
            lines = "\n\n".join(" ".join(s.flat for s in group) for group in groups).split("\n")
        if self.outline:
            lines = [*self.outline, *(["", *lines] if self.sentences else [])]
        if self.citations:
            lines += ["", "## Sources", ""]
            lines += [f"- [{entry['number']}] {_source_line(entry)}" for entry in self.citations]
        if notes:
            lines += ["", "## Files left out", "", *(f"- {note}" for note in notes)]
        return "\n".join(lines) + "\n"

    def data(self) -> dict[str, object]:
        return {
            "sentences": [{"text": s.text, "source": s.source, "line": s.line} for s in self.sentences],
            "citations": self.citations,
            "outline": list(self.outline),
        }


def read_length(instruction: str) -> Length:
    """The length that an instruction asks for, five sentences where it names none."""
    bullets = _ANY_BULLETS.search(instruction) is not None
    if match := _WORDS.search(instruction):
        return Length(_MAX_SENTENCES, words=max(1, _value(match[1])), bullets=bullets)
    if match := _BULLETS.search(instruction):
        return Length(_bounded(match[1]), bullets=True)
    if match := _SENTENCES.search(instruction):
        return Length(_bounded(match[1]), bullets=bullets)
    if match := _PARAGRAPHS.search(instruction):
        count = min(_bounded(match[1]), 10)
        return Length(min(_MAX_SENTENCES, count * _PER_PARAGRAPH), paragraphs=count)
    return Length(_SHORT if _BRIEF.search(instruction) else _DEFAULT, bullets=bullets)


def _value(number: str) -> int:
    spoken = number.casefold()
    if spoken.isdigit():
        return int(spoken)
    return _SPELLED.index(spoken) if spoken in _SPELLED else 1


def _bounded(number: str) -> int:
    return max(1, min(_MAX_SENTENCES, _value(number)))


def split_instruction(text: str) -> tuple[str, str]:
    """An instruction and the text that follows it in the same message, '' where there is none."""
    match = _OWN_TEXT.match(text)
    if match and len(match["text"].split()) >= _MIN_OWN_WORDS:
        return match["ask"], match["text"]
    if len(text.split()) > 3 * _MIN_OWN_WORDS:
        return "", text
    return text, ""


def summarise_documents(
    documents: Sequence[Document], instruction: str, citations: Sequence[Sequence[Citation]]
) -> Summary:
    """Choose sentences. `citations` has the list of each report that came along, in their order."""
    length = read_length(instruction)
    texts, known = _numbered_apart(documents, citations)
    sentences = [s for name, text in texts for s in split_sentences(_body(text), name)]
    asking = frozenset(words(_ASKING))
    query = " ".join(word for word in words(instruction) if word not in asking)
    chosen = _fitting(_about(sentences, query, length), query, length)
    outline = tuple(line for document in documents for line in document.outline)
    used = {int(number) for sentence in chosen for number in _MARKER.findall(sentence.text)}
    return Summary(chosen, length, [entry for entry in known if entry["number"] in used], outline)


def _about(sentences: list[Sentence], query: str, length: Length) -> list[Sentence]:
    """The sentences that share a word with what was asked about, where there are enough of them."""
    asked = set(query.split())
    near = [sentence for sentence in sentences if asked.intersection(words(sentence.text))]
    return near if len(near) >= length.sentences else sentences


def _fitting(sentences: list[Sentence], query: str, length: Length) -> list[Sentence]:
    """The largest choice within the words allowed; one sentence at least."""
    if length.words is None:
        return summarise(sentences, query=query, max_sentences=length.sentences)
    low, high = 1, min(length.sentences, len(sentences), max(1, length.words // 4))
    best = summarise(sentences, query=query, max_sentences=1)
    while low < high:
        middle = (low + high + 1) // 2
        tried = summarise(sentences, query=query, max_sentences=middle)
        if sum(len(s.flat.split()) for s in tried) <= length.words:
            best, low = tried, middle
        else:
            high = middle - 1
    return best


def _numbered_apart(
    documents: Sequence[Document], citations: Sequence[Sequence[Citation]]
) -> tuple[list[tuple[str, str]], list[Citation]]:
    """Texts and citations where one number means one source, also when two reports both have a [1]."""
    texts = [(doc.name, _plain_html(doc.text) if doc.is_html else doc.text) for doc in documents]
    known = [dict(entry) for entry in citations[0]] if citations else []
    if len(citations) < 2 or len(citations) != len(documents):
        taken = {entry["number"] for entry in known}
        for more in citations[1:]:
            known += [dict(entry) for entry in more if entry["number"] not in taken]
        return texts, known
    for index, more in enumerate(citations[1:], start=1):
        shift = max((int(entry["number"]) for entry in known), default=0)
        name, text = texts[index]
        texts[index] = (name, _MARKER.sub(lambda m, by=shift: f"[{int(m[1]) + by}]", text))  # type: ignore[misc]  # mypy cannot infer the bound default
        known += [{**entry, "number": int(entry["number"]) + shift} for entry in more]
    return texts, known


def read_citations(data: Sequence[Any]) -> list[list[Citation]]:
    """The citation lists among the values of data parts; entries without a number are left out."""
    found = []
    for item in data:
        listed = item.get("citations") if isinstance(item, dict) else None
        if isinstance(listed, list):
            entries = [e for e in listed if isinstance(e, dict) and type(e.get("number")) is int]
            if entries:
                found.append(entries)
    return found


def _body(text: str) -> str:
    """The text with its sources and other apparatus blanked, so that lines keep their numbers."""
    pieces, position, skipping = [], 0, 0
    for match in _HEADING.finditer(text):
        part = text[position : match.start()]
        pieces.append("\n" * part.count("\n") if skipping else part)
        position = match.start()
        level = len(match[1])
        if _APPARATUS.match(match[2]):
            skipping = skipping or level
        elif level <= skipping:
            skipping = 0
    rest = text[position:]
    pieces.append("\n" * rest.count("\n") if skipping else rest)
    return "".join(pieces)


def _plain_html(text: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    for node in tree.css(
        "script, style, nav, header, footer, noscript, template, table, h1, h2, h3, h4, h5, h6"
    ):
        node.decompose()
    blocks = tree.css("p, li, blockquote, dd")
    if blocks:
        return "\n\n".join(" ".join(node.text(separator="").split()) for node in blocks)
    return tree.body.text(separator="\n") if tree.body else ""


def _source_line(entry: Citation) -> str:
    known = [str(entry[key]) for key in ("source", "locator") if entry.get(key)]
    return " ".join(", ".join(known).split())[:200] or "no further details"
