"""Searches the library and the files of one request together, and judges what is found.

BM25 proposes passages; how much of the question a passage covers decides.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent_servers.extract import words
from agent_servers.research.index import Index, weights
from agent_servers.research.library import Library
from agent_servers.research.passages import Passage
from agent_servers.research.question import Query, Question, synonyms

_PER_QUERY = 40
HEADING_SHARE = 0.7
# A part of the question answered well is worth a little less than the whole.
_PART_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage with the share of the question it covers (0 to 1) and the stems it covers."""

    passage: Passage
    relevance: float
    covers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scale:
    """What to measure text against: the question's stems, their weights, the parts of the question,
    and for a stem the other forms that were accepted for it."""

    stems: tuple[str, ...]
    weight: Mapping[str, float]
    parts: Sequence[tuple[str, ...]] = ()
    forms: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def accepting(self, stem: str, forms: Iterable[str]) -> "Scale":
        """The same scale, to which the given forms are as good as the stem."""
        known = self.forms.get(stem, frozenset())
        return replace(self, forms={**self.forms, stem: known | frozenset(forms)})

    def covered(self, text: Iterable[str]) -> frozenset[str]:
        """The stems of the question that the given words cover."""
        present = frozenset(text)
        return frozenset(
            stem
            for stem in self.weight
            if stem in present or not present.isdisjoint(self.forms.get(stem, frozenset()))
        )

    def relevance(self, *layers: tuple[frozenset[str], float]) -> float:
        """How much of the question, or of one of its parts, the covered stems make up. A layer is
        a set of covered stems and what a stem in it counts; the best layer of a stem decides."""
        worth: dict[str, float] = {}
        for covered, share in layers:
            for stem in covered:
                worth[stem] = max(worth.get(stem, 0.0), share * self.weight[stem])
        whole = self._share(self.stems, worth)
        return max(whole, *(_PART_SHARE * self._share(part, worth) for part in self.parts), 0.0)

    def _share(self, stems: tuple[str, ...], worth: Mapping[str, float]) -> float:
        total = sum(self.weight[stem] for stem in stems)
        return sum(worth.get(stem, 0.0) for stem in stems) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything one request may search. Blocking: call off the event loop."""

    library: Library
    attached: Index

    def scale(self, question: Question, parts: Sequence[tuple[str, ...]]) -> Scale:
        stems = question.stems
        with self.library.lock:
            scale = Scale(stems, weights(question.terms, self._indexes), parts)
            for stem in stems:
                if others := synonyms(stem):
                    scale = scale.accepting(stem, others)
            # "roll back" is also written "rollback".
            for first, second in itertools.pairwise(stems):
                if any(index.holding(first + second) for index in self._indexes):
                    scale = scale.accepting(first, [first + second])
                    scale = scale.accepting(second, [first + second])
            return scale

    def search(self, query: Query, scale: Scale) -> list[Hit]:
        """What the query finds in all indexes, judged against the whole question, best first."""
        with self.library.lock:
            forms = (form for stem in query.stems for form in scale.forms.get(stem, ()))
            stems = tuple(dict.fromkeys((*query.stems, *forms)))
            matches = [match for i in self._indexes for match in i.search(stems, _PER_QUERY)]
        hits = [judge(match.passage, scale) for match in matches]
        return sorted(hits, key=lambda hit: -hit.relevance)

    def related(self, stem: str) -> list[str]:
        with self.library.lock:
            forms = [form for index in self._indexes for form in index.related(stem)]
        return list(dict.fromkeys(forms))[:4]

    @property
    def _indexes(self) -> tuple[Index, Index]:
        return self.attached, self.library.index


def judge(passage: Passage, scale: Scale) -> Hit:
    body = scale.covered(words(passage.text))
    context = scale.covered(words(passage.context))
    return Hit(passage, scale.relevance((body, 1.0), (context, HEADING_SHARE)), body | context)


def company(hits: Sequence[Hit], known: frozenset[str], limit: int) -> list[str]:
    """The stems that stand most often in the best passages and are not asked for already."""
    counts: Counter[str] = Counter()
    for hit in hits[:6]:
        counts.update(set(words(hit.passage.text)) - known)
    return [stem for stem, count in counts.most_common(limit) if count > 1 and len(stem) > 2]
