"""The skills on offer as an inverted index that takes changes agent by agent: which texts hold which words,
how often and where. It ranks nothing; match.py and search.py do, over the same postings.

The analysis of a text is the slow part and touches nothing shared, so it may run in a thread. Everything else
belongs to one thread. After any number of changes an index answers as one built anew.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from coordinator.planner.lexicon import GENERIC_NOUNS, STOPWORDS, normalise, stem, words
from coordinator.registry.offers import MAX_FIELD_CHARS, SkillOffer

B = 0.5
# Offers that might exist: keeps rarity meaningful when only a handful are registered.
PHANTOM_OFFERS = 20
MAX_FOUND = 300
# Of a word that more documents hold so many are kept in order, to last over many changes.
CHAMPIONS = 500
GENERIC_STEMS = frozenset(stem(normalise(word)) for word in GENERIC_NOUNS)

# Where a word stands, as bits of a plain int: enum flags cost a microsecond an operation.
IDENTITY = 1  # name and id
TAG = 2
DESCRIPTION = 4
EXAMPLE = 8
OPENING = 16  # first word of the description or of an example: what the skill does
FIELD_BITS = 5
# Lengths to choose by among very many documents: the true averages move with every change.
NOMINAL_LENGTHS = (4.0, 4.0, 16.0, 12.0)
_FIELDS = (IDENTITY, TAG, DESCRIPTION, EXAMPLE)
_FIELD_WEIGHTS = (3.0, 2.0, 1.0, 1.0)

Lengths: TypeAlias = tuple[int, int, int, int]  # content words per field
# Where, then times x weight per field. Many words of many texts share a shape: it is kept once.
Shape: TypeAlias = tuple[int, float, float, float, float]
Norms: TypeAlias = tuple[float, float, float, float]
Hit: TypeAlias = tuple[float, int]  # weight and where
Posting: TypeAlias = dict[int, Shape]  # by document number
Texts: TypeAlias = tuple[str, ...]
TextKey: TypeAlias = tuple[str, str, str, Texts, Texts, Texts]
Champion: TypeAlias = tuple[float, TextKey, int]  # weight, negative; document
OfferKey: TypeAlias = tuple[str, str, str]


class Facet(StrEnum):
    tag = "tag"
    input_mode = "input_mode"
    output_mode = "output_mode"
    extension = "extension"


@dataclass(frozen=True, slots=True)
class AnalysedOffer:
    offer: SkillOffer
    terms: dict[str, Shape]
    lengths: Lengths


@dataclass(slots=True)
class Document:
    """Offers that say the same of the same skill, as one entry of the index; `offers` is sorted."""

    number: int
    text_key: TextKey
    offers: list[SkillOffer]
    identity: tuple[str, ...]
    purposes: tuple[str, ...]  # stems of the name, the id and the tags
    media_types: frozenset[str]
    terms: tuple[str, ...]
    lengths: Lengths
    norms: Norms = (1.0, 1.0, 1.0, 1.0)
    normed_at: int = -1
    nominal: Norms = (1.0, 1.0, 1.0, 1.0)


def offer_key(offer: SkillOffer) -> OfferKey:
    return offer.agent_name, offer.skill_id, offer.agent_id


@dataclass(slots=True)
class Postings:
    """`hidden` holds the ids of agents that get no work: what they offer is indexed, not for the planner."""

    hidden: frozenset[str] = frozenset()
    version: int = 0
    documents: dict[int, Document] = field(default_factory=dict)
    _by_text: dict[TextKey, Document] = field(default_factory=dict)
    _by_agent: dict[str, dict[str, tuple[SkillOffer, Document]]] = field(default_factory=dict)
    _postings: dict[str, Posting] = field(default_factory=dict)
    _facets: dict[tuple[Facet, str], dict[int, int]] = field(default_factory=dict)
    _totals: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    _shapes: dict[Shape, Shape] = field(default_factory=dict)
    _champions: dict[str, list[Champion]] = field(default_factory=dict)
    _next_number: int = 0

    def replace(self, agent_id: str, offers: Iterable[AnalysedOffer]) -> None:
        """What the agent offers from now on; nothing takes it out."""
        for offer, document in self._by_agent.pop(agent_id, {}).values():
            self._withdraw(offer, document)
        by_skill = {item.offer.skill_id: item for item in offers}
        mine = {skill_id: (item.offer, self._place(item)) for skill_id, item in by_skill.items()}
        if mine:
            self._by_agent[agent_id] = mine
        self.version += 1

    def offer(self, agent_id: str, skill_id: str) -> SkillOffer:
        """Raises KeyError."""
        return self._by_agent[agent_id][skill_id][0]

    def offers(self) -> list[SkillOffer]:
        """All that is not hidden, by agent and skill."""
        agents = sorted(self._by_agent.keys() - self.hidden)
        return [offer for agent in agents for _, (offer, _) in sorted(self._by_agent[agent].items())]

    def offered_by(self, agent_ids: Iterable[str]) -> set[int]:
        """The documents of these agents."""
        return {
            document.number
            for agent_id in agent_ids
            for _, document in self._by_agent.get(agent_id, {}).values()
        }

    def with_facet(self, facet: Facet, values: Iterable[str]) -> set[int]:
        """The documents of which an offer has one of the values."""
        found: set[int] = set()
        for value in values:
            found |= self._facets.get((facet, value.casefold()), {}).keys()
        return found

    def frequency(self, term: str) -> int:
        return len(self._postings.get(term, ()))

    def rarity(self, frequency: int) -> float:
        """The inverse document frequency of BM25."""
        frequency = max(frequency, 1)
        total = len(self.documents) + PHANTOM_OFFERS
        return math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))

    def find(
        self, terms: Sequence[Collection[str]], within: Set[int] | None = None
    ) -> dict[int, dict[int, Hit]]:
        """Document number -> index of the term -> hit. A term is a choice of stems.

        Words that many documents share find nothing by themselves once rarer ones have found enough; they
        only add to what is found. Without rarer ones, the documents in which they stand out are found.
        """
        found: dict[int, dict[int, Hit]] = defaultdict(dict)
        wanted = [
            (index, term, self._postings[term])
            for index, stems in enumerate(terms)
            for term in stems
            if term in self._postings
        ]
        for index, term, posting in sorted(wanted, key=lambda item: len(item[2])):
            numbers = self._admitted(term, posting, within, found)
            for number in numbers:
                weight, where = self._hit(number, posting[number])
                hits = found[number]
                if index in hits:
                    weight, where = max(hits[index][0], weight), hits[index][1] | where
                hits[index] = (weight, where)
        return found

    def _admitted(
        self, term: str, posting: Posting, within: Set[int] | None, found: dict[int, dict[int, Hit]]
    ) -> Collection[int]:
        numbers: Collection[int] = posting.keys() if within is None else posting.keys() & within
        if not found:
            return self._best_of(term, posting, numbers) if len(numbers) > MAX_FOUND else numbers
        if len(found) + len(numbers) > MAX_FOUND:
            return found.keys() & numbers
        return numbers

    def _best_of(self, term: str, posting: Posting, numbers: Collection[int]) -> Collection[int]:
        """The documents in which the term stands out."""
        if len(numbers) < len(posting):
            best = self._standing_out(posting, numbers, MAX_FOUND)
        else:
            best = self._champions.get(term, [])
            if len(best) < MAX_FOUND:
                best = self._champions[term] = self._standing_out(posting, numbers, CHAMPIONS)
        return [number for _, _, number in best[:MAX_FOUND]]

    def _standing_out(self, posting: Posting, numbers: Collection[int], count: int) -> list[Champion]:
        documents = self.documents
        weights = {number: _weight(posting[number], documents[number].nominal) for number in numbers}
        bar = heapq.nlargest(count, weights.values())[-1]
        above = [number for number, weight in weights.items() if weight >= bar]
        best = [(-weights[number], documents[number].text_key, number) for number in above]
        return heapq.nsmallest(count, best)

    def _hit(self, number: int, shape: Shape) -> Hit:
        document = self.documents[number]
        if document.normed_at != self.version:
            self._norm(document)
        return _weight(shape, document.norms), shape[0]

    def _norm(self, document: Document) -> None:
        count = len(self.documents)
        averages = [total / count for total in self._totals]
        document.norms, document.normed_at = _norms(document.lengths, averages), self.version

    def _place(self, item: AnalysedOffer) -> Document:
        offer = item.offer
        key = _text_key(offer)
        document = self._by_text.get(key)
        if document is None:
            document = self._by_text[key] = self._add(item)
        insort(document.offers, offer, key=offer_key)
        for name in _facets(offer):
            counts = self._facets.setdefault(name, {})
            counts[document.number] = counts.get(document.number, 0) + 1
        return document

    def _add(self, item: AnalysedOffer) -> Document:
        number = self._next_number
        self._next_number += 1
        document = _document(number, item)
        self.documents[number] = document
        for term, shape in item.terms.items():
            self._postings.setdefault(term, {})[number] = self._shapes.setdefault(shape, shape)
            champions = self._champions.get(term)
            if champions:
                entry = (-_weight(shape, document.nominal), document.text_key, number)
                # What is none of them is behind the last: only there is the list silent.
                if entry < champions[-1]:
                    insort(champions, entry)
                    del champions[CHAMPIONS:]
        for index, length in enumerate(item.lengths):
            self._totals[index] += length
        return document

    def _withdraw(self, offer: SkillOffer, document: Document) -> None:
        document.offers.remove(offer)
        for name in _facets(offer):
            counts = self._facets[name]
            counts[document.number] -= 1
            if not counts[document.number]:
                del counts[document.number]
                if not counts:
                    del self._facets[name]
        if not document.offers:
            del self._by_text[document.text_key]
            self._drop(document)

    def _drop(self, document: Document) -> None:
        del self.documents[document.number]
        for term in document.terms:
            posting = self._postings[term]
            shape = posting.pop(document.number)
            if term in self._champions:
                champions = self._champions[term]
                entry = (-_weight(shape, document.nominal), document.text_key, document.number)
                place = bisect_left(champions, entry)
                if place < len(champions) and champions[place] == entry:
                    del champions[place]
            if not posting:
                del self._postings[term]
        for index, length in enumerate(document.lengths):
            self._totals[index] -= length


def _weight(shape: Shape, norms: Norms) -> float:
    _, named, tagged, described, shown = shape
    by_name, by_tag, by_description, by_example = norms
    return named / by_name + tagged / by_tag + described / by_description + shown / by_example


def _norms(lengths: Lengths, averages: Sequence[float]) -> Norms:
    """What longer fields than usual divide their words' weights by."""
    one, two, three, four = (
        1 - B + B * (length / average if average else 0.0)
        for length, average in zip(lengths, averages, strict=True)
    )
    return one, two, three, four


def _text_key(offer: SkillOffer) -> TextKey:
    return offer.skill_id, offer.name, offer.description, offer.tags, offer.examples, offer.input_modes


def _facets(offer: SkillOffer) -> set[tuple[Facet, str]]:
    values = (
        (Facet.tag, offer.tags),
        (Facet.input_mode, offer.input_modes),
        (Facet.output_mode, offer.output_modes),
        (Facet.extension, offer.extensions),
    )
    return {(facet, text.casefold()) for facet, texts in values for text in texts}


def _document(number: int, item: AnalysedOffer) -> Document:
    offer = item.offer
    named = {stem(normalise(word)) for word in words(f"{offer.skill_id} {offer.name}"[:200])}
    tagged = {stem(normalise(word)) for tag in offer.tags for word in words(tag[:200])}
    return Document(
        number=number,
        text_key=_text_key(offer),
        offers=[],
        identity=tuple(named - GENERIC_STEMS),
        purposes=tuple(named | tagged),
        media_types=frozenset(offer.input_modes),
        terms=tuple(item.terms),
        lengths=item.lengths,
        nominal=_norms(item.lengths, NOMINAL_LENGTHS),
    )


def analyse(offer: SkillOffer) -> AnalysedOffer:
    """The words of an offer: what of the work is slow."""
    counts: dict[str, list[int]] = {}
    openings: set[str] = set()
    texts = ((f"{offer.skill_id} {offer.name}",), offer.tags, (offer.description,), offer.examples)
    lengths = [0, 0, 0, 0]
    for index, (bit, parts) in enumerate(zip(_FIELDS, texts, strict=True)):
        for part in parts:
            stems = _stems(part)
            lengths[index] += len(stems)
            for term in stems:
                counts.setdefault(term, [0, 0, 0, 0])[index] += 1
            if stems and bit in (DESCRIPTION, EXAMPLE):
                openings.add(stems[0])
    terms = {term: _shape(times, is_opening=term in openings) for term, times in counts.items()}
    return AnalysedOffer(offer, terms, (lengths[0], lengths[1], lengths[2], lengths[3]))


def _stems(text: str) -> list[str]:
    plain = map(normalise, words(text[:MAX_FIELD_CHARS]))
    return [stem(word) for word in plain if word not in STOPWORDS]


def _shape(times: Sequence[int], *, is_opening: bool) -> Shape:
    where = OPENING if is_opening else 0
    for bit, count in zip(_FIELDS, times, strict=True):
        where |= bit if count else 0
    one, two, three, four = (weight * count for weight, count in zip(_FIELD_WEIGHTS, times, strict=True))
    return where, one, two, three, four
