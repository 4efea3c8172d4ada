"""One statement run for many rows, its SQL and the conversion of its values prepared once for each database.

SQLAlchemy works out the parameters of each row anew, which costs more than the rows do where changes of many
tasks are written together. The statement and the types stay SQLAlchemy's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Insert, Table, Update, bindparam, insert, update

Row: TypeAlias = Mapping[str, Any]
Convert: TypeAlias = Callable[[Any], Any] | None


class Batch:
    """`statement` has a bound parameter for each of its values; rows are mappings by their names."""

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._prepared: dict[str, tuple[str, list[tuple[str, Convert]]]] = {}

    def run(self, connection: Connection, rows: Iterable[Row]) -> None:
        sql, columns = self._for(connection.dialect)
        values = [
            tuple(convert(row[name]) if convert is not None else row[name] for name, convert in columns)
            for row in rows
        ]
        if values:
            connection.exec_driver_sql(sql, values)

    def _for(self, dialect: Dialect) -> tuple[str, list[tuple[str, Convert]]]:
        prepared = self._prepared.get(dialect.name)
        if prepared is None:
            compiled = self._statement.compile(dialect=dialect)
            names: Sequence[str] = compiled.positiontup or ()
            columns: list[tuple[str, Convert]] = [
                (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
                for name in names
            ]
            prepared = self._prepared[dialect.name] = (str(compiled), columns)
        return prepared


def insert_batch(table: Table, columns: Sequence[str]) -> Batch:
    """Rows with these columns; the others get their defaults."""
    return Batch(insert(table).values({name: bindparam(name, type_=table.c[name].type) for name in columns}))


def update_batch(table: Table, keys: Sequence[str], columns: Iterable[str]) -> Batch:
    """Sets the columns of the rows with these keys; the keys' values are named key_<column>."""
    statement = update(table).values({name: bindparam(name, type_=table.c[name].type) for name in columns})
    where = (table.c[key] == bindparam(f"key_{key}", type_=table.c[key].type) for key in keys)
    return Batch(statement.where(*where))
