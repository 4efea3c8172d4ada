"""Tasks and steps as the executor holds them, for tests that need one in a certain state."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.executor.decide import Around, decide
from coordinator.executor.state import Command, Problem, StepState, TaskState
from coordinator.planner.plan import Plan, PlanStep, Requirement, Strategy
from models.states import StepStatus, TaskStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEADLINE = NOW + timedelta(minutes=10)
NO_LUCK = Problem("AGENT_FAILED", "no luck")


def step(
    number: int, status: StepStatus = StepStatus.PENDING, *, needs: tuple[int, ...] = (), **planned: Any
) -> StepState:
    """`planned` are fields of its PlanStep. A step with `fallback_for` is a fallback; one that has begun has
    had one attempt."""
    if "fallback_for" in planned:
        planned.setdefault("requirement", Requirement.fallback)
    plan_step = PlanStep(number, f"step {number}", "skill", depends_on=needs, **planned)
    has_begun = status not in (StepStatus.PENDING, StepStatus.SKIPPED)
    return StepState(number, plan_step, status, attempt=int(has_begun))


def item(number: int, parent: StepState, index: int, status: StepStatus = StepStatus.PENDING) -> StepState:
    """A step that does one item of the list of `parent`."""
    child = StepState(number, parent.planned, status, parent=parent.number, item_index=index, item=index)
    child.attempt = int(status is not StepStatus.PENDING)
    return child


def completed(number: int, *, data: Any = None, text: str = "", **more: Any) -> StepState:
    """With `data` and `text` as what it came to."""
    done = step(number, StepStatus.COMPLETED, **more)
    done.output = {"text": text, "artifact_ids": []} | ({} if data is None else {"data": data})
    return done


def failed(number: int, problem: Problem = NO_LUCK, **more: Any) -> StepState:
    ended = step(number, StepStatus.FAILED, **more)
    ended.error = problem
    return ended


def skipped(number: int, code: str, **more: Any) -> StepState:
    ended = step(number, StepStatus.SKIPPED, **more)
    ended.error = Problem(code, "left out")
    return ended


def task(
    *steps: StepState,
    status: TaskStatus = TaskStatus.EXECUTING,
    strategy: Strategy = Strategy.auto,
    canceled: bool = False,
    planner: str = "request",
) -> TaskState:
    """Its plan is made of the steps that are no items."""
    planned = tuple(each.planned for each in steps if each.parent is None)
    return TaskState(
        id="task_1",
        session_id="session_1",
        description="do it",
        strategy=strategy,
        deadline_at=DEADLINE,
        status=status,
        cancel_requested=canceled,
        plan=Plan(planner, strategy, planned),
        steps={each.number: each for each in steps},
    )


def decided(
    state: TaskState,
    now: datetime = NOW,
    *,
    active: Collection[int] = (),
    held: Mapping[int, datetime] | None = None,
    max_parallel: int = 8,
) -> list[Command]:
    return decide(state, now, Around(active=active, held=held or {}, max_parallel=max_parallel))
