"""Alembic's entry: runs in the transaction that models.migrate opened."""

from typing import Literal

from alembic import context

from models import tables
from models.base import Base

assert tables.Task.metadata is Base.metadata


def render_item(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Our own column types by their names."""
    if kind == "type" and type(item).__module__ == "models.base":
        return f"models.base.{type(item).__name__}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=render_item,
)
context.run_migrations()
