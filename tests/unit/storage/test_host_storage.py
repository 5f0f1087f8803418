"""The host's storage, held against the records while the server runs."""

from dataclasses import replace

import pytest
from tests.world import World

from bakehouse.domain.saga import SagaRecord
from bakehouse.domain.snapshot import SnapshotState
from bakehouse.ports.storage_upkeep import Finding, Severity
from bakehouse.reconcile.host_storage import HostStorage

GIB = 1 << 30


@pytest.fixture
def storage(world: World) -> HostStorage:
    return HostStorage(world.saga_context)


async def unrecorded_volume(world: World) -> str:
    volume_id = "vol-0123456789abcdef0"
    await world.volumes.create(volume_id, size_bytes=GIB, snapshot_id=None)
    return volume_id


async def test_bytes_that_nobody_knows_of_go_at_the_second_look(world: World, storage: HostStorage) -> None:
    volume_id = await unrecorded_volume(world)

    looks = [(await storage.remove_unrecorded()).ids for _ in range(2)]

    assert (looks, (await world.volumes.inventory()).volume_ids) == ([(), (volume_id,)], frozenset())


async def test_bytes_whose_record_came_late_stay(world: World, storage: HostStorage) -> None:
    volume_id = await unrecorded_volume(world)
    await storage.remove_unrecorded()
    await world.volumes.delete(volume_id)

    assert (await storage.remove_unrecorded()).ids == ()


async def test_bytes_that_a_saga_knows_of_stay(world: World, storage: HostStorage) -> None:
    volume_id = await unrecorded_volume(world)
    saga = SagaRecord(id="saga-1", name="create_volume", subject_id="i-1", params=f'{{"volume_id": "{volume_id}"}}')
    async with world.store.transaction() as tx:
        tx.put(saga)

    assert [(await storage.remove_unrecorded()).ids for _ in range(3)] == [(), (), ()]


async def test_a_volume_that_a_process_holds_stays(world: World, storage: HostStorage) -> None:
    volume_id = await unrecorded_volume(world)
    world.volumes.in_use.add(volume_id)

    await storage.remove_unrecorded()
    await storage.remove_unrecorded()

    assert (await world.volumes.inventory()).volume_ids == {volume_id}


async def test_a_check_finds_bytes_without_a_record_and_removes_them(world: World) -> None:
    volume_id = await unrecorded_volume(world)

    check = await world.app.storage.check(repair=True)

    assert ([(it.subject, it.repaired) for it in check.findings], check.is_whole) == ([(volume_id, True)], True)


async def test_a_check_finds_a_record_without_bytes(world: World) -> None:
    snapshot_id = (await world.snapshot()).id
    await world.volumes.delete_snapshot(snapshot_id)

    check = await world.app.storage.check(repair=True)

    assert [(it.subject, it.severity) for it in check.findings] == [(snapshot_id, Severity.LOST)]


async def test_a_snapshot_that_is_still_taken_is_not_missed(world: World) -> None:
    snapshot_id = (await world.snapshot()).id
    await world.volumes.delete_snapshot(snapshot_id)
    async with world.store.transaction() as tx:
        tx.put(replace(world.store.snapshots[snapshot_id], state=SnapshotState.PENDING))

    assert (await world.app.storage.check(repair=False)).is_whole


async def test_what_the_store_finds_is_handed_on(world: World) -> None:
    finding = Finding(subject="snap-1.0.raw", severity=Severity.LOST, problem="it is missing")
    world.volumes.upkeep.findings.append(finding)

    assert (await world.app.storage.check(repair=False)).findings == (finding,)
