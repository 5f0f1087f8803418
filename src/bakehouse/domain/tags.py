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
        if key.lower().startswith("aws:"):
            raise invalid_parameter("Tag keys starting with 'aws:' are reserved for internal use")
        if not 1 <= len(key) <= KEY_LENGTH:
            raise invalid_parameter(f"Tag key exceeds the maximum length of {KEY_LENGTH} characters or is empty")
        if len(value) > VALUE_LENGTH:
            raise invalid_parameter(f"Tag value exceeds the maximum length of {VALUE_LENGTH} characters")


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the tags after CreateTags: new values replace old ones of the same key."""
    tags = {**old, **new}
    _check_number(tags)
    return tags


def _check_number(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_PER_RESOURCE:
        raise Ec2Error("TagLimitExceeded", f"The maximum number of tags for a resource is {TAGS_PER_RESOURCE}.")
