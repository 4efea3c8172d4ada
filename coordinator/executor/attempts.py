"""The attempts of one task's steps that run in this process. Each reports to the run, which alone changes the
task: what it saw, what has to be durable before it goes on, and how it ended."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

from a2a.deduplication import memory_id_of
from a2a.errors import A2AError
from a2a.types import Json, Message, Task, format_timestamp
from coordinator.clock import Now
from coordinator.executor.delivery import Delivery, Durations, choose_delivery
from coordinator.executor.dispatch import CancelAnswer, Dispatcher, Found
from coordinator.executor.remote import CALL_TIMEOUT_S, Call, Listener
from coordinator.executor.slots import Slots
from coordinator.executor.state import Asked, AttemptFailed, Done, Outcome, Problem, StepState, TaskState
from coordinator.registry.mailbox import is_mailbox
from coordinator.registry.routes import Route
from models.ids import made_at
from models.states import StepStatus

MAX_PROGRESS_EVENTS = 500
CARD_TIMEOUT_S = 5.0
# What a step that was away gets at least: its result may be there already.
LAST_LOOK_S = 10.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """Events of an attempt that goes on. With `durable` it waits until they are."""

    number: int
    events: tuple[tuple[str, dict[str, Json]], ...]
    durable: asyncio.Future[None] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    number: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Crashed:
    number: int
    error: Exception


Report: TypeAlias = Recorded | Ended | Crashed


@dataclass(frozen=True, slots=True)
class AttemptTools:
    dispatcher: Dispatcher
    slots: Slots
    durations: Durations
    step_timeout_s: float
    now: Now


@dataclass(slots=True)
class _Running:
    route: Route
    work: asyncio.Task[None]
    said: set[str] = field(default_factory=set)


class Attempts:
    """`report` is called at once and must not wait. A stopped attempt reports nothing more."""

    def __init__(self, tools: AttemptTools, task: TaskState, report: Callable[[Report], None]) -> None:
        self._tools = tools
        self._task = task
        self._tell = report
        self._running: dict[int, _Running] = {}

    @property
    def numbers(self) -> set[int]:
        return set(self._running)

    def route_of(self, number: int) -> Route:
        return self._running[number].route

    def send(self, step: StepState, route: Route, message: Message) -> None:
        self._start(step, route, partial(self._send, step, route, message))

    def follow(self, step: StepState, route: Route) -> None:
        assert step.remote_task_id is not None
        self._start(step, route, partial(self._follow, step, route, step.remote_task_id))

    def look(self, step: StepState, route: Route) -> None:
        """Whether a remote task that asked has gone on by itself; then it is followed."""
        self._start(step, route, partial(self._look, step, route))

    def answer(self, step: StepState, route: Route, message: Message) -> None:
        """Give the agent what a person answered, if it still asks: it may have gone on by itself, and the
        answer may have arrived before."""
        self._start(step, route, partial(self._answer, step, route, message))

    def recover(self, step: StepState, route: Route, message: Message, *, only_if_safe: bool) -> None:
        """Find what became of a message that may have arrived; send it again under its id where nothing did.
        With `only_if_safe` only where it is proven that this does nothing twice."""
        self._start(step, route, partial(self._recover, step, route, message, only_if_safe=only_if_safe))

    def end(self, number: int) -> None:
        """The run has taken the attempt's report of its end."""
        running = self._running.pop(number)
        self._tools.slots.give_back(running.route.agent_id)

    async def stop(self, step: StepState, route: Route | None) -> CancelAnswer | None:
        """End the step's attempt, if it runs here, and its remote task; what the agent said to that. None
        where nothing was sent."""
        await self._abort([step.number])
        has_ended = step.status is StepStatus.PENDING and not step.is_uncertain
        if step.message_id is None or has_ended:
            return None
        if route is None:
            return "unknown"
        remote_task_id = step.remote_task_id
        if remote_task_id is None:
            found = await self._find(step, route)
            if found.task is None:
                withdrawn = await self._tools.dispatcher.withdraw(route.interface, step.message_id)
                never_came = withdrawn is None and found.is_missing and found.remembers
                return None if never_came else withdrawn or "unknown"
            remote_task_id = found.task.id
        return await self._tools.dispatcher.cancel(route.interface, remote_task_id)

    async def stop_all(self) -> None:
        """The process goes away or has lost the task: the remote tasks are left alone."""
        await self._abort(list(self._running))

    async def _abort(self, numbers: list[int]) -> None:
        stopped = [self._running.pop(number) for number in numbers if number in self._running]
        for running in stopped:
            running.work.cancel()
        if stopped:
            await asyncio.wait([running.work for running in stopped])
        for running in stopped:
            self._tools.slots.give_back(running.route.agent_id)

    def _start(
        self, step: StepState, route: Route, work: Callable[[], Coroutine[None, None, Outcome]]
    ) -> None:
        """`work` is not begun here: an attempt may be stopped before its task has run at all."""
        number = step.number
        task = asyncio.create_task(self._run(number, step, route, work), name=f"step {number}")
        self._running[number] = _Running(route, task)

    async def _run(
        self, number: int, step: StepState, route: Route, work: Callable[[], Coroutine[None, None, Outcome]]
    ) -> None:
        try:
            outcome = await work()
        except Exception as exc:  # noqa: BLE001 the edge of an attempt: the run raises it
            self._tell(Crashed(number, exc))
            return
        if isinstance(outcome, Done):
            # Since it began, wherever that was: a step that is taken up again was not quick.
            now = self._tools.now()
            took_s = (now - (step.started_at or now)) / timedelta(seconds=1)
            self._tools.durations.note(route.agent_id, step.planned.skill_id, took_s)
            self._tools.slots.answered(route.agent_id)
        elif isinstance(outcome, AttemptFailed) and outcome.problem.code == "AGENT_BUSY":
            self._tools.slots.found_busy(route.agent_id)
            if outcome.retry_after_s is not None:
                until = self._tools.now() + timedelta(seconds=outcome.retry_after_s)
                self._tools.slots.rest(route.agent_id, until)
        self._tell(Ended(number, outcome))

    async def _recover(
        self, step: StepState, route: Route, message: Message, *, only_if_safe: bool
    ) -> Outcome:
        found = await self._find(step, route)
        if found.task is not None:
            self._listener(step.number).seen(found.task)
            await self._record(step, "step.reattached")
            return await self._follow(step, route, found.task.id)
        if found.is_unreachable:
            sentence = "The agent could not be asked whether it has the step."
            return AttemptFailed(
                Problem("AGENT_UNREACHABLE", sentence, may_have_run=True), retryable=True, blames_agent=True
            )
        is_safe = (found.is_missing and found.remembers) or await self._remembers(step, route)
        if only_if_safe and not is_safe:
            sentence = "The agent may have done it; it is not to be done twice, and nothing tells."
            return AttemptFailed(Problem("MAY_HAVE_RUN", sentence, may_have_run=True), retryable=False)
        await self._record(step, "step.resent", may_have_run_twice=not is_safe)
        # It begins only now, however long this process was away.
        at_least_s = step.planned.timeout_s or self._tools.step_timeout_s
        return await self._send(step, route, message, at_least_s=at_least_s)

    async def _look(self, step: StepState, route: Route) -> Outcome:
        assert step.remote_task_id is not None
        if await self._tools.dispatcher.asks(route.interface, step.remote_task_id):
            return Asked(step.question or "", may_go_on=True)
        await self._record(step, "step.resumed")
        return await self._follow(step, route, step.remote_task_id)

    async def _answer(self, step: StepState, route: Route, message: Message) -> Outcome:
        assert step.remote_task_id is not None
        dispatcher, heard = self._tools.dispatcher, message.message_id
        if await dispatcher.asks(route.interface, step.remote_task_id, unless_heard=heard):
            return await self._send(step, route, message)
        return await self._follow(step, route, step.remote_task_id)

    async def _send(
        self, step: StepState, route: Route, message: Message, *, at_least_s: float = 0.0
    ) -> Outcome:
        call = self._call(step, route, at_least_s=at_least_s)
        outcome = await self._tools.dispatcher.send(call, message, self._listener(step.number))
        if not isinstance(outcome, AttemptFailed) or outcome.problem.code != "STEP_TIMEOUT":
            return outcome
        if await self._tools.dispatcher.withdraw(route.interface, message.message_id) == "canceled":
            return replace(outcome, problem=replace(outcome.problem, may_have_run=False))
        if step.remote_task_id is None:
            # A call that waits for the whole answer tells no id that could have been canceled.
            found = await self._find(step, route)
            if found.task is not None:
                await self._tools.dispatcher.cancel(route.interface, found.task.id)
        return outcome

    async def _follow(self, step: StepState, route: Route, remote_task_id: str) -> Outcome:
        call = self._call(step, route, at_least_s=LAST_LOOK_S)
        return await self._tools.dispatcher.follow(call, remote_task_id, self._listener(step.number))

    async def _find(self, step: StepState, route: Route) -> Found:
        assert step.message_id is not None
        context_id = step.remote_context_id or self._task.session_id
        return await self._tools.dispatcher.find(
            route.interface, step.message_id, context_id, made_at(step.message_id)
        )

    async def _remembers(self, step: StepState, route: Route) -> bool:
        """Whether the agent still has the memory in which the message would be, so that it deduplicates."""
        if step.memory_id is None:
            return False
        try:
            card = await self._tools.dispatcher.card(route.card_url, timeout_s=CARD_TIMEOUT_S)
        except A2AError:
            return False
        extensions = [extension.to_json() for extension in card.capabilities.extensions or ()]
        return memory_id_of(extensions) == step.memory_id

    async def _record(self, step: StepState, kind: str, **data: Json) -> None:
        """Returns once the event is durable."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        event = (kind, {"step_number": step.number, **data})
        self._tell(Recorded(step.number, (event,), durable))
        await durable

    def _listener(self, number: int) -> Listener:
        def seen(remote: Task) -> None:
            ids = {"remote_task_id": remote.id, "remote_context_id": remote.context_id}
            self._tell(Recorded(number, (("step.accepted", {"step_number": number, **ids}),)))

        def progress(text: str) -> None:
            said = self._running[number].said
            if text and text not in said and len(said) < MAX_PROGRESS_EVENTS:
                said.add(text)
                self._tell(Recorded(number, (("step.progress", {"step_number": number, "text": text}),)))

        return Listener(seen, progress)

    def _call(self, step: StepState, route: Route, *, at_least_s: float = 0.0) -> Call:
        ends_at = self.ends_at(step)
        left_s = (ends_at - self._tools.now()) / timedelta(seconds=1)
        task_left_s = (self._task.deadline_at - self._tools.now()) / timedelta(seconds=1)
        expected_s = self._tools.durations.expected_s(route.agent_id, step.planned.skill_id)
        delivery = choose_delivery(streams=route.streaming, pushes=route.pushes, expected_s=expected_s)
        timeout_s = max(0.0, min(task_left_s, max(left_s, at_least_s)))
        fetches = is_mailbox(route.interface)
        return Call(
            interface=route.interface,
            # Whatever is asked waits until the agent comes: one request, answered when it is done.
            delivery=Delivery.ANSWER if fetches else delivery,
            timeout_s=timeout_s,
            deadline=format_timestamp(ends_at),
            traceparent=traceparent(self._task, step),
            look_timeout_s=timeout_s if fetches else CALL_TIMEOUT_S,
        )

    def ends_at(self, step: StepState) -> datetime:
        """Of the attempt: it is not begun anew when the attempt is taken up again."""
        begun = step.started_at or self._tools.now()
        timeout_s = step.planned.timeout_s or self._tools.step_timeout_s
        return min(self._task.deadline_at, begun + timedelta(seconds=timeout_s))


def traceparent(task: TaskState, step: StepState) -> str:
    """W3C Trace Context: the trace of the request that made the task, or the task's own; the span is the
    message's."""
    trace_id = (task.traceparent or "").split("-")[1:2] or [task.id.rpartition("_")[2]]
    span_id = (step.message_id or task.id).rpartition("_")[2][-16:]
    return f"00-{trace_id[0]}-{span_id}-01"
