"""The agents of the network as searches and plans see them: one index in memory, level with the registry."""

import asyncio
import gc
from collections.abc import Iterable, Mapping
from contextlib import aclosing

import structlog

from coordinator.planner.match import SkillIndex
from coordinator.planner.postings import AnalysedOffer, analyse
from coordinator.registry.listing import Changes, ListedAgent, Listing
from models.states import HealthState

log = structlog.get_logger(__name__)

KEPT_S = 1.0
# Older than that is not answered from: the look is waited for.
STALE_S = 3.0
# So many agents enter the index between two turns of the event loop.
SLICE = 10
MANY = 1_000


class Network:
    """`edition` changes with whatever a list of the usable agents would show. Health indexes nothing."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._index = SkillIndex()
        self._lock = asyncio.Lock()
        self._looked_at = self._expired_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self.edition = 0

    @property
    def health(self) -> Mapping[str, HealthState]:
        """As of the last look, of every agent that was not removed."""
        return self._listing.health

    @property
    def is_empty(self) -> bool:
        """Whether nobody could get work."""
        return self._listing.agents.keys() <= self._index.postings.hidden

    def usable(self) -> list[ListedAgent]:
        """The agents that may get work, by name."""
        health = self.health
        agents = [
            agent
            for agent in self._listing.agents.values()
            if health.get(agent.id) is not HealthState.QUARANTINED
        ]
        return sorted(agents, key=lambda agent: (agent.name, agent.id))

    def find(self, agent_id: str) -> ListedAgent | None:
        return self._listing.agents.get(agent_id)

    def expire(self) -> None:
        """This process has changed the registry: what was looked up before is too old."""
        self._expired_at = asyncio.get_running_loop().time()

    async def index(self, *, fresh: bool = False) -> SkillIndex:
        """The index, a second old or a look in the background away from that; `fresh`: no older than this
        question. It is changed in place, and only on the event loop, so it holds still as long as nothing is
        awaited."""
        now = asyncio.get_running_loop().time()
        if fresh or self._looked_at < max(now - STALE_S, self._expired_at):
            await self._look_unless_after(now if fresh else now - KEPT_S)
        elif self._looked_at < now - KEPT_S and not self._lock.locked():
            # Nobody waits for it: the next question has what it finds.
            self._looking = asyncio.create_task(self._look_ahead(now - KEPT_S), name="look at agents")
        return self._index

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look_ahead(self, no_older_than: float) -> None:
        try:
            await self._look_unless_after(no_older_than)
        except Exception:
            # Whoever asks when the index is too old looks again, and is told.
            log.exception("network.look_failed")

    async def _look_unless_after(self, no_older_than: float) -> None:
        async with self._lock:
            if self._looked_at < max(no_older_than, self._expired_at):
                looking_at = asyncio.get_running_loop().time()
                await self._look()
                self._looked_at = looking_at

    async def _look(self) -> None:
        before, count = self._index.postings.version, 0
        async with aclosing(self._listing.look()) as look:
            async for changes in look:
                self._hide()  # before they enter: what is quarantined is not for the planner
                await self._apply(changes)
                count += len(changes.listed)
        self._hide()
        if self._index.postings.version != before:
            self.edition += 1  # only now is the listing level with the index
        if count >= MANY:
            # A million objects that stay: without this each full collection stops the process for 0.1 s.
            gc.freeze()

    def _hide(self) -> None:
        """From the planner, all that are quarantined but those that are being checked: a step of theirs waits
        for that rather than that the task is turned away."""
        postings, being_checked = self._index.postings, self._listing.being_checked
        quarantined = {id_ for id_, state in self.health.items() if state is HealthState.QUARANTINED}
        hidden = frozenset(quarantined - being_checked)
        if hidden != postings.hidden:
            postings.hidden = hidden
            self.edition += 1

    async def _apply(self, changes: Changes) -> None:
        for agent_id in changes.gone:
            self._index.postings.replace(agent_id, ())
        # The analysis takes a fifth of a millisecond a skill: not on the event loop.
        analysed = await asyncio.to_thread(_analyse, changes.listed)
        for done, (agent_id, offers) in enumerate(analysed, start=1):
            self._index.postings.replace(agent_id, offers)
            if done % SLICE == 0:
                await asyncio.sleep(0)


def _analyse(agents: Iterable[ListedAgent]) -> list[tuple[str, list[AnalysedOffer]]]:
    return [(agent.id, [analyse(offer) for offer in agent.offers]) for agent in agents]
