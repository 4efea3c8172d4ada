"""Bring a database to the newest schema. Safe to run at every start and by several processes at once."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text

from a2a.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
# Any fixed number: processes that migrate the same PostgreSQL database wait for each other on it.
ADVISORY_LOCK = 7_275_117


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def upgrade(connection: Connection) -> None:
    """Run what is missing, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def migrate(url: str) -> None:
    database = Database(url)
    try:
        await database.write(upgrade)
    finally:
        await database.close()


def migrate_now(url: str) -> str:
    """For the command line: migrate and say which database it was, without its password."""
    asyncio.run(migrate(url))
    return make_url(url).render_as_string(hide_password=True)
