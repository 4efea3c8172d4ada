"""The coordinator as an A2A agent: send it a task in words, or register with it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection, select

from a2a.agent import Agent
from a2a.card_types import AgentExtension
from a2a.registration import EXTENSION_URI
from a2a.skill import InputRequired, Produced, Progress, Rejected, Reply, Request, SkillFailed
from a2a.types import Artifact, Json, Part
from coordinator.api.inbox import inbox_url
from coordinator.api.services import Services
from coordinator.executor.artifacts import read_artifacts
from coordinator.executor.creation import NewTask
from coordinator.executor.errors import WrongState
from coordinator.executor.events import list_events
from coordinator.executor.queries import AnyRow, find_task, view_task
from coordinator.memory.store import ensure_session
from coordinator.registry.errors import RegistryError
from coordinator.registry.membership import BadOperation, Membership
from coordinator.version import VERSION
from models.states import StepStatus, TaskStatus
from models.tables import Task

LOOK_EVERY_S = 1.0
EVENTS_AT_ONCE = 200


class Face:
    """`services` is there once the process has started; the card is needed before."""

    def __init__(self, url: str) -> None:
        self.services: Services | None = None
        self.is_closing = False
        self.agent = Agent(
            name="Parley coordinator",
            description="Plans a task given in plain words, has its steps done by the agents of the network,"
            " and returns the result with its sources and gaps.",
            version=VERSION,
            url=url,
            extensions=[
                AgentExtension(uri=EXTENSION_URI, description="Agents register, send heartbeats and leave.")
            ],
        )
        self.agent.skill(
            id="coordinate",
            name="Coordinate a task",
            description="Plan a task, run its steps on the agents that can do them, return the result.",
            tags=["planning", "orchestration", "delegation"],
            examples=["Research how agents register with the coordinator and summarise it"],
            input_modes=["*/*"],
            output_modes=["text/markdown", "application/json", "*/*"],
            replies=True,
            on_cancel=self.cancel_asking,
        )(self.coordinate)

    async def coordinate(self, request: Request) -> AsyncGenerator[Produced]:
        use = self.services
        assert use is not None
        operation = next((d for d in request.data if isinstance(d, dict) and "operation" in d), None)
        if operation is not None:
            yield Reply(Part.from_data(await _membership(use, operation)))
            return
        if not request.text.strip():
            raise Rejected("Say in a text part what is to be done.")
        beginning = asyncio.create_task(_begin_or_answer(use, request), name=f"begin {request.task_id}")
        try:
            task_id = await asyncio.shield(beginning)
            yield Progress(f"Taken on as {task_id}.")
            async for progress in _progress(use, task_id):
                yield progress
        except (asyncio.CancelledError, GeneratorExit):
            await asyncio.shield(self._abandon(use, beginning))
            raise
        for artifact in await _outcome(use, task_id):
            yield artifact

    async def cancel_asking(self, a2a_task_id: str) -> None:
        """Cancel the task behind an A2A task whose caller cancels it instead of answering."""
        use = self.services
        assert use is not None
        task_id = await use.database.read(partial(_task_by_key, key=_key(a2a_task_id)))
        if task_id is not None:
            await _cancel(use, task_id)

    async def _abandon(self, use: Services, beginning: asyncio.Task[str]) -> None:
        """Canceled by the caller the task ends; when this process stops it goes on after the restart."""
        await asyncio.wait([beginning])
        if beginning.exception() is None and not self.is_closing:
            await _cancel(use, beginning.result())


async def _begin_or_answer(use: Services, request: Request) -> str:
    """The first turn of an A2A task makes a task; a later one answers what the task asked."""
    key = _key(request.task_id)
    known = await use.database.read(partial(_task_by_key, key=key))
    if known is not None:
        await _answer(use, known, request)
        return known
    # A namespace of its own: the client chooses the contextId, and sessions made over REST are not its.
    session_id = f"a2a_{request.context_id}"
    await use.database.write(partial(ensure_session, session_id=session_id, now=use.now()))
    inputs = [part for part in request.message.parts if part.is_attachment or part.data is not None]
    task = NewTask(request.text, tuple(inputs), session_id=session_id)
    creation = await use.executor.intake.create(task, idempotency_key=key)
    return creation.made or creation.state.id


async def _answer(use: Services, task_id: str, request: Request) -> None:
    """Hand the answer to the step that asked; where it was answered over REST already, there is none."""
    view = await use.database.read(partial(view_task, task_id=task_id))
    asked = request.history[-1].spoken_text() if request.history else ""
    step = asking_step(view.steps, asked)
    if step is not None:
        with suppress(WrongState):
            await use.executor.intake.answer(task_id, step.number, request.message.parts)


async def _cancel(use: Services, task_id: str) -> None:
    with suppress(WrongState):  # it has ended by itself
        await use.executor.intake.cancel(task_id)


def _key(a2a_task_id: str) -> str:
    return f"a2a:{a2a_task_id}"


def asking_step(steps: Sequence[AnyRow], asked: str | None = None) -> AnyRow | None:
    """The first step that waits for an answer: if there is one, the one that asked just this."""
    asking = [step for step in steps if step.status == StepStatus.INPUT_REQUIRED and step.answer is None]
    return next((step for step in asking if step.question == asked), next(iter(asking), None))


async def _membership(use: Services, operation: object) -> dict[str, object]:
    interval_s = use.settings.agents.heartbeat_interval_s
    membership = Membership(
        use.database,
        use.registry,
        heartbeat_interval_s=interval_s,
        inbox_url=partial(inbox_url, use.settings),
        now=use.now,
    )
    try:
        answer = await membership.handle(operation)
    except (BadOperation, RegistryError) as exc:
        raise Rejected(str(exc)) from exc
    if "agentId" in answer:  # a registration, not one of the many heartbeats
        use.executor.network.expire()
    return answer


def _task_by_key(connection: Connection, key: str) -> str | None:
    return connection.execute(select(Task.id).where(Task.idempotency_key == key)).scalar_one_or_none()


async def _progress(use: Services, task_id: str) -> AsyncGenerator[Progress]:
    """What happens, in words, until the task rests. Raises InputRequired where it asks."""
    after = 0
    with use.executor.news.listening(task_id) as news:
        while True:
            task = await use.database.read(partial(find_task, task_id=task_id))
            rows = await use.database.read(
                partial(list_events, task_id=task_id, after=after, limit=EVENTS_AT_ONCE)
            )
            for row in rows:
                after = row.number
                words = _words(row)
                if words is not None:
                    yield Progress(words)
            if rows:
                continue
            status = TaskStatus(task.status)
            if status.is_terminal:
                return
            if status is TaskStatus.INPUT_REQUIRED:
                raise InputRequired(await _question(use, task_id))
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await news.wait()
            except TimeoutError:
                continue
            news.clear()


def _words(row: AnyRow) -> str | None:
    data = row.data
    match row.kind:
        case "task.planned":
            return f"Planned {len(data['plan']['steps'])} steps."
        case "task.waiting":
            return str(data["reason"])
        case "step.started":
            return f"Step {data['step_number']}: {data['agent_name']} is working on it."
        case "step.progress":
            return f"Step {data['step_number']}: {data['text']}"
        case "step.waiting":
            return f"Step {data['step_number']} waits. {data['reason']}"
        case "step.retrying":
            return f"Step {data['step_number']} is tried again. {data['message']}"
        case _:
            return None


async def _question(use: Services, task_id: str) -> str:
    view = await use.database.read(partial(view_task, task_id=task_id))
    step = asking_step(view.steps)
    return step.question if step is not None and step.question else "Input is needed."


async def _outcome(use: Services, task_id: str) -> list[Artifact]:
    """The result as artifacts. Raises Rejected or SkillFailed for a task that has none."""
    task = await use.database.read(partial(find_task, task_id=task_id))
    match TaskStatus(task.status):
        case TaskStatus.COMPLETED:
            return await _artifacts(use, task)
        case TaskStatus.CANCELED:
            raise SkillFailed("The task was canceled at the coordinator.")
        case _ if task.error["code"] in ("UNKNOWN_TASK_TYPE", "PLAN_INVALID"):
            raise Rejected(task.error["message"])
        case _:
            raise SkillFailed(task.error["message"])


async def _artifacts(use: Services, task: AnyRow) -> list[Artifact]:
    stored = await use.database.read(partial(read_artifacts, task_id=task.id))
    files = [item for item in stored if item.step_number is not None and item.part.raw is not None]
    result = Artifact.of(*result_parts(task.id, task.result, task.gaps), name="result")
    return [result, *(Artifact.of(item.part, name=item.name) for item in files)]


def result_parts(task_id: str, result: dict[str, Json] | None, gaps: list[Json]) -> list[Part]:
    """The text, where there is one, and a data part with the sources and gaps."""
    result = result or {}
    text = result.get("text")
    data = Part.from_data({"taskId": task_id, "sources": result.get("sources", []), "gaps": gaps})
    return [Part.from_text(text, media_type="text/markdown"), data] if text else [data]
