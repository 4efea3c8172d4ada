"""The schema that migrations make, on an empty database of each kind."""

import asyncio

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, text

from a2a.database import Database
from models.base import Base
from models.migrate import alembic_config, migrate, upgrade
from tests.support.databases import postgres_database


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def _table_names(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def _check_names(connection: Connection) -> dict[str, set[str]]:
    """The CHECK constraints that the database knows, which Alembic's comparison does not look at."""
    return {
        table: {str(check["name"]) for check in inspect(connection).get_check_constraints(table)}
        for table in Base.metadata.tables
    }


def _downgrade(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.downgrade(config, "base")


async def test_the_migrated_schema_is_the_schema_of_the_models(database: Database) -> None:
    assert await database.read(_differences) == []


async def test_the_comparison_sees_a_column_that_the_models_do_not_have(database: Database) -> None:
    """So that the test above can fail."""
    await database.write(lambda c: c.execute(text("ALTER TABLE sessions ADD COLUMN stray INTEGER")))

    assert len(await database.read(_differences)) == 1


async def test_every_check_of_the_models_is_in_the_migrated_schema(database: Database) -> None:
    wanted = {
        name: {str(item.name) for item in table.constraints if isinstance(item, CheckConstraint)}
        for name, table in Base.metadata.tables.items()
    }

    assert await database.read(_check_names) == wanted


async def test_a_second_upgrade_changes_nothing(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    await migrate(empty_database_url)

    database = Database(empty_database_url)
    try:
        assert await database.read(_differences) == []
    finally:
        await database.close()


async def test_a_downgrade_to_base_takes_every_table_away_and_an_upgrade_brings_them_back(
    empty_database_url: str,
) -> None:
    database = Database(empty_database_url)
    try:
        await database.write(upgrade)
        await database.write(_downgrade)
        assert await database.read(_table_names) <= {"alembic_version"}

        await database.write(upgrade)
        assert await database.read(_differences) == []
    finally:
        await database.close()


async def test_processes_that_migrate_at_once_leave_one_schema(empty_database_url: str) -> None:
    await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))

    database = Database(empty_database_url)
    try:
        assert await database.read(_differences) == []
    finally:
        await database.close()


async def test_a_failed_migration_leaves_nothing_half_done(postgres_server: str) -> None:
    """On PostgreSQL, where DDL is part of the transaction."""

    def upgrade_and_fail(connection: Connection) -> None:
        upgrade(connection)
        connection.execute(text("SELECT 1 / 0"))

    with postgres_database(postgres_server) as url:
        database = Database(url)
        try:
            await asyncio.gather(database.write(upgrade_and_fail), return_exceptions=True)
            assert await database.read(_table_names) == set()
        finally:
            await database.close()
