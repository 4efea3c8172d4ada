"""Column types and the naming of constraints that every table shares."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic_core import to_json
from sqlalchemy import JSON, CheckConstraint, DateTime, Dialect, MetaData, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

Json = Any
DEFAULT_TENANT = "default"


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on every database; a naive one is a programming error."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("datetimes are stored in UTC and have to be aware")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 SQLAlchemy's signature
    ) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def storable(text: str) -> str:
    """The text without NUL and lone surrogates, which PostgreSQL does not hold, so nowhere do we."""
    without_nul = text.replace("\x00", "") if "\x00" in text else text
    if without_nul.isascii():
        return without_nul
    return without_nul.encode("utf-8", errors="replace").decode("utf-8")


def _storable_document(value: Json) -> Json:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(key)): _storable_document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable_document(item) for item in value]
    return value


class PlainText(TypeDecorator[str]):
    """Text from anywhere, as every database can hold it; also where it is only compared."""

    impl = String()
    cache_ok = True

    def process_bind_param(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 SQLAlchemy's signature
    ) -> str | None:
        return storable(value) if value is not None else None


class JsonDocument(TypeDecorator[Json]):
    """A JSON document; None is SQL's NULL, not JSON's null."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Json]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(JSON(none_as_null=True))

    def process_bind_param(
        self,
        value: Json,
        dialect: Dialect,  # noqa: ARG002 SQLAlchemy's signature
    ) -> Json:
        # Most documents hold nothing that would have to be taken out, and the encoder finds out fastest.
        try:
            is_plain = b"\\u0000" not in to_json(value)
        except ValueError:
            is_plain = False
        return value if is_plain else _storable_document(value)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 SQLAlchemy's own way to say it
        datetime: UtcDateTime(),
        str: PlainText(),
        dict[str, Json]: JsonDocument(),
        list[Json]: JsonDocument(),
    }


def one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    """CHECK that the column holds one of the enum's words."""
    allowed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)
