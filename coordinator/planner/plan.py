"""The plan: the planner makes it, the executor runs it, the API carries it. Types and checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from coordinator.planner.errors import PlanInvalid
from coordinator.planner.template import ConditionOp, TemplateError, parse_reference, references_in
from coordinator.registry.offers import SkillOffer

MAX_STEPS = 20
MAX_INSTRUCTION_CHARS = 20_000


class Strategy(StrEnum):
    """How steps are ordered.

    auto: by the cues in the text. sequential: one after the other. parallel: at once, except
    that a step which needs another's result waits for it. adaptive: as auto, and what has not
    started may be planned anew after a step has ended.
    """

    auto = "auto"
    sequential = "sequential"
    parallel = "parallel"
    adaptive = "adaptive"


class Requirement(StrEnum):
    """What a step's failure means: the task's failure, a gap, or (fallback) the step is only run
    where the one it stands in for has failed."""

    required = "required"
    optional = "optional"
    fallback = "fallback"


@dataclass(frozen=True, slots=True)
class When:
    """A step with a condition is skipped where it does not hold; that is no gap.

    `ref` as a template has it between its braces, e.g. "steps.1.data.total".
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    ref: str
    op: ConditionOp
    value: Any = None


@dataclass(frozen=True, slots=True)
class Retry:
    """What differs from the settings STEPS_MAX_ATTEMPTS and STEPS_BACKOFF_S for one step."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    max_attempts: int | None = None
    backoff_s: float | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of the task: its name (unique within the task) and media type."""

    name: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent/skill pair that was considered: `score` is 0 to 1, `matched_terms` the reason."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    agent_id: str
    agent_name: str
    skill_id: str
    score: float
    matched_terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step. `agent_id` None means any agent with the skill; `candidates` are best first.

    `depends_on` holds step numbers whose artifacts travel along, `attachments` names of the
    task's files that this step gets. `instruction` and `data` (sent as a data part) are templates.
    `for_each` refers to a list: the step is done once for each item, `max_parallel` at a time.
    With `approval` it waits for a person before it starts. `timeout_s` bounds one attempt.
    `no_failover`: once sent to an agent it goes to no other.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    number: int
    instruction: str
    skill_id: str
    agent_id: str | None = None
    depends_on: tuple[int, ...] = ()
    attachments: tuple[str, ...] = ()
    requirement: Requirement = Requirement.required
    fallback_for: int | None = None
    data: Any = None
    when: When | None = None
    for_each: str | None = None
    max_parallel: int | None = None
    approval: bool = False
    timeout_s: float | None = None
    retry: Retry = Retry()
    no_failover: bool = False
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps and how they were found: `planner` is "rules", or "request" for a caller's own plan.

    `notes` are sentences for the user, e.g. about a file that no step takes. `version` counts the
    revisions of a task's plan from 1.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    planner: str
    strategy: Strategy
    steps: tuple[PlanStep, ...]
    notes: tuple[str, ...] = ()
    version: int = 1

    @property
    def has_templates(self) -> bool:
        """The rules planner's instructions are the user's words, braces included."""
        return self.planner != "rules"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with the field names of this class; `from_json` reads it back equal."""
        dumped: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return dumped

    @staticmethod
    def from_json(value: Any) -> Plan:
        """Reads what `to_json` wrote, or a caller's plan (fields with a default may be left out).

        Raises PlanInvalid with one problem per wrong or unknown field. Shape only: call
        `validate_plan` for what the plan refers to.
        """
        try:
            return _adapter().validate_python(value)
        except ValidationError as exc:
            problems = tuple(
                f"{'.'.join(str(part) for part in error['loc']) or 'plan'}: {error['msg']}."
                for error in exc.errors(include_url=False, include_input=False)
            )
            raise PlanInvalid(problems) from exc


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def agents_by_skill(offers: Iterable[SkillOffer]) -> dict[str, set[str]]:
    """Skill id -> ids of the agents that offer it: the `known_skills` of `validate_plan`."""
    known: dict[str, set[str]] = {}
    for offer in offers:
        known.setdefault(offer.skill_id, set()).add(offer.agent_id)
    return known


def validate_plan(
    plan: Plan,
    known_skills: Mapping[str, Collection[str]],
    attachment_names: Collection[str],
) -> None:
    """Checks that the plan can run; `known_skills` maps skill id -> ids of agents that have it.

    Raises PlanInvalid with every problem found, in step order.
    """
    problems = _shape_problems(plan)
    if len(plan.steps) > MAX_STEPS:
        raise PlanInvalid(tuple(problems))  # what is too long is not worth a check step by step
    numbers = {step.number for step in plan.steps}
    ancestors = _ancestors(plan.steps)
    for step in plan.steps:
        problems += _step_problems(step, numbers, known_skills, attachment_names)
        problems += _fallback_problems(step, numbers)
        if plan.has_templates:
            problems += _reference_problems(step, ancestors[step.number])
    if cycle := _cyclic_steps(plan.steps):
        problems.append(f"Steps {_numbers(cycle)} wait for each other in a circle.")
    if problems:
        raise PlanInvalid(tuple(problems))


def _shape_problems(plan: Plan) -> list[str]:
    problems = []
    if not plan.steps:
        problems.append("It has no steps.")
    if len(plan.steps) > MAX_STEPS:
        problems.append(f"It has {len(plan.steps)} steps; at most {MAX_STEPS} are allowed.")
    uses = Counter(step.number for step in plan.steps)
    twice = sorted(number for number, count in uses.items() if count > 1)
    if twice:
        problems.append(f"Step numbers {_numbers(twice)} are used more than once.")
    return problems


def _step_problems(
    step: PlanStep,
    numbers: set[int],
    known_skills: Mapping[str, Collection[str]],
    attachment_names: Collection[str],
) -> list[str]:
    problems = []
    where = f"Step {step.number}"
    if step.number < 1:
        problems.append(f"{where}: numbers start at 1.")
    if not step.instruction.strip():
        problems.append(f"{where} has no instruction.")
    if len(step.instruction) > MAX_INSTRUCTION_CHARS:
        problems.append(f"{where}: the instruction is over {MAX_INSTRUCTION_CHARS} characters.")
    if step.skill_id not in known_skills:
        problems.append(f'{where} asks for the skill "{step.skill_id}", which no agent offers.')
    elif step.agent_id is not None and step.agent_id not in known_skills[step.skill_id]:
        problems.append(f'{where}: agent "{step.agent_id}" does not offer the skill "{step.skill_id}".')
    if unknown := sorted(set(step.depends_on) - numbers):
        problems.append(f"{where} depends on unknown steps {_numbers(unknown)}.")
    if missing := [name for name in step.attachments if name not in attachment_names]:
        problems.append(f"{where} wants files the task does not have: {', '.join(missing)}.")
    return problems


def _fallback_problems(step: PlanStep, numbers: set[int]) -> list[str]:
    where = f"Step {step.number}"
    if step.fallback_for is None:
        if step.requirement is Requirement.fallback:
            return [f"{where} is a fallback: say of which step in fallback_for."]
        return []
    if step.requirement is not Requirement.fallback:
        return [f'{where} has fallback_for, so its requirement has to be "fallback".']
    if step.fallback_for not in numbers:
        return [f"{where} is a fallback of the unknown step {step.fallback_for}."]
    if step.fallback_for in step.depends_on:
        return [f"{where} depends on step {step.fallback_for}, in whose place it is to run."]
    return []


def _reference_problems(step: PlanStep, ancestors: set[int]) -> list[str]:
    where = f"Step {step.number}"
    problems = []
    try:
        inline = [*references_in(step.instruction), *references_in(step.data)]
        decided = [parse_reference(text) for text in (step.for_each, step.when and step.when.ref) if text]
    except TemplateError as exc:
        return [f"{where}: {exc}"]
    for reference in (*inline, *decided):
        if reference.root != "steps":
            if step.for_each is None or reference in decided:
                problems.append(f"{where} refers to {reference}, which only a step with for_each has.")
        elif reference.step not in ancestors:
            problems.append(
                f"{where} refers to step {reference.step}, which it does not depend on: add it to depends_on."
            )
    if any(reference.path[:1] == ("artifacts",) for reference in decided):
        problems.append(f"{where}: for_each and when can refer to data and text, not to artifacts.")
    return problems


def _ancestors(steps: tuple[PlanStep, ...]) -> dict[int, set[int]]:
    """Step number -> all that it depends on, directly or not."""
    needs = {step.number: set(step.depends_on) for step in steps}
    found: dict[int, set[int]] = {}
    for number, direct in needs.items():
        reached, ahead = set[int](), list(direct)
        while ahead:
            other = ahead.pop()
            if other not in reached:
                reached.add(other)
                ahead += needs.get(other, ())
        found[number] = reached
    return found


def _cyclic_steps(steps: tuple[PlanStep, ...]) -> list[int]:
    """Numbers that stay blocked when steps are taken off as their dependencies are met. Who needs a step also
    waits for its fallbacks."""
    known = {step.number for step in steps}
    waiting = {
        step.number: {*step.depends_on, step.fallback_for, *_stand_ins(steps, step.depends_on)} & known
        for step in steps
    }
    while ready := {number for number, needs in waiting.items() if not needs}:
        waiting = {n: needs - ready for n, needs in waiting.items() if n not in ready}
    return sorted(waiting)


def _stand_ins(steps: tuple[PlanStep, ...], numbers: Collection[int]) -> set[int]:
    """The fallbacks of these steps, and those of the fallbacks."""
    found, wanted = set[int](), set(numbers)
    while more := {step.number for step in steps if step.fallback_for in wanted} - found:
        found |= more
        wanted |= more
    return found


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)
