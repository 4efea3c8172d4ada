"""The one way to the database, and what the schema itself refuses, on both databases."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from a2a.database import Database, sole_owner_lock
from coordinator.executor.store import claim_task
from models.base import Base
from models.states import StepStatus, TaskStatus
from models.tables import Agent, HealthCheck, Message, Session, Task, TaskEvent, TaskStep
from tests.support.rows import NOW, insert_agent, insert_session, insert_step, insert_task
from tests.support.waiting import Gate

LEASE = "lease_1"
ROOT = Path(__file__).parents[2]


def insert_named(session_id: str) -> Callable[[Connection], str]:
    def change(connection: Connection) -> str:
        connection.execute(insert(Session).values(id=session_id, created_at=NOW, updated_at=NOW))
        return session_id

    return change


def session_ids(connection: Connection) -> set[str]:
    return set(connection.execute(select(Session.id)).scalars())


# Group commit


async def test_a_change_that_fails_fails_alone(database: Database) -> None:
    def broken(connection: Connection) -> None:
        insert_named("half-written")(connection)
        raise ZeroDivisionError

    first, failure, last = await asyncio.gather(
        database.write(insert_named("first")),
        database.write(broken),
        database.write(insert_named("last")),
        return_exceptions=True,
    )

    assert (first, last) == ("first", "last")
    assert isinstance(failure, ZeroDivisionError)
    assert await database.read(session_ids) == {"first", "last"}


async def test_a_violated_constraint_fails_its_own_change_only(database: Database) -> None:
    same = [database.write(insert_named("same")) for _ in range(3)]
    results = await asyncio.gather(*same, database.write(insert_named("other")), return_exceptions=True)

    assert [type(result) for result in results] == [str, IntegrityError, IntegrityError, str]
    assert await database.read(session_ids) == {"same", "other"}


async def test_changes_are_committed_in_the_order_they_were_asked_for(database: Database) -> None:
    seen: list[int] = []

    def note(_connection: Connection, number: int) -> int:
        seen.append(number)
        return number

    results = await asyncio.gather(*(database.write(partial(note, number=n)) for n in range(600)))

    assert results == seen == list(range(600))


async def test_a_canceled_caller_does_not_undo_its_change(database: Database) -> None:
    caller = asyncio.create_task(database.write(insert_named("kept")))
    await asyncio.sleep(0)  # the change is handed in
    caller.cancel()
    await asyncio.wait([caller])
    await database.write(insert_named("later"))

    assert caller.cancelled()
    assert await database.read(session_ids) == {"kept", "later"}


async def test_closing_waits_for_what_was_asked_before(database_url: str) -> None:
    closing = Database(database_url)
    writing = asyncio.create_task(closing.write(insert_named("in time")))
    await asyncio.sleep(0)
    await closing.close()
    await writing

    again = Database(database_url)
    try:
        assert await again.read(session_ids) == {"in time"}
    finally:
        await again.close()


async def test_a_reader_sees_committed_data_only(database: Database, database_url: str) -> None:
    """A change that is under way elsewhere neither shows nor holds up a reader."""
    wrote, go_on = Gate(), threading.Event()

    def slow(connection: Connection) -> None:
        insert_named("new")(connection)
        wrote.open()
        assert go_on.wait(5)

    async def write_and_close() -> None:
        elsewhere = Database(database_url)
        await elsewhere.write(slow)
        await elsewhere.close()

    writer = threading.Thread(target=lambda: asyncio.run(write_and_close()))
    writer.start()
    try:
        await wrote.wait()
        meanwhile = await database.read(session_ids)
    finally:
        go_on.set()
        await asyncio.to_thread(writer.join)

    assert meanwhile == set()
    assert await database.read(session_ids) == {"new"}


async def test_a_read_cannot_leave_a_change_behind(database: Database) -> None:
    await database.read(insert_named("stray"))

    assert await database.read(session_ids) == set()


# What columns hold


async def test_a_time_comes_back_in_utc_whatever_its_offset_was(database: Database) -> None:
    eastern = NOW.astimezone(timezone(timedelta(hours=-5)))
    task_id = await database.write(lambda c: insert_task(c, deadline_at=eastern))
    stored = await database.read(
        lambda c: c.execute(select(Task.deadline_at).where(Task.id == task_id)).scalar_one()
    )

    assert (stored, stored.utcoffset()) == (NOW, timedelta(0))


async def test_a_time_without_an_offset_is_refused(database: Database) -> None:
    naive = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 that is the point

    with pytest.raises(StatementError, match="aware"):
        await database.write(lambda c: insert_task(c, deadline_at=naive))


async def test_no_document_is_null_in_sql_and_a_document_comes_back_as_it_was(database: Database) -> None:
    plan = {"steps": [1, 2.5, None, "ü\u2028"], "deep": {"a": [True]}}
    bare, planned = await database.write(lambda c: (insert_task(c), insert_task(c, plan=plan)))
    without = await database.read(
        lambda c: c.execute(select(Task.id).where(Task.plan.is_(None))).scalars().all()
    )
    stored = await database.read(
        lambda c: c.execute(select(Task.plan).where(Task.id == planned)).scalar_one()
    )

    assert without == [bare]
    assert stored == plan


# What the schema refuses

Insert = Callable[[Connection], object]


def _with_task(then: Callable[[Connection, str], object]) -> Insert:
    return lambda connection: then(connection, insert_task(connection))


def _health_check(connection: Connection, **columns: object) -> None:
    values: dict[str, object] = {"evidence": "probe", "health": "up", **columns}
    agent_id = insert_agent(connection)
    connection.execute(
        insert(HealthCheck).values(
            id="check", agent_id=agent_id, ok=True, detail="", created_at=NOW, **values
        )
    )


def _message(connection: Connection, speaker: str) -> None:
    session_id = insert_session(connection)
    connection.execute(
        insert(Message).values(id="message", session_id=session_id, speaker=speaker, parts=[], created_at=NOW)
    )


REFUSED: dict[str, Insert] = {
    "task status": lambda c: insert_task(c, status="done"),
    "task status in capitals": lambda c: insert_task(c, status="PENDING"),
    "step status": _with_task(lambda c, task_id: insert_step(c, task_id, status="done")),
    "agent health": lambda c: insert_agent(c, health="fine"),
    "health after a check": lambda c: _health_check(c, health="fine"),
    "evidence": lambda c: _health_check(c, evidence="rumour"),
    "speaker": lambda c: _message(c, "system"),
    "step number 0": _with_task(lambda c, task_id: insert_step(c, task_id, number=0)),
    "attempt -1": _with_task(lambda c, task_id: insert_step(c, task_id, attempt=-1)),
    "failures -1": lambda c: insert_agent(c, failures=-1),
    "ended without a time": lambda c: insert_task(c, status=TaskStatus.COMPLETED),
    "open with a time of its end": lambda c: insert_task(c, completed_at=NOW),
    "lease without an end": lambda c: insert_task(c, lease_token=LEASE),
    "end of no lease": lambda c: insert_task(c, lease_expires_at=NOW),
    "task of no session": lambda c: insert_task(c, session_id="nowhere"),
    "step of no task": lambda c: insert_step(c, "nowhere"),
    "two agents at one card": lambda c: [insert_agent(c, card_url="http://a/") for _ in range(2)],
    "two steps of one number": _with_task(
        lambda c, task_id: [insert_step(c, task_id, number=3) for _ in range(2)]
    ),
    "one idempotency key twice": lambda c: [insert_task(c, idempotency_key="k") for _ in range(2)],
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
async def test_the_schema_refuses(database: Database, change: Insert) -> None:
    with pytest.raises(IntegrityError):
        await database.write(change)


def _count(connection: Connection, table: type[Base]) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _insert_every_word(connection: Connection) -> None:
    for status in TaskStatus:
        insert_task(connection, status=status, completed_at=NOW if status.is_terminal else None)
    task_id = insert_task(connection)
    for number, step in enumerate(StepStatus, start=1):
        ended = NOW if step.is_terminal else None
        insert_step(connection, task_id, number=number, status=step, completed_at=ended)


async def test_the_schema_takes_every_word_of_the_states(database: Database) -> None:
    await database.write(_insert_every_word)

    assert await database.read(partial(_count, table=TaskStep)) == len(StepStatus)


async def test_two_tenants_may_use_one_card_url_and_one_idempotency_key(database: Database) -> None:
    def change(connection: Connection) -> None:
        for tenant in ("one", "two"):
            insert_agent(connection, card_url="http://a/", tenant_id=tenant)
            insert_task(connection, idempotency_key="k", tenant_id=tenant)

    await database.write(change)

    assert await database.read(partial(_count, table=Agent)) == 2


async def test_what_belongs_to_a_task_goes_with_it(database: Database) -> None:
    def change(connection: Connection) -> None:
        task_id = insert_task(connection)
        insert_step(connection, task_id)
        event = {"task_id": task_id, "number": 1, "kind": "created", "data": {}, "created_at": NOW}
        connection.execute(insert(TaskEvent), [event])
        connection.execute(delete(Task).where(Task.id == task_id))

    await database.write(change)

    assert [await database.read(partial(_count, table=table)) for table in (TaskStep, TaskEvent)] == [0, 0]


# Claims


async def test_of_four_claimants_exactly_one_gets_the_task(database: Database, database_url: str) -> None:
    """200 races; each claimant has connections of its own, as four processes have."""
    task_ids = await database.write(_two_hundred_tasks)
    claimants = [Database(database_url) for _ in range(4)]
    try:
        wins: list[int] = []
        for task_id in task_ids:
            claim = partial(claim_task, task_id=task_id, owner="me", lease_s=30.0, now=NOW)
            leases = await asyncio.gather(*(claimant.write(claim) for claimant in claimants))
            wins.append(sum(lease is not None for lease in leases))
    finally:
        for claimant in claimants:
            await claimant.close()

    assert wins == [1] * 200


def _two_hundred_tasks(connection: Connection) -> list[str]:
    session_id = insert_session(connection)
    return [insert_task(connection, session_id=session_id) for _ in range(200)]


async def test_a_task_is_claimed_again_only_after_its_lease_has_run_out(database: Database) -> None:
    task_id = await database.write(insert_task)
    leases = [
        await database.write(partial(claim_task, task_id=task_id, owner="me", lease_s=30.0, now=at))
        for at in (NOW, NOW + timedelta(seconds=29), NOW + timedelta(seconds=31))
    ]

    assert [lease is not None for lease in leases] == [True, False, True]


async def test_an_ended_task_is_never_claimed(database: Database) -> None:
    def change(connection: Connection) -> object:
        task_id = insert_task(connection)
        connection.execute(update(Task).values(status=TaskStatus.CANCELED, completed_at=NOW))
        return claim_task(connection, task_id, "a", 30.0, NOW)

    assert await database.write(change) is None


# The lock of a SQLite database's only owner

HOLDER = """
import sys
from a2a.database import sole_owner_lock
lock = sole_owner_lock(sys.argv[1])
print("held" if lock else "refused", flush=True)
sys.stdin.read()
"""


def _start_holder(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_does_not_get_the_lock_until_the_holder_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/made/for/it.db"
    with _start_holder(url) as holder:
        assert _first_line(holder) == "held"
        while_held = sole_owner_lock(url)
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=5)
        afterwards = sole_owner_lock(url)

    assert while_held is None
    assert afterwards is not None
    afterwards.close()


def test_postgresql_has_no_sole_owner() -> None:
    assert sole_owner_lock("postgresql://nobody@127.0.0.1:1/nothing") is None
