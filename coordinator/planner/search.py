"""Search for people and programs: plain BM25 over the words of the skills, with filters and no threshold.

What gets a step is another question, which match.py answers over the same postings.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TypeVar

from coordinator.planner.lexicon import DISPLAY, STOPWORDS, normalise, stem, words
from coordinator.planner.postings import Document, Facet, Hit, Postings, offer_key
from coordinator.registry.offers import SkillOffer

T = TypeVar("T")

K1 = 1.2
# Of a longer query the rarest words are looked for.
MAX_SEARCH_TERMS = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """Every value has to hold; `agent_ids` None means any agent that is not hidden."""

    tags: tuple[str, ...] = ()
    input_modes: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    agent_ids: Set[str] | None = None

    def has(self) -> Iterator[tuple[Facet, str]]:
        for facet, values in (
            (Facet.tag, self.tags),
            (Facet.input_mode, self.input_modes),
            (Facet.output_mode, self.output_modes),
            (Facet.extension, self.extensions),
        ):
            yield from ((facet, value) for value in values)


@dataclass(frozen=True, slots=True)
class FoundSkill:
    """`score` is 0 to 1: the share of the score that a text could reach at most which the skill reaches.
    `matched_terms` are words of the query. Without a query they are 0 and none."""

    offer: SkillOffer
    score: float
    matched_terms: tuple[str, ...] = ()


def search(postings: Postings, query: str, wanted: Wanted, limit: int) -> list[FoundSkill]:
    """The best skills, equal ones by name; with an empty query those that the filters leave, by name."""
    within = _within(postings, wanted)
    if not query.strip():
        documents = _by_name(postings, within)
        return list(_take(((document, 0.0, ()) for document in documents), postings, wanted, limit))
    terms = _terms(postings, query)
    total = sum(rarity for _, _, rarity in terms)
    found = postings.find([(term,) for term, _, _ in terms], within)
    ranked = [
        (-_score(hits, terms, total), offer_key(postings.documents[number].offers[0]), number)
        for number, hits in found.items()
    ]
    best = (
        (postings.documents[number], -negative, _matched(terms, found[number]))
        for negative, _, number in _in_order(ranked)
    )
    return list(_take(best, postings, wanted, limit))


def _terms(postings: Postings, query: str) -> list[tuple[str, str, float]]:
    """Stem, word as typed, rarity: the rarest of those that are known, and what is not known."""
    typed: dict[str, str] = {}
    for word in words(query):
        plain = normalise(word)
        if plain not in STOPWORDS:
            typed.setdefault(stem(plain), DISPLAY.get(word, word))
    by_rarity = sorted(typed, key=lambda term: postings.frequency(term) or float("inf"))
    return [(term, typed[term], postings.rarity(postings.frequency(term))) for term in by_rarity][
        :MAX_SEARCH_TERMS
    ]


def _score(hits: Mapping[int, Hit], terms: list[tuple[str, str, float]], total: float) -> float:
    reached = sum(terms[index][2] * weight / (weight + K1) for index, (weight, _) in hits.items())
    return round(reached / total, 4)


def _matched(terms: list[tuple[str, str, float]], hits: Mapping[int, Hit]) -> tuple[str, ...]:
    return tuple(sorted(terms[index][1] for index in hits))


def _within(postings: Postings, wanted: Wanted) -> Set[int] | None:
    """The documents that may hold what is wanted; None for all of them."""
    within: Set[int] | None = None
    for facet, value in wanted.has():
        having = postings.with_facet(facet, _spellings(facet, value))
        within = having if within is None else within & having
    if wanted.agent_ids is not None:
        offered = postings.offered_by(wanted.agent_ids)
        within = offered if within is None else within & offered
    return within


def _spellings(facet: Facet, value: str) -> tuple[str, ...]:
    """What an offer may say that has the value: a skill for image/* takes image/png."""
    value = value.casefold()
    if facet not in (Facet.input_mode, Facet.output_mode):
        return (value,)
    return value, f"{value.partition('/')[0]}/*", "*/*"


def _by_name(postings: Postings, within: Set[int] | None) -> Iterable[Document]:
    numbers = postings.documents if within is None else within
    named = [(offer_key(postings.documents[number].offers[0]), number) for number in numbers]
    return (postings.documents[number] for _, number in _in_order(named))


def _in_order(heap: list[T]) -> Iterator[T]:
    """Sorted only as far as somebody looks."""
    heapq.heapify(heap)  # type: ignore[type-var]  # tuples of what can be compared
    while heap:
        yield heapq.heappop(heap)  # type: ignore[type-var]  # the same


def _take(
    ranked: Iterable[tuple[Document, float, tuple[str, ...]]], postings: Postings, wanted: Wanted, limit: int
) -> Iterator[FoundSkill]:
    """The offers of the documents that have what is wanted themselves."""
    left = limit
    for document, score, matched in ranked:
        for offer in document.offers:
            if left == 0:
                return
            if _fits(offer, postings.hidden, wanted):
                left -= 1
                yield FoundSkill(offer, score, matched)


def _fits(offer: SkillOffer, hidden: Set[str], wanted: Wanted) -> bool:
    if wanted.agent_ids is None:
        is_reachable = offer.agent_id not in hidden
    else:
        is_reachable = offer.agent_id in wanted.agent_ids
    # The other facets are the document's: its offers share tags and input modes.
    return (
        is_reachable
        and _has(offer.output_modes, Facet.output_mode, wanted.output_modes)
        and _has(offer.extensions, Facet.extension, wanted.extensions)
    )


def _has(own: Iterable[str], facet: Facet, wanted: Iterable[str]) -> bool:
    known = {value.casefold() for value in own}
    return all(not known.isdisjoint(_spellings(facet, value)) for value in wanted)
