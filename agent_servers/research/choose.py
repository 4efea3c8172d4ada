"""Which sentences of the passages found answer the question, and in which order. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent_servers.extract import Sentence, pick, words
from agent_servers.research.outline import Row, family, rows
from agent_servers.research.passages import Passage
from agent_servers.research.search import HEADING_SHARE, Hit, Scale

# Below this share of the question a passage is about something else.
RELEVANT = 0.45
_NEAR_BEST = 0.65
_LEAD_SHARE = 0.8
_SAME_LIST_SHARE = 0.3
_CENTRALITY = 0.4
_MAX_FINDINGS = 6
_MAX_CHARS = 3_000
_LONG_LIST = 6
# From here on words are far apart, and many of them prove less.
_LONG_ROW = 300
_LOOKS_BACK = re.compile(r"^(?:It|Its|They|Their|Them|This|These|Those|That|He|She|Such|Both)\b")
_Section = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence of the answer. `shown` are the rows of a long list that matter; `number` is that of
    its citation."""

    sentence: Sentence
    passage: Passage
    nearness: float
    rows: tuple[Row, ...]
    shown: frozenset[int]
    number: int = 0

    @property
    def section(self) -> _Section:
        return self.passage.document.name, self.passage.headings


def choose(hits: Sequence[Hit], scale: Scale, limit: int) -> list[Finding]:
    """Up to `limit` findings, grouped by document: best document first, reading order inside."""
    candidates = _candidates(hits, scale)
    if not candidates:
        return []
    floor = _NEAR_BEST * candidates[0].nearness
    good = [finding for finding in candidates if finding.nearness >= floor]
    near = [finding.nearness for finding in good]
    sentences = [finding.sentence for finding in good]
    chosen = pick(sentences, near, min(limit, _MAX_FINDINGS), centrality=_CENTRALITY)
    picked = _within_bounds([good[index] for index in chosen])
    picked += _missing(picked, candidates, scale, limit - len(picked))
    return _in_order(_with_antecedents(picked))


def _candidates(hits: Sequence[Hit], scale: Scale) -> list[Finding]:
    """Every sentence of the relevant passages, once, nearest first."""
    found: dict[str, Finding] = {}
    for hit in hits:
        if hit.relevance < RELEVANT:
            continue
        context = scale.covered(words(hit.passage.context))
        for sentence in hit.passage.sentences:
            key = " ".join(words(sentence.text))
            finding = _finding(sentence, hit, context, scale)
            if finding and (key not in found or finding.nearness > found[key].nearness):
                found[key] = finding
    return sorted(found.values(), key=lambda finding: -finding.nearness)


def _finding(sentence: Sentence, hit: Hit, context: frozenset[str], scale: Scale) -> Finding | None:
    """A sentence is as near as its best row is: words scattered over a list prove nothing."""
    text = hit.passage.document.text
    margin = text[text.rfind("\n", 0, sentence.start) + 1 : sentence.start]
    outline = rows(sentence.text, 0 if margin.strip() else len(margin))
    own = [scale.covered(words(row.text)) for row in outline]
    everything = frozenset().union(*own)
    best = 0.0
    for row, covered in zip(outline, own, strict=True):
        lead = frozenset().union(*(own[parent] for parent in row.parents))
        layers = [(covered, 1.0), (lead, _LEAD_SHARE), (context, HEADING_SHARE)]
        best = max(best, scale.relevance(*layers, (everything, _SAME_LIST_SHARE)))
    if best < RELEVANT / 2 or not everything | context:
        return None
    # What also stands in the heading is what the section is about.
    near = (0.75 * best + 0.25 * hit.relevance) * (1 + 0.3 * scale.relevance((context, 1.0)))
    longest = max(len(row.text) for row in outline)
    near *= 1 - 0.3 * min(1.0, max(0, longest - _LONG_ROW) / 600)
    shown = _shown(outline, own, context)
    return Finding(sentence, hit.passage, near, tuple(outline), shown)


def _shown(outline: list[Row], own: list[frozenset[str]], context: frozenset[str]) -> frozenset[int]:
    """All rows, or those of a long list that the question is about, with their surroundings."""
    everything = frozenset(range(len(outline)))
    lead = own[0] if outline[-1].parents else frozenset()
    wanted = {n for n, covered in enumerate(own) if covered - context - lead}
    if len(outline) <= _LONG_LIST or not wanted:
        return everything
    kept = family(outline, wanted)
    return frozenset(kept) if len(kept) <= len(outline) // 2 else everything


def _within_bounds(picked: list[Finding]) -> list[Finding]:
    """The nearest findings whose text together stays readable; at least one."""
    kept: list[Finding] = []
    used = 0
    for finding in sorted(picked, key=lambda finding: -finding.nearness):
        used += sum(len(finding.rows[number].text) for number in finding.shown)
        if kept and used > _MAX_CHARS:
            break
        kept.append(finding)
    return kept


def _missing(
    picked: Sequence[Finding], candidates: Sequence[Finding], scale: Scale, room: int
) -> list[Finding]:
    """A finding for each term of the question that the sources support and the pick does not."""
    have = scale.covered(word for finding in picked for word in words(finding.sentence.text))
    extra: list[Finding] = []
    for finding in candidates:
        if len(extra) >= room or finding.nearness < candidates[0].nearness / 2:
            break
        new = scale.covered(words(finding.sentence.text)) - have
        if new:
            have |= new
            extra.append(finding)
    return extra


def _with_antecedents(picked: list[Finding]) -> list[Finding]:
    """A sentence that starts with "It" or "This" comes with the sentence before it."""
    have = {(f.sentence.source, f.sentence.start) for f in picked}
    result = []
    for finding in picked:
        sentences = finding.passage.sentences
        position = sentences.index(finding.sentence)
        before = sentences[position - 1] if position else None
        is_needed = before and (before.source, before.start) not in have
        if before and is_needed and _LOOKS_BACK.match(finding.sentence.text):
            have.add((before.source, before.start))
            outline = tuple(rows(before.text))
            shown = frozenset(range(len(outline)))
            result.append(replace(finding, sentence=before, rows=outline, shown=shown))
        result.append(finding)
    return result


def _in_order(picked: Sequence[Finding]) -> list[Finding]:
    best: dict[str, float] = {}
    for finding in picked:
        name = finding.passage.document.name
        best[name] = max(best.get(name, 0.0), finding.nearness)

    def place(finding: Finding) -> tuple[float, str, int]:
        name = finding.passage.document.name
        return -best[name], name, finding.sentence.start

    return sorted(picked, key=place)
