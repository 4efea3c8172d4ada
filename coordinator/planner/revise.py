"""How a plan changes while it runs (strategy adaptive): what has not started is planned anew. Pure.

Two things are seen: a step whose skill nobody offers any more, and a step that failed although another skill
was a candidate for it. Both go on with the next candidate; the failed one as a new step, which those that
waited for it then wait for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from coordinator.planner.plan import MAX_STEPS, Plan, PlanStep, Requirement
from coordinator.registry.offers import SkillOffer


@dataclass(frozen=True, slots=True)
class Revision:
    """The whole plan as it is from now on, and why."""

    plan: Plan
    reason: str


def revise_plan(
    plan: Plan,
    offers: Sequence[SkillOffer],
    *,
    failed: Collection[int],
    still_open: Collection[int],
    begun: Collection[int],
    highest: int,
) -> Revision | None:
    """`failed` and `still_open` are step numbers, `begun` those that were tried, `highest` the last that is
    taken: items of lists have numbers, too. None where nothing changes."""
    offered = {(offer.agent_id, offer.skill_id) for offer in offers}
    skills = {skill_id for _, skill_id in offered}
    steps = list(plan.steps)
    reasons: list[str] = []
    for place, step in enumerate(plan.steps):
        is_untouched = step.number in still_open and step.number not in begun
        if is_untouched and step.skill_id not in skills:
            other = _with_next_skill(step, offered, ())
            if other is not None:
                steps[place] = other
                reasons.append(_instead(step, other, f"nobody offers {step.skill_id} any more"))
        elif step.number in failed and _is_missed(plan, step, still_open):
            other = _replacement(plan, step, offered)
            if other is not None and len(steps) < MAX_STEPS:
                highest += 1
                steps.append(replace(other, number=highest))
                reasons.append(_instead(step, other, "it failed"))
    if not reasons:
        return None
    return Revision(replace(plan, steps=tuple(steps), version=plan.version + 1), " ".join(reasons))


def _is_missed(plan: Plan, step: PlanStep, still_open: Collection[int]) -> bool:
    """Its failure matters, and nothing stands in for it yet."""
    has_stand_in = any(other.fallback_for == step.number for other in plan.steps)
    is_needed = step.requirement is not Requirement.optional or any(
        step.number in other.depends_on and other.number in still_open for other in plan.steps
    )
    return is_needed and not has_stand_in


def _replacement(plan: Plan, step: PlanStep, offered: Collection[tuple[str, str]]) -> PlanStep | None:
    """A fallback of the step with the next skill that was a candidate and has not been tried in its place."""
    tried = {step.skill_id}
    first = step
    while first.fallback_for is not None:
        first = next(other for other in plan.steps if other.number == first.fallback_for)
        tried.add(first.skill_id)
    other = _with_next_skill(step, offered, tried)
    if other is None:
        return None
    return replace(other, requirement=Requirement.fallback, fallback_for=step.number)


def _with_next_skill(
    step: PlanStep, offered: Collection[tuple[str, str]], tried: Collection[str]
) -> PlanStep | None:
    for candidate in step.candidates:
        is_other = candidate.skill_id != step.skill_id and candidate.skill_id not in tried
        if is_other and (candidate.agent_id, candidate.skill_id) in offered:
            reason = f"The next candidate after {step.skill_id}."
            return replace(step, skill_id=candidate.skill_id, agent_id=None, reason=reason)
    return None


def _instead(step: PlanStep, other: PlanStep, why: str) -> str:
    return f"Step {step.number} goes on with the skill {other.skill_id} instead of {step.skill_id}: {why}."
