"""All operations: importing this module registers every handler."""

from bakehouse.ec2 import (
    image_attributes,
    images,
    instance_attributes,
    instance_status,
    instance_types,
    instances,
    key_pairs,
    networks,
    regions,
    security_groups,
    snapshot_attributes,
    snapshots,
    sts,
    tags,
    volumes,
)
from bakehouse.ec2.registry import OPERATIONS

__all__ = [
    "OPERATIONS",
    "image_attributes",
    "images",
    "instance_attributes",
    "instance_status",
    "instance_types",
    "instances",
    "key_pairs",
    "networks",
    "regions",
    "security_groups",
    "snapshot_attributes",
    "snapshots",
    "sts",
    "tags",
    "volumes",
]
