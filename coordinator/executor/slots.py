"""How many steps run at once: in all, and on each agent as far as it can take them.

An agent's capacity is what its heartbeats declare, else all, until it is found to be less: an agent that says
it is busy gets fewer at once, and slowly more again while it answers. One that says for how long is not asked
before.
"""

import heapq
from collections.abc import Callable
from datetime import datetime
from itertools import count

GROW_AFTER = 10


class Ticket:
    """A place in the queue for an agent, which declared so many. `wake` is called once the place is given;
    until it is used or given back it counts as taken."""

    __slots__ = ("agent_id", "declared", "is_given", "is_over", "wake")

    def __init__(self, agent_id: str, declared: int | None, wake: Callable[[], None]) -> None:
        self.agent_id = agent_id
        self.declared = declared
        self.wake = wake
        self.is_given = False
        self.is_over = False


class Slots:
    def __init__(self, max_running: int) -> None:
        self._max_running = max_running
        self._running: dict[str, int] = {}
        self._total = 0
        self._queues: dict[str, list[tuple[int, int, Ticket]]] = {}
        self._learned: dict[str, int] = {}
        self._answers: dict[str, int] = {}
        self._rests: dict[str, datetime] = {}
        self._numbers = count()

    def running(self, agent_id: str) -> int:
        return self._running.get(agent_id, 0)

    def limit(self, agent_id: str, declared: int | None) -> int:
        learned = self._learned.get(agent_id)
        known = declared if declared is not None else self._max_running
        return known if learned is None else min(known, learned)

    def has_room(self, agent_id: str, declared: int | None) -> bool:
        return self._total < self._max_running and self.running(agent_id) < self.limit(agent_id, declared)

    def why_no_room(self, agent_id: str, name: str, declared: int | None) -> str:
        """A sentence, where `has_room` says that there is none."""
        busy, limit = f"{name} is busy: it takes", self.limit(agent_id, declared)
        if self._total >= self._max_running:
            busy, limit = "The coordinator is busy: it runs", self._max_running
        return f"{busy} {limit} {'step' if limit == 1 else 'steps'} at once."

    def take(self, agent_id: str) -> None:
        """Whether there is room or not: what runs already runs."""
        self._running[agent_id] = self.running(agent_id) + 1
        self._total += 1

    def give_back(self, agent_id: str) -> None:
        self._running[agent_id] -= 1
        if not self._running[agent_id]:
            del self._running[agent_id]
        self._total -= 1
        while (ticket := self._next()) is not None:
            self.take(ticket.agent_id)
            ticket.is_given = True
            ticket.wake()

    def queue(self, agent_id: str, declared: int | None, priority: int, wake: Callable[[], None]) -> Ticket:
        """For a place on the agent, where it or all together have none."""
        ticket = Ticket(agent_id, declared, wake)
        heapq.heappush(self._queues.setdefault(agent_id, []), (-priority, next(self._numbers), ticket))
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The place is not wanted any more; one that was given goes to the next."""
        if ticket.is_over:
            return
        ticket.is_over = True
        if ticket.is_given:
            self.give_back(ticket.agent_id)

    def use(self, ticket: Ticket) -> None:
        """The given place is now that of a running step, which gives it back."""
        ticket.is_over = True

    def rest(self, agent_id: str, until: datetime) -> None:
        """The agent asked to be left in peace."""
        self._rests[agent_id] = max(until, self._rests.get(agent_id, until))

    def rests_until(self, agent_id: str, now: datetime) -> datetime | None:
        until = self._rests.get(agent_id)
        if until is not None and until <= now:
            del self._rests[agent_id]
            return None
        return until

    def found_busy(self, agent_id: str) -> None:
        self._learned[agent_id] = max(1, self.running(agent_id) - 1)
        self._answers[agent_id] = 0

    def answered(self, agent_id: str) -> None:
        """One more at once after every few good answers, until there is nothing left to learn."""
        learned = self._learned.get(agent_id)
        if learned is None:
            return
        self._answers[agent_id] = self._answers.get(agent_id, 0) + 1
        if self._answers[agent_id] >= GROW_AFTER:
            self._answers[agent_id] = 0
            self._learned[agent_id] = learned + 1
            if learned + 1 >= self._max_running:
                del self._learned[agent_id]

    def _next(self) -> Ticket | None:
        """The first of those who wait for a place that there is."""
        heads = []
        for agent_id, queue in list(self._queues.items()):
            while queue and queue[0][2].is_over:
                heapq.heappop(queue)
            if not queue:
                del self._queues[agent_id]
            elif self.has_room(agent_id, queue[0][2].declared):
                heads.append((queue[0], queue))
        if not heads:
            return None
        _, queue = min(heads, key=lambda head: head[0][:2])
        return heapq.heappop(queue)[2]
