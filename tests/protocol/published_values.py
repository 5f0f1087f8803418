"""Values of botocore's published protocol cases."""

from datetime import UTC, datetime
from typing import Any


def as_python(value: Any, shape: Any) -> Any:  # noqa: PLR0911 - a case for each type
    """The value of a case, which is JSON, in the types that boto3's users see."""
    if value is None:
        return None
    match shape.type_name:
        case "structure":
            return {name: as_python(member, shape.members[name]) for name, member in value.items()}
        case "list":
            return [as_python(element, shape.member) for element in value]
        case "map":
            return {name: as_python(entry, shape.value) for name, entry in value.items()}
        case "timestamp":
            return datetime.fromtimestamp(value, UTC)
        case "blob":
            return value.encode()
        case "float" | "double":
            return float(value)
        case _:
            return value
