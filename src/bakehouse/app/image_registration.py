"""Images made of snapshots that are there already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bakehouse.app.image_catalogue import ImageCatalogue, check_new_image
from bakehouse.app.image_mapping import checked_mapping
from bakehouse.domain.block_device import BlockDeviceRequest, check_device_name, invalid_mapping, merged
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_value, not_honoured
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState
from bakehouse.domain.image_boot import check_boot_members

#: What an image may say it is made for. Source: EC2 API Reference, RegisterImage; Macs are not for us.
_ARCHITECTURES: Final = frozenset({"i386", "x86_64", "arm64"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOfSnapshots:
    """What RegisterImage asks for."""

    name: str
    block_devices: tuple[BlockDeviceRequest, ...]
    #: Source: EC2 API Reference, RegisterImage: the default of EBS-backed images.
    architecture: str = "i386"
    root_device_name: str = "/dev/sda1"
    description: str = ""
    virtualization_type: str = "hvm"
    boot_mode: str | None = None
    tpm_support: str | None = None
    uefi_data: str | None = None
    imds_support: str | None = None
    ena_support: bool = False
    sriov_net_support: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class ImageRegistration(ImageCatalogue):
    """Use cases on snapshots that are to become images."""

    async def register(self, caller: Caller, request: ImageOfSnapshots) -> Image:
        """Make an image of snapshots; it is `available` at once.

        Refuses a name in use (InvalidAMIName.Duplicate), a mapping whose root has no snapshot, or that says whether the
        volume of a snapshot is encrypted (InvalidBlockDeviceMapping), a snapshot that is not complete (IncorrectState),
        and a way of booting that does not fit together (InvalidParameterCombination).
        """
        check_new_image(self._context, caller, request.name, request.description, request.tags)
        check_architecture(request.architecture)
        _check_virtualization(request.virtualization_type, request.sriov_net_support)
        check_boot_members(boot_mode=request.boot_mode, tpm_support=request.tpm_support, uefi_data=request.uefi_data)
        devices = self._registered_devices(caller, request)
        image = Image(
            id=new_id("image"),
            account_id=caller.account_id,
            region=caller.region,
            name=request.name,
            description=request.description,
            state=ImageState.AVAILABLE,
            architecture=request.architecture,
            root_device_name=request.root_device_name,
            block_devices=devices,
            created_at=self._context.now().replace(microsecond=0),
            boot_mode=request.boot_mode,
            tpm_support=request.tpm_support,
            uefi_data=request.uefi_data,
            imds_support=request.imds_support,
            ena_support=request.ena_support,
            sriov_net_support=request.sriov_net_support,
            tags=dict(request.tags),
        )
        async with self._context.store.transaction() as tx:
            tx.put(image)
        return image

    def _registered_devices(self, caller: Caller, request: ImageOfSnapshots) -> tuple[BlockDevice, ...]:
        check_device_name(request.root_device_name)
        check_encryption_unsaid(request.block_devices)
        devices = checked_mapping(self._context, caller, merged((), request.block_devices), {})
        root = next((device for device in devices if device.device_name == request.root_device_name), None)
        if root is None or root.snapshot_id is None:
            raise invalid_mapping(f"The root device '{request.root_device_name}' must be mapped to a snapshot")
        return devices


def check_architecture(architecture: str) -> None:
    """Refuse what no machine here can be: InvalidParameterValue."""
    if architecture not in _ARCHITECTURES:
        raise invalid_value(architecture, "architecture", "It can be i386, x86_64 or arm64.")


def check_encryption_unsaid(requests: tuple[BlockDeviceRequest, ...]) -> None:
    """Refuse an entry of a snapshot that says whether it is encrypted: the snapshot says it. Wording as AWS answers it.

    Source: EC2 API Reference, EbsBlockDevice, Encrypted.
    """
    for request in requests:
        if request.snapshot_id is not None and request.encrypted is not None:
            raise invalid_mapping(
                f"the encrypted flag cannot be specified since device {request.device_name} has a snapshot specified."
            )


def _check_virtualization(virtualization_type: str, sriov_net_support: str | None) -> None:
    """Source: EC2 API Reference, RegisterImage: images here are hardware-virtualized, said or not."""
    if virtualization_type == "paravirtual":
        raise not_honoured("VirtualizationType=paravirtual")
    if virtualization_type != "hvm":
        raise invalid_value(virtualization_type, "virtualizationType")
    if sriov_net_support not in (None, "simple"):
        raise invalid_value(sriov_net_support, "sriovNetSupport", "It can be simple.")
