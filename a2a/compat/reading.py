"""Reading JSON that a 0.3 peer wrote: every function checks what it touches and says where it is wrong."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic.alias_generators import to_snake

from a2a.types import Json

JsonObject = dict[str, Any]


class ShapeError(ValueError):
    """`field` is the dotted path in the JSON that was read, `description` what is wrong there."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


_snake = cache(to_snake)


def object_at(value: Json, at: str) -> JsonObject:
    if not isinstance(value, dict):
        raise ShapeError(at, "has to be an object")
    return value


def list_at(value: Json, at: str) -> list[Json]:
    """null and absent are an empty list, as in ProtoJSON."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ShapeError(at, "has to be a list")
    return value


def text_at(value: Json, at: str) -> str:
    if not isinstance(value, str):
        raise ShapeError(at, "has to be a string")
    return value


def field(value: JsonObject, name: str) -> Json:
    """The field by its camelCase or its snake_case name; None where it is null or absent."""
    found = value.get(name)
    return value.get(_snake(name)) if found is None else found


def picked(value: JsonObject, names: Iterable[str]) -> JsonObject:
    """The named fields that are there, under their camelCase names."""
    return {name: found for name in names if (found := field(value, name)) is not None}
