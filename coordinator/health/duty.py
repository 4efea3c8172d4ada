"""What exactly one of the processes on a database does: it has the duty until it expires."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, update
from sqlalchemy.dialects import postgresql, sqlite

from models.tables import Duty


def take_duty(connection: Connection, name: str, owner: str, now: datetime, *, lease_s: float) -> bool:
    """Take the duty if nobody has it, or keep it; whether `owner` has it now."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    expires_at = now + timedelta(seconds=lease_s)
    statement = insert(Duty).values(name=name, owner=owner, expires_at=expires_at)
    taken = statement.on_conflict_do_update(
        index_elements=[Duty.name],
        set_={"owner": owner, "expires_at": expires_at},
        where=(Duty.owner == owner) | (Duty.expires_at < now),
    )
    return connection.execute(taken.returning(Duty.owner)).scalar_one_or_none() is not None


def give_up_duty(connection: Connection, name: str, owner: str, now: datetime) -> None:
    """So that another process need not wait until it expires."""
    connection.execute(
        update(Duty)
        .where(Duty.name == name, Duty.owner == owner)
        .values(expires_at=now - timedelta(seconds=1))
    )
