"""Volumes: sizes, types, states and attachments as EBS has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter, operation_not_permitted
from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.domain.volume_modification import VolumeModification


class VolumeState(StrEnum):
    """Source: EC2 API Reference, VolumeState."""

    CREATING = "creating"
    AVAILABLE = "available"
    IN_USE = "in-use"
    DELETING = "deleting"
    DELETED = "deleted"
    ERROR = "error"


class AttachmentState(StrEnum):
    """Source: EC2 API Reference, VolumeAttachmentState."""

    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"
    DETACHED = "detached"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeAttachment:
    """A volume in an instance."""

    instance_id: str
    device_name: str
    state: AttachmentState
    attached_at: datetime
    delete_on_termination: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A writable disk. Size in GiB, throughput in MiB/s."""

    id: str
    account_id: str
    region: str
    availability_zone: str
    size_gib: int
    state: VolumeState
    type: str
    created_at: datetime
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    """What it is a copy of."""
    iops: int | None = None
    throughput_mibps: int | None = None
    limits: SpeedLimits = SpeedLimits()
    """What of these figures was asked for; a default of its type limits nothing."""
    encrypted: bool = False
    kms_key_id: str | None = None
    """ARN of the key that encrypts it."""
    attachment: VolumeAttachment | None = None
    auto_enables_io: bool = False
    """Whether its reads and writes go on by themselves after its bytes may have become inconsistent."""
    modification: VolumeModification | None = None
    """The latest one."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeTypeRules:
    """What a volume type allows. Source: EC2 User Guide, "Amazon EBS volume types"."""

    size_gib: tuple[int, int]
    iops: tuple[int, int] | None = None
    """Range that may be asked for; None when IOPS cannot be asked for."""
    default_iops: int | None = None
    throughput_mibps: tuple[int, int] | None = None
    default_throughput_mibps: int | None = None
    iops_required: bool = False


VOLUME_TYPES: Final[Mapping[str, VolumeTypeRules]] = {
    "gp3": VolumeTypeRules(
        size_gib=(1, 65_536),
        iops=(3_000, 80_000),
        default_iops=3_000,
        throughput_mibps=(125, 2_000),
        default_throughput_mibps=125,
    ),
    "gp2": VolumeTypeRules(size_gib=(1, 16_384)),
    "io1": VolumeTypeRules(size_gib=(4, 16_384), iops=(100, 64_000), iops_required=True),
    "io2": VolumeTypeRules(size_gib=(4, 65_536), iops=(100, 256_000), iops_required=True),
    "st1": VolumeTypeRules(size_gib=(125, 16_384)),
    "sc1": VolumeTypeRules(size_gib=(125, 16_384)),
    "standard": VolumeTypeRules(size_gib=(1, 1_024)),
}


def volume_in_use(volume_id: str, instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, VolumeInUse; wording as AWS answers it."""
    return Ec2Error("VolumeInUse", f"Volume {volume_id} is currently attached to {instance_id}")


def volume_not_available(volume_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, IncorrectState; wording as AWS answers it."""
    return Ec2Error("IncorrectState", f"Volume '{volume_id}' is in the wrong state for this operation.")


def attachment_not_found(volume_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, IncorrectState of DetachVolume on a free volume."""
    return Ec2Error("IncorrectState", f"Volume '{volume_id}' is in the 'available' state.")


def volume_zone_mismatch(volume_id: str, instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidVolume.ZoneMismatch."""
    return Ec2Error(
        "InvalidVolume.ZoneMismatch",
        f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'",
    )


def volume_already_attached(volume_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, VolumeInUse of AttachVolume; wording as AWS answers it."""
    return Ec2Error("VolumeInUse", f"{volume_id} is already attached to an instance")


def volume_not_attached_to(volume_id: str, instance_id: str | None, device_name: str | None) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAttachment.NotFound."""
    where = f"instance '{instance_id}'" if instance_id else "the instance"
    device = f" as device '{device_name}'" if device_name else ""
    return Ec2Error("InvalidAttachment.NotFound", f"The volume '{volume_id}' is not attached to {where}{device}.")


def root_volume_stays(volume_id: str, instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DetachVolume: the root device of a running instance; wording as AWS answers it."""
    return operation_not_permitted(f"Unable to detach root volume '{volume_id}' from instance '{instance_id}'")


def device_taken(device_name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidParameterValue of AttachVolume; wording as AWS answers it."""
    return invalid_parameter(
        f"Invalid value '{device_name}' for unixDevice. Attachment point {device_name} is already in use"
    )


def attachment_limit(instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, AttachmentLimitExceeded."""
    return Ec2Error(
        "AttachmentLimitExceeded", f"The instance '{instance_id}' cannot have more volumes attached than it has."
    )


def storage_full() -> Ec2Error:
    """Answer when the host has no space left; SDKs treat it as a server-side error.

    Source: EC2 API Reference, Error codes, InsufficientVolumeCapacity.
    """
    return Ec2Error(
        "InsufficientVolumeCapacity", "There is not enough capacity to fulfill your EBS volume provision request.", 500
    )
