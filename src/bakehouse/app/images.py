"""Images: made of an instance, of snapshots, or of a file from outside; and deregistered."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bakehouse.app.context import owned
from bakehouse.app.image_catalogue import ImageCatalogue
from bakehouse.app.snapshots import (
    attached_volumes,
    check_description,
    completed_snapshot,
    enlist_deletion,
    images_using,
    pending_snapshot,
)
from bakehouse.domain.block_device import (
    BlockDeviceRequest,
    check_device_name,
    invalid_mapping,
    merged,
    performance,
    volume_size,
)
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, invalid_parameter, invalid_value
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState, check_image_name, image_name_taken
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.tags import check_tags
from bakehouse.domain.volume import VOLUME_TYPES, Volume, storage_full
from bakehouse.ports.volumes import StorageFull, UnsafeImage
from bakehouse.sagas.create_image import CREATE_IMAGE, CreateImage
from bakehouse.sagas.volumes import GIB

#: What an image may say it is made for. Source: EC2 API Reference, RegisterImage; Macs are not for us.
_ARCHITECTURES: Final = frozenset({"i386", "x86_64", "arm64"})

#: What a snapshot names as its volume when it came from a file, as EC2 does after an import.
NO_VOLUME: Final = "vol-ffffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOfInstance:
    """What CreateImage asks for."""

    instance_id: str
    name: str
    description: str = ""
    reboot: bool = True
    block_devices: tuple[BlockDeviceRequest, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    snapshot_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOfSnapshots:
    """What RegisterImage asks for."""

    name: str
    block_devices: tuple[BlockDeviceRequest, ...]
    #: Source: EC2 API Reference, RegisterImage: the default of EBS-backed images.
    architecture: str = "i386"
    root_device_name: str = "/dev/sda1"
    description: str = ""
    boot_mode: str | None = None
    imds_support: str | None = None
    ena_support: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportImage:
    """An image to be made of a raw or qcow2 file on this host."""

    path: Path
    name: str
    description: str = ""
    architecture: str = "x86_64"
    root_device_name: str = "/dev/xvda"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeletedSnapshot:
    """What became of a snapshot when its image was deregistered: `success`, or `skipped` as others need it."""

    snapshot_id: str
    outcome: str


class Images(ImageCatalogue):
    """Use cases on images: the catalogue, and what comes into it and goes."""

    async def create(self, caller: Caller, request: ImageOfInstance) -> Image:
        """Make an image of an instance and return it as it was when it was reserved: `pending`.

        Without `reboot`, and of a stopped instance, it is `available` or `failed` when this returns. With it that comes
        later, and the guest is shut down and starts again. Refuses a name in use (InvalidAMIName.Duplicate) and an
        instance that is neither running nor stopped (IncorrectInstanceState).
        """
        context = self._context
        self._check_new(caller, request.name, request.description, request.tags)
        check_tags(request.snapshot_tags)
        (instance,) = owned(context.store.instances, caller, "instance", [request.instance_id])
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

    async def register(self, caller: Caller, request: ImageOfSnapshots) -> Image:
        """Make an image of snapshots; it is `available` at once.

        Refuses a name in use (InvalidAMIName.Duplicate), a mapping whose root has no snapshot
        (InvalidBlockDeviceMapping), and a snapshot that is not complete (IncorrectState).
        """
        self._check_new(caller, request.name, request.description, request.tags)
        _check_architecture(request.architecture)
        check_device_name(request.root_device_name)
        devices = self._checked(caller, merged((), request.block_devices), {})
        root = next((device for device in devices if device.device_name == request.root_device_name), None)
        if root is None or root.snapshot_id is None:
            raise invalid_mapping(f"The root device '{request.root_device_name}' must be mapped to a snapshot")
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
            imds_support=request.imds_support,
            ena_support=request.ena_support,
            tags=dict(request.tags),
        )
        async with self._context.store.transaction() as tx:
            tx.put(image)
        return image

    async def import_file(self, caller: Caller, order: ImportImage, *, progress: Callable[[float], None]) -> Image:
        """Inspect a disk file, take a copy of it, and return the image made of it, `available`.

        `progress` is called with fractions from 0 to 1. Refuses a name in use before anything is read
        (InvalidAMIName.Duplicate), a file that is unsafe or no disk (InvalidParameterValue), and any on a full host
        (InsufficientVolumeCapacity). A crash leaves at most bytes without a record, which the reconciler finds.
        """
        self._check_new(caller, order.name, order.description, order.tags)
        _check_architecture(order.architecture)
        check_device_name(order.root_device_name)
        started_at = self._context.now().replace(microsecond=0)
        snapshot_id = new_id("snapshot")
        size_gib = await self._copy(order.path, snapshot_id, progress)
        snapshot = Snapshot(
            id=snapshot_id,
            account_id=caller.account_id,
            region=caller.region,
            volume_id=NO_VOLUME,
            volume_size_gib=size_gib,
            description=f"Imported for {order.name}",
            state=SnapshotState.COMPLETED,
            started_at=started_at,
            completed_at=self._context.now().replace(microsecond=0),
        )
        root = BlockDevice(device_name=order.root_device_name, snapshot_id=snapshot_id, size_gib=size_gib)
        image = Image(
            id=new_id("image"),
            account_id=caller.account_id,
            region=caller.region,
            name=order.name,
            description=order.description,
            state=ImageState.AVAILABLE,
            architecture=order.architecture,
            root_device_name=order.root_device_name,
            block_devices=(root,),
            created_at=self._context.now().replace(microsecond=0),
            tags=dict(order.tags),
        )
        try:
            # Another may have taken the name in the meantime.
            self._check_new(caller, order.name, order.description, order.tags)
            async with self._context.store.transaction() as tx:
                tx.put(snapshot)
                tx.put(image)
        except Exception:
            await self._context.volumes.delete_snapshot(snapshot_id)
            raise
        return image

    async def deregister(self, caller: Caller, image_id: str, *, delete_snapshots: bool) -> list[DeletedSnapshot]:
        """Take an image out of the catalogue; instances that run from it run on.

        With `delete_snapshots` those of its snapshots go too that are the caller's and that no other image names.
        """
        context = self._context
        image = self.owned(caller, image_id)
        snapshot_ids = [device.snapshot_id for device in image.block_devices if device.snapshot_id is not None]
        users = images_using(context, caller.region, snapshot_ids)
        deleted = [
            snapshot
            for snapshot_id in (snapshot_ids if delete_snapshots else ())
            if users[snapshot_id] == [image.id]
            and (snapshot := context.store.snapshots.get(snapshot_id)) is not None
            and snapshot.account_id == caller.account_id
        ]
        async with context.store.transaction() as tx:
            tx.delete(image)
            saga_id = enlist_deletion(context, tx, deleted, subject_id=image.id) if deleted else None
        if saga_id is not None:
            await asyncio.wait([context.sagas.begin(saga_id)])  # they are gone, whatever becomes of their bytes
        if not delete_snapshots:
            return []
        gone = {snapshot.id for snapshot in deleted}
        return [DeletedSnapshot(it, "success" if it in gone else "skipped") for it in snapshot_ids]

    def _check_new(self, caller: Caller, name: str, description: str, tags: Mapping[str, str]) -> None:
        check_image_name(name)
        check_description(description)
        check_tags(tags)
        for image in self._context.store.images.by("name")[caller.account_id, caller.region, name].values():
            raise image_name_taken(name, image.id)

    async def _copy(self, path: Path, snapshot_id: str, progress: Callable[[float], None]) -> int:
        """Let the volume store take a file as a snapshot; return its size, rounded up to whole GiB."""
        try:
            disk = await self._context.volumes.import_file(snapshot_id, path, progress=progress)
        except UnsafeImage as err:
            raise invalid_parameter(f"The file {path} was refused: {err}") from err
        except StorageFull as err:
            raise storage_full() from err
        except OSError as err:
            raise Ec2Error("InvalidParameterValue", f"The file {path} cannot be read: {err.strerror or err}") from err
        return -(-disk.size_bytes // GIB)

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
        names = {device.device_name for device in devices}
        for entry in request.block_devices:
            if entry.snapshot_id is not None and entry.device_name in names:
                raise invalid_mapping(f"The snapshot of the attached device '{entry.device_name}' cannot be chosen")
        sizes = {snapshot.id: snapshot.volume_size_gib for snapshot in snapshots.values()}
        mapping = self._checked(caller, merged(devices, request.block_devices), sizes)
        if not any(it.device_name == instance.root_device_name and it.snapshot_id in sizes for it in mapping):
            raise invalid_mapping(f"The root device '{instance.root_device_name}' cannot be left out")
        return mapping

    def _checked(
        self, caller: Caller, devices: Iterable[BlockDevice], sizes: Mapping[str, int]
    ) -> tuple[BlockDevice, ...]:
        """Return a mapping with every size filled in, in GiB; `sizes` are those of snapshots about to be taken."""
        return tuple(
            device if device.virtual_name is not None else self._checked_volume(caller, device, sizes)
            for device in devices
        )

    def _checked_volume(self, caller: Caller, device: BlockDevice, sizes: Mapping[str, int]) -> BlockDevice:
        least = None
        if device.snapshot_id is not None:
            least = sizes.get(device.snapshot_id)
            if least is None:
                least = completed_snapshot(self._context, caller, device.snapshot_id).volume_size_gib
        size_gib = volume_size(device.device_name, device.size_gib, device.snapshot_id, least)
        performance(device.volume_type, size_gib, device.iops, device.throughput_mibps)
        return replace(device, size_gib=size_gib)

    def _of_instance(
        self, caller: Caller, instance: Instance, request: ImageOfInstance, devices: tuple[BlockDevice, ...]
    ) -> Image:
        """Describe an image with what its instance has from its own; that one may be gone."""
        source = self._context.store.images.get(instance.image_id)
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
            boot_mode=source.boot_mode if source else None,
            ena_support=source.ena_support if source else True,
            imds_support=source.imds_support if source else None,
            source_instance_id=instance.id,
            source_image_id=instance.image_id,
            source_image_region=instance.region,
            tags=dict(request.tags),
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
        delete_on_termination=volume.attachment.delete_on_termination,
    )


def _check_architecture(architecture: str) -> None:
    if architecture not in _ARCHITECTURES:
        raise invalid_value(architecture, "architecture", "It can be i386, x86_64 or arm64.")
