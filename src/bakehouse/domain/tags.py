"""Tags: what may be written on a resource, and how much of it."""

from collections.abc import Mapping
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter

#: Source: EC2 User Guide, "Tag restrictions".
TAGS_PER_RESOURCE: Final = 50
KEY_LENGTH: Final = 128
VALUE_LENGTH: Final = 256


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that EC2 would refuse: too many, reserved prefix, empty or overlong keys, overlong values."""
    _check_number(tags)
    for key, value in tags.items():
        if is_system_key(key):
            raise system_tag()
        if not 1 <= len(key) <= KEY_LENGTH:
            raise invalid_parameter(f"Tag key exceeds the maximum length of {KEY_LENGTH} characters or is empty")
        if len(value) > VALUE_LENGTH:
            raise invalid_parameter(f"Tag value exceeds the maximum length of {VALUE_LENGTH} characters")


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the tags after CreateTags: new values replace old ones of the same key."""
    tags = {**old, **new}
    _check_number(tags)
    return tags


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
        raise Ec2Error("TagLimitExceeded", f"The maximum number of tags for a resource is {TAGS_PER_RESOURCE}.")
