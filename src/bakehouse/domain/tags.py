"""Tags: what may be written on a resource, and how much of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeVar

from bakehouse.domain.errors import Ec2Error, invalid_parameter

#: Source: EC2 User Guide, "Tag restrictions".
TAGS_PER_RESOURCE: Final = 50
KEY_LENGTH: Final = 128
VALUE_LENGTH: Final = 256

R = TypeVar("R")

_Setter = Callable[[Any, Any], None]


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that EC2 would refuse: too many, reserved prefix, empty or overlong keys, overlong values."""
    _check_number(tags)
    for key, value in tags.items():
        if is_system_key(key):
            raise system_tag()
        if not key:
            raise invalid_parameter("Tag key must not be empty")
        if len(key) > KEY_LENGTH:
            raise invalid_parameter(f"Tag key exceeds the maximum length of {KEY_LENGTH} characters")
        if len(value) > VALUE_LENGTH:
            raise invalid_parameter(f"Tag value exceeds the maximum length of {VALUE_LENGTH} characters")


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the tags after CreateTags: new values replace old ones of the same key."""
    tags = {**old, **new}
    _check_number(tags)
    return tags


def tagged(record: R, tags: dict[str, str]) -> R:
    """Return a copy of a record (a frozen dataclass with slots) that has other tags.

    `dataclasses.replace` hands all fields to the constructor by name: three times as long for the 54 of an instance.
    """
    record_type: Any = type(record)
    kept, setters, set_tags = _slots(record_type)
    copy: R = object.__new__(record_type)
    for set_value, value in zip(setters, kept(record), strict=True):
        set_value(copy, value)
    set_tags(copy, tags)
    return copy


@cache
def _slots(record_type: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], Sequence[_Setter], _Setter]:
    """Return what reads all fields but the tags, what writes each of them, and what writes the tags."""
    names = [field.name for field in fields(record_type) if field.name != "tags"]
    return attrgetter(*names), [getattr(record_type, name).__set__ for name in names], record_type.tags.__set__


def system_tag() -> Ec2Error:
    """Refuse to write or delete a tag of AWS's own."""
    return invalid_parameter("Tag keys starting with 'aws:' are reserved for internal use")


def is_system_key(key: str) -> bool:
    """Tell whether a tag is AWS's own: nobody writes or deletes it, and it does not count.

    Source: EC2 User Guide, "Tag restrictions"; EC2 API Reference, DeleteTags.
    """
    return key.lower().startswith("aws:")


def _check_number(tags: Mapping[str, str]) -> None:
    if sum(not is_system_key(key) for key in tags) > TAGS_PER_RESOURCE:
        raise Ec2Error(
            "TagLimitExceeded", f"The resultant tag set must not have more than {TAGS_PER_RESOURCE} user tags."
        )
