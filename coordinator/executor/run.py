"""One claimed task, brought as far as it will go: decide, do what was decided, make it durable, then send.

Everything that happens to the task comes in here, one thing after the other: reports of attempts, what people
did, the passing of time. Nothing is sent whose intention is not durable.
"""

import asyncio
import random
from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from a2a.types import Json, Part
from coordinator.executor.aggregate import aggregate, gaps
from coordinator.executor.artifacts import Stored, store_parts
from coordinator.executor.attempts import Attempts, Crashed, Ended, Recorded, Report
from coordinator.executor.changes import Call, Ending
from coordinator.executor.decide import Around, decide, retry_at
from coordinator.executor.errors import NewsCame
from coordinator.executor.history import evolve
from coordinator.executor.ledger import Ledger
from coordinator.executor.messages import data_of, output_of
from coordinator.executor.planning import Planned, Unplannable
from coordinator.executor.starting import Starter
from coordinator.executor.state import (
    AskApproval,
    Asked,
    AttemptFailed,
    Command,
    Dispatch,
    Done,
    Expand,
    Fail,
    Finish,
    Gather,
    Lease,
    Look,
    Outcome,
    Problem,
    Reattach,
    Skip,
    StepState,
    Stop,
    TaskState,
    Wait,
)
from coordinator.executor.store import foreign_events
from coordinator.executor.tools import RunTools
from coordinator.registry.routes import STABLE_WEIGHT
from models.states import StepStatus, TaskStatus

NO_AGENTS_RETRY_S = 0.5


class Run:
    """`inputs` are the task's own files, where they are at hand."""

    def __init__(
        self, tools: RunTools, lease: Lease, task: TaskState, inputs: list[Stored] | None = None
    ) -> None:
        self._tools = tools
        self._task = task
        self._ledger = Ledger(tools.journal, lease, task, tools.now)
        self._attempts = Attempts(tools.attempts, task, self._hear)
        self._starter = Starter(tools, self._ledger, self._attempts, self._wake_up, inputs)
        self._reports: deque[Report] = deque()
        self._wake = asyncio.Event()
        self._must_look = False

    async def until_rest(self) -> None:
        """Returns when the task has ended or waits for a person. Raises LeaseLost."""
        tools, task = self._tools, self._task
        try:
            with tools.control.calling(task.id, self._look_soon):
                while not await self._go_on():
                    pass
        finally:
            self._starter.leave()
            await self._attempts.stop_all()
        tools.rests.wake(task.id)
        if task.webhook is not None and task.status.is_terminal:
            tools.webhook_due()

    def _look_soon(self) -> None:
        self._must_look = True
        self._wake.set()

    def _wake_up(self) -> None:
        self._wake.set()

    def _hear(self, report: Report) -> None:
        self._reports.append(report)
        self._wake.set()

    async def _go_on(self) -> bool:
        """One round; whether it was the last."""
        self._wake.clear()
        durable = await self._take_reports()
        if self._must_look or self._ledger.has_missed_news:
            await self._look()
        last = await self._advance()
        if not self._ledger.is_clean:
            await self._ledger.commit()
            self._tools.news.wake(self._task.id)
        is_over = isinstance(last, Finish)
        if isinstance(last, Wait) and last.rest is not None:
            is_over = await self._leave_to_person(last.rest)
        for waiting in durable:
            if not waiting.done():
                waiting.set_result(None)
        self._starter.launch()
        if not is_over and isinstance(last, Wait):
            await self._rest(last.until)
        return is_over

    async def _advance(self) -> Finish | Wait:
        """Do what is decided until there is nothing left but to wait, or the end."""
        while True:
            commands = await self._decide()
            stops = [command for command in commands if isinstance(command, Stop)]
            # All at once: an agent that does not answer its cancel holds up no other.
            await asyncio.gather(*(self._stop(stop) for stop in stops))
            for command in commands:
                match command:
                    case Finish():
                        await self._finish(command)
                        return command
                    case Wait():
                        return command
                    case Stop():
                        continue
                    case _:
                        await self._do(command)

    async def _decide(self) -> list[Command]:
        task, now = self._task, self._tools.now()
        if task.plan is None and not task.cancel_requested and now < task.deadline_at:
            planned = await self._make_plan()
            if planned is not None:
                return [planned]
        around = Around(
            active=self._attempts.numbers | self._starter.about_to_start,
            held=self._starter.held,
            max_parallel=self._tools.max_parallel_steps,
        )
        if task.plan is None:
            return [command for command in decide(task, now, around) if isinstance(command, Finish)]
        return decide(task, now, around)

    async def _make_plan(self) -> Finish | Wait | None:
        """None once there is a plan. A network without any agent is waited for: it may only just be
        starting."""
        task, ledger = self._task, self._ledger
        outcome = await self._tools.planning.plan(task)
        if isinstance(outcome, Unplannable):
            return Finish(TaskStatus.FAILED, outcome.problem)
        if not isinstance(outcome, Planned):
            if task.waiting_for != outcome.reason:
                ledger.emit("task.waiting", reason=outcome.reason)
            return Wait(self._tools.now() + timedelta(seconds=NO_AGENTS_RETRY_S))
        ledger.emit("task.planned", plan=outcome.plan.to_json())
        status = TaskStatus.AWAITING_APPROVAL if task.needs_approval else TaskStatus.EXECUTING
        ledger.emit(f"task.{status}")
        return None

    async def _do(self, command: Command) -> None:
        ledger = self._ledger
        match command:
            case Dispatch() | Reattach() | Look():
                await self._begin(command)
            case Skip(number, problem):
                ledger.emit("step.skipped", step_number=number, reason=problem.message, code=problem.code)
            case Fail(number, problem):
                ledger.emit("step.failed", step_number=number, **problem.to_json())
                await self._revise(f"Step {number} failed.")
            case Expand(number, items):
                first = max(self._task.steps) + 1
                children = list(range(first, first + len(items)))
                ledger.emit("step.expanded", step_number=number, children=children, items=list(items))
            case Gather(number):
                await self._gather(self._task.steps[number])
            case AskApproval(number):
                ledger.emit("step.awaiting_approval", step_number=number)
            case _:
                raise AssertionError(f"{command} is done elsewhere")

    async def _begin(self, command: Dispatch | Reattach | Look) -> None:
        step = self._task.steps[command.number]
        match command:
            case Dispatch():
                failure = await self._starter.start(step)
            case Reattach():
                failure = await self._starter.reattach(step)
            case Look():
                failure = await self._starter.look(step)
        if failure is not None:
            await self._fail(step, failure)

    async def _take_reports(self) -> list[asyncio.Future[None]]:
        """What attempts have told; the futures of those that wait until it is durable."""
        durable = []
        while self._reports:
            report = self._reports.popleft()
            if report.number not in self._attempts.numbers:
                continue  # of an attempt that was stopped
            match report:
                case Recorded(events=events):
                    for kind, data in events:
                        self._ledger.emit(kind, **data)
                    if self._task.status is TaskStatus.INPUT_REQUIRED and not _asks(self._task):
                        self._ledger.emit("task.executing")
                    if report.durable is not None:
                        durable.append(report.durable)
                case Ended(number, outcome):
                    await self._conclude(number, outcome)
                case Crashed(error=error):
                    raise error
        return durable

    async def _conclude(self, number: int, outcome: Outcome) -> None:
        step, route = self._task.steps[number], self._attempts.route_of(number)
        self._attempts.end(number)
        match outcome:
            case Done():
                self._complete(step, outcome)
                self._note(self._tools.suspects.of_success(route))
                await self._revise(f"Step {number} completed.")
            case Asked():
                self._ask(step, outcome)
            case AttemptFailed():
                self._note(self._tools.suspects.of_failure(route, outcome))
                if route.weight < STABLE_WEIGHT and not step.planned.no_failover:
                    # Whatever a canary made of the step, the agents beside it may do better.
                    outcome = replace(outcome, retryable=True)
                await self._fail(step, outcome)

    def _note(self, call: Call | None) -> None:
        # A step cut short by the task's own deadline says nothing about the agent.
        if call is not None and self._tools.now() < self._task.deadline_at:
            self._ledger.note_call(call)

    def _ask(self, step: StepState, outcome: Asked) -> None:
        again = None
        if outcome.may_go_on:
            again = (self._tools.now() + timedelta(seconds=self._tools.look_again_s)).isoformat()
        if step.status is StepStatus.INPUT_REQUIRED:
            self._ledger.emit("step.looked", step_number=step.number, look_again_at=again)
            return
        self._ledger.forget_answer(step)
        self._ledger.emit(
            "step.input_required", step_number=step.number, question=outcome.question, look_again_at=again
        )

    def _complete(self, step: StepState, outcome: Done) -> None:
        ledger = self._ledger
        stored = store_parts(step.number, outcome.artifacts)
        self._starter.shelve(step.number, stored)
        ledger.complete(step, stored, output_of(stored))
        for item in stored:
            ledger.emit("step.artifact", step_number=step.number, name=item.filename)
        ledger.emit("step.completed", step_number=step.number, agent_id=step.agent_id)

    async def _fail(self, step: StepState, failure: AttemptFailed) -> None:
        now, problem = self._tools.now(), failure.problem
        again = retry_at(step, failure, now, self._tools.retries, jitter=random.random())  # noqa: S311
        data = {"step_number": step.number, "agent_id": step.agent_id, **problem.to_json()}
        if again is not None:
            self._ledger.emit("step.retrying", **data, retry_at=again.isoformat())
        else:
            self._ledger.emit("step.failed", **data)
        if again is None:
            await self._revise(f"Step {step.number} failed: {problem.message}")

    async def _revise(self, occasion: str) -> None:
        """With the adaptive strategy the planner may change what has not started."""
        revision = await self._tools.planning.revise(self._task)
        if revision is not None:
            self._ledger.emit(
                "task.plan_revised",
                plan=revision.plan.to_json(),
                version=revision.plan.version,
                reason=f"{occasion} {revision.reason}",
            )

    async def _gather(self, step: StepState) -> None:
        """A list is completed where all of its items are; its data is the list of theirs."""
        children = self._task.children_of(step.number)
        failed = [child for child in children if child.status is not StepStatus.COMPLETED]
        if failed:
            first = next((child.error for child in failed if child.error is not None), None)
            sentence = f"{len(failed)} of {len(children)} items did not complete."
            problem = Problem(
                first.code if first is not None else "STEP_FAILED",
                sentence + (f" The first: {first.message}" if first is not None else ""),
            )
            self._ledger.emit("step.failed", step_number=step.number, **problem.to_json())
            await self._revise(f"Step {step.number} failed: {sentence}")
            return
        outputs = [child.output or {} for child in children]
        texts = [str(output.get("text", "")) for output in outputs]
        step.output = {
            "text": "\n\n".join(text for text in texts if text),
            "data": [await self._item_data(child) for child in children],
            "artifact_ids": [],
        }
        self._ledger.emit("step.completed", step_number=step.number, agent_id=None)

    async def _item_data(self, child: StepState) -> Json:
        """Its data, or its text where it gave none."""
        output = child.output or {}
        if output.get("data_left_out"):
            return data_of(await self._starter.read_shelf([child.number]))
        return output["data"] if "data" in output else output.get("text")

    async def _stop(self, stop: Stop) -> None:
        step = self._task.steps[stop.number]
        answer = None
        if not step.is_list:
            route = await self._starter.current_route(step)
            answer = await self._attempts.stop(step, route)
        if step.status.is_terminal:
            return
        data = {"step_number": step.number, "remote_task": answer}
        if stop.problem is None:
            self._ledger.emit("step.canceled", **data)
        else:
            self._ledger.emit("step.failed", **data, **stop.problem.to_json())

    async def _look(self) -> None:
        """Take in what others have done to the task."""
        self._must_look = self._ledger.has_missed_news = False
        seen = partial(foreign_events, task_id=self._task.id, after=self._task.last_look)
        for number, event in await self._tools.database.read(seen):
            evolve(self._task, event, self._tools.now())
            self._task.last_look = number
            self._ledger.last_number = max(self._ledger.last_number, number)

    async def _leave_to_person(self, status: TaskStatus) -> bool:
        """Whether the run can end here. False where somebody acted while it was about to."""
        data = {}
        if status is TaskStatus.INPUT_REQUIRED:
            steps = self._task.steps.values()
            asking = next(step for step in steps if step.status is StepStatus.INPUT_REQUIRED)
            data = {"step_number": asking.number, "question": asking.question}
        before = self._task.status, self._task.waiting_for
        if self._task.status is not status:
            self._ledger.emit(f"task.{status}", **data)
        try:
            await self._ledger.commit(unless_news=True)
        except NewsCame:
            # Nothing of it was written.
            self._task.status, self._task.waiting_for = before
            self._look_soon()
            return False
        self._tools.news.wake(self._task.id)
        return True

    async def _finish(self, finish: Finish) -> None:
        task = self._task
        problem = finish.problem.to_json() if finish.problem is not None else None
        done = [step.number for step in task.steps.values() if step.status is StepStatus.COMPLETED]
        stored = await self._starter.read_shelf(done)
        result = aggregate(task, stored)
        said = result.text if finish.status is TaskStatus.COMPLETED else _last_words(finish)
        self._ledger.emit(f"task.{finish.status}", **(problem or {}))
        self._ledger.end(
            Ending(
                result=result.to_json() if result.text else None,
                error=problem,
                gaps=gaps(task, task.plan.notes if task.plan is not None else ()),
                session_id=task.session_id,
                said=[Part.from_text(said).to_json()],
                webhook=task.webhook,
            )
        )

    async def _rest(self, until: datetime) -> None:
        """Until a step ends, somebody wakes us, or the time has come."""
        left_s = (until - self._tools.now()) / timedelta(seconds=1)
        if left_s <= 0 or self._wake.is_set() or self._reports:
            return
        try:
            async with asyncio.timeout(left_s):
                await self._wake.wait()
        except TimeoutError:
            return


def _asks(task: TaskState) -> bool:
    return any(step.status is StepStatus.INPUT_REQUIRED for step in task.steps.values())


def _last_words(finish: Finish) -> str:
    return finish.problem.message if finish.problem is not None else "The task was canceled."
