"""From a step that is ready to a message that may go out: an agent, a place on it, the message, the event.

What is prepared here is launched once the run has made its event durable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from a2a.types import Part
from coordinator.executor.artifacts import Stored, link_to, read_artifacts
from coordinator.executor.attempts import Attempts
from coordinator.executor.decide import stand_ins
from coordinator.executor.ledger import Ledger
from coordinator.executor.messages import build_message, build_parts, referred_steps
from coordinator.executor.slots import Ticket
from coordinator.executor.state import AttemptFailed, Problem, StepState, TaskState
from coordinator.executor.store import read_answer
from coordinator.executor.tools import RunTools
from coordinator.planner.template import TemplateError
from coordinator.registry.choice import Chosen, NobodyFits, Wish, choose
from coordinator.registry.routes import Route
from models.ids import new_id
from models.states import StepStatus

NO_AGENT_RETRY_S = 1.0
# A place on another agent may become free first: then the choice is made again.
QUEUE_AGAIN_S = 2.0
# More than this of a step's results is read again when it is needed.
MAX_KEPT_BYTES = 256 * 1024
OVER = ("REMOTE_TASK_LOST", "STEP_TIMEOUT", "AGENT_STOPPED")
GONE = AttemptFailed(
    Problem("AGENT_GONE", "The agent has left while the step was with it.", may_have_run=True), retryable=True
)
GONE_WITH_QUESTION = AttemptFailed(
    Problem("AGENT_GONE", "The agent left before it got the answer to its question."), retryable=False
)
NOT_TWICE = AttemptFailed(
    Problem("MAY_HAVE_RUN", "The agent may have done it, and it is not to be done twice.", may_have_run=True),
    retryable=False,
)


@dataclass(frozen=True, slots=True)
class _Launch:
    agent_id: str
    go: Callable[[], None]


class Starter:
    """`held` are the steps that found no agent, or no place on one, and when to look again."""

    def __init__(
        self,
        tools: RunTools,
        ledger: Ledger,
        attempts: Attempts,
        wake: Callable[[], None],
        inputs: list[Stored] | None,
    ) -> None:
        self._tools = tools
        self._slots = tools.attempts.slots
        self._task = ledger.task
        self._ledger = ledger
        self._attempts = attempts
        self._wake = wake
        self._tickets: dict[int, Ticket] = {}
        self._shelf: dict[int | None, list[Stored]] = {}
        self._launches: dict[int, _Launch] = {}
        self.held: dict[int, datetime] = {}
        if inputs is not None:
            self.shelve(None, inputs)

    @property
    def about_to_start(self) -> set[int]:
        return set(self._launches)

    def launch(self) -> None:
        """What was prepared; its intention is durable now."""
        launches, self._launches = self._launches, {}
        for launch in launches.values():
            launch.go()

    def leave(self) -> None:
        """Give back every place that no attempt has taken over."""
        for ticket in self._tickets.values():
            self._slots.leave(ticket)
        for launch in self._launches.values():
            self._slots.give_back(launch.agent_id)
        self._tickets, self._launches = {}, {}

    async def start(self, step: StepState) -> AttemptFailed | None:
        """Prepare the step's next attempt. None also where there is no agent for it, or no place on one: it
        is then held."""
        if step.has_answer and step.remote_task_id is not None:
            return await self._answer(step)
        chosen = await self._choose(step)
        if isinstance(chosen, NobodyFits):
            self._hold(step, chosen.reason, NO_AGENT_RETRY_S)
            return None
        route = chosen.route
        if not self._take_place(step, route):
            return None
        # Whatever happens until the launch is prepared, the place is not forgotten.
        self._launches[step.number] = _Launch(route.agent_id, _nothing)
        failure = await self._prepare_attempt(step, chosen)
        if failure is not None:
            del self._launches[step.number]
            self._slots.give_back(route.agent_id)
        return failure

    async def _prepare_attempt(self, step: StepState, chosen: Chosen) -> AttemptFailed | None:
        route = chosen.route
        # What the agent may have, or may be at, is looked for there, unless it is known to be over.
        is_open = step.is_uncertain and step.error is not None and step.error.code not in OVER
        again = route.agent_id == step.agent_id and is_open and step.message_id is not None
        message_id = step.message_id if again and step.message_id else new_id("message")
        twice = step.is_uncertain and not again
        if twice and _stays(step, route):
            return NOT_TWICE
        try:
            parts, refused = await self._parts(step, route)
        except TemplateError as exc:
            return AttemptFailed(Problem("REFERENCE_MISSING", str(exc)), retryable=False)
        self._ledger.emit(
            "step.started",
            step_number=step.number,
            agent_id=route.agent_id,
            agent_name=route.name,
            attempt=step.attempt + 1,
            message_id=message_id,
            memory_id=step.memory_id if again else route.memory_id,
            is_same_remote_task=again,
            may_have_run_twice=twice,
            choice=chosen.why,
        )
        if refused:
            self._ledger.emit(
                "step.files_left_out", step_number=step.number, agent_name=route.name, files=refused
            )
        self._prepare(step, route, parts, is_new=not again)
        return None

    async def reattach(self, step: StepState) -> AttemptFailed | None:
        """Find again what was running when the process before this one died."""
        route = await self.current_route(step)
        if route is None:
            return GONE
        if step.has_answer and step.remote_task_id is not None:
            return await self._answer(step)
        parts: list[Part] = []
        if step.remote_task_id is not None:
            self._ledger.emit("step.reattached", step_number=step.number)
        else:
            try:
                parts, _ = await self._parts(step, route)
            except TemplateError as exc:
                return AttemptFailed(Problem("REFERENCE_MISSING", str(exc)), retryable=False)
        self._slots.take(route.agent_id)
        self._prepare(step, route, parts, is_new=False)
        return None

    async def look(self, step: StepState) -> AttemptFailed | None:
        """Whether a remote task that asked has gone on by itself."""
        route = await self.current_route(step)
        if route is None:
            return GONE_WITH_QUESTION
        self._slots.take(route.agent_id)
        self._launches[step.number] = _Launch(route.agent_id, partial(self._attempts.look, step, route))
        return None

    async def current_route(self, step: StepState) -> Route | None:
        """To the agent that has the step; None where it has left, or is held: its card may have been changed
        to lead elsewhere."""
        if step.agent_id is None:
            return None
        for fresh in (False, True):
            routes = await self._tools.directory.routes(step.planned.skill_id, fresh=fresh)
            for route in routes:
                if route.agent_id == step.agent_id and not route.is_held:
                    return route
        return None

    def shelve(self, number: int | None, stored: list[Stored]) -> None:
        """Keep what a step produced at hand, unless it is much."""
        if sum(item.size_bytes for item in stored) <= MAX_KEPT_BYTES:
            self._shelf[number] = stored

    async def read_shelf(self, numbers: Sequence[int | None]) -> list[Stored]:
        """The artifacts of these steps (None: the task's files) in the order in which they came."""
        missing = [number for number in numbers if number not in self._shelf]
        found = {number: self._shelf[number] for number in numbers if number in self._shelf}
        if missing:
            read = partial(read_artifacts, task_id=self._task.id, steps=missing)
            for number in missing:
                found[number] = []
            for item in await self._tools.database.read(read):
                found[item.step_number].append(item)
            for number in missing:
                self.shelve(number, found[number])
        everything = [item for stored in found.values() for item in stored]
        return sorted(everything, key=lambda item: item.id)

    def _prepare(self, step: StepState, route: Route, parts: list[Part], *, is_new: bool) -> None:
        """The place on the agent is taken; the attempt gives it back."""
        attempts, context_id = self._attempts, self._task.session_id

        def go() -> None:
            if is_new:
                attempts.send(step, route, build_message(step, context_id, parts))
            elif step.remote_task_id is not None:
                attempts.follow(step, route)
            else:
                message = build_message(step, context_id, parts)
                attempts.recover(step, route, message, only_if_safe=_stays(step, route))

        self._launches[step.number] = _Launch(route.agent_id, go)

    async def _answer(self, step: StepState) -> AttemptFailed | None:
        """Go on with the remote task that had asked. The answer is kept until the agent has worked on it: a
        delivery that fails is tried again, under the same message id."""
        route = await self.current_route(step)
        if route is None:
            return GONE_WITH_QUESTION
        read = partial(read_answer, task_id=self._task.id, number=step.number)
        parts = [Part.model_validate(part) for part in await self._tools.database.read(read)]
        is_first = step.question is not None
        message_id = new_id("message") if is_first else step.message_id
        attempt = step.attempt if is_first else step.attempt + 1
        self._ledger.emit("step.answered", step_number=step.number, message_id=message_id, attempt=attempt)
        self._slots.take(route.agent_id)

        def go() -> None:
            message = build_message(step, step.remote_context_id, parts)
            self._attempts.answer(step, route, message)

        self._launches[step.number] = _Launch(route.agent_id, go)
        return None

    async def _choose(self, step: StepState) -> Chosen | NobodyFits:
        chosen = self._choose_among(step, await self._tools.directory.routes(step.planned.skill_id))
        # A step that waits already looks once a second, which is as old as what is kept.
        if not isinstance(chosen, NobodyFits) or step.number in self.held:
            return chosen
        fresh = await self._tools.directory.routes(step.planned.skill_id, fresh=True)
        return self._choose_among(step, fresh)

    def _choose_among(self, step: StepState, routes: Sequence[Route]) -> Chosen | NobodyFits:
        planned = step.planned
        pinned = planned.agent_id
        own_routes = [route for route in routes if route.agent_id == step.agent_id]
        if step.agent_id is not None and (planned.no_failover or any(_stays(step, r) for r in own_routes)):
            pinned = step.agent_id
        # A place that it was given is its own: without this it would look taken, and be given up for another.
        ticket = self._tickets.get(step.number)
        own = ticket.agent_id if ticket is not None and ticket.is_given else None
        wish = Wish(
            planned.skill_id,
            self._task.session_id,
            pinned=pinned,
            scores={c.agent_id: c.score for c in planned.candidates if c.skill_id == planned.skill_id},
            failed=step.failed_agents,
        )
        return choose(
            routes,
            wish,
            load=lambda route: max(
                route.running, self._slots.running(route.agent_id) - int(route.agent_id == own)
            ),
            has_room=lambda route: (
                self._slots.rests_until(route.agent_id, self._tools.now()) is None
                and (route.agent_id == own or self._slots.has_room(route.agent_id, route.capacity))
            ),
        )

    def _take_place(self, step: StepState, route: Route) -> bool:
        ticket = self._tickets.pop(step.number, None)
        rests_until = self._slots.rests_until(route.agent_id, self._tools.now())
        if rests_until is not None:
            if ticket is not None:
                self._slots.leave(ticket)
            reason = f"{route.name} asked not to be called before {rests_until:%H:%M:%S} UTC."
            left_s = (rests_until - self._tools.now()) / timedelta(seconds=1)
            self._hold(step, reason, min(left_s, QUEUE_AGAIN_S))
            return False
        if ticket is not None and ticket.is_given and ticket.agent_id == route.agent_id:
            self._slots.use(ticket)
            self.held.pop(step.number, None)
            return True
        if ticket is not None:
            self._slots.leave(ticket)
        if self._slots.has_room(route.agent_id, route.capacity):
            self._slots.take(route.agent_id)
            self.held.pop(step.number, None)
            return True

        def given() -> None:
            self.held.pop(step.number, None)
            self._wake()

        self._tickets[step.number] = self._slots.queue(
            route.agent_id, route.capacity, self._task.priority, given
        )
        reason = self._slots.why_no_room(route.agent_id, route.name, route.capacity)
        self._hold(step, reason, QUEUE_AGAIN_S)
        return False

    def _hold(self, step: StepState, reason: str, seconds: float) -> None:
        """The reason is told once, however long it lasts."""
        self.held[step.number] = self._tools.now() + timedelta(seconds=seconds)
        if step.waiting_for != reason or step.status is not StepStatus.PENDING:
            self._ledger.emit("step.waiting", step_number=step.number, reason=reason)

    async def _parts(self, step: StepState, route: Route) -> tuple[list[Part], list[str]]:
        """Raises TemplateError."""
        task = self._task
        used = stand_ins(task, step.depends_on)
        # What a list came to is what its items came to.
        sources = [number for source in used for number in (*_items(task, source), source)]
        referred = stand_ins(task, referred_steps(task, step))
        wanted: list[int | None] = list(dict.fromkeys([*sources, *referred]))
        if step.planned.attachments:
            wanted.append(None)
        shelf: dict[int | None, list[Stored]] = {}
        for item in await self.read_shelf(wanted):
            shelf.setdefault(item.step_number, []).append(item)
        built = build_parts(task, step, sources, shelf, route.input_modes, self._by_reference)
        return built.parts, built.refused

    def _by_reference(self, stored: Stored) -> Part | None:
        is_large = stored.size_bytes > self._tools.inline_bytes
        if stored.step_number is None or stored.part.url is not None or not is_large:
            return None
        return link_to(stored, self._tools.artifact_url(self._task.id, stored.id))


def _nothing() -> None:
    pass


def _stays(step: StepState, route: Route) -> bool:
    """Once sent, it goes to no other agent."""
    return step.planned.no_failover or route.no_failover


def _items(task: TaskState, number: int) -> list[int]:
    return [child.number for child in task.children_of(number) if child.status is StepStatus.COMPLETED]
