"""Volumes and snapshots that have bytes and no record, or a record and no bytes."""

from dataclasses import dataclass

from bakehouse.domain.snapshot import SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.domain.volume import VolumeState
from bakehouse.ports.volumes import VolumeInventory, VolumeStore
from bakehouse.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecorded:
    """What has bytes, and neither a record nor a saga that knows of it."""

    volume_ids: frozenset[str] = frozenset()
    snapshot_ids: frozenset[str] = frozenset()

    def __and__(self, other: "Unrecorded") -> "Unrecorded":
        """Return what is in both."""
        return Unrecorded(
            volume_ids=self.volume_ids & other.volume_ids, snapshot_ids=self.snapshot_ids & other.snapshot_ids
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them."""
        return (*sorted(self.volume_ids), *sorted(self.snapshot_ids))


def unrecorded(store: Store, inventory: VolumeInventory) -> Unrecorded:
    """Hold what has bytes against the records, those of the Recycle Bin and the journal.

    An import writes its record when its bytes are there: what is found once may only have come first. What is found
    twice, seconds apart, nobody wants.
    """
    journal = " ".join(f"{saga.subject_id} {saga.params}" for saga in store.sagas)

    def is_wanted(resource_id: str) -> bool:
        recorded = resource_id in store.volumes or resource_id in store.snapshots or resource_id in store.recycle_bin
        return recorded or resource_id in journal

    return Unrecorded(
        volume_ids=frozenset(it for it in inventory.volume_ids if not is_wanted(it)),
        snapshot_ids=frozenset(it for it in inventory.snapshot_ids if not is_wanted(it)),
    )


def without_bytes(store: Store, inventory: VolumeInventory) -> tuple[str, ...]:
    """Return the ids of records that say that there are bytes, where there are none."""
    volumes = (it.id for it in store.volumes if it.state in (VolumeState.AVAILABLE, VolumeState.IN_USE))
    standard = (it for it in store.snapshots if it.tier is StorageTier.STANDARD)
    snapshots = (it.id for it in standard if it.state is SnapshotState.COMPLETED)
    lost = {it for it in volumes if it not in inventory.volume_ids}
    lost |= {it for it in snapshots if it not in inventory.snapshot_ids}
    journal = " ".join(f"{saga.subject_id} {saga.params}" for saga in store.sagas)
    return tuple(sorted(it for it in lost if it not in journal))


async def delete_all(found: Unrecorded, volumes: VolumeStore) -> None:
    """Delete the bytes of volumes and snapshots that nobody wants.

    Raises:
        VolumeInUse: A process holds one of the volumes; it and those behind it stay.
    """
    for volume_id in sorted(found.volume_ids):
        await volumes.delete(volume_id)
    for snapshot_id in sorted(found.snapshot_ids):
        await volumes.delete_snapshot(snapshot_id)
