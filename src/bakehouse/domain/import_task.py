"""Import tasks: disks from outside on their way to an image or a snapshot.

A task says where its disks come from and which snapshots they become. How far it is stays in memory
(`sagas/transfers.py`); what its record says is what a restarted server needs, and what is shown afterwards.
"""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.task_status import TaskStatus

#: The root device of an imported image that does not say. Source: answers of DescribeImportImageTasks.
ROOT_DEVICE: Final = "/dev/sda1"

#: Source: EC2 API Reference, ImportImage and ImportSnapshot, Format; QCOW2 is Bakehouse's own.
IMAGE_FORMATS: Final = frozenset({"OVA", "VHD", "VHDX", "VMDK", "RAW", "QCOW2"})
SNAPSHOT_FORMATS: Final = IMAGE_FORMATS - {"OVA"}


#: How many disks a task can have. Source: VM Import/Export User Guide, limitations: up to 21 volumes.
DISKS_MAX: Final = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSource:
    """Where a disk, or an OVA with several, comes from: exactly one of object, URL, snapshot, or file of this host."""

    format: str | None = None
    """As the request said it; what the file really is decides."""
    bucket: str | None = None
    key: str | None = None
    url: str | None = None
    """As the request gave it, for the answers; `s3://BUCKET/KEY` has `bucket` and `key` beside it."""
    snapshot_id: str | None = None
    path: str | None = None
    """A file of this host: only the command line names one, never a request."""
    description: str = ""
    device_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedDisk:
    """A disk that was found in a source, and the snapshot that it becomes."""

    source: int
    """Its place among the task's sources."""
    number: int
    """Which disk of an OVA; 0 of other files."""
    format: str
    """As found: `VMDK`, ... Of a snapshot `RAW`."""
    file_bytes: int
    snapshot_id: str
    device_name: str
    is_taken: bool = False
    """Whether its data is in the snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTask:
    """What both kinds have in common."""

    id: str
    account_id: str
    region: str
    description: str
    sources: tuple[DiskSource, ...]
    started_at: datetime
    disks: tuple[ImportedDisk, ...] = ()
    """What was found in the sources that were opened so far."""
    status: TaskStatus = TaskStatus.ACTIVE
    message: str | None = None
    """Why it was cancelled, or failed: `ClientError: ...`."""
    ended_at: datetime | None = None
    role_name: str | None = None
    kms_key_id: str | None = None
    """ARN of the key that encrypts its snapshots, if one does."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportImageTask(ImportTask):
    """An image to be made of disks. It comes to be when all of them are there."""

    image_id: str
    image_name: str
    image_description: str
    architecture: str
    boot_mode: str | None = None
    license_type: str | None = None
    platform: str = "Linux"
    usage_operation: str | None = None
    image_tags: dict[str, str] = field(default_factory=dict)
    public_parameter: str | None = None
    """The public parameter's name that is to stand for the image."""
    disk_bus: str = "nvme"
    """How instances of the image see their volumes: `nvme` or `virtio`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSnapshotTask(ImportTask):
    """A snapshot to be made of a disk."""


def import_task_not_active(task_id: str, status: TaskStatus) -> Ec2Error:
    """Refuse to cancel what has ended. Source: EC2 API Reference, CancelImportTask: an in-process task."""
    return Ec2Error("IncorrectState", f"The import task '{task_id}' is {status}; only an active one can be cancelled")


def source_wrong(message: str) -> Ec2Error:
    """Refuse a disk container. Source: answers of ImportImage: InvalidParameter, with what is wrong."""
    return Ec2Error("InvalidParameter", message)


def import_snapshot_description(task_id: str) -> str:
    """Return what EC2 writes on the snapshots of an import; clients find them by it."""
    return f"Created by AWS-VMImport service for {task_id}"


def device_names(task: ImportTask, place: int, count: int) -> list[str]:
    """Return the names of the next disks of a task: that of the request if there is one disk, else the next free ones.

    The first of all is the root. Source: EC2 User Guide, "Device names": recommended for data volumes, /dev/sd[f-p].
    """
    given = task.sources[place].device_name
    if given is not None and count == 1:
        return [given]
    taken = {disk.device_name for disk in task.disks} | {it.device_name for it in task.sources if it.device_name}
    root = [ROOT_DEVICE] if not task.disks and ROOT_DEVICE not in taken else []
    free = (f"/dev/sd{letter}" for letter in "fghijklmnopqrstuvwxyzbcde" if f"/dev/sd{letter}" not in taken)
    return [*root, *islice(free, count - len(root))]
