"""The task store in a database, SQLite or PostgreSQL: tasks survive the process that runs them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    Row,
    Select,
    bindparam,
    delete,
    false,
    func,
    insert,
    literal,
    make_url,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from a2a.database import Database, Query
from a2a.requests import TaskPushNotificationConfig
from a2a.stores.base import MessageKey, Position, StoredTask, TaskPage, TaskQuery, status_us
from a2a.stores.sql_owner import ownership
from a2a.stores.sql_tables import exact_bytes, make_schema, messages, push_configs, tasks
from a2a.types import Task, TaskState

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Every so many creates, old tasks are removed: so many at most that the removal keeps up.
CREATES_PER_REMOVAL = 100
MAX_REMOVED = 2 * CREATES_PER_REMOVAL

_UNSETTLED = (TaskState.SUBMITTED, TaskState.WORKING)
_SETTLED = tuple(state for state in TaskState if state not in _UNSETTLED)
_ENDED = tuple(state for state in TaskState if state.is_terminal)


class _Prepared:
    """A statement that becomes SQL once, for the writes that every task makes: SQLAlchemy's way through a
    statement costs more than SQLite takes to run it. Values go to the driver as they are."""

    def __init__(self, statement: UpdateBase) -> None:
        self._statement = statement
        self._sql = ""
        self._names: Sequence[str] = ()

    def run(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        if not self._sql:
            compiled = self._statement.compile(dialect=connection.dialect)
            assert isinstance(compiled, SQLCompiler)
            self._sql, self._names = str(compiled), compiled.positiontup or ()
        return connection.exec_driver_sql(
            self._sql, tuple([values[name] for name in self._names]), {"preserve_rowcount": True}
        )


_COLUMNS = (tasks.c.owner, tasks.c.status_us, tasks.c.version, tasks.c.skill_id, tasks.c.body)
_STORED = select(*_COLUMNS)
_BY_ID = _STORED.where(tasks.c.id == bindparam("id"), tasks.c.owner == bindparam("owner"))
_BY_MESSAGE = _STORED.join(messages).where(messages.c.key == bindparam("key"))
_UNFINISHED = _STORED.where(tasks.c.state.in_(_UNSETTLED)).order_by(tasks.c.status_us, tasks.c.id)
_INSERT_TASK = insert(tasks).values({column: bindparam(column.name) for column in tasks.c}).inline()
_UPDATE_TASK = (
    update(tasks)
    .where(tasks.c.id == bindparam("id"), tasks.c.version == bindparam("expected_version"))
    .values({column: bindparam(column.name) for column in tasks.c if not column.primary_key})
)
_DELETE_TASK = delete(tasks).where(tasks.c.id == bindparam("id"))
_DELETE_OLD = delete(tasks).where(
    tasks.c.id.in_(
        select(tasks.c.id)
        .where(tasks.c.state.in_(_SETTLED), tasks.c.status_us < bindparam("before_us"))
        .limit(MAX_REMOVED)
    )
)

_OF_TASK = push_configs.c.task_id == bindparam("of_task")
_ONE_PUSH = (_OF_TASK, push_configs.c.config_id == bindparam("of_config"))
_PUSHES = select(push_configs.c.body).where(_OF_TASK).order_by(push_configs.c.config_id)
_DELETE_PUSH = delete(push_configs).where(*_ONE_PUSH)
_MARK_PUSH = update(push_configs).where(*_ONE_PUSH).values(is_notified=True)
_UNNOTIFIED = (
    select(*_COLUMNS, push_configs.c.body.label("config"))
    .join(push_configs)
    .where(push_configs.c.is_notified == false(), tasks.c.state.in_(_ENDED))
    .order_by(tasks.c.status_us, tasks.c.id, push_configs.c.config_id)
)


def _insert_message(backend: str) -> UpdateBase:
    dialect_insert = sqlite.insert if backend == "sqlite" else postgresql.insert
    values: dict[Any, Any] = {column: bindparam(column.name) for column in messages.c}
    return dialect_insert(messages).values(values).on_conflict_do_nothing().inline()


def _upsert_push(backend: str) -> Executable:
    """Nothing where the task is gone."""
    dialect_insert = sqlite.insert if backend == "sqlite" else postgresql.insert
    given = (
        bindparam(name, type_=push_configs.c[name].type) for name in ("config_id", "body", "is_notified")
    )
    row = select(tasks.c.id, *given).where(tasks.c.id == bindparam("of_task"))
    statement = dialect_insert(push_configs).from_select(list(push_configs.c.keys()), row)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["task_id", "config_id"], set_={"body": new.body, "is_notified": new.is_notified}
    )


class SqlTaskStore:
    """`url` is `sqlite:///path` or `postgresql://...`. Settled tasks, those that have ended or wait for their
    caller, are removed once their status is `keep_s` seconds old; None keeps them all.

    Push notification configurations are kept as they are given, credentials included: guard the database.
    """

    def __init__(self, url: str, *, keep_s: float | None) -> None:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise ValueError("a task store is in SQLite or PostgreSQL")
        if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
            raise ValueError("a task store in SQLite is in a file")
        self._keep_s = keep_s
        self._creates = 0
        self._ownership = ownership(url)
        self._database = Database(url)
        self._insert_task = _Prepared(_INSERT_TASK)
        self._insert_message = _Prepared(_insert_message(backend))
        self._update_task = _Prepared(_UPDATE_TASK)
        self._upsert_push = _upsert_push(backend)

    async def open(self) -> None:
        """Raises TaskStoreInUse and TaskStoreVersionUnknown."""
        try:
            await self._ownership.take()
            await self._write(make_schema)
            while await self._write(self._remove_old) == MAX_REMOVED:
                pass
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._database.close()
        await self._ownership.release()

    async def create(self, stored: StoredTask, made_by: MessageKey) -> StoredTask:
        self._creates += 1
        is_removing = self._creates % CREATES_PER_REMOVAL == 0
        values = _task_values(stored)

        def change(connection: Connection) -> StoredTask:
            if is_removing:
                self._remove_old(connection)
            if self._claim(connection, made_by, values):
                self._insert_task.run(connection, values)
                return stored
            known = _one_task(connection, _BY_MESSAGE, {"key": made_by})
            assert known is not None
            return known

        return await self._write(change)

    async def get(self, task_id: str, owner: str) -> StoredTask | None:
        values = {"id": task_id, "owner": owner}
        return await self._database.read(lambda connection: _one_task(connection, _BY_ID, values))

    async def made_by(self, key: MessageKey) -> StoredTask | None:
        return await self._database.read(lambda connection: _one_task(connection, _BY_MESSAGE, {"key": key}))

    async def save(
        self, stored: StoredTask, *, expected_version: int, continued_by: MessageKey | None = None
    ) -> bool:
        values = _task_values(stored) | {"expected_version": expected_version}

        def change(connection: Connection) -> bool:
            if self._update_task.run(connection, values).rowcount == 0:
                return False
            if continued_by is not None:
                self._claim(connection, continued_by, values)
            return True

        return await self._write(change)

    async def forget(self, task_id: str) -> None:
        await self._execute(_DELETE_TASK, {"id": task_id})

    async def list(self, query: TaskQuery) -> TaskPage:
        return await self._database.read(partial(_list, query=query))

    async def unfinished(self) -> Sequence[StoredTask]:
        return await self._database.read(
            lambda connection: [_stored(row) for row in connection.execute(_UNFINISHED)]
        )

    async def put_push_config(
        self, task_id: str, config: TaskPushNotificationConfig, *, is_notified: bool
    ) -> None:
        """Nothing where the task is gone."""
        body = config.model_dump_json(exclude_none=True).encode()
        values = {"of_task": task_id, "config_id": config.id, "body": body, "is_notified": is_notified}
        await self._execute(self._upsert_push, values)

    async def push_configs(self, task_id: str) -> Sequence[TaskPushNotificationConfig]:
        def query(connection: Connection) -> list[TaskPushNotificationConfig]:
            return [_config(body) for body in connection.execute(_PUSHES, {"of_task": task_id}).scalars()]

        return await self._database.read(query)

    async def delete_push_config(self, task_id: str, config_id: str) -> None:
        await self._execute(_DELETE_PUSH, {"of_task": task_id, "of_config": config_id})

    async def mark_notified(self, task_id: str, config_id: str) -> None:
        await self._execute(_MARK_PUSH, {"of_task": task_id, "of_config": config_id})

    async def unnotified(self) -> Sequence[tuple[StoredTask, TaskPushNotificationConfig]]:
        return await self._database.read(
            lambda connection: [
                (_stored(row), _config(row.config)) for row in connection.execute(_UNNOTIFIED)
            ]
        )

    def _claim(self, connection: Connection, key: MessageKey, task: Mapping[str, Any]) -> bool:
        """False where the message has made or continued a task before."""
        return self._insert_message.run(connection, {"key": key, "task_id": task["id"]}).rowcount == 1

    def _remove_old(self, connection: Connection) -> int:
        """How many tasks were removed; MAX_REMOVED where there may be more."""
        if self._keep_s is None:
            return 0
        before = datetime.now(UTC) - timedelta(seconds=self._keep_s)
        return connection.execute(_DELETE_OLD, {"before_us": _microseconds(before)}).rowcount

    async def _execute(self, statement: Executable, values: Mapping[str, Any]) -> None:
        def change(connection: Connection) -> None:
            connection.execute(statement, values)

        await self._write(change)

    async def _write(self, change: Query[T]) -> T:
        if self._ownership.is_lost:
            await self._ownership.take()
        return await self._database.write(change)


def _task_values(stored: StoredTask) -> dict[str, Any]:
    """A row as the driver takes it. The task is encoded here, once, should the change run twice."""
    task = stored.task
    return {
        "id": exact_bytes(task.id),
        "owner": exact_bytes(stored.owner),
        "context_id": exact_bytes(task.context_id) if task.context_id is not None else None,
        "state": task.status.state.value,
        "status_us": status_us(task),
        "version": stored.version,
        "skill_id": exact_bytes(stored.skill_id) if stored.skill_id is not None else None,
        "body": stored.to_body(),
    }


def _task(body: bytes, at_us: int) -> Task:
    task = Task.model_validate_json(body)
    # JSON has milliseconds.
    task.status.timestamp = EPOCH + at_us * MICROSECOND
    return task


def _stored(row: Row[*tuple[Any, ...]]) -> StoredTask:
    return StoredTask(_task(row.body, row.status_us), row.owner, row.version, row.skill_id)


def _one_task(connection: Connection, query: Executable, values: Mapping[str, Any]) -> StoredTask | None:
    row = connection.execute(query, values).one_or_none()
    return _stored(row) if row is not None else None


def _config(body: bytes) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig.model_validate_json(body)


def _list(connection: Connection, query: TaskQuery) -> TaskPage:
    total = connection.execute(count_statement(query)).scalar_one()
    rows = connection.execute(page_statement(query)).all()
    last = Position(rows[-1].status_us, rows[-1].id) if len(rows) == query.page_size else None
    if last is not None:
        more = select(tasks.c.id).where(*_fitting(query), *_behind(last)).limit(1)
        last = last if connection.execute(more).first() is not None else None
    return TaskPage([_task(row.body, row.status_us) for row in rows], total, last)


def count_statement(query: TaskQuery) -> Select[int]:
    return select(func.count()).select_from(tasks).where(*_fitting(query))


def page_statement(query: TaskQuery) -> Select[int, str, bytes]:
    return (
        select(tasks.c.status_us, tasks.c.id, tasks.c.body)
        .where(*_fitting(query), *_behind(query.after))
        .order_by(tasks.c.status_us.desc(), tasks.c.id.desc())
        .limit(query.page_size)
    )


def _fitting(query: TaskQuery) -> list[ColumnElement[bool]]:
    conditions = [tasks.c.owner == query.owner]
    if query.context_id is not None:
        conditions.append(tasks.c.context_id == query.context_id)
    if query.state is not None:
        conditions.append(tasks.c.state == query.state)
    if query.since is not None:
        conditions.append(tasks.c.status_us >= _microseconds(query.since))
    return conditions


def _behind(place: Position | None) -> list[ColumnElement[bool]]:
    if place is None:
        return []
    task_id = literal(place.task_id, tasks.c.id.type)
    return [tuple_(tasks.c.status_us, tasks.c.id) < tuple_(place.status_us, task_id)]


def _microseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
