"""Which skill a clause gets when its words alone do not settle it.

A table goes to a skill for tables, a question to the skill for questions, "compare them" to one
that reads texts. A choice may be empty; nothing here falls back to the least bad agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.planner.asking import asks, asks_of_table, compares, compares_results
from coordinator.planner.files import accepts
from coordinator.planner.match import SkillIndex, fits_media
from coordinator.planner.plan import Candidate
from coordinator.registry.offers import SkillOffer

_TEXT = "text/markdown"
_FOR_QUESTIONS = "It asks something, fits no skill by topic, and this skill is for questions."
_FOR_TABLES = "It is about an attached table, and this skill takes tables."
_PUT_TOGETHER = "No agent compares texts, so this skill puts their findings together."
_FOR_FORM = "It asks for a length or form, and this skill shortens texts."


@dataclass(frozen=True, slots=True)
class Choice:
    """The skills for a clause, best first, and why if it is not for their words."""

    candidates: tuple[Candidate, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is at hand for a clause.

    `media_types` are of the files and results it may work on, `tables` those of attached tables
    it may be about. `names_table`: it speaks of them, or has no other object. `earlier` are the
    skills of the steps before.
    """

    media_types: Sequence[str]
    tables: Sequence[str]
    names_table: bool
    earlier: Sequence[SkillOffer]


def choose(index: SkillIndex, text: str, around: Surroundings) -> Choice:
    """By the clause's words, corrected by what it works on; empty if no skill fits."""
    found = tuple(index.match(text, around.media_types))
    if compares(text) and not around.names_table:
        return _comparison(index, text, found, around)
    if around.tables and (on_table := _for_tables(index, text, around.tables)):
        if not found and asks_of_table(text):
            return Choice(on_table, _FOR_TABLES)
        if found and around.names_table and not _takes(index, found[0], around.tables):
            return Choice(on_table, _FOR_TABLES)
    return Choice(found)


def choose_for_question(index: SkillIndex, text: str, kinds: Sequence[str]) -> Choice:
    """The skill that is for asking, if the clause asks; `kinds` are the files it speaks of."""
    if not asks(text):
        return Choice()
    candidates = index.match_purpose(text, "ask")
    able = tuple(c for c in candidates if not kinds or _takes(index, c, kinds))
    return Choice(able, _FOR_QUESTIONS) if able else Choice()


def choose_for_form(index: SkillIndex, text: str) -> Choice:
    """The skill that brings a text into a length or form, if there is one."""
    candidates = tuple(index.match_purpose(text, "summarise"))
    return Choice(candidates, _FOR_FORM) if candidates else Choice()


def is_for(index: SkillIndex, candidate: Candidate, text: str, purpose: str) -> bool:
    """Whether the candidate's card says that it is for the purpose."""
    same = (candidate.agent_id, candidate.skill_id)
    return any((c.agent_id, c.skill_id) == same for c in index.match_purpose(text, purpose))


def _comparison(index: SkillIndex, text: str, found: tuple[Candidate, ...], around: Surroundings) -> Choice:
    comparers = index.match_purpose(text, "compare")
    able = tuple(c for c in comparers if accepts(_TEXT, index.offer(c).input_modes))
    only_tables = all(fits_media(["text/csv"], offer.input_modes) for offer in around.earlier)
    if compares_results(text) and around.earlier and not only_tables:
        if able:
            return Choice(able)
        together = tuple(index.match_purpose(text, "summarise"))
        return Choice(together, _PUT_TOGETHER) if together else Choice()
    if found and around.tables:
        return Choice(found)
    if around.tables and (on_table := _for_tables(index, text, around.tables)):
        return Choice(on_table, _FOR_TABLES)
    if found and asks(text) and is_for(index, found[0], text, "analyse"):
        return Choice()  # a topic like "trend" is no table: without one it is a question
    return Choice(found)


def _for_tables(index: SkillIndex, text: str, tables: Sequence[str]) -> tuple[Candidate, ...]:
    candidates = index.match_purpose(text, "analyse")
    return tuple(c for c in candidates if fits_media(tables, index.offer(c).input_modes))


def _takes(index: SkillIndex, candidate: Candidate, kinds: Sequence[str]) -> bool:
    return all(accepts(kind, index.offer(candidate).input_modes) for kind in kinds)
