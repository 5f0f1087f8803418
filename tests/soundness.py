"""What must hold whenever no saga is under way: the records and the host agree."""

from collections.abc import Collection

from bakehouse.domain.image import ImageState
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.domain.volume import VolumeState
from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric
from bakehouse.drivers.volumes.fake import FakeVolumeStore
from bakehouse.ports.hypervisor import MachineState
from bakehouse.store.store import Store


async def assert_sound(
    store: Store, hypervisor: FakeHypervisor, volumes: FakeVolumeStore, network: FakeNetworkFabric
) -> None:
    """Compare every record with what the fake drivers hold."""
    assert len(store.sagas) == 0
    _assert_settled(store)
    await _assert_bytes(store, volumes)
    running = {instance.id for instance in store.instances if instance.state is InstanceState.RUNNING}
    plugged = {store.instances[instance_id].network_interface_id for instance_id in running}
    assert set(network.interfaces) == plugged
    machines = [status for status in await hypervisor.observe() if status.state is not MachineState.GONE]
    assert {status.machine_id for status in machines} == running
    for status in machines:
        assert status.volume_ids == set(store.volumes.by("instance")[status.machine_id])
        assert not hypervisor.is_frozen(status.machine_id)
    alive = {instance.id for instance in store.instances if instance.state is not InstanceState.TERMINATED}
    assert {interface.instance_id for interface in store.network_interfaces} == alive
    assert {volume.attachment.instance_id for volume in store.volumes if volume.attachment} <= alive


def _assert_settled(store: Store) -> None:
    settled = {InstanceState.RUNNING, InstanceState.STOPPED, InstanceState.TERMINATED}
    assert {instance.state for instance in store.instances} <= settled
    made = {ImageState.AVAILABLE, ImageState.DISABLED, ImageState.FAILED}
    assert {image.state for image in store.images} <= made
    assert {snapshot.state for snapshot in store.snapshots} <= {SnapshotState.COMPLETED}
    assert {volume.state for volume in store.volumes} <= {VolumeState.AVAILABLE, VolumeState.IN_USE}


def assert_archived(store: Store, archived: Collection[str]) -> None:
    """Compare the records of snapshots with what is in the archive."""
    assert set(archived) == {snapshot.id for snapshot in _all_snapshots(store) if snapshot.is_archived}


def _all_snapshots(store: Store) -> list[Snapshot]:
    recycled = [it.snapshot for it in store.recycle_bin if it.snapshot is not None]
    return [*store.snapshots, *recycled]


async def _assert_bytes(store: Store, volumes: FakeVolumeStore) -> None:
    inventory = await volumes.inventory()
    recycled = list(store.recycle_bin)
    recycled_volumes = {it.id for it in recycled if it.type is RetainedType.VOLUME}
    assert inventory.volume_ids == {volume.id for volume in store.volumes} | recycled_volumes
    standard = {snapshot.id for snapshot in _all_snapshots(store) if snapshot.tier is StorageTier.STANDARD}
    assert inventory.snapshot_ids == standard
    assert {it.id for it in recycled}.isdisjoint(
        resource.id for records in (store.images, store.snapshots, store.volumes) for resource in records
    )
    assert {it for image in store.images for it in image.snapshot_ids} <= {snapshot.id for snapshot in store.snapshots}
    # Only a disabled image may have its snapshots in the archive.
    named = {it for image in store.images if image.state is not ImageState.DISABLED for it in image.snapshot_ids}
    assert named <= inventory.snapshot_ids
