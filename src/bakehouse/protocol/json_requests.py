"""A JSON body to a typed dict, by the service model; what AWS's `json` and `rest-json` protocols have in common.

A reader is compiled for each shape at its first use. A member that is null is absent. A member that the model does not
have is refused, as EC2's parser refuses an unknown parameter: nothing of a request is ignored.
"""

import binascii
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import msgspec

from bakehouse.protocol.constraints import as_aws_writes, check_of, lacking
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.model import Member, Shape
from bakehouse.protocol.rest_scalars import read_moment

#: Takes what JSON had, and its path for the message of a refusal.
Read = Callable[[Any, str], Any]

_INTEGER_BITS: Final = {"integer": 32, "long": 64}

#: How the JSON protocols write what JSON has no number for. Source: Smithy 2.0, AWS JSON 1.1 protocol, shape
#: serialization of float and double.
_NOT_FINITE: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - whatever it is
    """Return the value of a JSON text; an empty body is an empty object.

    Raises:
        ProtocolError: `SerializationException`.
    """
    if not body:
        return {}
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as err:
        raise ProtocolError("SerializationException", "The request body is not valid JSON.") from err


def read_structure(shape: Shape, value: object, members: Iterable[Member]) -> dict[str, Any]:
    """Return the input's members that a body has.

    Args:
        shape: The input.
        value: What was decoded.
        members: Those of the shape that belong into the body.
    """
    structure: dict[str, Any] = _structure_of(shape, tuple(members))(value, "")
    return structure


def read_value(shape: Shape, value: object, path: str) -> Any:  # noqa: ANN401 - whatever the shape is
    """Return a value of any shape, where a payload member is the whole body."""
    return _reader(shape, None)(value, path)


@cache
def _structure_of(shape: Shape, members: tuple[Member, ...]) -> Read:
    # Readers are found when they are needed: shapes may hold themselves.
    by_name = {member.response_name: member for member in members}
    required = sorted(member.name for member in members if member.name in shape.required)

    def read(value: object, path: str) -> dict[str, Any]:
        if type(value) is not dict:
            raise _cannot_be(value, "a structure", path)
        prefix = f"{path}." if path else ""
        structure: dict[str, Any] = {}
        for name, inner in value.items():
            member = by_name.get(name)
            if member is None:
                raise _refused(f"Unrecognized field '{_shown(name)}'", path)
            if inner is not None:
                structure[member.name] = _reader(member.shape, member.timestamp_format)(inner, prefix + name)
        for name in required:
            if name not in structure:
                raise lacking(prefix + name)
        return structure

    return read


@cache
def _reader(shape: Shape, timestamp_format: str | None) -> Read:
    match shape.type:
        case "structure":
            return _structure_of(shape, tuple(shape.members.values()))
        case "list":
            return _list_reader(shape)
        case "map":
            return _map_reader(shape)
        case "timestamp":
            return _read_written_moment if timestamp_format in {"iso8601", "rfc822"} else _read_seconds
        case _:
            return _checked(shape, _SCALARS[shape.type])


def _checked(shape: Shape, read_scalar: Callable[[Shape, Any, str], Any]) -> Read:
    check = check_of(shape)

    def read(value: object, path: str) -> Any:  # noqa: ANN401 - whatever the shape is
        known = read_scalar(shape, value, path)
        check(known, path)
        return known

    return read


def _list_reader(shape: Shape) -> Read:
    check = check_of(shape)
    element = shape.element

    def read(value: object, path: str) -> list[Any]:
        if type(value) is not list:
            raise _cannot_be(value, "a list", path)
        check(value, path)
        read_element = _reader(element.shape, element.timestamp_format)
        found = []
        for number, inner in enumerate(value, 1):
            if inner is None:
                raise lacking(f"{path}.{number}.member")
            found.append(read_element(inner, f"{path}.{number}.member"))
        return found

    return read


def _map_reader(shape: Shape) -> Read:
    check = check_of(shape)
    key, entry = shape.entry

    def read(value: object, path: str) -> dict[str, Any]:
        if type(value) is not dict:
            raise _cannot_be(value, "a map", path)
        check(value, path)
        read_key, read_entry = _reader(key.shape, None), _reader(entry.shape, entry.timestamp_format)
        return {
            read_key(name, f"{path}.key"): read_entry(inner, f"{path}.{_shown(name)}")
            for name, inner in value.items()
            if inner is not None
        }

    return read


def _read_text(_shape: Shape, value: object, path: str) -> str:
    if type(value) is not str:
        raise _cannot_be(value, "a String", path)
    return value


def _read_integer(shape: Shape, value: object, path: str) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise _cannot_be(value, f"an {shape.type.capitalize()}", path)
    limit = 2 ** (_INTEGER_BITS[shape.type] - 1)
    if not -limit <= value < limit:
        raise _cannot_be(value, f"an {shape.type.capitalize()}", path)
    return value


def _read_float(shape: Shape, value: object, path: str) -> float:
    if type(value) is str and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if type(value) not in {int, float}:
        raise _cannot_be(value, f"a {shape.type.capitalize()}", path)
    try:
        return float(value)  # type: ignore[arg-type] # tested above
    except OverflowError as err:
        raise _cannot_be(value, f"a {shape.type.capitalize()}", path) from err


def _read_boolean(_shape: Shape, value: object, path: str) -> bool:
    if type(value) is not bool:
        raise _cannot_be(value, "a Boolean", path)
    return value


def _read_blob(_shape: Shape, value: object, path: str) -> bytes:
    if type(value) is not str:
        raise _cannot_be(value, "a Blob", path)
    try:
        return binascii.a2b_base64(value, strict_mode=True) if value else b""
    except ValueError as err:  # not base64, or not ASCII at all
        raise _refused("Invalid base64 data", path) from err


_SCALARS: Final[dict[str, Callable[[Shape, Any, str], Any]]] = {
    "string": _read_text,
    "integer": _read_integer,
    "long": _read_integer,
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "blob": _read_blob,
}


def _read_seconds(value: object, path: str) -> datetime:
    """Read seconds since 1970, which is how the JSON protocols write a time where the model says nothing else."""
    if type(value) not in {int, float}:
        raise _cannot_be(value, "a Timestamp", path)
    try:
        return datetime.fromtimestamp(value, UTC)  # type: ignore[arg-type] # tested above
    except (ValueError, OverflowError, OSError) as err:
        raise _cannot_be(value, "a Timestamp", path) from err


def _read_written_moment(value: object, path: str) -> datetime:
    if type(value) is not str:
        raise _cannot_be(value, "a Timestamp", path)
    return read_moment(value, path)


def _cannot_be(value: object, wanted: str, path: str) -> ProtocolError:
    """Source: the wording of AWS, such as "NUMBER_VALUE can not be converted to a String"."""
    match value:
        case bool():
            kind = "TRUE_VALUE" if value else "FALSE_VALUE"
        case int() | float():
            kind = "NUMBER_VALUE"
        case str():
            kind = "STRING_VALUE"
        case list():
            kind = "Start of list"
        case dict():
            kind = "Start of structure or map"
        case _:
            kind = "NULL_VALUE"
    return _refused(f"{kind} can not be converted to {wanted}", path)


def _refused(message: str, path: str) -> ProtocolError:
    at = f" at '{as_aws_writes(path)}'" if path else ""
    return ProtocolError("SerializationException", message + at)


def _shown(name: str) -> str:
    return name[:100]
