"""What is asked of the catalog, as pure functions of its entries: filters, facets, order and pages.

Whatever cannot be read or is not supported raises InvalidArgument.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from coordinator.api.catalog import VALUES, Item
from coordinator.api.discovery_schemas import Bucket, CatalogEntry, Facet, FacetRequest
from coordinator.api.problems import BadRequest

T = TypeVar("T")
Check = Callable[[Item], bool]
EntryCheck = Callable[[CatalogEntry], bool]

_CLAUSE = re.compile(r"""\s*(\w+)\s*(=|>)\s*(?:'([^']*)'|"([^"]*)"|([^\s'"]+))\s*""")
_AND = re.compile(r"AND\b", re.IGNORECASE)
_ORDERS: dict[str, Callable[[Item], str | datetime]] = {
    "displayName": lambda item: item.entry.display_name.casefold(),
    "name": lambda item: item.entry.display_name.casefold(),
    "createdAt": lambda item: item.agent.registered_at,
    "created_at": lambda item: item.agent.registered_at,
    "updatedAt": lambda item: item.agent.updated_at,
    "updated_at": lambda item: item.agent.updated_at,
}


class InvalidArgument(BadRequest):
    def __init__(self, detail: str) -> None:
        super().__init__(400, "INVALID_ARGUMENT", detail)


def values_at(path: str) -> Callable[[CatalogEntry], Sequence[str]]:
    values = VALUES.get(path)
    if values is None:
        raise InvalidArgument(f"The field {path!r} is not supported; there are {', '.join(VALUES)}.")
    return values


def filter_of(wanted: Mapping[str, str | Sequence[str]]) -> EntryCheck:
    """7.1: alternatives within a field, all fields together; without case."""
    checks = [
        (values_at(path), {value.casefold() for value in ([values] if isinstance(values, str) else values)})
        for path, values in wanted.items()
    ]

    def fits(entry: CatalogEntry) -> bool:
        return all(any(v.casefold() in values for v in own(entry)) for own, values in checks)

    return fits


def facet_of(entries: Iterable[CatalogEntry], asked: FacetRequest) -> Facet:
    """7.3: how many entries have each value, the most frequent first."""
    own = values_at(asked.field)
    counts = Counter(value for entry in entries for value in set(own(entry)))
    ranked = sorted(
        ((value, count) for value, count in counts.items() if count >= asked.min_count),
        key=lambda pair: (-pair[1], pair[0]),
    )
    return Facet(
        buckets=[Bucket(value=value, count=count) for value, count in ranked[: asked.limit]],
        other_count=sum(count for _, count in ranked[asked.limit :]),
    )


def list_filter_of(expression: str) -> Check:
    """Appendix A: clauses joined by AND, values separated by commas are alternatives."""
    checks: list[Check] = []
    position = 0
    while expression[position:].strip():
        if checks:
            joined = _AND.match(expression, position)
            if joined is None:
                raise InvalidArgument("Clauses of a filter are joined by AND.")
            position = joined.end()
        clause = _CLAUSE.match(expression, position)
        if clause is None:
            raise InvalidArgument("A clause of a filter has the form field = 'value'.")
        name, _, *values = clause.groups()
        checks.append(_clause(name, next(value for value in values if value is not None)))
        position = clause.end()
    return lambda item: all(check(item) for check in checks)


def _clause(name: str, value: str) -> Check:
    any_of = {part.strip().casefold() for part in value.split(",")}
    match name:
        case "displayName":
            return lambda item: any(part in item.entry.display_name.casefold() for part in any_of)
        case "type":
            return lambda item: item.entry.type in any_of
        case "publisherId":
            return lambda item: any(own in any_of for own in VALUES["publisher"](item.entry))
        case "createdAfter":
            created = _time(value)
            return lambda item: item.agent.registered_at > created
        case "updatedAfter":
            updated = _time(value)
            return lambda item: item.agent.updated_at > updated
        case _:
            known = "displayName, type, publisherId, createdAfter, updatedAfter"
            raise InvalidArgument(f"There is no filter {name!r}; there are {known}.")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidArgument(f"{text!r} is no ISO 8601 time.") from exc
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def ordered(items: Iterable[Item], order_by: str) -> list[Item]:
    """By the fields of `order_by`, each with ASC or DESC, and by id where they are equal."""
    found = sorted(items, key=lambda item: item.agent.id)
    for part in reversed(order_by.split(",")):
        name, _, direction = part.strip().partition(" ")
        key = _ORDERS.get(name)
        if key is None or direction.strip().upper() not in ("", "ASC", "DESC"):
            raise InvalidArgument(
                f"{part.strip()!r} is no order; there are displayName, createdAt and updatedAt."
            )
        found.sort(key=key, reverse=direction.strip().upper() == "DESC")
    return found


def page(found: Sequence[T], size: int, token: str | None) -> tuple[Sequence[T], str | None]:
    """The page that the token leads to, and the token of the next one."""
    start = _offset(token) if token else 0
    end = start + size
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(found) else None
    return found[start:end], following


def _offset(token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode("ascii")
    except (binascii.Error, ValueError) as exc:
        raise InvalidArgument("The pageToken is none of this registry's.") from exc
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidArgument("The pageToken is none of this registry's.")
    return int(text)
