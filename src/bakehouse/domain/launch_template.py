"""Launch templates: numbered versions of what a launch asks for.

A version's data is EC2's own document, kept as it was given, by EC2's member names: EC2 does not look at its values
until something is launched with it. Source: EC2 User Guide, "Restrictions for Amazon EC2 launch templates":
"Parameters not validated".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter

#: Tags that EC2 puts on what was launched from a template.
#: Source: EC2 User Guide, "Launch EC2 instances using a launch template".
ID_TAG: Final = "aws:ec2launchtemplate:id"
VERSION_TAG: Final = "aws:ec2launchtemplate:version"

LATEST: Final = "$Latest"
DEFAULT: Final = "$Default"

#: Source: EC2 API Reference, CreateLaunchTemplate, LaunchTemplateName.
_NAME: Final = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTemplate:
    """A template; its versions are records of their own."""

    id: str
    account_id: str
    region: str
    name: str
    created_at: datetime
    created_by: str
    """ARN of who made it."""
    default_version: int = 1
    latest_version: int = 1
    """The highest number that there is."""
    last_number: int = 1
    """The highest number ever given: none is given twice."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTemplateVersion:
    """One version, which never changes."""

    id: str
    """As `version_id` makes it."""
    account_id: str
    region: str
    template_id: str
    number: int
    created_at: datetime
    created_by: str
    description: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    """RequestLaunchTemplateData as JSON has it; times are texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChoice:
    """A template as requests name it: by id or by name."""

    template_id: str | None = None
    name: str | None = None


def version_id(template_id: str, number: int) -> str:
    """Return the id of a version's record."""
    return f"{template_id}/{number}"


def number_of(template: LaunchTemplate, selector: str) -> int:
    """Return the number that a selector stands for: a number, `$Latest` or `$Default`. It need not exist.

    Refuses anything else: InvalidParameterValue.
    """
    if selector == LATEST:
        return template.latest_version
    if selector == DEFAULT:
        return template.default_version
    return plain_number(selector)


def plain_number(text: str) -> int:
    """Return a version's number, or refuse a text that is none. Wording as AWS answers it."""
    if _NUMBER.fullmatch(text) is None:
        raise invalid_parameter(
            "Invalid launch template version: either '$Default', '$Latest', or a numeric version are allowed."
        )
    return int(text)


def inherited(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a new version takes over of its source: all but the snapshots in its block devices.

    Source: EC2 API Reference, CreateLaunchTemplateVersion, SourceVersion.
    """
    kept = dict(data)
    if "BlockDeviceMappings" in kept:
        kept["BlockDeviceMappings"] = [_without_snapshot(entry) for entry in kept["BlockDeviceMappings"]]
    return kept


def _without_snapshot(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if "Ebs" not in entry:
        return entry
    return {**entry, "Ebs": {name: value for name, value in entry["Ebs"].items() if name != "SnapshotId"}}


def check_name(name: str) -> None:
    """Refuse a name that has not the form of template names. Wording as AWS answers it."""
    if _NAME.fullmatch(name) is None:
        raise Ec2Error(
            "InvalidLaunchTemplateName.MalformedException",
            "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the "
            "following characters: - ( ) . / _.",
        )


def template_not_found(template_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidLaunchTemplateId.NotFound."""
    return Ec2Error(
        "InvalidLaunchTemplateId.NotFound",
        f"The specified launch template, with template ID {template_id}, does not exist.",
    )


def template_name_not_found(name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes; clients ask for this code before they make a template."""
    return Ec2Error(
        "InvalidLaunchTemplateName.NotFoundException",
        f"The specified launch template, with template name {name}, does not exist.",
    )


def template_name_taken() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidLaunchTemplateName.AlreadyExistsException."""
    return Ec2Error("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")


def version_not_found(template_id: str, number: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidLaunchTemplateId.VersionNotFound; wording as AWS answers it."""
    return Ec2Error(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find the specified version {number} for the launch template with ID {template_id}.",
    )
