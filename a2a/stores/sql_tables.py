"""The tables of the SQL task store, which makes them itself, and the version of their shape.

No Alembic: an agent is started, not deployed, so nobody would run its migrations. There is one version so
far, and a store of another one is refused rather than guessed at.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    false,
    insert,
    select,
)

from a2a.errors import A2AError
from a2a.types import TaskState

SCHEMA_VERSION = 1


class TaskStoreVersionUnknown(A2AError):
    """The tables were made by a release that this one knows nothing of."""

    def __init__(self, found: int) -> None:
        self.found = found
        super().__init__(
            f"The task store has version {found} and this release knows version {SCHEMA_VERSION}:"
            " start the release that made it, or name another database."
        )


def exact_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class ExactText(TypeDecorator[str]):
    """Text as its UTF-8 bytes: any text, NUL included, is held as it is, and is compared and ordered by
    code point on every database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 SQLAlchemy's signature
    ) -> bytes | None:
        return exact_bytes(value) if value is not None else None

    def process_result_value(
        self,
        value: bytes | None,
        dialect: Dialect,  # noqa: ARG002 SQLAlchemy's signature
    ) -> str | None:
        return value.decode("utf-8", "surrogatepass") if value is not None else None


metadata = MetaData()

schema = Table("a2a_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

tasks = Table(
    "a2a_tasks",
    metadata,
    Column("id", ExactText, primary_key=True),
    Column("owner", ExactText, nullable=False),
    Column("context_id", ExactText),
    Column("state", String, nullable=False),
    Column("status_us", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("skill_id", ExactText),
    # The task's JSON. Bytes, since PostgreSQL's text and jsonb refuse a NUL even where it is escaped.
    Column("body", LargeBinary, nullable=False),
    CheckConstraint(
        "state IN ({})".format(", ".join(f"'{state}'" for state in TaskState)), name="ck_a2a_tasks_state"
    ),
    # A list is read backwards from one of the first two; with the state in them, counting needs no rows.
    Index("ix_a2a_tasks_owner", "owner", "status_us", "id", "state"),
    Index("ix_a2a_tasks_context", "owner", "context_id", "status_us", "id", "state"),
    Index("ix_a2a_tasks_state", "state", "status_us"),
)

messages = Table(
    "a2a_messages",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    # Checked at the commit: a message is claimed before its task is there.
    Column(
        "task_id",
        ForeignKey(tasks.c.id, ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        nullable=False,
        index=True,
    ),
    sqlite_with_rowid=False,
)

push_configs = Table(
    "a2a_push_configs",
    metadata,
    Column("task_id", ForeignKey(tasks.c.id, ondelete="CASCADE"), primary_key=True),
    Column("config_id", ExactText, primary_key=True),
    # With its token and credentials, as they were given: who reads the database reads them.
    Column("body", LargeBinary, nullable=False),
    Column("is_notified", Boolean, nullable=False),
)
Index(
    "ix_a2a_push_configs_unnotified",
    push_configs.c.task_id,
    sqlite_where=push_configs.c.is_notified == false(),
    postgresql_where=push_configs.c.is_notified == false(),
)


def make_schema(connection: Connection) -> None:
    """Make the tables where there are none. Raises TaskStoreVersionUnknown."""
    schema.create(connection, checkfirst=True)
    found = connection.execute(select(schema.c.version)).scalar()
    if found is None:
        metadata.create_all(connection)
        connection.execute(insert(schema).values(version=SCHEMA_VERSION))
    elif found != SCHEMA_VERSION:
        raise TaskStoreVersionUnknown(found)
