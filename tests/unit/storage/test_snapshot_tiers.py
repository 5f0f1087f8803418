"""Snapshots that are archived, restored for some days or for good, and deleted in between."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.storage.baking import refusal, stranger, volume
from tests.world import World

from bakehouse.app.retention_rules import RuleRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier, Tiering
from bakehouse.ports.snapshot_archive import ArchiveDamaged
from bakehouse.ports.volumes import StorageFull


async def archived(world: World, **members: Any) -> Snapshot:
    """Return a snapshot that is in the archive."""
    snapshot = await world.snapshot(**members)
    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)
    await world.sagas.settle()
    return world.store.snapshots[snapshot.id]


async def restored(world: World, snapshot_id: str, days: int | None = None) -> Snapshot:
    await world.app.snapshot_tiers.restore(world.caller, snapshot_id, days=days, permanent=days is None)
    await world.sagas.settle()
    return world.store.snapshots[snapshot_id]


def tiering(snapshot: Snapshot) -> Tiering:
    assert snapshot.tiering is not None
    return snapshot.tiering


def volume_of(world: World, snapshot_id: str) -> Any:
    request = VolumeRequest(availability_zone="us-east-1a", snapshot_id=snapshot_id)
    return world.app.volumes.create(world.caller, request)


async def test_an_archived_snapshot_leaves_the_volume_store(world: World) -> None:
    snapshot = await archived(world, create_volume_accounts=("all",))

    assert (snapshot.tier, tiering(snapshot).status) == (StorageTier.ARCHIVE, "archival-completed")
    assert tiering(snapshot).archived_at == world.clock()
    assert snapshot.create_volume_accounts == ()
    assert (await world.volumes.inventory()).snapshot_ids == set()
    assert await world.archive.ids() == {snapshot.id}
    await world.assert_sound()


async def test_no_volume_is_made_of_an_archived_snapshot(world: World) -> None:
    snapshot = await archived(world)

    assert await refusal(volume_of(world, snapshot.id)) == "IncorrectState"


async def test_a_snapshot_can_be_used_until_it_is_archived(world: World) -> None:
    snapshot = await world.snapshot()
    world.fragile_archive.hold("put")
    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)

    assert world.store.snapshots[snapshot.id].tier is StorageTier.STANDARD
    await volume_of(world, snapshot.id)


async def test_a_snapshot_restored_for_good_is_in_the_archive_no_more(world: World) -> None:
    snapshot = await archived(world)

    back = await restored(world, snapshot.id)

    assert (back.tier, tiering(back).status) == (StorageTier.STANDARD, "permanent-restore-completed")
    assert await world.archive.ids() == set()
    await volume_of(world, snapshot.id)
    await world.assert_sound()


async def test_a_snapshot_restored_for_days_leaves_again(world: World) -> None:
    snapshot = await archived(world)
    back = await restored(world, snapshot.id, 2)
    assert (back.tier, tiering(back).status) == (StorageTier.STANDARD, "temporary-restore-completed")
    assert tiering(back).restore_expires_at == world.clock() + timedelta(days=2)
    assert await world.archive.ids() == {snapshot.id}
    await volume_of(world, snapshot.id)

    world.clock.advance(days=1)
    await world.app.snapshot_tiers.end_restorations()
    assert world.store.snapshots[snapshot.id].tier is StorageTier.STANDARD
    world.clock.advance(days=1)
    await world.app.snapshot_tiers.end_restorations()
    await world.sagas.settle()

    gone = world.store.snapshots[snapshot.id]
    assert (gone.tier, tiering(gone).restore_expires_at) == (StorageTier.ARCHIVE, None)
    await world.assert_sound()
    assert (await restored(world, snapshot.id)).tier is StorageTier.STANDARD


async def test_the_days_of_a_restored_snapshot_are_counted_anew(world: World) -> None:
    snapshot = await archived(world)
    await restored(world, snapshot.id, 30)
    world.clock.advance(days=3)

    back = await restored(world, snapshot.id, 1)

    assert tiering(back).restore_expires_at == world.clock() + timedelta(days=1)
    await world.assert_sound()


async def test_a_restoration_for_days_is_made_one_for_good(world: World) -> None:
    snapshot = await archived(world)
    await restored(world, snapshot.id, 1)

    back = await restored(world, snapshot.id)

    assert tiering(back).restore_expires_at is None
    assert await world.archive.ids() == set()
    world.clock.advance(days=2)
    await world.app.snapshot_tiers.end_restorations()
    assert world.store.snapshots[snapshot.id].tier is StorageTier.STANDARD
    await world.assert_sound()


@pytest.mark.parametrize(
    ("days", "permanent", "code"),
    [
        (None, False, "MissingParameter"),
        (1, True, "InvalidParameterCombination"),
        (0, False, "InvalidParameterValue"),
        (181, False, "InvalidParameterValue"),
    ],
)
async def test_a_restoration_is_for_days_or_for_good(
    world: World, days: int | None, code: str, *, permanent: bool
) -> None:
    snapshot = await archived(world)

    restoring = world.app.snapshot_tiers.restore(world.caller, snapshot.id, days=days, permanent=permanent)

    assert await refusal(restoring) == code


async def test_what_is_not_archived_is_not_restored(world: World) -> None:
    snapshot = await world.snapshot()

    assert await refusal(restored(world, snapshot.id)) == "IncorrectState"


async def test_what_is_archived_or_restored_for_days_is_not_archived_again(world: World) -> None:
    snapshot = await archived(world)
    assert await refusal(world.app.snapshot_tiers.archive(world.caller, snapshot.id)) == "IncorrectState"
    await restored(world, snapshot.id, 3)

    assert await refusal(world.app.snapshot_tiers.archive(world.caller, snapshot.id)) == "IncorrectState"


async def test_one_move_at_a_time(world: World) -> None:
    snapshot = await world.snapshot()
    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)

    assert await refusal(world.app.snapshot_tiers.archive(world.caller, snapshot.id)) == "IncorrectState"
    restoring = world.app.snapshot_tiers.restore(world.caller, snapshot.id, days=1, permanent=False)
    assert await refusal(restoring) == "IncorrectState"


async def test_an_unfinished_snapshot_is_not_archived(world: World) -> None:
    assert await refusal(archived(world, state=SnapshotState.PENDING)) == "IncorrectState"


async def test_the_snapshot_of_an_image_is_not_archived(world: World) -> None:
    image = await world.image()
    (device,) = image.block_devices
    assert device.snapshot_id is not None

    assert await refusal(world.app.snapshot_tiers.archive(world.caller, device.snapshot_id)) == "InvalidSnapshot.InUse"


async def test_a_stranger_archives_and_restores_nothing(world: World) -> None:
    other = await stranger(world)
    hidden, public = await world.snapshot(), await world.snapshot(create_volume_accounts=("all",))

    assert await refusal(world.app.snapshot_tiers.archive(other, hidden.id)) == "InvalidSnapshot.NotFound"
    assert await refusal(world.app.snapshot_tiers.archive(other, public.id)) == "AuthFailure"
    assert world.app.snapshot_tiers.describe(other) == []


async def test_a_full_host_leaves_the_snapshot_where_it_was(world: World) -> None:
    snapshot = await world.snapshot()
    world.fragile_archive.fail("put", error=StorageFull("the disk is full"))

    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)
    await world.sagas.settle()

    failed = world.store.snapshots[snapshot.id]
    assert (failed.tier, tiering(failed).status) == (StorageTier.STANDARD, "archival-failed")
    assert tiering(failed).detail == "the disk is full"
    await world.assert_sound()
    await volume_of(world, snapshot.id)


async def test_a_damaged_copy_is_not_restored(world: World) -> None:
    snapshot = await archived(world)
    world.fragile_archive.fail("take_out", error=ArchiveDamaged("a block is not what was written"))

    failed = await restored(world, snapshot.id, 3)

    assert (failed.tier, tiering(failed).status) == (StorageTier.ARCHIVE, "temporary-restore-failed")
    assert tiering(failed).detail == "a block is not what was written"
    await world.assert_sound()
    assert (await restored(world, snapshot.id)).tier is StorageTier.STANDARD


async def test_a_deleted_snapshot_is_deleted_from_the_archive(world: World) -> None:
    snapshot = await archived(world)

    await world.app.snapshots.delete(world.caller, snapshot.id)

    assert await world.archive.ids() == set()
    await world.assert_sound()


@pytest.mark.parametrize("days", [None, 3])
async def test_a_snapshot_that_is_deleted_while_it_is_moved_leaves_nothing(world: World, days: int | None) -> None:
    snapshot = await world.snapshot()
    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)
    if days is not None:
        await world.sagas.settle()
        await world.app.snapshot_tiers.restore(world.caller, snapshot.id, days=days, permanent=False)

    await world.app.snapshots.delete(world.caller, snapshot.id)
    await world.sagas.settle()

    assert len(world.store.snapshots) == 0
    await world.assert_sound()


@pytest.mark.parametrize("days", [None, 3])
async def test_a_snapshot_that_goes_into_the_bin_while_it_is_moved_is_moved_there(
    world: World, days: int | None
) -> None:
    request = RuleRequest(resource_type=RetainedType.SNAPSHOT, retention_days=7)
    await world.app.retention_rules.create(world.caller, request)
    snapshot = await world.snapshot()
    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)
    if days is not None:
        await world.sagas.settle()
        await world.app.snapshot_tiers.restore(world.caller, snapshot.id, days=days, permanent=False)

    await world.app.snapshots.delete(world.caller, snapshot.id)
    await world.sagas.settle()
    await world.assert_sound()
    back = await world.app.recycle_bin.restore_snapshot(world.caller, snapshot.id)

    assert back.tier is (StorageTier.ARCHIVE if days is None else StorageTier.STANDARD)
    await world.assert_sound()


async def test_an_archived_snapshot_goes_from_the_bin_for_good(world: World) -> None:
    request = RuleRequest(resource_type=RetainedType.SNAPSHOT, retention_days=1)
    await world.app.retention_rules.create(world.caller, request)
    snapshot = await archived(world)
    await world.app.snapshots.delete(world.caller, snapshot.id)
    await world.assert_sound()
    world.clock.advance(days=1)

    await world.app.recycle_bin.delete_due()

    assert await world.archive.ids() == set()
    await world.assert_sound()


async def test_a_volume_of_a_restored_snapshot_outlives_its_days(world: World) -> None:
    snapshot = await archived(world)
    await restored(world, snapshot.id, 1)
    made = await volume_of(world, snapshot.id)
    world.clock.advance(days=1)

    await world.app.snapshot_tiers.end_restorations()
    await world.sagas.settle()

    assert world.store.volumes[made.id].state == "available"
    await world.assert_sound()


async def test_a_copy_without_a_record_is_removed_at_the_start(world: World) -> None:
    free = await volume(world)
    await world.volumes.snapshot({free.id: "snap-0123456789abcdef0"}, machine_id=None)
    await world.archive.put("snap-0123456789abcdef0", lambda _fraction: None)

    await world.restart()

    assert await world.archive.ids() == set()


async def test_a_check_of_the_storage_finds_a_copy_that_is_gone(world: World) -> None:
    whole, lost = await archived(world), await archived(world)
    (world.folder / "archive" / f"{lost.id}.pack").unlink()

    check = await world.app.storage.check(repair=True)

    assert [(it.subject, it.severity, it.repaired) for it in check.findings] == [(lost.id, "lost", False)]
    assert whole.id not in {it.subject for it in check.findings}


async def test_a_check_of_the_storage_finds_a_copy_that_has_gone_bad(world: World) -> None:
    snapshot = await archived(world)
    (world.folder / "archive" / f"{snapshot.id}.pack").write_bytes(b"noise")

    check = await world.app.storage.check(repair=False)

    assert [it.subject for it in check.findings] == [snapshot.id]
    assert "cannot be read" in check.findings[0].problem


async def test_an_archived_copy_is_part_of_what_the_storage_costs(world: World) -> None:
    snapshot = await archived(world)

    usage = await world.app.storage.usage()

    assert [it.kind for it in usage.resources if it.id == snapshot.id] == ["archive"]


async def test_an_archived_snapshot_is_not_shared(world: World) -> None:
    snapshot = await archived(world)

    assert await refusal(world.app.snapshots.share(world.caller, snapshot.id, add=["all"])) == "IncorrectState"
    await world.app.snapshots.share(world.caller, snapshot.id, remove=["all"])
