"""The planner without a model: clauses, skills by BM25, dependencies by cue words.

The same request and registry always give the same plan. What no skill fits is an error that names
the clause; nothing is routed to the least bad agent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coordinator.planner.asking import (
    is_wish,
    only_opens_documents,
    split_wish,
    tells_more,
    topic_of_summary,
)
from coordinator.planner.choice import (
    Choice,
    Surroundings,
    choose,
    choose_for_form,
    choose_for_question,
    is_for,
)
from coordinator.planner.clauses import Clause, Join, split_clauses, starts_with_verb
from coordinator.planner.errors import MAX_EXAMPLES, PlanInvalid, UnknownTaskType
from coordinator.planner.files import hand_out
from coordinator.planner.match import MAX_CANDIDATES, SkillIndex, fits_media
from coordinator.planner.plan import (
    MAX_STEPS,
    Attachment,
    Candidate,
    Plan,
    PlanStep,
    Strategy,
)
from coordinator.planner.references import (
    Link,
    has_named_object,
    has_no_object,
    is_table,
    link_clauses,
    media_type,
    mentioned,
    refers_back,
    without_files,
)
from coordinator.registry.offers import SkillOffer

PLANNER = "rules"
MAX_CLAUSES = 400

_QUALIFIER = re.compile(
    r"(?:in|with|without|for|only|using|as|by|no|at|under|within|include|including|be|keep|limit"
    r"|make (?:sure|it)|do not|don['\u2019]t|use|cite|especially|preferably|briefly|focus|ignore"
    r"|exclude|give (?:sources|reasons)|add (?:a|the|some) (?:chart|sources?|citations?))\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"(?:what|who|whom|whose|when|where|why|how|which|is|are|was|were|do|does|did|can|could|will"
    r"|would|should)\b",
    re.IGNORECASE,
)
_PRESENTING = re.compile(r"(?:explain|describe|list|show|tell|present|report)\b", re.IGNORECASE)
# "heartbeats", "push notifications": without an article or owner it is no object of a lost verb.
_BARE_NAME = re.compile(r"(?!.*\b(?:my|your|our|the|an?|me|us)\b)\S+(?: \S+){0,2}", re.IGNORECASE)
_BACKGROUND = re.compile(
    r"(?:i|we) (?:have|am|are|work|got)\b|here (?:is|are)\b|there (?:is|are)\b|this is\b"
    r"|these are\b|attached (?:is|are|you)\b|you are\b|the attached [^.]{1,80} (?:is|contains)\b",
    re.IGNORECASE,
)
_SUBORDINATE = re.compile(r"\b(?:how|what|why|when|where|which|who|whether|that)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A clause that a skill fits; `candidates` is never empty, `why` only if a word is due."""

    clause: Clause
    candidates: tuple[Candidate, ...]
    why: str = ""


def plan_by_rules(
    description: str,
    index: SkillIndex,
    attachments: Sequence[Attachment],
    strategy: Strategy,
) -> Plan:
    """The plan for a request in plain words.

    Raises UnknownTaskType naming every clause that no skill fits (the whole request when it has
    nothing to do in it), and PlanInvalid when it asks for more than MAX_STEPS steps.
    """
    clauses = split_clauses(description, [attachment.name for attachment in attachments])
    if len(clauses) > MAX_CLAUSES:
        raise PlanInvalid((f"The request has {len(clauses)} parts; {_too_many()}",))
    units = _Reader(description, index, attachments, clauses).read()
    if len(units) > MAX_STEPS:
        raise PlanInvalid((f"The request has {len(units)} steps; {_too_many()}",))
    links = link_clauses([unit.clause for unit in units], attachments)
    links = [_apply(strategy, index, link) for index, link in enumerate(links)]
    offers = [index.offer(unit.candidates[0]) for unit in units]
    texts = [unit.clause.text for unit in units]
    has_input = [bool(link.depends_on) for link in links]
    files, notes = hand_out(attachments, texts, has_input, offers)
    steps = tuple(
        PlanStep(
            number=number,
            instruction=unit.clause.text,
            skill_id=unit.candidates[0].skill_id,
            depends_on=tuple(index + 1 for index in link.depends_on),
            attachments=names,
            candidates=unit.candidates,
            reason=_reason(unit, link, index),
        )
        for number, (unit, link, names) in enumerate(zip(units, links, files, strict=True), 1)
    )
    return Plan(PLANNER, strategy, steps, notes)


class _Reader:
    """Finds the skill of each clause and puts clauses that are none of their own where they go."""

    def __init__(
        self,
        description: str,
        index: SkillIndex,
        attachments: Sequence[Attachment],
        clauses: Sequence[Clause],
    ) -> None:
        self._description = description
        self._index = index
        self._clauses = clauses
        self._attachments = attachments
        self._files = [mentioned(clause.text, attachments) for clause in clauses]
        self._units: list[_Unit] = []
        self._unmatched: list[Clause] = []
        self._context: Clause | None = None

    def read(self) -> list[_Unit]:
        for position, clause in enumerate(self._clauses):
            self._place(clause, position)
        if self._unmatched or not self._units:
            raise self._unknown()
        return [part for unit in self._units for part in self._with_wish_apart(unit)]

    def _place(self, clause: Clause, position: int) -> None:
        previous = self._units[-1] if self._units and not self._unmatched else None
        if previous is not None and _is_qualifier(clause):
            self._extend(clause)
        elif _BACKGROUND.match(clause.text):
            self._keep_context(clause)
        elif (choice := choose(self._index, clause.text, self._around(position))).candidates:
            if previous is not None and _is_more_of(previous, clause, choice.candidates[0]):
                self._extend(clause)
            else:
                self._append_all(clause, choice)
        elif previous is not None and is_wish(clause.text):
            form = choose_for_form(self._index, clause.text)
            self._append(clause, form) if form.candidates else self._extend(clause)
        elif previous is not None and self._belongs(clause, previous):
            self._extend(clause)
        else:
            self._place_unmatched(clause, position)

    def _place_unmatched(self, clause: Clause, position: int) -> None:
        """A clause no skill fits by its words: a question, a shortened clause, or nothing."""
        previous = self._units[-1] if self._units else None
        kinds = [media_type(file) for file in self._files[position]]
        if (asked := choose_for_question(self._index, clause.text, kinds)).candidates:
            self._append(clause, asked)
        elif previous is not None and (shared := self._with_verb_of(previous, clause)) is not None:
            self._append(shared, choose(self._index, shared.text, self._around(position)))
        elif not _is_request(clause):
            self._keep_context(clause)
        else:
            self._unmatched.append(clause)

    def _append_all(self, clause: Clause, choice: Choice) -> None:
        """The clause as a step; "summarise how X works" with nothing at hand researches X first."""
        topic = topic_of_summary(clause.text)
        at_hand = self._units or self._attachments or refers_back(clause.text)
        best = choice.candidates[0]
        has_text = bool(at_hand) or has_named_object(clause.text) or has_no_object(clause.text)
        sought: list[Candidate] = []
        if topic is not None and not has_text and is_for(self._index, best, clause.text, "summarise"):
            sought = self._index.match_purpose(topic, "ask")
        if topic is not None and sought:
            why = "The summary needs a text to work on, and this skill finds it."
            self._append(replace(clause, text=topic), Choice(tuple(sought), why))
            clause = replace(clause, shares_object=True)
        self._append(clause, choice)

    def _with_wish_apart(self, unit: _Unit) -> list[_Unit]:
        """ "Research X in two sentences": the length is the work of a step of its own."""
        clause, best = unit.clause, unit.candidates[0]
        parts = split_wish(clause.text)
        if parts is None or not is_for(self._index, best, clause.text, "ask"):
            return [unit]
        form = choose_for_form(self._index, parts[1])
        if not form.candidates or is_for(self._index, best, clause.text, "summarise"):
            return [unit]
        wish = Clause(parts[1], Join.also, clause.end, clause.end, shares_object=True)
        return [
            replace(unit, clause=replace(clause, text=parts[0])),
            _Unit(wish, form.candidates, form.why),
        ]

    def _append(self, clause: Clause, choice: Choice) -> None:
        if self._context is not None:
            start = self._context.start
            text = " ".join(self._description[start : clause.start].split())
            clause = replace(clause, text=f"{text} {clause.text}".strip(), start=start)
            self._context = None
        self._units.append(_Unit(clause, choice.candidates, choice.why))

    def _extend(self, clause: Clause) -> None:
        """Gives the clause to the step before, as the user wrote it."""
        unit = self._units[-1]
        between = " ".join(self._description[unit.clause.end : clause.end].split())
        glue = "" if between[:1] in ",;.:" else " "
        last = self._description[unit.clause.end - 1 : unit.clause.end]
        mark = last if last in ",;." and not unit.clause.text.endswith(last) else ""
        text = f"{unit.clause.text}{mark}{glue}{between}".rstrip(" ,;.")
        self._units[-1] = replace(unit, clause=replace(unit.clause, text=text, end=clause.end))

    def _keep_context(self, clause: Clause) -> None:
        if self._units and not self._unmatched:
            self._extend(clause)
        elif self._context is None:
            self._context = clause

    def _belongs(self, clause: Clause, previous: _Unit) -> bool:
        """A part of the step before: a second verb of its "how", or more of the same skill."""
        if clause.join is Join.also and _SUBORDINATE.search(previous.clause.text):
            return True
        if only_opens_documents(previous.clause.text):
            return _QUESTION.match(clause.text) is not None or bool(_PRESENTING.match(clause.text))
        if clause.join is Join.also and tells_more(clause.text):
            on_table = is_for(self._index, previous.candidates[0], clause.text, "analyse")
            return on_table or refers_back(clause.text)
        if not (has_no_object(clause.text) or refers_back(clause.text)):
            return False
        skill_id = previous.candidates[0].skill_id
        if _PRESENTING.match(clause.text):
            return True
        near = self._index.near_misses(clause.text)
        return any(candidate.skill_id == skill_id for candidate in near)

    def _with_verb_of(self, previous: _Unit, clause: Clause) -> Clause | None:
        """ "Research leases, then heartbeats": the second clause has the verb of the first."""
        verb = previous.clause.text.split(None, 1)[0]
        if clause.join is not Join.then or not _BARE_NAME.fullmatch(clause.text):
            return None
        if starts_with_verb(clause.text):
            return None
        if not starts_with_verb(previous.clause.text) or _QUESTION.match(clause.text):
            return None
        shared = replace(clause, text=f"{verb} {clause.text}")
        return shared if self._index.match(shared.text) else None

    def _around(self, position: int) -> Surroundings:
        clause = self._clauses[position]
        named = self._files[position] or self._context_files()
        about_result = bool(self._units) and refers_back(without_files(clause.text, named))
        earlier = [self._index.offer(unit.candidates[0]) for unit in self._units]
        tables: list[str] = []
        names_table = False
        if not clause.shares_object and not about_result:
            loose = self._attachments if not any(self._files) else ()
            files = named or loose
            kinds = [media_type(file) for file in files]
            is_free = bool(named) or all(fits_media(kinds, offer.input_modes) for offer in earlier)
            if is_free and files and all(is_table(file) for file in files):
                tables = kinds
                is_bare = has_no_object(clause.text) or refers_back(clause.text)
                names_table = bool(named) or (is_bare and not earlier)
        return Surroundings(self._media_types(position), tables, names_table, earlier)

    def _context_files(self) -> tuple[Attachment, ...]:
        context = self._context
        return mentioned(context.text, self._attachments) if context is not None else ()

    def _media_types(self, position: int) -> list[str]:
        """Of the files the clause mentions, or all if no clause mentions any, or of what it gets."""
        named = self._files[position] or self._context_files()
        files = named or (() if any(self._files) else self._attachments)
        kinds = [media_type(attachment) for attachment in files]
        text = self._clauses[position].text
        takes_result = refers_back(text) or has_no_object(text)
        if self._units and takes_result and not named:
            kinds += self._index.offer(self._units[-1].candidates[0]).output_modes
        return kinds

    def _unknown(self) -> UnknownTaskType:
        clauses = self._unmatched or list(self._clauses)
        unmatched = tuple(clause.text for clause in clauses)
        if not unmatched and self._description.strip():
            unmatched = (" ".join(self._description.split()),)
        near: dict[tuple[str, str], Candidate] = {}
        for clause in clauses[:MAX_STEPS]:
            for miss in self._index.near_misses(clause.text):
                pair = (miss.agent_id, miss.skill_id)
                near[pair] = max(near.get(pair, miss), miss, key=lambda candidate: candidate.score)
        best = sorted(near.values(), key=lambda c: (-c.score, c.agent_name, c.skill_id, c.agent_id))
        near_offers = [self._index.offer(candidate) for candidate in best]
        return UnknownTaskType(
            unmatched,
            tuple(best[:MAX_CANDIDATES]),
            self._index.skill_names,
            _examples((*near_offers, *sorted(self._index.offers, key=_by_name))),
        )


def _examples(offers: Sequence[SkillOffer]) -> tuple[str, ...]:
    """One example request per skill, of the first few skills that have one."""
    examples: dict[str, str] = {}
    for offer in offers:
        if len(examples) == MAX_EXAMPLES:
            break
        first = next((text for text in offer.examples if text.strip()), None)
        if first is not None:
            examples.setdefault(offer.skill_id, first)
    return tuple(examples.values())


def _by_name(offer: SkillOffer) -> tuple[str, str, str]:
    return (offer.name, offer.skill_id, offer.agent_id)


def _is_qualifier(clause: Clause) -> bool:
    """How to do the step before, not what else to do: "in three sentences", "and be brief"."""
    return clause.join is not Join.start and _QUALIFIER.match(clause.text) is not None


def _is_more_of(previous: _Unit, clause: Clause, best: Candidate) -> bool:
    """ "Analyse the csv and plot it": one run of the skill does both."""
    is_same_skill = best.skill_id == previous.candidates[0].skill_id
    return is_same_skill and clause.join is Join.also and has_no_object(clause.text)


def _is_request(clause: Clause) -> bool:
    """Whether the clause asks for something, rather than tell something about the task."""
    return (
        clause.join in (Join.also, Join.then)
        or starts_with_verb(clause.text)
        or _QUESTION.match(clause.text) is not None
    )


def _apply(strategy: Strategy, index: int, link: Link) -> Link:
    match strategy:
        case Strategy.sequential if index > 0:
            depends_on = tuple(sorted({*link.depends_on, index - 1}))
            reason = link.reason if link.depends_on else "the strategy is sequential"
            return Link(depends_on, link.needs_result, reason)
        case Strategy.parallel if not link.needs_result:
            return Link((), needs_result=False, reason="")
        case _:
            return link


def _reason(unit: _Unit, link: Link, index: SkillIndex) -> str:
    best = unit.candidates[0]
    terms = ", ".join(f'"{term}"' for term in best.matched_terms[:6])
    name = index.offer(best).name
    by = f"fits by {terms}" if terms else "fits"
    reason = f'Skill "{name}" {by} (score {best.score:.2f}).'
    if unit.why:
        reason = f"{reason} {unit.why}"
    if link.depends_on:
        numbers = ", ".join(str(number + 1) for number in link.depends_on)
        steps = "step" if len(link.depends_on) == 1 else "steps"
        return f"{reason} After {steps} {numbers}: {link.reason}."
    return f"{reason} No step before it: {link.reason}." if link.reason else reason


def _too_many() -> str:
    return f"at most {MAX_STEPS} are possible. Split it into several tasks."
