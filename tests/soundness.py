"""What must hold whenever no saga is under way: the records and the host agree."""

from collections.abc import Collection

from bakehouse.domain.fleet import FLEET_TAG
from bakehouse.domain.image import ImageState
from bakehouse.domain.instance import LAUNCH_FAILED, InstanceState
from bakehouse.domain.network_interface import InterfaceAttachmentState
from bakehouse.domain.replace_root_volume_task import ReplaceRootState
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.domain.store_image_task import StoreTaskState
from bakehouse.domain.task_status import TaskStatus
from bakehouse.domain.volume import VolumeState
from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric
from bakehouse.drivers.volumes.fake import FakeVolumeStore
from bakehouse.ports.hypervisor import MachineState
from bakehouse.ports.objects import ObjectAt, ObjectStore
from bakehouse.sagas.segment import group_spec, interface_spec
from bakehouse.sagas.segment_description import segment_spec
from bakehouse.store.store import Store


async def assert_sound(
    store: Store, hypervisor: FakeHypervisor, volumes: FakeVolumeStore, network: FakeNetworkFabric
) -> None:
    """Compare every record with what the fake drivers hold."""
    assert len(store.sagas) == 0
    _assert_settled(store)
    _assert_fleets(store)
    await _assert_bytes(store, volumes)
    running = {instance.id for instance in store.instances if instance.state is InstanceState.RUNNING}
    plugged = {interface.id for interface in store.network_interfaces if interface.instance_id in running}
    assert network.interfaces == {it: interface_spec(store, store.network_interfaces[it]) for it in plugged}
    machines = [status for status in await hypervisor.observe() if status.state is not MachineState.GONE]
    assert {status.machine_id for status in machines} == running
    for status in machines:
        assert status.volume_ids == set(store.volumes.by("instance")[status.machine_id])
        assert status.interface_ids == set(store.network_interfaces.by("instance")[status.machine_id])
        for volume_id in status.volume_ids:
            assert hypervisor.limits(status.machine_id, volume_id) == store.volumes[volume_id].limits
        assert not hypervisor.is_frozen(status.machine_id)
    alive = {instance.id for instance in store.instances if instance.state is not InstanceState.TERMINATED}
    attached = {interface.instance_id for interface in store.network_interfaces if interface.instance_id}
    assert attached == alive
    assert {it.attachment_state for it in store.network_interfaces} <= {InterfaceAttachmentState.ATTACHED}
    _assert_addresses(store)
    _assert_segments(store, network)
    assert {volume.attachment.instance_id for volume in store.volumes if volume.attachment} <= alive


def _assert_segments(store: Store, network: FakeNetworkFabric) -> None:
    """No segment outlives its VPC, and those in which machines run are as the records say."""
    assert set(network.segments) <= {vpc.id for vpc in store.vpcs}
    for vpc_id in {instance.vpc_id for instance in store.instances if instance.state is InstanceState.RUNNING}:
        assert network.segments[vpc_id] == segment_spec(store, vpc_id)
        for group_id, group in store.security_groups.by("vpc")[vpc_id].items():
            assert network.groups[group_id] == group_spec(store, group)


def _assert_addresses(store: Store) -> None:
    """Addresses and interfaces tell the same of each other, and no address leads to two places."""
    told = {
        (association.public_ip, it.id, association.id, association.allocation_id)
        for it in store.network_interfaces
        for association in it.associations
    }
    associated = [it for it in store.elastic_addresses if it.interface_id]
    held = {(it.public_ip, it.interface_id, it.association_id, it.id) for it in associated}
    assert told == held
    automatic = [it.automatic_public_ip for it in store.network_interfaces if it.automatic_public_ip]
    elastic = [it.public_ip for it in store.elastic_addresses]
    assert len({*automatic, *elastic}) == len(automatic) + len(elastic)


def _is_uploaded(snapshot: Snapshot) -> bool:
    """Whether a client still writes it, or has given up; or a copy of it failed."""
    has_failed = snapshot.state is SnapshotState.ERROR and snapshot.state_message is not None
    return has_failed or (snapshot.upload is not None and snapshot.state is not SnapshotState.COMPLETED)


def _assert_settled(store: Store) -> None:
    settled = {InstanceState.RUNNING, InstanceState.STOPPED, InstanceState.TERMINATED}
    assert {instance.state for instance in store.instances} <= settled
    made = {ImageState.AVAILABLE, ImageState.DISABLED, ImageState.FAILED}
    assert {image.state for image in store.images} <= made
    states = {snapshot.state for snapshot in store.snapshots if not _is_uploaded(snapshot)}
    assert states <= {SnapshotState.COMPLETED}
    ended = {ReplaceRootState.SUCCEEDED, ReplaceRootState.FAILED}
    assert {task.state for task in store.replace_root_volume_tasks} <= ended
    assert {volume.state for volume in store.volumes} <= {VolumeState.AVAILABLE, VolumeState.IN_USE}


def _assert_fleets(store: Store) -> None:
    """A fleet names the instances that were launched for it, and has an error where one was not."""
    for fleet in store.fleets:
        of_fleet = [it for it in store.instances if it.tags.get(FLEET_TAG) == fleet.id]
        failed = {it.id for it in of_fleet if it.state_reason == LAUNCH_FAILED}
        assert set(fleet.instance_ids) == {it.id for it in of_fleet} - failed
        assert fleet.errors or not failed
        if fleet.deleted:
            assert {it.state for it in of_fleet} <= {InstanceState.TERMINATED}


async def assert_transferred(store: Store, objects: ObjectStore) -> None:
    """Compare the tasks with the objects: an export has one when it is completed, and no other time."""
    assert await objects.workspaces() == frozenset()
    for task in [*store.import_image_tasks, *store.import_snapshot_tasks]:
        assert task.status in (TaskStatus.COMPLETED, TaskStatus.DELETED)
    for image_task in store.import_image_tasks:
        assert (image_task.image_id in store.images) == (image_task.status is TaskStatus.COMPLETED)
    for export in [*store.export_image_tasks, *store.export_instance_tasks]:
        assert export.status in (TaskStatus.COMPLETED, TaskStatus.DELETED)
        is_there = await objects.exists(ObjectAt(bucket=export.bucket, key=export.key))
        assert is_there == (export.status is TaskStatus.COMPLETED)
    for stored in store.store_image_tasks:
        assert stored.state in (StoreTaskState.COMPLETED, StoreTaskState.FAILED)
        if stored.has_place:
            is_there = await objects.exists(ObjectAt(bucket=stored.bucket, key=stored.key))
            assert is_there == (stored.state is StoreTaskState.COMPLETED)


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
    uploads = {snapshot.id for snapshot in store.snapshots if _is_uploaded(snapshot)}
    assert inventory.snapshot_ids == standard - uploads
    assert await volumes.blocks.uploads() == {
        snapshot.id for snapshot in store.snapshots if snapshot.upload and snapshot.state is SnapshotState.PENDING
    }
    assert {it.id for it in recycled}.isdisjoint(
        resource.id for records in (store.images, store.snapshots, store.volumes) for resource in records
    )
    assert {it for image in store.images for it in image.snapshot_ids} <= {snapshot.id for snapshot in store.snapshots}
    # Only a disabled image may have its snapshots in the archive.
    named = {it for image in store.images if image.state is not ImageState.DISABLED for it in image.snapshot_ids}
    assert named <= inventory.snapshot_ids
