"""Images: made of an instance or of a file from outside, and by inheritance everything else that is done with them."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bakehouse.app.context import owned
from bakehouse.app.image_ancestry import last_known
from bakehouse.app.image_catalogue import check_new_image
from bakehouse.app.image_copies import ImageCopies
from bakehouse.app.image_imports import ImageImports
from bakehouse.app.image_mapping import checked_mapping
from bakehouse.app.image_registration import ImageRegistration, check_encryption_unsaid
from bakehouse.app.image_removal import ImageRemoval
from bakehouse.app.snapshots import attached_volumes, pending_snapshot
from bakehouse.domain.block_device import BlockDeviceRequest, invalid_mapping, merged
from bakehouse.domain.caller import Caller
from bakehouse.domain.hibernation import is_hibernated
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState
from bakehouse.domain.image_boot import check_override
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.tags import check_tags
from bakehouse.domain.volume import VOLUME_TYPES, Volume
from bakehouse.sagas.create_image import CREATE_IMAGE, CreateImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOfInstance:
    """What CreateImage asks for."""

    instance_id: str
    name: str
    description: str = ""
    reboot: bool = True
    boot_mode: str | None = None
    """None inherits the instance's."""
    block_devices: tuple[BlockDeviceRequest, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    snapshot_tags: Mapping[str, str] = field(default_factory=dict)


class Images(ImageCopies, ImageImports, ImageRegistration, ImageRemoval):
    """Use cases on images: the catalogue, and what comes into it and goes."""

    async def create(self, caller: Caller, request: ImageOfInstance) -> Image:
        """Make an image of an instance and return it as it was when it was reserved: `pending`.

        Without `reboot`, and of a stopped instance, it is `available` or `failed` when this returns. With it that comes
        later, and the guest is shut down and starts again. Refuses a name in use (InvalidAMIName.Duplicate) and an
        instance that is neither running nor stopped, or is hibernated (IncorrectInstanceState).
        """
        context = self._context
        check_new_image(context, caller, request.name, request.description, request.tags)
        check_tags(request.snapshot_tags)
        (instance,) = owned(context.store.instances, caller, "instance", [request.instance_id])
        if instance.hibernated:
            raise is_hibernated(instance.id)
        check_override(request.boot_mode, instance.current_boot_mode)
        volumes = attached_volumes(context, instance)
        snapshots = {
            volume.id: pending_snapshot(context, volume, "", request.snapshot_tags)  # described below
            for volume in volumes
        }
        devices = self._devices_of_instance(caller, instance, volumes, snapshots, request)
        image = self._of_instance(caller, instance, request, devices)
        named = {device.snapshot_id for device in devices}
        taken = [
            replace(snapshot, description=f"Created by CreateImage({instance.id}) for {image.id}")
            for snapshot in snapshots.values()
            if snapshot.id in named
        ]
        reboot = request.reboot and instance.state is InstanceState.RUNNING
        params = CreateImage(
            image_id=image.id,
            instance_id=instance.id,
            snapshots={snapshot.volume_id: snapshot.id for snapshot in taken},
            reboot=reboot,
        )
        async with context.store.transaction() as tx:
            tx.put(image)
            for snapshot in taken:
                tx.put(snapshot)
            saga_id = context.sagas.enlist(tx, CREATE_IMAGE, params, subject_id=instance.id)
        making = context.sagas.begin(saga_id)
        if not reboot:
            # Whether it failed is told by the image's state, as on EC2.
            await asyncio.wait([making])
        return image

    def _devices_of_instance(
        self,
        caller: Caller,
        instance: Instance,
        volumes: Iterable[Volume],
        snapshots: Mapping[str, Snapshot],
        request: ImageOfInstance,
    ) -> tuple[BlockDevice, ...]:
        """Return the mapping of an instance's image: its volumes by their new snapshots, and what the request says."""
        devices = [_device_of(volume, snapshots[volume.id]) for volume in volumes]
        _check_attached_unchanged(devices, request.block_devices)
        check_encryption_unsaid(request.block_devices)
        sizes = {snapshot.id: snapshot.volume_size_gib for snapshot in snapshots.values()}
        mapping = checked_mapping(self._context, caller, merged(devices, request.block_devices), sizes)
        if not any(it.device_name == instance.root_device_name and it.snapshot_id in sizes for it in mapping):
            raise invalid_mapping(f"The root device '{instance.root_device_name}' cannot be left out")
        return mapping

    def _of_instance(
        self, caller: Caller, instance: Instance, request: ImageOfInstance, devices: tuple[BlockDevice, ...]
    ) -> Image:
        """Describe an image with what its instance has from its own; that one may be deregistered."""
        source = last_known(self._context.store, instance.image_id)
        return Image(
            id=new_id("image"),
            account_id=caller.account_id,
            region=caller.region,
            name=request.name,
            description=request.description,
            state=ImageState.PENDING,
            architecture=instance.architecture,
            root_device_name=instance.root_device_name,
            block_devices=devices,
            created_at=self._context.now().replace(microsecond=0),
            boot_mode=request.boot_mode or instance.boot_mode,
            tpm_support=instance.tpm_support,
            uefi_data=instance.uefi_data,
            disk_bus=source.disk_bus if source else "nvme",
            ena_support=source.ena_support if source else True,
            sriov_net_support=instance.sriov_net_support or (source.sriov_net_support if source else None),
            imds_support=source.imds_support if source else None,
            source_instance_id=instance.id,
            source_image_id=instance.image_id,
            source_image_region=instance.region,
            watermarks=source.watermarks if source else (),
            instance_type_specification=source.instance_type_specification if source else None,
            tags=dict(request.tags),
        )


def _check_attached_unchanged(devices: Iterable[BlockDevice], requests: Iterable[BlockDeviceRequest]) -> None:
    """Refuse to choose another snapshot, encryption or size for a volume that is attached.

    Source: EC2 API Reference, CreateImage, BlockDeviceMapping.N: the size is changed on the instance's volume.
    """
    sizes = {device.device_name: device.size_gib for device in devices}
    encrypted = {device.device_name: device.encrypted for device in devices}
    for request in requests:
        if request.device_name not in sizes:
            continue
        if request.snapshot_id is not None:
            raise invalid_mapping(f"The snapshot of the attached device '{request.device_name}' cannot be chosen")
        if request.encrypted not in (None, encrypted[request.device_name]):
            raise invalid_mapping(f"The encryption of the attached device '{request.device_name}' cannot be changed")
        if request.size_gib not in (None, sizes[request.device_name]):
            raise invalid_mapping(
                f"The size of the attached device '{request.device_name}' cannot be changed from "
                f"{sizes[request.device_name]}GB to {request.size_gib}GB. Change the size of the volume first."
            )


def _device_of(volume: Volume, snapshot: Snapshot) -> BlockDevice:
    if volume.attachment is None:
        raise ValueError(f"{volume.id} is not attached")
    rules = VOLUME_TYPES[volume.type]
    return BlockDevice(
        device_name=volume.attachment.device_name,
        snapshot_id=snapshot.id,
        size_gib=volume.size_gib,
        volume_type=volume.type,
        # A volume shows figures that only some types let one ask for.
        iops=volume.iops if rules.iops is not None else None,
        throughput_mibps=volume.throughput_mibps if rules.throughput_mibps is not None else None,
        encrypted=volume.encrypted,
        delete_on_termination=volume.attachment.delete_on_termination,
    )
