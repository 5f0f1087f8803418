"""Values that a REST request or answer has outside of its body: labels, query string and headers, all text."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import cache
from typing import Any, Final

from bakehouse.protocol.constraints import as_aws_writes, check_of
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.model import Member, Shape

Read = Callable[[str, str], Any]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_INTEGER_BITS: Final = {"integer": 32, "long": 64}
_FLOAT: Final = re.compile(r"[+-]?([0-9]{1,32}(\.[0-9]{0,32})?|\.[0-9]{1,32})([eE][+-]?[0-9]{1,3})?|NaN|-?Infinity")
_EPOCH_SECONDS: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}

#: Commas within quotes or in dates do not part the values of a header.
_HEADER_VALUE: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,"]*)\s*(?:,|$)')
_HEADER_DATE: Final = re.compile(r"\s*([A-Za-z]{3}, [^,]+)\s*(?:,|$)")


@cache
def text_reader(shape: Shape) -> Read:
    """Return the reader of a value that stands as text in a label, a query string or a header."""
    check = check_of(shape)
    read_type = _READERS.get(shape.type)
    if read_type is None:
        raise TypeError(f"no reader for {shape}")

    def read(text: str, path: str) -> Any:  # noqa: ANN401 - whatever the shape is
        value = read_type(shape, text, path)
        check(value, path)
        return value

    return read


def split_header(text: str, element: Member) -> list[str]:
    """Return the values of a header that holds a list."""
    values = []
    pattern = _HEADER_DATE if element.shape.type == "timestamp" else _HEADER_VALUE
    position = 0
    while position < len(text):
        found = pattern.match(text, position)
        if found is None or found.end() == position:
            return [part.strip() for part in text.split(",")]
        value = found[1].strip()
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        values.append(value)
        position = found.end()
    return values


def read_moment(text: str, path: str) -> datetime:
    """Read ISO 8601, the date of an HTTP header, or seconds since 1970; a time without a zone is UTC."""
    try:
        if _EPOCH_SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = parsedate_to_datetime(text) if text[:1].isalpha() else datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError, TypeError, IndexError) as err:
        raise _not_a(text, "timestamp", path) from err


def write_text(member: Member, value: Any, default_format: str) -> str:  # noqa: ANN401 - whatever the shape is
    """Return a value as a header of an answer has it.

    Raises:
        TypeError: The value is none of the shape.
    """
    match member.shape.type:
        case "list":
            element = member.shape.element
            return ", ".join(_quoted(write_text(element, each, default_format), element) for each in value)
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            return _moment_text(value, member.timestamp_format or default_format)
        case "string" if isinstance(value, str):
            return str.__str__(value)
        case "integer" | "long" if isinstance(value, int):
            return int.__repr__(value)
        case "float" | "double" if isinstance(value, (int, float)):
            return _float_text(float(value))
        case _:
            raise TypeError(f"{member.shape.name} is a {member.shape.type}, not {type(value).__name__}")


def _quoted(text: str, element: Member) -> str:
    if element.shape.type == "string" and ("," in text or '"' in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _float_text(number: float) -> str:
    if number != number:  # noqa: PLR0124 - the test for NaN
        return "NaN"
    return {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(number, repr(number))


def _moment_text(moment: datetime, timestamp_format: str) -> str:
    if timestamp_format == "rfc822":
        return format_datetime(moment.astimezone(UTC), usegmt=True)
    if timestamp_format == "unixTimestamp":
        return f"{moment.timestamp():.3f}".rstrip("0").rstrip(".")
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000") + "Z"


def _read_text(_shape: Shape, text: str, _path: str) -> str:
    return text


def _read_integer(shape: Shape, text: str, path: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise _not_a(text, shape.type, path)
    number = int(text)
    limit = 2 ** (_INTEGER_BITS[shape.type] - 1)
    if not -limit <= number < limit:
        raise _not_a(text, shape.type, path)
    return number


def _read_float(shape: Shape, text: str, path: str) -> float:
    if _FLOAT.fullmatch(text) is None:
        raise _not_a(text, shape.type, path)
    return float(text)


def _read_boolean(shape: Shape, text: str, path: str) -> bool:
    value = _BOOLEANS.get(text)
    if value is None:
        raise _not_a(text, shape.type, path)
    return value


_READERS: Final[dict[str, Callable[[Shape, str, str], Any]]] = {
    "string": _read_text,
    "integer": _read_integer,
    "long": _read_integer,
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "timestamp": lambda _shape, text, path: read_moment(text, path),
}


def _not_a(text: str, wanted: str, path: str) -> ProtocolError:
    return ProtocolError(
        "SerializationException", f"'{text[:100]}' at '{as_aws_writes(path)}' can not be converted to {wanted}"
    )
