"""What exactly one of the processes on a database does: it has the duty until it expires.

Several processes share only a PostgreSQL database, and there its clock counts: where their own differ by
minutes, one would take the duty from another that has it, or wait for minutes once that other is gone.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from models.tables import Duty


def take_duty(connection: Connection, name: str, owner: str, now: datetime, *, lease_s: float) -> bool:
    """Take the duty if nobody has it, or keep it; whether `owner` has it now."""
    now = _clock(connection, now)
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
    past = _clock(connection, now) - timedelta(seconds=1)
    connection.execute(update(Duty).where(Duty.name == name, Duty.owner == owner).values(expires_at=past))


def _clock(connection: Connection, now: datetime) -> datetime:
    if connection.dialect.name != "postgresql":
        return now
    told: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return told
