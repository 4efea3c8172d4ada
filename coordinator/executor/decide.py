"""What to do next with a task, and what an attempt's end means. Pure: no await, clock, database or random."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.executor.state import (
    Asked,
    AttemptFailed,
    Command,
    Dispatch,
    Done,
    Finish,
    NoAgent,
    Outcome,
    Problem,
    Reattach,
    Skip,
    StepState,
    Stop,
    TaskState,
    Wait,
)
from coordinator.planner.plan import Requirement
from models.states import StepStatus, TaskStatus

NO_AGENT_RETRY_S = 1.0
MAX_BACKOFF_S = 60.0


def decide(task: TaskState, now: datetime, *, active: Collection[int], max_parallel: int) -> list[Command]:
    """The commands for this moment; `active` are the steps whose attempt runs in this process."""
    if task.cancel_requested:
        return _stop_all(task, active, TaskStatus.CANCELED, None)
    if now >= task.deadline_at:
        return _stop_all(task, active, TaskStatus.FAILED, _deadline_problem(task))
    if task.status is TaskStatus.AWAITING_APPROVAL:
        return [Wait(task.deadline_at, for_person=True)]
    commands = _advance(task, now, active, free=max_parallel - len(active))
    if commands:
        return commands
    if all(step.status.is_terminal for step in task.steps.values()):
        return [_finish(task)]
    return [_wait(task, now, active)]


def _advance(task: TaskState, now: datetime, active: Collection[int], free: int) -> list[Command]:
    commands: list[Command] = []
    for step in task.steps.values():
        command = None if step.number in active else _for_step(task, step, now)
        if isinstance(command, Dispatch):
            if free <= 0:
                continue
            free -= 1
        if command is not None:
            commands.append(command)
    return commands


def _for_step(task: TaskState, step: StepState, now: datetime) -> Command | None:
    match step.status:
        case StepStatus.RUNNING:
            return Reattach(step.number)
        case StepStatus.INPUT_REQUIRED:
            return Dispatch(step.number) if step.answer is not None else None
        case StepStatus.PENDING:
            return _for_pending(task, step, now)
        case _:
            return None


def _for_pending(task: TaskState, step: StepState, now: datetime) -> Command | None:
    needs = [task.steps[number] for number in step.depends_on]
    broken = [need for need in needs if _is_broken(need)]
    if broken:
        which = ", ".join(str(need.number) for need in broken)
        return Skip(step.number, f"It needs step {which}, which did not complete.")
    if not all(need.status.is_terminal for need in needs):
        return None
    if step.retry_at is not None and step.retry_at > now:
        return None
    return Dispatch(step.number)


def _is_broken(step: StepState) -> bool:
    """Ended without a result that others may not do without."""
    return (
        step.status.is_terminal
        and step.status is not StepStatus.COMPLETED
        and step.requirement is Requirement.required
    )


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
    reason = next((step.waiting_for for step in waits if step.waiting_for), None)
    where = f" while step {waits[0].number} was {waits[0].status.replace('_', ' ')}" if waits else ""
    return Problem(
        "DEADLINE_EXCEEDED", f"The deadline passed{where}. {reason or 'Allow more time with deadline_s.'}"
    )


def _finish(task: TaskState) -> Finish:
    failed = [step for step in task.steps.values() if _is_broken(step)]
    if not failed and any(step.status is StepStatus.COMPLETED for step in task.steps.values()):
        return Finish(TaskStatus.COMPLETED)
    failed = failed or list(task.steps.values())
    first = next((step for step in failed if step.error is not None), failed[0])
    problem = first.error or Problem("STEP_FAILED", "A required step did not complete.")
    return Finish(TaskStatus.FAILED, Problem(problem.code, f"Step {first.number} failed: {problem.message}"))


def _wait(task: TaskState, now: datetime, active: Collection[int]) -> Wait:
    retries = [step.retry_at for step in task.steps.values() if step.retry_at and step.retry_at > now]
    for_person = (
        not active
        and not retries
        and any(step.status is StepStatus.INPUT_REQUIRED for step in task.steps.values())
    )
    return Wait(min([task.deadline_at, *retries]), for_person)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`backoff_s` doubles with each attempt, up to a minute."""

    max_attempts: int
    backoff_s: float


def retry_at(
    step: StepState, outcome: Outcome, now: datetime, policy: RetryPolicy, *, jitter: float
) -> datetime | None:
    """When the step is to be tried again; None where this outcome ends it. `jitter` is 0 to 1."""
    match outcome:
        case Done() | Asked():
            return None
        case NoAgent():
            return now + timedelta(seconds=NO_AGENT_RETRY_S)
        case AttemptFailed(retryable=retryable, retry_after_s=asked):
            if not retryable or step.attempt >= policy.max_attempts:
                return None
            backoff_s = min(policy.backoff_s * 2 ** (step.attempt - 1), MAX_BACKOFF_S)
            return now + timedelta(seconds=max(backoff_s * (0.5 + jitter / 2), asked or 0.0))
