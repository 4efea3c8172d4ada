"""How a claimed task gets its plan, and how the plan changes while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from a2a.database import Database
from coordinator.executor.artifacts import Stored, read_artifacts
from coordinator.executor.network import Network
from coordinator.executor.state import Problem, StepState, TaskState
from coordinator.planner.errors import PlanInvalid, UnknownTaskType
from coordinator.planner.plan import Attachment, Plan, Strategy, validate_plan
from coordinator.planner.revise import Revision, revise_plan
from coordinator.planner.rules import plan_by_rules
from coordinator.registry.directory import Directory
from models.states import HealthState

MAX_REVISIONS = 10


@dataclass(frozen=True, slots=True)
class Planned:
    plan: Plan


@dataclass(frozen=True, slots=True)
class Unplannable:
    problem: Problem


@dataclass(frozen=True, slots=True)
class NotYet:
    """Planning makes no sense now; `reason` says what is missing."""

    reason: str


PlanningOutcome: TypeAlias = Planned | Unplannable | NotYet


class Planning:
    def __init__(self, database: Database, directory: Directory, network: Network) -> None:
        self._database = database
        self._directory = directory
        self._network = network

    async def check(self, plan: Plan, attachment_names: Sequence[str]) -> None:
        """Whether a plan that came with a task can run on what is registered. Raises PlanInvalid."""
        skills = dict.fromkeys(step.skill_id for step in plan.steps)
        try:
            validate_plan(plan, await self._offering(skills, fresh=False), attachment_names)
        except PlanInvalid:
            # What was kept of the registry may be a moment old.
            validate_plan(plan, await self._offering(skills, fresh=True), attachment_names)

    async def preview(self, description: str, inputs: Sequence[Attachment], strategy: Strategy) -> Plan:
        """The plan that a task would get now. Raises UnknownTaskType, PlanInvalid."""
        index = await self._network.index()
        try:
            return plan_by_rules(description, index, inputs, strategy)
        except UnknownTaskType:
            # What was kept of the registry may be a moment old.
            return plan_by_rules(description, await self._network.index(fresh=True), inputs, strategy)

    async def plan(self, task: TaskState) -> PlanningOutcome:
        await self._network.index()
        if self._network.is_empty:
            await self._network.index(fresh=True)
        if self._network.is_empty:
            return NotYet("No agent has registered yet. Start one with COORDINATOR_URL set.")
        inputs = await self._database.read(partial(read_artifacts, task_id=task.id, steps=[None]))
        try:
            plan = await self.preview(task.description, attachments_of(inputs), task.strategy)
        except UnknownTaskType as exc:
            return Unplannable(Problem("UNKNOWN_TASK_TYPE", str(exc)))
        except PlanInvalid as exc:
            return Unplannable(Problem("PLAN_INVALID", str(exc)))
        return Planned(plan)

    async def revise(self, task: TaskState) -> Revision | None:
        """A better plan for what has not started, with the adaptive strategy, a bounded number of times."""
        plan = task.plan
        if task.strategy is not Strategy.adaptive or plan is None or plan.version > MAX_REVISIONS:
            return None
        index = await self._network.index()
        failed = [step.number for step in task.steps.values() if _has_failed(step)]
        open_steps = [step.number for step in task.steps.values() if not step.status.is_terminal]
        begun = [step.number for step in task.steps.values() if step.attempt > 0]
        return revise_plan(
            plan, index.offers, failed=failed, still_open=open_steps, begun=begun, highest=max(task.steps)
        )

    async def _offering(self, skills: Sequence[str] | dict[str, None], *, fresh: bool) -> dict[str, set[str]]:
        """Skill id -> the agents that offer it."""
        offering = {}
        for skill_id in skills:
            routes = await self._directory.routes(skill_id, fresh=fresh)
            agents = {route.agent_id for route in routes if route.health is not HealthState.QUARANTINED}
            if agents:
                offering[skill_id] = agents
        return offering


def _has_failed(step: StepState) -> bool:
    return step.status.is_terminal and step.error is not None and not step.is_quiet


def attachments_of(inputs: list[Stored]) -> list[Attachment]:
    return [Attachment(stored.filename, stored.media_type) for stored in inputs]
