"""All operations: importing this module registers every handler."""

from bakehouse.ec2 import (
    instance_attributes,
    instance_status,
    instance_types,
    instances,
    key_pairs,
    networks,
    regions,
    security_groups,
    sts,
    tags,
)
from bakehouse.ec2.registry import OPERATIONS

__all__ = [
    "OPERATIONS",
    "instance_attributes",
    "instance_status",
    "instance_types",
    "instances",
    "key_pairs",
    "networks",
    "regions",
    "security_groups",
    "sts",
    "tags",
]
