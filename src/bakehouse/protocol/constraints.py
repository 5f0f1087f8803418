"""What the JSON services refuse of a value: `ValidationException`, in the words of AWS.

A check is compiled for each shape at its first use. Wording: what AWS's JSON services answer, such as "1 validation
error detected: Value '11' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal
to 100". AWS counts all that is wrong; here the first that is found is named.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.model import Shape
from bakehouse.protocol.scalars import pattern_of
from bakehouse.protocol.xml_text import UNSENDABLE

#: Takes the value and its path, such as `RetentionPeriod.RetentionPeriodValue`.
Check = Callable[[Any, str], None]

#: A refusal repeats at most this much of a value.
_QUOTED_MAX: Final = 100


@cache
def check_of(shape: Shape) -> Check:
    """Return the check of the model's limits for values that have the shape's type already."""
    match shape.type:
        case "string":
            return _check_of_text(shape)
        case "integer" | "long" | "float" | "double":
            return _check_of_number(shape)
        case "blob" | "list" | "map":
            return _check_of_length(shape)
        case _:
            return _nothing


def _nothing(_value: object, _path: str) -> None:
    """Find everything right."""


def _check_of_text(shape: Shape) -> Check:
    check_length = _check_of_length(shape)
    pattern = pattern_of(shape)

    def check(value: str, path: str) -> None:
        if shape.enum and value not in shape.enum:
            raise violated(value, path, f"Member must satisfy enum value set: [{', '.join(sorted(shape.enum))}]")
        check_length(value, path)
        if pattern is not None and pattern.fullmatch(value) is None:
            raise violated(value, path, f"Member must satisfy regular expression pattern: {shape.pattern}")
        if not value.isprintable() and UNSENDABLE.search(value):
            # Kept out for good: EC2's answers could not show it, and some databases cannot store it.
            raise violated(value, path, "Member must have only characters that XML can carry")

    return check


def _check_of_length(shape: Shape) -> Check:
    least, most = shape.minimum, shape.maximum
    if not least and most is None:
        return _nothing

    def check(value: Any, path: str) -> None:  # noqa: ANN401 - whatever has a length
        length = len(value)
        if least is not None and length < least:
            raise violated(value, path, f"Member must have length greater than or equal to {least}")
        if most is not None and length > most:
            raise violated(value, path, f"Member must have length less than or equal to {most}")

    return check


def _check_of_number(shape: Shape) -> Check:
    least, most = shape.minimum, shape.maximum

    def check(value: float, path: str) -> None:
        # NaN is outside of any limits.
        if least is not None and not value >= least:
            raise violated(value, path, f"Member must have value greater than or equal to {least}")
        if most is not None and not value <= most:
            raise violated(value, path, f"Member must have value less than or equal to {most}")

    return check


def violated(value: object, path: str, constraint: str) -> ProtocolError:
    """Return the refusal of a value that breaks a rule of the model."""
    text = str(value)
    shown = text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}..."
    return ProtocolError(
        "ValidationException",
        f"1 validation error detected: Value '{shown}' at '{as_aws_writes(path)}' "
        f"failed to satisfy constraint: {constraint}",
    )


def lacking(path: str) -> ProtocolError:
    """Return the refusal of a request without a required member."""
    return ProtocolError(
        "ValidationException",
        f"1 validation error detected: Value null at '{as_aws_writes(path)}' "
        "failed to satisfy constraint: Member must not be null",
    )


def as_aws_writes(path: str) -> str:
    """Return `tags.1.member.key` style paths as these messages have them: each part begins with a small letter."""
    return ".".join(part[:1].lower() + part[1:] for part in path.split("."))
