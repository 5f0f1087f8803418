"""Tags on the wire: what TagSpecifications ask for, and TagSet."""

from collections.abc import Collection, Mapping
from typing import Any

from bakehouse.domain.errors import invalid_parameter
from bakehouse.ec2.registry import Request


def requested_tags(request: Request, *resource_types: str) -> dict[str, dict[str, str]]:
    """Return the tags asked for at creation by resource type, each of these types present.

    Refuses a type that the operation does not make, and a key given twice. Source: EC2 API Reference,
    TagSpecification.
    """
    tags: dict[str, dict[str, str]] = {resource_type: {} for resource_type in resource_types}
    for specification in request.get("TagSpecifications") or ():
        resource_type = specification.get("ResourceType")
        if resource_type not in tags:
            raise invalid_parameter(f"'{resource_type}' is not a valid taggable resource type for this operation.")
        for tag in specification.get("Tags") or ():
            key = tag.get("Key", "")
            if key in tags[resource_type]:
                raise invalid_parameter(f"Duplicate tag key '{key}' specified.")
            tags[resource_type][key] = tag.get("Value", "")
    return tags


def tag_set(tags: Mapping[str, str]) -> Collection[Mapping[str, Any]]:
    """Return tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
