"""JSON and NDJSON to rows: finds the table inside a value and flattens it one level.

The table may be an array of objects, an array of arrays, an object of equally long arrays, an
object with "columns" and "rows", or any of these one level down.
"""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from agent_servers.api.errors import TableRefused
from agent_servers.api.records import RecordSet, Row, Tally
from agent_servers.api.wording import counted

# What agents say about their own results; a table of citations is not data to analyse.
_NOT_TABLES = frozenset({"citations", "sentences", "findings", "sources", "errors"})


def read_json(text: str) -> RecordSet:
    """The table in a JSON text. Raises TableRefused where it is no JSON or holds no table."""
    try:
        value = json.loads(text)
    except ValueError as exc:
        if not _is_ndjson(text):
            raise TableRefused(f"it is not valid JSON ({_place(exc)}); correct it and send it again") from exc
        return read_ndjson(text)
    except RecursionError as exc:
        raise TableRefused("its JSON is nested too deeply; send an array of flat objects") from exc
    return read_value(value)


def read_ndjson(text: str) -> RecordSet:
    """One JSON object per line; lines that are none are left out and counted."""
    objects: list[tuple[int, dict[str, Any]]] = []
    bad = Tally()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            objects.append((number, value))
        else:
            bad.add(number)
    notes = [f"{counted(bad.count, 'line')} without a JSON object left out ({bad.where()})"]
    return _of_objects(objects, notes if bad.count else [])


def read_value(value: Any) -> RecordSet:
    """The table in a JSON value. Raises TableRefused where there is none."""
    if (found := find_table(value)) is None:
        raise TableRefused(
            "its JSON holds no table; send an array of objects or an object of equally long arrays"
        )
    return found


def find_table(value: Any) -> RecordSet | None:
    """The table a value is, else the largest one among its members, else None."""
    if direct := _direct(value):
        return direct[1]
    if not isinstance(value, dict):
        return None
    members = [
        (*found, key)
        for key, member in value.items()
        if str(key).casefold() not in _NOT_TABLES and (found := _direct(member))
    ]
    if not members:
        return None
    size, table, key = max(members, key=lambda member: member[0])
    if len(members) > 1:
        table.note(f"of {len(members)} tables in the JSON the largest was read (`{key[:60]}`)")
    return table if size else None


def _direct(value: Any) -> tuple[int, RecordSet] | None:
    """The number of rows and the rows of a value that is a table itself."""
    if isinstance(value, list):
        return _of_list(value)
    if not isinstance(value, dict) or not value:
        return None
    columns, rows = value.get("columns"), value.get("rows")
    if (
        isinstance(columns, list)
        and _is_names(columns)
        and isinstance(rows, list)
        and all(isinstance(r, list) for r in rows)
    ):
        return len(rows), _of_rows(columns, rows)
    lengths = {len(member) if isinstance(member, list) else -1 for member in value.values()}
    if len(lengths) == 1 and min(lengths) > 0 and _all_scalar(value.values()):
        names = [str(key) for key in value]
        return min(lengths), _of_rows(names, list(zip(*value.values(), strict=True)))
    return None


def _of_list(value: list[Any]) -> tuple[int, RecordSet] | None:
    objects = [(number, item) for number, item in enumerate(value, 1) if isinstance(item, dict)]
    if objects:
        skipped = len(value) - len(objects)
        notes = [f"{counted(skipped, 'array item')} without an object left out"] if skipped else []
        return len(objects), _of_objects(objects, notes)
    if len(value) > 1 and _is_names(value[0]) and all(isinstance(row, list) for row in value):
        return len(value) - 1, _of_rows(value[0], value[1:])
    return None


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _all_scalar(arrays: Any) -> bool:
    return not any(isinstance(item, dict | list) for array in arrays for item in array[:20])


def _of_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> RecordSet:
    records = ((number, [_cell(value) for value in row]) for number, row in enumerate(rows, 1))
    return RecordSet(names, records, [])


def _of_objects(objects: list[tuple[int, dict[str, Any]]], notes: list[str]) -> RecordSet:
    if not objects:
        raise TableRefused("it holds no JSON objects; send one object per line or an array of them")
    keys: dict[str, None] = {}
    for _, item in objects:
        for key, _value in _flat(item):
            keys.setdefault(key)
    names = list(keys)

    def records() -> Iterator[tuple[int, Row]]:
        for number, item in objects:
            flat = dict(_flat(item))
            yield number, [_cell(flat.get(name)) for name in names]

    return RecordSet(names, records(), notes)


def _flat(item: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in item.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                yield f"{key}.{inner}", inner_value
        else:
            yield str(key), value


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return ""
        case str():
            return value
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return repr(value)


def _is_ndjson(text: str) -> bool:
    first, _, rest = text.lstrip().partition("\n")
    return first.lstrip().startswith("{") and first.rstrip().endswith("}") and bool(rest.strip())


def _place(exc: ValueError) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"line {exc.lineno}, column {exc.colno}"
    return "a number in it is too long"
