"""Readers of single parameter values: text of a request to a typed value.

A reader takes the value and the full name of its parameter, for the message of a refusal.
"""

import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.model import Shape
from bakehouse.protocol.xml_text import UNSENDABLE

ReadScalar = Callable[[str, str], Any]

_BOOLEANS: Final = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}
_BOOLEANS_AND_DIGITS: Final = {**_BOOLEANS, "1": True, "0": False}

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_INTEGER_BITS: Final = {"integer": 32, "long": 64}

_FLOAT: Final = re.compile(r"[+-]?([0-9]{1,32}(\.[0-9]{0,32})?|\.[0-9]{1,32})([eE][+-]?[0-9]{1,3})?|NaN|-?Infinity")
_EPOCH_SECONDS: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")

#: String shapes whose limits EC2 refuses by a code of their own (`InvalidAMIName.Malformed` and the like), so
#: that the operation has to say it. Source: EC2 API Reference, Error codes.
_CHECKED_BY_THE_OPERATION: Final = frozenset({"ImageNameRequest", "TagKey"})

#: A `^` inside a pattern, not in a set: it can never match (the model has one such mistake,
#: PlacementGroupArn).
_IMPOSSIBLE: Final = re.compile(r"[^\[(|]\^")

#: Java's classes of letters, digits and separators, as tags have them: always within a set, and beside `_`.
_WRITTEN_HERE: Final = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\w",
    r"\p{Z}": " \N{NO-BREAK SPACE}\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}
_JAVA_CLASS: Final = re.compile(r"\\p\{[LNZ]\}")

#: So many allowed values still make a readable message.
_LISTED_VALUES_MAX: Final = 12

#: A refusal repeats at most this much of a value.
_QUOTED_MAX: Final = 100


def invalid_value(value: str, name: str, reason: str) -> ProtocolError:
    """Source: the wording of AWS, such as "Value (xvdh) for parameter device is invalid. xvdh is not ..."."""
    shown = value if len(value) <= _QUOTED_MAX else f"{value[:_QUOTED_MAX]}..."
    return ProtocolError(
        "InvalidParameterValue", f"Value ({shown}) for parameter {_as_aws_writes(name)} is invalid. {reason}"
    )


def scalar_reader(shape: Shape) -> ReadScalar:
    """Return the reader of a shape that is neither a structure nor a list.

    Raises:
        TypeError: The model has a type that no request of EC2 or STS uses.
    """
    match shape.type:
        case "string":
            return _text_reader(shape)
        case "integer" | "long":
            return _integer_reader(shape)
        case "float" | "double":
            return _float_reader(shape)
        case "boolean":
            return _read_boolean
        case "timestamp":
            return _read_timestamp
        case "blob":
            return _read_blob
        case _:
            raise TypeError(f"no reader for {shape}")


def _text_reader(shape: Shape) -> ReadScalar:
    if shape.enum:
        return _enum_reader(shape)
    if shape.name in _CHECKED_BY_THE_OPERATION or (shape.maximum is None and shape.pattern is None):
        return _read_text
    shortest, longest = shape.minimum or 0, shape.maximum
    pattern = pattern_of(shape)

    def read(value: str, name: str) -> str:
        if len(value) < shortest or (longest is not None and len(value) > longest):
            raise invalid_value(value, name, f"Its length must be between {shortest} and {longest} characters.")
        if pattern is not None and pattern.fullmatch(value) is None:
            raise invalid_value(value, name, f"It must match {pattern.pattern}.")
        return _read_text(value, name)

    return read


def pattern_of(shape: Shape) -> re.Pattern[str] | None:
    """Return the model's pattern, or None where it has none or one that cannot be meant or read."""
    if shape.pattern is None or _IMPOSSIBLE.search(shape.pattern):
        return None
    try:
        return re.compile(_JAVA_CLASS.sub(lambda found: _WRITTEN_HERE[found[0]], shape.pattern))
    except re.error:  # a repeat of a repeat, in ARNs of the recycle bin
        return None


def _read_text(value: str, name: str) -> str:
    if not value.isprintable() and UNSENDABLE.search(value):
        # Kept out for good: no answer could show it, and some databases cannot store it.
        raise ProtocolError("InvalidCharacter", f"The parameter {name} has a character that XML cannot carry.")
    return value


def _enum_reader(shape: Shape) -> ReadScalar:
    values = shape.enum
    reason = f"Valid values are: {', '.join(sorted(values))}." if len(values) <= _LISTED_VALUES_MAX else ""

    def read(value: str, name: str) -> str:
        if value in values:
            return value
        if not reason:
            # The wording of AWS for an instance type and other long lists.
            shown = value[:_QUOTED_MAX]
            raise ProtocolError("InvalidParameterValue", f"Invalid value '{shown}' for {shape.name}.")
        raise invalid_value(value, name, reason)

    return read


def _integer_reader(shape: Shape) -> ReadScalar:
    limit = 2 ** (_INTEGER_BITS[shape.type] - 1)
    least, most = shape.minimum, shape.maximum

    def read(value: str, name: str) -> int:
        if _INTEGER.fullmatch(value) is None:
            raise invalid_value(value, name, "An integer is expected.")
        number = int(value)
        if not -limit <= number < limit:
            raise invalid_value(value, name, "The integer is out of range.")
        _check_range(number, least, most, name)
        return number

    return read


def _float_reader(shape: Shape) -> ReadScalar:
    least, most = shape.minimum, shape.maximum

    def read(value: str, name: str) -> float:
        if _FLOAT.fullmatch(value) is None:
            raise invalid_value(value, name, "A number is expected.")
        number = float(value)
        _check_range(number, least, most, name)
        return number

    return read


def _check_range(number: float, least: float | None, most: float | None, name: str) -> None:
    """Refuse a number outside the model's limits; NaN is outside of any.

    The wording is that of AWS for `MaxResults`, blanks and "greater than" included.
    """
    shown = f"Value ( {number} ) for parameter {_as_aws_writes(name)} is invalid. Expecting a value"
    if least is not None and not number >= least:
        raise ProtocolError("InvalidParameterValue", f"{shown} greater than {least}.")
    if most is not None and not number <= most:
        raise ProtocolError("InvalidParameterValue", f"{shown} less than {most}.")


def _read_boolean(value: str, name: str) -> bool:
    truth = _BOOLEANS_AND_DIGITS.get(value)
    if truth is None:
        raise invalid_value(value, name, "Valid values are: true, false.")
    return truth


def _read_timestamp(value: str, name: str) -> datetime:
    """Read ISO 8601 or seconds since 1970; a time without a zone is UTC."""
    try:
        if _EPOCH_SECONDS.fullmatch(value):
            return datetime.fromtimestamp(float(value), UTC)
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise invalid_value(value, name, "A time in ISO 8601 format is expected.") from err


def _read_blob(value: str, name: str) -> bytes:
    """Read base64; clients wrap long lines, so white space between characters is left out."""
    try:
        return binascii.a2b_base64("".join(value.split()), strict_mode=True) if value else b""
    except ValueError as err:
        raise invalid_value(value, name, "It is not valid base64.") from err


def _as_aws_writes(name: str) -> str:
    """Return `ebs.volumeSize` for `Ebs.VolumeSize`: so AWS names parameters in these messages."""
    return ".".join(part[:1].lower() + part[1:] for part in name.split("."))
