"""Random plans that the coordinator takes, and what their steps can come to."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from coordinator.planner.errors import PlanInvalid
from coordinator.planner.plan import Plan, PlanStep, Requirement, Retry, Strategy, When, validate_plan
from coordinator.planner.template import ConditionOp

STRATEGIES = st.sampled_from([Strategy.auto, Strategy.parallel, Strategy.sequential])
CONDITIONS = st.sampled_from(
    [(ConditionOp.gt, 1), (ConditionOp.eq, 0), (ConditionOp.exists, None), (ConditionOp.missing, None)]
)


@st.composite
def plans(
    draw: st.DrawFn,
    *,
    max_steps: int = 6,
    skills: Sequence[str] = ("skill",),
    agents: Sequence[str] = (),
    strategies: st.SearchStrategy[Strategy] = STRATEGIES,
) -> Plan:
    """Of steps in any order of numbers. A step's data is a dict with the keys `total`, a number, and `items`,
    a list; conditions and lists refer to these, of steps that are depended on. Some steps name one of
    `agents`."""
    count = draw(st.integers(1, max_steps))
    numbers = draw(st.permutations(range(1, count + 1)))
    steps: list[PlanStep] = []
    for place, number in enumerate(numbers):
        steps.append(draw(_steps(number, numbers[:place], skills, agents)))
    steps = draw(st.permutations(steps))
    plan = Plan("request", draw(strategies), tuple(steps))
    # Steps can wait for each other by way of a fallback: such a plan is refused.
    return plan if is_valid(plan, agents) else Plan("request", plan.strategy, tuple(map(_plain, steps)))


def is_valid(plan: Plan, agents: Sequence[str] = ()) -> bool:
    try:
        validate_plan(plan, {step.skill_id: agents for step in plan.steps}, [])
    except PlanInvalid:
        return False
    return True


@st.composite
def _steps(
    draw: st.DrawFn, number: int, earlier: Sequence[int], skills: Sequence[str], agents: Sequence[str]
) -> PlanStep:
    needs = tuple(draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3))) if earlier else ()
    more: dict[str, Any] = {}
    others = [other for other in earlier if other not in needs]
    kind = draw(st.sampled_from(["required", "required", "optional", "fallback"]))
    if kind == "fallback" and others:
        more |= {"requirement": Requirement.fallback, "fallback_for": draw(st.sampled_from(others))}
    elif kind == "optional":
        more["requirement"] = Requirement.optional
    if needs and draw(st.integers(0, 3)) == 0:
        op, value = draw(CONDITIONS)
        more["when"] = When(f"steps.{draw(st.sampled_from(needs))}.data.total", op, value)
    if needs and draw(st.integers(0, 3)) == 0:
        more["for_each"] = f"steps.{draw(st.sampled_from(needs))}.data.items"
        more["max_parallel"] = draw(st.sampled_from([None, 1, 2]))
    if agents and draw(st.integers(0, 3)) == 0:
        more["agent_id"] = draw(st.sampled_from(agents))
    more["approval"] = draw(st.integers(0, 7)) == 0
    more["no_failover"] = draw(st.integers(0, 7)) == 0
    more["retry"] = draw(st.sampled_from([Retry(), Retry(), Retry(max_attempts=1)]))
    return PlanStep(number, f"step {number}", draw(st.sampled_from(skills)), depends_on=needs, **more)


def _plain(step: PlanStep) -> PlanStep:
    """The step as no fallback."""
    required = Requirement.required if step.fallback_for is not None else step.requirement
    return PlanStep(
        step.number,
        step.instruction,
        step.skill_id,
        depends_on=step.depends_on,
        requirement=required,
        agent_id=step.agent_id,
        when=step.when,
        for_each=step.for_each,
        max_parallel=step.max_parallel,
        approval=step.approval,
    )


# What a step's data can be: as conditions and lists want it, or not.
DATA: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"total": st.integers(0, 3), "items": st.lists(st.integers(0, 3), max_size=3)}),
    st.sampled_from([None, {"total": "many", "items": "none"}, {"items": []}]),
)
