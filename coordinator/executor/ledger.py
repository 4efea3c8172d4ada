"""A claimed task in this process: every event is taken into its state at once and made durable in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from a2a.types import Json
from coordinator.clock import Now
from coordinator.executor.artifacts import Stored, artifact_rows
from coordinator.executor.changes import Call, Change, Ending, Rows, step_row
from coordinator.executor.creation import step_rows
from coordinator.executor.history import Event, evolve
from coordinator.executor.journal import Journal
from coordinator.executor.state import Lease, StepState, TaskState

StepNumber: TypeAlias = int
_WITH_PLAN = ("task.planned", "task.plan_revised")


@dataclass(slots=True)
class _Pending:
    """What the next commit writes."""

    events: list[Event] = field(default_factory=list)
    touched: set[StepNumber] = field(default_factory=set)
    added: list[StepState] = field(default_factory=list)
    answered: set[StepNumber] = field(default_factory=set)
    artifacts: list[Stored] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    ending: Ending | None = None


class Ledger:
    """`last_number` is the number of the newest event that this run knows of."""

    def __init__(self, journal: Journal, lease: Lease, task: TaskState, now: Now) -> None:
        self._journal = journal
        self._now = now
        self._pending = _Pending()
        self.lease = lease
        self.task = task
        self.last_number = task.last_look
        self.has_missed_news = False

    @property
    def is_clean(self) -> bool:
        return not self._pending.events

    def emit(self, kind: str, **data: Json) -> None:
        """The state has it from now on, the database with the next commit."""
        event = Event(kind, data)
        known = len(self.task.steps)
        evolve(self.task, event, self._now())
        self._pending.events.append(event)
        if "step_number" in data:
            self._pending.touched.add(data["step_number"])
        if kind in _WITH_PLAN:
            # A revision touches steps that have not begun.
            self._pending.touched.update(self.task.steps)
        if len(self.task.steps) > known:
            self._pending.added += list(self.task.steps.values())[known:]

    def complete(self, step: StepState, stored: Sequence[Stored], output: dict[str, Json]) -> None:
        """What the step came to; the event that says so follows."""
        step.output = output
        self._pending.artifacts += stored
        self.forget_answer(step)

    def forget_answer(self, step: StepState) -> None:
        """The agent has worked on it; another question gets another answer."""
        if step.has_answer:
            self._pending.answered.add(step.number)

    def note_call(self, call: Call) -> None:
        self._pending.calls.append(call)

    def end(self, ending: Ending) -> None:
        self._pending.ending = ending

    async def commit(self, *, unless_news: bool = False) -> None:
        """Make everything durable that has been emitted. Raises LeaseLost, or with `unless_news` NewsCame
        where somebody has acted on the task meanwhile."""
        pending, self._pending = self._pending, _Pending()
        change = self._change(pending)
        if unless_news:
            change.unless_news_since = self.last_number
        number = await self._journal.write(change)
        # Events of others have come between: they have to be looked at.
        self.has_missed_news = self.has_missed_news or number > self.last_number + len(change.events)
        self.last_number = number

    def _change(self, pending: _Pending) -> Change:
        task, now = self.task, self._now()
        change = Change(
            self.lease,
            now,
            tuple(pending.events),
            calls=tuple(pending.calls),
            ending=pending.ending,
            artifacts=artifact_rows(task.id, pending.artifacts, now),
            new_steps=step_rows(task.id, pending.added),
            steps=self._step_rows(pending),
            forgotten_answers=[
                {"key_task_id": task.id, "key_number": number, "answer": None} for number in pending.answered
            ],
        )
        if any(event.kind.startswith("task.") for event in pending.events):
            change.status, change.waiting_for = task.status, task.waiting_for
        if any(event.kind in _WITH_PLAN for event in pending.events) and task.plan is not None:
            change.plan = task.plan.to_json()
        return change

    def _step_rows(self, pending: _Pending) -> Rows:
        # New rows are inserted as they are at their beginning, then brought up to date like the others.
        numbers = pending.touched | {step.number for step in pending.added}
        return [step_row(self.task.id, self.task.steps[number]) for number in sorted(numbers)]
