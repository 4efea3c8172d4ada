"""Our models to the messages of a2a.proto and back, field by field.

A model and its message share their name, and so do their fields, so a shape is derived for each model, once.
What a message does not say is absent from what the model validates, as it would be from JSON.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import cache, partial
from typing import Any, TypeVar, cast, get_args

import pydantic_core
from google.protobuf import empty_pb2
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.struct_pb2 import NullValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from a2a.grpc.generated import a2a_pb2
from a2a.types import Json, WireModel

ModelT = TypeVar("ModelT", bound=WireModel)
# Whole numbers up to here are what a double holds exactly; a larger one stays a float.
MAX_WHOLE = 2**53
# Implementations of protobuf read messages within messages a hundred deep. An object takes three levels, a
# list two, and what is around the JSON takes the rest.
MAX_JSON_LEVELS = 90

Read = Callable[[Any], Json]
Write = Callable[[Any, Any], None]


def encode(model: WireModel) -> bytes:
    """The model's message. Raises ValueError on what protobuf cannot say or its peers could not read: a
    number that no double or int32 holds, or JSON nested too deep."""
    message = _message_type(type(model))()
    try:
        _shape(type(model)).fill(message, model)
    except OverflowError as exc:
        raise ValueError("a number is too large") from exc
    return message.SerializeToString()


def plain(model: type[WireModel], data: bytes) -> Json:
    """What a message says, as the plain object that `model` validates. Raises ValueError on what is none."""
    message = _message_type(model)()
    try:
        message.ParseFromString(data)
    except DecodeError as exc:
        raise ValueError("not a protobuf message of this kind") from exc
    return _shape(model).read(message)


def decode(model: type[ModelT], data: bytes) -> ModelT:
    """Raises ValueError, which is pydantic's where the message can be read."""
    return model.model_validate(plain(model, data))


def _message_type(model: type[WireModel]) -> type[ProtoMessage]:
    name = model.__name__
    found: type[ProtoMessage] = getattr(a2a_pb2, name, None) or getattr(empty_pb2, name)
    return found


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str
    read: Read
    write: Write


@dataclass(frozen=True, slots=True)
class _Shape:
    """`unsaid` has the fields that the model requires and a message leaves out where they are empty."""

    fields: Mapping[str, _Field]
    unsaid: Mapping[str, Json]

    def fill(self, message: ProtoMessage, model: WireModel) -> None:
        for field in self.fields.values():
            value = getattr(model, field.name)
            if value is not None:
                field.write(message, value)

    def read(self, message: ProtoMessage) -> dict[str, Json]:
        said = dict(self.unsaid)
        for descriptor, value in message.ListFields():
            field = self.fields.get(descriptor.name)
            if field is not None:
                said[field.key] = field.read(value)
        return said


@cache
def _shape(model: type[WireModel]) -> _Shape:
    fields: dict[str, _Field] = {}
    unsaid: dict[str, Json] = {}
    for descriptor in _descriptors(model):
        info = model.model_fields.get(descriptor.name)
        if info is None:
            continue
        key = info.alias or descriptor.name
        nested = _model_in(info.annotation)
        read, write = _codec(descriptor, nested)
        fields[descriptor.name] = _Field(descriptor.name, key, read, write)
        if info.is_required() and not descriptor.has_presence and descriptor.enum_type is None:
            unsaid[key] = _empty(descriptor)
    return _Shape(fields, unsaid)


def _descriptors(model: type[WireModel]) -> Iterable[FieldDescriptor]:
    return cast("Iterable[FieldDescriptor]", _message_type(model).DESCRIPTOR.fields)


def _model_in(annotation: object) -> type[WireModel] | None:
    """The model in an annotation such as `dict[str, Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _empty(descriptor: FieldDescriptor) -> Json:
    if not descriptor.is_repeated:
        return descriptor.default_value
    return {} if _map_value(descriptor) is not None else []


def _map_value(descriptor: FieldDescriptor) -> FieldDescriptor | None:
    """The values' descriptor, where the field is a map."""
    entry = descriptor.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return None
    return entry.fields_by_name["value"]


def _codec(descriptor: FieldDescriptor, nested: type[WireModel] | None) -> tuple[Read, Write]:
    name = descriptor.name
    value = _map_value(descriptor)
    if value is not None:
        if value.message_type is None:
            return dict, partial(_write_map, name)
        read, fill = _message_codec(value.message_type.full_name, nested)
        return partial(_read_map, read), partial(_fill_map, name, fill)
    if descriptor.message_type is not None:
        read, fill = _message_codec(descriptor.message_type.full_name, nested)
        if descriptor.is_repeated:
            return partial(_read_list, read), partial(_fill_list, name, fill)
        return read, partial(_fill_one, name, fill)
    if descriptor.is_repeated:
        return list, partial(_write_list, name)
    if descriptor.enum_type is not None:
        enum = descriptor.enum_type
        return partial(_enum_name, enum), partial(_write_enum, name, enum)
    return _same, partial(_write_one, name)


def _message_codec(name: str, nested: type[WireModel] | None) -> tuple[Read, Write]:
    """From a message to plain JSON, and from our value into a message that is there."""
    match name:
        case "google.protobuf.Struct":
            return _read_struct, _fill_struct
        case "google.protobuf.Value":
            return _read_value, _fill_value
        case "google.protobuf.Timestamp":
            return _read_time, Timestamp.FromDatetime
    assert nested is not None, name
    shape = _shape(nested)
    return shape.read, shape.fill


def _same(value: Json) -> Json:
    return value


def _write_one(name: str, message: ProtoMessage, value: Json) -> None:
    setattr(message, name, value)


def _write_enum(name: str, enum: EnumDescriptor, message: ProtoMessage, value: str) -> None:
    setattr(message, name, enum.values_by_name[value].number)


def _write_list(name: str, message: ProtoMessage, values: list[str]) -> None:
    getattr(message, name).extend(values)


def _write_map(name: str, message: ProtoMessage, values: dict[str, str]) -> None:
    getattr(message, name).update(values)


def _fill_one(name: str, fill: Write, message: ProtoMessage, value: Any) -> None:
    target = getattr(message, name)
    target.SetInParent()  # an empty message is not an absent one
    fill(target, value)


def _fill_list(name: str, fill: Write, message: ProtoMessage, values: list[Any]) -> None:
    items = getattr(message, name)
    for value in values:
        fill(items.add(), value)


def _fill_map(name: str, fill: Write, message: ProtoMessage, values: dict[str, Any]) -> None:
    items = getattr(message, name)
    for key, value in values.items():
        fill(items[key], value)


def _read_list(read: Read, items: Any) -> list[Json]:
    return [read(item) for item in items]


def _read_map(read: Read, items: Any) -> dict[str, Json]:
    return {key: read(value) for key, value in items.items()}


def _enum_name(enum: EnumDescriptor, number: int) -> str:
    """A number that this version has no name for is refused as a name would be."""
    value = enum.values_by_number.get(number)
    return value.name if value is not None else str(number)


def _read_time(value: Timestamp) -> Json:
    """A time outside of the calendar stays words, which no model takes for a time."""
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return "a time outside of the calendar"


def _fill_struct(target: Struct, value: dict[str, Json], levels: int = MAX_JSON_LEVELS) -> None:
    for key, item in value.items():
        _fill_value(target.fields[str(key)], item, levels - 3)


def _fill_value(target: Value, value: Json, levels: int = MAX_JSON_LEVELS) -> None:
    if levels < 0:
        raise ValueError("JSON is nested too deep for protobuf")
    match value:
        case None:
            target.null_value = NullValue.NULL_VALUE
        case bool():
            target.bool_value = value
        case str():
            target.string_value = value
        case int() | float():
            target.number_value = value
        case dict():
            target.struct_value.SetInParent()
            _fill_struct(target.struct_value, value, levels)
        case list() | tuple():
            target.list_value.SetInParent()
            for item in value:
                _fill_value(target.list_value.values.add(), item, levels - 2)
        case _:
            _fill_value(target, pydantic_core.to_jsonable_python(value), levels)


def _read_struct(value: Struct) -> dict[str, Json]:
    return {key: _read_value(item) for key, item in value.fields.items()}


def _read_value(value: Value) -> Json:
    """Numbers are doubles on the wire; a whole one comes back as the integer it most likely was."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= MAX_WHOLE else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _read_struct(value.struct_value)
        case "list_value":
            return [_read_value(item) for item in value.list_value.values]
    return None
