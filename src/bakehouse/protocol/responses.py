"""An operation's answer to XML, by the service model.

A serializer is compiled for each shape at its first use and kept. An element is written for each member that
is given, in the order of the dict; None and absent are the same. Whatever the model does not have is an error
of ours and raises: an answer is never silently short of what an operation meant to say.
"""

from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from math import isinf, isnan
from typing import Any, Final, Protocol, cast

from bakehouse.protocol.errors import XML_DECLARATION
from bakehouse.protocol.model import Member, Operation, Shape
from bakehouse.protocol.xml_text import escape

#: Value to the text between an element's tags.
_Write = Callable[[Any], str]

#: Opening tag, closing tag, and what is between.
_Row = tuple[str, str, _Write]


class Rendered(Protocol):
    """The memo convention: a mapping that keeps its own XML.

    A structure's value that is a mapping and has the attribute `rendered` (initially None; a dict subclass
    with `__slots__ = ("rendered",)` is enough) is serialized once. The fragment is stored there and reused
    whenever the same object is answered again. So the object must not change afterwards (make a new one, or set
    `rendered` to None), and must always stand for the same shape.
    """

    rendered: str | None


class OutputNotInModel(Exception):
    """An operation answered what its model cannot express. The notes of the exception say where."""


class UnknownOutputMember(OutputNotInModel):
    """A structure has no member of this name."""


class WrongOutputType(OutputNotInModel):
    """A value's Python type does not fit its shape."""


def serialize_response(operation: Operation, response: Mapping[str, Any], request_id: str) -> bytes:
    """Return the body of a successful answer.

    An operation whose model has no output answers `<return>true</return>`, as AWS does and libcloud demands.

    Args:
        operation: Whose answer it is.
        response: Members by their names in the model. Timestamps are aware, blobs are bytes, lists are lists
            or tuples.
        request_id: A UUID, the same as in the log.

    Raises:
        UnknownOutputMember: The response, or a structure in it, has a member that the model does not have.
        WrongOutputType: A value does not have the type of its shape.
    """
    model = operation.model
    if operation.output_shape is None:
        if response:
            raise UnknownOutputMember(f"{operation.name} has no output, so not {', '.join(response)}")
        members = ["<return>true</return>"] if model.protocol == "ec2" else []
    else:
        members = _pieces(operation.output_shape, response)
    root = f"{operation.name}Response"
    opening = f'{XML_DECLARATION}<{root} xmlns="{model.namespace}">'
    if model.protocol == "ec2":
        document = (opening, f"<requestId>{request_id}</requestId>", *members, f"</{root}>")
    else:
        if operation.result_wrapper is not None:
            members = [f"<{operation.result_wrapper}>", *members, f"</{operation.result_wrapper}>"]
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        document = (opening, *members, metadata, f"</{root}>")
    return "".join(document).encode()


def _pieces(shape: Shape, response: Mapping[str, Any]) -> list[str]:
    """Return an answer's XML with the elements of its lists apart.

    A list of a thousand records is 4 MB of text. Copied into its element, that into the answer and that into the
    document, it costs more in fresh memory than in everything else.
    """
    pieces = []
    for name, value in response.items():
        member = shape.members.get(name)
        if isinstance(value, list) and member is not None and member.shape.type == "list" and not member.flattened:
            element = member.shape.element
            write, tag = _writer(element), element.response_name
            try:
                pieces += [f"<{member.response_name}>", *_elements(write, tag, value), f"</{member.response_name}>"]
            except OutputNotInModel as err:
                err.add_note(f"in {shape.name}.{name}")
                raise
        else:
            pieces.append(_structure_writer(shape)({name: value}))
    return pieces


def _elements(write: _Write, tag: str, values: list[Any]) -> Iterator[str]:
    opening, closing = f"<{tag}>", f"</{tag}>"
    for value in values:
        yield opening
        yield write(value)
        yield closing


@cache
def _structure_writer(shape: Shape) -> _Write:
    rows: dict[str, _Row] = {}

    def write(value: Any) -> str:  # noqa: ANN401 - checked here
        if type(value) is dict:
            return _write_members(shape, rows, value)
        if not isinstance(value, Mapping):
            raise _wrong_type(shape, value)
        if not hasattr(value, "rendered"):
            return _write_members(shape, rows, value)
        memo = cast("Rendered", value)
        if memo.rendered is None:
            memo.rendered = _write_members(shape, rows, value)
        return memo.rendered

    return write


def _write_members(shape: Shape, rows: dict[str, _Row], structure: Mapping[str, Any]) -> str:
    """Return the elements of a structure; `rows` is the shape's table, filled as its members are met."""
    parts = []
    name = ""
    try:
        for name, member in structure.items():
            if member is None:
                continue
            row = rows.get(name)
            if row is None:
                row = rows[name] = _row(shape, name)
            opening, closing, write_member = row
            parts.append(f"{opening}{write_member(member)}{closing}")
    except OutputNotInModel as err:
        err.add_note(f"in {shape.name}.{name}")
        raise
    return "".join(parts)


def _row(shape: Shape, name: str) -> _Row:
    member = shape.members.get(name)
    if member is None:
        raise UnknownOutputMember(f"{shape.name} has no member {name}")
    tag = member.response_name
    if member.flattened:
        return "", "", _list_writer(member.shape, tag)
    return f"<{tag}>", f"</{tag}>", _writer(member)


def _writer(member: Member) -> _Write:
    shape = member.shape
    match shape.type:
        case "structure":
            return _structure_writer(shape)
        case "list":
            return _list_writer(shape, shape.element.response_name)
        case "timestamp":
            return _timestamp_writer(shape, member.timestamp_format or "iso8601")
        case _:
            return _scalar_writer(shape)


def _list_writer(shape: Shape, tag: str) -> _Write:
    write_element = _writer(shape.element)
    opening, closing = f"<{tag}>", f"</{tag}>"

    def write(value: Any) -> str:  # noqa: ANN401 - checked here
        if not isinstance(value, (list, tuple)):
            raise _wrong_type(shape, value)
        return "".join([f"{opening}{write_element(element)}{closing}" for element in value])

    return write


def _scalar_writer(shape: Shape) -> _Write:
    match shape.type:
        case "string":
            return _text_writer(shape)
        case "integer" | "long":
            return _integer_writer(shape)
        case "float" | "double":
            return _float_writer(shape)
        case "boolean":
            return _boolean_writer(shape)
        case "blob":
            return _blob_writer(shape)
        case _:
            raise TypeError(f"no serializer for {shape}")


def _text_writer(shape: Shape) -> _Write:
    def write(value: object) -> str:
        if type(value) is not str:
            if not isinstance(value, str):
                raise _wrong_type(shape, value)
            value = str.__str__(value)  # the text of a member of a string enumeration, not its name
        return escape(value)

    return write


def _integer_writer(shape: Shape) -> _Write:
    def write(value: object) -> str:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(shape, value)
        return int.__repr__(value)

    return write


def _float_writer(shape: Shape) -> _Write:
    def write(value: object) -> str:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise _wrong_type(shape, value)
        number = float(value)
        if isnan(number):
            return "NaN"
        if isinf(number):
            return "Infinity" if number > 0 else "-Infinity"
        return repr(number)

    return write


def _boolean_writer(shape: Shape) -> _Write:
    def write(value: object) -> str:
        if value is True:
            return "true"
        if value is False:
            return "false"
        raise _wrong_type(shape, value)

    return write


def _blob_writer(shape: Shape) -> _Write:
    def write(value: object) -> str:
        if not isinstance(value, bytes):
            raise _wrong_type(shape, value)
        return b2a_base64(value, newline=False).decode()

    return write


def _timestamp_writer(shape: Shape, timestamp_format: str) -> _Write:
    convert = _TIMESTAMPS[timestamp_format]

    def write(value: object) -> str:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise _wrong_type(shape, value)
        return convert(value)

    return write


def _iso_8601(moment: datetime) -> str:
    """Return `2026-11-23T06:18:09.000Z`: always UTC and milliseconds, which strict clients expect."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


_TIMESTAMPS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "iso8601": _iso_8601,
    "unixTimestamp": lambda moment: f"{moment.timestamp():.3f}".rstrip("0").rstrip("."),
    "rfc822": lambda moment: format_datetime(moment.astimezone(UTC), usegmt=True),
}


def _wrong_type(shape: Shape, value: object) -> WrongOutputType:
    return WrongOutputType(f"{shape.name} is a {shape.type}, not {type(value).__name__}")
