"""Requests to agents that fetch them: put into the inbox, waited for, withdrawn; and the agents' visits.

The rows are the truth, so that several coordinators on one database work together. Wake-ups within the
process make it quick, and one look a second finds what another process has written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from a2a.database import Database
from a2a.types import Json
from coordinator.clock import Now
from coordinator.executor.events import Wakeups
from coordinator.health.absence import note_visit
from coordinator.registry.inbox import (
    InboxItem,
    RequestState,
    agents_with_requests,
    give_requests,
    not_wanted,
    put_request,
    request_state,
    requests_with_answers,
    take_answers,
    withdraw_request,
)
from coordinator.registry.mailbox import find_mailbox

LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Visit:
    """`holding` are the requests that the agent is working on, None where it does not say; `capacity` is how
    many it works on at once."""

    agent_id: str
    secret: str | None
    answers: dict[str, dict[str, Json]]
    holding: tuple[str, ...] | None
    wait_s: float
    limit: int
    capacity: int | None
    next_active_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """`canceled` are those that the agent holds and nobody waits for any more."""

    requests: list[InboxItem]
    canceled: list[str]

    def __bool__(self) -> bool:
        return bool(self.requests or self.canceled)


@dataclass(slots=True)
class _Poll:
    is_replaced: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)


class Inboxes:
    def __init__(self, database: Database, now: Now) -> None:
        self._database = database
        self._now = now
        # By the agent, and by the request.
        self._requests = Wakeups()
        self._answers = Wakeups()
        self._polls: dict[str, _Poll] = {}

    async def ask(self, item: InboxItem) -> dict[str, Json]:
        """The response, however long it takes. A canceled caller leaves the request where it is.

        Raises InboxFull, InboxGone and InboxAway."""
        with self._answers.listening(item.id) as answered:
            response = await self._database.write(partial(put_request, item=item, now=self._now()))
            self._requests.wake(item.agent_id)
            while response is None:
                await answered.wait()
                answered.clear()
                state = await self.state(item.id)
                response = state.response if state is not None else None
            return response

    async def state(self, request_id: str) -> RequestState | None:
        return await self._database.read(partial(request_state, request_id=request_id))

    async def withdraw(self, agent_id: str, request_id: str) -> RequestState | None:
        """The agent learns of it with its next visit, if it has it; what it had come to, None where it was
        not there."""
        state = await self._database.write(partial(withdraw_request, request_id=request_id))
        self._requests.wake(agent_id)
        return state

    async def visit(self, visit: Visit, is_gone: Callable[[], Awaitable[bool]]) -> Fetched:
        """Returns as soon as there is something, or after the agent's time. `is_gone` says whether it still
        listens. Raises AgentNotFound and InboxRefused."""
        ends_at = asyncio.get_running_loop().time() + visit.wait_s
        with (
            self._only_poll(visit.agent_id) as (poll, earlier),
            self._requests.listening(visit.agent_id) as news,
        ):
            if earlier is not None:
                # What it gives has to be given before this one looks what is lost.
                earlier.is_replaced.set()
                await earlier.has_ended.wait()
            answered, fetched = await self._database.write(partial(self._arrive, visit=visit))
            for request_id in answered:
                self._answers.wake(request_id)
            while not fetched and not poll.is_replaced.is_set():
                left_s = ends_at - asyncio.get_running_loop().time()
                if left_s <= 0 or await is_gone():
                    break
                if await _heard(news, poll.is_replaced, within_s=min(left_s, LOOK_EVERY_S)):
                    # What is given to one that has left would have to wait for its next visit.
                    if poll.is_replaced.is_set() or await is_gone():
                        break
                    news.clear()
                    fetched = await self._database.write(partial(self._look, visit=visit))
            return fetched

    async def look(self) -> None:
        """Wake whoever waits here for what another process has written."""
        if agent_ids := self._requests.keys():
            for agent_id in await self._database.read(partial(agents_with_requests, agent_ids=agent_ids)):
                self._requests.wake(agent_id)
        if request_ids := self._answers.keys():
            for request_id in await self._database.read(
                partial(requests_with_answers, request_ids=request_ids)
            ):
                self._answers.wake(request_id)

    def _arrive(self, connection: Connection, *, visit: Visit) -> tuple[list[str], Fetched]:
        now = self._now()
        find_mailbox(connection, visit.agent_id, visit.secret)
        answered = take_answers(connection, visit.agent_id, visit.answers, now)
        load = None
        if visit.capacity is not None:
            load = {"running": len(visit.holding or ()), "capacity": visit.capacity}
        note_visit(
            connection,
            visit.agent_id,
            wait_s=visit.wait_s,
            next_active_at=visit.next_active_at,
            load=load,
            now=now,
        )
        return answered, self._look(connection, visit=visit)

    def _look(self, connection: Connection, *, visit: Visit) -> Fetched:
        now = self._now()
        given = give_requests(connection, visit.agent_id, holding=visit.holding, limit=visit.limit, now=now)
        unanswered = [request_id for request_id in visit.holding or () if request_id not in visit.answers]
        return Fetched(given, not_wanted(connection, visit.agent_id, unanswered, now))

    @contextmanager
    def _only_poll(self, agent_id: str) -> Iterator[tuple[_Poll, _Poll | None]]:
        """The agent's visit, and the one that it replaces."""
        poll, earlier = _Poll(), self._polls.get(agent_id)
        self._polls[agent_id] = poll
        try:
            yield poll, earlier
        finally:
            poll.has_ended.set()
            if self._polls.get(agent_id) is poll:
                del self._polls[agent_id]


async def _heard(news: asyncio.Event, end: asyncio.Event, *, within_s: float) -> bool:
    """Whether one of the two was set in time."""
    waiting = [asyncio.ensure_future(event.wait()) for event in (news, end)]
    try:
        done, _ = await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in waiting:
            task.cancel()
