"""Copies of volumes: new volumes over the layers of others, made in no time and without a byte copied."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bakehouse.app.context import AppContext, owned
from bakehouse.app.encryption import chosen_key, prepare_default_key
from bakehouse.domain.block_device import performance
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_parameter
from bakehouse.domain.ids import new_id
from bakehouse.domain.kms_key import Encryption, key_unusable
from bakehouse.domain.tags import check_tags
from bakehouse.domain.volume import Volume, VolumeState, storage_full, volume_not_available
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.volumes import NoSuchVolume, StorageFull, VolumeInUse
from bakehouse.sagas.copy_volume import COPY_VOLUME, CopyVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeCopyRequest:
    """What CopyVolumes asks for. Size in GiB, the source's if none is given; throughput in MiB/s."""

    source_volume_id: str
    size_gib: int | None = None
    #: Source: EC2 API Reference, CopyVolumes: gp2 is the default, whatever the source's type.
    type: str = "gp2"
    iops: int | None = None
    throughput_mibps: int | None = None
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = field(default_factory=dict)


class VolumeCopies:
    """Use cases on copies of volumes."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def copy(self, caller: Caller, request: VolumeCopyRequest) -> Volume:
        """Copy a volume as it is at this point in time, attached and written or not.

        Returns the copy as it was when it was reserved: `creating`, in the source's zone, with no tags of the source's.
        Refuses a source that is neither available nor in use (IncorrectState), a size below the source's
        (InvalidParameterValue), and what the type does not allow. A full host: InsufficientVolumeCapacity, and there is
        no copy.
        """
        store, sagas = self._context.store, self._context.sagas
        await prepare_default_key(self._context, caller)
        (source,) = owned(store.volumes, caller, "volume", [request.source_volume_id])
        copy = self._planned(caller, source, request)
        params = CopyVolume(source_id=source.id, volume_id=copy.id, snapshot_id=new_id("snapshot"))
        subject_id = source.attachment.instance_id if source.attachment else source.id
        async with store.transaction() as tx:
            tx.put(copy)
            tx.remember(caller, copy.id, self._context.now().timestamp())
            saga_id = sagas.enlist(tx, COPY_VOLUME, params, subject_id=subject_id)
        try:
            await sagas.run(saga_id)
        except Exception as err:
            async with store.transaction() as tx:
                tx.forget(caller)
            if isinstance(err, StorageFull):
                raise storage_full() from err
            if isinstance(err, KeyUnavailable):
                raise key_unusable() from err
            if isinstance(err, NoSuchVolume | VolumeInUse):  # deleted, or attached elsewhere, before its turn came
                raise volume_not_available(source.id) from err
            raise
        return copy

    def _planned(self, caller: Caller, source: Volume, request: VolumeCopyRequest) -> Volume:
        check_tags(request.tags)
        if source.state not in (VolumeState.AVAILABLE, VolumeState.IN_USE):
            raise volume_not_available(source.id)
        size_gib = source.size_gib if request.size_gib is None else request.size_gib
        if size_gib < source.size_gib:
            raise invalid_parameter(
                f"The volume size is invalid for the specified source volume: {size_gib} GiB is less than its "
                f"{source.size_gib} GiB."
            )
        key = chosen_key(self._context, caller, request.encryption, source)
        figures = performance(request.type, size_gib, request.iops, request.throughput_mibps)
        return Volume(
            id=new_id("volume"),
            account_id=source.account_id,
            region=source.region,
            availability_zone=source.availability_zone,
            size_gib=size_gib,
            state=VolumeState.CREATING,
            type=request.type,
            created_at=self._context.now().replace(microsecond=0),
            source_volume_id=source.id,
            iops=figures.iops,
            throughput_mibps=figures.throughput_mibps,
            limits=figures.limits,
            encrypted=key is not None,
            kms_key_id=key,
            tags=dict(request.tags),
        )
