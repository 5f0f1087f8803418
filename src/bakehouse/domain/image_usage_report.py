"""Image usage reports: who uses an image, counted at one moment.

Source: EC2 User Guide, "View your AMI usage"; EC2 API Reference, CreateImageUsageReport.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain import shown_afterwards
from bakehouse.domain.errors import invalid_combination, invalid_parameter, invalid_value, missing_parameter

#: Source: EC2 API Reference, ImageUsageResourceTypeRequest.
INSTANCE: Final = "ec2:Instance"
LAUNCH_TEMPLATE: Final = "ec2:LaunchTemplate"
VERSION_DEPTH: Final = "version-depth"

#: Source: EC2 API Reference, ImageUsageResourceTypeOptionRequest, OptionValues.
_DEFAULT_DEPTH: Final = 20
_DEPTHS: Final = range(1, 10_001)
_NUMBER: Final = re.compile(r"[0-9]{1,5}")


class ReportState(StrEnum):
    """Source: EC2 API Reference, ImageUsageReport. A report here is counted while it is created: it never waits."""

    PENDING = "pending"
    AVAILABLE = "available"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedType:
    """A type of resource that a report counts."""

    name: str
    version_depth: int | None = None
    """How many versions of a launch template count; None for instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEntry:
    """How often an account uses the image in one type of resource."""

    account_id: str
    resource_type: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUsageReport:
    """A report on one image of its owner's."""

    id: str
    account_id: str
    region: str
    image_id: str
    resource_types: tuple[ReportedType, ...]
    accounts: tuple[str, ...]
    """Whom it was asked to count; empty for everybody."""
    created_at: datetime
    state: ReportState
    state_reason: str | None = None
    entries: tuple[UsageEntry, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def expires_at(self) -> datetime:
        """When it is deleted."""
        return self.created_at + shown_afterwards.IMAGE_USAGE_REPORT


def reported_type(name: str, options: Iterable[tuple[str, list[str]]]) -> ReportedType:
    """Return a type that a report is to count, with its options by name, or refuse them: InvalidParameterValue."""
    if name not in (INSTANCE, LAUNCH_TEMPLATE):
        raise invalid_value(name, "resourceType", f"Expecting {INSTANCE} or {LAUNCH_TEMPLATE}.")
    depth = _DEFAULT_DEPTH if name == LAUNCH_TEMPLATE else None
    for option, values in options:
        if depth is None:
            raise invalid_combination(f"Resource type options are valid for {LAUNCH_TEMPLATE} only")
        if option != VERSION_DEPTH:
            raise invalid_value(option, "optionName", f"Expecting {VERSION_DEPTH}.")
        depth = version_depth(values)
    return ReportedType(name=name, version_depth=depth)


def version_depth(values: list[str]) -> int:
    """Return how many versions of a launch template count. Refuses anything but one number of 1 to 10000.

    Source: EC2 API Reference, ResourceTypeOption and ImageUsageResourceTypeOptionRequest.
    """
    if not values:
        raise missing_parameter("optionValue")
    if len(values) > 1 or _NUMBER.fullmatch(values[0]) is None or int(values[0]) not in _DEPTHS:
        raise invalid_value(", ".join(values), "optionValue", "Expecting one integer between 1 and 10000.")
    return int(values[0])


def check_resource_types(types: Iterable[ReportedType]) -> None:
    """Refuse none, and a type that is named twice."""
    names = [it.name for it in types]
    if not names:
        raise missing_parameter("resourceType")
    if len(set(names)) < len(names):
        raise invalid_parameter("A resource type can be specified only once")
