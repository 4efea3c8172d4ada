"""Whatever a plan is and whatever its steps come to, the decisions bring the task to an end, in order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.executor.decide import Around, decide
from coordinator.executor.history import Event, evolve
from coordinator.executor.state import (
    AskApproval,
    Command,
    Dispatch,
    Expand,
    Fail,
    Finish,
    Gather,
    Problem,
    Reattach,
    Skip,
    StepState,
    Stop,
    TaskState,
    Wait,
)
from coordinator.planner.plan import Plan
from models.states import StepStatus, TaskStatus
from tests.support.random_plans import DATA, plans
from tests.support.task_states import NOW

DEADLINE = NOW + timedelta(hours=1)
SECOND = timedelta(seconds=1)
MAX_ROUNDS = 400


@dataclass
class Play:
    """The core driven without anything around it: agents, people and crashes are drawn."""

    task: TaskState
    draw: Any
    max_parallel: int
    now: datetime = NOW
    active: set[int] = field(default_factory=set)
    held: dict[int, datetime] = field(default_factory=dict)
    ends: dict[int, StepStatus] = field(default_factory=dict)

    def until_the_end(self) -> Finish:
        for _ in range(MAX_ROUNDS):
            around = Around(set(self.active), dict(self.held), self.max_parallel)
            for command in decide(self.task, self.now, around):
                if isinstance(command, Finish):
                    self.emit(f"task.{command.status}")
                    return command
                self.do(command)
                self.check()
        raise AssertionError("the task does not come to an end")

    def happens(self, chances: int, of: int) -> bool:
        return bool(self.draw(st.integers(1, of)) > of - chances)

    def emit(self, kind: str, **data: Any) -> None:
        evolve(self.task, Event(kind, data), self.now)

    def check(self) -> None:
        """What has ended stays as it ended; no more runs at once than allowed."""
        for number, status in self.ends.items():
            assert self.task.steps[number].status is status
        self.ends |= {n: step.status for n, step in self.task.steps.items() if step.status.is_terminal}
        for parent in self.task.steps.values():
            running = [n for n in self.active if self.task.steps[n].parent == parent.number]
            limit = parent.planned.max_parallel
            assert limit is None or len(running) <= limit

    def do(self, command: Command) -> None:
        match command:
            case Dispatch(number):
                self.start(self.task.steps[number])
            case Reattach(number):
                assert number not in self.active
                assert self.task.steps[number].status is StepStatus.RUNNING
                self.active.add(number)
            case Skip(number, problem):
                self.emit("step.skipped", step_number=number, reason=problem.message, code=problem.code)
            case Fail(number, problem):
                self.emit("step.failed", step_number=number, **problem.to_json())
            case Expand(number, items):
                first = max(self.task.steps) + 1
                children = list(range(first, first + len(items)))
                self.emit("step.expanded", step_number=number, children=children, items=list(items))
            case Gather(number):
                self.gather(self.task.steps[number])
            case AskApproval(number):
                assert self.task.steps[number].waiting_for is None
                self.emit("step.awaiting_approval", step_number=number)
            case _:
                self.stop_or_wait(command)

    def stop_or_wait(self, command: Command) -> None:
        match command:
            case Stop(number, problem):
                self.active.discard(number)
                if not self.task.steps[number].status.is_terminal:
                    kind = "step.canceled" if problem is None else "step.failed"
                    self.emit(kind, step_number=number, **(problem.to_json() if problem else {}))
            case Wait():
                self.wait(command)
            case _:
                raise AssertionError(command)

    def start(self, step: StepState) -> None:
        assert step.number not in self.active
        assert len(self.active) < self.max_parallel
        if self.task.strategy == "sequential":
            running = [s.number for s in self.task.steps.values() if s.status is StepStatus.RUNNING]
            assert running in ([], [step.parent])
        if step.has_answer and step.remote_task_id is not None:
            is_first = step.question is not None
            attempt = step.attempt + (not is_first)
            self.emit("step.answered", step_number=step.number, message_id="m", attempt=attempt)
        elif self.now < NOW + 10 * SECOND and self.happens(1, 6):
            self.held[step.number] = self.now + SECOND
            self.emit("step.waiting", step_number=step.number, reason="No agent.")
            return
        else:
            self.check_needs(step)
            self.emit(
                "step.started",
                step_number=step.number,
                attempt=step.attempt + 1,
                agent_id="agent",
                message_id="m",
                memory_id=None,
                is_same_remote_task=False,
                may_have_run_twice=False,
            )
        self.held.pop(step.number, None)
        self.active.add(step.number)

    def check_needs(self, step: StepState) -> None:
        """All it needs has settled, in a way that it can do with."""
        planned, steps = step.planned, self.task.steps
        if step.parent is not None:
            assert steps[step.parent].status is StepStatus.RUNNING
        if planned.approval and step.parent is None:
            assert step.is_approved
        if planned.fallback_for is not None:
            first = steps[planned.fallback_for]
            assert first.status in (StepStatus.FAILED, StepStatus.SKIPPED)
            assert not first.is_quiet
        for number in planned.depends_on:
            chain = [steps[number], *self.stand_ins(number)]
            completed = [link for link in chain if link.status is StepStatus.COMPLETED]
            if not completed:
                assert all(link.status.is_terminal for link in chain)
                assert steps[number].requirement == "optional" or steps[number].is_quiet
            elif completed[0] is not chain[0]:
                assert steps[number].status.is_terminal

    def stand_ins(self, number: int) -> list[StepState]:
        found = [s for s in self.task.steps.values() if s.planned.fallback_for == number and s.parent is None]
        return [*found, *(more for step in found for more in self.stand_ins(step.number))]

    def gather(self, step: StepState) -> None:
        children = self.task.children_of(step.number)
        assert all(child.status.is_terminal for child in children)
        if any(child.status is not StepStatus.COMPLETED for child in children):
            self.emit("step.failed", step_number=step.number, **Problem("AGENT_FAILED", "x").to_json())
        else:
            step.output = {"text": "", "data": [(child.output or {}).get("data") for child in children]}
            self.emit("step.completed", step_number=step.number)

    def wait(self, wait: Wait) -> None:
        if self.happens(1, 20):
            self.active.clear()  # the process died, another goes on
            self.held.clear()
        elif self.happens(1, 60):
            self.emit("task.cancel_requested")
        elif self.active:
            assert wait.rest is None
            self.end_one()
        elif wait.rest is not None:
            self.ask_somebody(wait.rest)
        else:
            assert self.now < wait.until < DEADLINE, "nothing can ever happen, and nothing is done about it"
            self.now = wait.until

    def end_one(self) -> None:
        """An attempt ends in one way or another."""
        number = self.draw(st.sampled_from(sorted(self.active)))
        self.active.remove(number)
        step = self.task.steps[number]
        problem = Problem("AGENT_FAILED", "x").to_json()
        match self.draw(st.sampled_from(["done", "done", "done", "failed", "again", "asks"])):
            case "done":
                data = self.draw(DATA)
                step.output = {"text": "t"} | ({} if data is None else {"data": data})
                self.emit("step.completed", step_number=number)
            case "failed":
                self.emit("step.failed", step_number=number, **problem)
            case "again" if step.attempt < 3:
                retry_at = (self.now + SECOND).isoformat()
                self.emit("step.retrying", step_number=number, **problem, retry_at=retry_at)
            case "asks" if step.attempt < 3:
                self.emit("step.accepted", step_number=number, remote_task_id="r", remote_context_id="c")
                self.emit("step.input_required", step_number=number, question="Which?")
            case _:
                self.emit("step.failed", step_number=number, **problem)

    def ask_somebody(self, rest: TaskStatus) -> None:
        steps = self.task.steps.values()
        if self.happens(1, 10):
            self.now = DEADLINE
        elif rest is TaskStatus.INPUT_REQUIRED:
            asking = [step.number for step in steps if step.status is StepStatus.INPUT_REQUIRED]
            self.emit("task.input_required", step_number=asking[0], question="Which?")
            self.emit("task.input_given", step_number=self.draw(st.sampled_from(asking)))
        else:
            gates = [s.number for s in steps if s.waiting_for and s.planned.approval and not s.is_approved]
            assert gates
            self.emit("task.awaiting_approval")
            self.emit("step.approved", step_number=self.draw(st.sampled_from(gates)))
            self.emit("task.executing")


def planned(plan: Plan) -> TaskState:
    task = TaskState(
        id="task_1",
        session_id="session_1",
        description="do it",
        strategy=plan.strategy,
        deadline_at=DEADLINE,
    )
    evolve(task, Event("task.planned", {"plan": plan.to_json()}), NOW)
    evolve(task, Event("task.executing", {}), NOW)
    return task


@settings(max_examples=300, deadline=None)
@given(plan=plans(), data=st.data(), max_parallel=st.integers(1, 8))
def test_every_task_comes_to_an_end(plan: Plan, data: st.DataObject, max_parallel: int) -> None:
    play = Play(planned(plan), data.draw, max_parallel)
    finish = play.until_the_end()
    task = play.task
    assert task.status is finish.status
    assert task.status.is_terminal
    assert all(step.status.is_terminal for step in task.steps.values())
    if finish.status is TaskStatus.COMPLETED:
        check_completed(play)
    if finish.status is TaskStatus.FAILED:
        assert finish.problem is not None
        assert finish.problem.code != "STUCK"


def check_completed(play: Play) -> None:
    """Nothing that was required is missing, unless something stands in for it."""
    for step in play.task.steps.values():
        if step.requirement == "required" and step.parent is None and not step.is_quiet:
            chain = [step, *play.stand_ins(step.number)]
            assert any(link.status is StepStatus.COMPLETED for link in chain)
