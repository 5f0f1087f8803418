"""Volumes: made, attached, detached, deleted, listed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.encryption import chosen_key, prepare_default_key
from bakehouse.app.snapshots import completed_snapshot, snapshot_gone
from bakehouse.domain.block_device import check_device_name, performance
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, incorrect_state, invalid_parameter, missing_parameter
from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_type import MAX_VOLUMES
from bakehouse.domain.kms_key import Encryption, key_unusable
from bakehouse.domain.region import zones
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.tags import check_tags
from bakehouse.domain.volume import (
    AttachmentState,
    Volume,
    VolumeAttachment,
    VolumeState,
    attachment_limit,
    attachment_not_found,
    device_taken,
    root_volume_stays,
    storage_full,
    volume_already_attached,
    volume_in_use,
    volume_not_attached_to,
    volume_not_available,
    volume_zone_mismatch,
)
from bakehouse.ports.hypervisor import DeviceBusy, MonitorLost
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull, VolumeInUse
from bakehouse.sagas import recycle_bin
from bakehouse.sagas.attach_volume import ATTACH_VOLUME, AttachVolume
from bakehouse.sagas.create_volume import CREATE_VOLUME, CreateVolume
from bakehouse.sagas.delete_volume import DELETE_VOLUME, DeleteVolume
from bakehouse.sagas.detach_volume import DETACH_VOLUME, DetachVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """What CreateVolume asks for. Size in GiB, throughput in MiB/s; at least one of size and snapshot is given."""

    availability_zone: str
    size_gib: int | None = None
    snapshot_id: str | None = None
    #: Source: EC2 API Reference, CreateVolume: gp2 is the default.
    type: str = "gp2"
    iops: int | None = None
    throughput_mibps: int | None = None
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = field(default_factory=dict)


class Volumes:
    """Use cases on volumes."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, request: VolumeRequest) -> Volume:
        """Make a volume and return it as it was when it was reserved: `creating`.

        Refuses what its type does not allow. A full host: InsufficientVolumeCapacity, and there is no volume.
        """
        await prepare_default_key(self._context, caller)
        volume = self._planned(caller, request)
        sagas, store = self._context.sagas, self._context.store
        async with store.transaction() as tx:
            tx.put(volume)
            tx.remember(caller, volume.id, self._context.now().timestamp())
            saga_id = sagas.enlist(tx, CREATE_VOLUME, CreateVolume(volume_id=volume.id), subject_id=volume.id)
        try:
            await sagas.run(saga_id)
        except Exception as err:
            async with store.transaction() as tx:
                tx.forget(caller)
            if isinstance(err, StorageFull):
                raise storage_full() from err
            if isinstance(err, KeyUnavailable):
                raise key_unusable() from err
            if isinstance(err, NoSuchSnapshot):
                raise snapshot_gone(self._context, caller, str(volume.snapshot_id)) from err
            raise
        return volume

    def describe(self, caller: Caller, volume_ids: Iterable[str] | None = None) -> list[Volume]:
        """Return the caller's volumes, all or these."""
        volumes = self._context.store.volumes
        return scope(volumes, caller) if volume_ids is None else owned(volumes, caller, "volume", volume_ids)

    async def attach(self, caller: Caller, volume_id: str, instance_id: str, device_name: str) -> Volume:
        """Attach a volume to a running or stopped instance and return it as it was then: `attaching`.

        Refuses a volume that is not available (VolumeInUse, IncorrectState) or in another zone
        (InvalidVolume.ZoneMismatch), a device name in use, more volumes than the instance type allows
        (AttachmentLimitExceeded), and an instance in another state (IncorrectState).
        """
        store = self._context.store
        (volume,) = owned(store.volumes, caller, "volume", [volume_id])
        (instance,) = owned(store.instances, caller, "instance", [instance_id])
        self._check_attachable(volume, instance, device_name)
        attachment = VolumeAttachment(
            instance_id=instance.id,
            device_name=device_name,
            state=AttachmentState.ATTACHING,
            attached_at=self._context.now().replace(microsecond=0),
            delete_on_termination=False,
        )
        attaching = replace(volume, state=VolumeState.IN_USE, attachment=attachment)
        params = AttachVolume(volume_id=volume.id, instance_id=instance.id)
        async with store.transaction() as tx:
            tx.put(attaching)
            saga_id = self._context.sagas.enlist(tx, ATTACH_VOLUME, params, subject_id=instance.id)
        try:
            await self._context.sagas.run(saga_id)
        except DeviceBusy as err:
            raise attachment_limit(instance.id) from err
        except KeyUnavailable as err:
            raise key_unusable() from err
        except MonitorLost as err:
            raise incorrect_state(f"Instance '{instance.id}' is not 'running'.") from err
        return attaching

    async def detach(
        self,
        caller: Caller,
        volume_id: str,
        *,
        instance_id: str | None = None,
        device_name: str | None = None,
        force: bool = False,
    ) -> Volume:
        """Detach a volume and return it as it was when that began, `detaching`; or `busy` if the guest keeps it.

        Refuses one that is not attached (IncorrectState), or not there (InvalidAttachment.NotFound), and the root of an
        instance that is not stopped (OperationNotPermitted).
        """
        store = self._context.store
        (volume,) = owned(store.volumes, caller, "volume", [volume_id])
        if instance_id is not None:
            owned(store.instances, caller, "instance", [instance_id])
        attachment = volume.attachment
        if attachment is None:
            raise attachment_not_found(volume.id)
        if instance_id not in (None, attachment.instance_id) or device_name not in (None, attachment.device_name):
            raise volume_not_attached_to(volume.id, instance_id, device_name)
        instance = store.instances[attachment.instance_id]
        if attachment.device_name == instance.root_device_name and instance.state is not InstanceState.STOPPED:
            raise root_volume_stays(volume.id, instance.id)
        if volume.state is not VolumeState.IN_USE or attachment.state is AttachmentState.ATTACHING:
            raise volume_not_available(volume.id)
        detaching = replace(volume, attachment=replace(attachment, state=AttachmentState.DETACHING))
        params = DetachVolume(volume_id=volume.id, instance_id=instance.id, force=force)
        async with store.transaction() as tx:
            tx.put(detaching)
            saga_id = self._context.sagas.enlist(tx, DETACH_VOLUME, params, subject_id=instance.id)
        await self._context.sagas.run(saga_id)
        left = store.volumes.get(volume.id)
        is_busy = left is not None and left.attachment is not None and left.attachment.state is AttachmentState.BUSY
        return left if left is not None and is_busy else detaching

    async def delete(self, caller: Caller, volume_id: str) -> None:
        """Delete a volume that is attached to nothing, or move it to the Recycle Bin: VolumeInUse if it is attached.

        Its snapshots lose nothing.
        """
        (volume,) = owned(self._context.store.volumes, caller, "volume", [volume_id])
        if volume.attachment is not None:
            raise volume_in_use(volume.id, volume.attachment.instance_id)
        if volume.state is not VolumeState.AVAILABLE:
            raise volume_not_available(volume.id)
        store, sagas = self._context.store, self._context.sagas
        async with store.transaction() as tx:
            if recycle_bin.keep(store, tx, volume, self._context.now()):
                return
            tx.put(replace(volume, state=VolumeState.DELETING))
            saga_id = sagas.enlist(tx, DELETE_VOLUME, DeleteVolume(volume_id=volume.id), subject_id=volume.id)
        try:
            await sagas.run(saga_id)
        except VolumeInUse as err:
            raise volume_in_use(volume.id, "a process of the host") from err

    def _planned(self, caller: Caller, request: VolumeRequest) -> Volume:
        check_tags(request.tags)
        if request.availability_zone not in zones(caller.region):
            raise zone_not_found(request.availability_zone)
        snapshot = None
        if request.snapshot_id is not None:
            snapshot = completed_snapshot(self._context, caller, request.snapshot_id)
        size_gib = _size(request, snapshot)
        key = chosen_key(self._context, caller, request.encryption, snapshot)
        figures = performance(request.type, size_gib, request.iops, request.throughput_mibps)
        return Volume(
            id=new_id("volume"),
            account_id=caller.account_id,
            region=caller.region,
            availability_zone=request.availability_zone,
            size_gib=size_gib,
            state=VolumeState.CREATING,
            type=request.type,
            created_at=self._context.now().replace(microsecond=0),
            snapshot_id=request.snapshot_id,
            iops=figures.iops,
            throughput_mibps=figures.throughput_mibps,
            limits=figures.limits,
            encrypted=key is not None,
            kms_key_id=key,
            tags=dict(request.tags),
        )

    def _check_attachable(self, volume: Volume, instance: Instance, device_name: str) -> None:
        check_device_name(device_name)
        if volume.attachment is not None:
            raise volume_already_attached(volume.id)
        if volume.state is not VolumeState.AVAILABLE:
            raise volume_not_available(volume.id)
        if instance.state not in (InstanceState.RUNNING, InstanceState.STOPPED):
            raise incorrect_state(f"Instance '{instance.id}' is not 'running'.")
        if volume.availability_zone != instance.availability_zone:
            raise volume_zone_mismatch(volume.id, instance.id)
        others = [other.attachment for other in self._context.store.volumes.by("instance")[instance.id].values()]
        if any(other is not None and other.device_name == device_name for other in others):
            raise device_taken(device_name)
        if len(others) >= MAX_VOLUMES + 1:
            raise attachment_limit(instance.id)


def zone_not_found(zone: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidZone.NotFound; wording as AWS answers it."""
    return Ec2Error("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")


def _size(request: VolumeRequest, snapshot: Snapshot | None) -> int:
    if snapshot is None:
        if request.size_gib is None:
            raise missing_parameter("size/snapshot")
        return request.size_gib
    least = snapshot.volume_size_gib
    if request.size_gib is not None and request.size_gib < least:
        raise invalid_parameter(
            f"The volume size is invalid for the specified snapshot: {request.size_gib} GiB is less than its "
            f"{least} GiB."
        )
    return least if request.size_gib is None else request.size_gib
