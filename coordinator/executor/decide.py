"""What to do next with a task, and what an attempt's end means. Pure: no await, clock, database or random."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from a2a.types import Json
from coordinator.executor.state import (
    AskApproval,
    AttemptFailed,
    Command,
    Dispatch,
    Expand,
    Fail,
    Finish,
    Gather,
    Look,
    Problem,
    Reattach,
    Skip,
    StepState,
    Stop,
    TaskState,
    Wait,
)
from coordinator.planner.plan import Requirement, Strategy, When
from coordinator.planner.template import (
    Condition,
    Scope,
    StepOutput,
    TemplateError,
    holds,
    parse_reference,
    resolve,
)
from models.states import StepStatus, TaskStatus

MAX_BACKOFF_S = 60.0
MAX_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Around:
    """What the runner knows beside the task: `active` are the steps whose attempt runs in this process,
    `held` those that found no agent and when to look again, `max_parallel` how many may run at once."""

    active: Collection[int]
    held: Mapping[int, datetime]
    max_parallel: int


def decide(task: TaskState, now: datetime, around: Around) -> list[Command]:
    """The commands for this moment. Only where there is nothing else to do the last is Finish or Wait."""
    if task.cancel_requested:
        return _stop_all(task, around.active, TaskStatus.CANCELED, None)
    if task.steps and not around.active and all(step.status.is_terminal for step in task.steps.values()):
        return [_finish(task)]
    if now >= task.deadline_at:
        return _stop_all(task, around.active, TaskStatus.FAILED, _deadline_problem(task))
    if task.status is TaskStatus.AWAITING_APPROVAL and not _gates(task):
        return [Wait(task.deadline_at, TaskStatus.AWAITING_APPROVAL)]
    commands = list(_advance(task, now, around))
    return commands or _wait(task, now, around)


def _advance(task: TaskState, now: datetime, around: Around) -> Iterator[Command]:
    # The rules planner says it with dependencies; a plan that came with the task may not.
    one_by_one = task.strategy is Strategy.sequential
    busy = {step.number for step in task.steps.values() if _is_busy(step)}.union(around.active)
    free = around.max_parallel - len(busy)
    running_items = _running_items(task, busy)
    for step in list(task.steps.values()):
        if step.number in around.active or step.status.is_terminal:
            continue
        command = _for_step(task, step, now, around)
        if one_by_one and isinstance(command, Dispatch | Expand | AskApproval):
            if free <= 0 or not _is_in_turn(task, step):
                continue
            free = 1 if isinstance(command, Dispatch) else 0
        if isinstance(command, Dispatch):
            if free <= 0 or not _has_room(step, running_items):
                continue
            free -= 1
            if step.parent is not None:
                running_items[step.parent] = running_items.get(step.parent, 0) + 1
        if command is not None:
            yield command


def _is_busy(step: StepState) -> bool:
    """An attempt of it runs, here or since before this process."""
    return step.status is StepStatus.RUNNING and not step.is_list


def _is_in_turn(task: TaskState, step: StepState) -> bool:
    """One after the other: nothing else has begun, and no earlier step is ready, whatever that one waits for.
    A list has begun with its expansion; its items are of it."""
    others = [other for other in task.steps.values() if other is not step and other.number != step.parent]
    opened = [other for other in others if not other.status.is_terminal]
    if any(other.attempt > 0 or other.status is StepStatus.RUNNING for other in opened):
        return False
    if step.attempt > 0 or step.parent is not None:
        return True
    for other in task.steps.values():
        if other is step:
            return True
        is_open = other.status is StepStatus.PENDING and other.parent is None
        if is_open and _before_start(task, other) is None and _is_ready(task, other):
            return False
    return True


def _running_items(task: TaskState, busy: Collection[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for number in busy:
        parent = task.steps[number].parent
        if parent is not None:
            counts[parent] = counts.get(parent, 0) + 1
    return counts


def _has_room(step: StepState, running_items: Mapping[int, int]) -> bool:
    limit = step.planned.max_parallel
    return step.parent is None or limit is None or running_items.get(step.parent, 0) < limit


def _for_step(task: TaskState, step: StepState, now: datetime, around: Around) -> Command | None:
    match step.status:
        case StepStatus.RUNNING:
            if step.is_list:
                children = task.children_of(step.number)
                return Gather(step.number) if all(child.status.is_terminal for child in children) else None
            return Reattach(step.number)
        case StepStatus.INPUT_REQUIRED:
            if step.has_answer:
                return Dispatch(step.number)
            return Look(step.number) if step.retry_at is not None and step.retry_at <= now else None
        case StepStatus.PENDING:
            return _for_pending(task, step, now, around)
        case _:
            return None


def _for_pending(task: TaskState, step: StepState, now: datetime, around: Around) -> Command | None:
    if step.attempt == 0 and step.parent is None:
        unmet = _before_start(task, step)
        if unmet is not None:
            return unmet
        if not _is_ready(task, step):
            return None
        first = _first_move(task, step)
        if first is not None:
            return first
        if step.planned.approval and not step.is_approved:
            return None
    held_until = around.held.get(step.number)
    if (step.retry_at is not None and step.retry_at > now) or (held_until is not None and held_until > now):
        return None
    return Dispatch(step.number)


def _before_start(task: TaskState, step: StepState) -> Command | None:
    """Why the step will never start, if that is known."""
    if step.planned.fallback_for is not None:
        first = task.steps[step.planned.fallback_for]
        if first.status is StepStatus.COMPLETED or (first.status.is_terminal and first.is_quiet):
            reason = f"Step {first.number} did not need it."
            return Skip(step.number, Problem("NOT_NEEDED", reason))
    broken = [task.steps[number] for number in step.depends_on if _is_broken(task, task.steps[number])]
    if broken:
        which = ", ".join(str(need.number) for need in broken)
        reason = f"It needs step {which}, which did not complete."
        return Skip(step.number, Problem("DEPENDENCY_FAILED", reason))
    return None


def _is_ready(task: TaskState, step: StepState) -> bool:
    fallback_for = step.planned.fallback_for
    return (fallback_for is None or task.steps[fallback_for].status.is_terminal) and all(
        _is_settled(task, task.steps[number]) for number in step.depends_on
    )


def _is_settled(task: TaskState, step: StepState) -> bool:
    """It has ended, and so has whatever could stand in for it."""
    if not step.status.is_terminal:
        return False
    if step.status is StepStatus.COMPLETED:
        return True
    return all(other.status.is_terminal for other in _fallbacks(task, step))


def _first_move(task: TaskState, step: StepState) -> Command | None:
    """Condition, gate and list, in this order, before the first attempt."""
    if step.planned.when is None and step.planned.for_each is None and not step.planned.approval:
        return None
    scope = _decided_scope(task)
    try:
        if step.planned.when is not None and not holds(_condition(step.planned.when), scope):
            reason = f"Its condition on {step.planned.when.ref} does not hold."
            return Skip(step.number, Problem("CONDITION_NOT_MET", reason))
        if step.planned.approval and not step.is_approved:
            return AskApproval(step.number) if step.waiting_for is None else None
        if step.planned.for_each is not None:
            return _expansion(step, resolve(parse_reference(step.planned.for_each), scope))
    except TemplateError as exc:
        return Fail(step.number, Problem("REFERENCE_MISSING", str(exc)))
    return None


def _expansion(step: StepState, items: Json) -> Command:
    what = step.planned.for_each
    if not isinstance(items, list):
        return Fail(step.number, Problem("REFERENCE_MISSING", f"{what} is no list, as for_each needs it."))
    if len(items) > MAX_ITEMS:
        sentence = f"{what} has {len(items)} items; at most {MAX_ITEMS} are done in one step."
        return Fail(step.number, Problem("TOO_MANY_ITEMS", sentence))
    return Expand(step.number, tuple(items))


def _condition(when: When) -> Condition:
    return Condition(parse_reference(when.ref), when.op, when.value)


def _decided_scope(task: TaskState) -> Scope:
    """What conditions and lists can refer to: the texts and data that are kept with the steps."""
    outputs = {}
    for number in task.steps:
        output = task.steps[stand_ins(task, [number])[0]].output
        if output is not None:
            outputs[number] = StepOutput(output.get("text", ""), output.get("data"), {})
    return Scope(outputs)


def _fallbacks(task: TaskState, step: StepState) -> Iterator[StepState]:
    """The steps that stand in for it, and those that stand in for them."""
    for other in task.steps.values():
        if other.planned.fallback_for == step.number and other.parent is None:
            yield other
            yield from _fallbacks(task, other)


def stand_ins(task: TaskState, numbers: Iterable[int]) -> list[int]:
    """The steps whose results are used for those of `numbers`: a completed fallback in place of the
    failed."""
    used = []
    for number in numbers:
        step = task.steps[number]
        if step.status is not StepStatus.COMPLETED:
            done = (other for other in _fallbacks(task, step) if other.status is StepStatus.COMPLETED)
            step = next(done, step)
        used.append(step.number)
    return used


def _is_broken(task: TaskState, step: StepState) -> bool:
    """Ended without a result that others may not do without."""
    if not step.status.is_terminal or step.status is StepStatus.COMPLETED or step.is_quiet:
        return False
    if step.requirement is Requirement.optional:
        return False
    fallbacks = list(_fallbacks(task, step))
    return all(other.status.is_terminal for other in fallbacks) and not any(
        other.status is StepStatus.COMPLETED for other in fallbacks
    )


def _gates(task: TaskState) -> list[StepState]:
    """The steps that wait for somebody's approval."""
    return [
        step
        for step in task.steps.values()
        if step.planned.approval
        and not step.is_approved
        and step.status is StepStatus.PENDING
        and step.parent is None
        and step.waiting_for is not None
    ]


def _stop_all(
    task: TaskState, active: Collection[int], status: TaskStatus, problem: Problem | None
) -> list[Command]:
    """Every open step ends; the task with them, since stopping an attempt needs no further decision."""
    commands: list[Command] = [
        Stop(step.number, problem)
        for step in task.steps.values()
        if not step.status.is_terminal or step.number in active
    ]
    return [*commands, Finish(status, problem)]


def _deadline_problem(task: TaskState) -> Problem:
    waits = [step for step in task.steps.values() if not step.status.is_terminal]
    reason = next((step.waiting_for for step in waits if step.waiting_for), task.waiting_for)
    where = f" while step {waits[0].number} was {waits[0].status.replace('_', ' ')}" if waits else ""
    return Problem(
        "DEADLINE_EXCEEDED", f"The deadline passed{where}. {reason or 'Allow more time with deadline_s.'}"
    )


def _finish(task: TaskState) -> Finish:
    planned = [step for step in task.steps.values() if step.parent is None]
    failed = [
        step for step in planned if _is_broken(task, step) and step.requirement is not Requirement.fallback
    ]
    is_something_done = any(step.status is StepStatus.COMPLETED for step in planned)
    if not failed and (is_something_done or all(step.is_quiet for step in planned)):
        return Finish(TaskStatus.COMPLETED)
    failed = failed or [step for step in planned if not step.is_quiet]
    first = next((step for step in failed if step.error is not None), failed[0])
    problem = first.error or Problem("STEP_FAILED", "A required step did not complete.")
    return Finish(TaskStatus.FAILED, Problem(problem.code, f"Step {first.number} failed: {problem.message}"))


def _wait(task: TaskState, now: datetime, around: Around) -> list[Command]:
    # A look at a task that waits for a person is taken by whoever claims it then.
    pending = (step for step in task.steps.values() if step.status is not StepStatus.INPUT_REQUIRED)
    times = [step.retry_at for step in pending if step.retry_at is not None]
    later = [at for at in (*times, *around.held.values()) if at > now]
    until = min([task.deadline_at, *later])
    if around.active or later:
        return [Wait(until)]
    if any(step.status is StepStatus.INPUT_REQUIRED for step in task.steps.values()):
        return [Wait(until, TaskStatus.INPUT_REQUIRED)]
    if _gates(task):
        return [Wait(until, TaskStatus.AWAITING_APPROVAL)]
    waiting = ", ".join(str(step.number) for step in task.steps.values() if not step.status.is_terminal)
    problem = Problem("STUCK", f"Steps {waiting} wait for what can no longer happen.")
    return _stop_all(task, around.active, TaskStatus.FAILED, problem)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`backoff_s` doubles with each attempt, up to a minute."""

    max_attempts: int
    backoff_s: float


def retry_at(
    step: StepState, failure: AttemptFailed, now: datetime, policy: RetryPolicy, *, jitter: float
) -> datetime | None:
    """When the step is to be tried again; None where this failure ends it. `jitter` is 0 to 1. An agent that
    asked for a longer pause is left in peace by all steps (slots); this one may go to another meanwhile."""
    own = step.planned.retry
    max_attempts = own.max_attempts if own.max_attempts is not None else policy.max_attempts
    first_s = own.backoff_s if own.backoff_s is not None else policy.backoff_s
    if not failure.retryable or step.attempt >= max_attempts:
        return None
    backoff_s = min(first_s * 2 ** min(step.attempt - 1, 30), MAX_BACKOFF_S)
    return now + timedelta(seconds=backoff_s * (0.5 + jitter / 2))
