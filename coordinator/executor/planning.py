"""How a claimed task gets its plan: the one that came with it, else the planner's over what is registered."""

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, select

from a2a.database import Database
from coordinator.executor.artifacts import Stored, read_artifacts
from coordinator.executor.state import Problem, TaskState
from coordinator.planner.errors import PlanInvalid, UnknownTaskType
from coordinator.planner.match import SkillIndex
from coordinator.planner.plan import Attachment, Plan, Strategy
from coordinator.planner.rules import plan_by_rules
from coordinator.registry.offers import SkillOffer
from coordinator.registry.store import list_offers
from models.tables import Task


@dataclass(frozen=True, slots=True)
class Planned:
    plan: Plan
    needs_approval: bool


@dataclass(frozen=True, slots=True)
class Unplannable:
    problem: Problem


@dataclass(frozen=True, slots=True)
class NotYet:
    """Planning makes no sense now; `reason` says what is missing."""

    reason: str


PlanningOutcome: TypeAlias = Planned | Unplannable | NotYet


class Planning:
    """Keeps the index of the offers between tasks and makes it anew when the offers change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._offers: list[SkillOffer] = []
        self._index = SkillIndex([])

    async def index(self) -> SkillIndex:
        async with self._lock:
            offers = await self._database.read(list_offers)
            if offers != self._offers:
                # Thousands of offers take a second to index: not on the event loop, and only once.
                self._offers, self._index = offers, await asyncio.to_thread(SkillIndex, offers)
            return self._index

    async def plan(self, task: TaskState) -> PlanningOutcome:
        index = await self.index()
        if not self._offers:
            return NotYet("No agent has registered yet. Start one with COORDINATOR_URL set.")
        strategy, approval, inputs = await self._database.read(
            lambda connection: _request(connection, task.id)
        )
        try:
            plan = plan_by_rules(task.description, index, attachments_of(inputs), strategy)
        except UnknownTaskType as exc:
            return Unplannable(Problem("UNKNOWN_TASK_TYPE", str(exc)))
        except PlanInvalid as exc:
            return Unplannable(Problem("PLAN_INVALID", str(exc)))
        return Planned(plan, needs_approval=approval == "plan")


def _request(connection: Connection, task_id: str) -> tuple[Strategy, str, list[Stored]]:
    row = connection.execute(select(Task.strategy, Task.approval).where(Task.id == task_id)).one()
    return Strategy(row.strategy), row.approval, read_artifacts(connection, task_id, steps=[None])


def attachments_of(inputs: list[Stored]) -> list[Attachment]:
    return [Attachment(stored.filename, stored.media_type) for stored in inputs]
