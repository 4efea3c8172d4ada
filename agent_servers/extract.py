"""Sentences as they stand in a text, their words, and a summary made of them alone.

Nothing here writes, reads or rephrases: every sentence that comes out is a slice of what went in.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agent_servers.markup import MOJIBAKE, Block, Kind, blocks, is_label, is_noise

_STOP_TEXT = """
    a about above after again against all also am an and any are as at be because been before
    being below between both but by can could did do does doing done down during each else ever
    every few for from further get gets given had has have having he her here hers him his how i if
    in into is it its just let like made make many may me might more most much must my no nor not
    now of off on once one only onto or other our ours out over own per please same shall she should
    since so some such than that the their theirs them then there these they this those through to
    too under until up upon us use used uses using very via was we were what when where whether
    which while who whom whose why will with within without would yes yet you your yours"""
_STOP_WORDS = frozenset(_STOP_TEXT.split())
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BOUNDARY = re.compile(
    r"""[.!?\u2026]+[\])"'\u201d\u2019*_]*(?:[ \t]*\[\d{1,3}\])*+"""
    r"""(?=\s+["'\u201c\u2018(\[*_`]*[^\W_a-z])|[\u3002\uff01\uff1f]+"""
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|approx|Dr|Mr|Mrs|Ms|Prof|St|Fig|Figs|Eq|No|Nos|Sec|Vol|pp?|Inc"
    r"|Ltd|Co|Jr|Sr|ca)|(?<![A-Za-z0-9])[A-Z])\.$"
)
_LEADING = re.compile(rf"(?:{MOJIBAKE.pattern}|[^\w\s`*_\"'\u201c\u2018(\[]|\s)+")

_TWO_LETTERS = re.compile(r"[^\W\d_]{2}|[\u3040-\u9fff]")
_COLONS = (":", "\uff1a")
_LIST_CHARS = 480
_MIN_WORDS = 4
_MAX_CHARS = 1200
_CANDIDATES = 300
_MIN_SIMILARITY = 0.05
_SAME = 0.85


@dataclass(frozen=True, slots=True)
class Sentence:
    """A verbatim slice: `document[start:start + len(text)] == text`; `line` counts from 1.

    A lead-in with its list ("Check:" and three bullets) is one sentence, so `text` may hold line
    breaks; `flat` is the same on one line.
    """

    text: str
    source: str
    start: int
    line: int

    @property
    def flat(self) -> str:
        return " ".join(re.sub(r"\n[ \t]*>[ \t>]*", "\n", self.text).split())


def words(text: str) -> list[str]:
    """Lower-case stems of the words that carry meaning, in order, stop words left out."""
    return [
        stem(token)
        for match in _TOKEN.finditer(text)
        for token in _CAMEL.sub(" ", match[0]).casefold().split()
        if token not in _STOP_WORDS
    ]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The English snowball stem of one lower-case word. Safe to call from any thread."""
    import snowballstemmer

    # A stemmer object keeps the word it works on, so threads must not share one.
    return str(snowballstemmer.stemmer("english").stemWord(word.replace("\u2019", "'")))


def split_sentences(text: str, source: str) -> list[Sentence]:
    """All sentences of a plain or markdown text in reading order.

    Code, tables, headings and drawing noise are left out. Bullets that are whole sentences stand
    alone; short ones stay together with each other and with the line that introduces them.
    """
    found: list[Sentence] = []
    pending: list[Block] = []
    for block in blocks(text):
        if pending and not _continues(text, pending, block):
            carried = _carried(text, pending, block)
            found.extend(_flush(text, source, pending[: len(pending) - len(carried)]))
            pending = carried
        if block.kind in {Kind.PARAGRAPH, Kind.ITEM}:
            pending.append(block)
    found.extend(_flush(text, source, pending))
    return found


def _continues(text: str, pending: list[Block], block: Block) -> bool:
    """Whether a block belongs to the list that is being collected."""
    first, last = pending[0], pending[-1]
    if block.kind is not Kind.ITEM or block.end - first.outer > _LIST_CHARS:
        return False
    if block.line - last.last_line > 2:
        return False
    if _introduces(text, first):
        return first.kind is Kind.PARAGRAPH or block.indent > first.indent
    if first.kind is Kind.PARAGRAPH:
        return False
    return block.indent > first.indent or (
        block.indent == first.indent and _is_fragment(text, first) and _is_fragment(text, block)
    )


def _carried(text: str, pending: list[Block], block: Block) -> list[Block]:
    """The tail of a full list that only announces what comes next and so belongs there."""
    if block.kind is not Kind.ITEM or len(pending) < 2:
        return []
    keep = len(pending)
    while keep > 1 and (_introduces(text, pending[keep - 1]) or block.indent > pending[keep - 1].indent):
        keep -= 1
    return pending[keep:] if keep > 1 else []


def _introduces(text: str, block: Block) -> bool:
    return text[block.start : block.end].rstrip("*_ ").endswith(_COLONS)


def _is_fragment(text: str, block: Block) -> bool:
    body = text[block.start : block.end].rstrip("*_` )")
    return not body.endswith((".", "!", "?", "\u3002", "\u2026")) and body.count(" ") < 14


def _flush(text: str, source: str, pending: list[Block]) -> Iterator[Sentence]:
    if not pending:
        return
    first, last = pending[0], pending[-1]
    if len(pending) > 1:
        start = first.start if _introduces(text, first) else first.outer + _margin(text, first)
        if first.kind is Kind.PARAGRAPH:
            start = _after_previous_sentences(text, first)
            yield from _prose(text, source, first.start, start, first.line)
        line = first.line + text.count("\n", first.start, start)
        if sentence := _sentence(text, source, start, last.end, line, is_list=True):
            yield sentence
    else:
        yield from _prose(text, source, first.start, first.end, first.line)


def _margin(text: str, block: Block) -> int:
    line = text[block.outer : block.end]
    return len(line) - len(line.lstrip())


def _after_previous_sentences(text: str, block: Block) -> int:
    """Where the last sentence of a paragraph starts: only that one introduces the list."""
    start = block.start
    for cut in _cuts(text, block.start, block.end):
        if text[cut : block.end].strip():
            start = cut + len(text[cut : block.end]) - len(text[cut : block.end].lstrip())
    return start


def _cuts(text: str, start: int, end: int) -> Iterator[int]:
    seen, ticks, has_words = start, 0, False
    for match in _BOUNDARY.finditer(text, start, end):
        at = match.start()
        ticks += text.count("`", seen, at)
        # "4. Port in use" is numbered, not two sentences.
        has_words = has_words or bool(_TWO_LETTERS.search(text, seen, at))
        seen = at
        inside_code = ticks % 2
        if has_words and not inside_code and not _ABBREVIATION.search(text[max(start, at - 12) : at + 1]):
            yield match.end()


def _prose(text: str, source: str, start: int, end: int, line: int) -> Iterator[Sentence]:
    position = start
    for cut in [*_cuts(text, start, end), end]:
        body = text[position:cut]
        begin = position + len(body) - len(body.lstrip())
        line += text.count("\n", position, begin)
        sentence = _sentence(text, source, begin, cut, line)
        if sentence and not sentence.text.rstrip("*_ ").endswith(_COLONS):
            yield sentence
        line += text.count("\n", begin, cut)
        position = cut


def _sentence(
    text: str, source: str, start: int, end: int, line: int, *, is_list: bool = False
) -> Sentence | None:
    if not is_list and (lead := _LEADING.match(text, start, end)):
        start = lead.end()
    body = text[start:end].rstrip()
    if is_label(body):
        return None
    if len(body) > _MAX_CHARS or len(_TOKEN.findall(body)) < _MIN_WORDS or is_noise(body):
        return None
    return Sentence(body, source, start, line)


def summarise(sentences: Sequence[Sentence], *, query: str = "", max_sentences: int) -> list[Sentence]:
    """Choose up to `max_sentences` of the given sentences, unchanged, in the order given.

    TextRank over idf-cosine similarity, restarted at the sentences that share words with `query`,
    then maximal marginal relevance against repetition. Cost is bounded: beyond some hundred
    sentences the most informative ones are preselected.
    """
    unique = _without_repeats(sentences)
    counts = [Counter(words(sentence.text)) for sentence in unique]
    idf = _idf(counts)
    asked = {term: idf[term] for term in words(query) if term in idf}
    total = sum(asked.values())
    if total:
        near = [sum(asked.get(term, 0.0) for term in count) / total for count in counts]
    else:
        near = _openings(unique)
    keep = list(range(len(unique)))
    if len(keep) > _CANDIDATES:
        info = [_information(count, idf) for count in counts]
        keep.sort(key=lambda index: (-near[index] if total else 0.0, -info[index], index))
        keep = sorted(keep[:_CANDIDATES])
    kept = [unique[index] for index in keep]
    return [kept[index] for index in pick(kept, [near[index] for index in keep], max_sentences)]


def pick(
    sentences: Sequence[Sentence],
    nearness: Sequence[float],
    limit: int,
    *,
    centrality: float = 0.8,
) -> list[int]:
    """The indexes, ascending, of up to `limit` sentences: central, near to what is wanted by the
    given `nearness` (0 to 1 each), and unlike each other. `centrality` (0 to 1) is the share of the
    rank that comes from similar sentences, the rest comes from nearness. Cost grows with the square of
    the number of sentences; a few hundred take some tenths of a second."""
    if limit < 1 or not sentences:
        return []
    counts = [Counter(words(sentence.text)) for sentence in sentences]
    idf = _idf(counts)
    vectors = [_unit({term: n * idf[term] for term, n in count.items()}) for count in counts]
    return sorted(_diverse(vectors, _rank(vectors, nearness, damping=centrality), limit))


def _idf(counts: Sequence[Counter[str]]) -> dict[str, float]:
    seen_in = Counter(term for count in counts for term in count)
    return {term: math.log(1 + len(counts) / n) for term, n in seen_in.items()}


def _openings(sentences: Sequence[Sentence]) -> list[float]:
    """Documents open with what they are about, so a first sentence counts a little more."""
    seen: set[str] = set()
    near = []
    for sentence in sentences:
        near.append(0.7 if sentence.source in seen else 1.0)
        seen.add(sentence.source)
    return near


def _without_repeats(sentences: Sequence[Sentence]) -> list[Sentence]:
    seen: set[str] = set()
    unique = []
    for sentence in sentences:
        key = " ".join(_TOKEN.findall(sentence.text.casefold()))
        if key not in seen:
            seen.add(key)
            unique.append(sentence)
    return unique


def _information(count: Counter[str], idf: dict[str, float]) -> float:
    """Favours words that recur in the text but are not everywhere; very long loses its edge."""
    if not count:
        return 0.0
    # idf * exp(-idf / 2) peaks at words found in about every seventh sentence.
    worth = sum(idf[term] * math.exp(-idf[term] / 2) for term in count)
    return worth / math.sqrt(max(len(count), 8))


def _unit(vector: dict[str, float]) -> dict[str, float]:
    norm = math.sqrt(sum(value * value for value in vector.values()))
    return {term: value / norm for term, value in vector.items()} if norm else {}


def _rank(
    vectors: Sequence[dict[str, float]],
    nearness: Sequence[float],
    *,
    damping: float,
    rounds: int = 40,
) -> list[float]:
    """Stationary score of each sentence, scaled so that the best has 1."""
    links = _links(vectors)
    out = [sum(edges.values()) for edges in links]
    bias = [near**2 + 1e-6 for near in nearness]
    start = [value / sum(bias) for value in bias]
    scores = start
    for _ in range(rounds):
        spread = [0.0] * len(vectors)
        for index, edges in enumerate(links):
            for other, weight in edges.items():
                spread[other] += scores[index] * weight / out[index]
        scores = [(1 - damping) * s + damping * w for s, w in zip(start, spread, strict=True)]
    top = max(scores)
    # A sentence of two or three words of content says little by itself.
    brevity = [min(1.0, len(vector) / 4) for vector in vectors]
    return [score / top * short for score, short in zip(scores, brevity, strict=True)]


def _links(weights: Sequence[dict[str, float]]) -> list[dict[int, float]]:
    having: dict[str, list[tuple[int, float]]] = defaultdict(list)
    links: list[dict[int, float]] = [defaultdict(float) for _ in weights]
    for index, vector in enumerate(weights):
        for term, value in vector.items():
            for other, other_value in having[term]:
                links[index][other] += value * other_value
            having[term].append((index, value))
    pairs = [
        (index, other, weight)
        for index, edges in enumerate(links)
        for other, weight in edges.items()
        if weight >= _MIN_SIMILARITY
    ]
    both: list[dict[int, float]] = [{} for _ in weights]
    for index, other, weight in pairs:
        both[index][other] = both[other][index] = weight
    return both


def _diverse(vectors: Sequence[dict[str, float]], scores: Sequence[float], limit: int) -> list[int]:
    """Maximal marginal relevance: each pick is good and unlike the picks before it."""
    chosen: list[int] = []
    nearest = [0.0] * len(scores)
    left = {index for index, vector in enumerate(vectors) if vector}
    while left and len(chosen) < limit:
        best = max(left, key=lambda index: (0.7 * scores[index] - 0.3 * nearest[index], -index))
        left.discard(best)
        if nearest[best] > _SAME:
            continue
        chosen.append(best)
        for index in left:
            nearest[index] = max(nearest[index], _cosine(vectors[best], vectors[index]))
    return chosen


def _cosine(left: dict[str, float], right: dict[str, float]) -> float:
    if len(left) > len(right):
        left, right = right, left
    return sum(value * right.get(term, 0.0) for term, value in left.items())
