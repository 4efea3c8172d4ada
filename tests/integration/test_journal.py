"""Changes of many tasks in one transaction: each is written whole or not at all, whatever the others do."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from a2a.database import Database
from a2a.types import Part
from coordinator.executor.changes import Change, Ending, step_row
from coordinator.executor.creation import NewTask, prepare, step_rows
from coordinator.executor.errors import LeaseLost, NewsCame
from coordinator.executor.faults import BEFORE_COMMIT
from coordinator.executor.history import Event
from coordinator.executor.journal import Journal
from coordinator.executor.state import Lease
from coordinator.memory.errors import SessionNotFound
from models.states import StepStatus, TaskStatus
from models.tables import Message, Task, TaskEvent, TaskStep
from tests.support.rows import NOW, insert_step, insert_task
from tests.support.task_states import completed, step

LATER = NOW + timedelta(seconds=5)


@dataclass
class Points:
    """The fault points that were passed."""

    passed: list[str] = field(default_factory=list)

    def __call__(self, point: str) -> None:
        self.passed.append(point)


async def leased(database: Database, count: int = 1) -> list[Lease]:
    """Tasks that are executed under a lease, each with a step 1 that runs."""

    def insert_all(connection: Connection) -> list[Lease]:
        leases = []
        for number in range(count):
            token = f"lease_{number}"
            task_id = insert_task(
                connection,
                status=TaskStatus.EXECUTING,
                lease_owner="me",
                lease_token=token,
                lease_expires_at=LATER,
            )
            insert_step(connection, task_id, status=StepStatus.RUNNING, attempt=1)
            leases.append(Lease(task_id, token))
        return leases

    return await database.write(insert_all)


def progress(lease: Lease, *texts: str, **more: Any) -> Change:
    return Change(lease, LATER, tuple(Event("step.progress", {"text": text}) for text in texts), **more)


def spoilt(lease: Lease) -> Change:
    """A second step 1."""
    return progress(lease, "spoilt", new_steps=step_rows(lease.task_id, [step(1)]))


def ending(lease: Lease, session_id: str) -> Change:
    end = Ending({"text": "42"}, None, [], session_id, [Part.from_text("42").to_json()], None)
    return Change(lease, LATER, (Event("task.completed", {}),), status=TaskStatus.COMPLETED, ending=end)


async def events_of(database: Database, lease: Lease) -> list[tuple[int, str]]:
    query = select(TaskEvent.number, TaskEvent.data).where(TaskEvent.task_id == lease.task_id)
    rows = await database.read(lambda connection: connection.execute(query.order_by(TaskEvent.number)).all())
    return [(row.number, row.data.get("text", "")) for row in rows]


async def row_of(database: Database, lease: Lease) -> Any:
    query = select(Task.__table__).where(Task.id == lease.task_id)
    return await database.read(lambda connection: connection.execute(query).one())


async def outcomes(journal: Journal, *changes: Any) -> list[Any]:
    """All of them at once, so that they are one group."""
    return await asyncio.gather(*(journal.submit(change) for change in changes), return_exceptions=True)


async def test_what_comes_at_once_is_written_in_one_transaction(database: Database) -> None:
    points = Points()
    leases = await leased(database, 3)
    assert await outcomes(Journal(database, points), *(progress(lease, "a") for lease in leases)) == [1, 1, 1]
    assert points.passed == [BEFORE_COMMIT]


async def test_what_comes_while_a_group_is_written_goes_into_the_next(database: Database) -> None:
    points = Points()
    journal = Journal(database, points)
    first, second, third = await leased(database, 3)
    begun = journal.submit(progress(first, "a"))
    await asyncio.sleep(0)  # the first group is on its way
    assert await outcomes(journal, progress(second, "b"), progress(third, "c")) == [1, 1]
    assert begun.done()
    assert points.passed == [BEFORE_COMMIT] * 2


async def test_one_spoilt_change_does_not_fail_the_others(database: Database) -> None:
    first, second, third = await leased(database, 3)
    written = await outcomes(
        Journal(database, Points()), progress(first, "a"), spoilt(second), progress(third, "c")
    )
    assert [written[0], written[2]] == [1, 1]
    assert isinstance(written[1], IntegrityError)
    assert await events_of(database, first) == [(1, "a")]
    assert await events_of(database, second) == []
    assert await events_of(database, third) == [(1, "c")]


async def test_a_spoilt_change_leaves_nothing_behind(database: Database) -> None:
    [lease] = await leased(database)
    journal = Journal(database, Points())
    with pytest.raises(IntegrityError):
        await journal.write(spoilt(lease))
    assert (await row_of(database, lease)).last_event == 0
    assert await journal.write(progress(lease, "next")) == 1


async def test_events_are_numbered_without_a_gap(database: Database) -> None:
    [lease] = await leased(database)
    journal = Journal(database, Points())
    assert await outcomes(journal, progress(lease, "a", "b"), progress(lease, "c")) == [2, 3]
    assert await journal.write(progress(lease, "d")) == 4
    assert await events_of(database, lease) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


async def test_a_change_under_a_lost_lease_changes_nothing_and_holds_up_no_other(database: Database) -> None:
    lost, held = await leased(database, 2)
    stale = Lease(lost.task_id, "lease_of_yesterday")
    row = step_row(lost.task_id, completed(1))
    refused, written = await outcomes(
        Journal(database, Points()), progress(stale, "late", steps=[row]), progress(held, "a")
    )
    assert isinstance(refused, LeaseLost)
    assert written == 1
    assert await events_of(database, lost) == []
    query = select(TaskStep.status).where(TaskStep.task_id == lost.task_id)
    status = await database.read(lambda connection: connection.execute(query).scalar_one())
    assert status == StepStatus.RUNNING


async def test_nothing_is_written_to_a_task_that_has_ended(database: Database) -> None:
    [lease] = await leased(database)
    journal = Journal(database, Points())
    session_id = (await row_of(database, lease)).session_id
    ended, late = await outcomes(journal, ending(lease, session_id), progress(lease, "late"))
    assert ended == 1
    assert isinstance(late, LeaseLost)
    with pytest.raises(LeaseLost):
        await journal.write(progress(lease, "later"))
    assert len(await events_of(database, lease)) == 1


async def test_the_end_of_a_task_releases_it_and_is_said_in_its_session(database: Database) -> None:
    [lease] = await leased(database)
    session_id = (await row_of(database, lease)).session_id
    await Journal(database, Points()).write(ending(lease, session_id))
    row = await row_of(database, lease)
    assert (row.status, row.result, row.completed_at) == (TaskStatus.COMPLETED, {"text": "42"}, LATER)
    assert (row.lease_owner, row.lease_token, row.lease_expires_at) == (None, None, None)
    query = select(Message.parts).where(Message.session_id == session_id)
    assert await database.read(lambda connection: connection.execute(query).scalars().all()) == [
        [{"text": "42"}]
    ]


async def test_who_leaves_a_task_sees_what_others_did_first(database: Database) -> None:
    [lease] = await leased(database)
    journal = Journal(database, Points())
    resting = progress(lease, "rests", status=TaskStatus.INPUT_REQUIRED, unless_news_since=0)
    await journal.write(progress(lease, "of somebody else"))
    with pytest.raises(NewsCame):
        await journal.write(resting)
    assert (await row_of(database, lease)).status == TaskStatus.EXECUTING
    resting.unless_news_since = 1
    assert await journal.write(resting) == 2
    assert (await row_of(database, lease)).status == TaskStatus.INPUT_REQUIRED


async def test_of_several_changes_of_a_step_the_last_counts(database: Database) -> None:
    [lease] = await leased(database)
    running, done = step(1, StepStatus.RUNNING), completed(1, text="42")
    done.completed_at = LATER
    changes = [progress(lease, "a", steps=[step_row(lease.task_id, each)]) for each in (running, done)]
    await outcomes(Journal(database, Points()), *changes)
    query = select(TaskStep.status).where(TaskStep.task_id == lease.task_id)
    status = await database.read(lambda connection: connection.execute(query).scalar_one())
    assert status == StepStatus.COMPLETED


async def test_a_caller_that_is_canceled_does_not_cancel_its_change(database: Database) -> None:
    [lease] = await leased(database)
    journal = Journal(database, Points())
    writing = asyncio.create_task(journal.write(progress(lease, "a")))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await journal.close()
    assert await events_of(database, lease) == [(1, "a")]


async def test_the_points_after_a_commit_come_once_it_is_durable(database: Database) -> None:
    points = Points()
    [lease] = await leased(database)
    await Journal(database, points).write(progress(lease, "a", "b"))
    assert points.passed == [BEFORE_COMMIT, "after_commit:step.progress", "after_commit:step.progress"]


async def test_the_points_after_a_commit_do_not_come_where_nothing_was_written(database: Database) -> None:
    points = Points()
    [lease] = await leased(database)
    with pytest.raises(LeaseLost):
        await Journal(database, points).write(progress(Lease(lease.task_id, "stale"), "a"))
    assert points.passed == [BEFORE_COMMIT]


# New tasks go the same way.


async def test_new_tasks_and_changes_of_others_are_one_group(database: Database) -> None:
    points = Points()
    [lease] = await leased(database)
    creation = prepare(NewTask("count"), [], NOW, key=None, default_deadline_s=60)
    assert await outcomes(Journal(database, points), creation, progress(lease, "a")) == [1, 1]
    assert points.passed == [BEFORE_COMMIT]
    query = select(Task.description).where(Task.id == creation.state.id)
    assert await database.read(lambda connection: connection.execute(query).scalar_one()) == "count"


async def test_a_task_for_an_unknown_session_is_refused_alone(database: Database) -> None:
    bad = prepare(NewTask("count", session_id="session_x"), [], NOW, key=None, default_deadline_s=60)
    good = prepare(NewTask("count"), [], NOW, key=None, default_deadline_s=60)
    refused, made = await outcomes(Journal(database, Points()), bad, good)
    assert isinstance(refused, SessionNotFound)
    assert made == 1


async def test_two_requests_under_one_key_make_one_task(database: Database) -> None:
    first, second = (prepare(NewTask("count"), [], NOW, key="key_1", default_deadline_s=60) for _ in range(2))
    await outcomes(Journal(database, Points()), first, second)
    assert (first.made, second.made) == (None, first.state.id)
    query = select(Task.id)
    assert await database.read(lambda connection: connection.execute(query).scalars().all()) == [
        first.state.id
    ]


async def test_a_spoilt_change_does_not_fail_a_task_that_is_made_beside_it(database: Database) -> None:
    [lease] = await leased(database)
    creation = prepare(NewTask("count"), [], NOW, key=None, default_deadline_s=60)
    made, failed = await outcomes(Journal(database, Points()), creation, spoilt(lease))
    assert made == 1
    assert isinstance(failed, IntegrityError)


async def test_a_lease_that_was_taken_over_meanwhile_is_lost(database: Database) -> None:
    [lease] = await leased(database)
    taken = update(Task).where(Task.id == lease.task_id).values(lease_token="lease_of_another")  # noqa: S106
    await database.write(lambda connection: connection.execute(taken).rowcount)
    with pytest.raises(LeaseLost):
        await Journal(database, Points()).write(progress(lease, "late"))
