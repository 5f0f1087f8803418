"""Images: an AMI is metadata and snapshots in a block device mapping."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, auth_failure
from bakehouse.domain.image_watermark import ImageWatermark
from bakehouse.domain.instance_type_specification import InstanceTypeSpecification

#: Source: EC2 API Reference, CreateImage, Name.
_NAME: Final = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")


class ImageState(StrEnum):
    """Source: EC2 API Reference, ImageState.

    Of `invalid`, `transient` and `error` EC2 does not say when an image has them, and no image here ever does.
    """

    PENDING = "pending"
    AVAILABLE = "available"
    FAILED = "failed"
    DISABLED = "disabled"
    """Launchable by nobody, and shown to its owner alone, who must ask for it."""
    DEREGISTERED = "deregistered"


class DeregistrationProtection(StrEnum):
    """As EC2 answers it; the model has any text. Source: EC2 CLI examples, `enable-image-deregistration-protection`."""

    OFF = "disabled"
    ON = "enabled-without-cooldown"
    ON_WITH_COOLDOWN = "enabled-with-cooldown"


class SnapshotRemoval(StrEnum):
    """What became of a snapshot of a deregistered image. Source: EC2 API Reference, DeleteSnapshotReturnCode."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    """Another image names it."""
    MISSING_PERMISSIONS = "missing-permissions"
    """It is another account's."""
    CLIENT_ERROR = "client-error"
    """Its owner has forbidden it to be deleted."""
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """One entry of an image's block device mapping. Size in GiB, throughput in MiB/s.

    Exactly one of `snapshot_id` or `size_gib` alone (an empty volume), `virtual_name`, or `no_device` describes it.
    """

    device_name: str
    snapshot_id: str | None = None
    size_gib: int | None = None
    volume_type: str = "gp3"
    iops: int | None = None
    throughput_mibps: int | None = None
    encrypted: bool = False
    """Of one that is launched, whether it was asked for; of an image, whether its snapshot is."""
    kms_key: str | None = None
    """What a launch names as its key, unread."""
    delete_on_termination: bool = True
    virtual_name: str | None = None


#: How a guest may see its volumes; the hypervisor's port says what follows of each.
DISK_BUSES: Final = ("nvme", "virtio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an instance is launched from."""

    id: str
    account_id: str
    region: str
    name: str
    description: str
    state: ImageState
    architecture: str
    """`i386`, `x86_64` or `arm64`."""
    root_device_name: str
    block_devices: tuple[BlockDevice, ...]
    created_at: datetime
    state_reason: str | None = None
    boot_mode: str | None = None
    """`legacy-bios`, `uefi` or `uefi-preferred`; None leaves the choice to the instance type."""
    tpm_support: str | None = None
    """`v2.0` when instances get a trusted platform module."""
    uefi_data: str | None = None
    """The UEFI variable store that instances begin with, in base64."""
    disk_bus: str = "nvme"
    """How instances see their volumes: `nvme`, or `virtio` where the image is known to find its root there."""
    virtualization_type: str = "hvm"
    ena_support: bool = True
    sriov_net_support: str | None = None
    """`simple` when it was registered with that."""
    imds_support: str | None = None
    """`v2.0` when instances must use IMDSv2."""
    platform_details: str = "Linux/UNIX"
    source_instance_id: str | None = None
    source_image_id: str | None = None
    source_image_region: str | None = None
    launch_accounts: tuple[str, ...] = ()
    """Launch permission: account ids, and `all` for a public image."""
    last_launched_at: datetime | None = None
    deregistration_protection: DeregistrationProtection = DeregistrationProtection.OFF
    protected_until: datetime | None = None
    """When the cooldown of a protection that was disabled ends, or ended."""
    watermarks: tuple[ImageWatermark, ...] = ()
    """Its own and those of the images that it came of; copies and images of instances inherit them."""
    instance_type_specification: InstanceTypeSpecification | None = None
    """The instance types that it may be launched on; None for all."""
    public_parameter: str | None = None
    """The public parameter that stands for it now: a later image of its kind takes the name over."""
    deprecation_time: datetime | None = None
    """From then on strangers find it by its id only, unless they ask for deprecated ones."""
    tags: dict[str, str] = field(default_factory=dict)
    tags_of_others: dict[str, dict[str, str]] = field(default_factory=dict)
    """Account -> the tags that it gave what is another's; it alone sees them."""

    @property
    def is_public(self) -> bool:
        """Whether everybody may launch it."""
        return "all" in self.launch_accounts

    @property
    def snapshot_ids(self) -> tuple[str, ...]:
        """The snapshots in its mapping, each once."""
        named = (device.snapshot_id for device in self.block_devices)
        return tuple(dict.fromkeys(snapshot_id for snapshot_id in named if snapshot_id is not None))

    def is_deprecated(self, now: datetime) -> bool:
        """Whether its time to be deprecated has come."""
        return self.deprecation_time is not None and self.deprecation_time <= now

    def tags_for(self, account_id: str) -> dict[str, str]:
        """Return the tags that an account gave it, which are all that the account sees.

        Source: EC2 User Guide, "Tag restrictions": of public and shared resources.
        """
        return self.tags if account_id == self.account_id else self.tags_of_others.get(account_id, {})

    def launchable_by(self, account_id: str) -> bool:
        """Whether this account may see and launch the image."""
        return account_id == self.account_id or self.is_public or account_id in self.launch_accounts


def check_image_name(name: str) -> None:
    """Refuse a name that no image may have: InvalidAMIName.Malformed."""
    if _NAME.fullmatch(name) is None:
        raise image_name_malformed()


def image_name_taken(name: str, image_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAMIName.Duplicate; wording as AWS answers it."""
    return Ec2Error("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image_id}")


def image_name_malformed() -> Ec2Error:
    """Wording as AWS answers it, which leaves out some of the characters that it takes."""
    return Ec2Error(
        "InvalidAMIName.Malformed",
        "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', "
        "'/' and '_'",
    )


def image_unavailable(image_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAMIID.Unavailable; wording as AWS answers it.

    Clients count it as gone.
    """
    return Ec2Error("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is no longer available")


def image_not_authorized(image_id: str) -> Ec2Error:
    """Refuse to change an image that the caller may launch but does not own; wording as AWS answers it."""
    return auth_failure(f"Not authorized for image:{image_id}")


def attribute_withdrawn() -> Ec2Error:
    """Refuse to show the attribute `blockDeviceMapping`, which DescribeImages shows; wording as AWS answers it.

    Source: EC2 API Reference, DescribeImageAttribute: the attribute is deprecated and answered with AuthFailure.
    """
    return auth_failure("Unauthorized attempt to access restricted resource")


def user_id_malformed(user_id: str) -> Ec2Error:
    """Refuse to look for what is no account. Source: EC2 API Reference, Error codes, InvalidUserID.Malformed."""
    return Ec2Error("InvalidUserID.Malformed", f'Invalid user id: "{user_id}"')


def user_item_malformed(user_id: str) -> Ec2Error:
    """Refuse to share with what is no account. Source: EC2 API Reference, Error codes, InvalidAMIAttributeItemValue."""
    return Ec2Error("InvalidAMIAttributeItemValue", f'Invalid attribute item value "{user_id}" for userId item type.')


def user_group_unknown(group: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAMIAttributeItemValue: `all` is the only group."""
    return Ec2Error("InvalidAMIAttributeItemValue", f'Invalid attribute item value "{group}" for userGroup item type.')
