"""What the agents of the network are and offer, kept in memory and read again only where it has changed.

Several coordinators may share the database, so a look asks it for rows with new times. Rows are asked for
again over an overlap, since clocks differ and a transaction is seen later than the time it wrote; those that
have not changed are skipped. Every so often all rows are compared, for what no overlap covers.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from a2a.database import Database
from a2a.types import Json
from coordinator.clock import Now
from coordinator.registry.offers import MAX_FIELD_CHARS, SkillOffer
from models.base import DEFAULT_TENANT
from models.states import Admission, HealthState, Proof
from models.tables import Agent, AgentSkill

OVERLAP = timedelta(seconds=10)
COMPARE_ALL_S = 60.0
# So many agents are read and handed out at once.
CHUNK = 200
MAX_NAME_CHARS = 200
MAX_TEXTS = 100

Stamp = tuple[datetime, datetime | None]  # updated, removed


@dataclass(frozen=True, slots=True)
class ListedAgent:
    id: str
    name: str
    description: str
    version: str
    card_url: str
    registered_at: datetime
    updated_at: datetime
    offers: tuple[SkillOffer, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """Agents as they are now, and the ids of those that are gone."""

    listed: Sequence[ListedAgent] = ()
    gone: Sequence[str] = ()


class Listing:
    """`agents` and `health` are of the last look, as are the ids of those that are being checked and may soon
    get work. Looks must not overlap."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database = database
        self._now = now
        self.agents: dict[str, ListedAgent] = {}
        self.health: dict[str, HealthState] = {}
        self.being_checked: set[str] = set()
        self._stamps: dict[str, Stamp] = {}
        self._seen_until: datetime | None = None
        self._compared_at = float("-inf")

    async def look(self) -> AsyncGenerator[Changes]:
        """What has changed, in chunks. A chunk counts as known once the next one is asked for."""
        at, started = self._now(), asyncio.get_running_loop().time()
        is_full = self._seen_until is None or started - self._compared_at >= COMPARE_ALL_S
        since = self._seen_until - OVERLAP if self._seen_until is not None and not is_full else None
        rows = await self._database.read(partial(_stamps, since=since))
        missing = self._stamps.keys() - {row.id for row in rows} if is_full else set()
        changed = [row for row in rows if self._stamps.get(row.id) != (row.updated_at, row.removed_at)]
        here = [row for row in changed if row.removed_at is None]
        for row in rows:
            if row.removed_at is None:
                self._note_health(row)
        gone = [*missing, *(row.id for row in changed if row.removed_at is not None)]
        if gone:
            yield Changes(gone=gone)
        for agent_id in gone:
            self.agents.pop(agent_id, None)
            self.health.pop(agent_id, None)
            self.being_checked.discard(agent_id)
            self._stamps.pop(agent_id, None)
        self._stamps |= {row.id: (row.updated_at, row.removed_at) for row in changed if row.removed_at}
        for start in range(0, len(here), CHUNK):
            chunk = here[start : start + CHUNK]
            listed = await self._database.read(partial(_read, agent_ids=[row.id for row in chunk]))
            yield Changes(listed=listed)
            self.agents |= {agent.id: agent for agent in listed}
            self._stamps |= {row.id: (row.updated_at, None) for row in chunk}
        if is_full:
            self._compared_at = started
        self._seen_until = at

    def _note_health(self, row: Any) -> None:
        state = self.health[row.id] = HealthState(row.health)
        is_pending = row.proof == Proof.PENDING and row.admission == Admission.ADMITTED
        if is_pending and state is HealthState.QUARANTINED:
            self.being_checked.add(row.id)
        else:
            self.being_checked.discard(row.id)


def _stamps(connection: Connection, since: datetime | None) -> Sequence[Any]:
    query = select(Agent.id, Agent.updated_at, Agent.removed_at, Agent.health, Agent.proof, Agent.admission)
    query = query.where(Agent.tenant_id == DEFAULT_TENANT)
    if since is not None:
        times = (Agent.updated_at, Agent.removed_at, Agent.health_since)
        query = query.where(or_(*(time >= since for time in times)))
    return connection.execute(query).all()


def _read(connection: Connection, agent_ids: list[str]) -> list[ListedAgent]:
    skills: dict[str, list[Row[Any]]] = {}
    own = select(AgentSkill.__table__).where(AgentSkill.agent_id.in_(agent_ids))
    for skill in connection.execute(own.order_by(AgentSkill.skill_id)):
        skills.setdefault(skill.agent_id, []).append(skill)
    agents = connection.execute(select(Agent.__table__).where(Agent.id.in_(agent_ids)))
    return [_listed(row, skills.get(row.id, [])) for row in agents]


def _listed(row: Row[Any], skills: Sequence[Row[Any]]) -> ListedAgent:
    extensions = _extensions(row.card)
    return ListedAgent(
        id=row.id,
        name=row.name[:MAX_NAME_CHARS],
        description=row.description[:MAX_FIELD_CHARS],
        version=row.version[:MAX_NAME_CHARS],
        card_url=row.card_url,
        registered_at=row.registered_at,
        updated_at=row.updated_at,
        offers=tuple(_offer(row.name[:MAX_NAME_CHARS], skill, extensions) for skill in skills),
    )


def _offer(agent_name: str, row: Row[Any], extensions: tuple[str, ...]) -> SkillOffer:
    return SkillOffer(
        agent_id=row.agent_id,
        agent_name=agent_name,
        skill_id=row.skill_id,
        name=row.name[:MAX_FIELD_CHARS],
        description=row.description[:MAX_FIELD_CHARS],
        tags=_texts(row.tags, MAX_NAME_CHARS),
        examples=_texts(row.examples, MAX_FIELD_CHARS),
        input_modes=_texts(row.input_modes, MAX_NAME_CHARS),
        output_modes=_texts(row.output_modes, MAX_NAME_CHARS),
        extensions=extensions,
    )


def _texts(values: Sequence[str], max_chars: int) -> tuple[str, ...]:
    return tuple(value[:max_chars] for value in values[:MAX_TEXTS])


def _extensions(card: dict[str, Json]) -> tuple[str, ...]:
    declared = (card.get("capabilities") or {}).get("extensions") or ()
    return _texts([extension["uri"] for extension in declared], MAX_NAME_CHARS)
