"""Export tasks: an image's disk, or an instance's, on its way to an object in a bucket."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.task_status import TaskStatus

#: The largest volume that is exported, in GiB. Source: VM Import/Export User Guide, considerations for export.
EXPORT_MAX_GIB: Final = 1024

#: Source: VM Import/Export User Guide, required service role: the name that is used when none is said.
DEFAULT_ROLE: Final = "vmimport"


class DiskImageFormat(StrEnum):
    """Source: EC2 API Reference, ExportImage, DiskImageFormat."""

    VMDK = "VMDK"
    RAW = "RAW"
    VHD = "VHD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTask:
    """What both kinds have in common."""

    id: str
    account_id: str
    region: str
    snapshot_id: str
    """What is written."""
    format: DiskImageFormat
    bucket: str
    prefix: str
    description: str
    started_at: datetime
    status: TaskStatus = TaskStatus.ACTIVE
    message: str | None = None
    """Why it failed, or was cancelled."""
    ended_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The object's key. Source: VM Import/Export User Guide, "Start an export image task": prefix, id, format."""
        return f"{self.prefix}{self.id}.{self.format.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportImageTask(ExportTask):
    """An image's disk; its snapshot may be deleted while the task waits, which then fails."""

    image_id: str
    role_name: str = DEFAULT_ROLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportInstanceTask(ExportTask):
    """An instance's disk, by a snapshot that is the task's own and goes with its end."""

    instance_id: str
    target_environment: str


def export_task_not_active(task_id: str, status: TaskStatus) -> Ec2Error:
    """Refuse to cancel what has ended. Source: EC2 API Reference, CancelExportTask: the command fails."""
    return Ec2Error("IncorrectState", f"The export task '{task_id}' is {status}; only an active one can be cancelled")


def bucket_unusable(bucket: str, reason: str) -> Ec2Error:
    """Refuse a bucket that is not there or not ours to write to. Source: EC2 API Reference, ExportImage."""
    return Ec2Error("InvalidParameter", f"The bucket '{bucket}' cannot be used: {reason}")


def export_under_way(image_id: str) -> Ec2Error:
    """Source: VM Import/Export User Guide, considerations for image export: one task for an AMI at a time."""
    return Ec2Error("ResourceInUse", f"The image {image_id} is being exported already")


def several_volumes(resource: str) -> Ec2Error:
    """Source: VM Import/Export User Guide, "VM export errors"; wording as AWS answers it."""
    return Ec2Error(
        "UnsupportedOperation", f"This {resource} has multiple volumes attached. Please remove additional volumes."
    )


def not_exportable(resource: str, reason: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, NotExportable."""
    return Ec2Error("NotExportable", f"This {resource} cannot be exported: {reason}")
