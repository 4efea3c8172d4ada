"""The attempts of a task's steps, from the choice of an agent to an outcome."""

from datetime import timedelta
from functools import partial

import structlog

from a2a.database import Database
from a2a.types import Json, Message, Part, Task
from coordinator.clock import Now
from coordinator.executor.artifacts import (
    message_parts,
    read_artifacts,
)
from coordinator.executor.dispatch import Dispatcher, Watcher
from coordinator.executor.events import Event
from coordinator.executor.outcomes import StepWriter
from coordinator.executor.state import (
    AttemptFailed,
    Lease,
    NoAgent,
    Outcome,
    Problem,
    StepState,
    TaskState,
)
from coordinator.planner.plan import PlanStep
from coordinator.registry.choice import NobodyFits, choose
from coordinator.registry.store import Route, list_routes
from models.ids import new_id
from models.states import StepStatus

log = structlog.get_logger(__name__)

MAX_PROGRESS_EVENTS = 500


class StepRunner:
    """Runs the attempts of claimed tasks; `timeout_s` bounds each of them."""

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        writer: StepWriter,
        *,
        timeout_s: float,
        now: Now,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._writer = writer
        self._timeout_s = timeout_s
        self._now = now

    async def attempt(self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep) -> None:
        """One attempt, from the choice of an agent to the written outcome; an answered question goes on."""
        if step.answer is not None and step.remote_task_id is not None:
            outcome = await self._answer(lease, task, step)
        else:
            outcome = await self._begin(lease, task, step, planned)
        await self._writer.conclude(lease, task, step, outcome)

    async def reattach(self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep) -> None:
        """Find again what was running when the process before this one died. A known remote task is followed;
        where only the message is known it is sent again under its own id, which may have run twice."""
        route = await self._route_of(step)
        if route is None:
            outcome: Outcome = AttemptFailed(
                Problem("AGENT_GONE", "The agent left while the step was running."), retryable=True
            )
        elif step.answer is not None and step.remote_task_id is not None:
            outcome = await self._answer(lease, task, step)
        elif step.remote_task_id is not None:
            await self._writer.write(lease, step, Event("step.reattached", {"step_number": step.number}))
            outcome = await self._follow(lease, task, step, route)
        else:
            step.may_have_run_twice = True
            event = Event("step.resent", {"step_number": step.number})
            await self._writer.write(lease, step, event, may_have_run_twice=True)
            outcome = await self._send(lease, task, step, planned, route)
        await self._writer.conclude(lease, task, step, outcome)

    async def stop(self, lease: Lease, step: StepState, problem: Problem | None) -> None:
        """End an open step: cancel its remote task, if it has one, and write down what the agent said."""
        answer = None
        if step.remote_task_id is not None and step.status is not StepStatus.PENDING:
            route = await self._route_of(step)
            answer = (
                await self._dispatcher.cancel(route.interface, step.remote_task_id) if route else "unknown"
            )
        step.status = StepStatus.CANCELED if problem is None else StepStatus.FAILED
        step.error = problem
        data: dict[str, Json] = {"step_number": step.number, "remote_task": answer}
        kind = "step.canceled" if problem is None else "step.failed"
        await self._writer.write(
            lease,
            step,
            Event(kind, data | (problem.to_json() if problem else {})),
            status=step.status,
            waiting_for=None,
            error=problem.to_json() if problem else None,
            completed_at=self._now(),
        )

    async def _begin(self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep) -> Outcome:
        route = await self._choose(step, planned)
        if isinstance(route, NobodyFits):
            return NoAgent(route.reason)
        is_same_agent = step.is_uncertain and route.agent_id == step.agent_id
        lost_contact = step.error is not None and step.error.code == "AGENT_UNREACHABLE"
        if is_same_agent and lost_contact and step.remote_task_id is not None:
            await self._start(lease, step, route)
            return await self._follow(lease, task, step, route)
        if not (is_same_agent and lost_contact):
            # Under its old id the agent that may have the message already would not take it twice; any other
            # message is a new one, and what the old one did is not known.
            step.message_id = new_id("message")
            step.may_have_run_twice = step.may_have_run_twice or step.is_uncertain
        step.remote_task_id = step.remote_context_id = None
        await self._start(lease, step, route)
        return await self._send(lease, task, step, planned, route)

    async def _choose(self, step: StepState, planned: PlanStep) -> Route | NobodyFits:
        routes = await self._database.read(partial(list_routes, skill_id=step.skill_id))
        return choose(
            routes,
            skill_id=step.skill_id,
            pinned=planned.agent_id,
            preferred=[c.agent_id for c in planned.candidates if c.skill_id == step.skill_id],
            failed=step.failed_agents,
        )

    async def _start(self, lease: Lease, step: StepState, route: Route) -> None:
        """Commit what is about to be tried, before anything is sent."""
        step.status, step.agent_id = StepStatus.RUNNING, route.agent_id
        step.attempt += 1
        step.is_uncertain = False
        data: dict[str, Json] = {
            "step_number": step.number,
            "agent_id": route.agent_id,
            "agent_name": route.name,
            "attempt": step.attempt,
        }
        await self._writer.write(
            lease,
            step,
            Event("step.started", data),
            status=step.status,
            attempt=step.attempt,
            agent_id=step.agent_id,
            message_id=step.message_id,
            remote_task_id=step.remote_task_id,
            remote_context_id=step.remote_context_id,
            may_have_run_twice=step.may_have_run_twice,
            waiting_for=None,
            retry_at=None,
            started_at=self._now(),
        )

    async def _follow(self, lease: Lease, task: TaskState, step: StepState, route: Route) -> Outcome:
        assert step.remote_task_id is not None
        return await self._dispatcher.follow(
            route.interface,
            step.remote_task_id,
            timeout_s=self._time_left_s(task),
            watcher=self._watcher(lease, step),
        )

    async def _send(
        self, lease: Lease, task: TaskState, step: StepState, planned: PlanStep, route: Route
    ) -> Outcome:
        stored = await self._database.read(
            lambda connection: read_artifacts(connection, task.id, steps=[None, *step.depends_on])
        )
        carried = [
            item for item in stored if item.step_number is not None or item.filename in planned.attachments
        ]
        parts, refused = message_parts(step.instruction, carried, route.input_modes)
        if refused:
            data = {"step_number": step.number, "agent_name": route.name, "files": refused}
            await self._writer.write(lease, step, Event("step.files_left_out", data))
        message = Message.from_user(
            *parts,
            context_id=task.session_id,
            metadata={"skillId": step.skill_id},
            message_id=step.message_id,
        )
        return await self._deliver(lease, task, step, route, message)

    async def _answer(self, lease: Lease, task: TaskState, step: StepState) -> Outcome:
        """Go on with the remote task that had asked. The answer is kept until the agent has worked on it: a
        delivery that fails is tried again, under the same message id."""
        route = await self._route_of(step)
        if route is None:
            problem = Problem("AGENT_GONE", "The agent left before it got its answer.")
            return AttemptFailed(problem, retryable=True)
        parts = [Part.model_validate(part) for part in step.answer or []]
        if step.question is not None:
            step.question, step.message_id = None, new_id("message")
        else:
            step.attempt += 1
        step.status = StepStatus.RUNNING
        await self._writer.write(
            lease,
            step,
            Event("step.answered", {"step_number": step.number}),
            status=step.status,
            attempt=step.attempt,
            question=None,
            message_id=step.message_id,
        )
        message = Message.from_user(
            *parts,
            context_id=step.remote_context_id,
            task_id=step.remote_task_id,
            metadata={"skillId": step.skill_id},
            message_id=step.message_id,
        )
        return await self._deliver(lease, task, step, route, message)

    async def _deliver(
        self, lease: Lease, task: TaskState, step: StepState, route: Route, message: Message
    ) -> Outcome:
        return await self._dispatcher.send(
            route.interface,
            message,
            streaming=route.streaming,
            timeout_s=self._time_left_s(task),
            watcher=self._watcher(lease, step),
        )

    def _watcher(self, lease: Lease, step: StepState) -> Watcher:
        said: set[str] = set()

        async def seen(remote: Task) -> None:
            step.remote_task_id, step.remote_context_id = remote.id, remote.context_id
            await self._writer.write(
                lease, step, remote_task_id=remote.id, remote_context_id=remote.context_id
            )

        async def progress(text: str) -> None:
            if text and text not in said and len(said) < MAX_PROGRESS_EVENTS:
                said.add(text)
                data = {"step_number": step.number, "text": text}
                await self._writer.write(lease, step, Event("step.progress", data))

        return Watcher(seen, progress)

    async def _route_of(self, step: StepState) -> Route | None:
        routes = await self._database.read(partial(list_routes, skill_id=step.skill_id))
        return next((route for route in routes if route.agent_id == step.agent_id), None)

    def _time_left_s(self, task: TaskState) -> float:
        left = (task.deadline_at - self._now()) / timedelta(seconds=1)
        return max(0.0, min(left, self._timeout_s))
