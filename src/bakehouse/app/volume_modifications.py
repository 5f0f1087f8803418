"""Changing a volume that is there: larger, another type, other figures."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.domain.block_device import performance
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import missing_parameter
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.kms_key import key_unusable
from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.domain.volume import VOLUME_TYPES, Volume, VolumeState, storage_full, volume_not_available
from bakehouse.domain.volume_modification import (
    NO_BOOT_TYPES,
    ModificationState,
    VolumeFigures,
    VolumeModification,
    modification_not_found,
    not_a_boot_type,
    starts_that_count,
    volume_never_shrinks,
)
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.volumes import NoSuchVolume, StorageFull
from bakehouse.sagas.modify_volume import MODIFY_VOLUME, ModifyVolume

#: What a volume of these types gets when it had another type. Source: EC2 API Reference, ModifyVolume, Iops.
_IOPS_OF_A_NEW_TYPE = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModificationRequest:
    """What is to change; None stays. Size in GiB, throughput in MiB/s."""

    size_gib: int | None = None
    type: str | None = None
    iops: int | None = None
    throughput_mibps: int | None = None


class VolumeModifications:
    """Use cases on modifications of volumes."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def modify(self, caller: Caller, volume_id: str, request: ModificationRequest) -> Volume:
        """Modify a volume and return it as it was when that began: `modifying`.

        Refuses what its type does not allow, a smaller size, a volume that is neither `available` nor `in-use`
        (IncorrectState), one that is being modified (IncorrectModificationState), and a fifth time within a day
        (VolumeModificationRateExceeded). A full host: InsufficientVolumeCapacity, and the modification has failed.
        """
        store, sagas = self._context.store, self._context.sagas
        (volume,) = owned(store.volumes, caller, "volume", [volume_id])
        if volume.state not in (VolumeState.AVAILABLE, VolumeState.IN_USE):
            raise volume_not_available(volume.id)
        earlier = starts_that_count(volume.id, volume.modification, self._context.now())
        target = self._target(volume, request)
        modification = VolumeModification(
            original=_figures(volume),
            target=target,
            started_at=self._context.now().replace(microsecond=0),
            earlier=earlier,
        )
        modifying = replace(volume, modification=modification)
        async with store.transaction() as tx:
            tx.put(modifying)
            saga_id = sagas.enlist(tx, MODIFY_VOLUME, ModifyVolume(volume_id=volume.id), subject_id=volume.id)
        try:
            await sagas.run(saga_id)
        except StorageFull as err:
            raise storage_full() from err
        except KeyUnavailable as err:
            raise key_unusable() from err
        return modifying

    def describe(
        self, caller: Caller, volume_ids: Iterable[str] | None = None
    ) -> list[tuple[Volume, VolumeModification]]:
        """Return the latest modification of the caller's volumes, all that have one or these.

        Refuses a volume without one: InvalidVolumeModification.NotFound.
        """
        volumes = self._context.store.volumes
        found = scope(volumes, caller) if volume_ids is None else owned(volumes, caller, "volume", volume_ids)
        modified = [(volume, volume.modification) for volume in found if volume.modification is not None]
        if volume_ids is not None and len(modified) < len(found):
            raise modification_not_found(next(volume.id for volume in found if volume.modification is None))
        return modified

    async def finish(self) -> None:
        """Come to an end with modifications that waited for a machine to let go."""
        store, sagas = self._context.store, self._context.sagas
        for volume in list(store.volumes):
            if volume.modification is None or volume.modification.state is not ModificationState.OPTIMIZING:
                continue
            try:
                can_end = not sagas.is_changing(volume.id) and await self._can_end(volume, volume.modification)
            except (NoSuchVolume, KeyUnavailable):
                continue  # deleted meanwhile, or nobody can look into it until its key is back
            if can_end and store.volumes.get(volume.id) is volume:
                async with store.transaction() as tx:
                    params = ModifyVolume(volume_id=volume.id)
                    saga_id = sagas.enlist(tx, MODIFY_VOLUME, params, subject_id=volume.id)
                await sagas.run(saga_id)

    async def _can_end(self, volume: Volume, modification: VolumeModification) -> bool:
        """Tell whether the bytes were added at the start of its machine, or can be now."""
        instance = volume.attachment and self._context.store.instances.get(volume.attachment.instance_id)
        if instance is None or instance.state is InstanceState.STOPPED:
            return True
        return (await self._context.volumes.connect(volume.id)).size_bytes >= modification.target.size_gib << 30

    def _target(self, volume: Volume, request: ModificationRequest) -> VolumeFigures:
        if request == ModificationRequest():
            raise missing_parameter("size, volumeType, iops or throughput")
        size_gib = volume.size_gib if request.size_gib is None else request.size_gib
        if size_gib < volume.size_gib:
            raise volume_never_shrinks()
        volume_type = request.type or volume.type
        if volume_type in NO_BOOT_TYPES and self._is_root(volume):
            raise not_a_boot_type(volume_type)
        iops, throughput = request.iops, request.throughput_mibps
        rules = VOLUME_TYPES.get(volume_type)
        if rules is not None and iops is None and rules.iops is not None:
            iops = volume.iops if volume_type == volume.type else _IOPS_OF_A_NEW_TYPE
        if rules is not None and throughput is None and volume_type == volume.type and rules.throughput_mibps:
            throughput = volume.throughput_mibps
        figures = performance(volume_type, size_gib, iops, throughput)
        # What is kept was asked for only if it was before.
        before = volume.limits if volume_type == volume.type else SpeedLimits()
        return VolumeFigures(
            size_gib=size_gib,
            type=volume_type,
            iops=figures.iops,
            throughput_mibps=figures.throughput_mibps,
            limits=SpeedLimits(
                iops=request.iops or before.iops,
                throughput_mibps=request.throughput_mibps or before.throughput_mibps,
            ),
        )

    def _is_root(self, volume: Volume) -> bool:
        if volume.attachment is None:
            return False
        instance = self._context.store.instances.get(volume.attachment.instance_id)
        return instance is not None and instance.root_device_name == volume.attachment.device_name


def _figures(volume: Volume) -> VolumeFigures:
    return VolumeFigures(
        size_gib=volume.size_gib,
        type=volume.type,
        iops=volume.iops,
        throughput_mibps=volume.throughput_mibps,
        limits=volume.limits,
    )
