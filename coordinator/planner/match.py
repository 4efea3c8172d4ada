"""Which skill fits a clause: BM25 over the offers' own words, gated by evidence that decides.

BM25 orders the skills; whether a skill fits at all is a question of evidence (`_Evidence`), so
that one shared word such as "data" routes nothing and "no agent" stays a possible answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from coordinator.planner.lexicon import (
    ACTION_WORDS,
    ACTIONS,
    ADJECTIVES,
    DISPLAY,
    LIGHT_VERBS,
    PURPOSE_WORDS,
    STOPWORDS,
    Strength,
    normalise,
    stem,
    words,
)
from coordinator.planner.plan import Candidate
from coordinator.planner.postings import (
    FIELD_BITS,
    GENERIC_STEMS,
    IDENTITY,
    OPENING,
    TAG,
    AnalysedOffer,
    Document,
    Hit,
    Postings,
    analyse,
    offer_key,
)
from coordinator.registry.offers import SkillOffer

THRESHOLD = 0.5
MAX_CANDIDATES = 5
MAX_QUERY_TERMS = 200
K1 = 1.2
PROPER_NAME_WEIGHT = 0.4
MIN_TOPIC_COVERAGE = 0.4
MIN_WEAK_COVERAGE = 0.3
MIN_FIELDS_ALONE = 3  # one word decides only when the offer says it in so many places
MEDIA_BONUS = 0.05
NAMED_ACTION = (0.7, 0.25)  # the clause's verb is what the skill is called
PURPOSE_SPAN = 0.05


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


@dataclass(frozen=True, slots=True)
class _Evidence:
    """How texts with the same words in the same fields meet a query, by index of the term."""

    hits: dict[int, int]  # where
    coverage: float  # matched share of the clause, by rarity, 0 to 1
    topic_coverage: float  # the same without the head
    fits_media: bool


@dataclass(frozen=True, slots=True)
class _Tier:
    """What evidence makes of a score: from `base`, by rank over `span`. `if_named`: where the document is
    called what the clause says, by these stems, it is the tier of a named action."""

    base: float
    span: float
    bonus: float
    if_named: frozenset[str] | None


class _Hit(NamedTuple):
    score: float
    rank: float  # BM25 as a share of its maximum, 0 to 1
    hits: dict[int, Hit]
    document: Document


class SkillIndex:
    """All skills on offer; `match` changes nothing. Agents come and go with `replace`."""

    def __init__(self, offers: Iterable[SkillOffer] = ()) -> None:
        self.postings = Postings()
        by_agent: dict[str, list[AnalysedOffer]] = {}
        for offer in offers:
            by_agent.setdefault(offer.agent_id, []).append(analyse(offer))
        for agent_id, analysed in by_agent.items():
            self.postings.replace(agent_id, analysed)

    def offer(self, candidate: Candidate) -> SkillOffer:
        """The offer behind a candidate of this index; KeyError if it is from another one."""
        return self.postings.offer(candidate.agent_id, candidate.skill_id)

    @property
    def offers(self) -> list[SkillOffer]:
        """What a step may be sent to, by agent and skill."""
        return self.postings.offers()

    @property
    def skill_names(self) -> tuple[str, ...]:
        """The distinct names of the skills, sorted."""
        return tuple(sorted({offer.name for offer in self.offers}))

    def match(self, text: str, media_types: Sequence[str] = ()) -> list[Candidate]:
        """Skills that fit the clause, best first, at most 5; empty means no agent can do it."""
        query = _parse(text)
        return self._best(query, [hit for hit in self._rank(query, media_types) if hit.score >= THRESHOLD])

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
        hits = [
            hit._replace(score=round(THRESHOLD + PURPOSE_SPAN * hit.rank, 4))
            for hit in self._rank(query, ())
            if any(term in hit.document.purposes for term in stems)
        ]
        return self._best(query, hits)

    def near_misses(self, text: str, media_types: Sequence[str] = ()) -> list[Candidate]:
        """The best five below the threshold: what to tell the user when nothing fits."""
        query = _parse(text)
        return self._best(query, [hit for hit in self._rank(query, media_types) if hit.score < THRESHOLD])

    def _rank(self, query: _Query, media_types: Sequence[str]) -> list[_Hit]:
        rarities = [self._rarity(term) for term in query.terms]
        total = sum(rarities)
        fitting: dict[frozenset[str], bool] = {}
        tiers: dict[tuple[int, bool], _Tier] = {}
        ranked = []
        for number, hits in self.postings.find([term.stems for term in query.terms]).items():
            document = self.postings.documents[number]
            modes = document.media_types
            if modes not in fitting:
                fitting[modes] = fits_media(media_types, modes)
            rank, pattern = 0.0, 0
            for index, (weight, where) in hits.items():
                rank += rarities[index] * weight / (weight + K1)
                pattern |= where << index * FIELD_BITS
            rank /= total
            tier = tiers.get((pattern, fitting[modes]))
            if tier is None:
                tier = tiers[pattern, fitting[modes]] = _tier(
                    _weigh(hits, query, rarities, fitting[modes]), query
                )
            ranked.append(_Hit(_score(tier, rank, document), rank, hits, document))
        return ranked

    def _rarity(self, term: _Term) -> float:
        known = max(self.postings.frequency(term_stem) for term_stem in term.stems)
        rarity = self.postings.rarity(known)
        unknown_name = term.is_name and known == 0
        return rarity * (PROPER_NAME_WEIGHT if unknown_name or term.is_generic else 1.0)

    def _best(self, query: _Query, hits: list[_Hit]) -> list[Candidate]:
        """The first candidates of the first hits; offers of a document are sorted already."""
        hidden = self.postings.hidden

        def usable(hit: _Hit) -> Iterator[SkillOffer]:
            return (offer for offer in hit.document.offers if offer.agent_id not in hidden)

        if hidden:
            hits = [hit for hit in hits if any(usable(hit))]
        if len(hits) > MAX_CANDIDATES:
            bar = heapq.nlargest(MAX_CANDIDATES, [hit.score for hit in hits])[-1]
            hits = [hit for hit in hits if hit.score >= bar]
        first = heapq.nsmallest(
            MAX_CANDIDATES, hits, key=lambda hit: (-hit.score, offer_key(next(usable(hit))))
        )
        candidates = [
            Candidate(offer.agent_id, offer.agent_name, offer.skill_id, hit.score, matched)
            for hit in first
            for matched in (_matched(query, hit.hits),)
            for offer in islice(usable(hit), MAX_CANDIDATES)
        ]
        candidates.sort(key=lambda c: (-c.score, c.agent_name, c.skill_id, c.agent_id))
        return candidates[:MAX_CANDIDATES]


def _matched(query: _Query, hits: Iterable[int]) -> tuple[str, ...]:
    found = (query.terms[index].word for index in sorted(hits))
    return tuple(dict.fromkeys(word for word in found if word))


def fits_media(wanted: Sequence[str], accepted: Iterable[str]) -> bool:
    """Whether one of the media types is accepted by name; plain text and */* say nothing."""
    specific = {mode for mode in accepted if mode not in ("text/plain", "*/*")}
    return any(
        kind in specific or kind.partition("/")[0] + "/*" in specific
        for kind in wanted
        if kind != "text/plain"
    )


def _score(tier: _Tier, rank: float, document: Document) -> float:
    """0 to 1; at or above THRESHOLD only when the evidence can stand alone."""
    base, span = tier.base, tier.span
    if tier.if_named is not None:
        named = sum(1 for term in document.identity if term in tier.if_named)
        if named > len(document.identity) / 2:
            base, span = NAMED_ACTION
    return round(base + span * rank + tier.bonus, 4)


def _tier(evidence: _Evidence, query: _Query) -> _Tier:
    bonus = MEDIA_BONUS if evidence.fits_media else 0.0
    if _has_action(evidence, query, Strength.strong):
        base, span = NAMED_ACTION
    elif _is_topic(evidence, query):
        base, span = 0.55, 0.3
    elif _is_backed_action(evidence, query):
        base, span = 0.55, 0.25
    elif _has_action(evidence, query, Strength.lookup):
        base, span = 0.5, 0.05
    else:
        base, span, bonus = 0.0, THRESHOLD - 0.01, 0.0
    return _Tier(base, span, bonus, _naming_stems(evidence, query))


def _naming_stems(evidence: _Evidence, query: _Query) -> frozenset[str] | None:
    """The stems by which the clause's head may be what the skill is called; None where it cannot be."""
    if query.head is None or not evidence.hits.get(query.head, 0) & IDENTITY:
        return None
    head = query.terms[query.head]
    if head.strength is not None or head.is_generic:
        return None
    return frozenset(s for index in evidence.hits for s in query.terms[index].stems)


def _has_action(evidence: _Evidence, query: _Query, strength: Strength) -> bool:
    if query.head is None or query.head not in evidence.hits:
        return False
    names = IDENTITY | TAG
    if strength is Strength.weak:
        names |= OPENING
    return query.terms[query.head].strength is strength and bool(evidence.hits[query.head] & names)


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
    everywhere = any((evidence.hits[i] & ~OPENING).bit_count() >= MIN_FIELDS_ALONE for i in telling)
    return coverage >= MIN_TOPIC_COVERAGE and (len(telling) >= 2 or everywhere)


def _weigh(
    hits: Mapping[int, Hit],
    query: _Query,
    rarities: Sequence[float],
    is_media_fit: bool,  # noqa: FBT001 - one fact among the evidence
) -> _Evidence:
    total = sum(rarities)
    hit = sum(rarities[index] for index in hits)
    head_rarity = rarities[query.head] if query.head is not None else 0.0
    head_hit = head_rarity if query.head in hits else 0.0
    rest = total - head_rarity
    topic_coverage = (hit - head_hit) / rest if rest > 0 else 0.0
    places = {index: where for index, (_, where) in hits.items()}
    return _Evidence(places, hit / total, topic_coverage, is_media_fit)


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
                DISPLAY.get(word, word), tuple(dict.fromkeys(stems)), own in GENERIC_STEMS, is_name, strength
            )
        )
        if is_head:
            head = len(terms) - 1
        if len(terms) == MAX_QUERY_TERMS:
            break
    return _Query(tuple(terms), head)
