"""Which skill fits a clause: BM25 over the offers' own words, gated by evidence that decides.

BM25 orders the skills; whether a skill fits at all is a question of evidence (`_Evidence`), so
that one shared word such as "data" routes nothing and "no agent" stays a possible answer.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntFlag

from coordinator.planner.lexicon import (
    ACTION_WORDS,
    ACTIONS,
    ADJECTIVES,
    DISPLAY,
    GENERIC_NOUNS,
    LIGHT_VERBS,
    PURPOSE_WORDS,
    STOPWORDS,
    Strength,
    normalise,
    stem,
    words,
)
from coordinator.planner.plan import Candidate
from coordinator.registry.offers import SkillOffer

THRESHOLD = 0.5
MAX_CANDIDATES = 5
MAX_FIELD_CHARS = 4_000
MAX_QUERY_TERMS = 200
K1 = 1.2
B = 0.5
# Offers that might exist: keeps rarity meaningful when only a handful are registered.
PHANTOM_OFFERS = 20
PROPER_NAME_WEIGHT = 0.4
MIN_TOPIC_COVERAGE = 0.4
MIN_WEAK_COVERAGE = 0.3
MIN_FIELDS_ALONE = 3  # one word decides only when the offer says it in so many places
MEDIA_BONUS = 0.05
PURPOSE_SPAN = 0.05
COMMON_FROM = 500
_GENERIC_STEMS = frozenset(stem(normalise(word)) for word in GENERIC_NOUNS)


class _Field(IntFlag):
    identity = 1  # name and id
    tag = 2
    description = 4
    example = 8
    opening = 16  # first word of the description or of an example: what the skill does


_WEIGHTS = {_Field.identity: 3.0, _Field.tag: 2.0, _Field.description: 1.0, _Field.example: 1.0}


@dataclass(frozen=True, slots=True)
class _Term:
    """A content word of the clause; `stems` are what an offer may call it, its own first."""

    word: str
    stems: tuple[str, ...]
    is_generic: bool
    is_name: bool  # capitalised inside the text: an argument rather than a topic
    strength: Strength | None


@dataclass(frozen=True, slots=True)
class _Query:
    """The clause as terms; `head` is the index of the word that says what is wanted, or None."""

    terms: tuple[_Term, ...]
    head: int | None


@dataclass(slots=True)
class _Document:
    """Offers that say the same of the same skill, as one entry of the index."""

    offers: list[SkillOffer]
    identity: frozenset[str]
    purposes: frozenset[str]  # stems of the name, the id and the tags
    media_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """How an offer meets a query: per term index, the weight of the hit and where it is."""

    hits: dict[int, tuple[float, _Field]]
    coverage: float  # matched share of the clause, by rarity, 0 to 1
    topic_coverage: float  # the same without the head
    rank: float  # BM25 as a share of its maximum, 0 to 1
    fits_media: bool


@dataclass(frozen=True, slots=True)
class _Hit:
    score: float
    rank: float
    matched: tuple[str, ...]
    document: _Document


class SkillIndex:
    """All skills on offer, indexed once; `match` is pure and safe to share."""

    def __init__(self, offers: Iterable[SkillOffer]) -> None:
        self.offers = tuple(offers)
        self._by_pair = {(offer.agent_id, offer.skill_id): offer for offer in self.offers}
        by_text: dict[tuple[object, ...], _Document] = {}
        for offer in self.offers:
            by_text.setdefault(_text_key(offer), _document(offer)).offers.append(offer)
        self._documents = list(by_text.values())
        for document in self._documents:
            document.offers.sort(key=lambda o: (o.agent_name, o.skill_id, o.agent_id))
        self._postings: dict[str, dict[int, tuple[float, _Field]]] = defaultdict(dict)
        self._build()

    def offer(self, candidate: Candidate) -> SkillOffer:
        """The offer behind a candidate of this index; KeyError if it is from another one."""
        return self._by_pair[candidate.agent_id, candidate.skill_id]

    @property
    def skill_names(self) -> tuple[str, ...]:
        """The distinct names of the skills, sorted."""
        return tuple(sorted({offer.name for offer in self.offers}))

    def match(self, text: str, media_types: Sequence[str] = ()) -> list[Candidate]:
        """Skills that fit the clause, best first, at most 5; empty means no agent can do it."""
        hits = self._rank(_parse(text), media_types)
        return _best(hit for hit in hits if hit.score >= THRESHOLD)

    def match_purpose(self, text: str, purpose: str) -> list[Candidate]:
        """Skills whose name, id or tags say that they are for the purpose (see PURPOSE_WORDS).

        The text only orders them, at most 5; empty also when it has no word of its own.
        """
        stems = tuple(stem(word) for word in PURPOSE_WORDS[purpose])
        query = _parse(text)
        if not query.terms:
            return []
        sought = _Term("", stems, is_generic=False, is_name=False, strength=Strength.lookup)
        query = _Query((sought, *query.terms), 0)
        hits = self._rank(query, ())
        return _best(
            replace(hit, score=round(THRESHOLD + PURPOSE_SPAN * hit.rank, 4))
            for hit in hits
            if hit.document.purposes.intersection(stems)
        )

    def near_misses(self, text: str, media_types: Sequence[str] = ()) -> list[Candidate]:
        """The best five below the threshold: what to tell the user when nothing fits."""
        hits = self._rank(_parse(text), media_types)
        return _best(hit for hit in hits if hit.score < THRESHOLD)

    def _build(self) -> None:
        lengths = [dict.fromkeys(_WEIGHTS, 0) for _ in self._documents]
        counts: list[dict[str, dict[_Field, int]]] = []
        for document, length in zip(self._documents, lengths, strict=True):
            counts.append(_count(document.offers[0], length))
        totals = {field: sum(length[field] for length in lengths) for field in _WEIGHTS}
        for number, (count, length) in enumerate(zip(counts, lengths, strict=True)):
            for term, fields in count.items():
                weight = 0.0
                where = _Field(0)
                for field, times in fields.items():
                    where |= field
                    if field in _WEIGHTS:
                        relative = length[field] * len(lengths) / totals[field]
                        weight += _WEIGHTS[field] * times / (1 - B + B * relative)
                self._postings[term][number] = (weight, where)

    def _rank(self, query: _Query, media_types: Sequence[str]) -> list[_Hit]:
        rarities = [self._rarity(term) for term in query.terms]
        fitting: dict[frozenset[str], bool] = {}
        ranked = []
        for number, hits in self._find(query).items():
            document = self._documents[number]
            modes = document.media_types
            if modes not in fitting:
                fitting[modes] = fits_media(media_types, modes)
            evidence = _weigh(hits, query, rarities, fitting[modes])
            hit_words = (query.terms[index].word for index in sorted(hits))
            matched = tuple(dict.fromkeys(word for word in hit_words if word))
            score = _score(evidence, query, document)
            ranked.append(_Hit(score, evidence.rank, matched, document))
        return ranked

    def _find(self, query: _Query) -> dict[int, dict[int, tuple[float, _Field]]]:
        """Document number -> term index -> hit.

        Words that many offers share find nothing by themselves unless the clause has no rarer
        one; they only add to what is found.
        """
        found: dict[int, dict[int, tuple[float, _Field]]] = defaultdict(dict)
        postings = [
            (index, self._postings[term_stem])
            for index, term in enumerate(query.terms)
            for term_stem in term.stems
            if term_stem in self._postings
        ]
        for index, posting in sorted(postings, key=lambda pair: len(pair[1])):
            is_common = len(posting) > COMMON_FROM and bool(found)
            for number in found.keys() & posting.keys() if is_common else posting:
                weight, where = posting[number]
                old_weight, old_where = found[number].get(index, (0.0, _Field(0)))
                found[number][index] = (max(old_weight, weight), old_where | where)
        return found

    def _rarity(self, term: _Term) -> float:
        known = max(len(self._postings.get(term_stem, ())) for term_stem in term.stems)
        frequency = max(known, 1)
        total = len(self._documents) + PHANTOM_OFFERS
        rarity = math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))
        unknown_name = term.is_name and known == 0
        return rarity * (PROPER_NAME_WEIGHT if unknown_name or term.is_generic else 1.0)


def _best(hits: Iterable[_Hit]) -> list[Candidate]:
    """The first candidates of the first hits; offers of a document are sorted already."""

    def key(hit: _Hit) -> tuple[float, str, str, str]:
        first = hit.document.offers[0]
        return (-hit.score, first.agent_name, first.skill_id, first.agent_id)

    candidates = [
        Candidate(offer.agent_id, offer.agent_name, offer.skill_id, hit.score, hit.matched)
        for hit in heapq.nsmallest(MAX_CANDIDATES, hits, key=key)
        for offer in hit.document.offers[:MAX_CANDIDATES]
    ]
    candidates.sort(key=lambda c: (-c.score, c.agent_name, c.skill_id, c.agent_id))
    return candidates[:MAX_CANDIDATES]


def fits_media(wanted: Sequence[str], accepted: Iterable[str]) -> bool:
    """Whether one of the media types is accepted by name; plain text and */* say nothing."""
    specific = {mode for mode in accepted if mode not in ("text/plain", "*/*")}
    return any(
        kind in specific or kind.partition("/")[0] + "/*" in specific
        for kind in wanted
        if kind != "text/plain"
    )


def _score(evidence: _Evidence, query: _Query, document: _Document) -> float:
    """0 to 1; at or above THRESHOLD only when the evidence can stand alone."""
    bonus = MEDIA_BONUS if evidence.fits_media else 0.0
    if _is_named_action(evidence, query, document):
        base, span = 0.7, 0.25
    elif _is_topic(evidence, query):
        base, span = 0.55, 0.3
    elif _is_backed_action(evidence, query):
        base, span = 0.55, 0.25
    elif _has_action(evidence, query, Strength.lookup):
        base, span = 0.5, 0.05
    else:
        base, span, bonus = 0.0, THRESHOLD - 0.01, 0.0
    return round(base + span * evidence.rank + bonus, 4)


def _is_named_action(evidence: _Evidence, query: _Query, document: _Document) -> bool:
    """The clause's verb is what the skill is called."""
    if _has_action(evidence, query, Strength.strong):
        return True
    if query.head is None or query.head not in evidence.hits:
        return False
    head = query.terms[query.head]
    if head.strength is not None or head.is_generic:
        return False
    _, where = evidence.hits[query.head]
    matched = {s for index in evidence.hits for s in query.terms[index].stems}
    named = document.identity & matched
    return bool(where & _Field.identity) and len(named) > len(document.identity) / 2


def _has_action(evidence: _Evidence, query: _Query, strength: Strength) -> bool:
    if query.head is None or query.head not in evidence.hits:
        return False
    names = _Field.identity | _Field.tag
    if strength is Strength.weak:
        names |= _Field.opening
    return query.terms[query.head].strength is strength and bool(evidence.hits[query.head][1] & names)


def _is_backed_action(evidence: _Evidence, query: _Query) -> bool:
    """An everyday verb ("get", "plot") together with a topic or a file that fits."""
    if _has_action(evidence, query, Strength.weak):
        return evidence.fits_media or evidence.topic_coverage >= MIN_WEAK_COVERAGE
    # "look at the attached data", "compute the correlation in the csv": not the skill's verb, but
    # its kind of file and its nouns
    telling = [index for index in evidence.hits if not query.terms[index].is_generic]
    return evidence.fits_media and (query.head in evidence.hits or len(telling) >= 2)


def _is_topic(evidence: _Evidence, query: _Query) -> bool:
    """The clause is about what the skill is about, its head word included."""
    if query.head is None:
        return False
    strength = query.terms[query.head].strength
    if strength is Strength.strong:
        return False  # a verb of another kind of skill: the topic does not overrule it
    if strength is None and query.head not in evidence.hits:
        return False
    coverage = evidence.coverage if strength is None else evidence.topic_coverage
    telling = [i for i in evidence.hits if not query.terms[i].is_generic]
    if strength is not None:
        telling = [i for i in telling if i != query.head]
    everywhere = any((evidence.hits[i][1] & ~_Field.opening).bit_count() >= MIN_FIELDS_ALONE for i in telling)
    return coverage >= MIN_TOPIC_COVERAGE and (len(telling) >= 2 or everywhere)


def _weigh(
    hits: dict[int, tuple[float, _Field]],
    query: _Query,
    rarities: Sequence[float],
    is_media_fit: bool,  # noqa: FBT001 - one fact among the evidence
) -> _Evidence:
    total = sum(rarities)
    hit = sum(rarities[index] for index in hits)
    head_rarity = rarities[query.head] if query.head is not None else 0.0
    head_hit = head_rarity if query.head in hits else 0.0
    rank = sum(rarities[index] * weight / (weight + K1) for index, (weight, _) in hits.items())
    rest = total - head_rarity
    return _Evidence(
        hits, hit / total, (hit - head_hit) / rest if rest > 0 else 0.0, rank / total, is_media_fit
    )


def _parse(text: str) -> _Query:
    terms: list[_Term] = []
    head: int | None = None
    for position, word in enumerate(words(text)):
        plain = normalise(word)
        action = ACTIONS.get(plain)
        if action is None and (plain in STOPWORDS or plain in LIGHT_VERBS):
            continue
        is_head = head is None and plain not in ADJECTIVES
        strength = action[1] if action and is_head else None
        own = stem(plain)
        stems = (own, *(stem(other) for other in ACTION_WORDS[action[0]])) if action else (own,)
        is_name = position > 0 and word[0].isupper()
        terms.append(
            _Term(
                DISPLAY.get(word, word), tuple(dict.fromkeys(stems)), own in _GENERIC_STEMS, is_name, strength
            )
        )
        if is_head:
            head = len(terms) - 1
        if len(terms) == MAX_QUERY_TERMS:
            break
    return _Query(tuple(terms), head)


def _text_key(offer: SkillOffer) -> tuple[object, ...]:
    texts = (offer.skill_id, offer.name, offer.description)
    return (*texts, offer.tags, offer.examples, offer.input_modes)


def _document(offer: SkillOffer) -> _Document:
    named = {stem(normalise(word)) for word in words(f"{offer.skill_id} {offer.name}"[:200])}
    tagged = {stem(normalise(word)) for tag in offer.tags for word in words(tag[:200])}
    modes = frozenset(offer.input_modes)
    return _Document([], frozenset(named - _GENERIC_STEMS), frozenset(named | tagged), modes)


def _count(offer: SkillOffer, length: dict[_Field, int]) -> dict[str, dict[_Field, int]]:
    """Stem -> field -> times; adds the number of content words per field to `length`."""
    counts: dict[str, dict[_Field, int]] = defaultdict(lambda: defaultdict(int))
    fields = (
        (_Field.identity, (f"{offer.skill_id} {offer.name}",)),
        (_Field.tag, offer.tags),
        (_Field.description, (offer.description,)),
        (_Field.example, offer.examples),
    )
    for field, texts in fields:
        for text in texts:
            stems = [
                stem(plain)
                for plain in map(normalise, words(text[:MAX_FIELD_CHARS]))
                if plain not in STOPWORDS
            ]
            length[field] += len(stems)
            for term in stems:
                counts[term][field] += 1
            if stems and field in (_Field.description, _Field.example):
                counts[stems[0]][_Field.opening] += 1
    return counts
