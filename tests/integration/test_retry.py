"""A task done again where it failed: what had completed comes along, the rest begins anew."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from a2a.database import Database
from a2a.types import Artifact as A2AArtifact
from a2a.types import Part
from coordinator.executor.artifacts import artifact_rows, read_artifacts, store_parts
from coordinator.executor.changes import SET_STEP, step_row
from coordinator.executor.creation import Creation, NewTask, create_tasks, prepare, step_rows
from coordinator.executor.errors import TaskNotFound, WrongState
from coordinator.executor.history import Event, evolve
from coordinator.executor.retry import prepare_retry
from coordinator.executor.state import StepState, TaskState
from coordinator.executor.store import claim_task
from coordinator.planner.plan import Plan, PlanStep, Requirement, Strategy
from models.states import StepStatus, TaskStatus
from models.tables import Artifact, Task, TaskEvent, TaskStep
from tests.support.rows import NOW, insert_agent

LATER = NOW + timedelta(hours=5)
ONE = PlanStep(1, "list the cities", "list")
TWO = PlanStep(2, "weather in {{item}}", "weather", depends_on=(1,), for_each="steps.1.data")
THREE = PlanStep(3, "sum it up", "summarise", depends_on=(2,))
REQUEST = NewTask(
    "weather everywhere",
    user_id="ann",
    strategy=Strategy.parallel,
    deadline_s=120,
    priority=3,
    webhook={"url": "http://hook", "secret": "s"},
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


class OldTask:
    """A task that came to its end step by step, as its run would have written it."""

    def __init__(self, connection: Connection, request: NewTask, files: Sequence[Part] = ()) -> None:
        self.connection = connection
        creation = prepare(request, list(files), NOW, key=None, default_deadline_s=600)
        create_tasks(connection, [creation])
        self.state: TaskState = creation.state
        self.agent_id = insert_agent(connection)

    @property
    def id(self) -> str:
        return self.state.id

    def complete(self, number: int, *parts: Part) -> None:
        step = self.state.steps[number]
        stored = store_parts(number, [A2AArtifact.of(part, name="result") for part in parts])
        if stored:
            self.connection.execute(insert(Artifact), artifact_rows(self.id, stored, NOW))
        step.agent_id, step.remote_task_id = self.agent_id, f"remote_{number}"
        step.output = {"text": parts[0].text or "", "artifact_ids": [item.id for item in stored]}
        self.happened("step.completed", number)

    def expand(self, number: int, items: list[str]) -> list[int]:
        first = max(self.state.steps) + 1
        children = list(range(first, first + len(items)))
        self.happened("step.expanded", number, children=children, items=items)
        return children

    def happened(self, kind: str, number: int, **data: Any) -> None:
        evolve(self.state, Event(kind, {"step_number": number, **data}), NOW)

    def end(self, status: TaskStatus = TaskStatus.FAILED) -> None:
        problem = {"code": "AGENT_FAILED", "message": "no luck", "details": {}}
        for step in self.state.steps.values():
            if not step.status.is_terminal:
                self.happened("step.failed", step.number, **problem)
        known = set(self.connection.execute(self._numbers()).scalars())
        added = [step for step in self.state.steps.values() if step.number not in known]
        if added:
            self.connection.execute(insert(TaskStep), step_rows(self.id, added))
        SET_STEP.run(self.connection, [step_row(self.id, step) for step in self.state.steps.values()])
        self.connection.execute(
            update(Task).where(Task.id == self.id).values(status=status, completed_at=NOW, error=problem)
        )

    def _numbers(self) -> Any:
        return select(TaskStep.number).where(TaskStep.task_id == self.id)


def planned(*steps: PlanStep) -> NewTask:
    return replace(REQUEST, plan=Plan("request", Strategy.parallel, steps))


def failed_after_the_first(connection: Connection) -> str:
    old = OldTask(connection, planned(ONE, replace(THREE, depends_on=(1,))))
    old.complete(1, Part.from_text("Oslo, Rome"))
    old.end()
    return old.id


def failed_after_the_list(connection: Connection) -> str:
    old = OldTask(connection, planned(ONE, TWO, THREE))
    old.complete(1, Part.from_data(["Oslo", "Rome"]))
    for number in old.expand(2, ["Oslo", "Rome"]):
        old.complete(number, Part.from_text(f"rain {number}"))
    old.complete(2, Part.from_text("rain"))
    old.end()
    return old.id


def again(connection: Connection, task_id: str) -> Creation:
    return prepare_retry(connection, task_id, LATER, 600)


def written(connection: Connection, task_id: str) -> TaskState:
    """The new task as the next process finds it."""
    creation = again(connection, task_id)
    create_tasks(connection, [creation])
    claimed = claim_task(connection, creation.state.id, "me", 15, LATER)
    assert claimed is not None
    assert claimed.task is not None
    return claimed.task


async def test_the_new_task_asks_for_the_same(database: Database) -> None:
    creation = await database.write(lambda c: again(c, failed_after_the_first(c)))
    row = creation.task
    assert (row["description"], row["user_id"]) == ("weather everywhere", "ann")
    assert (row["strategy"], row["priority"], row["webhook"]) == ("parallel", 3, REQUEST.webhook)
    assert row["traceparent"] == REQUEST.traceparent
    assert row["deadline_at"] == LATER + timedelta(seconds=120)


async def test_the_new_task_names_the_old_one_and_stays_in_its_session(database: Database) -> None:
    def retried(connection: Connection) -> tuple[Any, Any]:
        task_id = failed_after_the_first(connection)
        state = written(connection, task_id)
        rows = connection.execute(select(Task.__table__).order_by(Task.id)).all()
        return rows, (task_id, state.id)

    (old, new), ids = await database.write(retried)
    assert (old.id, new.id) == ids
    assert new.retry_of == old.id
    assert new.session_id == old.session_id


async def test_the_old_task_stays_as_it_ended(database: Database) -> None:
    def before_and_after(connection: Connection) -> tuple[Any, Any]:
        query = select(TaskStep.__table__).order_by(TaskStep.number)
        task_id = failed_after_the_list(connection)
        old = query.where(TaskStep.task_id == task_id)
        before = connection.execute(old).all()
        written(connection, task_id)
        return before, connection.execute(old).all()

    before, after = await database.write(before_and_after)
    assert before == after


async def test_completed_steps_come_along_and_the_rest_begins_anew(database: Database) -> None:
    state = await database.write(lambda c: written(c, failed_after_the_first(c)))
    first, last = state.steps[1], state.steps[3]
    assert (first.status, first.attempt, first.remote_task_id) == (StepStatus.COMPLETED, 0, "remote_1")
    assert first.agent_id is not None
    assert (last.status, last.attempt, last.error, last.completed_at) == (StepStatus.PENDING, 0, None, None)
    assert state.status is TaskStatus.EXECUTING


async def test_what_a_completed_step_produced_comes_along(database: Database) -> None:
    def carried(connection: Connection) -> tuple[StepState, Any, Any]:
        task_id = failed_after_the_first(connection)
        state = written(connection, task_id)
        return state.steps[1], read_artifacts(connection, state.id), read_artifacts(connection, task_id)

    step, [new], [old] = await database.write(carried)
    assert (new.part, new.step_number, new.filename) == (old.part, 1, old.filename)
    assert new.id != old.id
    assert step.output == {"text": "Oslo, Rome", "artifact_ids": [new.id]}


async def test_a_completed_list_comes_along_with_its_items(database: Database) -> None:
    state = await database.write(lambda c: written(c, failed_after_the_list(c)))
    assert state.steps[2].status is StepStatus.COMPLETED
    items = state.children_of(2)
    assert [(item.item, item.item_index, item.status) for item in items] == [
        ("Oslo", 0, StepStatus.COMPLETED),
        ("Rome", 1, StepStatus.COMPLETED),
    ]
    assert state.steps[3].status is StepStatus.PENDING


async def test_a_list_that_failed_is_done_again_as_a_whole(database: Database) -> None:
    def half(connection: Connection) -> TaskState:
        old = OldTask(connection, planned(ONE, TWO, THREE))
        old.complete(1, Part.from_data(["Oslo", "Rome"]))
        old.complete(old.expand(2, ["Oslo", "Rome"])[0], Part.from_text("rain"))
        old.end()
        return written(connection, old.id)

    state = await database.write(half)
    assert state.steps[2].status is StepStatus.PENDING
    assert state.children_of(2) == []


async def test_a_failed_step_and_its_completed_fallback(database: Database) -> None:
    fallback = PlanStep(2, "look it up", "list", requirement=Requirement.fallback, fallback_for=1)

    def replaced(connection: Connection) -> TaskState:
        old = OldTask(connection, planned(ONE, fallback, replace(THREE, depends_on=(1,))))
        old.complete(2, Part.from_text("Oslo"))
        old.end()
        return written(connection, old.id)

    state = await database.write(replaced)
    assert [step.status for step in state.steps.values()] == [
        StepStatus.PENDING,
        StepStatus.COMPLETED,
        StepStatus.PENDING,
    ]


async def test_the_history_tells_what_came_along_and_from_where(database: Database) -> None:
    def history(connection: Connection) -> tuple[str, TaskState, Any]:
        task_id = failed_after_the_list(connection)
        state = written(connection, task_id)
        query = select(TaskEvent.__table__).where(TaskEvent.task_id == state.id)
        return task_id, state, connection.execute(query.order_by(TaskEvent.number)).all()

    task_id, state, events = await database.write(history)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert state.last_look == len(events)
    assert [event.kind for event in events] == [
        "task.created",
        "task.planned",
        "task.executing",
        "step.completed",
        "step.expanded",
        "step.completed",
        "step.completed",
        "step.completed",
    ]
    assert {e.data["carried_over_from"] for e in events if e.kind == "step.completed"} == {task_id}


async def test_the_files_of_the_old_task_come_along_under_their_names(database: Database) -> None:
    file = Part.from_text("a,b", media_type="text/csv", filename="a.csv")

    def with_file(connection: Connection) -> tuple[Any, Any]:
        old = OldTask(connection, planned(replace(ONE, attachments=("a.csv",))), [file])
        old.end()
        state = written(connection, old.id)
        return read_artifacts(connection, state.id), read_artifacts(connection, old.id)

    [new], [old] = await database.write(with_file)
    assert (new.part.text, new.filename, new.media_type, new.step_number) == (
        "a,b",
        "a.csv",
        "text/csv",
        None,
    )
    assert new.id != old.id


async def test_a_task_without_a_plan_is_planned_again(database: Database) -> None:
    def unplanned(connection: Connection) -> TaskState:
        old = OldTask(connection, REQUEST)
        old.end()
        return written(connection, old.id)

    state = await database.write(unplanned)
    assert (state.status, state.plan, state.steps) == (TaskStatus.PENDING, None, {})


async def test_a_canceled_task_can_be_tried_again(database: Database) -> None:
    def canceled(connection: Connection) -> TaskState:
        old = OldTask(connection, planned(ONE))
        old.end(TaskStatus.CANCELED)
        state = written(connection, old.id)
        assert not state.cancel_requested
        return state

    assert (await database.write(canceled)).status is TaskStatus.EXECUTING


async def test_a_completed_task_is_not_tried_again(database: Database) -> None:
    def completed(connection: Connection) -> None:
        old = OldTask(connection, planned(ONE))
        old.end(TaskStatus.COMPLETED)
        again(connection, old.id)

    with pytest.raises(WrongState):
        await database.write(completed)


async def test_a_running_task_is_not_tried_again(database: Database) -> None:
    with pytest.raises(WrongState):
        await database.write(lambda c: again(c, OldTask(c, planned(ONE)).id))


async def test_an_unknown_task_is_not_tried_again(database: Database) -> None:
    with pytest.raises(TaskNotFound):
        await database.write(lambda c: again(c, "task_x"))


async def test_a_retry_of_a_retry_still_has_what_the_first_had_done(database: Database) -> None:
    def twice(connection: Connection) -> TaskState:
        state = written(connection, failed_after_the_first(connection))
        problem = {"code": "X", "message": "x", "details": {}}
        connection.execute(
            update(Task).where(Task.id == state.id).values(status="failed", completed_at=LATER, error=problem)
        )
        return written(connection, state.id)

    state = await database.write(twice)
    assert state.steps[1].status is StepStatus.COMPLETED
    assert state.steps[1].output is not None
    assert state.steps[1].output["text"] == "Oslo, Rome"
