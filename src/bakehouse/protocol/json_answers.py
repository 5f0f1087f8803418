"""An operation's answer to JSON, by the service model.

A writer is compiled for each shape at its first use. Whatever the model does not have is an error of ours and raises:
an answer is never silently short of what an operation meant to say.
"""

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from math import isinf, isnan
from typing import Any, Final

from bakehouse.protocol.model import Member, Shape
from bakehouse.protocol.responses import OutputNotInModel, UnknownOutputMember, WrongOutputType
from bakehouse.protocol.rest_scalars import write_text

#: Value to what `msgspec.json` can write.
_Write = Callable[[Any], Any]


def json_members(shape: Shape, response: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer's members as JSON has them.

    Args:
        shape: The structure.
        response: Members by their names in the model; None and absent are the same. Timestamps are aware, blobs are
            bytes, lists are lists or tuples.

    Raises:
        UnknownOutputMember: The response, or a structure in it, has a member that the model does not have.
        WrongOutputType: A value does not have the type of its shape.
    """
    members: dict[str, Any] = _structure_writer(shape)(response)
    return members


@cache
def _structure_writer(shape: Shape) -> _Write:
    rows: dict[str, tuple[str, _Write]] = {}

    def write(value: Any) -> dict[str, Any]:  # noqa: ANN401 - checked here
        if not isinstance(value, Mapping):
            raise _wrong_type(shape, value)
        written = {}
        name = ""
        try:
            for name, inner in value.items():
                if inner is None:
                    continue
                row = rows.get(name)
                if row is None:
                    row = rows[name] = _row(shape, name)
                tag, write_member = row
                written[tag] = write_member(inner)
        except OutputNotInModel as err:
            err.add_note(f"in {shape.name}.{name}")
            raise
        return written

    return write


def _row(shape: Shape, name: str) -> tuple[str, _Write]:
    member = shape.members.get(name)
    if member is None:
        raise UnknownOutputMember(f"{shape.name} has no member {name}")
    return member.response_name, _writer(member)


def _writer(member: Member) -> _Write:
    match member.shape.type:
        case "structure":
            return _structure_writer(member.shape)
        case "list":
            return _list_writer(member.shape)
        case "map":
            return _map_writer(member.shape)
        case "timestamp":
            return _timestamp_writer(member)
        case _:
            return _scalar_writer(member.shape)


def _list_writer(shape: Shape) -> _Write:
    write_element = _writer(shape.element)

    def write(value: Any) -> list[Any]:  # noqa: ANN401 - checked here
        if not isinstance(value, (list, tuple)):
            raise _wrong_type(shape, value)
        return [write_element(element) for element in value]

    return write


def _map_writer(shape: Shape) -> _Write:
    write_entry = _writer(shape.entry[1])

    def write(value: Any) -> dict[str, Any]:  # noqa: ANN401 - checked here
        if not isinstance(value, Mapping):
            raise _wrong_type(shape, value)
        return {str(name): write_entry(entry) for name, entry in value.items()}

    return write


def _timestamp_writer(member: Member) -> _Write:
    def write(value: object) -> Any:  # noqa: ANN401 - a number, or text
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise _wrong_type(member.shape, value)
        if member.timestamp_format in {"iso8601", "rfc822"}:
            return write_text(member, value, member.timestamp_format)
        seconds = round(value.timestamp(), 3)
        return int(seconds) if seconds.is_integer() else seconds

    return write


def _scalar_writer(shape: Shape) -> _Write:
    convert = _SCALARS[shape.type]

    def write(value: object) -> Any:  # noqa: ANN401 - whatever the shape is
        written = convert(value)
        if written is None:
            raise _wrong_type(shape, value)
        return written

    return write


def _text(value: object) -> str | None:
    return str.__str__(value) if isinstance(value, str) else None  # the text of an enumeration's member


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: object) -> float | str | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    number = float(value)
    if isnan(number):
        return "NaN"
    if isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _blob(value: object) -> str | None:
    return b2a_base64(value, newline=False).decode() if isinstance(value, bytes) else None


_SCALARS: Final[dict[str, Callable[[object], Any]]] = {
    "string": _text,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "blob": _blob,
}


def _wrong_type(shape: Shape, value: object) -> WrongOutputType:
    return WrongOutputType(f"{shape.name} is a {shape.type}, not {type(value).__name__}")
