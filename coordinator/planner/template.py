"""What a step takes from earlier steps: `{{steps.2.data.total}}`, `{{item.city}}`. Pure.

Owns the references' grammar, what they resolve to, texts and data rendered with them, and conditions.
All of it is hostile and bounded; a substituted value is never rendered again.

TemplateError
├── BadReference       what stands in the braces is no reference
├── MissingReference   the reference leads to nothing; the reason says what is there instead
├── TemplateTooLarge   more characters, references or levels of nesting than allowed
└── BadComparison      a condition compares values of kinds that do not go together
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Literal

from a2a.types import Json

MAX_RENDERED_CHARS = 200_000
MAX_REFERENCE_CHARS = 500
MAX_SEGMENTS = 32
MAX_REFERENCES = 200
MAX_LEVELS = 64
_MAX_NAMED_KEYS = 5
_MAX_KEY_CHARS = 40
_MAX_SHOWN_CHARS = 120

# No pattern can read a text in two ways, so a failed match costs linear time.
_NAME = re.compile(r"[\w-]+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_STEP = re.compile(r"[1-9][0-9]{0,8}")
_SEGMENT = re.compile(rf'\.({_NAME.pattern})|\[({_INDEX.pattern})\]|\[("(?:[^"\\]|\\.)*")\]')
_OPEN = re.compile(r"\{\{\s*+")
_CLOSE = re.compile(r"\s*+\}\}")
_END = re.compile(r"\s*+\Z")
_EXAMPLES = "steps.2.text, steps.2.data.total, steps.2.artifacts.chart, item, item.city or item_index"
_KINDS = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
_ORDERED = {("a number", "a number"), ("a string", "a string")}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class TemplateError(Exception):
    """Base of all template errors."""


@dataclass(eq=False)
class BadReference(TemplateError):
    """`text` is as written, with its braces where it had some."""

    text: str
    reason: str

    def __str__(self) -> str:
        return f'"{_shortened(self.text, _MAX_SHOWN_CHARS)}" is not a reference: {self.reason}.'


@dataclass(eq=False)
class MissingReference(TemplateError):
    reference: Reference
    reason: str

    def __str__(self) -> str:
        return f'"{_shortened(str(self.reference), _MAX_SHOWN_CHARS)}" leads to nothing: {self.reason}.'


@dataclass(eq=False)
class TemplateTooLarge(TemplateError):
    limit: int
    unit: str = "characters"

    def __str__(self) -> str:
        return f"The template comes to more than {self.limit} {self.unit}."


@dataclass(eq=False)
class BadComparison(TemplateError):
    """`found` and `value` are kinds, e.g. "a number": the values themselves may be long."""

    reference: Reference
    op: ConditionOp
    found: str
    value: str

    def __str__(self) -> str:
        reference = _shortened(str(self.reference), _MAX_SHOWN_CHARS)
        return f'"{reference}" is {self.found}, which "{self.op}" cannot compare with {self.value}.'


@dataclass(frozen=True, slots=True)
class Reference:
    """`step` is set for "steps" alone, where `path` begins with "text", "data" or "artifacts".

    An int in `path` is an index, a string a key; one of digits is an index where it meets a list.
    `str()` gives the canonical spelling, which `parse_reference` reads back equal.
    """

    root: Literal["steps", "item", "item_index"]
    step: int | None
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return (f"steps.{self.step}" if self.root == "steps" else self.root) + _spelled(self.path)


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a finished step offers; `data` None means none, `artifacts` are by name."""

    text: str
    data: Json
    artifacts: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Scope:
    """The completed steps by number, and the current element: `item_index` None means there is none."""

    steps: Mapping[int, StepOutput]
    item: Json = None
    item_index: int | None = None


class ConditionOp(StrEnum):
    eq = "eq"
    ne = "ne"
    gt = "gt"
    ge = "ge"
    lt = "lt"
    le = "le"
    contains = "contains"
    one_of = "in"
    exists = "exists"
    missing = "missing"


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` is never rendered; exists and missing ignore it."""

    ref: Reference
    op: ConditionOp
    value: Json = None


def parse_reference(text: str) -> Reference:
    """Reads the bare form, without braces. Raises BadReference."""
    return _read(text, len(text) - len(text.lstrip()), _END, shown=text)[0]


def references_in(value: Json) -> list[Reference]:
    """All in the strings of a value, keys excepted, in order. Raises BadReference and TemplateTooLarge."""
    found: list[Reference] = []
    for text in _bounded_strings(value):
        found += [piece for piece in _pieces(text) if isinstance(piece, Reference)]
        if len(found) > MAX_REFERENCES:
            raise TemplateTooLarge(MAX_REFERENCES, "references")
    return found


def resolve(reference: Reference, scope: Scope) -> Json:
    """The value it leads to, shared with the scope, not copied. Raises MissingReference."""
    value = _start(reference, scope)
    for position, segment in enumerate(reference.path):
        key = _key(value, segment)
        if key is None:
            raise MissingReference(reference, _lack(reference, position, value))
        value = value[key]
    return value


def render_text(template: str, scope: Scope) -> str:
    """Strings go in as they are, other values as compact JSON. Raises TemplateError."""
    rendered = render_data(template, scope)
    text = rendered if isinstance(rendered, str) else _ENCODER.encode(rendered)
    _bounded_strings(text)
    return text


def render_data(value: Json, scope: Scope) -> Json:
    """Renders every string of a nested value, keys excepted. Raises TemplateError.

    A string that is exactly one reference becomes what that leads to, shared with the scope. The
    limit counts the characters of the result's strings, keys and numbers, and its elements.
    """
    # All together and before any is copied, so that many references cannot multiply a long value.
    _bounded_strings(*(resolve(reference, scope) for reference in references_in(value)))
    rendered = _rendered(value, scope)
    _bounded_strings(rendered)
    return rendered


def holds(condition: Condition, scope: Scope) -> bool:
    """Raises BadComparison, and MissingReference unless it asks what exists or is missing.

    Values compare as in JSON: true is no number, and 1 equals 1.0.
    """
    op, value = condition.op, condition.value
    try:
        found = resolve(condition.ref, scope)
    except MissingReference:
        if op not in (ConditionOp.exists, ConditionOp.missing):
            raise
        return op is ConditionOp.missing
    kinds = _kind(found), _kind(value)
    match op:
        case ConditionOp.exists | ConditionOp.missing:
            return op is ConditionOp.exists
        case ConditionOp.eq | ConditionOp.ne:
            return _equal(found, value) is (op is ConditionOp.eq)
        case ConditionOp.one_of if isinstance(value, list):
            return any(_equal(found, each) for each in value)
        case ConditionOp.contains if isinstance(found, list):
            return any(_equal(each, value) for each in found)
        case ConditionOp.contains if isinstance(found, str | dict) and isinstance(value, str):
            return value in found
        case ConditionOp.gt | ConditionOp.ge | ConditionOp.lt | ConditionOp.le if kinds in _ORDERED:
            return bool(getattr(operator, op)(found, value))
        case _:
            raise BadComparison(condition.ref, op, *kinds)


def _read(text: str, start: int, close: re.Pattern[str], shown: str) -> tuple[Reference, int]:
    """The reference at `start`, and where what closes it ends; `shown` is what an error quotes."""
    found = _NAME.match(text, start)
    root = found[0] if found else ""
    path, end = _read_path(text, start + len(root))
    match root, path:
        case "item", _:
            reference = Reference("item", None, path)
        case "item_index", ():
            reference = Reference("item_index", None, ())
        case "steps", (str(step), "text") | (str(step), "data" | "artifacts", *_) if _STEP.fullmatch(step):
            reference = Reference("steps", int(step), path[1:])
        case _:
            plain = r'; write "\{{" for plain braces' if close is _CLOSE else ""
            raise BadReference(shown, f"it is not of the form {_EXAMPLES}{plain}")
    closed = close.match(text, end)
    if closed is None:
        rest = _shortened(text[end : end + _MAX_KEY_CHARS], _MAX_KEY_CHARS)
        raise BadReference(shown, f'it cannot go on with "{rest}"' if rest else "it ends too early")
    if end - start > MAX_REFERENCE_CHARS or len(reference.path) > MAX_SEGMENTS:
        raise BadReference(shown, f"it is over {MAX_REFERENCE_CHARS} characters or {MAX_SEGMENTS} segments")
    return reference, closed.end()


def _read_path(text: str, at: int) -> tuple[tuple[str | int, ...], int]:
    path: list[str | int] = []
    while found := _SEGMENT.match(text, at):
        name, index, key = found.groups()
        try:
            path.append(name or (int(index) if index else json.loads(key)))
        except ValueError:  # an escape that JSON does not know
            break
        at = found.end()
    return tuple(path), at


def _pieces(template: str) -> list[str | Reference]:
    """Literal text, with its escapes undone, and references; no piece is empty."""
    pieces: list[str | Reference] = []
    at = 0
    while opened := _OPEN.search(template, at):
        before, at = template[at : opened.start()], opened.end()
        if before.endswith("\\"):
            pieces += [before[:-1], opened[0]]
            continue
        shown = "".join(template[opened.start() : at + MAX_REFERENCE_CHARS].partition("}}")[:2])
        reference, at = _read(template, at, _CLOSE, shown)
        pieces += [before, reference]
    return [piece for piece in (*pieces, template[at:]) if piece]


def _rendered(value: Json, scope: Scope) -> Json:
    if isinstance(value, list):
        return [_rendered(each, scope) for each in value]
    if isinstance(value, dict):
        return {key: _rendered(each, scope) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    pieces = _pieces(value)
    values = [resolve(piece, scope) if isinstance(piece, Reference) else piece for piece in pieces]
    if len(values) == 1:
        return values[0]
    return "".join(each if isinstance(each, str) else _ENCODER.encode(each) for each in values)


def _bounded_strings(*values: Json) -> list[str]:
    """All strings in the values, keys excepted, in order. Raises TemplateTooLarge once they pass a limit."""
    strings, chars, nodes = [], 0, len(values)
    waiting = [(value, 0) for value in reversed(values)]
    while waiting:
        node, level = waiting.pop()
        inner: list[Json] = []
        match node:
            case str():
                strings.append(node)
                chars += len(node)
            case list():
                inner = node
            case dict():
                inner = list(node.values())
                chars += sum(map(len, node))
            case _:
                chars += len(str(node))
        nodes += len(inner)
        if max(chars, nodes) > MAX_RENDERED_CHARS:
            raise TemplateTooLarge(MAX_RENDERED_CHARS)
        if inner and level == MAX_LEVELS:
            raise TemplateTooLarge(MAX_LEVELS, "levels of nesting")
        waiting += [(each, level + 1) for each in reversed(inner)]
    return strings


def _start(reference: Reference, scope: Scope) -> Json:
    """What the first segment is looked up in."""
    if reference.root == "steps":
        output = scope.steps.get(reference.step or 0)
        if output is None:
            raise MissingReference(reference, f"step {reference.step} has not completed")
        offered = {"text": output.text, "data": output.data, "artifacts": dict(output.artifacts) or None}
        return {name: value for name, value in offered.items() if value is not None}
    if scope.item_index is None:
        raise MissingReference(reference, "there is no item, because the step has no for_each")
    return scope.item if reference.root == "item" else scope.item_index


def _key(value: Json, segment: str | int) -> str | int | None:
    """The key or index under which `value` holds it, or None."""
    if not isinstance(value, list):
        return segment if isinstance(value, dict) and segment in value else None
    index = int(segment) if isinstance(segment, str) and _INDEX.fullmatch(segment) else segment
    return index if isinstance(index, int) and 0 <= index < len(value) else None


def _lack(reference: Reference, position: int, value: Json) -> str:
    """What there is instead of the segment at `position`."""
    before, segment = reference.path[:position], reference.path[position]
    wanted = _quoted(segment) if isinstance(segment, str) else f"[{segment}]"
    place = _shortened(f"item{_spelled(before)}", _MAX_SHOWN_CHARS)
    if reference.root == "steps":
        place = f"step {reference.step}"
        match before:
            case ():
                return f"{place} has no {_shortened(str(segment), _MAX_KEY_CHARS)}"
            case ("artifacts",):
                wanted = f"artifact {wanted}"
            case _:
                place += "'s " + _shortened(_spelled(before)[1:], _MAX_SHOWN_CHARS)
    if isinstance(value, list):
        return f"{place} has {len(value) or 'no'} element{'' if len(value) == 1 else 's'}"
    if not isinstance(value, dict):
        return f"{place} is {_kind(value)}"
    keys = ", ".join(_quoted(key) for key in islice(value, _MAX_NAMED_KEYS))
    more = " and more" if len(value) > _MAX_NAMED_KEYS else ""
    return f"{place} has no {wanted}; it has {keys or 'no keys'}{more}"


def _equal(left: Json, right: Json) -> bool:
    """Without recursion, which a deep value would exhaust."""
    waiting = [(left, right)]
    while waiting:
        match waiting.pop():
            case dict() as one, dict() as other if one.keys() == other.keys():
                waiting += [(one[key], other[key]) for key in one]
            case list() as one, list() as other if len(one) == len(other):
                waiting += zip(one, other, strict=True)
            case dict() | list(), _:
                return False
            case one, other if _kind(one) != _kind(other) or one != other:
                return False
    return True


def _kind(value: Json) -> str:
    return "null" if value is None else _KINDS.get(type(value), "an object")


def _spelled(path: tuple[str | int, ...]) -> str:
    return "".join(
        f".{part}" if isinstance(part, str) and _NAME.fullmatch(part) else f"[{_ENCODER.encode(part)}]"
        for part in path
    )


def _quoted(key: str) -> str:
    """Without the quotation mark that would end the quotation."""
    return '"' + _shortened(key, _MAX_KEY_CHARS).replace('"', "'") + '"'


def _shortened(text: str, limit: int) -> str:
    """On one line, whatever it holds."""
    cut = text if len(text) <= limit else f"{text[: limit - 3]}..."
    return "".join(character if character.isprintable() else " " for character in cut)
